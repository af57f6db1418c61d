//! `summary.json`: the verdicts as others script against them.
//!
//! A contract: names stay, keys are always present, unmeasured numbers are null. Keys are
//! sorted in the file, which is why it is rendered by way of [`serde_json::Value`].

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::model::fleet::host::HostName;

mod kind;

pub use kind::FindingKind;

/// The schema's name.
pub const SUMMARY_SCHEMA: &str = "nicburn.summary/1";

/// What a run came to.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Summary {
    /// `nicburn.summary/1`.
    pub schema: String,
    /// Whether every planned host passed and the fleet has no fault.
    pub passed: bool,
    /// The fleet as a whole.
    pub verdict: FleetVerdict,
    /// Which run.
    pub run: RunSummary,
    /// What concerns no single host.
    pub fleet: FleetSummary,
    /// One entry for each planned host.
    pub hosts: Vec<HostSummary>,
    /// What was lost of the record on its way here, in words; empty where nothing was.
    pub record_losses: Vec<String>,
}

/// The fleet as a whole.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum FleetVerdict {
    /// All planned hosts passed.
    Healthy,
    /// A host failed, or the fleet has a fault of severity `fail`.
    Unhealthy,
    /// None failed, but not all were measured.
    Inconclusive,
    /// Stopped before its end.
    Interrupted,
}

/// Which run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RunSummary {
    /// Its name, also its folder's.
    pub id: String,
    /// The scenario's name.
    pub scenario: String,
    /// The seed of all draws.
    pub seed: u64,
    /// RFC 3339.
    pub started_at: String,
    /// From the run's zero to its last line.
    pub duration_s: Option<f64>,
    /// Whether the links are a lab's.
    pub simulated_links: bool,
}

/// What concerns no single host.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FleetSummary {
    /// Hosts planned.
    pub planned: u32,
    /// Hosts whose verdict is `pass` or `fail`.
    pub tested: u32,
    /// Findings.
    pub findings: Vec<Finding>,
}

/// One host.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HostSummary {
    /// Its name; `expected-1` and so on for hosts that never came.
    pub host: HostName,
    /// Its verdict.
    pub verdict: Verdict,
    /// Why it is neither pass nor fail, or a remark on a pass.
    pub reason: Option<String>,
    /// The card under test.
    pub nic: NicSummary,
    /// Within what a verdict holds.
    pub tested: Tested,
    /// What it carried.
    pub goodput: Goodput,
    /// Where its traffic fell off.
    pub drop_offs: Vec<DropOff>,
    /// What is the matter with it.
    pub findings: Vec<Finding>,
}

/// The verdict on a host.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Its card is at fault.
    Fail,
    /// It cannot be told.
    Inconclusive,
    /// It was not measured.
    NotTested,
    /// Nothing was wrong within what `tested` says.
    Pass,
}

/// The card under test.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NicSummary {
    /// The interface.
    pub iface: Option<String>,
    /// The address of its data sockets.
    pub addr: Option<String>,
    /// The driver.
    pub driver: Option<String>,
    /// The declared speed.
    pub speed_bps: Option<u64>,
    /// The interface's maximum transmission unit, bytes.
    pub mtu: Option<u32>,
}

/// Within what a verdict holds.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Tested {
    /// The highest goodput held for a second, sending.
    pub rate_tx_max_bps: Option<u64>,
    /// The highest goodput held for a second, receiving.
    pub rate_rx_max_bps: Option<u64>,
    /// The highest packet rate of the interface over a second, the larger direction; where the host's own
    /// kernel lost single frames from some rate on, the highest rate below.
    pub packet_rate_max_pps: Option<u64>,
    /// The largest frame that the plan sent.
    pub frame_size_max_bytes: Option<u32>,
    /// The most streams at once, both directions together.
    pub streams_max: Option<u32>,
    /// Bytes sent, as its peers received them.
    pub bytes_tx: Option<u64>,
    /// Bytes received.
    pub bytes_rx: Option<u64>,
    /// Bytes that the receiver read and compared.
    pub verified_bytes: Option<u64>,
    /// What comparing what it received cost this host, seconds of a core.
    pub verify_cpu_s: Option<f64>,
    /// The share of this host's planned slots, both directions, that were measured.
    pub planned_share: Option<f64>,
}

