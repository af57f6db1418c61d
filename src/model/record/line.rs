//! The lines of a record, as shapes. Their text, with its checksum, is `text`'s work.
//!
//! A line belongs to an *instance*: 0 is the coordinator, each worker process has a number
//! of its own. `(instance, seq)` names a line; the same line may arrive twice (once live,
//! once from a spool) and counts once.

use std::{collections::BTreeMap, sync::Arc};

use serde::{Deserialize, Serialize};
use smallvec::SmallVec;

use crate::model::{
    fleet::{
        host::{Host, HostId},
        units::{BitRate, RunTime},
    },
    plan::{
        layout::{FlowId, PlannedStage},
        policy::Policy,
        scenario::Scenario,
    },
    record::{
        facts::{CountersMoved, HostFacts, KernelLine},
        few::{self, Few, Rare},
        file::FileSeen,
        probe::{Moments, ProbesSeen},
        slot_bytes::SlotBytes,
    },
};

pub use super::carried::{
    ConnectsFlow, CorruptSeen, DatagramFlow, DatagramsSent, QuicSeen, TcpFlow, TcpSeen, VerifiedFlow,
};
pub use super::host_state::{HostSeen, LinkSeen};

/// The schema named in a record's first line.
pub const RECORD_SCHEMA: &str = "nicburn.record/1";

/// The coordinator's instance number.
pub const COORDINATOR: u16 = 0;

/// One line of a record.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Line {
    /// The instance that wrote it.
    pub i: u16,
    /// The coordinator's epoch it was written under.
    pub e: u32,
    /// Its number within the instance, from 1 without gaps.
    pub q: u64,
    /// When it was written, on the run's clock as the instance knew it.
    pub t: RunTime,
    /// What it says.
    #[serde(rename = "b")]
    pub body: Body,
}

/// What a line says.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Body {
    // -- by the coordinator
    /// First line of a record.
    Opened(Box<Opened>),
    /// A worker instance came; lines with its number follow.
    Joined(Box<Joined>),
    /// A control connection was lost or came back.
    Contact(Contact),
    /// A stage begins; all that is planned in it.
    Stage(Box<StageBegun>),
    /// A decision: these hosts did not confirm the stage's slice in time.
    NotReady {
        /// The stage.
        stage: u16,
        /// The hosts.
        hosts: Vec<HostId>,
        /// What each said, where it said something.
        #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
        why: BTreeMap<HostId, String>,
    },
    /// A decision: what calibration came to.
    Capacity {
        /// By host: to send and to receive; `None` where nothing was measured.
        hosts: BTreeMap<HostId, (Option<BitRate>, Option<BitRate>)>,
        /// The same in the smallest frames a second, where that was measured.
        #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
        frames: BTreeMap<HostId, (Option<u32>, Option<u32>)>,
    },
    /// A decision: who is suspected of what, and is tried once more.
    Suspects(Box<SuspectsSeen>),
    /// A worker left by its own will.
    Left {
        /// Which host.
        host: HostId,
        /// Why, in its words.
        why: String,
    },
    /// The coordinator itself was held up: verdicts from this window are void.
    Impaired {
        /// Since when.
        since: RunTime,
        /// How.
        why: String,
    },
    /// Last line of a run that ended in order.
    Closed {
        /// How it ended.
        ended: Ended,
        /// Why, where it was not complete.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        why: Option<String>,
    },

    // -- by workers
    /// Receivers' byte counts.
    Samples(Samples),
    /// Something happened to a stream.
    Stream(StreamSeen),
    /// The state of a source's connections, once a second.
    Tcp(TcpSeen),
    /// What became of datagrams, once a second: by their receivers.
    Datagrams {
        /// By flow.
        #[serde(serialize_with = "few::as_map")]
        flows: Few<FlowId, DatagramFlow>,
    },
    /// Datagrams that sources handed to their kernel, once a second.
    DatagramsSent {
        /// By flow.
        #[serde(serialize_with = "few::as_map")]
        flows: Few<FlowId, DatagramsSent>,
    },
    /// What became of new connections, once a second.
    Connects {
        /// By flow.
        #[serde(serialize_with = "few::as_map")]
        flows: Few<FlowId, ConnectsFlow>,
    },
    /// The state of one end of a flow's QUIC connection, once a second.
    Quic(Box<QuicSeen>),
    /// What receivers compared, once a second.
    Verified {
        /// By flow.
        #[serde(serialize_with = "few::as_map")]
        flows: Few<FlowId, VerifiedFlow>,
    },
    /// Verified payload differed from what was sent.
    Corrupt(CorruptSeen),
    /// What probes came to, once a second.
    Probes(Box<ProbesSeen>),
    /// The state of the host, once a second.
    Host(Arc<HostSeen>),
    /// All facts of the host, at the start, at the end, and when it is back.
    Facts(Box<HostFacts>),
    /// Counters that moved within the last second.
    Counters(Box<CountersMoved>),
    /// A line of the kernel's log that concerns the card or the host's health.
    Kernel(KernelLine),
    /// What the host's own carriers carry over its loopback, told once.
    Ceiling {
        /// Bits per second.
        tcp_bps: u64,
    },
    /// A source of facts that this worker cannot read, told once: what, and why.
    Unread {
        /// For example `kernel log`.
        what: String,
        /// What the kernel said, and the way to allow it.
        why: String,
    },
    /// What `reach` came to.
    Reach(ReachSeen),
    /// The worker itself did not run in this window: nothing it measured there counts.
    Stalled {
        /// From.
        from: RunTime,
        /// To.
        to: RunTime,
    },
    /// The coordinator's lease had run out in this window: the worker sent nothing. Told once it has one
    /// again, or when the run is over.
    Lapsed {
        /// From.
        from: RunTime,
        /// To.
        to: RunTime,
    },
    /// What became of a file that a flow moves, from one of its ends.
    File(Box<FileSeen>),
    /// A flow's source ended: what it handed to the kernel, as a diagnostic.
    Sent {
        /// The flow.
        flow: FlowId,
        /// Bytes.
        bytes: u64,
    },
}

