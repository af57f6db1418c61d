//! A stage as a worker carries it out, and what its threads count together.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU32, AtomicU64, Ordering},
    },
};

use super::{Shared, key::TransferKey, payload::Payload};
use crate::model::{
    fleet::host::HostId,
    plan::{carriage::Carriage, layout::FlowId},
    record::line::{Body, ConnectsFlow, DatagramFlow, DatagramsSent, TcpFlow, VerifiedFlow},
    run::message::Role,
};

/// A stage as a worker carries it out.
#[derive(Debug)]
pub struct Stage {
    /// Its place.
    pub index: u16,
    /// Proves membership of this run.
    pub fleet_key: TransferKey,
    /// What is sent, and what receivers compare with.
    pub payload: Arc<Payload>,
    /// Its rounds, in order.
    pub rounds: Vec<Round>,
    /// Peers by number, where they are to be reached for.
    pub peers: BTreeMap<HostId, SocketAddr>,
    /// Whom this worker probes while the stage runs.
    pub probes: BTreeMap<HostId, SocketAddr>,
    /// From its zero to its end, microseconds.
    pub for_us: u64,
}

impl Stage {
    /// The key of a flow of which this worker is the sink.
    pub fn sink_key(&self, flow: FlowId) -> Option<&TransferKey> {
        let mut flows = self.rounds.iter().flat_map(|round| &round.flows);
        flows.find(|planned| planned.role == Role::Sink && planned.id == flow).map(|planned| &planned.key)
    }
}

/// A round of it.
#[derive(Debug)]
pub struct Round {
    /// From the stage's zero, microseconds.
    pub offset_us: u64,
    /// Its length, microseconds.
    pub for_us: u64,
    /// How the bytes are carried.
    pub carriage: Carriage,
    /// This worker's flows.
    pub flows: Vec<Flow>,
}

/// A flow of it.
#[derive(Clone, Debug)]
pub struct Flow {
    /// Its number.
    pub id: FlowId,
    /// This worker's end.
    pub role: Role,
    /// The other end's sink.
    pub peer: SocketAddr,
    /// The most that may be sent, bits per second.
    pub rate_bps: Option<u64>,
    /// Its secret.
    pub key: TransferKey,
    /// What all threads that carry it count.
    pub meter: Arc<Meter>,
}

/// Counts of one flow, added to by every thread that carries a part of it and told by the
/// one that keeps its slots.
#[derive(Debug, Default)]
pub struct Meter {
    /// Bytes received.
    pub received: AtomicU64,
    /// Bytes handed to the kernel.
    pub sent: AtomicU64,
    /// What its connections did.
    pub tcp: Tally<TcpFlow>,
    /// What arrived of its datagrams.
    pub datagrams: Tally<DatagramFlow>,
    /// What its source handed over of them.
    pub datagrams_sent: Tally<DatagramsSent>,
    /// What became of its new connections.
    pub connects: Tally<ConnectsFlow>,
    /// What was compared of it.
    pub verified: Tally<VerifiedFlow>,
    parts: AtomicU32,
}

/// What all threads counted since it was last told.
#[derive(Debug, Default)]
pub struct Tally<T>(Mutex<Option<T>>);

impl<T: Default> Tally<T> {
    /// Lets one thread add its part.
    pub fn add(&self, part: impl FnOnce(&mut T)) {
        part(self.0.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert_default());
    }

    /// What was counted since the last call, where anything was.
    pub fn take(&self) -> Option<T> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

impl Meter {
    /// Bytes received so far.
    pub fn received(&self) -> u64 {
        self.received.load(Ordering::Relaxed)
    }

    /// Another thread sends a part of the flow.
    pub fn part_begins(&self) {
        self.parts.fetch_add(1, Ordering::Relaxed);
    }

    /// It has ended; the last one tells what all of them sent.
    pub fn part_ends(&self, flow: FlowId, shared: &Shared) {
        if self.parts.fetch_sub(1, Ordering::AcqRel) == 1 {
            shared.tell(Body::Sent { flow, bytes: self.sent.load(Ordering::Relaxed) });
        }
    }

    /// Adds what a connection did, where its kernel said so.
    pub fn add_tcp(&self, part: Option<TcpFlow>) {
        if let Some(part) = part {
            self.tcp.add(|all| all.add(&part));
        }
    }

    /// Adds what was compared; nothing is told where nothing was.
    pub fn add_verified(&self, part: &VerifiedFlow) {
        if part.bytes > 0 {
            self.verified.add(|all| all.add(part));
        }
    }
}
