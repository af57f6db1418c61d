//! What a host says of its card, driver and kernel: the facts that an audit compares and
//! that stand behind a finding. Shapes only; reading them is the worker's work, comparing
//! them the judge's.
//!
//! A fact that could not be read is [`Fact::Unread`] with the reason, and one that the
//! kernel says does not exist is [`Fact::Absent`]: never a zero, never an empty text.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

mod counters;

pub use counters::{Counters, CountersMoved, KernelLine, NEIGHBOURS_MAX};

/// Something that was asked of a host.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fact<T> {
    /// The answer.
    Known(T),
    /// The kernel answered that there is no such thing here, for example rings of a veth.
    Absent,
    /// It could not be read, and why.
    Unread(String),
}

impl<T> Default for Fact<T> {
    fn default() -> Self {
        Self::Unread("not asked".to_owned())
    }
}

impl<T> Fact<T> {
    /// The answer, where there is one.
    pub const fn known(&self) -> Option<&T> {
        match self {
            Self::Known(value) => Some(value),
            Self::Absent | Self::Unread(_) => None,
        }
    }

    /// Why it could not be read, where that is so.
    pub fn unread(&self) -> Option<&str> {
        match self {
            Self::Unread(why) => Some(why),
            Self::Known(_) | Self::Absent => None,
        }
    }
}

/// When a host was asked for all of its facts.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Asked {
    /// Before any load.
    Start,
    /// After the last stage, or when the worker left.
    End,
    /// When the host was back after its contact was lost.
    Back,
}

/// All facts of a host, at one moment.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct HostFacts {
    /// At which occasion.
    pub asked: Asked,
    /// The kernel's boot id: same id, same boot, same kernel.
    pub boot_id: Fact<String>,
    /// What it runs on.
    pub machine: MachineFacts,
    /// The card under test.
    pub card: CardFacts,
    /// The driver's module, running and on disk.
    pub module: ModuleFacts,
    /// The kernels that are installed.
    pub kernels: Fact<Vec<InstalledKernel>>,
    /// Modules under DKMS.
    pub dkms: Fact<Vec<DkmsModule>>,
    /// Counters that are told as they are, for the bundle and for deltas.
    pub counters: Counters,
}

/// What a host runs on.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct MachineFacts {
    /// `uname -r`.
    pub kernel: Fact<String>,
    /// `PRETTY_NAME` of os-release.
    pub distribution: Fact<String>,
    /// `x86_64`, `aarch64`.
    pub architecture: Fact<String>,
    /// The instance type or product name, where DMI tells it.
    pub product: Fact<String>,
    /// Who made it, by DMI.
    pub vendor: Fact<String>,
    /// Cores this process may run on.
    pub cores: Fact<u32>,
    /// Memory, bytes.
    pub memory_bytes: Fact<u64>,
}

/// The card under test.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct CardFacts {
    /// The interface.
    pub iface: String,
    /// What the driver says of itself (`ETHTOOL_GDRVINFO`).
    pub driver: Fact<DriverInfo>,
    /// State, MTU, hardware address (rtnetlink).
    pub link: Fact<LinkFacts>,
    /// Speed, duplex, what is advertised (`ETHTOOL_GLINKSETTINGS`).
    pub settings: Fact<LinkSettings>,
    /// Offloads by ethtool's names, for example `rx-gro`, `tx-scatter-gather`.
    pub features: Fact<BTreeMap<String, Feature>>,
    /// Ring sizes.
    pub rings: Fact<Rings>,
    /// Queues.
    pub channels: Fact<Channels>,
    /// Interrupt coalescing, by field name.
    pub coalesce: Fact<BTreeMap<String, u32>>,
    /// Flow control.
    pub pause: Fact<Pause>,
    /// Addresses with their prefix length.
    pub addresses: Fact<Vec<String>>,
    /// Neighbours on this interface.
    pub neighbours: Fact<Vec<Neighbour>>,
    /// The `PCIe` link, where the card has one.
    pub pcie: Fact<PcieLink>,
    /// The card's interrupts and the cores that serve them.
    pub interrupts: Fact<Vec<Interrupt>>,
    /// The lower devices of a bond, VLAN or bridge, by name.
    pub lower: Vec<String>,
}

/// `struct ethtool_drvinfo`.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
pub struct DriverInfo {
    /// The driver's name.
    pub name: String,
    /// Its version; for drivers of the kernel's own tree, the kernel's.
    pub version: String,
    /// The firmware's version; empty where the driver tells none.
    pub firmware: String,
    /// For example `0000:00:05.0`.
    pub bus: String,
}

