//! Rounds and flows as they were run: the grid on which bytes were counted.

use std::collections::BTreeMap;

use super::super::summary::Direction;
use crate::model::{
    fleet::{
        host::HostId,
        units::{BitRate, RunTime, SLOTS_PER_S},
    },
    plan::{
        dose::{Dose, Rate},
        layout::{FlowId, StageKind},
    },
    record::slot_bytes::SlotBytes,
};

/// A round, as it was run.
#[derive(Clone, Debug)]
pub struct RoundSeen {
    /// Its stage's place.
    pub stage: u16,
    /// Its stage's name.
    pub stage_name: String,
    /// What the stage was for.
    pub kind: StageKind,
    /// Its place within the stage.
    pub number: usize,
    /// What it put on the cards.
    pub dose: Dose,
    /// First slot.
    pub start: u64,
    /// First slot after.
    pub end: u64,
    /// Flows that each host sends and receives.
    pub by_host: BTreeMap<HostId, HostFlows>,
}

impl RoundSeen {
    /// Whether its flows were held to a rate.
    pub fn is_paced(&self) -> bool {
        self.dose.rate != Rate::Unpaced
    }

    /// The size of its frames, where it is not the interface's largest.
    pub fn frame_bytes(&self) -> Option<u16> {
        self.dose.carriage.frame_bytes()
    }

    /// Whether it made ever new connections, which carry next to nothing.
    pub fn makes_connections(&self) -> bool {
        self.dose.carriage.connections_per_s.is_some()
    }

    /// Whether it was to fill its hosts' links.
    pub fn saturates(&self) -> bool {
        self.dose.saturates()
    }

    /// Its slots.
    pub const fn slots(&self) -> std::ops::Range<u64> {
        self.start..self.end
    }

    /// Its moment in the run, seconds.
    pub fn start_s(&self) -> f64 {
        RunTime::of_slot(self.start).as_secs_f64()
    }

    /// Its length, seconds.
    pub fn length_s(&self) -> f64 {
        self.end.saturating_sub(self.start) as f64 / SLOTS_PER_S as f64
    }
}

/// A host's part in a round.
#[derive(Clone, Debug, Default)]
pub struct HostFlows {
    /// Flows it sends.
    pub tx: Vec<FlowId>,
    /// Flows it receives.
    pub rx: Vec<FlowId>,
    /// The share of its capacity that it is to send.
    pub tx_load: f64,
    /// The share of its capacity that it is to receive.
    pub rx_load: f64,
    /// What the paced ones of those that it sends come to, bits per second.
    pub tx_paced_bps: f64,
    /// The same of those that it receives.
    pub rx_paced_bps: f64,
}

/// A flow, as its receiver counted it.
#[derive(Clone, Debug)]
pub struct FlowSeen {
    /// Who sent.
    pub from: HostId,
    /// Who received.
    pub to: HostId,
    /// The round, as an index into [`Seen::rounds`].
    pub round: usize,
    /// The rate it was paced to.
    pub rate: Option<BitRate>,
    /// Bytes by slot from the round's start; `None` was not measured.
    pub slots: Vec<Option<SlotBytes>>,
    /// Bytes in slots after the round's end.
    pub tail: u64,
}

impl FlowSeen {
    /// The other end, from the view of `host`.
    pub fn peer_of(&self, host: HostId) -> HostId {
        if self.from == host { self.to } else { self.from }
    }

    /// Whether a side of a host is one of its ends.
    pub fn touches(&self, host: HostId, way: Way) -> bool {
        way.of(self.from, self.to) == host
    }

    /// Whether its receiver's worker told of any slot of it.
    pub fn was_measured(&self) -> bool {
        self.slots.iter().any(Option::is_some)
    }

    /// All bytes that were counted.
    pub fn bytes(&self) -> u64 {
        self.slots.iter().flatten().map(|bytes| bytes.get()).sum::<u64>() + self.tail
    }
}

/// Which way, without the "both" of a verdict.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Way {
    /// Sending.
    Tx,
    /// Receiving.
    Rx,
}

impl Way {
    /// Of what belongs to a sender and to a receiver, or to sending and to receiving, that of this way.
    pub const fn of<T: Copy>(self, tx: T, rx: T) -> T {
        match self {
            Self::Tx => tx,
            Self::Rx => rx,
        }
    }

    /// Sender and receiver, where a host does this with a partner.
    pub const fn ends(self, host: HostId, partner: HostId) -> (HostId, HostId) {
        match self {
            Self::Tx => (host, partner),
            Self::Rx => (partner, host),
        }
    }

    /// The other one.
    #[must_use]
    pub const fn other(self) -> Self {
        match self {
            Self::Tx => Self::Rx,
            Self::Rx => Self::Tx,
        }
    }

    /// The ways of a direction.
    pub const fn of_direction(direction: Direction) -> &'static [Self] {
        match direction {
            Direction::Tx => &[Self::Tx],
            Direction::Rx => &[Self::Rx],
            Direction::Both => &WAYS,
        }
    }

    /// The direction that these ways make together.
    pub fn together(ways: impl IntoIterator<Item = Self>) -> Direction {
        let (mut tx, mut rx) = (false, false);
        for way in ways {
            (tx, rx) = (tx || way == Self::Tx, rx || way == Self::Rx);
        }
        match (tx, rx) {
            (true, false) => Direction::Tx,
            (false, true) => Direction::Rx,
            _ => Direction::Both,
        }
    }
}

/// Both ways, for loops.
pub const WAYS: [Way; 2] = [Way::Tx, Way::Rx];

impl HostFlows {
    /// The flows of one direction.
    pub fn of(&self, way: Way) -> &[FlowId] {
        match way {
            Way::Tx => &self.tx,
            Way::Rx => &self.rx,
        }
    }

    /// The planned load of one direction.
    pub const fn load(&self, way: Way) -> f64 {
        match way {
            Way::Tx => self.tx_load,
            Way::Rx => self.rx_load,
        }
    }

    /// What the paced flows of one direction come to, bits per second.
    pub const fn paced_bps(&self, way: Way) -> f64 {
        match way {
            Way::Tx => self.tx_paced_bps,
            Way::Rx => self.rx_paced_bps,
        }
    }
}
