//! One run held against its truth.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::{At, Case, Class, Drawn, Heard, Load, Sick};
use crate::model::judge::summary::{Direction, Finding, FindingKind, Severity, Summary, Verdict};

/// What came of one case and seed: a line of the scoreboard's file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Outcome {
    /// The case.
    pub case: String,
    /// Its class.
    pub class: Class,
    /// The seed.
    pub seed: u64,
    /// Whether it ran on the whole of `accept`.
    pub whole: bool,
    /// What was broken.
    pub faults: Vec<String>,
    /// What became of each thing that should be found.
    pub sick: Vec<SickSeen>,
    /// Hosts that fail and are well.
    pub accused: Vec<String>,
    /// Fleet findings of severity `fail` that nothing broken explains.
    pub accused_ways: Vec<FindingKind>,
    /// Hosts that are well: all, and of these those that pass.
    pub well: u32,
    /// Those that pass.
    pub well_passed: u32,
    /// Findings of severity `fail` or `warn`, audits aside.
    pub findings: u32,
    /// How long the run took, seconds.
    pub duration_s: f64,
    /// All that does not simply pass, in words.
    pub said: Vec<String>,
}

impl Outcome {
    /// Whether all was found and named, nobody accused, and all who are well passed.
    pub fn is_right(&self) -> bool {
        let right = |sick: &SickSeen| sick.kind_right && sick.direction_right != Some(false);
        self.sick.iter().all(right)
            && self.accused.is_empty()
            && self.accused_ways.is_empty()
            && self.well_passed == self.well
    }
}

/// What became of one thing that should be found.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SickSeen {
    /// Where it is.
    pub place: String,
    /// The kind that it should have had.
    pub kind: FindingKind,
    /// The direction that it should have had.
    pub direction: Option<Direction>,
    /// Whether the place was found.
    pub place_right: bool,
    /// And the kind of it.
    pub kind_right: bool,
    /// And the direction, where it has one.
    pub direction_right: Option<bool>,
    /// Seconds from its first drop-off until that was told, where there was one.
    pub told_after_s: Option<f64>,
}

/// Holds a run's summary, and what it said meanwhile, against the truth.
pub fn outcome(case: &Case, drawn: &Drawn, seed: u64, summary: &Summary, heard: &Heard) -> Outcome {
    let sick: Vec<SickSeen> = case.sick.iter().map(|sick| seen(sick, drawn, summary, heard)).collect();
    let (may_fail, touched) = (named(case, drawn, false), named(case, drawn, true));
    let failed = |name: &&str| {
        summary.hosts.iter().any(|host| host.host.as_str() == *name && host.verdict == Verdict::Fail)
    };
    let names: Vec<&str> = summary.hosts.iter().map(|host| host.host.as_str()).collect();
    let well: Vec<&str> = names.iter().copied().filter(|name| !touched.contains(name)).collect();
    let passed = |name: &&&str| {
        summary.hosts.iter().any(|host| host.host.as_str() == **name && host.verdict == Verdict::Pass)
    };
    let on_ways = case.sick.iter().any(|sick| matches!(sick.at, At::Path(..) | At::Uplink));
    let grave = |finding: &&Finding| finding.severity == Severity::Fail && finding.kind != FindingKind::Audit;
    Outcome {
        sick,
        accused: names
            .iter()
            .filter(|name| failed(name) && !may_fail.contains(**name))
            .map(|name| (*name).to_owned())
            .collect(),
        accused_ways: if on_ways {
            Vec::new()
        } else {
            summary.fleet.findings.iter().filter(grave).map(|finding| finding.kind).collect()
        },
        well: well.len() as u32,
        well_passed: well.iter().filter(passed).count() as u32,
        findings: told(summary).count() as u32,
        duration_s: summary.run.duration_s.unwrap_or_default(),
        said: said(summary),
        ..unheard(case, drawn, seed)
    }
}

/// A run that left no summary: nothing was found, and nobody passed.
pub fn lost(case: &Case, drawn: &Drawn, seed: u64, why: &str) -> Outcome {
    let missed = |sick: &Sick| SickSeen {
        place: drawn.place(sick.at),
        kind: sick.kinds[0],
        direction: sick.direction,
        place_right: false,
        kind_right: false,
        direction_right: sick.direction.map(|_| false),
        told_after_s: None,
    };
    Outcome {
        sick: case.sick.iter().map(missed).collect(),
        well: u32::from(case.hosts).saturating_sub(named(case, drawn, true).len() as u32),
        said: vec![format!("the run left no summary: {why}")],
        ..unheard(case, drawn, seed)
    }
}

