//! A quick measurement as text and as JSON: a line an interval, a line for each way in all.

use serde_json::Value;

use super::{
    escape,
    figures::{self, UNMEASURED},
};
use crate::model::judge::pair::{Limit, PAIR_SCHEMA, PairReport, Span, datagrams::Datagrams};

/// The heading above the lines.
pub fn heading() -> String {
    format!(
        "{:<11} {:<16} {:>11} {:>12} {:>13} {:>10} {:>5} {:>5}  {}\n",
        "seconds", "way", "bytes", "goodput", "retr, lost", "rtt", "cpu", "cpu", "limited by"
    )
}

/// An interval of a way, with its line break.
pub fn line(from: &str, to: &str, span: &Span) -> String {
    let way = format!("{} > {}", escape::plain(from), escape::plain(to));
    let gone = match (&span.datagrams, span.retransmits) {
        (Some(datagrams), _) => format!("{}/{}", datagrams.lost, datagrams.received + datagrams.lost),
        (None, Some(retransmits)) => retransmits.to_string(),
        (None, None) => UNMEASURED.to_owned(),
    };
    let rtt =
        span.rtt_us.map_or_else(|| UNMEASURED.to_owned(), |us| format!("{:.2} ms", f64::from(us) / 1000.0));
    format!(
        "{:<11} {way:<16} {:>11} {:>12} {:>13} {rtt:>10} {:>5} {:>5}  {}\n",
        format!("{}-{}", span.from_s, span.to_s),
        figures::bytes(span.bytes),
        figures::rate(span.goodput_bps),
        gone,
        figures::share(span.sender_cpu_share),
        figures::share(span.receiver_cpu_share),
        span.limited_by.map_or(UNMEASURED, words),
    )
}

/// The last word, a line a way.
pub fn totals(report: &PairReport) -> String {
    let mut text = String::new();
    for way in &report.ways {
        text += &line(&way.from, &way.to, &way.total);
        text.extend(way.total.datagrams.as_ref().map(datagrams));
        if way.verified_bytes > 0 {
            let (all, differed) = (figures::bytes(Some(way.verified_bytes)), way.differing_bytes);
            text.extend([format!("{:<11} {all} compared with what was sent, {differed} B differed\n", "")]);
        }
    }
    let links = if report.simulated_links { "; simulated links" } else { "" };
    text + &format!("{}{links}; cpu of the busiest thread of each end\n", escape::plain(&report.carriage))
}

/// What became of datagrams, with a line break.
fn datagrams(of: &Datagrams) -> String {
    let share =
        of.lost_share.map_or_else(|| UNMEASURED.to_owned(), |share| format!("{:.3} %", share * 100.0));
    format!(
        "{:<11} datagrams: {share} lost, {} overtaken, {} came twice, {} dropped by the receiver's own socket, jitter {:.3} ms\n",
        "",
        of.reordered,
        of.duplicates,
        of.socket_drops,
        f64::from(of.jitter_us) / 1000.0
    )
}

/// What held a flow up, in words.
const fn words(limit: Limit) -> &'static str {
    match limit {
        Limit::SenderCpu => "the sender's core",
        Limit::ReceiverCpu => "the receiver's core",
        Limit::Rate => "the rate asked for",
        Limit::Loss => "losses",
        Limit::ReceiveWindow => "the receive window",
        Limit::SendBuffer => "the way (a full send buffer)",
    }
}

/// The report as JSON, with a line break at its end.
pub fn pair_json(report: &PairReport) -> String {
    serde_json::to_string_pretty(report).map_or_else(|_| String::new(), |text| text + "\n")
}

/// The schema of [`pair_json`].
pub fn pair_schema() -> Value {
    let mut schema = schemars::schema_for!(PairReport).to_value();
    schema["$id"] = PAIR_SCHEMA.into();
    schema["title"] = "What a quick measurement between two hosts came to".into();
    schema["properties"]["schema"]["const"] = PAIR_SCHEMA.into();
    schema
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_interval_is_one_line_under_its_heading_and_what_is_unknown_is_a_dash() {
        let known = Span {
            from_s: 0,
            to_s: 1,
            bytes: Some(12_500_000),
            goodput_bps: Some(100_000_000),
            retransmits: Some(3),
            rtt_us: Some(412),
            sender_cpu_share: Some(0.97),
            receiver_cpu_share: Some(0.2),
            datagrams: None,
            limited_by: Some(Limit::SenderCpu),
        };
        let lossy = Datagrams {
            received: 998,
            lost: 2,
            lost_share: Some(0.002),
            socket_drops: 7,
            jitter_us: 31,
            ..Datagrams::default()
        };
        let of_datagrams = Span { datagrams: Some(lossy), retransmits: None, rtt_us: None, ..known.clone() };
        let unknown = Span { from_s: 1, to_s: 2, ..Span::default() };
        let lines = line("h1", "h2", &known) + &line("h1", "h2", &of_datagrams);
        let text = heading() + &lines + &datagrams(&lossy) + &line("h1", "h2\u{1b}[2J", &unknown);
        assert!(!text.chars().any(|c| c != '\n' && escape::is_harmful(c)));
        insta::assert_snapshot!(text);
    }

    #[test]
    fn a_report_fits_its_schema() {
        let report = PairReport {
            schema: PAIR_SCHEMA.to_owned(),
            run: "r".to_owned(),
            carriage: "tcp, 2 streams".to_owned(),
            omitted_s: 0,
            simulated_links: true,
            ways: Vec::new(),
        };
        let value: Value = serde_json::from_str(&pair_json(&report)).expect("it is JSON");
        jsonschema::validate(&pair_schema(), &value).expect("it fits");
        assert!(totals(&report).contains("simulated links"));
    }
}
