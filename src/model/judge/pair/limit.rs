//! What held a flow of a quick measurement up: named, and nobody accused of it.

use schemars::JsonSchema;
use serde::Serialize;

use super::datagrams::Datagrams;
use crate::model::record::line::TcpFlow;

/// A thread that was on a core this much of the time was what limited its end.
const CORE_BUSY_SHARE: f64 = 0.9;

/// A flow held up by a buffer or window for this share of its busy time was limited by it.
const HELD_UP_SHARE: f64 = 0.5;

/// More than one packet in a thousand lost, or sent again: the way drops.
const LOST_SHARE: f64 = 0.001;

/// A paced flow that got this much of its rate was limited by nothing else.
const RATE_KEPT_SHARE: f64 = 0.95;

/// What held a flow up.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Limit {
    /// A core of the sending host: more than the card was tested here.
    SenderCpu,
    /// A core of the receiving host.
    ReceiverCpu,
    /// The rate that was asked for.
    Rate,
    /// Packets were lost on the way or at its ends.
    Loss,
    /// The receiver's window.
    ReceiveWindow,
    /// The sender's own socket buffer, which the way's rate drains: the way itself.
    SendBuffer,
}

/// What held a flow up, the host before the way: what may be our own fault is not the card's.
pub(super) fn of(
    rate_bps: Option<u64>,
    goodput_bps: Option<u64>,
    (tcp, datagrams): (Option<TcpFlow>, Option<Datagrams>),
    (sender, receiver): (Option<f64>, Option<f64>),
) -> Option<Limit> {
    let goodput = goodput_bps? as f64;
    let busy = |share: Option<f64>| share.is_some_and(|share| share >= CORE_BUSY_SHARE);
    if rate_bps.is_some_and(|rate| goodput >= rate as f64 * RATE_KEPT_SHARE) {
        return Some(Limit::Rate);
    }
    if busy(sender) {
        return Some(Limit::SenderCpu);
    }
    if busy(receiver) {
        return Some(Limit::ReceiverCpu);
    }
    if datagrams.is_some_and(|datagrams| datagrams.lost_share.is_some_and(|lost| lost > LOST_SHARE)) {
        return Some(Limit::Loss);
    }
    let tcp = tcp?;
    let held = |us: u64| tcp.busy_us > 0 && us as f64 >= tcp.busy_us as f64 * HELD_UP_SHARE;
    if held(tcp.rwnd_us) {
        return Some(Limit::ReceiveWindow);
    }
    if tcp.segs > 0 && tcp.retr as f64 > tcp.segs as f64 * LOST_SHARE {
        return Some(Limit::Loss);
    }
    held(tcp.sndbuf_us).then_some(Limit::SendBuffer)
}
