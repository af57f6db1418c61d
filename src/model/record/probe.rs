//! What probes came to: small datagrams and handshakes on a fixed schedule, told by who sent
//! them and by who heard them. Shapes only.
//!
//! Ticks lie on the run's clock, [`TICK_US`] long; each observer probes each of its targets
//! once a tick, by an echo and by a handshake. The schedule waits for no answer, so that a
//! silent target hides nothing (coordinated omission).

use serde::{Deserialize, Serialize};
use smallvec::SmallVec;

use super::few::Few;
use crate::model::fleet::host::HostId;

/// Length of a tick: five probes a second (the contract's figure).
pub const TICK_US: u64 = 200_000;

/// Ticks of a line: a second.
pub const TICKS_A_LINE: u64 = 5;

/// A probe without an answer for so long has none.
pub const ANSWER_US: u64 = 1_000_000;

/// A probe's outcome that means: sent, and never answered.
pub const NO_ANSWER: u32 = 0;

/// When within a tick an observer probes a target, microseconds: spread out, so that no target
/// hears all of its observers at once. Knuth's multiplicative hash.
pub fn moment_us(observer: HostId, target: HostId) -> u64 {
    let mixed = (u32::from(observer.0) << 16 | u32::from(target.0)).wrapping_mul(2_654_435_769);
    u64::from(mixed >> 16) * TICK_US * 9 / 10 / (1 << 16)
}

/// What became of the probes of a line: a round trip in microseconds, [`NO_ANSWER`], or `None`
/// where none was sent.
pub type Outcomes = SmallVec<[Option<u32>; TICKS_A_LINE as usize]>;

/// What one worker's probes came to within the ticks of a line, as observer and as target.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
pub struct ProbesSeen {
    /// The number of the first tick.
    pub first: u64,
    /// By target and tick: the echo's round trip, microseconds, without the time that the
    /// target's own process held it; [`NO_ANSWER`]; `None` where none was sent.
    #[serde(default, skip_serializing_if = "Few::is_empty")]
    pub udp: Few<HostId, Outcomes>,
    /// The same of handshakes; the target's kernel answers them alone.
    #[serde(default, skip_serializing_if = "Few::is_empty")]
    pub tcp: Few<HostId, Outcomes>,
    /// By observer: a bit for each tick whose echo was asked for here, the lowest for the first.
    #[serde(default, skip_serializing_if = "Few::is_empty")]
    pub heard: Few<HostId, u32>,
    /// The longest that this process held an echo before it answered, microseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub held_us: Option<u32>,
}
