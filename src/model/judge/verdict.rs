//! Record → summary: the only place in which series, explanations and causes meet.
//!
//! A pure function: the same record gives the same summary, to the byte.

use std::collections::BTreeSet;

use rayon::prelude::*;

use super::{
    audit, cause, confirm, contact,
    detect::{self, Detected},
    evidence::{self, gather::Gathered},
    explain::Explained,
    falls::Fall,
    measured,
    seen::Seen,
    summary::{
        DropOff, Finding, FindingKind, FleetSummary, FleetVerdict, HostSummary, NicSummary, RunSummary,
        SUMMARY_SCHEMA, Severity, Summary, Tested, Verdict,
    },
    whole,
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

/// Judges a record.
pub fn judge(record: &Record) -> Summary {
    judge_laid_out(record, &Seen::of(record), &Gathered::of(record))
}

/// Judges a record of which the rest is all that was seen and told.
pub fn judge_laid_out(record: &Record, seen: &Seen, gathered: &Gathered<'_>) -> Summary {
    let detected = || {
        let mut detected = detect::detect(seen);
        confirm::settle(seen, &mut detected);
        detected
    };
    let (detected, mut audited) = rayon::join(detected, || audit::findings(record));
    let Detected { falls, explained, hosts: mut findings, fleet, .. } = detected;
    evidence::attach(gathered, seen, &falls, &explained, &mut findings);
    let troubled: BTreeSet<HostId> = findings
        .iter()
        .filter(|(_, own)| own.iter().any(|finding| finding.severity != Severity::Info))
        .map(|(host, _)| *host)
        .collect();
    // What the audit says is not among what troubles: a configuration takes nothing from what was
    // measured.
    let all: Vec<(&Host, Vec<Finding>)> = seen
        .hosts
        .iter()
        .map(|host| {
            let mut own = findings.remove(&host.id).unwrap_or_default();
            own.extend(audited.remove(&host.id).unwrap_or_default());
            own.sort_by_key(|finding| (finding.severity, finding.kind));
            (host, own)
        })
        .collect();
    let between = fleet.iter().find(|finding| fails(finding)).filter(|_| seen.is_of_two());
    let between_two = between.map(|finding| finding.kind);
    let found = Found { falls: &falls, explained: &explained, troubled: &troubled, between_two };
    let mut hosts: Vec<HostSummary> =
        all.into_par_iter().map(|(host, own)| host_summary(seen, host, own, &found)).collect();
    let missing = usize::from(record.opened.planned).saturating_sub(hosts.len());
    hosts.extend((1..=missing).map(absent));
    summarise(record, seen, hosts, fleet)
}

/// What was found, as far as a host's verdict rests on it.
struct Found<'a> {
    falls: &'a [Fall],
    explained: &'a Explained,
    /// Hosts that something tells against: what others did not measure with them is theirs.
    troubled: &'a BTreeSet<HostId>,
    /// What is the matter between the hosts of a fleet of two.
    between_two: Option<FindingKind>,
}

/// Whether a finding makes its host, or the fleet, fail.
fn fails(finding: &Finding) -> bool {
    finding.severity == Severity::Fail && finding.confirmed == Some(true)
}

fn host_summary(seen: &Seen, host: &Host, findings: Vec<Finding>, found: &Found<'_>) -> HostSummary {
    let load = measured::Load::of(seen, host.id);
    let tested = measured::tested(seen, host.id, &load, found.troubled);
    let (verdict, reason) = verdict_of(seen, host.id, &findings, (&tested, &load), found);
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
        goodput: load.goodput(),
        drop_offs: drop_offs(seen, host.id, found.falls, found.explained),
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
    (tested, load): (&Tested, &measured::Load<'_>),
    found: &Found<'_>,
) -> (Verdict, Option<String>) {
    if findings.iter().any(fails) {
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
    if let Some(kind) = found.between_two {
        return (Verdict::Inconclusive, Some(kind.name().to_owned()));
    }
    if found.explained.shared.iter().any(|index| found.falls[*index].host == host) {
        return (Verdict::Inconclusive, Some("shared_congestion".to_owned()));
    }
    let because = || seen.unable.get(&host).map_or_else(String::new, |why| format!(": {why}"));
    match tested.planned_share {
        None => {
            (Verdict::NotTested, Some(format!("nothing that was planned for it was measured{}", because())))
        }
        Some(share) if share < MEASURED_MIN => (
            Verdict::Inconclusive,
            Some(format!("only {:.0} % of what was planned for it was measured{}", share * 100.0, because())),
        ),
        Some(_) => not_tested_in(seen, host, found.troubled, load).map_or((Verdict::Pass, None), |why| {
            (Verdict::Inconclusive, Some(format!("{why}{}", because())))
        }),
    }
}

/// What kept a host of which most was measured from being tested all the same.
fn not_tested_in(
    seen: &Seen,
    host: HostId,
    troubled: &BTreeSet<HostId>,
    load: &measured::Load<'_>,
) -> Option<String> {
    let missed = || {
        let (stage, share) = measured::stage_missed(seen, host, troubled)?;
        Some(format!(
            "only {:.0} % of what was planned for it in the stage {stage} was measured",
            share * 100.0
        ))
    };
    let Some((best, capacity)) = measured::under_loaded(seen, host, load) else {
        return missed().or_else(|| whole::keeps_from_passing(seen, host));
    };
    Some(format!(
        "not tested under load: it reached {} of its capacity of {}",
        cause::rate_text(Some(best)),
        cause::rate_text(Some(capacity)),
    ))
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
    let fleet_fails = findings.iter().any(fails);
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
    losses.extend(seen.missing.stages.iter().map(|stage| format!("the stage {stage} is missing")));
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
