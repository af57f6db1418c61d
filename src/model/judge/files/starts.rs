//! When the transfers of a round begin to carry: a file is read, sshd and ssh are started and
//! agree on keys before its first byte, and on a loaded machine that takes seconds.
//!
//! # Rule
//!
//! A flow that has carried nothing yet is starting for [`AT_LEAST_SLOTS`], or for [`LATER_THAN_HALF`]
//! times as long as half of its round's flows took to begin, where that is longer; and for at most
//! [`AT_MOST_SLOTS`].
//!
//! # What does not belong here
//!
//! That a transfer is through, or was ended: `files`.

use std::collections::BTreeMap;

use crate::model::plan::layout::FlowId;

/// So long a transfer may take before its silence counts, whatever the others do.
const AT_LEAST_SLOTS: u64 = 30;

/// How much longer than half of them one may take: of 72 ssh on two cores half had begun after
/// 5.6 s and the last after 8.5 s.
const LATER_THAN_HALF: u64 = 2;

/// Where none begins, it is silence after all.
const AT_MOST_SLOTS: u64 = 100;

/// The beginnings of all flows that move files.
#[derive(Clone, Debug, Default)]
pub struct Starts {
    /// The slot in which a flow's round begins.
    begins: BTreeMap<FlowId, u64>,
    /// The first slot in which a flow carried anything.
    first: BTreeMap<FlowId, u64>,
    /// By the slot in which they begin.
    rounds: BTreeMap<u64, Round>,
}

/// The flows of one round.
#[derive(Clone, Debug, Default)]
struct Round {
    flows: usize,
    /// How many carried first after so many slots.
    after: BTreeMap<u64, usize>,
}

impl Round {
    /// After how many slots half of them had begun.
    fn half(&self) -> Option<u64> {
        let mut begun = 0;
        self.after.iter().find_map(|(after, flows)| {
            begun += flows;
            (2 * begun >= self.flows).then_some(*after)
        })
    }
}

impl Starts {
    /// A flow that is to move a file begins in this slot.
    pub fn begins(&mut self, flow: FlowId, slot: u64) {
        self.begins.insert(flow, slot);
        self.rounds.entry(slot).or_default().flows += 1;
    }

    /// Whether a flow is to move a file.
    pub fn knows(&self, flow: FlowId) -> bool {
        self.begins.contains_key(&flow)
    }

    /// A flow carried something in this slot.
    pub fn carried(&mut self, flow: FlowId, slot: u64) {
        let Some(begins) = self.begins.get(&flow) else { return };
        let after = &mut self.rounds.entry(*begins).or_default().after;
        let known = self.first.get(&flow).copied();
        if known.is_some_and(|known| known <= slot) {
            return;
        }
        self.first.insert(flow, slot);
        if let Some(flows) = known.and_then(|known| after.get_mut(&known.saturating_sub(*begins))) {
            *flows -= 1;
        }
        *after.entry(slot.saturating_sub(*begins)).or_default() += 1;
    }

    /// Whether a flow that has carried nothing by this slot may still be starting.
    pub fn is_starting(&self, flow: FlowId, slot: u64) -> bool {
        let Some(begins) = self.begins.get(&flow) else { return false };
        if self.first.get(&flow).is_some_and(|first| *first <= slot) {
            return false;
        }
        let since = slot.saturating_sub(*begins);
        let half = || self.rounds.get(begins).and_then(Round::half).unwrap_or(AT_MOST_SLOTS);
        since < AT_LEAST_SLOTS || since < AT_MOST_SLOTS && since < LATER_THAN_HALF * half()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Ten flows that begin in slot 1000 and carry first after so many slots.
    fn starts(after: [Option<u64>; 10]) -> Starts {
        let mut starts = Starts::default();
        (0..10).for_each(|flow| starts.begins(flow, 1000));
        for (flow, after) in (0..).zip(after) {
            if let Some(after) = after {
                // Told late, and again.
                starts.carried(flow, 1000 + after + 5);
                starts.carried(flow, 1000 + after);
                starts.carried(flow, 1000 + after + 9);
            }
        }
        starts
    }

    #[test]
    fn a_flow_may_take_twice_as_long_as_half_of_them_and_three_seconds_in_any_case() {
        let slow = [Some(50), Some(50), Some(55), Some(56), Some(56), None, None, None, None, None];
        let quick = [Some(8), Some(9), Some(9), Some(9), Some(9), Some(9), Some(9), Some(10), None, None];
        for (name, after, until) in [
            ("half after 5.6 s", slow, 100),
            ("half after 0.9 s", quick, 30),
            ("none begins", [None; 10], 100),
        ] {
            let starts = starts(after);
            assert!(starts.is_starting(9, 1000 + until - 1), "{name}");
            assert!(!starts.is_starting(9, 1000 + until), "{name}");
        }
        let starts = starts(slow);
        assert!(starts.is_starting(0, 1049) && !starts.is_starting(0, 1050), "one that carries has begun");
        assert!(!starts.is_starting(77, 1000), "one that moves no file never starts so");
    }
}
