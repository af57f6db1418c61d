//! Cuts receivers' byte counts on the grid of 100 ms slots, and says which were not measured.

use std::{collections::BTreeMap, sync::Arc};

use super::stage::Meter;
use crate::model::{
    fleet::units::{RunTime, SLOT_US},
    plan::layout::FlowId,
    record::{
        line::{Samples, SlotCounts},
        slot_bytes::SlotBytes,
    },
};

/// A slot read later than this counts as missing (the contract's figure): its bytes may be
/// the next one's.
const MISSING_US: u64 = 50_000;

/// Bounds that are off by more than this are told with the slot (the contract's figure).
const OFF_US: u64 = 5_000;

/// Slots after its end in which a flow's last bytes still arrive.
const DRAIN_SLOTS: u64 = 2;

/// Slots that a line holds at most: lines are due every 250 ms.
const LINE_SLOTS: u64 = 3;

/// After an empty slot, lines go out with every slot for this long: a fall is told at once.
const HURRY_SLOTS: u64 = 10;

/// Flows in one line at most, so that it stays under 48 KiB.
const LINE_FLOWS: usize = 800;

/// Slots of several flows.
type Counts = BTreeMap<FlowId, SlotCounts>;

/// One flow's counts.
#[derive(Debug)]
struct Count {
    meter: Arc<Meter>,
    first: u64,
    end: u64,
    /// Bytes that were received before the open slot.
    before: u64,
    closed: SlotCounts,
}

/// The counts of all flows whose slots one thread keeps.
#[derive(Debug, Default)]
pub struct Slots {
    flows: BTreeMap<FlowId, Count>,
    now: Option<u64>,
    /// Whether the open slot began too late to count.
    tainted: bool,
    off: Vec<(u64, RunTime, RunTime)>,
    opened_at: RunTime,
    hurry_until: u64,
}

impl Slots {
    /// A flow is to be counted from slot `first` up to, not with, slot `end`.
    pub fn add(&mut self, flow: FlowId, meter: &Arc<Meter>, first: u64, end: u64) {
        let late = self.now.filter(|now| *now > first);
        let first = late.map_or(first, |now| now + 1);
        let count = Count {
            meter: Arc::clone(meter),
            first,
            end: end + DRAIN_SLOTS,
            before: meter.received(),
            closed: SlotCounts::new(),
        };
        self.flows.insert(flow, count);
    }

    /// Closes what is over at `at`. Returns how late the last boundary was noticed,
    /// microseconds, where one was.
    pub fn advance(&mut self, at: RunTime) -> Option<u64> {
        let slot = at.slot();
        let Some(now) = self.now else {
            self.now = Some(slot);
            self.opened_at = at;
            self.tainted = at.0 - RunTime::of_slot(slot).0 > MISSING_US;
            return None;
        };
        if slot <= now {
            return None;
        }
        let late = at.0 - RunTime::of_slot(now + 1).0;
        let into = at.0 - RunTime::of_slot(slot).0;
        let measured = late <= MISSING_US && !self.tainted;
        if measured && (late > OFF_US || self.opened_at.0.saturating_sub(RunTime::of_slot(now).0) > OFF_US) {
            self.off.push((now, self.opened_at, at));
        }
        for count in self.flows.values_mut() {
            let received = count.meter.received();
            // Bytes of a slot that does not count are nobody's: the next slot starts afresh.
            let open = received - std::mem::replace(&mut count.before, received);
            for closing in now.max(count.first)..slot.min(count.end) {
                let value = (closing == now && measured).then_some(open);
                if value == Some(0) && closing + DRAIN_SLOTS < count.end {
                    self.hurry_until = slot + HURRY_SLOTS;
                }
                count.closed.push(value.map(SlotBytes::new));
            }
        }
        self.now = Some(slot);
        self.opened_at = at;
        self.tainted = into > MISSING_US;
        Some(late)
    }

