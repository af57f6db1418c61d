//! A checked scenario: what to run. Reading one from text is `draft`'s work.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::dose::Dose;
use crate::model::fleet::host::HostName;

/// What to run, checked.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Scenario {
    /// Its name, fit for a file name.
    pub name: String,
    /// The question it answers, one line.
    pub about: String,
    /// Its stages, in order.
    pub stages: Vec<Stage>,
    /// The longest that confirming suspects may take after the last stage; 0 confirms nobody.
    #[serde(default)]
    pub confirm_us: u64,
    /// A quick measurement between two hosts of the fleet, in place of the stages' patterns:
    /// without calibration, each stage one round. Made in code, never written in a file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pair: Option<Pair>,
}

/// The two hosts of a quick measurement.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Pair {
    /// Who sends; where the stage goes both ways, the first to be told.
    pub from: HostName,
    /// Who receives.
    pub to: HostName,
}

/// One stage of a scenario.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Stage {
    /// Its name, unique in the scenario.
    pub name: String,
    /// What its rounds put on the cards, one dose a step (several for a ramp).
    pub steps: Vec<Dose>,
    /// How long each round runs.
    pub for_us: u64,
    /// How often the whole pattern is run.
    pub repeat: u16,
    /// Of pairs: how many matchings make the pattern; otherwise until each pair has met.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub matchings: Option<u16>,
    /// The pause between rounds.
    pub gap_us: u64,
}

impl Stage {
    /// How long each round runs.
    pub const fn round_length(&self) -> Duration {
        Duration::from_micros(self.for_us)
    }
}
