//! Workers whose clock jumped: what they wrote then cannot be placed in time.
//!
//! # Rule
//!
//! All times of a record are the run's, as the coordinator's and most workers' clocks tell. A
//! line is off when it lies more than [`AHEAD_US`] after the end that these tell (or
//! [`AHEAD_AT_CLOSE_US`], where its worker was there as the run was closed), or goes back
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
    record::{
        line::{Body, COORDINATOR, ContactState, Line},
        placed,
    },
};

/// Beyond the run's end: workers that lost their coordinator go on for some seconds, and tell of it.
const AHEAD_US: u64 = 60_000_000;

/// The same of those that the coordinator waited for: clocks agree to milliseconds.
const AHEAD_AT_CLOSE_US: u64 = 5_000_000;

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
        let there = closed_with(lines);
        for line in lines.iter().filter(|line| line.i != COORDINATOR) {
            let before = latest.entry(line.i).or_default();
            let ahead_us = if there.contains(&line.i) { AHEAD_AT_CLOSE_US } else { AHEAD_US };
            if line.t.0 > end.0.saturating_add(ahead_us) || line.t.0.saturating_add(BACK_US) < before.0 {
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
    let coordinator = lines.iter().filter(|line| line.i == COORDINATOR).map(|line| line.t).max();
    coordinator.max(placed::last_words(lines))
}

/// Workers whose control was there at the end of a run that was closed: they wrote nothing after that.
fn closed_with(lines: &[Line]) -> BTreeSet<u16> {
    let own = lines.iter().filter(|line| line.i == COORDINATOR);
    let mut there = BTreeSet::new();
    let mut closed = false;
    for line in own {
        match &line.body {
            Body::Joined(joined) => {
                there.insert(joined.instance);
            }
            Body::Contact(contact) if contact.state == ContactState::Back => {
                there.insert(contact.instance);
            }
            Body::Contact(contact) => {
                there.remove(&contact.instance);
            }
            Body::Closed { .. } => closed = true,
            _ => {}
        }
    }
    if closed { there } else { BTreeSet::new() }
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
