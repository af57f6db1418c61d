//! What was told of a stream, so that the same is not told again and again.

use super::{Shared, around::Around, inlet::Difference};
use crate::model::{
    plan::layout::FlowId,
    record::line::{Body, CorruptSeen, StreamEvent, StreamSeen},
};

/// The same event of a stream is told at most this often.
const AGAIN_US: u64 = 1_000_000;

/// Differences that are told one by one; all are counted.
const DIFFERENCES_MAX: u32 = 64;

/// The last event that was told of a stream, and when, own clock, microseconds.
#[derive(Clone, Copy, Debug, Default)]
pub struct Told(Option<(StreamEvent, u64)>);

impl Told {
    /// Whether an event is to be told now: the same one was not a moment ago.
    pub fn is_news(&mut self, what: StreamEvent, now_us: u64) -> bool {
        let again =
            self.0.is_some_and(|(told, at_us)| told == what && now_us.saturating_sub(at_us) < AGAIN_US);
        if !again {
            self.0 = Some((what, now_us));
        }
        !again
    }

    /// Tells an event of a stream, unless the same one was told a moment ago.
    pub fn tell(&mut self, what: StreamEvent, flow: FlowId, stream: u16, around: &Around<'_>) {
        if self.is_news(what, around.now_us) {
            let at = around.shared.run_now();
            around.shared.tell(Body::Stream(StreamSeen { flow, stream, what, at }));
        }
    }

    /// Whether nothing was told for so long.
    pub fn is_quiet_for(&self, quiet_us: u64, now_us: u64) -> bool {
        self.0.is_none_or(|(_, at_us)| now_us >= at_us + quiet_us)
    }
}

/// How many differences between what was sent and what arrived were told.
#[derive(Clone, Copy, Debug, Default)]
pub struct Differences(u32);

impl Differences {
    /// Tells one, unless enough were.
    pub fn tell(&mut self, found: Difference, flow: FlowId, stream: u16, shared: &Shared) {
        if self.0 < DIFFERENCES_MAX {
            self.0 += 1;
            shared.tell(Body::Corrupt(CorruptSeen {
                flow,
                stream,
                at: shared.run_now(),
                offset: found.position,
                bytes: found.bytes,
                sent: found.sent,
                received: found.received,
            }));
        }
    }
}
