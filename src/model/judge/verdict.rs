//! Record → summary: the only place in which series, explanations and causes meet.
//!
//! A pure function: the same record gives the same summary, to the byte.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    audit, cause, contact, corruption, evidence,
    explain::{self, Explained},
    falls::{self, Fall},
    measured,
    seen::Seen,
    slow,
    summary::{
        DropOff, Finding, FindingKind, FleetSummary, FleetVerdict, HostSummary, NicSummary, RunSummary,
        SUMMARY_SCHEMA, Severity, Summary, Tested, Verdict,
    },
};
use crate::model::{
    fleet::{
        host::{Host, HostId, HostName},
        units::{RunTime, SLOT_US},
    },
    record::{book::Record, line::Ended},
};

/// Share of its planned slots that must have been measured for a host to pass.
const MEASURED_MIN: f64 = 0.9;

/// Silence between one pair that fails the fleet: less is a lost handshake.
const PATH_FAIL_S: f64 = 2.0;

/// Judges a record.
pub fn judge(record: &Record) -> Summary {
    let seen = Seen::of(record);
    let falls = falls::all(&seen);
    let explained = explain::explain(&seen, &falls);
    let mut findings = host_findings(&seen, &falls, &explained);
    let mut fleet_findings = fleet_findings(&seen, &falls, &explained, &mut findings);
    let corruption = corruption::findings(&seen);
    fleet_findings.extend(corruption.fleet);
    for (host, finding) in corruption.hosts {
        let own = findings.entry(host).or_default();
        own.push(finding);
        own.sort_by_key(|finding| (finding.severity, finding.kind));
    }
    evidence::attach(record, &seen, &falls, &explained, &mut findings);
    let troubled: BTreeSet<HostId> = findings
        .iter()
        .filter(|(_, own)| own.iter().any(|finding| finding.severity != Severity::Info))
        .map(|(host, _)| *host)
        .collect();
    // After `troubled`: a configuration takes nothing from what was measured.
    let mut audited = audit::findings(record);
    let mut hosts: Vec<HostSummary> = seen
        .hosts
        .iter()
        .map(|host| {
            let mut own = findings.remove(&host.id).unwrap_or_default();
            own.extend(audited.remove(&host.id).unwrap_or_default());
            own.sort_by_key(|finding| (finding.severity, finding.kind));
            host_summary(&seen, host, own, &falls, &explained, &troubled)
        })
        .collect();
    let missing = usize::from(record.opened.planned).saturating_sub(hosts.len());
    hosts.extend((1..=missing).map(absent));
    summarise(record, &seen, hosts, fleet_findings)
}

fn host_findings(seen: &Seen, falls: &[Fall], explained: &Explained) -> BTreeMap<HostId, Vec<Finding>> {
    let mut findings: BTreeMap<HostId, Vec<Finding>> = BTreeMap::new();
    let healthy: BTreeSet<HostId> =
        seen.hosts.iter().map(|host| host.id).filter(|host| !explained.own.contains_key(host)).collect();
    for (host, indices) in &explained.own {
        let own: Vec<&Fall> = indices.iter().map(|index| &falls[*index]).collect();
        findings.insert(*host, cause::findings(seen, *host, &own, &healthy));
    }
    for (host, finding) in slow::findings(seen, falls) {
        let own = findings.entry(host).or_default();
        // One finding a cause: a card that dies under load is slow because of it.
        if own.is_empty() {
            own.push(finding);
        }
    }
    for host in &seen.hosts {
        let own = findings.entry(host.id).or_default();
        own.extend(contact::findings(seen, host.id, own));
        let limited = own.iter().any(|finding| finding.kind == FindingKind::HostLimited);
        for finding in own.iter_mut().filter(|finding| limited && finding.kind == FindingKind::FailSlow) {
            (finding.severity, finding.confirmed) = (Severity::Warn, Some(false));
        }
    }
    findings
}

