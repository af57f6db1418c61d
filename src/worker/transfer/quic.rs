//! QUIC as a kind of traffic: one connection a flow, bulk streams in it, on quinn.
//!
//! `source` and `sink` are the two ends, `room` the socket under them, `trust` how they know
//! each other, `telling` what they say to the record. Here is what both ends agree on.
//!
//! ```text
//!  source                                            sink
//!    │  asks over a keyed TCP connection              │ endpoint, certificate of its own
//!    │◄── offer: port, the certificate's digest ──────│
//!    │─── QUIC handshake, certificate pinned ────────►│
//!    │─── control stream: hello, keyed ──────────────►│
//!    │◄── control stream: consent, each 500 ms ───────│
//!    │═══ a stream each: its place, then payload ════►│
//! ```
//!
//! QUIC costs about ten times as much of a core as TCP does: where it is slow, the cores are
//! looked at before the card. The host's sample covers the threads that carry it.

use std::{sync::Arc, time::Duration};

use quinn::{EndpointConfig, IdleTimeout, MtuDiscoveryConfig, TransportConfig, VarInt};

use super::hosted::HostedFlow;

mod pace;
mod room;
mod sink;
mod source;
mod telling;
mod trust;

pub use sink::sink;
pub use source::source;

/// What a sink may have unread, a stream and a connection: what a 10 Gb/s way holds in 13 ms.
const WINDOW_BYTES: u32 = 16 * 1024 * 1024;

/// What a source may have unacknowledged: more than ways of a few milliseconds hold at what
/// quinn can do. quinn looks through its pieces from the first on for each packet.
const SEND_WINDOW_BYTES: u64 = 2 * 1024 * 1024;

/// A paced source has no more than this time's worth under way, so that a way that was shut
/// for a moment is not flooded when it opens.
const PACED_WINDOW: Duration = Duration::from_millis(50);
const PACED_WINDOW_MIN_BYTES: u64 = 256 * 1024;

/// After so long without a word the connection is over, as consent is.
const SILENCE_MAX: Duration = Duration::from_secs(3);

/// The smallest datagram that every way of QUIC carries (RFC 9000, 14).
const DATAGRAM_MIN_BYTES: u16 = 1200;

/// The largest: a jumbo frame's. quinn keeps room for 2,048 of them for each endpoint, so
/// that loopback's 64 KiB would cost 134 MB.
const DATAGRAM_MAX_BYTES: u16 = 8952;

/// Headers of UDP and of IPv4 and IPv6, which an MTU counts.
const fn headers_bytes(ipv4: bool) -> u32 {
    if ipv4 { 28 } else { 48 }
}

/// The largest datagram of a way with this MTU.
fn datagram_bytes(mtu: u32, ipv4: bool) -> u16 {
    let fits = mtu.saturating_sub(headers_bytes(ipv4));
    fits.clamp(DATAGRAM_MIN_BYTES.into(), DATAGRAM_MAX_BYTES.into()) as u16
}

/// What an endpoint takes of datagrams.
fn endpoint_config(datagram_bytes: u16) -> EndpointConfig {
    let mut config = EndpointConfig::default();
    // Within its bounds, see `datagram_bytes`; otherwise quinn's own limit stays.
    let _ = config.max_udp_payload_size(datagram_bytes.max(DATAGRAM_MIN_BYTES));
    config
}

/// How a connection of this flow behaves, at both ends.
fn transport(hosted: &HostedFlow, datagram_bytes: u16) -> Arc<TransportConfig> {
    let mut discovery = MtuDiscoveryConfig::default();
    discovery.upper_bound(datagram_bytes);
    let mut config = TransportConfig::default();
    config
        .stream_receive_window(VarInt::from_u32(WINDOW_BYTES))
        .receive_window(VarInt::from_u32(WINDOW_BYTES))
        .send_window(send_window_bytes(hosted.flow.rate_bps))
        .max_concurrent_bidi_streams(VarInt::from_u32(1))
        .max_concurrent_uni_streams(VarInt::from_u32(hosted.carriage.streams.into()))
        .max_idle_timeout(IdleTimeout::try_from(SILENCE_MAX).ok())
        .datagram_receive_buffer_size(None)
        .initial_mtu(datagram_bytes)
        .mtu_discovery_config(Some(discovery));
    Arc::new(config)
}

fn send_window_bytes(rate_bps: Option<u64>) -> u64 {
    rate_bps.map_or(SEND_WINDOW_BYTES, |rate| {
        let worth = (rate / 8).saturating_mul(PACED_WINDOW.as_millis() as u64) / 1000;
        worth.clamp(PACED_WINDOW_MIN_BYTES, SEND_WINDOW_BYTES)
    })
}

/// Where a sink listens, and how its certificate is known.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct Offer {
    port: u16,
    /// SHA-256 of the certificate.
    fingerprint: [u8; 32],
}

impl Offer {
    fn text(&self) -> String {
        let digit = |nibble: u8| char::from_digit(nibble.into(), 16).unwrap_or('0');
        let digits: String =
            self.fingerprint.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect();
        format!("quic/1 {} {digits}", self.port)
    }

    fn read(text: &str) -> Option<Self> {
        let (port, digits) = text.strip_prefix("quic/1 ")?.split_once(' ')?;
        let digits: Vec<u8> =
            digits.chars().map(|digit| digit.to_digit(16).map(|digit| digit as u8)).collect::<Option<_>>()?;
        let bytes: Vec<u8> =
            digits.chunks(2).map(|pair| Some(pair[0] << 4 | pair.get(1)?)).collect::<Option<_>>()?;
        Some(Self { port: port.parse().ok()?, fingerprint: bytes.try_into().ok()? })
    }
}

#[cfg(test)]
mod tests;
