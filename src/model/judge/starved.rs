//! Hosts whose worker did not get the CPU that it needed: what it measured may be its host's
//! limit and not its card's.
//!
//! # Rule
//!
//! A second is short when a carrying thread was runnable and waited for at least
//! [`WAITED_SHARE`] of it, ran for nearly all of it, or when the samplers came late by at least
//! [`LATE_US`]. Three of them, and [`SECONDS_SHARE`] of all, make a finding. Hosts that share a
//! kernel share its CPU, as in a lab: there a second is short only if the host was
//! [`PEERS_FACTOR`] times as badly off as its peers in the same second, and six are needed. Fewer
//! than that share are told of a host against which nothing else tells, and do not keep it from
//! passing: in a soak of hours each has some. Where most on a kernel come late it is the machine, and
//! no fall of those who go on answering is a card's.
//!
//! # Source
//!
//! Samplers of a worker on a busy machine of two cores: late by at most 2 ms at the 99th
//! percentile; `sched_info_arrive` of `kernel/sched/stats.h` for the time of waiting.

use std::collections::BTreeMap;

use super::{
    cause,
    falls::Fall,
    robust,
    seen::{Seen, State},
    summary::{Finding, FindingKind, Severity},
};
use crate::model::{
    fleet::{
        host::HostId,
        units::{RunTime, SLOT_US},
    },
    record::line::HostSeen,
};

/// Share of a second in which a carrying thread was runnable but did not run, from which on
/// the host and not its card is the limit.
const WAITED_SHARE: f64 = 0.2;

/// The same where hosts share a kernel, whose cores go round.
const WAITED_BESIDE_SHARE: f64 = 0.5;

/// The same of most hosts on a kernel, from which on it may be the machine that limits all.
const WAITED_ALL_SHARE: f64 = 0.4;

/// Share of a core from which on a carrying thread is the limit itself.
const USED_SHARE: f64 = 0.97;

/// Lateness of the samplers that no healthy host shows: half a slot.
const LATE_US: f64 = 50_000.0;

/// How many times its peers' a host's shortage must be where they share a kernel.
const PEERS_FACTOR: f64 = 3.0;

/// Short seconds that make a finding: a single one is any cron job's.
const SECONDS_MIN: usize = 3;

/// The same where hosts share a kernel: of eight healthy ones on two busy cores one was worse
/// off than the others for up to two seconds of a run.
const SECONDS_BESIDE_MIN: usize = 6;

/// Share of a host's seconds from which on too little of the run was the card's own.
const SECONDS_SHARE: f64 = 0.02;

const SECOND_US: u64 = 1_000_000;

/// What of a second says that its worker was short.
#[derive(Clone, Copy, Debug, Default)]
struct Shortage {
    waited: f64,
    used: f64,
    late_us: f64,
}

impl Shortage {
    fn of(state: &HostSeen) -> Self {
        let (used, waited) = state.threads.unwrap_or_default();
        let late_us = state.late_us.map_or(0, |(p99, _)| p99);
        Self { waited: f64::from(waited), used: f64::from(used), late_us: late_us as f64 }
    }

    /// Whether it is one by itself.
    fn is_own(self) -> bool {
        self.waited >= WAITED_SHARE || self.used >= USED_SHARE || self.late_us >= LATE_US
    }

    /// Whether it may be one beside peers, as far as it shows by itself.
    fn may_be_beside(self) -> bool {
        self.waited >= WAITED_BESIDE_SHARE || self.late_us >= LATE_US
    }

    /// The median of several; 0 of none.
    fn median(all: &[Self], of: fn(&Self) -> f64) -> f64 {
        robust::median(&all.iter().map(of).collect::<Vec<_>>()).unwrap_or_default()
    }

    /// Whether it is one beside what peers on the same kernel had.
    fn is_beside(self, peers: &[Self]) -> bool {
        let worse = |own: f64, least: f64, of: fn(&Self) -> f64| {
            own >= least && own >= PEERS_FACTOR * Self::median(peers, of)
        };
        worse(self.waited, WAITED_BESIDE_SHARE, |peer| peer.waited)
            || worse(self.late_us, LATE_US, |peer| peer.late_us)
    }
}

/// Seconds in which a host's own worker was short of CPU.
pub fn seconds(seen: &Seen, host: HostId) -> Vec<&State> {
    let Some(own) = seen.states.get(&host) else { return Vec::new() };
    let beside = seen.on_its_kernel(host);
    if beside.is_empty() {
        return own.iter().filter(|(_, state)| Shortage::of(state).is_own()).collect();
    }
    let second = |at: RunTime| at.as_secs_f64().round() as u64;
    // Few seconds are in question, of a hundred hosts with thousands each.
    let in_question = own.iter().filter(|(_, state)| Shortage::of(state).may_be_beside());
    let mut peers: BTreeMap<u64, Vec<Shortage>> =
        in_question.map(|(at, _)| (second(*at), Vec::new())).collect();
    if peers.is_empty() {
        return Vec::new();
    }
    for (at, state) in beside.iter().filter_map(|other| seen.states.get(other)).flatten() {
        if let Some(peers) = peers.get_mut(&second(*at)) {
            peers.push(Shortage::of(state));
        }
    }
    let is_short = |(at, state): &&State| {
        let peers = peers.get(&second(*at)).map_or(&[][..], Vec::as_slice);
        Shortage::of(state).is_beside(peers)
    };
    own.iter().filter(is_short).collect()
}

