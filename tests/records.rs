//! Records of real runs, and the verdicts that they must give: what a detector once learned it
//! keeps. Each `tests/records/NAME.jsonl.zst` has its verdicts beside it, in `NAME.txt`: a line for
//! the fleet, and one for each host or finding that is not well.
//!
//! `UPDATE_RECORDS=1 cargo test --test records` writes them anew, for one who then reads the
//! difference.

use std::{
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
};

use nicburn::{
    journal,
    model::{
        judge::{
            summary::{Finding, Severity, Summary, Verdict},
            verdict::judge,
        },
        record::book::Record,
    },
};

fn records() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/records");
    let entries = fs::read_dir(folder).expect("the folder is there").flatten().map(|entry| entry.path());
    let mut paths: Vec<PathBuf> =
        entries.filter(|path| path.extension().is_some_and(|ending| ending == "zst")).collect();
    paths.sort();
    paths
}

fn name<T: serde::Serialize>(value: T) -> String {
    serde_json::to_value(value).expect("it has a name").as_str().unwrap_or("?").to_owned()
}

fn of_finding(finding: &Finding) -> String {
    let way = finding.direction.map(|way| format!(" {}", name(way))).unwrap_or_default();
    let confirmed = if finding.confirmed == Some(true) { ", confirmed" } else { "" };
    format!("{}{way}, {}{confirmed}", finding.kind.name(), name(finding.severity))
}

/// Whatever of a summary is not well.
fn told(summary: &Summary) -> String {
    let mut text = format!("{}\n", name(summary.verdict));
    for finding in &summary.fleet.findings {
        writeln!(text, "fleet: {}", of_finding(finding)).expect("writing to a String cannot fail");
    }
    for host in &summary.hosts {
        let findings = host.findings.iter().filter(|finding| finding.severity != Severity::Info);
        let own: Vec<String> = findings.map(of_finding).collect();
        if host.verdict != Verdict::Pass || !own.is_empty() {
            writeln!(text, "{}: {}; {}", host.host, name(host.verdict), own.join("; "))
                .expect("writing to a String cannot fail");
        }
    }
    text
}

#[test]
fn each_record_gives_the_verdicts_that_stand_beside_it() {
    let records = records();
    assert!(records.len() >= 10, "{} records", records.len());
    let mut wrong = String::new();
    for path in records {
        let lines = journal::read_lines(&path).expect("it can be read");
        let record = Record::from_text_lines(lines.iter().map(String::as_str)).expect("it is sound");
        let got = told(&judge(&record));
        let beside = path.with_extension("").with_extension("txt");
        if std::env::var_os("UPDATE_RECORDS").is_some() {
            fs::write(&beside, &got).expect("written");
        }
        let want = fs::read_to_string(&beside).unwrap_or_default();
        if got != want {
            write!(wrong, "{}: wanted\n{want}and got\n{got}", path.display())
                .expect("writing to a String cannot fail");
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}
