//! What was carried of each flow, and what it cost: shapes of the lines that workers tell
//! once a second beside the byte counts, and of bytes that differ.

use serde::{Deserialize, Serialize};

use super::few::{self, Few};
use crate::model::{fleet::units::RunTime, plan::layout::FlowId};

/// The state of a source's connections of one second, summed by flow.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TcpSeen {
    /// By flow.
    #[serde(serialize_with = "few::as_map")]
    pub flows: Few<FlowId, TcpFlow>,
}

// By reference, because serde asks so.
#[allow(clippy::trivially_copy_pass_by_ref, reason = "the signature is serde's")]
const fn is_zero(number: &u64) -> bool {
    *number == 0
}

/// `TCP_INFO` of a flow's streams: sums of this interval, and the worst of the rest.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct TcpFlow {
    /// Segments sent, with data.
    pub segs: u64,
    /// Segments sent again.
    pub retr: u64,
    /// Segments that arrived twice, as the far end told: so many of `retr` were sent again for
    /// nothing.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub dsack: u64,
    /// Smoothed round trip, microseconds, the largest of the streams.
    pub rtt_us: u32,
    /// Consecutive timeouts without an answer, the largest of the streams.
    pub backoff: u8,
    /// Time in which the receiver's window held it up, microseconds.
    pub rwnd_us: u64,
    /// Time in which its own send buffer held it up, microseconds.
    pub sndbuf_us: u64,
    /// Time with data to send, microseconds.
    pub busy_us: u64,
}

impl TcpFlow {
    /// Adds the state of other streams of the same flow.
    pub fn add(&mut self, other: &Self) {
        self.segs += other.segs;
        self.retr += other.retr;
        self.dsack += other.dsack;
        self.rtt_us = self.rtt_us.max(other.rtt_us);
        self.backoff = self.backoff.max(other.backoff);
        self.rwnd_us += other.rwnd_us;
        self.sndbuf_us += other.sndbuf_us;
        self.busy_us += other.busy_us;
    }
}

/// What arrived of a flow's datagrams since the line before.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
pub struct DatagramFlow {
    /// Datagrams with a number that had not come before.
    pub received: u64,
    /// Numbers newly missing below the highest that came; less than zero where late ones
    /// filled more gaps than opened.
    pub missing: i64,
    /// Numbers that came after a higher one.
    pub reordered: u64,
    /// Numbers that came again.
    pub duplicates: u64,
    /// The longest row of numbers that never came, so far.
    pub longest_gap: u64,
    /// How much the way's delay varied, microseconds (RFC 3550, 6.4.1), the streams' largest.
    pub jitter_us: u32,
    /// Datagrams that the receiver's own kernel dropped for want of room in the socket.
    pub socket_drops: u64,
}

impl DatagramFlow {
    /// Adds what arrived on another stream of the same flow.
    pub fn add(&mut self, other: &Self) {
        self.received += other.received;
        self.missing += other.missing;
        self.reordered += other.reordered;
        self.duplicates += other.duplicates;
        self.longest_gap = self.longest_gap.max(other.longest_gap);
        self.jitter_us = self.jitter_us.max(other.jitter_us);
        self.socket_drops += other.socket_drops;
    }
}

/// What a source handed over of a flow's datagrams since the line before.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
pub struct DatagramsSent {
    /// Datagrams that its kernel took.
    pub sent: u64,
    /// Datagrams that its own kernel refused or dropped: never the network's loss.
    pub refused: u64,
}

impl DatagramsSent {
    /// Adds what was sent on another stream of the same flow.
    pub fn add(&mut self, other: &Self) {
        self.sent += other.sent;
        self.refused += other.refused;
    }
}

/// What became of a flow's new connections since the line before.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
pub struct ConnectsFlow {
    /// Attempts begun.
    pub tried: u64,
    /// Handshake, hello and consent were exchanged.
    pub done: u64,
    /// The far kernel or process turned them away.
    pub refused: u64,
    /// No answer within 2.5 s.
    pub timed_out: u64,
    /// The own kernel had no way.
    pub unreachable: u64,
    /// Not begun: too many were under way.
    pub held: u64,
    /// What the done ones took, microseconds: median, 99th percentile, longest.
    pub took_us: Option<[u64; 3]>,
}

/// One end of a flow's QUIC connection; counts are since the line before.
///
/// What a source takes for lost includes what its sink's own kernel dropped for want of
/// room: the sink's `socket_drops` are to be subtracted before any of it is the network's.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
pub struct QuicSeen {
    /// The flow.
    pub flow: FlowId,
    /// Packets sent.
    pub packets: u64,
    /// Packets of these taken for lost, without probes of the MTU.
    pub lost: u64,
    /// Smoothed round trip, microseconds.
    pub rtt_us: u32,
    /// The congestion window, bytes.
    pub cwnd_bytes: u64,
    /// The size of full datagrams, UDP's payload, bytes.
    pub datagram_bytes: u16,
    /// Datagrams that this end's own kernel dropped for want of room in the socket; `None`
    /// where it does not tell.
    pub socket_drops: Option<u64>,
    /// The socket's receive buffer, as the kernel counts it, bytes.
    pub receive_buffer_bytes: u64,
    /// And its send buffer.
    pub send_buffer_bytes: u64,
}

/// What a receiver compared of a flow.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
pub struct VerifiedFlow {
    /// Bytes compared.
    pub bytes: u64,
    /// Bytes of these that differed.
    pub differing_bytes: u64,
    /// What comparing cost, nanoseconds.
    pub compare_ns: u64,
}

impl VerifiedFlow {
    /// Adds what another thread compared.
    pub fn add(&mut self, other: &Self) {
        self.bytes += other.bytes;
        self.differing_bytes += other.differing_bytes;
        self.compare_ns += other.compare_ns;
    }
}

/// Verified payload that differed.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct CorruptSeen {
    /// The flow.
    pub flow: FlowId,
    /// The stream's place in the flow.
    pub stream: u16,
    /// When it was read.
    pub at: RunTime,
    /// Bytes of the stream before the first differing one.
    pub offset: u64,
    /// Bytes that differed in what was compared at once.
    pub bytes: u64,
    /// The first differing byte as it was sent.
    pub sent: u8,
    /// And as it arrived.
    pub received: u8,
}
