//! What probes tell of silences: who was out, seen by whom, in which direction, and what still
//! passed meanwhile.
//!
//! # Rule
//!
//! A host is out while at least [`MISS_SHARE`] of its observers (three of them, all where there
//! are fewer) miss [`OUT_TICKS`] probes in a row: one second. It is back with [`BACK_TICKS`]
//! ticks in which most are answered. Start is the first missed tick, end the first answered
//! one: both within 200 ms.
//!
//! # Source
//!
//! Pingmesh and `NetNORAD` probe meshes; at 1 % loss five misses in a row of one observer are
//! 1e-10, and three observers see the same by chance never.
//!
//! # What does not belong here
//!
//! Whose fault a silence is: `explain`. Falls of throughput: `falls`.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Range,
};

use super::{
    falls::{self, Fall},
    poisson::Share,
    seen::{
        RoundSeen, Seen, WAYS, Way,
        probes::{Asked, Outcome},
    },
    summary::Direction,
};
use crate::model::{
    fleet::{
        host::HostId,
        units::{SLOT_US, SLOTS_PER_S},
    },
    record::probe::TICK_US,
};

pub mod between;
pub mod held;

/// Ticks in a row that must be missed: one second (the contract's figure).
const OUT_TICKS: u64 = 5;

/// Ticks in a row that show a host back.
const BACK_TICKS: u64 = 2;

/// Ticks in a row that most observers miss of a host that is silent, however shortly.
const SILENT_TICKS: usize = 2;

/// Share of the observers that must miss a tick for it to count as missed.
const MISS_SHARE: f64 = 0.8;

/// Observers that must have probed in a tick, where the host has so many.
const OBSERVERS_MIN: usize = 3;

/// Probes on which it is said what still passes.
const PROBES_MIN: u64 = 8;

/// Share of the probes of a living way that pass; of a dead one at most the rest.
const ALIVE_SHARE: f64 = 0.7;

/// Share of probes that may pass around the ends of a silence.
const DEAD_SHARE: f64 = 0.15;

/// Slots in which bulk data came for it to have gone on: what queues still hold is gone sooner.
const CARRIED_SLOTS_MIN: u64 = 5;

/// … and their share of those that were measured.
const CARRIED_SHARE: f64 = 0.8;

/// Slots of goodput in a tick of probes.
pub const SLOTS: u64 = TICK_US / SLOT_US;

/// A host that no observer reached for a while.
#[derive(Clone, Debug, PartialEq)]
pub struct Outage {
    /// Which host.
    pub host: HostId,
    /// The first missed tick.
    pub since: u64,
    /// The first answered one; `None` where that was not seen.
    pub until: Option<u64>,
    /// Who missed it.
    pub observers: BTreeSet<HostId>,
}

/// Who probes each host.
fn observers(seen: &Seen) -> BTreeMap<HostId, BTreeSet<HostId>> {
    let mut by_target: BTreeMap<HostId, BTreeSet<HostId>> = BTreeMap::new();
    for (observer, target) in seen.probes.pairs(Asked::Echo) {
        by_target.entry(target).or_default().insert(observer);
    }
    by_target
}

/// Every outage of every host, by host and beginning.
pub fn all(seen: &Seen) -> Vec<Outage> {
    let ticks = seen.probes.ticks();
    observers(seen).into_iter().flat_map(|(host, observers)| of_host(seen, host, &observers, ticks)).collect()
}

/// Every outage of one host.
pub fn all_of(seen: &Seen, host: HostId) -> Vec<Outage> {
    of_host(seen, host, &observers_of(seen, host), seen.probes.ticks())
}

/// Who probes a host.
fn observers_of(seen: &Seen, host: HostId) -> BTreeSet<HostId> {
    let own = seen.probes.pairs(Asked::Echo).filter(|(_, target)| *target == host);
    own.map(|(observer, _)| observer).collect()
}

impl Outage {
    /// Its first slot.
    pub const fn since_slot(&self) -> u64 {
        self.since * SLOTS
    }

