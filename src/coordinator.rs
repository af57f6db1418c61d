//! Drives a run: gathers the fleet, leads it through the plan, writes the record.
//!
//! Decides nothing that a test could not decide without a network: the course of a run and
//! the state of contacts are machines in `model::run`; here is what waits, sends and writes.
//! Judging is the caller's work, from the record.

mod close;
mod driver;
mod folder;
mod gate;
mod gather;
mod intake;
mod preflight;
mod recorder;
mod roster;
mod sessions;
mod slices;
pub mod stop;
mod teller;

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use tokio::sync::{mpsc, watch};

use crate::model::{
    plan::{
        carriage::Carriage,
        dose::{Dose, Pattern, Rate, Ways},
        layout::{Plan, PlannedRound, PlannedStage},
        policy::Policy,
        scenario::Scenario,
        schedule,
    },
    record::line::Ended,
    run::event::RunEvent,
};

/// What a run needs to know.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where workers reach the coordinator.
    pub listen: SocketAddr,
    /// What the join file says, where it differs from `listen`.
    pub advertise: Option<SocketAddr>,
    /// Where the join file is written.
    pub join_file: PathBuf,
    /// How many workers are expected; they are the planned hosts.
    pub expect: usize,
    /// With fewer than this many nothing is sent.
    pub min_workers: usize,
    /// How long they are awaited.
    pub wait: Duration,
    /// `results/`: the run's folder is made in it.
    pub out: PathBuf,
    /// Keys and the stop socket of runs, 0700.
    pub state_dir: PathBuf,
    /// What to run.
    pub scenario: Scenario,
    /// The seed of all draws.
    pub seed: u64,
    /// Whether the links are a lab's.
    pub simulated_links: bool,
    /// What the hosts' configuration is judged by; it goes into the record.
    pub policy: Option<Policy>,
    /// Whether only the facts of the hosts are wanted: then the scenario has no stages, and
    /// nothing is sent.
    pub survey: bool,
    /// Whether traffic of others on the same cards is accepted.
    pub shared: bool,
}

/// How far a run is asked to stop.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum StopLevel {
    /// Not at all.
    Run,
    /// Stop sending, collect what was measured, write the end of the record.
    Stop,
    /// Write what is there, and return.
    Now,
}

/// A run that came to an end and left a record.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// Its folder.
    pub folder: PathBuf,
    /// How it ended.
    pub ended: Ended,
}

/// Why there is no outcome.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// Asked for something that cannot be done (exit code 2).
    #[error("{0}")]
    Usage(String),
    /// The tool or its surroundings failed (exit code 1).
    #[error("{0}")]
    Failed(String),
}

/// Runs a scenario on the fleet that comes.
///
/// Events are told on `events` as far as it has room: a watcher that does not keep up loses
/// events and never delays the run. The future must be polled on a tokio runtime with time
/// and I/O.
///
/// # Errors
///
/// [`RunError::Usage`] and [`RunError::Failed`] as their docs say. Whenever a folder had
/// been made by then, its record tells the same.
pub async fn run(
    settings: Settings,
    events: mpsc::Sender<RunEvent>,
    mut stop: watch::Receiver<StopLevel>,
) -> Result<Outcome, RunError> {
    let mut teller = teller::Teller::new(events);
    let ground = preflight::prepare(&settings)?;
    teller.tell(RunEvent::Listening {
        addr: ground.addrs.first().map(ToString::to_string).unwrap_or_default(),
        join_file: settings.join_file.display().to_string(),
        expected: settings.expect,
    });
    let fleet = gather::gather(&settings, ground, &mut teller, &mut stop).await?;
    let plan = if settings.survey {
        survey(settings.seed)
    } else {
        match schedule::plan(&settings.scenario, &fleet.roster.hosts(), settings.seed) {
            Ok(plan) => plan,
            Err(faults) => return Err(fleet.give_up(RunError::Usage(faults.to_string())).await),
        }
    };
    let driver = driver::Driver::open(&settings, plan, fleet, teller)?;
    driver.drive(stop).await
}

/// How long workers get for their facts: reading them takes milliseconds, unpacking modules
/// of several kernels longer. The clocks of both ends come together meanwhile.
const SURVEY_US: u64 = 2_000_000;

/// A plan of one stage without flows, not even those of `reach`: time for the hosts to tell
/// of themselves.
fn survey(seed: u64) -> Plan {
    let dose = Dose {
        pattern: Pattern::Storm,
        ways: Ways::BothWays,
        rate: Rate::Unpaced,
        carriage: Carriage::tcp(1),
    };
    let round = PlannedRound { offset_us: 0, for_us: SURVEY_US, dose, flows: Vec::new() };
    let stage = PlannedStage { name: "facts".to_owned(), rounds: vec![round], ..PlannedStage::default() };
    Plan { seed, stages: vec![stage], confirm_us: 0 }
}

#[cfg(test)]
mod tests;
