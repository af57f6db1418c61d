//! The results as text: for the terminal and as markdown, one table either way. Pure.

use std::fmt::Write as _;

use super::results::{CaseResult, Failed, Figure, Results};

/// `bench-<date>.md`.
pub fn markdown(results: &Results) -> String {
    let mut text = format!("# Bench of {}\n\n", results.date);
    let mut fact = |name: &str, value: &str| {
        writeln!(text, "- {name}: {value}").expect("writing to a String cannot fail");
    };
    fact("command", &format!("`{}`", results.command));
    let build = if results.optimised { "" } else { ", **built without optimisation: figures mean nothing**" };
    fact("nicburn", &format!("{}{build}", results.version));
    fact("machine", &format!("{} cores of {}", results.machine.cores, results.machine.cpu));
    fact("kernel", &results.machine.kernel);
    fact("congestion control of all", &results.congestion_control);
    for (peer, version) in &results.peers {
        fact(peer, version);
    }
    text.push_str(WORDS);
    text.push_str(&table(results));
    text
}

const WORDS: &str = "
Ratios are ours over the other side's, of the receiver's bytes, repetition by repetition in the
order A B, B A, …; shown are their median, least and most. GB are 10^9 bytes; CPU-s/GB counts
both ends' processes. The raw figures of every run are in the JSON file of the same name.

";

/// One line a figure.
pub fn table(results: &Results) -> String {
    let mut rows = vec![
        ["case", "setting", "figure", "median", "min", "max", "bound", "met", "ours", "other", "c2c ns"]
            .map(String::from),
    ];
    rows.extend(results.cases.iter().flat_map(case_rows));
    let widths: Vec<usize> = (0..rows[0].len())
        .map(|column| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0))
        .collect();
    let mut text = String::new();
    for (index, row) in rows.iter().enumerate() {
        let cells: Vec<String> =
            row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
        writeln!(text, "| {} |", cells.join(" | ")).expect("writing to a String cannot fail");
        if index == 0 {
            let rules: Vec<String> = widths.iter().map(|width| "-".repeat(*width)).collect();
            writeln!(text, "| {} |", rules.join(" | ")).expect("writing to a String cannot fail");
        }
    }
    text
}

fn case_rows(case: &CaseResult) -> Vec<[String; 11]> {
    if let Some(failed) = &case.failed {
        let (said, met) = match failed {
            Failed::Absent(why) => (format!("absent: {why}"), "-"),
            Failed::Unavailable(why) => (why.clone(), "NO"),
            Failed::Error(why) => (format!("failed: {why}"), "NO"),
        };
        let mut row = [const { String::new() }; 11];
        (row[0], row[1]) = (case.name.clone(), case.setting.clone());
        (row[2], row[7]) = (said.replace('|', "\\|"), met.to_owned());
        return vec![row];
    }
    case.figures.iter().enumerate().map(|(at, figure)| figure_row(case, figure, at == 0)).collect()
}

fn figure_row(case: &CaseResult, figure: &Figure, first: bool) -> [String; 11] {
    let number =
        |value: Option<f64>| value.map_or_else(|| "unread".to_owned(), |value| format!("{value:.3}"));
    let side = |pick: fn(&super::metric::Run) -> f64, ours: bool| {
        let of = case.reps.iter().filter_map(|(a, b)| if ours { Some(a) } else { b.as_ref() });
        super::paired::Spread::of(&of.map(pick).collect::<Vec<_>>()).map(|spread| spread.median)
    };
    let told = |ours| {
        let rate = side(super::metric::Run::gigabytes_per_s, ours)?;
        let cost = side(super::metric::Run::cpu_s_per_gigabyte, ours)?;
        Some(format!("{rate:.3} GB/s, {cost:.3} CPU-s/GB"))
    };
    let latency: Vec<f64> = case.reps.iter().filter_map(|(ours, _)| ours.core_to_core_ns).collect();
    let latency = super::paired::Spread::of(&latency);
    let only_first = |text: Option<String>| text.filter(|_| first).unwrap_or_default();
    [
        only_first(Some(case.name.clone())),
        only_first(Some(case.setting.clone())),
        figure.metric.name().to_owned(),
        number(figure.spread.map(|spread| spread.median)),
        number(figure.spread.map(|spread| spread.min)),
        number(figure.spread.map(|spread| spread.max)),
        figure.bound.to_string(),
        if figure.bound == super::metric::Bound::Shown {
            "-"
        } else if figure.met() {
            "yes"
        } else {
            "NO"
        }
        .to_owned(),
        only_first(told(true)),
        only_first(told(false)),
        only_first(latency.map(|spread| format!("{:.0}-{:.0}", spread.min, spread.max))),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::worker::bench::{
        machine::Machine,
        metric::{Bound, Metric, Run},
    };

    #[test]
    fn the_page_names_command_machine_peers_and_every_gate() {
        let run = |bytes| Run { bytes, for_s: 1.0, source_cpu_s: 0.5, sink_cpu_s: 0.5, ..Run::default() };
        let reps = vec![(run(3_000_000_000), Some(run(2_000_000_000)))];
        let cases = vec![
            CaseResult {
                name: "a".into(),
                setting: "veth, free".into(),
                figures: vec![Figure::of(Metric::RateRatio, Bound::AtLeast(1.2), &reps)],
                reps,
                failed: None,
            },
            CaseResult {
                name: "b".into(),
                setting: "veth, free".into(),
                figures: vec![],
                reps: vec![],
                failed: Some(Failed::Unavailable("not available in this build: x".into())),
            },
        ];
        let results = Results {
            schema: "nicburn.bench/1".into(),
            command: "nicburn-worker bench".into(),
            date: "2026-11-23T10:00:00Z".into(),
            version: "0.1.0".into(),
            optimised: true,
            machine: Machine { cpu: "CPU".into(), cores: 2, kernel: "6.18".into() },
            congestion_control: "reno".into(),
            peers: vec![("iperf3".into(), "iperf 3.12".into()), ("nuttcp".into(), "not installed".into())],
            cases,
        };
        insta::assert_snapshot!(markdown(&results));
    }
}
