//! All detectors over what was seen: whose falls they are, what is the matter with each host,
//! and what concerns no single one.
//!
//! Nothing is confirmed here, and nothing is made a verdict: `confirm` and `verdict` do that.

use std::collections::{BTreeMap, BTreeSet};

use rayon::prelude::*;

use super::{
    address, cause, checksums, clocks, contact, coordinator, corruption, degrading,
    explain::{self, Explained},
    falls::{self, Fall},
    frames, latency, limit, loss, new_flows, outage, paths, precedence,
    rack::{self, Crossings, Racks},
    seen::Seen,
    sequence, slow, stalls, starved,
    summary::{Finding, FindingKind, Severity},
    ways::Found,
    whole,
};
use crate::model::{fleet::host::HostId, plan::layout::FlowId};

/// How long the connections of a next round may take to carry something, slots: a lost SYN's second.
const BEGINS_SLOTS: u64 = 15;

/// What the detectors found.
#[derive(Clone, Debug, Default)]
pub struct Detected {
    /// Every drop-off.
    pub falls: Vec<Fall>,
    /// Whose they are.
    pub explained: Explained,
    /// Findings on hosts, one for each cause.
    pub hosts: BTreeMap<HostId, Vec<Finding>>,
    /// Findings on hosts that follow from one of these.
    pub outranked: BTreeMap<HostId, Vec<Finding>>,
    /// Findings that concern no single host.
    pub fleet: Vec<Finding>,
}

/// Runs all detectors.
pub fn detect(seen: &Seen) -> Detected {
    let mut falls = falls::all(seen);
    falls.extend(outage::falls(seen, &falls));
    let racks = Racks::of(seen);
    let (mut by_themselves, (mut explained, (mut crossings, paced))) = rayon::join(
        || by_themselves(seen, &falls, &racks),
        || rayon::join(|| explain::explain(seen, &falls), || Crossings::of(seen, &racks, &falls)),
    );
    let (mut frames, mut corruption) = (frames::findings(seen, &racks), corruption::findings(seen, &racks));
    for found in [&mut by_themselves, &mut frames, &mut corruption] {
        crossings.take(std::mem::take(&mut found.crossings));
    }
    // What collapses on a crossing that is bad, and goes on answering, is the crossing's.
    let crosses = |fall: &Fall| {
        let mut partners = partners(seen, fall).peekable();
        partners.peek().is_some()
            && partners.all(|peer| crossings.troubles(fall.host, peer))
            && outage::went_on_answering(seen, fall) == Some(true)
    };
    explained.forget(|index| crosses(&falls[index]));
    let mut hosts = of_falls(seen, &falls, &explained);
    let mut add = |found: Vec<(HostId, Finding)>| {
        for (host, finding) in found {
            let own = hosts.entry(host).or_default();
            match own.iter_mut().find(|known| known.kind == finding.kind) {
                // A kind that its falls gave already says no more by itself, but for the size.
                Some(known) => frames::tell_size(known, finding),
                None => own.push(finding),
            }
        }
    };
    add(corruption.hosts);
    add(clocks::findings(seen));
    add(address::findings(seen));
    add(frames.hosts);
    add(loss::findings(seen, &paced, &crossings));
    add(by_themselves.hosts);
    let planned: BTreeSet<HostId> = seen.hosts.iter().map(|host| host.id).collect();
    for host in &planned {
        hosts.entry(*host).or_default();
    }
    let settled = hosts.par_iter_mut().filter(|(host, _)| planned.contains(host)).map(|(host, own)| {
        own.extend(contact::findings(seen, *host, own));
        let outranked = precedence::keep_causes(own);
        own.sort_by_key(|finding| (finding.severity, finding.kind));
        (*host, outranked)
    });
    let outranked = settled.collect();
    let of_pairs = by_themselves.pairs;
    let mut fleet = paths::findings(seen, &falls, &explained, &crossings, &paced, of_pairs, &hosts);
    fleet.extend(shared(seen, &falls, &explained));
    fleet.extend(coordinator::findings(seen, &mut hosts));
    fleet.extend(crossings.findings());
    fleet.extend(rack::cut::findings(explained.cuts.iter().map(|(cut, _)| cut)));
    fleet.extend(limit::finding(seen));
    fleet.extend(corruption.pairs.into_iter().map(|(_, finding)| finding));
    Detected { falls, explained, hosts, outranked, fleet }
}

