//! What a worker tells of its host each second. What its kernel counts besides is `facts`'.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// The host, once a second.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct HostSeen {
    /// The card's state; `None` where it could not be read.
    pub link: Option<LinkSeen>,
    /// How late the worker's samplers were over the second, microseconds: p99 and max.
    pub late_us: Option<(u64, u64)>,
    /// Of the worker's carrying threads over the second: share of a core used, and share of
    /// the time in which they were runnable but not running; the largest of the threads.
    pub threads: Option<(f32, f32)>,
    /// Share of all cores' time that was not idle; and stolen by the hypervisor.
    pub cpu: Option<(f32, f32)>,
    /// What could not be read, and why.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub unread: BTreeMap<String, String>,
}

/// Facts of the card under test, from rtnetlink.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
pub struct LinkSeen {
    /// Administratively up.
    pub up: bool,
    /// Carrier.
    pub carrier: bool,
    /// Times the carrier was lost since the interface exists.
    pub carrier_down: u32,
    /// Maximum transmission unit, bytes.
    pub mtu: u32,
    /// Bytes received, all traffic.
    pub rx_bytes: u64,
    /// Bytes sent, all traffic.
    pub tx_bytes: u64,
    /// Packets received.
    pub rx_packets: u64,
    /// Packets sent.
    pub tx_packets: u64,
    /// Errors on receipt.
    pub rx_errors: u64,
    /// Errors on sending.
    pub tx_errors: u64,
    /// Dropped on receipt.
    pub rx_dropped: u64,
    /// Dropped on sending.
    pub tx_dropped: u64,
}
