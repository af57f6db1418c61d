//! Whether what a host received shows on the counters of the interface under test.
//!
//! # What does not belong here
//!
//! What it received: `measured`. What others sent over the same interface: `others`.

use super::seen::Seen;
use crate::model::{
    fleet::{
        host::HostId,
        units::{RunTime, SLOT_US},
    },
    record::slot_bytes::SlotBytes,
};

/// Share of own bytes that must show on the interface's counters.
const SHOWN_SHARE: f64 = 0.95;

/// Own bytes below which counters are not compared: other traffic and rounding weigh too much.
const SHOWN_BYTES_MIN: u64 = 1_000_000;

/// Where own bytes did not show on the interface's own counters: shown and own, in bytes.
pub fn missed(seen: &Seen, host: HostId) -> Option<(u64, u64)> {
    let links: Vec<_> = seen.links(host).collect();
    let received = received(seen, host);
    // Whole slots between two readings, so that no byte counts that was not yet or no longer read from
    // the interface.
    let between = |from: RunTime, to: RunTime| {
        let by = |slot: u64| received.get(slot as usize).or(received.last()).copied().unwrap_or_default();
        by(to.0 / SLOT_US).saturating_sub(by(from.0.div_ceil(SLOT_US)))
    };
    // A counter that fell was reset with its driver: before and after it counts for itself.
    let unbroken = links.chunk_by(|(_, before), (_, after)| before.rx_bytes <= after.rx_bytes);
    let (mut shown, mut own) = (0, 0);
    for part in unbroken {
        let ((from, first), (to, last)) = (part.first()?, part.last()?);
        shown += last.rx_bytes - first.rx_bytes;
        own += between(*from, *to);
    }
    (own >= SHOWN_BYTES_MIN && (shown as f64) < SHOWN_SHARE * own as f64).then_some((shown, own))
}

/// Bytes of flows that a host had received as each slot of the run began.
fn received(seen: &Seen, host: HostId) -> Vec<u64> {
    let mut by_slot: Vec<u64> = vec![0];
    for flow in seen.flows_of(host).filter(|flow| flow.to == host) {
        let first = seen.rounds[flow.round].start as usize + 1;
        if by_slot.len() < first + flow.slots.len() {
            by_slot.resize(first + flow.slots.len(), 0);
        }
        for (sum, bytes) in by_slot[first..].iter_mut().zip(&flow.slots) {
            *sum += bytes.map_or(0, SlotBytes::get);
        }
    }
    let mut sum = 0;
    for bytes in &mut by_slot {
        sum += *bytes;
        *bytes = sum;
    }
    by_slot
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::model::{
        judge::tests::field::Field,
        plan::layout::StageKind,
        record::line::{Body, HostSeen, LinkSeen},
    };

    /// What is made of h1's counter that each second reads so, given what truly arrived by then.
    fn told(read: impl Fn(u64) -> u64) -> Option<(u64, u64)> {
        let mut field = Field::of(4);
        field.pairs_as(StageKind::Load, 2.0, |_, _| 40e6);
        let end = field.seen.rounds.last().expect("rounds").end / 10 + 1;
        let arrived = received(&field.seen, HostId(0));
        for second in 0..=end {
            let at = RunTime(second * 1_000_000);
            let arrived = arrived.get(second as usize * 10).or(arrived.last()).copied().unwrap_or_default();
            let link = LinkSeen { carrier: true, rx_bytes: read(arrived), ..LinkSeen::default() };
            let state = HostSeen { link: Some(link), ..HostSeen::default() };
            field.take(1, at, Body::Host(Arc::new(state)));
        }
        missed(&field.seen, HostId(0))
    }

    #[test]
    fn bytes_that_do_not_show_are_of_another_card_and_a_reset_is_no_matter() {
        assert_eq!(told(|arrived| arrived), None);
        let reset = |arrived: u64| arrived.checked_sub(15_000_000).unwrap_or(arrived);
        assert_eq!(told(reset), None, "its driver was loaded anew");
        assert!(told(|arrived| arrived / 2).is_some());
        assert!(told(|_| 0).is_some());
    }
}
