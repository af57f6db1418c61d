//! What a finding can be: the kinds, and their names in files. What each needs is its detector's to say.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The kinds of findings that this version yields.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum FindingKind {
    /// Collapses when a dose is reached; absent below it.
    DiesUnderLoad,
    /// Carrier lost and not back.
    LinkDown,
    /// Carrier lost and back.
    LinkFlap,
    /// The interface lost the address under test.
    AddressLost,
    /// Somebody else answers for the host's address.
    DuplicateAddress,
    /// Neighbours are not found on the link, or a wrong one is remembered.
    NeighbourFailure,
    /// Frames above some size never pass, silently.
    MtuBlackHole,
    /// The interface's MTU is not that of the fleet.
    MtuMismatch,
    /// New flows are refused while old ones run.
    NewFlowsRefused,
    /// A fixed share of flows never passes.
    DeadQueue,
    /// Contact lost without a tie to load.
    Outage,
    /// Nothing passes in one direction only.
    OneWayDead,
    /// Payload changed on the way: verified bytes differ, or checksums caught it.
    Corruption,
    /// Packets are lost at any load.
    PacketLoss,
    /// Packets are lost above some rate, or only with both directions busy.
    LossAboveRate,
    /// Packets come twice.
    Duplication,
    /// Packets overtake each other.
    Reordering,
    /// Repeated gaps of less than a second.
    Stalls,
    /// Answers come late also when nobody sends.
    Latency,
    /// Answers come late under a load that leaves others' alone.
    LatencyUnderLoad,
    /// Slower and slower within a stage.
    Degrading,
    /// Slower than its class.
    FailSlow,
    /// The worker's process ended.
    WorkerLost,
    /// The worker's process did not run for a while.
    WorkerFrozen,
    /// The host came back with another boot id.
    HostRebooted,
    /// The worker was short of CPU.
    HostLimited,
    /// The control connection was lost while data flowed.
    ControlLost,
    /// The worker's clock jumped.
    ClockJump,
    /// Bytes did not show on the interface under test.
    WrongInterface,
    /// The planned ports never answered.
    PortsBlocked,
    /// The worker was withdrawn by its owner.
    Withdrawn,
    /// A file's transfer was ended by something that is not the network.
    TransferFailed,
    /// Two hosts do not reach each other, and it cannot be told which is at fault.
    Path,
    /// What crosses the boundary of a rack is slow or lossy, and what stays within is not.
    RackUplink,
    /// Many at once, without a host in common.
    SharedCongestion,
    /// Many were held to the same rate after the same time: a limit, not a fault.
    RateLimit,
    /// The coordinator itself was held up.
    CoordinatorImpaired,
    /// The configuration is not as it should be.
    Audit,
}

impl FindingKind {
    /// The kind's name in files and texts.
    pub const fn name(self) -> &'static str {
        match self {
            Self::DiesUnderLoad => "dies_under_load",
            Self::LinkDown => "link_down",
            Self::LinkFlap => "link_flap",
            Self::AddressLost => "address_lost",
            Self::DuplicateAddress => "duplicate_address",
            Self::NeighbourFailure => "neighbour_failure",
            Self::MtuBlackHole => "mtu_black_hole",
            Self::MtuMismatch => "mtu_mismatch",
            Self::NewFlowsRefused => "new_flows_refused",
            Self::DeadQueue => "dead_queue",
            Self::Outage => "outage",
            Self::OneWayDead => "one_way_dead",
            Self::Corruption => "corruption",
            Self::PacketLoss => "packet_loss",
            Self::LossAboveRate => "loss_above_rate",
            Self::Duplication => "duplication",
            Self::Reordering => "reordering",
            Self::Stalls => "stalls",
            Self::Latency => "latency",
            Self::LatencyUnderLoad => "latency_under_load",
            Self::Degrading => "degrading",
            Self::FailSlow => "fail_slow",
            Self::WorkerLost => "worker_lost",
            Self::WorkerFrozen => "worker_frozen",
            Self::HostRebooted => "host_rebooted",
            Self::HostLimited => "host_limited",
            Self::ControlLost => "control_lost",
            Self::ClockJump => "clock_jump",
            Self::WrongInterface => "wrong_interface",
            Self::PortsBlocked => "ports_blocked",
            Self::Withdrawn => "withdrawn",
            Self::TransferFailed => "transfer_failed",
            Self::Path => "path",
            Self::RackUplink => "rack_uplink",
            Self::SharedCongestion => "shared_congestion",
            Self::RateLimit => "rate_limit",
            Self::CoordinatorImpaired => "coordinator_impaired",
            Self::Audit => "audit",
        }
    }
}