/// Whether for most of a fall most hosts on its host's kernel came late, or waited for a core: then the
/// machine that all share may be the limit, as two cores are of a lab that is too large or too fast for them.
pub fn whole_machine(seen: &Seen, fall: &Fall) -> bool {
    let mut all = seen.on_its_kernel(fall.host);
    if all.is_empty() {
        return false;
    }
    all.insert(fall.host);
    let until = fall.until.map_or(seen.latest.0, |until| until * SLOT_US);
    // What a host tells each second is of the second before.
    let window = fall.since * SLOT_US..=until + SECOND_US;
    let mut seconds: BTreeMap<u64, Vec<Shortage>> = BTreeMap::new();
    for (at, state) in all.iter().filter_map(|host| seen.states.get(host)).flatten() {
        if window.contains(&at.0) {
            seconds.entry(at.0 / SECOND_US).or_default().push(Shortage::of(state));
        }
    }
    let is_short = |all: &&Vec<Shortage>| {
        Shortage::median(all, |one| one.late_us) >= LATE_US
            || Shortage::median(all, |one| one.waited) >= WAITED_ALL_SHARE
    };
    2 * seconds.values().filter(is_short).count() > seconds.len()
}

/// The finding on a host whose worker was short of CPU; `alone` where nothing else tells
/// against the host.
pub fn finding(seen: &Seen, host: HostId, alone: bool) -> Option<Finding> {
    let short = seconds(seen, host);
    let (first, _) = short.first()?;
    let least = if seen.shares_kernel(host) { SECONDS_BESIDE_MIN } else { SECONDS_MIN };
    let seconds = seen.states.get(&host).map_or(0, Vec::len) as f64;
    let few = alone && (short.len() as f64) < SECONDS_SHARE * seconds;
    let severity = if few { Severity::Info } else { Severity::Warn };
    (short.len() >= least).then(|| {
        let text = format!(
            "the worker on {} was short of CPU for {} s: what it measured may be its host's limit and not its card's; stop what else runs there, or give the worker cores",
            seen.name(host),
            short.len()
        );
        let mut finding = cause::bare(FindingKind::HostLimited, severity, &[], text);
        finding.first_seen_s = Some(first.as_secs_f64());
        finding.numbers.insert("starved_s".to_owned(), Some(short.len() as f64));
        finding
    })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    fn second(waited: f64, used: f64, late_us: f64) -> Shortage {
        Shortage { waited, used, late_us }
    }

    #[test]
    fn on_its_own_kernel_waiting_running_and_lateness_each_tell() {
        for (name, shortage, want) in [
            ("idle", second(0.0, 0.1, 500.0), false),
            ("waits", second(0.3, 0.1, 500.0), true),
            ("runs all the time", second(0.0, 0.99, 500.0), true),
            ("comes late", second(0.0, 0.1, 80_000.0), true),
        ] {
            assert_eq!(shortage.is_own(), want, "{name}");
        }
    }

    #[test]
    fn a_few_seconds_of_a_long_run_keep_from_passing_only_beside_something_else() {
        for (seconds, alone, want) in
            [(100, true, Severity::Warn), (1000, true, Severity::Info), (1000, false, Severity::Warn)]
        {
            let state = |second: u64| {
                let waited = if second < 5 { 0.5 } else { 0.0 };
                let state = HostSeen { threads: Some((0.1, waited)), ..HostSeen::default() };
                (RunTime(second * 1_000_000), Arc::new(state))
            };
            let mut seen = Seen::default();
            seen.states.insert(HostId(0), (0..seconds).map(state).collect());
            let found = finding(&seen, HostId(0), alone).expect("five are more than three");
            assert_eq!(found.severity, want, "of {seconds} s, alone: {alone}");
        }
    }

    #[test]
    fn on_a_shared_kernel_only_who_is_worse_off_than_its_peers_is_short() {
        let busy = [second(0.3, 0.2, 20_000.0); 5];
        let quiet = [second(0.02, 0.2, 2_000.0); 5];
        assert!(!second(0.4, 0.99, 30_000.0).is_beside(&busy), "all of one machine are busy");
        assert!(second(0.6, 0.2, 1_000.0).is_beside(&quiet));
        assert!(second(0.0, 0.2, 80_000.0).is_beside(&quiet), "a stopped one does not wait, it is late");
        assert!(!second(0.0, 0.99, 1_000.0).is_beside(&quiet), "that a thread is busy is no shortage there");
    }
}
