//! How the text reads, and what no summary may do to a terminal.

use proptest::prelude::*;

use super::*;
use crate::report::fixture;

const PLAIN: Style = Style { colour: false };

/// Columns of a line as a terminal without wide characters counts them.
fn widest(text: &str) -> usize {
    text.lines().map(|line| line.chars().count()).max().unwrap_or(0)
}

#[test]
fn a_fleet_with_a_failed_host_reads_like_this() {
    insta::assert_snapshot!(text(&fixture::mixed(), &PLAIN), @r#"
    UNHEALTHY: of 5 planned hosts: 1 failed (h3), 1 inconclusive (h4), 1 not tested (expected-1)
    SIMULATED LINKS: namespaces of one machine, not network cards. Faults and limits are the lab's.
    run 20261123T120000Z-storm-7f3a, scenario storm, seed 7, started 2026-11-23T12:00:00Z, 60.0 s long,
    3 of 5 hosts measured

    sent and received: median / peak in Mb/s
    host        verdict              sent     received  drop-offs  what
    h3          FAIL          12.3 / 91.2  87.9 / 90.1          2  dies_under_load
    h4          INCONCLUSIVE  88.4 / 91.2  87.9 / 90.1          0  host_limited
    expected-1  NOT TESTED          – / –        – / –          0  it never joined
    h1          pass          88.4 / 91.2  87.9 / 90.1          1  explained by h3
    h2          pass          88.4 / 91.2  87.9 / 90.1          0

    h3  FAIL  eth0, veth, MTU 1500
      dies_under_load tx+rx [fail], confirmed, first at 41.3 s
        What        Nothing passed in either direction within 2 s of reaching 88.0 Mb/s, three times of
                    three.
        Dose        survived 60.0 Mb/s, died at 88.0 Mb/s
        Numbers     failures 3, tries 3
        Evidence    corroborated: receivers' counts, and a counter or kernel line of that host alone
        Its kernel  at 42.0 s, counter: driver.tx_timeout +2, 0 on the others: a transmit queue stood
                    still
        Its kernel  link: its MTU is 1500, that of 3 of 3 others 9000
        Next        Before a reboot, save `dmesg`, `ethtool -i`, `ethtool -S` and `ethtool -k` of the
                    card: the cause is lost with it. Run the same scenario and seed again; then try
                    another driver or firmware, offloads off, another port or cable, and swap the card
                    if it still dies.
        Seen by     h1, h2, h4
        Drop-off    tx+rx at 41.3 s for 3.1 s in storm, from 88.0 Mb/s, 100 % missing
        Drop-off    tx+rx at 52.0 s (end not seen) in storm, from 88.0 Mb/s, 100 % missing

    h4  INCONCLUSIVE  eth0, veth, MTU 1500
        Why         the worker was short of CPU for 61 % of the stage storm
      host_limited [warn], not tried again
        What        A carrying thread waited for a core 61 % of the time.
        Numbers     runnable_share 61 %
        Evidence    end-to-end: receivers' counts alone; no counter or kernel line of the host says so
                    too
        Next        The CPU, not the card, set the limit. Stop what else runs there, or ask for less
                    load on each host, then run again: the card was not tested at its limit.

    expected-1  NOT TESTED
        Why         it never joined
        Next        Nothing is known of this card. Put right what the reason says, then run again; a
                    host that was not measured must not count as healthy.

    Fleet
      shared_congestion [info], not tried again
        What        Five flows fell together at 20.1 s for 0.8 s.
        Evidence    end-to-end: receivers' counts alone; no counter or kernel line of the host says so
                    too
        Next        Many hosts fell together without one in common: look at shared uplinks and switch
                    buffers, or ask for less load at once. No card is accused by this.

    Lost of the record: verdicts rest on what remained
      - 12 lines of h4 missing (301 to 312)
    "#);
}

#[test]
fn a_healthy_fleet_reads_like_this() {
    insta::assert_snapshot!(text(&fixture::healthy(), &PLAIN), @r#"
    HEALTHY: 2 of 2 planned hosts passed
    run 20261123T120000Z-storm-7f3a, scenario storm, seed 7, started 2026-11-23T12:00:00Z, 60.0 s long,
    2 of 2 hosts measured

    sent and received: median / peak in Mb/s
    host  verdict         sent     received  drop-offs  what
    h1    pass     88.4 / 91.2  87.9 / 90.1          0
    h2    pass     88.4 / 91.2  87.9 / 90.1          0
    "#);
}

#[test]
fn colour_changes_nothing_but_colour() {
    let summary = fixture::mixed();
    let coloured = text(&summary, &Style { colour: true });
    assert!(coloured.contains("\u{1b}[1;31mFAIL"), "a failed host is red");
    let mut bare = String::new();
    let mut rest = coloured.as_str();
    while let Some((before, after)) = rest.split_once("\u{1b}[") {
        bare.push_str(before);
        rest = after.split_once('m').expect("a colour ends").1;
    }
    assert_eq!(bare + rest, text(&summary, &PLAIN));
}

#[test]
fn hostile_text_neither_adds_a_line_of_table_nor_moves_the_cursor() {
    let (sound, hostile) = (text(&fixture::mixed(), &PLAIN), text(&fixture::hostile(), &PLAIN));
    let table = |text: &str| text.split("\n\n").nth(1).map(|part| part.lines().count());
    assert_eq!(table(&sound), Some(7), "unit, header, five hosts");
    assert_eq!(table(&hostile), table(&sound));
    assert!(!hostile.lines().any(|line| line.starts_with("FAIL  h9")));
    assert!(!hostile.contains('\u{1b}'));
}

#[test]
fn a_name_of_253_characters_leaves_the_table_in_its_width() {
    let mut summary = fixture::mixed();
    summary.hosts[1].host = fixture::name(&"x".repeat(253));
    assert!(widest(&text(&summary, &PLAIN)) <= WIDTH);
}

#[test]
fn words_wrap_at_spaces_and_a_long_one_is_cut() {
    assert_eq!(wrap("aa bb cc", 5), ["aa bb", "cc"]);
    assert_eq!(wrap("a bbbbbbb c", 3), ["a", "bbb", "bbb", "b c"]);
    assert_eq!(wrap("", 3), [""]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]
    #[test]
    fn any_summary_renders_without_control_characters_and_within_its_width(summary in fixture::any_summary()) {
        let text = text(&summary, &PLAIN);
        prop_assert!(!text.chars().any(|c| c != '\n' && escape::is_harmful(c)), "{text:?}");
        prop_assert!(widest(&text) <= WIDTH, "{text}");
    }
}
