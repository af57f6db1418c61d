//! `summary.md`: the verdict for a ticket or a pull request.

use std::fmt::Write as _;

use super::{
    details::{self, Point},
    escape,
    figures::{self, Scale},
    words,
};
use crate::model::judge::summary::{Finding, HostSummary, Summary};

/// The whole document; lines end in `\n`.
pub fn markdown(summary: &Summary) -> String {
    let mut out = format!("# {}\n\n", escape::markdown(&words::headline(summary)));
    if summary.run.simulated_links {
        let _ = writeln!(out, "> **{}**\n", words::SIMULATED);
    }
    let _ = writeln!(out, "{}\n", escape::markdown(&words::run_line(summary)));
    table(&mut out, summary);
    for host in words::in_order(summary).into_iter().filter(|host| words::needs_detail(host)) {
        detail(&mut out, host);
    }
    if !summary.fleet.findings.is_empty() {
        out.push_str("\n## Fleet\n\n");
        summary.fleet.findings.iter().for_each(|it| finding(&mut out, it));
    }
    if !summary.record_losses.is_empty() {
        out.push_str("\n## Lost of the record\n\nThe verdicts rest on what remained.\n\n");
        for loss in &summary.record_losses {
            let _ = writeln!(out, "- {}", escape::markdown(loss));
        }
    }
    out
}

fn table(out: &mut String, summary: &Summary) {
    let hosts = words::in_order(summary);
    let scale = Scale::for_hosts(&hosts);
    let unit = scale.unit();
    let _ = writeln!(
        out,
        "| host | verdict | sent, median / peak, {unit} | received, {unit} | drop-offs | measured | what |\n\
         |---|---|---:|---:|---:|---:|---|"
    );
    for host in hosts {
        let goodput = &host.goodput;
        let _ = writeln!(
            out,
            "| {} | {} | {} / {} | {} / {} | {} | {} | {} |",
            escape::markdown(host.host.as_str()),
            words::verdict(host.verdict),
            scale.rate(goodput.tx_median_bps),
            scale.rate(goodput.tx_peak_bps),
            scale.rate(goodput.rx_median_bps),
            scale.rate(goodput.rx_peak_bps),
            host.drop_offs.len(),
            figures::share(host.tested.planned_share),
            escape::markdown(&words::what(host)),
        );
    }
}

fn detail(out: &mut String, host: &HostSummary) {
    let _ =
        writeln!(out, "\n## {}: {}\n", escape::markdown(host.host.as_str()), words::verdict(host.verdict));
    let card = details::card(host);
    if !card.is_empty() {
        let _ = writeln!(out, "- Card: {}", escape::markdown(&card));
    }
    points(out, "", details::reason(host));
    host.findings.iter().for_each(|it| finding(out, it));
    points(out, "", details::host_points(host));
}

fn finding(out: &mut String, finding: &Finding) {
    let _ = writeln!(out, "- **{}**", escape::markdown(&details::finding_head(finding)));
    points(out, "  ", details::finding_points(finding));
}

