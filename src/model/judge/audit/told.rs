//! A run's audit: what the `facts` lines of its record say, as findings of its summary.
//!
//! A host is audited with what it said at the start, against what the others said then; and
//! again with what it said when it was back from another boot: the story's driver came back
//! after one.

use std::collections::{BTreeMap, BTreeSet};

use super::{Fleet, Subject, found, rules, shape::AuditFinding};
use crate::model::{
    fleet::{
        host::{HostId, HostName},
        units::RunTime,
    },
    judge::{
        cause,
        summary::{Basis, Finding, FindingKind, Severity},
    },
    record::{
        book::Record,
        facts::{Asked, HostFacts},
        line::Body,
    },
};

/// The findings of the audit by host; empty where no facts were recorded.
pub fn findings(record: &Record) -> BTreeMap<HostId, Vec<Finding>> {
    let told = Told::of(record);
    let mut found: BTreeMap<HostId, Vec<Finding>> = BTreeMap::new();
    let first: Vec<Subject> =
        told.first.iter().filter_map(|(host, seen)| told.subject(*host, seen)).collect();
    let at = |host: &HostId| told.first.get(host).map(|(at, _)| *at);
    let mut said: BTreeSet<(HostId, String, String)> = BTreeSet::new();
    for (host, finding) in told.audited(record, &first) {
        said.insert((host, finding.rule.clone(), finding.text.clone()));
        found.entry(host).or_default().push(as_finding(&finding, at(&host), ""));
    }
    for (host, at, facts) in &told.rebooted {
        let Some(again) = told.subject(*host, &(*at, facts)) else { continue };
        let mut now: Vec<Subject> = first.clone();
        now.retain(|subject| subject.host != again.host);
        now.push(again);
        for (_, finding) in told.audited(record, &now).into_iter().filter(|(whose, _)| whose == host) {
            if said.insert((*host, finding.rule.clone(), finding.text.clone())) {
                let when = format!("since the reboot seen at {at}: ");
                found.entry(*host).or_default().push(as_finding(&finding, Some(*at), &when));
            }
        }
    }
    found
}

/// The hosts of a record with the last facts that each told, in the order of their numbers.
pub fn subjects(record: &Record) -> Vec<Subject> {
    let told = Told::of(record);
    told.latest.iter().filter_map(|(host, facts)| told.subject(*host, &(RunTime(0), facts))).collect()
}

/// What a record tells of facts.
struct Told<'r> {
    names: BTreeMap<HostId, HostName>,
    /// The first facts of each host.
    first: BTreeMap<HostId, (RunTime, &'r HostFacts)>,
    /// The last facts of each host.
    latest: BTreeMap<HostId, &'r HostFacts>,
    /// Facts from a boot that is not that of the host's facts before.
    rebooted: Vec<(HostId, RunTime, &'r HostFacts)>,
    /// Hosts whose kernel other hosts share.
    share: BTreeSet<HostId>,
}

impl<'r> Told<'r> {
    fn of(record: &'r Record) -> Self {
        let joined: Vec<_> = record
            .lines
            .iter()
            .filter_map(|line| match &line.body {
                Body::Joined(joined) => Some(&**joined),
                _ => None,
            })
            .collect();
        let host_of: BTreeMap<u16, HostId> =
            joined.iter().map(|joined| (joined.instance, joined.host)).collect();
        let mut lines: Vec<(RunTime, HostId, &HostFacts)> = record
            .lines
            .iter()
            .filter_map(|line| match &line.body {
                Body::Facts(facts) => Some((line.t, *host_of.get(&line.i)?, &**facts)),
                _ => None,
            })
            .collect();
        lines.sort_by_key(|(at, host, _)| (*at, *host));

        let (mut first, mut rebooted) = (BTreeMap::new(), Vec::new());
        let mut latest: BTreeMap<HostId, &HostFacts> = BTreeMap::new();
        for (at, host, facts) in lines {
            first.entry(host).or_insert((at, facts));
            let before = latest.insert(host, facts).and_then(|before| before.boot_id.known());
            let boot = facts.boot_id.known();
            if facts.asked != Asked::End && before.is_some() && boot.is_some() && before != boot {
                rebooted.push((host, at, facts));
            }
        }
        let shares = |one: &&crate::model::record::line::Joined| {
            joined.iter().any(|other| other.host != one.host && other.boot_id == one.boot_id)
        };
        let share = joined.iter().copied().filter(shares).map(|joined| joined.host).collect();
        let names = record.opened.hosts.iter().map(|host| (host.id, host.name.clone())).collect();
        Self { names, first, latest, rebooted, share }
    }

    fn subject(&self, host: HostId, (_, facts): &(RunTime, &HostFacts)) -> Option<Subject> {
        Some(Subject { host: self.names.get(&host)?.clone(), facts: (*facts).clone() })
    }

    /// What an audit says of each host, without what concerns a kernel that several share.
    fn audited(&self, record: &Record, subjects: &[Subject]) -> Vec<(HostId, AuditFinding)> {
        let found = found(&Fleet::of(subjects), subjects, record.opened.policy.as_ref());
        let of = |name: &HostName| self.names.iter().find(|(_, known)| *known == name).map(|(host, _)| *host);
        let findings = found.findings.into_iter().filter_map(|finding| Some((of(&finding.host)?, finding)));
        findings
            .filter(|(host, finding)| !(self.share.contains(host) && rules::is_of_machine(&finding.rule)))
            .collect()
    }
}

fn as_finding(finding: &AuditFinding, at: Option<RunTime>, when: &str) -> Finding {
    let text =
        format!("{}: {when}{}. Look: {}. Mend: {}", finding.rule, finding.text, finding.look, finding.mend);
    let mut told = cause::bare(FindingKind::Audit, finding.severity, &[], text);
    // The host's own facts: read, and not inferred from what others received.
    told.evidence = Basis::Corroborated;
    told.confirmed = (finding.severity == Severity::Fail).then_some(true);
    told.first_seen_s = at.map(RunTime::as_secs_f64);
    told
}
