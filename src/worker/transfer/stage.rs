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
    /// Peers by number.
    pub peers: BTreeMap<HostId, SocketAddr>,
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
    parts: AtomicU32,
    tcp: Mutex<Option<TcpFlow>>,
    verified: Mutex<VerifiedFlow>,
    datagrams: Mutex<Option<DatagramFlow>>,
    datagrams_sent: Mutex<Option<DatagramsSent>>,
    connects: Mutex<Option<ConnectsFlow>>,
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

    /// Adds what the connections of one thread did.
    pub fn add_tcp(&self, part: TcpFlow) {
        let mut tcp = self.tcp.lock().unwrap_or_else(PoisonError::into_inner);
        tcp.get_or_insert_default().add(&part);
    }

    /// What all connections did since the last call.
    pub fn take_tcp(&self) -> Option<TcpFlow> {
        self.tcp.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Adds what arrived of one thread's datagrams.
    pub fn add_datagrams(&self, part: &DatagramFlow) {
        let mut all = self.datagrams.lock().unwrap_or_else(PoisonError::into_inner);
        all.get_or_insert_default().add(part);
    }

    /// What arrived since the last call.
    pub fn take_datagrams(&self) -> Option<DatagramFlow> {
        self.datagrams.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Adds what one thread's datagrams came to at their source.
    pub fn add_datagrams_sent(&self, part: &DatagramsSent) {
        let mut all = self.datagrams_sent.lock().unwrap_or_else(PoisonError::into_inner);
        all.get_or_insert_default().add(part);
    }

    /// What was sent since the last call.
    pub fn take_datagrams_sent(&self) -> Option<DatagramsSent> {
        self.datagrams_sent.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// What became of new connections of the last second; one thread alone makes them.
    pub fn set_connects(&self, counts: ConnectsFlow) {
        *self.connects.lock().unwrap_or_else(PoisonError::into_inner) = Some(counts);
    }

    /// What became of new connections since the last call.
    pub fn take_connects(&self) -> Option<ConnectsFlow> {
        self.connects.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Adds what was compared.
    pub fn add_verified(&self, part: VerifiedFlow) {
        self.verified.lock().unwrap_or_else(PoisonError::into_inner).add(&part);
    }

    /// What was compared since the last call, where anything was.
    pub fn take_verified(&self) -> Option<VerifiedFlow> {
        let taken = std::mem::take(&mut *self.verified.lock().unwrap_or_else(PoisonError::into_inner));
        (taken.bytes > 0).then_some(taken)
    }
}
