//! The plan: rounds of flows with their moments, for this fleet and this seed.
//!
//! Shapes only; how a pattern becomes flows is `pattern`, how a scenario becomes a plan is
//! `scenario`'s and `schedule`'s work.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::dose::Dose;
use crate::model::fleet::host::HostId;

/// The number of a flow, unique within a run.
pub type FlowId = u32;

/// What a stage is for.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StageKind {
    /// Can each planned ordered pair connect at all? Carries no load.
    Reach,
    /// How much does each host carry in each direction? Short, as fast as it goes.
    Calibrate,
    /// A stage of the scenario.
    #[default]
    Load,
    /// Suspects once more, with partners that nothing tells against.
    Confirm,
}

/// A flow of a round.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct PlannedFlow {
    /// Its number.
    pub flow: FlowId,
    /// Who sends.
    pub from: HostId,
    /// Who receives.
    pub to: HostId,
}

/// One traffic matrix, started together.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PlannedRound {
    /// From the stage's start to this round's, in microseconds.
    pub offset_us: u64,
    /// How long its flows run, in microseconds.
    pub for_us: u64,
    /// What it puts on the cards.
    pub dose: Dose,
    /// Its flows.
    pub flows: Vec<PlannedFlow>,
}

impl PlannedRound {
    /// From the stage's start to this round's end, in microseconds.
    pub const fn end_us(&self) -> u64 {
        self.offset_us + self.for_us
    }
}

/// A stage, laid out.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct PlannedStage {
    /// Its place in the plan.
    pub index: u16,
    /// Its name, from the scenario, or `reach` and `calibrate`.
    pub name: String,
    /// What it is for.
    pub kind: StageKind,
    /// Its rounds, in order, never overlapping.
    pub rounds: Vec<PlannedRound>,
    /// Who probes whom while it runs: observer and target.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub probes: Vec<(HostId, HostId)>,
}

impl PlannedStage {
    /// From the stage's start to the end of its last round.
    pub fn length(&self) -> Duration {
        Duration::from_micros(self.rounds.iter().map(PlannedRound::end_us).max().unwrap_or(0))
    }
}

/// A scenario, laid out for a fleet and a seed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    /// The seed that all draws came from.
    pub seed: u64,
    /// Its stages, in order: `reach`, `calibrate`, then the scenario's.
    pub stages: Vec<PlannedStage>,
    /// The longest that confirming suspects may take after them, microseconds.
    #[serde(default)]
    pub confirm_us: u64,
}

/// Allowed for each stage on top of its rounds: handing out slices, the common start.
pub const STAGE_SLACK: Duration = Duration::from_secs(6);

impl Plan {
    /// How long the rounds take, without slack.
    pub fn length(&self) -> Duration {
        self.stages.iter().map(PlannedStage::length).sum()
    }

    /// The longest that the run may take from its first stage on; what is unfinished then
    /// is given up.
    pub fn length_max(&self) -> Duration {
        self.stages_max() + self.confirm_max()
    }

    /// The longest that its stages may take, without confirming anything.
    pub fn stages_max(&self) -> Duration {
        self.length() + STAGE_SLACK * u32::try_from(self.stages.len()).unwrap_or(u32::MAX)
    }

    /// The longest that confirming suspects may take after them.
    pub fn confirm_max(&self) -> Duration {
        if self.confirm_us == 0 {
            return Duration::ZERO;
        }
        Duration::from_micros(self.confirm_us) + STAGE_SLACK
    }
}
