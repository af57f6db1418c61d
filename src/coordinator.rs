//! stub of the agreed interface
#![allow(missing_docs, clippy::all, clippy::pedantic, clippy::todo, unused, reason = "stub")]
use std::{net::SocketAddr, path::PathBuf, time::Duration};
use crate::model::{plan::scenario::Scenario, record::line::Ended, run::event::RunEvent};
pub struct Settings {
    pub listen: SocketAddr,
    /// What the join file says, where it differs from `listen`.
    pub advertise: Option<SocketAddr>,
    pub join_file: PathBuf,
    pub expect: usize,
    pub min_workers: usize,
    pub wait: Duration,
    /// `results/`
    pub out: PathBuf,
    /// Keys and the stop socket of runs, 0700.
    pub state_dir: PathBuf,
    pub scenario: Scenario,
    pub seed: u64,
    pub simulated_links: bool,
    pub shared: bool,
}
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum StopLevel { Run, Stop, Now }
pub struct Outcome { pub folder: PathBuf, pub ended: Ended }
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// exit 2: nothing was sent
    #[error("{0}")] Usage(String),
    /// exit 1
    #[error("{0}")] Failed(String),
}
pub async fn run(settings: Settings, events: tokio::sync::mpsc::Sender<RunEvent>, stop: tokio::sync::watch::Receiver<StopLevel>) -> Result<Outcome, RunError> { todo!() }
/// merge: the coord branch writes this as a file of its own.
pub mod stop {
    use std::path::{Path, PathBuf};
    #[derive(Debug, thiserror::Error)]
    pub enum StopError {
        #[error("no run is under way here ({})", .0.display())] None(PathBuf),
        #[error("no run {0} is under way; under way: {1}")] Unknown(String, String),
        #[error("{0} runs are under way; name one of {1}")] Several(usize, String),
        #[error("cannot stop run {run}: {why}")] Failed { run: String, why: String },
    }
    pub fn stop(state_dir: &Path, run: Option<&str>) -> Result<String, StopError> { Err(StopError::None(state_dir.to_owned())) }
}
