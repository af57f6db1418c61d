//! What a course is told, and what it asks for.

use std::collections::BTreeMap;

use crate::model::{
    fleet::{
        host::HostId,
        units::{BitRate, RunTime},
    },
    plan::layout::{FlowId, PlannedStage},
    record::line::{Body, Ended},
    run::event::RunEvent,
};

/// An order to one worker.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Order {
    /// Its slice of this stage; the rates are [`Course::rates`](super::Course::rates).
    Prepare {
        /// The stage's place in the plan.
        stage: u16,
    },
    /// Start the prepared stage.
    Start {
        /// The stage's place in the plan.
        stage: u16,
        /// The stage's zero.
        at: RunTime,
    },
    /// Stop sending.
    Stop {
        /// Why.
        why: String,
    },
    /// Hand over the rest, then go.
    Finish,
}

/// What happened.
#[derive(Clone, Debug)]
pub enum Event {
    /// Time passed.
    Tick,
    /// The answer to [`Action::WorkOutRates`].
    Rates {
        /// For which stage.
        stage: u16,
        /// The rate of each paced flow, or why the stage cannot be run as written.
        rates: Result<BTreeMap<FlowId, BitRate>, String>,
    },
    /// The answer to [`Action::Suspect`].
    Confirm {
        /// Stages that try the suspects once more; empty where nobody is suspected.
        stages: Vec<PlannedStage>,
    },
    /// A worker confirmed its slice.
    Ready {
        /// Which.
        host: HostId,
        /// Of which stage.
        stage: u16,
    },
    /// A worker cannot carry out its slice.
    CannotDo {
        /// Which.
        host: HostId,
        /// Of which stage.
        stage: u16,
        /// In its words.
        why: String,
    },
    /// Contact lost.
    Lost {
        /// With which host.
        host: HostId,
    },
    /// In contact again.
    Back {
        /// Which host.
        host: HostId,
        /// On a new session: what was told on the old one may never have arrived.
        fresh: bool,
    },
    /// A worker leaves by its own will.
    Left {
        /// Which.
        host: HostId,
        /// In its words.
        why: String,
    },
    /// All lines of a worker are in.
    Collected {
        /// Which.
        host: HostId,
    },
    /// Somebody wants the run to stop.
    StopAsked {
        /// In words.
        why: String,
    },
    /// The record cannot be written any more.
    Failed {
        /// In words.
        why: String,
    },
}

/// What the driver must do.
#[derive(Clone, Debug)]
pub enum Action {
    /// Tell a worker; only ever one that is in contact.
    Tell {
        /// Which.
        host: HostId,
        /// What.
        order: Order,
    },
    /// Write a line.
    Record(Body),
    /// Tell whoever watches.
    Announce(RunEvent),
    /// Calibration is over: record and announce what it came to.
    Calibrated,
    /// Work out the rates of a stage, and answer with [`Event::Rates`].
    WorkOutRates {
        /// The stage's place in the plan.
        stage: u16,
    },
    /// All stages were run: tell who is suspected, and answer with [`Event::Confirm`].
    Suspect,
    /// The run is over.
    Over(Ending),
}

/// How a run ended.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Ending {
    /// In one word.
    pub ended: Ended,
    /// Why, where it is not complete.
    pub why: String,
    /// The scenario asks for something that this fleet cannot do.
    pub usage: bool,
}