    /// The first slot after it; beyond all slots where its end was not seen.
    const fn end_slot(&self) -> u64 {
        match self.until {
            Some(until) => until * SLOTS,
            None => u64::MAX,
        }
    }

    /// How long it lasted; `None` where its end was not seen.
    pub fn for_s(&self) -> Option<f64> {
        Some((self.until? - self.since) as f64 * TICK_US as f64 / 1e6)
    }

    /// Whether it lasted while a fall did, give or take so many slots.
    fn is_near(&self, fall: &Fall, slots: u64) -> bool {
        self.since_slot() < fall.end().saturating_add(slots)
            && fall.since < self.end_slot().saturating_add(slots)
    }

    /// Whether it lasted while a fall did.
    pub fn overlaps(&self, fall: &Fall) -> bool {
        self.is_near(fall, 0)
    }
}

fn of_host(seen: &Seen, host: HostId, observers: &BTreeSet<HostId>, ticks: u64) -> Vec<Outage> {
    let mut outages: Vec<Outage> = Vec::new();
    let (mut missed_since, mut missed, mut back_since, mut back) = (0, 0, 0, 0);
    let mut out = false;
    for tick in 0..ticks {
        // Who has not come yet does not answer, and is not out.
        if seen.is_absent(host, tick * SLOTS) {
            continue;
        }
        let Some(is_missed) = missed_by_most(seen, host, observers, tick) else { continue };
        if is_missed {
            missed_since = if missed == 0 { tick } else { missed_since };
            (missed, back) = (missed + 1, 0);
            if !out && missed >= OUT_TICKS {
                out = true;
                let observers = observers.clone();
                outages.push(Outage { host, since: missed_since, until: None, observers });
            }
        } else {
            back_since = if back == 0 { tick } else { back_since };
            back += 1;
            missed = if out { missed } else { 0 };
            if out && back >= BACK_TICKS {
                (out, missed) = (false, 0);
                if let Some(last) = outages.last_mut() {
                    last.until = Some(back_since);
                }
            }
        }
    }
    outages
}

/// Whether most observers missed a host in a tick; `None` where too few probed it.
fn missed_by_most(seen: &Seen, host: HostId, observers: &BTreeSet<HostId>, tick: u64) -> Option<bool> {
    shown_to_most(seen, host, observers, tick, |outcome| outcome == Outcome::Lost)
}

/// Whether most observers of a host saw `such` an outcome in a tick; `None` where too few probed it.
fn shown_to_most(
    seen: &Seen,
    host: HostId,
    observers: &BTreeSet<HostId>,
    tick: u64,
    such: impl Fn(Outcome) -> bool,
) -> Option<bool> {
    let known: Vec<Outcome> = observers
        .iter()
        .filter_map(|observer| seen.probes.outcome(*observer, host, Asked::Echo, tick))
        .collect();
    let enough = !known.is_empty() && known.len() >= OBSERVERS_MIN.min(observers.len());
    let shown = known.iter().filter(|outcome| such(**outcome)).count();
    enough.then_some(shown as f64 >= MISS_SHARE * known.len() as f64)
}

/// Falls that only probes show: in stages without load, and between rounds.
pub fn falls(seen: &Seen, known: &[Fall]) -> Vec<Fall> {
    // Its partners' falls may begin a second earlier, and end one later.
    let is_known = |outage: &Outage| {
        known.iter().any(|fall| fall.host == outage.host && outage.is_near(fall, SLOTS_PER_S))
    };
    let all = all(seen).into_iter().filter(|outage| !is_known(outage) && !carries_on(seen, outage));
    all.map(|outage| {
        let since = outage.since_slot();
        Fall {
            host: outage.host,
            direction: Direction::Both,
            since,
            until: outage.until.map(|_| outage.end_slot()),
            round: seen.rounds.iter().rposition(|round| round.start <= since).unwrap_or(0),
            peers: outage.observers,
            offered_bps: Some(carried_before(seen, outage.host, since)),
            depth: 1.0,
        }
    })
    .collect()
}