/// Findings on paths and the fleet; takes out of the hosts' what the fleet explains.
fn fleet_findings(
    seen: &Seen,
    falls: &[Fall],
    explained: &Explained,
    findings: &mut BTreeMap<HostId, Vec<Finding>>,
) -> Vec<Finding> {
    let mut fleet = Vec::new();
    for ((a, b), indices) in &explained.paths {
        let own: Vec<&Fall> = indices.iter().map(|index| &falls[*index]).collect();
        fleet.push(path(seen, *a, *b, &own));
    }
    if !explained.shared.is_empty() {
        let own: Vec<&Fall> = explained.shared.iter().map(|index| &falls[*index]).collect();
        let hosts: BTreeSet<HostId> = own.iter().map(|fall| fall.host).collect();
        let text = format!(
            "{} hosts fell silent in the same second without a host in common: a shared cause, a switch or the machine under the lab; no card is accused of it",
            hosts.len()
        );
        fleet.push(cause::bare(FindingKind::SharedCongestion, Severity::Info, &own, text));
    }
    for (since, until, why) in &seen.impaired {
        let text = format!(
            "the coordinator itself was held up from {since} to {until} ({why}); look at its CPU, then run again"
        );
        let mut finding = cause::bare(FindingKind::CoordinatorImpaired, Severity::Info, &[], text);
        finding.first_seen_s = Some(since.as_secs_f64());
        fleet.push(finding);
    }
    for own in findings.values_mut() {
        own.sort_by_key(|finding| (finding.severity, finding.kind));
    }
    fleet
}

fn path(seen: &Seen, a: HostId, b: HostId, falls: &[&Fall]) -> Finding {
    let rounds: BTreeSet<usize> = falls.iter().map(|fall| fall.round).collect();
    let lasting = falls.iter().any(|fall| fall.for_s().is_none_or(|length| length >= PATH_FAIL_S));
    let severity = if rounds.len() > 1 || lasting { Severity::Fail } else { Severity::Warn };
    let both = falls.iter().filter(|fall| fall.host == a).count().max(1);
    let text = format!(
        "nothing passed between {} and {}, {both} times, and from outside it cannot be told which end is at fault; run with more hosts, or look at both ends' links and counters",
        seen.name(a),
        seen.name(b),
    );
    let mut finding = cause::bare(FindingKind::Path, severity, falls, text);
    finding.confirmed = (severity == Severity::Fail).then_some(true);
    finding.numbers.insert("drop_offs".to_owned(), Some(falls.len() as f64));
    finding
}

fn host_summary(
    seen: &Seen,
    host: &Host,
    findings: Vec<Finding>,
    falls: &[Fall],
    explained: &Explained,
    troubled: &BTreeSet<HostId>,
) -> HostSummary {
    let tested = measured::tested(seen, host.id, troubled);
    let (verdict, reason) = verdict_of(seen, host.id, &findings, &tested, explained, falls);
    HostSummary {
        host: host.name.clone(),
        verdict,
        reason,
        nic: NicSummary {
            iface: Some(host.nic.iface.clone()),
            addr: host.nic.addr.map(|addr| addr.to_string()),
            driver: host.nic.driver.clone(),
            speed_bps: host.nic.speed_bps,
            mtu: host.nic.mtu,
        },
        tested,
        goodput: measured::goodput(seen, host.id),
        drop_offs: drop_offs(seen, host.id, falls, explained),
        findings,
    }
}

/// Whether a finding leaves open what its host's card can do; what is merely told does not.
fn keeps_from_passing(finding: &Finding) -> bool {
    contact::not_the_card(finding.kind) && finding.severity != Severity::Info
}

/// The verdict on one host and, where it is neither pass nor fail, why.
fn verdict_of(
    seen: &Seen,
    host: HostId,
    findings: &[Finding],
    tested: &Tested,
    explained: &Explained,
    falls: &[Fall],
) -> (Verdict, Option<String>) {
    let fails = |finding: &&Finding| finding.severity == Severity::Fail && finding.confirmed == Some(true);
    if findings.iter().any(|finding| fails(&finding)) {
        return (Verdict::Fail, None);
    }
    if let Some(finding) = findings.iter().find(|finding| contact::untests(finding.kind)) {
        return (Verdict::NotTested, Some(finding.kind.name().to_owned()));
    }
    if let Some(finding) = findings.iter().find(|finding| keeps_from_passing(finding)) {
        return (Verdict::Inconclusive, Some(finding.kind.name().to_owned()));
    }
    if let Some(finding) = findings.iter().find(|finding| finding.severity == Severity::Fail) {
        return (Verdict::Inconclusive, Some(format!("{} was not confirmed", finding.kind.name())));
    }
    let in_path = explained.paths.iter().any(|((a, b), indices)| {
        (*a == host || *b == host)
            && path(seen, *a, *b, &indices.iter().map(|index| &falls[*index]).collect::<Vec<_>>()).severity
                == Severity::Fail
    });
    if in_path && seen.hosts.len() == 2 {
        return (Verdict::Inconclusive, Some("path".to_owned()));
    }
    if explained.shared.iter().any(|index| falls[*index].host == host) {
        return (Verdict::Inconclusive, Some("shared_congestion".to_owned()));
    }
    match tested.planned_share {
        None => (Verdict::NotTested, Some("nothing that was planned for it was measured".to_owned())),
        Some(share) if share < MEASURED_MIN => (
            Verdict::Inconclusive,
            Some(format!("only {:.0} % of what was planned for it was measured", share * 100.0)),
        ),
        Some(_) => match measured::under_loaded(seen, host) {
            Some((best, capacity)) => (
                Verdict::Inconclusive,
                Some(format!(
                    "not tested under load: it reached {} of its capacity of {}",
                    cause::rate_text(Some(best)),
                    cause::rate_text(Some(capacity)),
                )),
            ),
            None => (Verdict::Pass, None),
        },
    }
}

