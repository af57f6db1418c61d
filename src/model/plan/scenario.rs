//! A checked scenario: what to run. Reading one from text is `draft`'s work.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::dose::Dose;

/// What to run, checked.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Scenario {
    /// Its name, fit for a file name.
    pub name: String,
    /// The question it answers, one line.
    pub about: String,
    /// Its stages, in order.
    pub stages: Vec<Stage>,
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
    /// The pause between rounds.
    pub gap_us: u64,
}

impl Stage {
    /// How long each round runs.
    pub const fn round_length(&self) -> Duration {
        Duration::from_micros(self.for_us)
    }
}
