//! Counters of a host and lines of its kernel's log, as they move and come.

use std::collections::BTreeMap;

use arcstr::ArcStr;
use serde::{Deserialize, Serialize};

use super::Neighbour;
use crate::model::{
    fleet::units::RunTime,
    record::few::{self, Few},
};

/// Counters at one moment. Names are their source's own; a map that could not be read is
/// missing here and stands in `unread`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Counters {
    /// `rtnl_link_stats64`, for example `rx_crc_errors`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub link: BTreeMap<String, u64>,
    /// The driver's own (`ethtool -S`).
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub driver: BTreeMap<String, u64>,
    /// `/proc/net/snmp` and `/proc/net/netstat`, for example `Tcp.RetransSegs`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub protocols: BTreeMap<String, u64>,
    /// `/proc/net/softnet_stat`, summed over cores: `processed`, `dropped`, `time_squeeze`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub softnet: BTreeMap<String, u64>,
    /// Queueing disciplines of the interface: `drops`, `overlimits`, `requeues`, `backlog`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub qdisc: BTreeMap<String, u64>,
    /// PCIe advanced error reporting: `correctable`, `nonfatal`, `fatal`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub pcie: BTreeMap<String, u64>,
    /// By core: softirq and steal, in ticks (`cpu0.softirq`); and of all: time under pressure,
    /// microseconds (`pressure.memory.full`).
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub cpu: BTreeMap<String, u64>,
    /// Addresses of the interface at that moment, with their prefix length.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub addresses: Vec<String>,
    /// Neighbours on the interface at that moment; looked at each second, told where they change.
    #[serde(skip)]
    pub neighbours: Vec<Neighbour>,
    /// What could not be read, and why; by group, or by what else it is.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub unread: BTreeMap<String, String>,
}

/// Neighbours on one line at most: a rack that vanishes at once fills some lines.
pub const NEIGHBOURS_MAX: usize = 64;

/// Counters that moved since the line before from the same worker; the first line and the
/// `End` facts tell them whole.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct CountersMoved {
    /// Since when.
    pub since: RunTime,
    /// By group and name as in [`Counters`] (`link.rx_crc_errors`): by how much. A counter
    /// that went backwards is told as a negative step. Of a record that is read, each name is
    /// there once (`names`).
    #[serde(serialize_with = "few::as_map")]
    pub moved: Few<ArcStr, i64>,
    /// Addresses of the interface that are gone since.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub addresses_gone: Vec<String>,
    /// Addresses that came.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub addresses_came: Vec<String>,
    /// Neighbours that are new, whose hardware address changed, or that failed or work again; at most
    /// [`NEIGHBOURS_MAX`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub neighbours: Vec<Neighbour>,
    /// Counters that moved but found no room on this line; a later one tells their whole step.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub left_out: u32,
}

// By reference, because serde asks so.
#[allow(clippy::trivially_copy_pass_by_ref, reason = "the signature is serde's")]
const fn is_zero(number: &u32) -> bool {
    *number == 0
}

/// A line of the kernel's log, of level error or worse, or one that the classifier knows.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct KernelLine {
    /// When the kernel wrote it, on the run's clock.
    pub at: RunTime,
    /// The syslog level, 0 (emergency) to 7 (debug).
    pub level: u8,
    /// Its text, at most 512 bytes, control characters replaced.
    pub text: String,
}
