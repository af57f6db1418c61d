//! The evidence bundle of a failed host: what one attaches to a support case before the host
//! is rebooted, as one `.tar.zst`.
//!
//! Only what was recorded of that host goes in, and no line that another host's worker
//! wrote. A run's keys, tokens and certificates are in no record, and so in no bundle.
//! The bytes are a function of record and summary: no clock, no owner, names in order.

use std::{collections::BTreeSet, fmt::Write as _};

use serde::Serialize;

use super::{
    escape, json,
    series::{Charts, HostSeries},
    words,
};
use crate::model::{
    fleet::{
        host::{HostId, HostName},
        units::SLOT_US,
    },
    judge::{
        evidence::{gather::Gathered, stages},
        seen::Seen,
        summary::{HostSummary, RunSummary, Summary, Verdict},
    },
    record::{
        book::Record,
        kernel_log,
        line::{Body, COORDINATOR, Line},
        text,
    },
};

/// Told before and after each end of a drop-off: long enough for the level before it and for
/// a driver's watchdog after it.
const AROUND_S: f64 = 10.0;

/// Record lines that a bundle holds at most: an hour of one busy worker's.
const LINES_MAX: usize = 100_000;

/// Level of compression: above it a bundle of text gains little.
const ZSTD_LEVEL: i32 = 9;

/// A bundle: the name of its file, and its bytes.
pub type Bundle = (String, Vec<u8>);

/// The bundles of all hosts that failed.
pub fn bundles(
    record: &Record,
    seen: &Seen,
    gathered: &Gathered<'_>,
    charts: &Charts,
    summary: &Summary,
) -> Vec<(HostName, Bundle)> {
    let failed: Vec<&HostSummary> =
        summary.hosts.iter().filter(|host| host.verdict == Verdict::Fail).collect();
    if failed.is_empty() {
        return Vec::new();
    }
    let all = All { record, run: &summary.run, seen, gathered, charts };
    let of = |host: &HostSummary| (host.host.clone(), (file_name(&host.host), pack(&all.files(host))));
    failed.into_iter().map(of).collect()
}

/// The name of a host's bundle. A `/` of `h3/eth1` is no folder; no host name has a `%`.
pub fn file_name(host: &HostName) -> String {
    format!("{}.tar.zst", host.as_str().replace('/', "%2F"))
}

/// A file within a bundle: its name, what it is, its content.
type Member = (&'static str, &'static str, String);

struct All<'a> {
    record: &'a Record,
    run: &'a RunSummary,
    seen: &'a Seen,
    gathered: &'a Gathered<'a>,
    charts: &'a Charts,
}

/// `verdict.json`.
#[derive(Serialize)]
struct VerdictFile<'a> {
    run: &'a RunSummary,
    host: &'a HostSummary,
    instances: Vec<Instance<'a>>,
}

/// A worker of the host.
#[derive(Serialize)]
struct Instance<'a> {
    joined_s: f64,
    boot_id: &'a str,
    kernel: &'a str,
    cores: u32,
    congestion_control: &'a str,
}

