//! How much of each kind of load the plan put on a host, slot by slot, and whether a fall came
//! with more of it.
//!
//! # Rule
//!
//! A card may die of the rate, of both directions at once, of the packet rate or of the number
//! of streams: each is an *axis*. A fall is tied to an axis when its host was put at that level
//! at most so many seconds of load before, counted since it last stood clearly below, or was
//! down; or if it came, as each of several did, after about as many, which the level had not been held
//! for before. Of several axes the one to which most falls are tied is told; among equals the first
//! whose level had not been held for [`HELD_SLOTS`] before. Streams are not told of a card that fell
//! with few of them as well: there it is the rate.
//!
//! By the plan, not by what was carried: of a host that is dying that says nothing.

use super::super::{
    falls::Fall,
    outage::Outage,
    seen::{RoundSeen, Seen},
};
use crate::model::{
    fleet::host::HostId,
    plan::{carriage::Transport, dose::Rate},
};

/// A way in which load grows.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Axis {
    /// The rate of the busier direction, as a share of its capacity.
    Rate,
    /// The rate of the less busy direction, the same.
    BothWays,
    /// Packets a second, as a share of what it carries of the smallest.
    Packets,
    /// Streams at once.
    Streams,
}

/// All axes, the plainest first.
pub const AXES: [Axis; 4] = [Axis::Rate, Axis::BothWays, Axis::Packets, Axis::Streams];

/// Below this share of a level, it was not reached yet.
const RISEN: f64 = 0.6;

/// From this share of a level on it is the same.
const SAME: f64 = 0.9;

/// Slots in a row below it, or without load, that end a level: less is a gap between rounds.
const LOW_SLOTS: usize = 5;

/// Slots for which a level is held that the card survives: longer than any fall that is tied to
/// it may take.
const HELD_SLOTS: usize = 50;

/// Falls, each after as long a time at a level, that are no chance: two may be.
const ALIKE_MIN: usize = 3;

/// How much longer than the shortest of these times the longest may be.
const ALIKE: f64 = 1.25;

/// How much longer a load with gaps may be held than one without: a limiter that fills its bucket in seven
/// seconds took ten with gaps of a twentieth.
const RECOVERS: f64 = 2.0;

/// How many such times must have passed without a fall before the level was first held for so long: what
/// comes by the clock, and not by the load, had come in them.
const CALM_BEFORE: f64 = 2.0;

/// A silence that probes saw this much before the fall began before it, slots: their ticks are
/// two slots long.
const EARLIER_SLOTS: u64 = 3;

impl Axis {
    /// The level that counts as load.
    const fn least(self) -> f64 {
        match self {
            Self::Rate => 0.5,
            Self::BothWays => 0.3,
            // Of ladders that begin at a twentieth, each step counts.
            Self::Packets => 0.04,
            Self::Streams => 4.0,
        }
    }

    /// The level that a round puts a host at.
    fn of(self, round: &RoundSeen, host: HostId) -> f64 {
        let Some(part) = round.by_host.get(&host) else { return 0.0 };
        let small = round.frame_bytes().is_some();
        match self {
            Self::Rate | Self::BothWays if small => 0.0,
            Self::Rate => part.tx_load.max(part.rx_load),
            Self::BothWays => part.tx_load.min(part.rx_load),
            Self::Packets if !small => 0.0,
            Self::Packets => match round.dose.rate {
                Rate::PpsShare(share) => share,
                _ => part.tx_load.max(part.rx_load),
            },
            Self::Streams if round.dose.carriage.transport == Transport::Tcp => {
                (part.tx.len() + part.rx.len()) as f64 * f64::from(round.dose.carriage.streams)
            }
            Self::Streams => 0.0,
        }
    }
}

/// The levels of a host on one axis by slot: 0 while it was down, `None` between rounds.
#[derive(Clone, Debug)]
pub struct Levels {
    axis: Axis,
    slots: Vec<Option<f64>>,
}

/// A stretch that was at some level or above: for how many slots, and how many gaps between rounds it had,
/// in which a card may recover a little.
#[derive(Clone, Copy, Debug, Default)]
struct Stretch {
    held: usize,
    breaks: usize,
}

/// All of them, and whether the last one goes on to the end.
#[derive(Clone, Debug, Default)]
struct Stretches {
    all: Vec<Stretch>,
    goes_on: bool,
}

impl Stretches {
    /// Of these slots.
    fn of(slots: &[Option<f64>], least: f64) -> Self {
        let mut all = Self::default();
        let mut low = 0;
        for slot in slots {
            if !slot.is_some_and(|level| level >= least) {
                low += 1;
                all.goes_on &= low < LOW_SLOTS;
            } else if let Some(last) = all.all.last_mut().filter(|_| all.goes_on) {
                last.held += 1;
                last.breaks += usize::from(low > 0);
                low = 0;
            } else {
                all.all.push(Stretch { held: 1, breaks: 0 });
                (all.goes_on, low) = (true, 0);
            }
        }
        all
    }
}

impl Levels {
    /// Of a host with these falls.
    pub fn of(seen: &Seen, host: HostId, axis: Axis, falls: &[&Fall]) -> Self {
        let mut slots = vec![None; seen.latest.slot() as usize + 1];
        for round in seen.rounds.iter().filter(|round| round.by_host.contains_key(&host)) {
            let level = axis.of(round, host);
            let end = (round.end as usize).min(slots.len());
            for (slot, known) in slots.iter_mut().enumerate().take(end).skip(round.start as usize) {
                let down = falls.iter().any(|fall| (fall.since..fall.end()).contains(&(slot as u64)));
                *known = Some(if down { 0.0 } else { level });
            }
        }
        Self { axis, slots }
    }

