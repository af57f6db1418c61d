//! Two hosts that do not reach each other for a while, and everybody else: what probes show of the way
//! between them, whether or not they exchange bytes meanwhile.
//!
//! # Rule
//!
//! All that either asked of the other for [`TICKS_MIN`] ticks on end, echoes and handshakes, stayed
//! without an answer, and of what each of them asked and was asked by others most was answered.
//!
//! # What does not belong here
//!
//! Whose a silence is that bytes show: `explain`. Single packets that are lost: `loss::paths`.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Range,
};

use super::{answered, are_answered, partners};
use crate::model::{
    judge::{
        paths::Pair,
        seen::{
            Seen,
            probes::{Asked, Outcome},
        },
    },
    record::probe::TICK_US,
};

/// Silence between two hosts that fails the fleet, seconds: less, once, is a lost handshake.
pub const FAIL_S: f64 = 2.0;

/// As many ticks on end without an answer.
const TICKS_MIN: u64 = (FAIL_S * 1e6) as u64 / TICK_US;

/// A silence between two hosts.
#[derive(Clone, Debug, PartialEq)]
pub struct Silence {
    /// The ticks without an answer.
    pub ticks: Range<u64>,
    /// Whether it lasted as long as there were probes.
    pub to_the_end: bool,
}

impl Silence {
    /// When it began, seconds of the run.
    pub fn since_s(&self) -> f64 {
        (self.ticks.start * TICK_US) as f64 / 1e6
    }

    /// How long it was, in seconds.
    pub fn for_s(&self) -> f64 {
        ((self.ticks.end - self.ticks.start) * TICK_US) as f64 / 1e6
    }
}

/// All silences between two hosts that are neither's, by onset.
pub fn silences(seen: &Seen) -> BTreeMap<Pair, Vec<Silence>> {
    let pairs: BTreeSet<Pair> = seen.probes.pairs(Asked::Echo).map(|(a, b)| (a.min(b), a.max(b))).collect();
    let all = pairs.into_iter().map(|pair| (pair, between(seen, pair)));
    all.filter(|(_, silences)| !silences.is_empty()).collect()
}

fn between(seen: &Seen, (a, b): Pair) -> Vec<Silence> {
    let asked = [(a, b), (b, a)].into_iter().flat_map(|(from, to)| {
        [Asked::Echo, Asked::Handshake].map(|how| seen.probes.outcomes(from, to, how))
    });
    let asked: Vec<_> = asked.collect();
    let is_silent = |tick: u64| {
        let outcomes = asked.iter().filter_map(|outcome| outcome(tick));
        // A tick of which nothing is known ends a silence as an answer does.
        outcomes.map(|outcome| outcome == Outcome::Lost).reduce(|all, lost| all && lost) == Some(true)
    };
    let end = seen.probes.ticks();
    let ticks: Vec<(u64, bool)> = (0..end).map(|tick| (tick, is_silent(tick))).collect();
    ticks
        .chunk_by(|a, b| a.1 == b.1)
        .filter(|run| run[0].1 && run.len() as u64 >= TICKS_MIN)
        .map(|run| run[0].0..run[0].0 + run.len() as u64)
        .filter(|ticks| both_answer_others(seen, (a, b), ticks))
        .map(|ticks| Silence { to_the_end: ticks.end == end, ticks })
        .collect()
}

/// Whether both answered and were answered by all others.
fn both_answer_others(seen: &Seen, (a, b): Pair, ticks: &Range<u64>) -> bool {
    [(a, b), (b, a)].into_iter().all(|(own, other)| {
        let others = partners(seen, own, Asked::Echo).filter(|(from, to)| *from != other && *to != other);
        are_answered(answered(seen, others, Asked::Echo, ticks.clone())) == Some(true)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{
        fleet::host::HostId,
        judge::{detect::detect, summary::FindingKind, tests::field::Field},
        plan::layout::StageKind,
    };

    /// What is seen of six hosts, ticks of whose idle time are lost so.
    fn seen(lost: impl Fn(u16, u16, u64) -> bool) -> Seen {
        let mut field = Field::of(6);
        field.idle(StageKind::Load, 12, |from, to, tick| (!lost(from, to, tick)).then_some(90));
        field.seen
    }

    fn are(a: u16, b: u16) -> impl Fn(u16, u16) -> bool {
        move |from, to| (from.min(to), from.max(to)) == (a, b)
    }

    #[test]
    fn two_that_reach_everybody_but_each_other_for_two_seconds_are_a_path() {
        let cut = |from, to, tick| are(1, 4)(from, to) && (30..55).contains(&tick);
        let seen = seen(cut);
        let want = Silence { ticks: 30..55, to_the_end: false };
        assert_eq!(silences(&seen), BTreeMap::from([((HostId(1), HostId(4)), vec![want])]));
        let detected = detect(&seen);
        assert!(detected.hosts.values().all(Vec::is_empty), "{:?}", detected.hosts);
        let kinds: Vec<_> =
            detected.fleet.iter().map(|it| (it.kind, it.confirmed, it.first_seen_s)).collect();
        assert_eq!(kinds, [(FindingKind::Path, Some(true), Some(6.0))]);
    }

    #[test]
    fn what_is_short_or_one_host_s_or_half_the_fleet_s_is_no_path() {
        let short = |from, to, tick| are(1, 4)(from, to) && (30..39).contains(&tick);
        let dead = |from, to, tick| (from == 1 || to == 1) && (30..55).contains(&tick);
        let racks = |from, to, tick| ((from < 3) != (to < 3)) && (30..55).contains(&tick);
        let one_asks_in_vain = |from, to, tick| (from, to) == (1, 4) && (30..55).contains(&tick);
        let by_chance = |from: u16, to: u16, tick: u64| {
            (u64::from(from) * 7 + u64::from(to) * 13 + tick * 5).is_multiple_of(3)
        };
        assert_eq!(silences(&seen(short)), BTreeMap::new());
        assert_eq!(silences(&seen(dead)), BTreeMap::new());
        assert_eq!(silences(&seen(racks)), BTreeMap::new());
        assert_eq!(silences(&seen(one_asks_in_vain)), BTreeMap::new());
        assert_eq!(silences(&seen(by_chance)), BTreeMap::new());
    }
}