impl All<'_> {
    fn files(&self, host: &HostSummary) -> Vec<Member> {
        let id = self.seen.hosts.iter().find(|known| known.name == host.host).map(|known| known.id);
        let facts = id.and_then(|id| self.gathered.host(id)).map_or(&[][..], |told| &told.facts);
        let before = facts.first().map(|told| told.what);
        let after = facts.last().filter(|_| facts.len() > 1).map(|told| told.what);
        let stages = id.map(|id| stages::moved(self.seen, self.gathered, id)).unwrap_or_default();
        let spans = spans(host);
        let mut files = vec![
            (
                "facts-after.json",
                "all facts of the host when it was last asked; null if it was not",
                json::tidy(&after),
            ),
            (
                "facts-before.json",
                "all facts of the host before any load; null if they were not read",
                json::tidy(&before),
            ),
            (
                "kernel.txt",
                "its kernel's log, lines of its card and its health: run's seconds, level, text",
                self.kernel(id),
            ),
            (
                "record.jsonl",
                "the record's lines of this host: all facts, and everything around its drop-offs",
                self.lines(id, &spans),
            ),
            (
                "series.csv",
                "goodput as receivers counted it, slots of 100 ms around its drop-offs; empty: not measured",
                self.series(&host.host, &spans),
            ),
            (
                "stages.json",
                "counters that moved in each stage, here and in the median of the others",
                json::tidy(&stages),
            ),
            ("verdict.json", "verdict and findings, as in summary.json", self.verdict(host, id)),
        ];
        files.insert(0, ("README.txt", "", self.readme(host, &files)));
        files
    }

    fn readme(&self, host: &HostSummary, files: &[Member]) -> String {
        let mut out = format!(
            "Evidence on {} from run {} (scenario {}, started {}).\nVerdict: {}.\n\n",
            host.host,
            escape::plain(&self.run.id),
            escape::plain(&self.run.scenario),
            escape::plain(&self.run.started_at),
            words::verdict(host.verdict),
        );
        if self.run.simulated_links {
            let _ = writeln!(out, "{}\n", words::SIMULATED);
        }
        for finding in &host.findings {
            let _ = writeln!(out, "{}: {}", finding.kind.name(), escape::plain(&finding.text));
            for item in &finding.corroboration {
                let at = item.at_s.map_or_else(String::new, |at_s| format!("at {at_s:.1} s, "));
                let _ =
                    writeln!(out, "  - {at}{}: {}", words::source(item.source), escape::plain(&item.text));
            }
        }
        let _ = writeln!(out, "\nTimes are seconds since the run's zero. Files:\n");
        for (name, what, _) in files {
            let _ = writeln!(out, "  {name:<20}{what}");
        }
        let _ = writeln!(
            out,
            "\nLines of other hosts, other lines of the log, keys and tokens are not in here.\n`nicburn judge` on the run's folder writes this file again, to the byte."
        );
        out
    }

    fn verdict(&self, host: &HostSummary, id: Option<HostId>) -> String {
        let instances = id.into_iter().flat_map(|id| self.seen.instances(id)).map(|(at, joined)| Instance {
            joined_s: at.as_secs_f64(),
            boot_id: &joined.boot_id,
            kernel: &joined.kernel,
            cores: joined.cores,
            congestion_control: &joined.congestion_control,
        });
        json::tidy(&VerdictFile { run: self.run, host, instances: instances.collect() })
    }

    fn kernel(&self, id: Option<HostId>) -> String {
        let mut out = String::new();
        if let Some((id, told)) = id.and_then(|id| Some((id, self.gathered.host(id)?))) {
            let card = self.gathered.card(self.seen, id);
            for line in &told.kernel {
                let known = kernel_log::known_of(&line.what.text, &card);
                let says =
                    known.map_or_else(String::new, |known| format!("  # {} [{}]", known.says, known.source));
                let (at, level) = (line.at.as_secs_f64(), line.what.level);
                let _ = writeln!(out, "{at:.3} <{level}> {}{says}", escape::plain(&line.what.text));
            }
        }
        let own = self.instances(id);
        for line in self.record.lines.iter().filter(|line| own.contains(&line.i)) {
            if let Body::Unread { what, why } = &line.body {
                let _ = writeln!(out, "unread: {}: {}", escape::plain(what), escape::plain(why));
            }
        }
        out
    }

    fn instances(&self, id: Option<HostId>) -> BTreeSet<u16> {
        id.into_iter().flat_map(|id| self.seen.instances(id)).map(|(_, joined)| joined.instance).collect()
    }

    fn lines(&self, id: Option<HostId>, spans: &[(f64, f64)]) -> String {
        let own = self.instances(id);
        let kept = self.record.lines.iter().filter(|line| match &line.body {
            Body::Contact(contact) if line.i == COORDINATOR => Some(contact.host) == id,
            Body::Left { host, .. } if line.i == COORDINATOR => Some(*host) == id,
            Body::Facts(_) | Body::Kernel(_) | Body::Unread { .. } | Body::Reach(_) => own.contains(&line.i),
            _ => own.contains(&line.i) && within(line, spans),
        });
        kept.take(LINES_MAX).map(|line| text::encode(line) + "\n").collect()
    }

    fn series(&self, host: &HostName, spans: &[(f64, f64)]) -> String {
        let mut out = "at_s,tx_bps,rx_bps\n".to_owned();
        let Some(series) = self.charts.hosts.iter().find(|series| series.host == *host) else { return out };
        let HostSeries { first_slot, tx_bps, rx_bps, .. } = series;
        for place in 0..tx_bps.len().max(rx_bps.len()) {
            let at_s = (first_slot + place as u64) as f64 * SLOT_US as f64 / 1e6;
            if in_spans(at_s, spans) {
                let cell = |series: &[Option<u64>]| {
                    series.get(place).copied().flatten().map_or_else(String::new, |bps| bps.to_string())
                };
                let _ = writeln!(out, "{at_s:.1},{},{}", cell(tx_bps), cell(rx_bps));
            }
        }
        out
    }
}

/// The stretches around both ends of a host's own drop-offs; the whole run where it has none.
fn spans(host: &HostSummary) -> Vec<(f64, f64)> {
    let own = host.drop_offs.iter().filter(|drop_off| drop_off.explained_by.is_none());
    let ends =
        own.flat_map(|drop_off| [Some(drop_off.at_s), drop_off.for_s.map(|for_s| drop_off.at_s + for_s)]);
    let spans: Vec<(f64, f64)> = ends.flatten().map(|at_s| (at_s - AROUND_S, at_s + AROUND_S)).collect();
    if spans.is_empty() { vec![(0.0, f64::INFINITY)] } else { spans }
}

fn in_spans(at_s: f64, spans: &[(f64, f64)]) -> bool {
    spans.iter().any(|(from, to)| (*from..=*to).contains(&at_s))
}

fn within(line: &Line, spans: &[(f64, f64)]) -> bool {
    in_spans(line.t.as_secs_f64(), spans)
}

/// The archive: members in the order of their names, without times and owners.
fn pack(files: &[Member]) -> Vec<u8> {
    let mut archive = tar::Builder::new(Vec::new());
    for (name, _, content) in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        header.set_mtime(0);
        header.set_uid(0);
        header.set_gid(0);
        archive.append_data(&mut header, name, content.as_bytes()).expect("memory takes every write");
    }
    let tar = archive.into_inner().expect("memory takes every write");
    zstd::encode_all(tar.as_slice(), ZSTD_LEVEL).expect("memory takes every write")
}

#[cfg(test)]
mod tests;
