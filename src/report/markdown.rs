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
    let peaks = hosts.iter().flat_map(|host| [host.goodput.tx_peak_bps, host.goodput.rx_peak_bps]);
    let scale = Scale::for_peak(peaks.flatten().max().unwrap_or(0));
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
        let _ = writeln!(out, "{indent}- {label}: {}", escape::markdown(&text));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::fixture;
    use proptest::prelude::*;

    #[test]
    fn a_fleet_with_a_failed_host_reads_like_this() {
        insta::assert_snapshot!(markdown(&fixture::mixed()), @"");
    }

    #[test]
    fn hostile_text_adds_neither_markup_nor_a_line() {
        let (sound, hostile) = (markdown(&fixture::mixed()), markdown(&fixture::hostile()));
        assert!(!hostile.contains('<'), "{hostile}");
        assert!(!hostile.contains('@'));
        assert!(!hostile.contains("](javascript"));
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
