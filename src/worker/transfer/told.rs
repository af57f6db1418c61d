//! What was last told of a stream, so that the same is not told again and again.

use super::around::Around;
use crate::model::{
    plan::layout::FlowId,
    record::line::{Body, StreamEvent, StreamSeen},
};

/// The same event of a stream is told at most this often.
const AGAIN_US: u64 = 1_000_000;

/// The last event that was told of a stream, and when, own clock, microseconds.
#[derive(Clone, Copy, Debug, Default)]
pub struct Told(Option<(StreamEvent, u64)>);

impl Told {
    /// Tells an event of a stream, unless the same one was told a moment ago.
    pub fn tell(&mut self, what: StreamEvent, flow: FlowId, stream: u16, around: &Around<'_>) {
        let again = self
            .0
            .is_some_and(|(told, at_us)| told == what && around.now_us.saturating_sub(at_us) < AGAIN_US);
        if !again {
            self.0 = Some((what, around.now_us));
            let at = around.shared.run_now();
            around.shared.tell(Body::Stream(StreamSeen { flow, stream, what, at }));
        }
    }

    /// Whether nothing was told for so long.
    pub fn is_quiet_for(&self, quiet_us: u64, now_us: u64) -> bool {
        self.0.is_none_or(|(_, at_us)| now_us >= at_us + quiet_us)
    }
}