/// What a host carried in stages of load.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Goodput {
    /// Median over measured slots in which it was to send.
    pub tx_median_bps: Option<u64>,
    /// Median over measured slots in which it was to receive.
    pub rx_median_bps: Option<u64>,
    /// 95th percentile of the same.
    pub tx_peak_bps: Option<u64>,
    /// 95th percentile of the same.
    pub rx_peak_bps: Option<u64>,
    /// The longest stretch in which it was to send or receive and nothing passed.
    pub longest_stall_s: Option<f64>,
}

/// A direction, from the host's point of view.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    /// Sending.
    Tx,
    /// Receiving.
    Rx,
    /// Both at once.
    Both,
}

impl Direction {
    /// As in the summary: "tx".
    pub const fn name(self) -> &'static str {
        match self {
            Self::Tx => "tx",
            Self::Rx => "rx",
            Self::Both => "both",
        }
    }

    /// What a host does in this direction, for texts: "sends".
    pub const fn verb(self) -> &'static str {
        match self {
            Self::Tx => "sends",
            Self::Rx => "receives",
            Self::Both => "sends and receives",
        }
    }
}

/// A lasting fall of a host's goodput against its own earlier level.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DropOff {
    /// The stage it began in.
    pub stage: String,
    /// The direction.
    pub direction: Direction,
    /// Onset, seconds since the run's zero.
    pub at_s: f64,
    /// Length; null where its end was not seen.
    pub for_s: Option<f64>,
    /// The share of its level that was missing, 0 to 1.
    pub depth: f64,
    /// Receiver-counted goodput over the second before the onset; the larger direction.
    pub offered_bps: Option<u64>,
    /// Who it exchanged data with at the time.
    pub peers: Vec<HostName>,
    /// The host whose fault it is, where this one merely shared it.
    pub explained_by: Option<HostName>,
}

/// How grave a finding is.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// The host, or the fleet, fails.
    Fail,
    /// Worth a look.
    Warn,
    /// Told for completeness.
    Info,
}

/// What a finding rests on.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Basis {
    /// Receivers' bytes alone.
    EndToEnd,
    /// A counter or a kernel line of that host alone, of the same window, says so too.
    Corroborated,
}

/// A named symptom with its numbers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Finding {
    /// Which symptom.
    pub kind: FindingKind,
    /// In which direction, where it has one.
    pub direction: Option<Direction>,
    /// How grave.
    pub severity: Severity,
    /// Whether it reproduced; null when that was not tried.
    pub confirmed: Option<bool>,
    /// What it rests on.
    pub evidence: Basis,
    /// When it was first seen, seconds since the run's zero.
    pub first_seen_s: Option<f64>,
    /// One or two sentences for people: what happened, at what dose, and what to do next.
    pub text: String,
    /// Its numbers, by name with the unit last; null where not measured.
    pub numbers: std::collections::BTreeMap<String, Option<f64>>,
    /// What the host's own kernel says to it, at most 8 items; those that corroborate it stand
    /// first. Empty where nothing was read, or nothing said anything.
    pub corroboration: Vec<Corroboration>,
}

/// Something that a host's own kernel says to a finding.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Corroboration {
    /// Where it was read.
    pub source: Source,
    /// When it was told, seconds since the run's zero; null for what holds all the time.
    pub at_s: Option<f64>,
    /// What was read, and what it means.
    pub text: String,
}

/// Where a host's kernel was asked.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// Its log.
    Kernel,
    /// A counter that moved.
    Counter,
    /// The state of the interface.
    Link,
    /// The addresses of the interface.
    Address,
}

impl Finding {
    /// One of its numbers, where it is known.
    pub fn number(&self, name: &str) -> Option<f64> {
        self.numbers.get(name).copied().flatten()
    }
}
