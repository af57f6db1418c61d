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
    insta::assert_snapshot!(text(&fixture::mixed(), &PLAIN), @"");
}

#[test]
fn a_healthy_fleet_reads_like_this() {
    insta::assert_snapshot!(text(&fixture::healthy(), &PLAIN), @"");
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
