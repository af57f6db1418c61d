//! What a host's kernel tells of its cores: time that was taken from them, waited for, or spent in soft
//! interrupts, and packets dropped for want of it. A card is no faster than the core that serves it.
//!
//! # Rule
//!
//! A second is pressed when the hypervisor took [`STOLEN_SHARE`] of the cores' time, when something
//! waited for a core for [`WAITED_SHARE`] of it, when one core was in soft interrupts for
//! [`SOFTIRQ_SHARE`] of it, or when the kernel dropped [`DROPPED_MIN`] packets that the card had
//! delivered. Load makes any core busy: by itself that says nothing. But where all that accuses a host
//! is soft, and most seconds under load since that began were pressed, [`PEERS_FACTOR`] times as large a
//! share as on its peers, the host is the limit. What the kernel dropped is no reason for what a host sends,
//! and for losses only in proportion (`loss`). Where most peers tell nothing, or hosts share a kernel, nothing
//! is said.
//!
//! # Source
//!
//! `Documentation/accounting/psi.rst`; `proc_stat(5)`; `enqueue_to_backlog` of `net/core/dev.c`, which
//! counts in `softnet_stat` what finds no room. That a starved host shows late completions, full rings
//! and slow flows as a dying card does: Amazon's guide to ENA, "Tx completion timeouts".
//!
//! # What does not belong here
//!
//! What the worker's own threads waited for: `starved`. Frames that the kernel dropped at one rate and
//! not at a lower one: `ladder`.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    cause, robust,
    seen::Seen,
    summary::{Direction, Finding, FindingKind, Severity},
};
use crate::model::{
    fleet::{
        host::HostId,
        units::{RunTime, SLOT_US},
    },
    plan::layout::StageKind,
    record::facts::CountersMoved,
};

/// Share of all cores' time taken by the hypervisor from which on the host is not its own master.
const STOLEN_SHARE: f32 = 0.05;

/// Share of a second in which something waited for a core: `some` of the kernel's pressure.
const WAITED_SHARE: f64 = 0.4;

/// Share of a second in soft interrupts from which on a core does nothing else.
const SOFTIRQ_SHARE: f64 = 0.95;

/// Packets dropped from the backlog of a core: fewer are a burst's.
pub const DROPPED_MIN: u64 = 10;

/// Of the seconds under load since a finding began, those that must have been pressed.
const SECONDS_SHARE: f64 = 0.5;

/// How many times its peers' that share must be: all are busy where all are loaded.
const PEERS_FACTOR: f64 = 3.0;

/// Kernels count the time of cores in hundredths of a second, on all machines (`USER_HZ`).
const TICKS_PER_S: f64 = 100.0;

/// Readings closer than that say nothing of a second.
const READING_MIN_S: f64 = 0.2;

/// What too little of a core does to the bytes of a card.
const BY_CPU: [FindingKind; 7] = [
    FindingKind::PacketLoss,
    FindingKind::LossAboveRate,
    FindingKind::Stalls,
    FindingKind::Latency,
    FindingKind::LatencyUnderLoad,
    FindingKind::Degrading,
    FindingKind::FailSlow,
];

/// What a kernel told of its cores between two readings.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Pressure {
    /// Since when.
    pub since: RunTime,
    /// Until when.
    pub at: RunTime,
    /// Time in which something waited for a core, microseconds.
    waited_us: u64,
    /// Time that one core spent in soft interrupts, the most of all, hundredths of a second.
    softirq_ticks: u64,
    /// Packets for which the backlog of a core had no room.
    pub dropped: u64,
}

impl Pressure {
    /// Of the counters that moved by a reading.
    pub fn of(moved: &CountersMoved, at: RunTime) -> Self {
        let step = |name: &str| moved.moved.get(name).map_or(0, |step| u64::try_from(*step).unwrap_or(0));
        let cores = moved
            .moved
            .iter()
            .filter(|(name, _)| name.strip_prefix("cpu.cpu").is_some_and(|core| core.ends_with(".softirq")));
        let softirq_ticks = cores.map(|(_, step)| u64::try_from(*step).unwrap_or(0)).max().unwrap_or(0);
        Self {
            since: moved.since,
            at,
            waited_us: step("cpu.pressure.cpu.some"),
            softirq_ticks,
            dropped: step("softnet.dropped"),
        }
    }

    /// Whether the second was pressed; what was `dropped` tells so only where it may be the reason.
    fn is_pressed(&self, dropped: bool) -> bool {
        let seconds = self.at.since(self.since).as_secs_f64();
        let share = |of_s: f64| if seconds < READING_MIN_S { 0.0 } else { of_s / seconds };
        dropped && self.dropped >= DROPPED_MIN
            || share(self.waited_us as f64 / 1e6) >= WAITED_SHARE
            || share(self.softirq_ticks as f64 / TICKS_PER_S) >= SOFTIRQ_SHARE
    }
}

