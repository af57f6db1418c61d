//! stub of the agreed interface
#![allow(missing_docs, clippy::all, clippy::pedantic, clippy::todo, unused, reason = "stub")]
use crate::model::{fleet::{host::HostId, units::RunTime}, record::line::Line, run::event::RunEvent, plan::schedule::Capacities};
/// The judge's fold behind a watermark, while the run goes on.
#[derive(Default)]
pub struct Live;
impl Live {
    pub fn new() -> Self { todo!() }
    /// Takes a line as it was written to the record.
    pub fn feed(&mut self, line: &Line, now: RunTime) -> Vec<RunEvent> { todo!() }
    /// To be called every 100 ms: drop-offs that only the passing of time reveals, and once a second `Rates`.
    pub fn tick(&mut self, now: RunTime) -> Vec<RunEvent> { todo!() }
    /// What calibration came to, from the samples of stage `calibrate`.
    pub fn capacities(&self) -> Capacities { todo!() }
}
