//! From a job to a run's folder: the lab's processes, the runtime, signals, events.
//!
//! The order is not free. A lab moves this process into its namespaces, which the kernel
//! allows only while there is a single thread: paths are made absolute, then the lab is
//! entered, and only then the runtime and the drawing thread exist.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context as _, anyhow};
use tokio::sync::{mpsc, watch};

use super::{
    failure::Failure,
    files,
    screen::{Look, Screen},
    signals,
};
use crate::{
    coordinator::{self, Outcome, RunError, Settings, StopLevel},
    lab::{client::Lab, fault::Fault, spec::LabSpec},
    model::{
        plan::{policy::Policy, scenario::Scenario},
        run::event::RunEvent,
    },
};

/// Events between coordinator and terminal; the coordinator drops what does not fit.
const EVENTS_MAX: usize = 1024;

/// Folders of workers' logs that stay when their runs were killed: enough to compare some.
const LOGS_KEPT: usize = 8;

/// How long a lab's workers get to join: they are local processes, started at once.
const LAB_WAIT: Duration = Duration::from_secs(30);

/// One run to carry out; every path in it is absolute.
pub(super) struct Job {
    pub(super) scenario: Scenario,
    pub(super) seed: u64,
    pub(super) out: PathBuf,
    pub(super) policy: Option<Policy>,
    /// Only what the hosts say of themselves is wanted: nothing is sent.
    pub(super) survey: bool,
    pub(super) shared: bool,
    pub(super) look: Look,
    pub(super) fleet: Fleet,
}

/// On what.
pub(super) enum Fleet {
    /// Namespaces here, broken as told. Only the holder learns the faults.
    Lab { spec: LabSpec, faults: Vec<Fault> },
    /// Workers that somebody else starts.
    Workers(Door),
}

/// Where workers come in.
pub(super) struct Door {
    pub(super) listen: SocketAddr,
    pub(super) advertise: Option<SocketAddr>,
    pub(super) join_file: PathBuf,
    pub(super) expect: usize,
    pub(super) min_workers: usize,
    pub(super) wait: Duration,
}

/// What a run left behind: its folder, and the lab while it still stands.
pub(super) struct Driven {
    pub(super) folder: PathBuf,
    pub(super) lab: Option<Lab>,
}

/// Carries a job out to its end.
pub(super) fn drive(job: Job) -> Result<Driven, Failure> {
    let state_dir = files::state_dir()?;
    files::create_private(&state_dir)?;
    let exe = files::this_executable()?;
    let simulated_links = matches!(job.fleet, Fleet::Lab { .. });
    let (door, mut stage) = match job.fleet {
        Fleet::Workers(door) => (door, None),
        Fleet::Lab { spec, faults } => {
            let (door, stage) = enter_lab(&exe, &state_dir, &spec, faults)?;
            (door, Some(stage))
        }
    };
    let settings = Settings {
        listen: door.listen,
        advertise: door.advertise,
        join_file: door.join_file,
        expect: door.expect,
        min_workers: door.min_workers,
        wait: door.wait,
        out: job.out,
        state_dir,
        scenario: job.scenario,
        seed: job.seed,
        simulated_links,
        policy: job.policy,
        survey: job.survey,
        shared: job.shared,
    };
    let outcome = with_runtime(settings, job.look, stage.as_mut())?;
    let lab = stage.map(LabStage::clear);
    Ok(Driven { folder: outcome.folder, lab })
}

/// A lab and what is still to be done in it as the run goes on.
struct LabStage {
    lab: Lab,
    exe: PathBuf,
    join_file: PathBuf,
    logs: PathBuf,
    faults: Vec<Fault>,
}

/// Builds the lab and moves this process onto its coordinator's place.
fn enter_lab(
    exe: &Path,
    state_dir: &Path,
    spec: &LabSpec,
    faults: Vec<Fault>,
) -> Result<(Door, LabStage), Failure> {
    files::forget_ended(state_dir, "workers", LOGS_KEPT);
    let logs = state_dir.join(format!("workers-{}", std::process::id()));
    files::create_private(&logs)?;
    let lab = super::lab::start(exe, spec)?;
    lab.enter_coordinator().context("cannot enter the lab").map_err(Failure::failed)?;
    let hosts = usize::from(spec.hosts);
    let join_file = logs.join("join.json");
    let door = Door {
        // The kernel picks the port; the join file tells it.
        listen: SocketAddr::new(lab.coordinator_addr(), 0),
        advertise: None,
        join_file: join_file.clone(),
        expect: hosts,
        min_workers: hosts,
        wait: LAB_WAIT,
    };
    Ok((door, LabStage { lab, exe: exe.to_owned(), join_file, logs, faults }))
}

