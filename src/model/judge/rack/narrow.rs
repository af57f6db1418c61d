//! Crossings that carry less than the hosts that use them at once would.
//!
//! # Rule
//!
//! In rounds of pairs as fast as they go, what crosses from one rack to another at once is added
//! up, and held against as many flows within racks. A round is *limited* when the sum lies under
//! [`CARRIES_MIN`] of that and most of its flows do: a sick host makes one flow slow, an uplink
//! all. A crossing is narrow when most of the rounds that ask more of it than its limited rounds
//! carry are limited, at least [`ROUNDS_MIN`] of them, from most of the hosts that used it, and no single
//! host sent or received in all of them.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    Crossing, Crossings,
    map::{CROSSING_MIN, ENDS_MIN},
};
use crate::model::{
    fleet::host::HostId,
    judge::{
        falls::{self, Fall},
        robust,
        seen::Seen,
        slow,
    },
    plan::{
        dose::Pattern,
        layout::{FlowId, StageKind},
    },
};

/// What a crossing must carry of what as many flows do within a rack.
const CARRIES_MIN: f64 = 0.9;

/// Limited rounds below which nothing is said.
const ROUNDS_MIN: usize = 2;

/// Share of what a crossing carries that may be asked of it without its queues filling.
const ROOM: f64 = 0.85;

/// What a crossing carried.
#[derive(Clone, Copy, Debug)]
pub(super) struct Carried {
    /// In its limited rounds, bits per second.
    pub(super) bps: f64,
    /// How many these are.
    pub(super) rounds: usize,
    /// How many pairs they had in all.
    pub(super) pairs: usize,
    /// A single flow within a rack, bits per second.
    pub(super) usual_bps: f64,
}

/// Flows of one round that crossed at once.
#[derive(Debug, Default)]
struct Together {
    senders: BTreeSet<HostId>,
    receivers: BTreeSet<HostId>,
    rates: Vec<f64>,
    /// Others of which nothing was measured: they carried as much as these.
    unknown: usize,
    /// What those carried of which an end fell off meanwhile: it took of the room, and tells nothing of it.
    besides_bps: f64,
}

impl Together {
    fn flows(&self) -> usize {
        self.rates.len() + self.unknown
    }

    /// What the flows carried that tell of the crossing.
    fn told_bps(&self) -> f64 {
        let known: f64 = self.rates.iter().sum();
        known * self.flows() as f64 / self.rates.len().max(1) as f64
    }

    /// All that crossed.
    fn sum_bps(&self) -> f64 {
        self.told_bps() + self.besides_bps
    }

    fn is_limited(&self, usual: f64) -> bool {
        let low = |bps: f64, flows: usize| bps < CARRIES_MIN * usual * flows as f64;
        let slow = self.rates.iter().filter(|bps| low(**bps, 1)).count() as f64;
        low(self.told_bps(), self.flows()) && slow >= CROSSING_MIN * self.rates.len() as f64
    }
}

/// Crossings that are narrow; and the most that each of all crossings carried at once.
pub(super) fn of(
    crossings: &Crossings,
    seen: &Seen,
    falls: &[Fall],
) -> (BTreeMap<Crossing, Carried>, BTreeMap<Crossing, f64>) {
    let mut across: BTreeMap<Crossing, BTreeMap<usize, Together>> = BTreeMap::new();
    let (mut within, mut told): (Vec<f64>, BTreeSet<FlowId>) = Default::default();
    for (id, flow, round) in falls::undisturbed(seen, falls, StageKind::Load) {
        if round.dose.pattern != Pattern::Pairs || !round.saturates() {
            continue;
        }
        let Some(bps) = slow::steady_bps(&flow.slots) else { continue };
        told.insert(id);
        match crossings.racks.crossing(flow.from, flow.to) {
            Some(crossing) => {
                let together = across.entry(crossing).or_default().entry(flow.round).or_default();
                together.senders.insert(flow.from);
                together.receivers.insert(flow.to);
                together.rates.push(bps);
            }
            None => within.push(bps),
        }
    }
    for (_, flow) in seen.flows.iter().filter(|(id, _)| !told.contains(*id)) {
        let crossing = crossings.racks.crossing(flow.from, flow.to);
        let rounds = crossing.and_then(|crossing| across.get_mut(&crossing));
        let Some(together) = rounds.and_then(|rounds| rounds.get_mut(&flow.round)) else { continue };
        let round = &seen.rounds[flow.round];
        if flow.was_measured() {
            together.besides_bps += slow::steady_bps(&flow.slots).unwrap_or(0.0);
        } else if seen.took_part(round, flow, round.end) {
            together.unknown += 1;
        }
    }
    let Some(usual) = robust::median(&within) else { return Default::default() };
    let most =
        |rounds: &BTreeMap<usize, Together>| rounds.values().map(Together::sum_bps).fold(0.0, f64::max);
    let mosts = across.iter().map(|(crossing, rounds)| (crossing.clone(), most(rounds))).collect();
    let narrow = across.into_iter().filter_map(|(crossing, rounds)| {
        let rounds: Vec<Together> = rounds.into_values().collect();
        limit(&rounds, usual).map(|carried| (crossing, carried))
    });
    (narrow.collect(), mosts)
}

/// What rounds were limited to; `None` where they were not.
fn limit(rounds: &[Together], usual: f64) -> Option<Carried> {
    let limited: Vec<&Together> = rounds.iter().filter(|round| round.is_limited(usual)).collect();
    let bps = robust::median(&limited.iter().map(|round| round.sum_bps()).collect::<Vec<_>>())?;
    let asking: Vec<&Together> =
        rounds.iter().filter(|round| CARRIES_MIN * usual * round.flows() as f64 > bps).collect();
    let senders = |rounds: &[&Together]| {
        rounds.iter().flat_map(|round| &round.senders).collect::<BTreeSet<_>>().len() as f64
    };
    let receivers = limited.iter().flat_map(|round| &round.receivers).collect::<BTreeSet<_>>().len();
    let several = senders(&limited) >= ENDS_MIN as f64 && receivers >= ENDS_MIN;
    let is_narrow = several
        && limited.len() >= ROUNDS_MIN
        && limited.len() as f64 >= CROSSING_MIN * asking.len() as f64
        && senders(&limited) >= CROSSING_MIN * senders(&asking);
    let pairs = limited.iter().map(|round| round.rates.len()).sum();
    is_narrow.then_some(Carried { bps, rounds: limited.len(), pairs, usual_bps: usual })
}

/// Paced flows that together asked more of a narrow crossing than it has room for: what they lost
/// is its queue's.
pub(super) fn crowded(crossings: &Crossings, seen: &Seen) -> BTreeSet<FlowId> {
    let narrow = &crossings.narrow;
    let mut asked: BTreeMap<(usize, Crossing), (f64, Vec<FlowId>)> = BTreeMap::new();
    for (id, flow) in &seen.flows {
        let crossing =
            crossings.racks.crossing(flow.from, flow.to).filter(|crossing| narrow.contains_key(crossing));
        if let (Some(crossing), Some(rate)) = (crossing, flow.rate) {
            let (bps, flows) = asked.entry((flow.round, crossing)).or_default();
            *bps += rate.bps() as f64;
            flows.push(*id);
        }
    }
    let over = asked.into_iter().filter(|((_, crossing), (bps, _))| *bps > ROOM * narrow[crossing].bps);
    over.flat_map(|(_, (_, flows))| flows).collect()
}
