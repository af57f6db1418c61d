//! What one end of a measured transfer is told on its standard input, and what it answers.
//!
//! Shapes only. The same for this program's engine and for the bare loops it is held
//! against, so that nothing but the way of carrying differs.

use std::net::{IpAddr, SocketAddr};

use serde::{Deserialize, Serialize};

use crate::model::run::message::Role;

/// What carries the bytes.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Transport {
    /// TCP.
    Tcp,
    /// UDP, with this much payload a datagram.
    Udp {
        /// Bytes of payload.
        datagram_bytes: u16,
        /// Whether each datagram leaves alone, instead of in a train that the kernel cuts.
        single: bool,
    },
    /// QUIC streams.
    Quic,
    /// A file from disk to disk, through OpenSSH.
    Scp {
        /// Its size.
        file_bytes: u64,
    },
    /// The same without ssh.
    File {
        /// Its size.
        file_bytes: u64,
    },
}

impl Transport {
    /// The size of the file that it moves, where it moves one.
    pub const fn file_bytes(self) -> Option<u64> {
        match self {
            Self::Scp { file_bytes } | Self::File { file_bytes } => Some(file_bytes),
            Self::Tcp | Self::Udp { .. } | Self::Quic => None,
        }
    }
}

/// How a source hands its bytes to the kernel.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Layout {
    /// Large plain writes.
    Write,
    /// Pages given without a copy.
    Vmsplice,
}

/// What a sink does with what it receives.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Receive {
    /// Counts it; the kernel drops it (`MSG_TRUNC`).
    Discard,
    /// Reads it into memory.
    Read,
}

/// What a transfer puts on the link.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Load {
    /// What carries it.
    pub transport: Transport,
    /// Flows; each belongs to one thread.
    pub flows: u16,
    /// Streams of each flow.
    pub streams: u16,
    /// How it is sent.
    pub layout: Layout,
    /// How it is received.
    pub receive: Receive,
    /// The most of all flows together, bits per second.
    pub rate_bps: Option<u64>,
    /// How often every stream's state is read, microseconds; the engine's own pace if none.
    pub sample_us: Option<u64>,
}

/// What carries the load: the product, or the bare technique.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Engine {
    /// This program's own carriers.
    Ours,
    /// A loop around the system calls alone: no protocol, no checks, no samples.
    Bare,
}

/// One end's orders.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct EndSpec {
    /// What carries.
    pub engine: Engine,
    /// Which end.
    pub role: Role,
    /// What is carried.
    pub load: Load,
    /// This end's address.
    pub addr: IpAddr,
    /// Its interface.
    pub iface: String,
    /// The source's address.
    pub source: IpAddr,
    /// The sink's address and port.
    pub sink: SocketAddr,
    /// When the source begins, microseconds since boot; on a bound of a 100 ms slot.
    pub start_us: u64,
    /// For how long, milliseconds.
    pub for_ms: u64,
    /// Thread number `i` is confined to core `i` (modulo their count) of these; none: to none.
    pub cores: Vec<usize>,
    /// Carrying threads.
    pub threads: usize,
    /// Congestion control of TCP.
    pub congestion_control: String,
}

impl EndSpec {
    /// When the source stops, microseconds since boot.
    pub fn end_us(&self) -> u64 {
        self.start_us + self.for_ms * 1000
    }

    /// The core of thread number `index`, where it has one of its own.
    pub fn core_of(&self, index: usize) -> Option<usize> {
        (!self.cores.is_empty()).then(|| self.cores[index % self.cores.len()])
    }
}

/// How late periodic work was, microseconds.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[expect(clippy::struct_field_names, reason = "the unit stands last in every name")]
pub struct Lateness {
    /// Half of the times no later.
    pub p50_us: u64,
    /// 99 of 100 times no later.
    pub p99_us: u64,
    /// Never later.
    pub max_us: u64,
}

/// One end's answer. A source tells what it sent, a sink what it received.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct EndReport {
    /// Payload, bytes; `None` where the end does not know.
    pub bytes: Option<u64>,
    /// During this long, seconds.
    pub for_s: f64,
    /// By slot of 100 ms from the start on; `None` was not measured. Empty of bare loops.
    pub slots: Vec<Option<u64>>,
    /// Datagrams sent, or received for the first time. `None` of bare loops and of streams.
    pub datagrams: Option<u64>,
    /// How late the slots were closed.
    pub lateness: Option<Lateness>,
    /// How long after its planned end a source was still there, seconds.
    pub ended_late_s: Option<f64>,
    /// Why this end cannot do what the load asks, where it cannot.
    pub unavailable: Option<String>,
}
