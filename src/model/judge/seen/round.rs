//! Rounds and flows as they were run: the grid on which bytes were counted.

use std::collections::BTreeMap;

use crate::model::{
    fleet::{host::HostId, units::BitRate},
    plan::{
        dose::{Pattern, Ways},
        layout::{FlowId, StageKind},
    },
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
    /// Who sent to whom.
    pub pattern: Pattern,
    /// One way or both.
    pub ways: Ways,
    /// Whether its flows were paced.
    pub paced: bool,
    /// Whether it was to fill its hosts' links: as fast as it goes, and in large frames.
    pub saturates: bool,
    /// The size of its frames, where it is not the interface's largest.
    pub frame_size_bytes: Option<u16>,
    /// First slot.
    pub start: u64,
    /// First slot after.
    pub end: u64,
    /// Flows that each host sends and receives.
    pub by_host: BTreeMap<HostId, HostFlows>,
    /// Streams of each flow.
    pub streams: u16,
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
    pub slots: Vec<Option<u64>>,
    /// Bytes in slots after the round's end.
    pub tail: u64,
}

impl FlowSeen {
    /// The other end, from the view of `host`.
    pub fn peer_of(&self, host: HostId) -> HostId {
        if self.from == host { self.to } else { self.from }
    }

    /// All bytes that were counted.
    pub fn bytes(&self) -> u64 {
        self.slots.iter().flatten().sum::<u64>() + self.tail
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
}