/// The link, from rtnetlink.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
pub struct LinkFacts {
    /// Administratively up.
    pub up: bool,
    /// Carrier.
    pub carrier: bool,
    /// `up`, `down`, `dormant`, … (RFC 2863).
    pub operstate: String,
    /// Maximum transmission unit, bytes.
    pub mtu: u32,
    /// The hardware address.
    pub mac: Option<String>,
    /// The queueing discipline at the root.
    pub qdisc: Option<String>,
    /// Transmit queues.
    pub tx_queues: Option<u32>,
    /// Receive queues.
    pub rx_queues: Option<u32>,
    /// The largest segment the card takes in one piece, bytes.
    pub gso_max_bytes: Option<u32>,
    /// Times the carrier came since the interface exists.
    pub carrier_up_count: u32,
    /// Times it went.
    pub carrier_down_count: u32,
}

/// Speed and duplex.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
pub struct LinkSettings {
    /// Bits per second; `None` where the driver says that it does not know.
    pub speed_bps: Option<u64>,
    /// The highest speed among the advertised link modes, bits per second.
    pub advertised_max_bps: Option<u64>,
    /// The highest speed among the supported link modes, bits per second.
    pub supported_max_bps: Option<u64>,
    /// `full`, `half`; `None` where unknown.
    pub duplex: Option<String>,
    /// Whether it negotiates.
    pub autoneg: Option<bool>,
}

/// One offload.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
pub struct Feature {
    /// In use.
    pub on: bool,
    /// Cannot be changed.
    pub fixed: bool,
}

/// Ring sizes, in descriptors.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
pub struct Rings {
    /// For receipt, now.
    pub rx: u32,
    /// At most.
    pub rx_max: u32,
    /// For sending, now.
    pub tx: u32,
    /// At most.
    pub tx_max: u32,
}

/// Queues.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
pub struct Channels {
    /// Receive only.
    pub rx: u32,
    /// Transmit only.
    pub tx: u32,
    /// Both.
    pub combined: u32,
    /// The most that `combined` can be.
    pub combined_max: u32,
}

/// Flow control.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
pub struct Pause {
    /// Negotiated.
    pub autoneg: bool,
    /// Obeyed.
    pub rx: bool,
    /// Sent.
    pub tx: bool,
}

/// A neighbour entry.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
pub struct Neighbour {
    /// Its address.
    pub addr: String,
    /// Its hardware address, where it is known.
    pub mac: Option<String>,
    /// `reachable`, `stale`, `failed`, …
    pub state: String,
}

impl Neighbour {
    /// Whether the kernel asked for it in vain.
    pub fn is_failed(&self) -> bool {
        matches!(self.state.as_str(), "failed" | "incomplete")
    }
}

/// A PCIe link.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
pub struct PcieLink {
    /// For example `8.0 GT/s PCIe`.
    pub speed: String,
    /// What the card could do.
    pub speed_max: String,
    /// Lanes.
    pub width: u32,
    /// Lanes the card could do.
    pub width_max: u32,
}

/// An interrupt of the card.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
pub struct Interrupt {
    /// Its number.
    pub irq: u32,
    /// Its name in `/proc/interrupts`.
    pub name: String,
    /// The cores that serve it, as the kernel writes them (`0-3,8`).
    pub cores: Fact<String>,
}

/// The driver's module.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
pub struct ModuleFacts {
    /// Its name; absent where the driver is built into the kernel or has none.
    pub name: Fact<String>,
    /// `/sys/module/X/version` of the one that runs; absent where it declares none.
    pub version: Fact<String>,
    /// `/sys/module/X/srcversion` of the one that runs.
    pub srcversion: Fact<String>,
}

/// A kernel that is installed.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
pub struct InstalledKernel {
    /// For example `6.8.0-45-generic`.
    pub release: String,
    /// Whether it is the one that runs.
    pub running: bool,
    /// Whether its headers are installed.
    pub headers: bool,
    /// The driver's module as it is on disk for this kernel.
    pub module: Fact<ModuleOnDisk>,
}

/// A module's file.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
pub struct ModuleOnDisk {
    /// The file, below `/lib/modules/RELEASE/`.
    pub path: String,
    /// Its `version=`, where it declares one.
    pub version: Option<String>,
    /// Its `srcversion=`.
    pub srcversion: Option<String>,
    /// Whether it comes from DKMS or another place outside the kernel's own tree.
    pub out_of_tree: bool,
}

/// A module under DKMS.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
pub struct DkmsModule {
    /// Its name, for example `ena` or `ixgbevf`.
    pub name: String,
    /// Its version.
    pub version: String,
    /// The modules it builds, by name.
    pub builds: Vec<String>,
    /// The kernels it is built for.
    pub built_for: Vec<String>,
}