/// With whom a host fell: those of the rounds that it lost, but for one that it only began late.
fn partners<'a>(seen: &'a Seen, fall: &'a Fall) -> impl Iterator<Item = HostId> + 'a {
    let lost = fall.since..fall.end().saturating_sub(BEGINS_SLOTS).max(fall.since + 1);
    let begun = seen.rounds.partition_point(|round| round.start < lost.end);
    let rounds = seen.rounds[..begun].iter().rev().take_while(move |round| round.end > lost.start);
    let flows: BTreeSet<&FlowId> = rounds
        .filter_map(|round| round.by_host.get(&fall.host))
        .flat_map(|part| part.tx.iter().chain(&part.rx))
        .collect();
    let met: BTreeSet<HostId> =
        flows.into_iter().filter_map(|flow| seen.flows.get(flow)).flat_map(|it| [it.from, it.to]).collect();
    fall.peers.iter().copied().filter(move |peer| met.is_empty() || met.contains(peer))
}

/// What is told of hosts whoever is to blame for their falls.
fn by_themselves(seen: &Seen, falls: &[Fall], racks: &Racks) -> Found {
    type Detector = fn(&Seen, &[Fall], &Racks) -> Found;
    let detectors: [Detector; 8] = [
        |seen, _, racks| checksums::findings(seen, racks),
        |seen, _, racks| new_flows::findings(seen, racks),
        |seen, _, racks| rack::stuck::findings(seen, racks),
        sequence::findings,
        stalls::findings,
        latency::findings,
        |seen, falls, _| Found::on_hosts(degrading::findings(seen, falls)),
        |seen, falls, _| slow::findings(seen, falls),
    ];
    let found: Vec<Found> = detectors.into_par_iter().map(|detector| detector(seen, falls, racks)).collect();
    found.into_iter().reduce(Found::and).unwrap_or_default()
}

/// What was the matter with hosts that fell.
fn of_falls(seen: &Seen, falls: &[Fall], explained: &Explained) -> BTreeMap<HostId, Vec<Finding>> {
    let healthy: BTreeSet<HostId> =
        seen.hosts.iter().map(|host| host.id).filter(|host| !explained.own.contains_key(host)).collect();
    let own = explained.own.iter().map(|(host, indices)| {
        let own: Vec<&Fall> = indices.iter().map(|index| &falls[*index]).collect();
        let mut findings = cause::findings(seen, *host, &own, &healthy);
        if whole::are_doubtful(seen, *host, &own) {
            let seems = |finding: &&mut Finding| !precedence::is_fact(finding.kind);
            findings.iter_mut().filter(seems).for_each(|finding| finding.confirmed = Some(false));
        }
        (*host, findings)
    });
    own.collect()
}

/// The finding on falls of many hosts in the same second.
fn shared(seen: &Seen, falls: &[Fall], explained: &Explained) -> Option<Finding> {
    let own: Vec<&Fall> = explained.shared.iter().map(|index| &falls[*index]).collect();
    if own.is_empty() {
        return None;
    }
    let hosts: BTreeSet<HostId> = own.iter().map(|fall| fall.host).collect();
    let machine_s = own.iter().filter(|fall| starved::whole_machine(seen, fall)).count();
    let cause = if 2 * machine_s > own.len() {
        "while the machine that they share was short of CPU: give it cores, or run with fewer hosts or a lower rate"
    } else {
        "in the same second without a host in common: a shared cause, a switch or the machine under the lab"
    };
    let text = format!("{} hosts fell silent {cause}; no card is accused of it", hosts.len());
    Some(cause::bare(FindingKind::SharedCongestion, Severity::Info, &own, text))
}
