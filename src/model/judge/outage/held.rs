//! Hosts that stood still for a while, however short, and otherwise answer in time: what passes to
//! and from them is held meanwhile, and not lost.
//!
//! What is lost or refused meanwhile tells nothing of their cards' other faults. Who stands still again
//! and again is `stalls`' to find, who is silent for a second its parent's.

use std::{collections::BTreeMap, ops::Range};

use super::{PROBES_MIN, observers_of, partners, shown_to_most, such, ticks_within};
use crate::model::{
    fleet::host::HostId,
    judge::{
        falls::Fall,
        seen::{
            FlowSeen, Seen,
            probes::{Asked, Outcome},
        },
    },
};

/// Ticks before and after that tell how a host answers otherwise: five seconds' each.
const AROUND_TICKS: u64 = 25;

/// An answer was held from this round trip on, microseconds, at whatever load: full queues of healthy hosts
/// hold it for a part of that.
const LATE_US: u32 = 20_000;

/// Share of the echoes within a fall that came back late, where they were held: under full load queues
/// overflow meanwhile, and a sixth was lost there.
const HELD_SHARE: f64 = 0.6;

/// Whether what passed to and from a host in a fall was held: its echoes, and those of others to it, came
/// back late, and so did handshakes. These a kernel answers alone: where they are in time, it was the
/// process that stood still.
pub fn was_held(seen: &Seen, fall: &Fall) -> bool {
    let (first, end) = ticks_within(seen, fall);
    [Asked::Echo, Asked::Handshake].into_iter().all(|asked| {
        let late = such(seen, partners(seen, fall.host, asked), asked, first..end, came_late);
        late.of >= PROBES_MIN && late.rate() >= HELD_SHARE
    })
}

const fn is_late(outcome: Outcome) -> bool {
    match outcome {
        Outcome::Lost => true,
        Outcome::Answered(us) => us >= LATE_US,
    }
}

/// Whether an answer came, and late.
fn came_late(outcome: Outcome) -> bool {
    outcome != Outcome::Lost && is_late(outcome)
}

/// Who stood still when, as it is asked for: the flows of a round ask the same of the same hosts.
pub struct Held<'a> {
    seen: &'a Seen,
    /// Whether answers that never came count as late ones do.
    never_too: bool,
    known: BTreeMap<(HostId, u64, u64), bool>,
}

impl<'a> Held<'a> {
    /// Hosts that answered late, or, where that counts too, never.
    pub const fn of(seen: &'a Seen, never_too: bool) -> Self {
        Self { seen, never_too, known: BTreeMap::new() }
    }

    /// Whether one end of a flow stood still within these ticks.
    pub fn an_end_of(&mut self, flow: &FlowSeen, ticks: &Range<u64>) -> bool {
        [flow.from, flow.to].into_iter().any(|host| {
            let looked = || is_held(self.seen, host, ticks, self.never_too);
            *self.known.entry((host, ticks.start, ticks.end)).or_insert_with(looked)
        })
    }
}

fn is_held(seen: &Seen, host: HostId, ticks: &Range<u64>, never_too: bool) -> bool {
    let observers = observers_of(seen, host);
    let is_out = |tick| shown_to_most(seen, host, &observers, tick, is_late) == Some(true);
    let some_answered_late = |tick| {
        observers
            .iter()
            .filter_map(|observer| seen.probes.outcome(*observer, host, Asked::Echo, tick))
            .any(came_late)
    };
    if !ticks.clone().any(|tick| is_out(tick) && (never_too || some_answered_late(tick))) {
        return false;
    }
    // Who is far away is always late, and stands still no more than others.
    let around = ticks.start.saturating_sub(AROUND_TICKS)..ticks.end + AROUND_TICKS;
    let known: Vec<bool> =
        around.filter_map(|tick| shown_to_most(seen, host, &observers, tick, is_late)).collect();
    known.iter().filter(|out| **out).count() * 2 < known.len()
}
