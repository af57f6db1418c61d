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
    use std::path::Path;
    pub fn list(state_dir: &Path) -> std::io::Result<Vec<String>> { todo!() }
    pub fn stop(state_dir: &Path, run: &str) -> std::io::Result<()> { todo!() }
}