/// What is known of a run before it said anything.
fn unheard(case: &Case, drawn: &Drawn, seed: u64) -> Outcome {
    Outcome {
        case: case.name.to_owned(),
        class: case.class,
        seed,
        whole: matches!(case.load, Load::Accept | Load::Congestion(_)),
        faults: drawn.faults.clone(),
        sick: Vec::new(),
        accused: Vec::new(),
        accused_ways: Vec::new(),
        well: 0,
        well_passed: 0,
        findings: 0,
        duration_s: 0.0,
        said: Vec::new(),
    }
}

/// Hosts that something is broken on; those too that must not fail for it, if `beside`.
fn named<'a>(case: &Case, drawn: &'a Drawn, beside: bool) -> BTreeSet<&'a str> {
    let host = |sick: &Sick| match sick.at {
        At::Host(letter) => Some(drawn.host(letter)),
        At::Beside(letter) if beside => Some(drawn.host(letter)),
        _ => None,
    };
    case.sick.iter().filter_map(host).collect()
}

/// Findings that say that something is wrong.
fn told(summary: &Summary) -> impl Iterator<Item = &Finding> {
    let hosts = summary.hosts.iter().flat_map(|host| &host.findings);
    hosts
        .chain(&summary.fleet.findings)
        .filter(|finding| finding.severity != Severity::Info && finding.kind != FindingKind::Audit)
}

fn seen(sick: &Sick, drawn: &Drawn, summary: &Summary, heard: &Heard) -> SickSeen {
    let place = drawn.place(sick.at);
    let host = summary.hosts.iter().find(|host| host.host.as_str() == place);
    let findings: Vec<&Finding> = match sick.at {
        At::Host(_) | At::Beside(_) => host.into_iter().flat_map(|host| &host.findings).collect(),
        At::Path(a, b) => {
            let both = |finding: &&Finding| {
                let names = |letter: &str| {
                    finding.text.split(|c: char| !c.is_alphanumeric()).any(|word| word == drawn.host(letter))
                };
                finding.severity == Severity::Fail && names(a) && names(b)
            };
            summary.fleet.findings.iter().filter(both).collect()
        }
        At::Uplink => {
            let grave = |finding: &&Finding| finding.severity == Severity::Fail;
            summary.fleet.findings.iter().filter(grave).collect()
        }
    };
    let place_right = match sick.at {
        At::Host(_) => host.is_some_and(|host| host.verdict == Verdict::Fail),
        // It is not measured, or something is said of it; but its card is not accused.
        At::Beside(_) => host.is_some_and(|host| {
            host.verdict != Verdict::Fail && (host.verdict != Verdict::Pass || !host.findings.is_empty())
        }),
        At::Path(..) | At::Uplink => !findings.is_empty(),
    };
    let own = findings.iter().find(|finding| sick.kinds.contains(&finding.kind));
    SickSeen {
        kind: sick.kinds[0],
        direction: sick.direction,
        place_right,
        kind_right: place_right && own.is_some(),
        direction_right: sick
            .direction
            .map(|direction| place_right && own.is_some_and(|finding| finding.direction == Some(direction))),
        told_after_s: heard.delay_s(&place),
        place,
    }
}

/// All that does not simply pass, in words.
fn said(summary: &Summary) -> Vec<String> {
    let finding = |whose: &str, finding: &Finding| {
        let direction = finding.direction.map(|way| format!(" {}", way.name())).unwrap_or_default();
        format!("{whose}: {}{direction} ({:?})", finding.kind.name(), finding.severity).to_lowercase()
    };
    let mut lines: Vec<String> = Vec::new();
    for host in &summary.hosts {
        if host.verdict != Verdict::Pass {
            let why = host.reason.as_deref().map(|why| format!(", {why}")).unwrap_or_default();
            lines.push(format!("{}: {:?}{why}", host.host, host.verdict).to_lowercase());
        }
        let known = host.findings.iter().filter(|finding| finding.kind != FindingKind::Audit);
        lines.extend(known.map(|own| finding(host.host.as_str(), own)));
    }
    lines.extend(summary.fleet.findings.iter().map(|own| finding("fleet", own)));
    lines
}
