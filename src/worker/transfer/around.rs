//! What the ends of flows need of the thread that carries them.

use std::{collections::VecDeque, sync::Arc};

use super::{
    Shared,
    payload::Payload,
    poller::{Letter, Mailbox, Poller},
};
use crate::model::{plan::layout::FlowId, run::message::Role};

/// A stream's turn to send or to receive.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Turn {
    /// Which end.
    pub role: Role,
    /// Of which flow.
    pub flow: FlowId,
    /// The stream's place in it.
    pub place: u16,
}

/// What an end needs of its carrier.
pub struct Around<'a> {
    /// Shared with the control plane.
    pub shared: &'a Shared,
    /// Its carrier's event queue.
    pub poller: &'a mut Poller,
    /// Own clock, microseconds.
    pub now_us: u64,
    /// What is sent.
    pub payload: &'a Arc<Payload>,
    /// Streams that can go on at once, in the order of their turns.
    pub turns: &'a mut VecDeque<Turn>,
    /// Which of the worker's carriers this is, and all of them.
    pub place: &'a Place,
}

/// Which of a worker's carriers this is.
#[derive(Clone, Debug)]
pub struct Place {
    /// From 0; the first one listens.
    pub index: usize,
    /// Everybody's mailbox.
    pub mailboxes: Vec<Arc<Mailbox>>,
}

impl Place {
    /// The carrier that has a stream: the same number at both ends, so that where the ends
    /// share a machine they share a core.
    pub fn owner(&self, flow: FlowId, stream: u16) -> usize {
        (flow as usize + usize::from(stream)) % self.mailboxes.len()
    }

    /// Which streams of a flow this carrier has.
    pub fn deal(&self, flow: FlowId) -> Deal {
        let count = self.mailboxes.len();
        let first = (self.index + count - flow as usize % count) % count;
        Deal { first: first as u16, step: count as u16 }
    }
}

impl Around<'_> {
    /// Which streams of a flow this carrier has.
    pub fn deal(&self, flow: FlowId) -> Deal {
        self.place.deal(flow)
    }

    /// Leaves a letter for every other carrier.
    pub fn tell_others(&self, letter: &Letter) {
        let Letter::Answered(flow) = letter else { return };
        for (index, mailbox) in self.place.mailboxes.iter().enumerate() {
            if index != self.place.index {
                mailbox.put(Letter::Answered(*flow));
            }
        }
    }
}

/// Which streams of a flow one thread has: every so-manieth, from the first on.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Deal {
    first: u16,
    step: u16,
}

impl Deal {
    /// Whether it has the flow's first stream, and so speaks for the flow.
    pub const fn has_first(self) -> bool {
        self.first == 0
    }

    /// Its streams of so many.
    pub fn places(self, streams: u16) -> impl Iterator<Item = u16> {
        (self.first..streams).step_by(usize::from(self.step))
    }

    /// The how-manieth of its own streams this one is.
    pub fn index(self, place: u16) -> Option<usize> {
        let past = place.checked_sub(self.first)?;
        (past % self.step == 0).then(|| usize::from(past / self.step))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_stream_of_every_flow_has_exactly_one_carrier_and_both_ends_agree() {
        let mailboxes: Vec<_> = (0..3).map(|_| Arc::new(Mailbox::new().expect("a mailbox"))).collect();
        let places: Vec<Place> = (0..3).map(|index| Place { index, mailboxes: mailboxes.clone() }).collect();
        for flow in 1..20 {
            let mut dealt = vec![0; 10];
            for place in &places {
                let deal = place.deal(flow);
                for (index, stream) in deal.places(10).enumerate() {
                    dealt[usize::from(stream)] += 1;
                    assert_eq!(place.owner(flow, stream), place.index);
                    assert_eq!(deal.index(stream), Some(index));
                }
            }
            assert_eq!(dealt, [1; 10], "flow {flow}");
            assert_eq!(places.iter().filter(|place| place.deal(flow).has_first()).count(), 1);
        }
    }
}