/// What a host carried in the second before a slot, the busier way; 0 where nothing was planned.
fn carried_before(seen: &Seen, host: HostId, slot: u64) -> f64 {
    let carried = |way: Way| {
        let known = known_in(seen, host, way, slot.saturating_sub(SLOTS_PER_S)..slot);
        known.iter().sum::<f64>() / known.len().max(1) as f64
    };
    WAYS.into_iter().map(carried).fold(0.0, f64::max)
}

/// What is known of what a host carried one way in some slots with load, bits per second.
pub fn known_in(seen: &Seen, host: HostId, way: Way, slots: Range<u64>) -> Vec<f64> {
    let within = |round: &RoundSeen| slots.start.max(round.start)..slots.end.min(round.end);
    falls::loaded_rounds(seen, host, way)
        .flat_map(|round| seen.bps_in(round, host, way, within(round)))
        .flatten()
        .collect()
}

/// Whether a host's bulk data went on both ways in an outage: it is its datagrams that somebody
/// drops, a filter on the host or before it, and no card.
fn carries_on(seen: &Seen, outage: &Outage) -> bool {
    let goes_on = |way: Way| {
        let slots = outage.since_slot()..outage.end_slot().min(seen.latest.slot());
        let known = known_in(seen, outage.host, way, slots);
        let carried = known.iter().filter(|bps| **bps > 0.0).count();
        carried as u64 >= CARRIED_SLOTS_MIN && carried as f64 >= CARRIED_SHARE * known.len() as f64
    };
    WAYS.into_iter().all(goes_on)
}

/// Whether probes show that it was this host, and none of its partners, that fell silent.
pub fn was_out_during(outages: &[Outage], host: HostId, fall: &Fall) -> bool {
    outages
        .iter()
        .any(|outage| outage.host == host && outage.observers.len() >= 2 && outage.is_near(fall, SLOTS))
}

/// What passed to and from a host while it was down.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Alive {
    /// Echoes were answered: its process and the way both ways live.
    pub echoes: bool,
    /// Handshakes were answered: its kernel does.
    pub handshakes: bool,
}

/// Whether echoes and handshakes passed between a host and those that it lost in a fall;
/// `None` where too few were sent to say. Of others that are as well as ever nothing follows:
/// what it lost may be a peer.
pub fn alive_during(seen: &Seen, fall: &Fall) -> Option<Alive> {
    let (from, to) = ticks_within(seen, fall);
    let lost = |(a, b): &(HostId, HostId)| fall.peers.contains(a) || fall.peers.contains(b);
    let answered = |asked: Asked| {
        are_answered(answered(seen, partners(seen, fall.host, asked).filter(lost), asked, from..to))
    };
    Some(Alive { echoes: answered(Asked::Echo)?, handshakes: answered(Asked::Handshake)? })
}

/// Whether a host went on answering in a fall: its observers never missed it together for longer
/// than a lost echo or two of each. `None` where they hardly asked.
pub fn went_on_answering(seen: &Seen, fall: &Fall) -> Option<bool> {
    let observers = observers_of(seen, fall.host);
    let (first, end) = ticks_within(seen, fall);
    let missed: Vec<bool> = (first.saturating_sub(1)..=end)
        .filter_map(|tick| missed_by_most(seen, fall.host, &observers, tick))
        .collect();
    let silent = missed.windows(SILENT_TICKS).any(|run| run.iter().all(|missed| *missed));
    (missed.len() > SILENT_TICKS).then_some(!silent)
}

/// Whether a host's echoes were answered, of the whole run's most.
pub fn answers(seen: &Seen, host: HostId) -> bool {
    let ticks = 0..seen.probes.ticks();
    are_answered(answered(seen, partners(seen, host, Asked::Echo), Asked::Echo, ticks)).unwrap_or(false)
}

/// Whether hardly any echo of a host was answered in some slots.
pub fn is_silent(seen: &Seen, host: HostId, slots: &Range<u64>) -> bool {
    let ticks = slots.start.div_ceil(SLOTS)..slots.end / SLOTS;
    let all = answered(seen, partners(seen, host, Asked::Echo), Asked::Echo, ticks);
    all.of >= PROBES_MIN && all.rate() <= DEAD_SHARE
}

