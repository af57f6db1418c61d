//! One host, one direction: when does its goodput fall off, and when is it back?
//!
//! # What counts
//!
//! A *drop-off* opens after [`OPEN_SLOTS`] slots in a row below [`LOW`] of the level, and
//! closes with [`CLOSE_SLOTS`] in a row at or above [`BACK`] of it. The level is the smaller
//! of what the round plans for this host and what the host has shown to carry (its own 95th
//! percentile). TCP that lost a whole window is silent for 200 ms and more; half a second of
//! silence of *all* of a host's flows is no retransmission timeout.
//!
//! # What does not belong here
//!
//! Whose fault it is. The partner of a dead host falls off too.

use std::collections::VecDeque;

use super::robust::Sliding;

/// Slots below [`LOW`] that open a drop-off: 500 ms (the contract's figure).
pub const OPEN_SLOTS: usize = 5;

/// The same where a host is planned to carry less than [`LOADED`] of its capacity: a source
/// of an incast may be starved for half a second by its healthy siblings.
pub const OPEN_SLOTS_LIGHT: usize = 10;

/// The share of its capacity from which on a direction counts as loaded.
pub const LOADED: f64 = 0.5;

/// Share of the level below which a slot is low.
const LOW: f64 = 0.10;

/// The same for lightly loaded directions: all but nothing.
const LOW_LIGHT: f64 = 0.01;

/// Share of the level at which a slot shows the host back.
const BACK: f64 = 0.25;

/// Slots in a row at [`BACK`] that close a drop-off.
const CLOSE_SLOTS: usize = 2;

/// Slots of steady traffic before a host's own level counts: one second.
const STEADY_SLOTS: usize = 10;

/// Slots that the own level is taken over: the last 60 s, so that a slow decay is not a fall.
const LEVEL_SLOTS_MAX: usize = 600;

/// One planned slot of a host, one direction.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Slot {
    /// Its number.
    pub slot: u64,
    /// Goodput in bits per second; `None` was not measured.
    pub carried_bps: Option<f64>,
    /// What the plan makes of this slot, in bits per second; `None` where unknown.
    pub expected_bps: Option<f64>,
    /// The planned share of the host's capacity.
    pub load: f64,
}

/// What a slot brought.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Turn {
    /// A drop-off is open.
    Opened {
        /// Its first low slot.
        since: u64,
        /// Mean goodput of the measured slots of the second before, bits per second.
        offered_bps: Option<f64>,
    },
    /// It is over.
    Closed {
        /// Its first low slot.
        since: u64,
        /// The first slot that showed the host back.
        until: u64,
    },
}

/// Watches one host in one direction.
#[derive(Clone, Debug, Default)]
pub struct Watch {
    level: Sliding<LEVEL_SLOTS_MAX>,
    recent: VecDeque<(u64, f64)>,
    low_since: Option<u64>,
    low_count: usize,
    back_since: Option<u64>,
    back_count: usize,
    open: bool,
}

impl Watch {
    /// Takes the next planned slot, in order.
    pub fn push(&mut self, slot: Slot) -> Option<Turn> {
        let Some(carried) = slot.carried_bps else {
            // Unmeasured slots neither open nor close anything.
            return None;
        };
        let level = self.level_bps(slot)?;
        let loaded = slot.load >= LOADED;
        let low = carried < level * if loaded { LOW } else { LOW_LIGHT };
        let turn =
            if self.open { self.look_for_end(slot, carried, level) } else { self.look_for_fall(slot, low) };
        if !low && self.low_since.is_none() {
            self.remember(slot, carried, loaded);
        }
        turn
    }

    fn look_for_fall(&mut self, slot: Slot, low: bool) -> Option<Turn> {
        if !low {
            self.low_since = None;
            self.low_count = 0;
            return None;
        }
        let since = *self.low_since.get_or_insert(slot.slot);
        self.low_count += 1;
        let enough = if slot.load >= LOADED { OPEN_SLOTS } else { OPEN_SLOTS_LIGHT };
        (self.low_count >= enough).then(|| {
            self.open = true;
            self.back_since = None;
            self.back_count = 0;
            Turn::Opened { since, offered_bps: self.offered(since) }
        })
    }

