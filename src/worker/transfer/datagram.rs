//! Numbered datagrams: what is on the wire, and the two ends of a flow of them.
//!
//! As trains (one call, cut by the kernel or the card) for volume, and as single frames
//! where a frame size is given: a train would be a fiction where frames are what is tested.
//!
//! A source without a rate is held by its receiver's window, not by loss: what overflows
//! the receiver's own socket buffer would say nothing of the card.

use super::{key::TransferKey, stage::Flow};
use crate::model::plan::carriage::{Carriage, ETHERNET_HEADER_BYTES, FrameSize};

pub mod sequence;
pub mod sink;
pub mod source;

/// Bytes of a datagram's own header: token, number, time.
pub const HEADER_BYTES: usize = 20;

/// Trains are at most this many datagrams (`UDP_MAX_SEGMENTS` is 64 on older kernels), and
/// at most what one IP packet holds.
const TRAIN_MAX: usize = 64;
const TRAIN_MAX_BYTES: usize = 65_000;

/// The longest that a train may take at the flow's rate, microseconds.
const TRAIN_US: u64 = 2_000;

/// What a single datagram costs of a socket's buffer beyond its bytes: the kernel charges
/// its own structures too (`skb->truesize`; 768 for 64 bytes, 2,304 for 1,472).
const CHARGE_BYTES: u64 = 1024;

/// Bytes of IPv4 and UDP headers, and of IPv6 and UDP.
const HEADERS_V4: usize = 28;
const HEADERS_V6: usize = 48;

/// How the datagrams of a flow look.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Shape {
    /// Bytes of a datagram, its own header included.
    pub datagram_bytes: usize,
    /// Datagrams that leave in one piece; 1 for single frames.
    pub train: usize,
    /// Bytes that a datagram counts for: its own for trains, the whole frame else.
    pub counts_bytes: u64,
    /// Bytes of a receiver's buffer that it takes.
    pub charge_bytes: u64,
    single: bool,
}

impl Shape {
    /// Of a flow over an interface of this MTU; `None` where the frame has no room for a
    /// numbered datagram.
    pub fn new(flow: &Flow, carriage: &Carriage, mtu: u32) -> Option<Self> {
        let headers = if flow.peer.is_ipv4() { HEADERS_V4 } else { HEADERS_V6 };
        if let Some(size) = carriage.frame_size_bytes {
            let size = match size {
                FrameSize::Bytes(size) => size,
                FrameSize::Mtu => u16::try_from(mtu).ok()?.checked_add(ETHERNET_HEADER_BYTES)?,
            };
            let datagram_bytes =
                usize::from(size.checked_sub(ETHERNET_HEADER_BYTES)?).checked_sub(headers)?;
            return (datagram_bytes >= HEADER_BYTES).then_some(Self {
                datagram_bytes,
                train: 1,
                counts_bytes: u64::from(size),
                charge_bytes: datagram_bytes as u64 + CHARGE_BYTES,
                single: true,
            });
        }
        let datagram_bytes = (mtu as usize).checked_sub(headers)?.min(TRAIN_MAX_BYTES);
        let train = (TRAIN_MAX_BYTES / datagram_bytes.max(1)).clamp(1, TRAIN_MAX);
        (datagram_bytes > HEADER_BYTES).then_some(Self {
            datagram_bytes,
            train,
            counts_bytes: datagram_bytes as u64,
            charge_bytes: datagram_bytes as u64,
            single: false,
        })
    }

    /// Trains no longer than two milliseconds of the rate: a slow flow is not to come in
    /// bursts.
    #[must_use]
    pub fn paced(mut self, rate_bps: u64) -> Self {
        let bytes = rate_bps / 8 * TRAIN_US / 1_000_000;
        self.train = ((bytes / self.counts_bytes) as usize).clamp(1, self.train);
        self
    }

    /// Whether frames leave one by one.
    pub const fn is_single(&self) -> bool {
        self.single
    }
}

/// The header of datagram `number`, sent at `at_us` of the run's clock.
pub fn header(token: u64, number: u64, at_us: u64) -> [u8; HEADER_BYTES] {
    let mut out = [0; HEADER_BYTES];
    out[..8].copy_from_slice(&token.to_be_bytes());
    out[8..14].copy_from_slice(&number.to_be_bytes()[2..]);
    out[14..].copy_from_slice(&at_us.to_be_bytes()[2..]);
    out
}

/// Number and time of a datagram that carries this token.
pub fn read_header(token: u64, bytes: &[u8]) -> Option<(u64, u64)> {
    let bytes = bytes.first_chunk::<HEADER_BYTES>()?;
    let u48 = |at: usize| bytes[at..at + 6].iter().fold(0u64, |sum, byte| sum << 8 | u64::from(*byte));
    (bytes[..8] == token.to_be_bytes()).then(|| (u48(8), u48(14)))
}

/// What marks the datagrams of a stream: nobody who does not hold the flow's key knows it.
pub fn token(key: &TransferKey, stream: u16) -> u64 {
    key.draw(&format!("datagrams/{stream}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::run::message::{Role, SecretHex};
    use std::sync::Arc;

    fn flow(peer: &str) -> Flow {
        let key = TransferKey::new(&SecretHex("a".repeat(64))).expect("64 digits");
        let peer = peer.parse().expect("an address");
        Flow { id: 1, role: Role::Source, peer, rate_bps: None, key, meter: Arc::default() }
    }

    fn shape(peer: &str, size: Option<u16>) -> Option<Shape> {
        let frame_size_bytes = size.map(FrameSize::Bytes);
        Shape::new(&flow(peer), &Carriage { frame_size_bytes, ..Carriage::tcp(1) }, 1500)
    }

    #[test]
    fn the_smallest_frame_has_room_over_ipv4_and_over_ipv6_a_larger_one() {
        assert_eq!(shape("10.0.0.1:1", Some(64)).map(|shape| shape.datagram_bytes), Some(22));
        assert_eq!(shape("[fd00::1]:1", Some(64)), None);
        assert_eq!(shape("[fd00::1]:1", Some(82)).map(|shape| shape.datagram_bytes), Some(20));
        assert_eq!(shape("10.0.0.1:1", Some(1514)).map(|shape| shape.datagram_bytes), Some(1472));
    }

    #[test]
    fn a_train_fills_one_ip_packet_and_no_more() {
        let shape = shape("10.0.0.1:1", None).expect("an MTU of 1,500");
        assert_eq!((shape.datagram_bytes, shape.train), (1472, 44));
        assert!(shape.train * shape.datagram_bytes <= 65_507);
    }

    #[test]
    fn a_header_says_its_number_and_only_to_who_knows_the_token() {
        let bytes = header(7, 0xabcd_ef01_2345, 99);
        assert_eq!(read_header(7, &bytes), Some((0xabcd_ef01_2345, 99)));
        assert_eq!(read_header(8, &bytes), None);
        assert_eq!(read_header(7, &bytes[..19]), None);
    }
}