impl LabStage {
    /// Does what the lab owes to this moment of the run.
    fn react(&mut self, event: &RunEvent) -> Result<(), Failure> {
        match event {
            RunEvent::Listening { .. } => self
                .lab
                .start_workers(&self.exe, &self.join_file, &self.logs)
                .context("cannot start the lab's workers")
                .map_err(Failure::failed),
            // Everybody is in: from here on, `after=` in a fault counts from the run's zero.
            RunEvent::Opened { .. } => self.faults.iter().try_for_each(|fault| {
                self.lab
                    .fault(fault)
                    .map(drop)
                    .with_context(|| format!("cannot put the fault `{fault}` into the lab"))
                    .map_err(Failure::failed)
            }),
            _ => Ok(()),
        }
    }

    /// Removes the workers' logs of a run that went well, and hands the lab on.
    fn clear(self) -> Lab {
        let _ = std::fs::remove_dir_all(&self.logs);
        self.lab
    }
}

fn with_runtime(settings: Settings, look: Look, stage: Option<&mut LabStage>) -> Result<Outcome, Failure> {
    let logs = stage.as_ref().map(|stage| stage.logs.clone());
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .thread_name("control")
        .enable_all()
        .build()
        .context("cannot start the runtime")
        .map_err(Failure::failed)?;
    let screen = Screen::start(look)?;
    let outcome = runtime.block_on(coordinate(settings, &screen, stage));
    // What still runs has no bearing on the outcome any more.
    runtime.shutdown_timeout(Duration::from_millis(500));
    screen.finish();
    outcome.map_err(|failure| match logs {
        Some(logs) => failure.help(format!("what the lab's workers said is in {}", logs.display())),
        None => failure,
    })
}

/// Runs the coordinator to its end while its events are acted upon and shown.
async fn coordinate(
    settings: Settings,
    screen: &Screen,
    mut stage: Option<&mut LabStage>,
) -> Result<Outcome, Failure> {
    let (events_in, mut events) = mpsc::channel(EVENTS_MAX);
    let (stop, stop_asked) = watch::channel(StopLevel::Run);
    signals::watch(stop.clone())?;

    let mut failed = None;
    let mut take = |event: RunEvent| {
        if let (Some(stage), None) = (stage.as_deref_mut(), &failed)
            && let Err(failure) = stage.react(&event)
        {
            failed = Some(failure);
            stop.send_replace(StopLevel::Now);
        }
        screen.show(event);
    };
    let mut run = std::pin::pin!(coordinator::run(settings, events_in, stop_asked));
    let outcome = loop {
        tokio::select! {
            outcome = &mut run => break outcome,
            Some(event) = events.recv() => take(event),
        }
    };
    while let Ok(event) = events.try_recv() {
        take(event);
    }
    let interrupted = *stop.borrow() != StopLevel::Run;
    match (failed, outcome) {
        (Some(failure), _) => Err(failure),
        (None, Ok(outcome)) => Ok(outcome),
        (None, Err(error)) => Err(explain(error, interrupted)),
    }
}

/// Whose mistake it was that there is no record to judge.
fn explain(error: RunError, interrupted: bool) -> Failure {
    match error {
        _ if interrupted => {
            Failure::interrupted(anyhow!(error).context("stopped before there was anything to judge"))
        }
        RunError::Usage(_) => Failure::usage(error),
        RunError::Failed(_) => Failure::failed(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_that_a_signal_ended_before_its_record_is_interrupted_whatever_the_reason() {
        let error = || RunError::Failed("only 5 of 8 workers came".to_owned());
        assert_eq!(explain(error(), true).code(), 130);
        assert_eq!(explain(error(), false).code(), 1);
        assert_eq!(explain(RunError::Usage("no such pattern".to_owned()), false).code(), 2);
    }
}