    /// Lines that are due now: every 2 or 3 slots, with every slot after an empty one, and
    /// whatever is left of flows that are over.
    pub fn due(&mut self) -> Vec<Samples> {
        let Some(now) = self.now else { return Vec::new() };
        let hurry = now <= self.hurry_until;
        let on_beat = now % 5 == 0 || now % 5 == 3;
        let mut groups: BTreeMap<(u64, usize), Counts> = BTreeMap::new();
        for (flow, count) in &mut self.flows {
            let length = count.closed.len();
            let over = now >= count.end;
            if length == 0 || !(hurry || over || (on_beat && length >= 2) || length as u64 >= LINE_SLOTS) {
                continue;
            }
            let closed = std::mem::take(&mut count.closed);
            groups.entry((count.first, length)).or_default().insert(*flow, closed);
            count.first += length as u64;
        }
        self.flows.retain(|_, count| now < count.end || !count.closed.is_empty());
        let mut lines = Vec::new();
        for ((first, length), flows) in groups {
            let slots = first..first + length as u64;
            let off: Box<[_]> = self.off.iter().filter(|(slot, ..)| slots.contains(slot)).copied().collect();
            let flows: Vec<_> = flows.into_iter().collect();
            for part in flows.chunks(LINE_FLOWS) {
                let rx = part.iter().cloned().collect();
                lines.push(Samples { s: first, rx, off: off.clone(), ..Samples::default() });
            }
        }
        self.off.retain(|(slot, ..)| slot + LINE_SLOTS >= now);
        lines
    }

    /// The next boundary.
    pub fn next_boundary(at: RunTime) -> RunTime {
        RunTime((at.slot() + 1) * SLOT_US)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::Ordering;

    /// Feeds `(time in ms, bytes)` and gives all slots of flow 1.
    fn cut(steps: &[(u64, u64)], until_ms: u64) -> Vec<Option<u64>> {
        let mut slots = Slots::default();
        let mut lines = Vec::new();
        let meter = Arc::new(Meter::default());
        slots.advance(RunTime(0));
        slots.add(1, &meter, 0, 10);
        // Past the flow's end, so that what was held back for the next line comes out too.
        for &(ms, bytes) in steps.iter().chain(&[(until_ms, 0), (1200, 0), (1300, 0)]) {
            slots.advance(RunTime(ms * 1000));
            meter.received.fetch_add(bytes, Ordering::Relaxed);
            lines.extend(slots.due());
        }
        let mut all: BTreeMap<u64, Option<u64>> = BTreeMap::new();
        for line in &lines {
            for (slot, value) in (line.s..).zip(&line.rx[&1]) {
                assert!(all.insert(slot, value.map(SlotBytes::get)).is_none(), "slot {slot} twice");
            }
        }
        all.into_values().take(until_ms as usize / 100).collect()
    }

    #[test]
    fn slots_hold_the_bytes_that_were_read_in_them() {
        assert_eq!(
            cut(&[(10, 5), (99, 1), (100, 7), (200, 0), (300, 2)], 400),
            [Some(6), Some(7), Some(0), Some(2)]
        );
    }

    #[test]
    fn a_slot_read_late_is_missing_and_so_is_the_one_in_which_it_was_read() {
        assert_eq!(cut(&[(10, 5), (100, 7), (270, 900), (300, 1)], 400), [Some(5), None, None, Some(1)]);
        assert_eq!(
            cut(&[(10, 5), (140, 7), (200, 1)], 300),
            [Some(5), Some(7), Some(1)],
            "40 ms are told, not lost"
        );
    }

    #[test]
    fn a_process_that_did_not_run_leaves_gaps_and_no_burst() {
        let slots = cut(&[(10, 5), (100, 5), (780, 99_999), (800, 5)], 900);
        assert_eq!(slots, [Some(5), None, None, None, None, None, None, None, Some(5)]);
    }

    #[test]
    fn an_empty_slot_is_told_at_once() {
        let mut slots = Slots::default();
        let meter = Arc::new(Meter::default());
        slots.advance(RunTime(0));
        slots.add(1, &meter, 0, 50);
        slots.advance(RunTime(100_000));
        assert_eq!(slots.due().len(), 1);
        meter.received.fetch_add(9, Ordering::Relaxed);
        slots.advance(RunTime(200_000));
        assert_eq!(slots.due().len(), 1, "and so is what follows");
    }
}
