//! Conditions on packets, in nft's words.

use super::Hand;

/// What the egress hook sees of a packet before its IP header, and the ingress hook does not.
pub(crate) const ETHERNET_BYTES: u32 = 14;

/// A full frame of the usual MTU.
pub(crate) const FULL_FRAME_BYTES: u64 = 1514;

/// The mark of what a cable sends, so that it is not handed over again.
pub(crate) const CABLE_MARK: u32 = 0x6e62;

/// So many of a hundred packets, drawn at random. `numgen` counts to a million: a
/// ten-thousandth of a percent.
pub(crate) fn share(percent: f64) -> String {
    // Up to and with the last: a bound of a million is none of the draw's values.
    let last = (percent * 10_000.0).round().max(1.0) as u64 - 1;
    format!("numgen random mod 1000000 <= {last}")
}

/// Packets of TCP that carry data, not acknowledgements and handshakes alone.
pub(crate) const fn full_segment() -> &'static str {
    "meta l4proto tcp meta length > 1000"
}

/// Not yet treated by a cable.
pub(super) fn fresh() -> String {
    format!("meta mark != {CABLE_MARK:#x}")
}

/// Takes a cable's mark off, so that the rules that come after treat all packets alike.
pub(super) fn forget_cable() -> String {
    format!("meta mark {CABLE_MARK:#x} meta mark set 0")
}

/// What hands packets to the cable that begins at `near`. Hardware addresses are asked for by
/// broadcast, which never takes that way.
pub(super) fn handing(ip: &str, hand: Hand, near: &str) -> String {
    let unicast = format!("meta protocol {ip} ether daddr & 01:00:00:00:00:00 == 00:00:00:00:00:00");
    match hand {
        Hand::Over(None) => format!("{unicast} fwd to \"{near}\""),
        Hand::Over(Some(percent)) => format!("{unicast} {} fwd to \"{near}\"", share(percent)),
        Hand::Copy(percent) => format!("{unicast} {} dup to \"{near}\"", share(percent)),
    }
}