fn points(out: &mut String, indent: &str, points: impl IntoIterator<Item = Point>) {
    for (label, text) in points {
        let text = if label == details::NEXT { text } else { escape::markdown(&text) };
        let _ = writeln!(out, "{indent}- {label}: {text}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::fixture;
    use proptest::prelude::*;

    #[test]
    fn a_fleet_with_a_failed_host_reads_like_this() {
        insta::assert_snapshot!(markdown(&fixture::mixed()), @r#"
        # UNHEALTHY: of 5 planned hosts: 1 failed (h3), 1 inconclusive (h4), 1 not tested (expected-1)

        > **SIMULATED LINKS: namespaces of one machine, not network cards. Faults and limits are the lab's.**

        run 20261123T120000Z-storm-7f3a, scenario storm, seed 7, started 2026-11-23T12:00:00Z, 60.0 s long, 3 of 5 hosts measured

        | host | verdict | sent, median / peak, Mb/s | received, Mb/s | drop-offs | measured | what |
        |---|---|---:|---:|---:|---:|---|
        | h3 | FAIL | 12.3 / 91.2 | 87.9 / 90.1 | 2 | 99 % | dies_under_load |
        | h4 | INCONCLUSIVE | 88.4 / 91.2 | 87.9 / 90.1 | 0 | 99 % | host_limited |
        | expected-1 | NOT TESTED | – / – | – / – | 0 | – | it never joined |
        | h1 | pass | 88.4 / 91.2 | 87.9 / 90.1 | 1 | 99 % | explained by h3 |
        | h2 | pass | 88.4 / 91.2 | 87.9 / 90.1 | 0 | 99 % |  |

        ## h3: FAIL

        - Card: eth0, veth, MTU 1500
        - **dies_under_load tx+rx \[fail\], confirmed, first at 41.3 s**
          - What: Nothing passed in either direction within 2 s of reaching 88.0 Mb/s, three times of three.
          - Dose: survived 60.0 Mb/s, died at 88.0 Mb/s
          - Numbers: failures 3, tries 3
          - Evidence: corroborated: receivers' counts, and a counter or kernel line of that host alone
          - Its kernel: at 42.0 s, counter: driver.tx_timeout +2, 0 on the others: a transmit queue stood still
          - Its kernel: link: its MTU is 1500, that of 3 of 3 others 9000
          - Next: Before a reboot, save `dmesg`, `ethtool -i`, `ethtool -S` and `ethtool -k` of the card: the cause is lost with it. Run the same scenario and seed again; then try another driver or firmware, offloads off, another port or cable, and swap the card if it still dies.
        - Seen by: h1, h2, h4
        - Drop-off: tx+rx at 41.3 s for 3.1 s in storm, from 88.0 Mb/s, 100 % missing
        - Drop-off: tx+rx at 52.0 s (end not seen) in storm, from 88.0 Mb/s, 100 % missing

        ## h4: INCONCLUSIVE

        - Card: eth0, veth, MTU 1500
        - Why: the worker was short of CPU for 61 % of the stage storm
        - **host_limited \[warn\], not tried again**
          - What: A carrying thread waited for a core 61 % of the time.
          - Numbers: runnable_share 61 %
          - Evidence: end-to-end: receivers' counts alone; no counter or kernel line of the host says so too
          - Next: The CPU, not the card, set the limit. Stop what else runs there, or ask for less load on each host, then run again: the card was not tested at its limit.

        ## expected-1: NOT TESTED

        - Why: it never joined
        - Next: Nothing is known of this card. Put right what the reason says, then run again; a host that was not measured must not count as healthy.

        ## Fleet

        - **shared_congestion \[info\], not tried again**
          - What: Five flows fell together at 20.1 s for 0.8 s.
          - Evidence: end-to-end: receivers' counts alone; no counter or kernel line of the host says so too
          - Next: Many hosts fell together without one in common: look at shared uplinks and switch buffers, or ask for less load at once. No card is accused by this.

        ## Lost of the record

        The verdicts rest on what remained.

        - 12 lines of h4 missing (301 to 312)
        "#);
    }

    #[test]
    fn hostile_text_adds_neither_markup_nor_a_line() {
        let (sound, hostile) = (markdown(&fixture::mixed()), markdown(&fixture::hostile()));
        assert!(!hostile.contains('<'), "{hostile}");
        assert!(!hostile.contains('@'));
        assert!(!hostile.contains("[x]("));
        let rows = |text: &str| text.lines().filter(|line| line.starts_with("| ")).count();
        assert_eq!(rows(&hostile), rows(&sound));
        assert!(
            hostile.lines().filter(|line| line.starts_with("| ")).all(|row| row.matches('|').count() == 8)
        );
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn any_summary_renders_without_control_characters(summary in fixture::any_summary()) {
            prop_assert!(!markdown(&summary).chars().any(|c| c != '\n' && (escape::is_harmful(c) || c == '<')));
        }
    }
}