    fn look_for_end(&mut self, slot: Slot, carried: f64, level: f64) -> Option<Turn> {
        if carried < level * BACK {
            self.back_since = None;
            self.back_count = 0;
            return None;
        }
        let until = *self.back_since.get_or_insert(slot.slot);
        self.back_count += 1;
        if self.back_count < CLOSE_SLOTS {
            return None;
        }
        self.open = false;
        self.low_count = 0;
        let since = self.low_since.take()?;
        Some(Turn::Closed { since, until })
    }

    fn remember(&mut self, slot: Slot, carried: f64, loaded: bool) {
        self.recent.push_back((slot.slot, carried));
        while self.recent.len() > STEADY_SLOTS {
            self.recent.pop_front();
        }
        if loaded {
            self.level.push(carried);
        }
    }

    /// The level that this slot is held against.
    fn level_bps(&self, slot: Slot) -> Option<f64> {
        let own = self.level.quantile(0.95).filter(|_| self.level.count() >= STEADY_SLOTS);
        match (own, slot.expected_bps) {
            (Some(own), Some(expected)) => Some(own.min(expected)),
            (own, expected) => own.or(expected),
        }
    }

    fn offered(&self, since: u64) -> Option<f64> {
        let window: Vec<f64> = self
            .recent
            .iter()
            .filter(|(slot, _)| *slot < since && slot + STEADY_SLOTS as u64 >= since)
            .map(|(_, carried)| *carried)
            .collect();
        (!window.is_empty()).then(|| window.iter().sum::<f64>() / window.len() as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// `#` carries the planned 100 Mb/s, `.` nothing, `+` half, `?` was not measured.
    fn turns(drawn: &str, load: f64) -> Vec<(char, u64, u64)> {
        let mut watch = Watch::default();
        let mut turns = Vec::new();
        for (slot, drawn) in (0..).zip(drawn.chars()) {
            let carried_bps = match drawn {
                '#' => Some(100e6),
                '+' => Some(50e6),
                '.' => Some(0.0),
                _ => None,
            };
            match watch.push(Slot { slot, carried_bps, expected_bps: Some(100e6), load }) {
                Some(Turn::Opened { since, .. }) => turns.push(('o', since, slot)),
                Some(Turn::Closed { since, until }) => turns.push(('c', since, until)),
                None => {}
            }
        }
        turns
    }

    #[test]
    fn a_drop_off_needs_half_a_second_of_silence() {
        type Case = (&'static str, &'static str, &'static [(char, u64, u64)]);
        let cases: &[Case] = &[
            ("steady", "############", &[]),
            ("a retransmission timeout", "####..######", &[]),
            ("400 ms are not enough", "####....####", &[]),
            ("500 ms open it, two slots close it", "####.....####", &[('o', 4, 8), ('c', 4, 9)]),
            ("from the first slot on", "......####", &[('o', 0, 4), ('c', 0, 6)]),
            ("one lively slot does not close it", "##.....#...##", &[('o', 2, 6), ('c', 2, 11)]),
            ("to the end", "####..........", &[('o', 4, 8)]),
            ("what was not measured opens nothing", "####?????????", &[]),
            ("half the rate is no drop-off", "####++++++++", &[]),
        ];
        for (name, drawn, want) in cases {
            assert_eq!(turns(drawn, 1.0), *want, "{name}: {drawn}");
        }
    }

    #[test]
    fn a_lightly_loaded_direction_is_given_a_second() {
        assert_eq!(turns("####.....####", 0.2), []);
        assert_eq!(turns("####..........####", 0.2), [('o', 4, 13), ('c', 4, 14)]);
    }

    proptest! {
        /// For all series: what comes later never rewrites a drop-off that is over.
        #[test]
        fn a_finished_drop_off_stays(drawn in "[#.]{0,40}", later in "[#.]{0,40}") {
            let finished = format!("{drawn}##");
            let before = turns(&finished, 1.0);
            let after = turns(&format!("{finished}{later}"), 1.0);
            prop_assert_eq!(&before[..], &after[..before.len()]);
        }
    }
}
