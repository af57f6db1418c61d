//! What a stage puts on a network card: one vocabulary for scenario files, findings and plans.
//!
//! Which host sends to which is [`Pattern`], how the bytes go is `carriage`'s; how long and
//! in which order is the plan's.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::carriage::Carriage;
use crate::model::fleet::units::BitRate;

/// Who sends to whom.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Pattern {
    /// Disjoint pairs; over the rounds of one pass each pair meets exactly once.
    Pairs,
    /// Each host sends to the next.
    Ring,
    /// All others send to one host; each host is the receiver once.
    Incast,
    /// The first `sources` hosts (of a seeded order) send to all others at once.
    FanOut {
        /// How many hosts send.
        sources: u16,
    },
    /// Half the fleet sends to the other half, across racks where racks are known.
    Bisection,
    /// Every host is a source to all others at once.
    Storm,
    /// Nobody sends: probes alone.
    Idle,
}

impl Pattern {
    /// The pattern's name in scenario files and reports.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Pairs => "pairs",
            Self::Ring => "ring",
            Self::Incast => "incast",
            Self::FanOut { .. } => "fan_out",
            Self::Bisection => "bisection",
            Self::Storm => "storm",
            Self::Idle => "idle",
        }
    }
}

/// Whether the flows of a pattern run one way, or both ways at once.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Ways {
    /// One way; `pairs` and `bisection` run each round a second time the other way round.
    OneWay,
    /// Both ways at once.
    BothWays,
}

/// How fast a flow may go.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Rate {
    /// As fast as it goes.
    Unpaced,
    /// This share (0 to 1) of the fair share of the lesser of the flow's two ends, by
    /// measured capacity.
    Share(f64),
    /// This many bits per second, each flow.
    Bps(BitRate),
    /// This many single frames per second, each flow.
    Pps(u32),
    /// This share (0 to 1) of the packet rate that calibration measured, for each host over
    /// all of its flows.
    PpsShare(f64),
}

/// What one round of a stage puts on each card.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Dose {
    /// Who sends to whom.
    pub pattern: Pattern,
    /// One way, or both ways at once.
    pub ways: Ways,
    /// The rate of each flow.
    pub rate: Rate,
    /// How the bytes are carried.
    #[serde(flatten)]
    pub carriage: Carriage,
}

impl Dose {
    /// Whether it is to fill its hosts' links: small frames end at a packet rate, and a file may
    /// end at a disk.
    pub fn saturates(&self) -> bool {
        self.rate == Rate::Unpaced
            && self.carriage.frame_bytes().is_none()
            && self.carriage.connections_per_s.is_none()
            && !self.carriage.transport.moves_a_file()
    }
}