/// Packets that a host's kernel had no room for in these rounds, as places in `rounds`: of a reading that
/// reaches beyond them its part. None where others share the kernel.
pub fn dropped_in(seen: &Seen, host: HostId, rounds: &BTreeSet<usize>) -> u64 {
    let readings = seen.pressure.get(&host).filter(|_| !seen.shares_kernel(host));
    let spans: Vec<(u64, u64)> = rounds
        .iter()
        .filter_map(|round| seen.rounds.get(*round))
        .map(|round| (round.start * SLOT_US, round.end * SLOT_US))
        .collect();
    let during = |told: &Pressure| {
        let within = |(from, to): &(u64, u64)| told.at.0.min(*to).saturating_sub(told.since.0.max(*from));
        let within: u64 = spans.iter().map(within).sum();
        told.dropped as f64 * within as f64 / told.at.0.saturating_sub(told.since.0).max(1) as f64
    };
    readings.into_iter().flatten().filter(|told| told.dropped > 0).map(during).sum::<f64>().round() as u64
}

/// The seconds of a host under load within a stretch, and whether each was pressed, by what the kernel
/// `dropped` as well.
fn seconds(seen: &Seen, host: HostId, (from, to): (RunTime, RunTime), dropped: bool) -> BTreeMap<u64, bool> {
    let loaded: Vec<(u64, u64)> = seen
        .rounds
        .iter()
        .filter(|round| round.kind == StageKind::Load && round.by_host.contains_key(&host))
        .map(|round| (round.start * SLOT_US, round.end * SLOT_US))
        .collect();
    let under_load = |at: RunTime| {
        let next = loaded.partition_point(|(start, _)| *start < at.0);
        (from..=to).contains(&at) && next > 0 && at.0 <= loaded[next - 1].1
    };
    let mut seconds: BTreeMap<u64, bool> = BTreeMap::new();
    let mut tell = |at: RunTime, pressed: bool| {
        if under_load(at) {
            *seconds.entry(at.second()).or_default() |= pressed;
        }
    };
    for (at, state) in seen.states.get(&host).into_iter().flatten() {
        tell(*at, state.cpu.is_some_and(|(_, stolen)| stolen >= STOLEN_SHARE));
    }
    for told in seen.pressure.get(&host).into_iter().flatten() {
        tell(told.at, told.is_pressed(dropped));
    }
    seconds
}

/// The share of them that was; `None` where nothing was told.
fn pressed_share(seconds: &BTreeMap<u64, bool>) -> Option<f64> {
    let pressed = seconds.values().filter(|pressed| **pressed).count();
    (!seconds.is_empty()).then(|| pressed as f64 / seconds.len() as f64)
}

/// From a finding's beginning to the end of its stage; the whole run of one that rests on that.
pub fn stretch(seen: &Seen, finding: &Finding) -> (RunTime, RunTime) {
    let whole = (RunTime::default(), seen.latest);
    let first = finding.first_seen_s.filter(|_| finding.kind != FindingKind::FailSlow);
    let Some(first) = first.map(|first_s| RunTime((first_s * 1e6).max(0.0) as u64)) else { return whole };
    let stage = seen.rounds.iter().rfind(|round| round.start <= first.slot()).map(|round| round.stage);
    let end = seen.rounds.iter().filter(|round| Some(round.stage) == stage).map(|round| round.end).max();
    end.map_or(whole, |end| (first, RunTime::of_slot(end)))
}

/// Of the seconds in which a finding held, how many were pressed, and whether the host's peers had it
/// better.
fn pressed(seen: &Seen, host: HostId, finding: &Finding) -> Option<usize> {
    let stretch = stretch(seen, finding);
    let lost = matches!(finding.kind, FindingKind::PacketLoss | FindingKind::LossAboveRate);
    let dropped = !lost && finding.direction != Some(Direction::Tx);
    let own = seconds(seen, host, stretch, dropped);
    let share = pressed_share(&own).filter(|share| *share >= SECONDS_SHARE)?;
    let told: Vec<f64> = seen
        .others(host)
        .filter_map(|other| pressed_share(&seconds(seen, other, stretch, dropped)))
        .collect();
    let usual = robust::median(&told).filter(|_| 2 * told.len() + 1 >= seen.hosts.len())?;
    (share >= PEERS_FACTOR * usual).then(|| own.values().filter(|pressed| **pressed).count())
}

/// The finding on a host of which everything that accuses it came while its cores were short.
pub fn finding(seen: &Seen, host: HostId, has: &[Finding]) -> Option<Finding> {
    let accused: Vec<&Finding> = has.iter().filter(|finding| finding.severity == Severity::Fail).collect();
    let by_cpu = accused.iter().all(|finding| BY_CPU.contains(&finding.kind));
    if accused.is_empty() || !by_cpu || seen.shares_kernel(host) {
        return None;
    }
    let counts: Option<Vec<usize>> = accused.iter().map(|finding| pressed(seen, host, finding)).collect();
    let pressed_s = counts?.into_iter().max()?;
    let text = format!(
        "the cores of {} were short for {pressed_s} s of its load, and those of its peers were not: time taken by its hypervisor, waited for, or spent in soft interrupts on one core; what looks like its card ({}) may be that. Look at /proc/stat, /proc/pressure/cpu and /proc/net/softnet_stat, spread its queues over cores, and test again",
        seen.name(host),
        accused.iter().map(|finding| finding.kind.name()).collect::<Vec<_>>().join(", "),
    );
    let mut finding = cause::bare(FindingKind::HostLimited, Severity::Warn, &[], text);
    finding.first_seen_s = accused.iter().filter_map(|finding| finding.first_seen_s).reduce(f64::min);
    finding.numbers.insert("pressed_s".to_owned(), Some(pressed_s as f64));
    Some(finding)
}

#[cfg(test)]
mod tests;