fn drop_offs(seen: &Seen, host: HostId, falls: &[Fall], explained: &Explained) -> Vec<DropOff> {
    let name = |host: HostId| seen.hosts.get(host.index()).map(|host| host.name.clone());
    falls
        .iter()
        .enumerate()
        .filter(|(_, fall)| fall.host == host)
        .map(|(index, fall)| DropOff {
            stage: seen.rounds.get(fall.round).map_or_else(String::new, |round| round.stage_name.clone()),
            direction: fall.direction,
            at_s: RunTime(fall.since * SLOT_US).as_secs_f64(),
            for_s: fall.for_s(),
            depth: fall.depth,
            offered_bps: fall.offered_bps.map(|bps| bps.round() as u64),
            peers: fall.peers.iter().filter_map(|peer| name(*peer)).collect(),
            explained_by: explained.by.get(&index).and_then(|host| name(*host)),
        })
        .collect()
}

/// The entry of a host that was expected and never came.
fn absent(number: usize) -> HostSummary {
    let host: HostName = format!("expected-{number}").parse().expect("a number makes a sound name");
    HostSummary {
        host,
        verdict: Verdict::NotTested,
        reason: Some("its worker never came".to_owned()),
        nic: NicSummary::default(),
        tested: Tested::default(),
        goodput: super::summary::Goodput::default(),
        drop_offs: Vec::new(),
        findings: Vec::new(),
    }
}

fn summarise(record: &Record, seen: &Seen, hosts: Vec<HostSummary>, findings: Vec<Finding>) -> Summary {
    let fleet_fails =
        findings.iter().any(|finding| finding.severity == Severity::Fail && finding.confirmed == Some(true));
    let any_fail = hosts.iter().any(|host| host.verdict == Verdict::Fail);
    let all_pass = hosts.iter().all(|host| host.verdict == Verdict::Pass);
    let ended = seen.ended.as_ref().map(|(_, ended, _)| *ended);
    let verdict = match ended {
        Some(Ended::Interrupted) => FleetVerdict::Interrupted,
        _ if any_fail || fleet_fails => FleetVerdict::Unhealthy,
        Some(Ended::Complete) if all_pass => FleetVerdict::Healthy,
        _ => FleetVerdict::Inconclusive,
    };
    let mut losses = record.losses.clone();
    if ended.is_none() {
        losses.push(
            "the record has no closing line: the run was cut off, and is judged as far as it goes".to_owned(),
        );
    }
    if let Some((_, Ended::Aborted, why)) = &seen.ended {
        losses.push(format!("the run was given up: {}", why.as_deref().unwrap_or("no reason is recorded")));
    }
    let tested = hosts.iter().filter(|host| matches!(host.verdict, Verdict::Pass | Verdict::Fail)).count();
    Summary {
        schema: SUMMARY_SCHEMA.to_owned(),
        passed: verdict == FleetVerdict::Healthy,
        verdict,
        run: RunSummary {
            id: record.opened.run.clone(),
            scenario: record.opened.scenario.name.clone(),
            seed: record.opened.seed,
            started_at: record.opened.started_at.clone(),
            duration_s: Some(seen.latest.as_secs_f64()),
            simulated_links: record.opened.simulated_links,
        },
        fleet: FleetSummary { planned: u32::from(record.opened.planned), tested: tested as u32, findings },
        hosts,
        record_losses: losses,
    }
}
