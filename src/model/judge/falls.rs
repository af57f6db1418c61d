//! All drop-offs of all hosts: the watch of `fall` over every planned slot of the record.
//!
//! Neither explained nor blamed here.

use std::collections::BTreeSet;

use rayon::prelude::*;

use super::{
    fall::{Slot, Turn, Watch},
    seen::{FlowSeen, RoundSeen, Seen, WAYS, Way},
    summary::Direction,
};
use crate::model::{
    fleet::host::HostId,
    plan::layout::{FlowId, StageKind},
};

/// Falls of the two directions whose onsets lie this close are one: 1 s in slots. A dead
/// card's receiving side is seen through its own worker, whose queues drain for a while.
const ONE_ONSET_SLOTS: u64 = 10;

/// How long the connections of a round may take to carry something, slots: a fall that ends within them in
/// a later round than it began in was over when that began, and is not that round's partners'.
const BEGINS_SLOTS: u64 = 5;

/// A drop-off of a host.
#[derive(Clone, Debug, PartialEq)]
pub struct Fall {
    /// Whose.
    pub host: HostId,
    /// In which direction.
    pub direction: Direction,
    /// Its first low slot.
    pub since: u64,
    /// The first slot that showed the host back; `None` where that was not seen.
    pub until: Option<u64>,
    /// The round it began in, as an index into [`Seen::rounds`].
    pub round: usize,
    /// Who the host exchanged data with while it lasted.
    pub peers: BTreeSet<HostId>,
    /// Goodput over the second before, bits per second, the larger direction.
    pub offered_bps: Option<f64>,
    /// The share of the planned load that was missing while it lasted.
    pub depth: f64,
}

impl Fall {
    /// The first slot after it; beyond all slots where its end was not seen.
    pub fn end(&self) -> u64 {
        self.until.unwrap_or(u64::MAX)
    }

    /// Whether both lasted at some moment.
    pub fn overlaps(&self, other: &Self) -> bool {
        self.since < other.end() && other.since < self.end()
    }

    /// Its length in seconds, where its end was seen.
    pub fn for_s(&self) -> Option<f64> {
        self.until.map(|until| (until - self.since) as f64 / 10.0)
    }
}

/// Every drop-off of every host, by host and onset.
pub fn all(seen: &Seen) -> Vec<Fall> {
    let hosts: BTreeSet<HostId> =
        seen.rounds.iter().flat_map(|round| round.by_host.keys().copied()).collect();
    hosts.into_par_iter().flat_map_iter(|host| of_host(seen, host)).collect()
}

/// Every drop-off of one host, by onset.
pub fn of_host(seen: &Seen, host: HostId) -> Vec<Fall> {
    let mut falls: Vec<Fall> = WAYS.into_iter().flat_map(|way| one_way(seen, host, way)).collect();
    falls.sort_by_key(|fall| fall.since);
    let mut merged: Vec<Fall> = Vec::new();
    for fall in falls {
        let twin = merged.iter_mut().rev().find(|earlier| {
            earlier.direction != fall.direction
                && earlier.direction != Direction::Both
                && fall.since - earlier.since <= ONE_ONSET_SLOTS
        });
        match twin {
            Some(earlier) => join(earlier, fall),
            None => merged.push(fall),
        }
    }
    merged
}

fn join(into: &mut Fall, other: Fall) {
    into.direction = Direction::Both;
    into.until = into.until.zip(other.until).map(|(a, b)| a.max(b));
    into.peers.extend(other.peers);
    into.depth = into.depth.max(other.depth);
    into.offered_bps = match (into.offered_bps, other.offered_bps) {
        (Some(a), Some(b)) => Some(a.max(b)),
        (a, b) => a.or(b),
    };
}

fn one_way(seen: &Seen, host: HostId, way: Way) -> Vec<Fall> {
    let mut watch = Watch::default();
    let mut falls: Vec<Fall> = Vec::new();
    for round in loaded_rounds(seen, host, way) {
        for (slot, carried) in round.slots().zip(seen.carried_in(round, host, way, round.slots())) {
            match watch.push(slot_with(seen, round, host, way, slot, carried)) {
                Some(Turn::Opened { since, offered_bps }) => {
                    falls.push(opened(seen, host, way, since, offered_bps));
                }
                Some(Turn::Closed { until, .. }) => {
                    if let Some(fall) = falls.last_mut() {
                        fall.until = Some(until);
                    }
                }
                None => {}
            }
        }
    }
    for fall in &mut falls {
        fill(seen, fall, way);
    }
    falls
}