    /// For how many slots of load a host had been at the level of a round's plan when it fell;
    /// `None` where that level is none, or no load was on it.
    fn held(&self, seen: &Seen, fall: &Fall, outages: &[Outage]) -> Option<Stretch> {
        let began = outages
            .iter()
            .filter(|outage| outage.overlaps(fall) && outage.since_slot() + EARLIER_SLOTS <= fall.since)
            .map(Outage::since_slot)
            .min()
            .unwrap_or(fall.since);
        let round = seen
            .rounds
            .iter()
            .find(|round| round.slots().contains(&began) && round.by_host.contains_key(&fall.host))?;
        let level = Some(self.axis.of(round, fall.host)).filter(|level| *level >= self.axis.least())?;
        let before = Stretches::of(self.before(began as usize), RISEN * level);
        Some(before.all.last().copied().filter(|_| before.goes_on).unwrap_or_default())
    }

    /// The slots before one.
    fn before(&self, slot: usize) -> &[Option<f64>] {
        &self.slots[..slot.min(self.slots.len())]
    }

    /// Whether a fall came at most `within_s` of load after its host, which was out at these
    /// times, had reached a level.
    pub fn brought(&self, seen: &Seen, fall: &Fall, outages: &[Outage], within_s: f64) -> bool {
        self.held(seen, fall, outages).is_some_and(|stretch| stretch.held as f64 / 10.0 <= within_s)
    }

    /// The seconds of load after which each of these falls came, where all came after about as many, the
    /// first of them as soon as the level had been held for so long at all, and none in the time before.
    /// Of loads with gaps between their rounds a card recovers in these, and may hold more.
    pub fn each_after_s(&self, seen: &Seen, falls: &[&Fall], outages: &[Outage]) -> Option<f64> {
        let all: Vec<Stretch> =
            falls.iter().map(|fall| self.held(seen, fall, outages)).collect::<Option<_>>()?;
        let held = alike(&all)?;
        let (least, most) = (*held.iter().min()?, *held.iter().max()?);
        let first = falls.iter().map(|fall| fall.since as usize).min()?;
        let level = self.each(falls).reduce(f64::min)?;
        let before = Stretches::of(self.before(first), RISEN * level).all;
        let (last, earlier) = before.split_last()?;
        let is_first = earlier.iter().all(|stretch| stretch.held < least);
        let calm = (first - last.held) as f64 >= CALM_BEFORE * most as f64;
        (is_first && calm).then(|| (least + most) as f64 / 20.0)
    }

    /// Whether the level at which these falls began had been held for a while before the first of
    /// them: then it is something else that the card does not hold.
    pub fn were_held(&self, falls: &[&Fall]) -> bool {
        let Some(first) = falls.iter().map(|fall| fall.since as usize).min() else { return false };
        let Some(level) = self.at(falls).filter(|level| *level >= self.axis.least()) else { return false };
        Stretches::of(self.before(first), SAME * level).all.iter().any(|stretch| stretch.held >= HELD_SLOTS)
    }

    /// The highest level at which one of these falls began: its own slot counts as down, so the
    /// one before it within its round, or the level to which the load had just risen.
    fn at(&self, falls: &[&Fall]) -> Option<f64> {
        self.each(falls).reduce(f64::max)
    }

    /// The level at which each of these falls began, where that is known.
    fn each(&self, falls: &[&Fall]) -> impl Iterator<Item = f64> {
        let of = |fall: &&Fall| self.slots.get(..fall.since as usize)?.last().copied().flatten();
        falls.iter().filter_map(of)
    }

    /// Whether some of these falls began at a small part of the level of others: then it is not this
    /// that the card does not hold.
    pub fn differ(&self, falls: &[&Fall]) -> bool {
        let (least, most) = (self.each(falls).reduce(f64::min), self.at(falls));
        least.zip(most).is_some_and(|(least, most)| least < RISEN * most)
    }

    /// How often the load rose to the highest level at which one of these falls began.
    pub fn tries(&self, falls: &[&Fall]) -> usize {
        let dose = self.at(falls).filter(|dose| *dose > 0.0);
        let tries = dose.map_or(0, |dose| Stretches::of(&self.slots, SAME * dose).all.len());
        tries.max(falls.len())
    }
}

/// For how long the load was held before each of several falls, where these are alike: of all, or of those that
/// came without a gap, if those with gaps took longer, and not beyond [`RECOVERS`].
fn alike(all: &[Stretch]) -> Option<Vec<usize>> {
    let is_alike = |held: &[usize]| {
        let (least, most) = (held.iter().min().copied()?, held.iter().max().copied()?);
        (held.len() >= ALIKE_MIN && most as f64 <= ALIKE * least as f64).then_some((least, most))
    };
    let of = |such: fn(&Stretch) -> bool| -> Vec<usize> {
        all.iter().filter(|stretch| such(stretch)).map(|stretch| stretch.held).collect()
    };
    let (every, without, with) = (of(|_| true), of(|it| it.breaks == 0), of(|it| it.breaks > 0));
    if is_alike(&every).is_some() {
        return Some(every);
    }
    let (least, most) = is_alike(&without)?;
    with.iter().all(|held| *held >= least && *held as f64 <= RECOVERS * most as f64).then_some(without)
}

/// The most streams at once of the rounds in which these falls began.
pub fn streams(seen: &Seen, falls: &[&Fall]) -> Option<f64> {
    let of = |fall: &&Fall| Some(Axis::Streams.of(seen.rounds.get(fall.round)?, fall.host));
    falls.iter().filter_map(of).reduce(f64::max)
}

#[cfg(test)]
mod tests;
