//! Workers whose clock jumped: what they wrote then cannot be placed in time.
//!
//! # Rule
//!
//! All times of a record are the run's, as the coordinator's and most workers' clocks tell. A
//! line is off when it lies more than [`AHEAD_US`] after the end that these tell, or goes back
//! by more than [`BACK_US`] behind what its own worker wrote before. Lines that are off are left
//! out, and their host is told: a virtual machine that was paused or moved does that, and no card.
//!
//! # What does not belong here
//!
//! Small errors of clocks: the run measures and takes them out before it begins.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    cause,
    seen::Seen,
    summary::{Finding, FindingKind, Severity},
};
use crate::model::{
    fleet::{host::HostId, units::RunTime},
    record::line::Line,
};

/// Beyond the run's end: workers write what they still hold for some seconds.
const AHEAD_US: u64 = 60_000_000;

/// Lines of one worker's threads may pass each other by a second; nothing else goes back.
const BACK_US: u64 = 5_000_000;

/// Lines that are off: instance and sequence number.
#[derive(Clone, Debug, Default)]
pub struct Off(BTreeSet<(u16, u64)>);

impl Off {
    /// Of the lines of a record, in order of instance and sequence number.
    pub fn of(lines: &[Line]) -> Self {
        let Some(end) = end(lines) else { return Self::default() };
        let mut latest: BTreeMap<u16, RunTime> = BTreeMap::new();
        let mut off = BTreeSet::new();
        for line in lines.iter().filter(|line| line.i != 0) {
            let before = latest.entry(line.i).or_default();
            if line.t.0 > end.0.saturating_add(AHEAD_US) || line.t.0.saturating_add(BACK_US) < before.0 {
                off.insert((line.i, line.q));
            } else {
                *before = (*before).max(line.t);
            }
        }
        Self(off)
    }

    /// Whether a line is one of them.
    pub fn has(&self, line: &Line) -> bool {
        self.0.contains(&(line.i, line.q))
    }

    /// How many of them each worker wrote.
    pub fn by_instance(&self) -> BTreeMap<u16, u64> {
        let mut counts = BTreeMap::new();
        for (instance, _) in &self.0 {
            *counts.entry(*instance).or_default() += 1;
        }
        counts
    }
}

/// The end of the run: the coordinator's last word, or that of most workers where it fell
/// silent before them.
fn end(lines: &[Line]) -> Option<RunTime> {
    let mut last: BTreeMap<u16, RunTime> = BTreeMap::new();
    for line in lines {
        let own = last.entry(line.i).or_default();
        *own = (*own).max(line.t);
    }
    let coordinator = last.remove(&0);
    let mut workers: Vec<RunTime> = last.into_values().collect();
    workers.sort_unstable();
    // Of two the earlier: it needs one clock that is right.
    let most = workers.get(workers.len().saturating_sub(1) / 2).copied();
    coordinator.max(most)
}

/// Who wrote lines that are off.
pub fn findings(seen: &Seen) -> Vec<(HostId, Finding)> {
    let told = seen.off.iter().map(|(host, lines)| {
        let text = format!(
            "the clock of the worker on {} jumped: {lines} of its lines lie outside the run or go back in time, and are left out; look for a virtual machine that was paused or moved, then run it again",
            seen.name(*host)
        );
        let mut finding = cause::bare(FindingKind::ClockJump, Severity::Warn, &[], text);
        finding.numbers.insert("lines".to_owned(), Some(*lines as f64));
        (*host, finding)
    });
    told.collect()
}