/// What a host carried and should have carried in a slot of a round, for a [`Watch`].
pub fn slot_of(seen: &Seen, round: &RoundSeen, host: HostId, way: Way, slot: u64) -> Slot {
    slot_with(seen, round, host, way, slot, seen.carried(round, host, way, slot))
}

/// The same of what is known to have been carried.
fn slot_with(
    seen: &Seen,
    round: &RoundSeen,
    host: HostId,
    way: Way,
    slot: u64,
    carried: Option<(f64, f64)>,
) -> Slot {
    let expected = seen.expected(round, host, way, slot);
    // Files that are through leave less to carry; a paced plan has left them out already.
    let part = round.by_host.get(&host);
    let share = part.map_or(1.0, |part| seen.files.active_share(part.of(way), slot));
    let rest = if round.is_paced() { 1.0 } else { share };
    // What a host showed to carry in bulk says nothing of small frames.
    let has_level = expected.is_some() || round.frame_bytes().is_none();
    Slot {
        slot,
        carried_bps: carried.map(|(bps, _)| bps).filter(|_| has_level),
        // A part of its flows measured is held against that part of the plan.
        expected_bps: expected.map(|bps| bps * rest * carried.map_or(1.0, |(_, known)| known)),
        load: part.map_or(0.0, |part| part.load(way) * share),
    }
}

/// Rounds in which a host has traffic that way, in the order of time.
pub fn loaded_rounds(seen: &Seen, host: HostId, way: Way) -> impl Iterator<Item = &RoundSeen> {
    seen.rounds.iter().filter(move |round| {
        round.kind != StageKind::Reach
            && !round.makes_connections()
            && round.by_host.get(&host).is_some_and(|part| !part.of(way).is_empty())
            && !seen.asks_too_much(round, host, way)
    })
}

/// Flows of a kind of stage in which both ends took part and neither fell off, with their
/// rounds.
pub fn undisturbed<'a>(
    seen: &'a Seen,
    falls: &[Fall],
    kind: StageKind,
) -> impl Iterator<Item = (FlowId, &'a FlowSeen, &'a RoundSeen)> {
    let disturbed = move |flow: &FlowSeen, round: &RoundSeen| {
        falls.iter().any(|fall| {
            (fall.host == flow.from || fall.host == flow.to)
                && fall.since < round.end
                && round.start < fall.end()
        })
    };
    let flows = seen.flows.iter().map(|(id, flow)| (*id, flow, &seen.rounds[flow.round]));
    flows.filter(move |(_, flow, round)| {
        round.kind == kind && seen.took_part(round, flow, round.start) && !disturbed(flow, round)
    })
}

fn opened(seen: &Seen, host: HostId, way: Way, since: u64, offered_bps: Option<f64>) -> Fall {
    let round = seen
        .rounds
        .iter()
        .rposition(|round| round.start <= since && round.by_host.contains_key(&host))
        .unwrap_or(0);
    let direction = match way {
        Way::Tx => Direction::Tx,
        Way::Rx => Direction::Rx,
    };
    Fall { host, direction, since, until: None, round, peers: BTreeSet::new(), offered_bps, depth: 1.0 }
}

/// Fills in what only its whole length shows: peers and depth.
fn fill(seen: &Seen, fall: &mut Fall, way: Way) {
    let (mut carried_sum, mut expected_sum) = (0.0, 0.0);
    for round in loaded_rounds(seen, fall.host, way) {
        if round.end <= fall.since || round.start >= fall.end() {
            continue;
        }
        let slots = round.start.max(fall.since)..round.end.min(fall.end());
        let only_began =
            round.start > fall.since && slots.end < round.end && slots.clone().count() as u64 <= BEGINS_SLOTS;
        if !only_began {
            // Of whom nothing was measured meanwhile, nothing tells that it was lost.
            fall.peers.extend(seen.peers(round, fall.host, way, slots.clone()));
        }
        for slot in slots {
            let Slot { carried_bps: Some(carried), expected_bps: Some(expected), .. } =
                slot_of(seen, round, fall.host, way, slot)
            else {
                continue;
            };
            carried_sum += carried;
            expected_sum += expected;
        }
    }
    if expected_sum > 0.0 {
        fall.depth = (1.0 - carried_sum / expected_sum).clamp(0.0, 1.0);
    }
}

#[cfg(test)]
mod tests;
