//! Packets that overtake each other or come twice, told by their numbers.
//!
//! # Rule
//!
//! Numbered frames at gentle rates: the side whose pairs show more than [`SHARE_MIN`] of them,
//! and [`FLEET_FACTOR`] times what the fleet's pairs show. At high rates several cores of one
//! host reorder by themselves, so only the slowest rounds count, up to [`GENTLE_PPS_SHARE`] of
//! what calibration found.
//!
//! # Source
//!
//! RFC 4737 (reordering by sequence numbers), RFC 5560 (duplication).

use std::collections::BTreeMap;

use super::{
    cause,
    falls::{self, Fall},
    localise::{self, MOST, Pairs, Trial},
    paths::{self, Pair},
    poisson::Share,
    rack::{Racks, Symptom},
    seen::{FlowSeen, RoundSeen, Seen, Way},
    summary::{Finding, FindingKind, Severity},
    ways::Found,
};
use crate::model::{
    fleet::host::HostId,
    plan::{
        dose::Rate,
        layout::{FlowId, StageKind},
    },
    record::line::DatagramFlow,
};

/// Share of the frames from which on it is told: TCP takes three overtaken segments for a loss.
const SHARE_MIN: f64 = 1e-3;

/// How many times the fleet's share it must be.
const FLEET_FACTOR: f64 = 10.0;

/// Frames of a pair that must show it, so that a single one tells nothing.
const EVENTS_MIN: u64 = 2;

/// Frames between two hosts that no host explains that must show it.
const PAIR_EVENTS_MIN: u64 = 10;

/// Rates at which no host's own cores reorder, as a share of what calibration found.
const GENTLE_PPS_SHARE: f64 = 0.1;

/// What is counted of a flow's frames.
type Count = fn(&DatagramFlow) -> u64;

/// The two symptoms.
const SYMPTOMS: [(FindingKind, Symptom, Count); 2] = [
    (FindingKind::Duplication, Symptom::Twice, |flow| flow.duplicates),
    (FindingKind::Reordering, Symptom::Overtaking, |flow| flow.reordered),
];

/// Findings of reordering and duplication.
pub fn findings(seen: &Seen, falls: &[Fall], racks: &Racks) -> Found {
    let found = SYMPTOMS.iter().map(|(kind, symptom, count)| {
        let mut pairs = pairs(seen, falls, *count);
        let crossings = racks.set_apart(&mut pairs, is_bad);
        of_kind(seen, *kind, &pairs).with(*symptom, crossings)
    });
    found.reduce(Found::and).unwrap_or_default()
}

fn is_gentle(round: &RoundSeen) -> bool {
    round.frame_bytes().is_some()
        && match round.dose.rate {
            Rate::PpsShare(share) => share <= GENTLE_PPS_SHARE,
            Rate::Pps(_) | Rate::Bps(_) | Rate::Share(_) => true,
            Rate::Unpaced => false,
        }
}

/// What of a flow's frames was counted, and how many arrived.
fn share(seen: &Seen, id: FlowId, count: Count) -> Option<Share> {
    let arrived = seen.datagrams.get(&id)?;
    let of = arrived.received + arrived.duplicates;
    (of > 0).then(|| Share { events: count(arrived), of })
}

fn is_bad(share: Share) -> bool {
    share.events >= EVENTS_MIN && share.rate() >= SHARE_MIN
}

fn pairs(seen: &Seen, falls: &[Fall], count: Count) -> Pairs {
    let mut pairs = Pairs::new();
    for (id, flow, _) in gentle(seen, falls, StageKind::Load) {
        if let Some(share) = share(seen, id, count) {
            pairs.entry((flow.from, flow.to)).or_default().add(share);
        }
    }
    pairs
}

fn of_kind(seen: &Seen, kind: FindingKind, pairs: &Pairs) -> Found {
    let trials = localise::beyond_typical(pairs, FLEET_FACTOR, is_bad);
    let shares: Vec<Share> = pairs.values().copied().collect();
    let (blames, left) = localise::explain_away(&trials, MOST);
    let left = left.iter().map(|place| (&trials[*place], shares[*place]));
    let hosts = localise::by_host(&blames).into_iter().map(|(host, sides)| {
        let mut all = Share::default();
        sides.iter().flat_map(|side| &side.trials).for_each(|place| all.add(shares[*place]));
        let direction = Way::together(sides.iter().map(|side| side.way));
        (host, finding(seen, host, kind, direction, all))
    });
    Found { pairs: of_pairs(seen, kind, left), ..Found::on_hosts(hosts.collect()) }
}

/// Findings on two hosts of which no side explains it.
fn of_pairs<'a>(
    seen: &Seen,
    kind: FindingKind,
    left: impl Iterator<Item = (&'a Trial, Share)>,
) -> Vec<(Pair, Finding)> {
    let mut both_ways: BTreeMap<Pair, Share> = BTreeMap::new();
    for (Trial { from, to, .. }, share) in left {
        both_ways.entry((*from.min(to), *from.max(to))).or_default().add(share);
    }
    let enough = |all: &Share| all.events >= PAIR_EVENTS_MIN && all.at_least() > SHARE_MIN;
    let found = both_ways.into_iter().filter(|(_, all)| enough(all)).map(|((a, b), all)| {
        let what = format!(
            "{:.2} % of the frames between {} and {} {}, {} of {}",
            all.rate() * 100.0,
            seen.name(a),
            seen.name(b),
            verb(kind),
            all.events,
            all.of,
        );
        let mut finding = paths::worse(seen, &what, paths::NEXT_TO_NONE);
        finding.numbers = numbers(all);
        ((a, b), finding)
    });
    found.collect()
}

const fn verb(kind: FindingKind) -> &'static str {
    match kind {
        FindingKind::Duplication => "arrive twice",
        _ => "arrive after later ones",
    }
}

fn numbers(all: Share) -> BTreeMap<String, Option<f64>> {
    cause::numbers([("share", all.rate()), ("frames", all.events as f64), ("received", all.of as f64)])
}

fn gentle<'a>(
    seen: &'a Seen,
    falls: &'a [Fall],
    kind: StageKind,
) -> impl Iterator<Item = (FlowId, &'a FlowSeen, &'a RoundSeen)> {
    falls::undisturbed(seen, falls, kind).filter(|(_, _, round)| is_gentle(round))
}

fn finding(
    seen: &Seen,
    host: HostId,
    kind: FindingKind,
    direction: super::summary::Direction,
    all: Share,
) -> Finding {
    let what = verb(kind);
    let text = format!(
        "{:.2} % of the frames that {} {} {what}, {} of {}, at a rate at which nobody else's do; look for a loop or a bond with two live members, for steering of one flow over several queues, and at its driver's version",
        all.rate() * 100.0,
        seen.name(host),
        direction.verb(),
        all.events,
        all.of,
    );
    let mut finding = cause::bare(kind, Severity::Fail, &[], text);
    finding.direction = Some(direction);
    finding.numbers = numbers(all);
    finding
}

/// Whether a suspect's side showed it again with one partner while suspects were tried.
pub fn reproduced(seen: &Seen, kind: FindingKind, host: HostId, way: Way, partner: HostId) -> Option<bool> {
    let (.., count) = SYMPTOMS.iter().find(|(own, ..)| *own == kind)?;
    let mut all = Share::default();
    for (id, flow, _) in gentle(seen, &[], StageKind::Confirm) {
        if (flow.from, flow.to) == way.ends(host, partner) {
            all.add(share(seen, id, *count).unwrap_or_default());
        }
    }
    (all.of > 0).then(|| is_bad(all))
}

#[cfg(test)]
mod tests;