/// Who is suspected after the last stage, and who is left to try it with.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
pub struct SuspectsSeen {
    /// By host: the kinds of findings that need a second look, by name.
    pub hosts: BTreeMap<HostId, Vec<String>>,
    /// Hosts that nothing tells against.
    pub cleared: Vec<HostId>,
    /// Suspects that are not tried, and why.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub untried: BTreeMap<HostId, String>,
}

/// How a run ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ended {
    /// All stages were run.
    Complete,
    /// Somebody stopped it.
    Interrupted,
    /// It could not go on.
    Aborted,
}

/// The first line's content.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Opened {
    /// [`RECORD_SCHEMA`].
    pub schema: String,
    /// The run's name, also its folder's.
    pub run: String,
    /// The build that wrote it.
    pub build: String,
    /// The wall clock at the run's zero, RFC 3339; for display only.
    pub started_at: String,
    /// What was run.
    pub scenario: Scenario,
    /// The seed of all draws.
    pub seed: u64,
    /// How many hosts were expected.
    pub planned: u16,
    /// The hosts that came, by number.
    pub hosts: Vec<Host>,
    /// Whether the links are a lab's.
    pub simulated_links: bool,
    /// When in their ticks probes are sent.
    #[serde(default)]
    pub moments: Moments,
    /// What the hosts' configuration is judged by, where a policy was given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy: Option<Policy>,
}

/// A worker instance.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Joined {
    /// Its number in this record.
    pub instance: u16,
    /// Its host.
    pub host: HostId,
    /// What it drew when it started.
    pub instance_id: String,
    /// The kernel's boot id.
    pub boot_id: String,
    /// `uname -r`.
    pub kernel: String,
    /// Cores.
    pub cores: u32,
    /// Congestion control of its sockets.
    pub congestion_control: String,
    /// Whether its control connection crosses the card under test.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub control_in_band: Option<bool>,
}

/// The state of a control connection.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Contact {
    /// Whose.
    pub host: HostId,
    /// The instance, where one is known.
    pub instance: u16,
    /// What it is now.
    pub state: ContactState,
    /// What the transport said.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub why: String,
}

/// What became of a control connection.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ContactState {
    /// Nothing heard for longer than the silence limit, or the transport gave up.
    Lost,
    /// The far end's process closed it, or its kernel said that nobody listens.
    Closed,
    /// The same instance is back.
    Back,
}

/// A stage begins.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StageBegun {
    /// Its plan.
    pub stage: PlannedStage,
    /// The run's time of its zero.
    pub at: RunTime,
    /// The rates that paced flows were given; flows that are missing are unpaced.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub rates: BTreeMap<FlowId, BitRate>,
}

/// Bytes of a flow in slots that follow each other; `None` was not measured.
pub type SlotCounts = SmallVec<[Option<SlotBytes>; 3]>;

/// Receivers' byte counts on the grid of 100 ms slots.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Samples {
    /// The number of the first slot.
    pub s: u64,
    /// By flow: bytes received in each slot from `s` on; `None` was not measured.
    #[serde(serialize_with = "few::as_map")]
    pub rx: Few<FlowId, SlotCounts>,
    /// Slots whose bounds were off by more than 5 ms: slot, actual start and end.
    #[serde(default, skip_serializing_if = "<[_]>::is_empty")]
    pub off: Box<[(u64, RunTime, RunTime)]>,
    /// By paused flow of which this worker is the source: keyed probes sent, and answered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub asked: Rare<FlowId, (u32, u32)>,
    /// By flow of which this worker is the sink: keyed probes that arrived.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub heard: Rare<FlowId, u32>,
}

/// Something happened to a stream of a flow, as its worker saw it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StreamSeen {
    /// The flow.
    pub flow: FlowId,
    /// The stream's place in the flow.
    pub stream: u16,
    /// What.
    pub what: StreamEvent,
    /// When.
    pub at: RunTime,
}

/// What can happen to a stream.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StreamEvent {
    /// Both ends proved the key; bytes flow (first time, or again).
    Flowing,
    /// The source lacks the receiver's consent and has stopped sending.
    Paused,
    /// The far end sent RST or an early FIN: its kernel lives, its process ended this stream.
    Reset,
    /// The far kernel said that nobody listens (RST to SYN, or ICMP port unreachable).
    Refused,
    /// The far kernel completed the handshake but its process stayed silent for 2 s.
    Silent,
    /// No answer to a connection attempt.
    TimedOut,
    /// The own kernel had no way to the far end (no route, interface down, no neighbour).
    Unreachable,
}

/// What `reach` came to, from one worker.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ReachSeen {
    /// By peer.
    pub peers: BTreeMap<HostId, ReachPeer>,
}

/// One ordered pair of `reach`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ReachPeer {
    /// Time of the TCP handshake and key exchange, microseconds; `None` if it failed.
    pub tcp_us: Option<u64>,
    /// Time of the UDP echo, microseconds; `None` if it failed.
    pub udp_us: Option<u64>,
    /// What failed.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub why: String,
}
