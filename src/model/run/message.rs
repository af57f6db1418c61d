//! What coordinator and worker say to each other, as types; framing is `wire`'s.
//!
//! Every message is one JSON object with one key, its kind. Fields may be added with
//! `#[serde(default)]`; a change of meaning needs a new [`PROTOCOL`].

use std::{collections::BTreeMap, net::SocketAddr};

use serde::{Deserialize, Serialize};

use crate::model::{
    fleet::{
        host::{Host, HostId, HostName, NicFacts},
        units::RunTime,
    },
    plan::{
        carriage::Carriage,
        layout::{FlowId, StageKind},
    },
};

/// The version of this protocol, as in the ALPN `nicburn/1`.
pub const PROTOCOL: u32 = 1;

/// The longest frame, in bytes, except a plan slice.
pub const FRAME_MAX_BYTES: usize = 64 * 1024;

/// The longest frame that carries a [`StageSlice`], in bytes.
pub const PLAN_FRAME_MAX_BYTES: usize = 256 * 1024;

/// 32 secret bytes as 64 hexadecimal digits; never printed by `Debug`.
#[derive(Clone, Eq, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SecretHex(pub String);

impl std::fmt::Debug for SecretHex {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str("SecretHex(…)")
    }
}

/// What a worker sends before it has a certificate.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct JoinRequest {
    /// The join file's token.
    pub token: SecretHex,
    /// The name it wants.
    pub name: HostName,
    /// Its public key (uncompressed P-256 point), as hexadecimal digits.
    pub public_key: String,
    /// The build of the worker; another build than the coordinator's is refused.
    pub build: String,
}

/// What a worker gets for a join request.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum JoinReply {
    /// The certificate under which it may come back.
    Issued {
        /// PEM text.
        certificate_pem: String,
    },
    /// Named and final.
    Refused {
        /// What was wrong, with the value and the way out.
        why: String,
    },
}

/// Who a worker is; first on every control connection.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Hello {
    /// The protocol versions it speaks, lowest and highest.
    pub versions: (u32, u32),
    /// The build, for example `0.1.0+c1f2…`.
    pub build: String,
    /// Its name.
    pub name: HostName,
    /// 32 hexadecimal digits drawn when the process started.
    pub instance: String,
    /// The kernel's boot id.
    pub boot_id: String,
    /// The card under test.
    pub nic: NicFacts,
    /// Where its sink listens, TCP and UDP.
    pub data_addr: SocketAddr,
    /// `k=v` labels; `rack` is known.
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
    /// `uname -r`.
    pub kernel: String,
    /// Cores this process may run on.
    pub cores: u32,
    /// The congestion control its sockets got.
    pub congestion_control: String,
    /// Whether this connection crosses the card under test; `None` where no route tells.
    pub control_in_band: Option<bool>,
}

/// From worker to coordinator, on the stream of orders.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FromWorker {
    /// First of all.
    Hello(Box<Hello>),
    /// Asks for the run's time; also the sign of life, once a second.
    Ping {
        /// The worker's monotonic clock, microseconds.
        sent_us: u64,
        /// The worker's present estimate of (run time − own clock), once it has one.
        offset_us: Option<i64>,
        /// The half round trip behind that estimate: its error bound.
        error_us: Option<u64>,
    },
    /// The slice of this stage is understood and its sockets are set up.
    Ready {
        /// Which stage.
        stage: u16,
    },
    /// The slice of this stage cannot be carried out.
    CannotDo {
        /// Which stage.
        stage: u16,
        /// Why, with the value and the way out.
        why: String,
    },
    /// The worker ends by its own will (a signal, a limit of its own).
    Leaving {
        /// Why.
        why: String,
    },
    /// All of its record lines have been sent; the last one's number.
    Done {
        /// The highest sequence number.
        last_seq: u64,
    },
}

/// From coordinator to worker, on the stream of orders.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FromCoordinator {
    /// The worker is in.
    Welcome {
        /// Its host's number.
        host: HostId,
        /// The short number of this instance, for its record lines.
        instance: u16,
        /// The fencing number of this coordinator.
        epoch: u32,
        /// The run's name.
        run: String,
        /// The highest sequence number that is already on disk; replay from the next.
        acked_seq: u64,
    },
    /// The worker is not in; final.
    Refused {
        /// What was wrong, with the value and the way out.
        why: String,
    },
    /// Answers a ping.
    Pong {
        /// As in the ping.
        sent_us: u64,
        /// The run's time when it was answered.
        run_us: RunTime,
    },
    /// Renews the permission to send, until this long from receipt.
    Lease {
        /// Milliseconds.
        ttl_ms: u32,
        /// The run's time by which everything is over, whatever happens; past it the worker leaves.
        over_at: RunTime,
    },
    /// A worker's own slice of a stage.
    Prepare(Box<StageSlice>),
    /// Start the prepared stage.
    Start {
        /// Which stage.
        stage: u16,
        /// The run's time of the stage's zero.
        at: RunTime,
    },
    /// Stop sending now; sticky for all stages so far.
    Stop {
        /// Why, for the log.
        why: String,
    },
    /// Lines up to this one are written and synced.
    Acked {
        /// The sequence number.
        seq: u64,
    },
    /// Send what is left of the record, answer with `Done`, then go.
    Finish,
}

/// What one worker must know of a stage, and nothing more.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct StageSlice {
    /// Which stage.
    pub stage: u16,
    /// What it is for.
    pub kind: StageKind,
    /// The fleet's key for `reach` echoes: proves membership of this run.
    pub fleet_key: SecretHex,
    /// From the stage's zero to its end, microseconds.
    pub for_us: u64,
    /// The hosts it will meet.
    pub peers: Vec<Peer>,
    /// Those of them that it probes while the stage runs.
    pub probes: Vec<HostId>,
    /// Its rounds, in order.
    pub rounds: Vec<RoundSlice>,
}

/// A host that a worker will meet.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Peer {
    /// Its number.
    pub host: HostId,
    /// Where its sink listens.
    pub addr: SocketAddr,
}

/// A worker's part of a round.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RoundSlice {
    /// From the stage's zero, in microseconds.
    pub offset_us: u64,
    /// How long, in microseconds.
    pub for_us: u64,
    /// How the bytes are carried.
    #[serde(flatten)]
    pub carriage: Carriage,
    /// Flows in which this worker takes part.
    pub flows: Vec<FlowSlice>,
}

/// One flow, from one end.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct FlowSlice {
    /// Its number.
    pub flow: FlowId,
    /// Whether this worker sends or receives.
    pub role: Role,
    /// The other end.
    pub peer: HostId,
    /// The most it may send, bits per second; `None` as fast as it goes.
    pub rate_bps: Option<u64>,
    /// The key that both ends prove to each other before a byte is counted.
    pub key: SecretHex,
}

/// One end of a flow.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Sends.
    Source,
    /// Receives and counts.
    Sink,
}

impl Hello {
    /// The host this hello speaks for, as number `id` of the inventory.
    pub fn host(&self, id: HostId) -> Host {
        Host { id, name: self.name.clone(), rack: self.labels.get("rack").cloned(), nic: self.nic.clone() }
    }
}