/// What pairs asked in some ticks, and what of it was answered.
pub fn answered(
    seen: &Seen,
    pairs: impl Iterator<Item = (HostId, HostId)>,
    asked: Asked,
    ticks: Range<u64>,
) -> Share {
    such(seen, pairs, asked, ticks, |outcome| outcome != Outcome::Lost)
}

/// What pairs asked in some ticks, and what of it came to `is` such an outcome.
fn such(
    seen: &Seen,
    pairs: impl Iterator<Item = (HostId, HostId)>,
    asked: Asked,
    ticks: Range<u64>,
    is: impl Fn(Outcome) -> bool,
) -> Share {
    let outcomes =
        pairs.flat_map(|(a, b)| ticks.clone().filter_map(move |tick| seen.probes.outcome(a, b, asked, tick)));
    outcomes.fold(Share::default(), |all, outcome| Share {
        events: all.events + u64::from(is(outcome)),
        of: all.of + 1,
    })
}

/// Whether most of what was asked was answered; `None` where too little was asked.
fn are_answered(all: Share) -> Option<bool> {
    (all.of >= PROBES_MIN).then_some(all.events as f64 >= ALIVE_SHARE * all.of as f64)
}

/// Ordered pairs of probes in which a host is one end.
fn partners(seen: &Seen, host: HostId, asked: Asked) -> impl Iterator<Item = (HostId, HostId)> + '_ {
    seen.probes.pairs(asked).filter(move |(a, b)| *a == host || *b == host)
}

/// Whole ticks of a fall, without the one in which it began.
fn ticks_within(seen: &Seen, fall: &Fall) -> (u64, u64) {
    let end = fall.until.unwrap_or(seen.latest.slot()).min(seen.probes.ticks() * SLOTS);
    (fall.since / SLOTS + 1, end / SLOTS)
}

/// The part of a fall in which its host was out as probes show: where a host has traffic one way
/// only now and then, its fall ends later than its silence.
fn ticks_out(seen: &Seen, fall: &Fall) -> (u64, u64) {
    let (from, to) = ticks_within(seen, fall);
    let out: Vec<Outage> =
        all_of(seen, fall.host).into_iter().filter(|outage| outage.overlaps(fall)).collect();
    match (out.first(), out.last()) {
        (Some(first), Some(last)) => (from.max(first.since + 1), to.min(last.until.unwrap_or(u64::MAX))),
        _ => (from, to),
    }
}

/// The direction that was dead, where echoes that were heard tell that the other was not.
pub fn dead_direction(seen: &Seen, fall: &Fall) -> Option<Direction> {
    let (from, to) = ticks_out(seen, fall);
    // What a host hears shows that its receiving side lives; what others hear of it, that its
    // sending side does.
    let heard = |way: Way| {
        let own = |(observer, target): &(HostId, HostId)| way.of(*observer, *target) == fall.host;
        let all: Vec<bool> = seen
            .probes
            .pairs(Asked::Echo)
            .filter(own)
            .flat_map(|(observer, target)| {
                (from..to).filter_map(move |tick| {
                    seen.probes.outcome(observer, target, Asked::Echo, tick)?;
                    seen.probes.was_heard(observer, target, tick)
                })
            })
            .collect();
        let share = all.iter().filter(|heard| **heard).count() as f64 / all.len().max(1) as f64;
        (all.len() as u64 >= PROBES_MIN).then_some(share)
    };
    match (heard(Way::Tx)?, heard(Way::Rx)) {
        // A host that is never heard of again cannot tell what it heard; that its echoes
        // arrive while nothing of it is answered says enough.
        (tx, None) => (tx >= ALIVE_SHARE).then_some(Direction::Rx),
        (tx, Some(rx)) if tx >= ALIVE_SHARE && rx <= DEAD_SHARE => Some(Direction::Rx),
        (tx, Some(rx)) if rx >= ALIVE_SHARE && tx <= DEAD_SHARE => Some(Direction::Tx),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
