//! Hosts whose worker did not get the CPU that it needed: what it measured may be its host's
//! limit and not its card's.
//!
//! # Rule
//!
//! A second is short when a carrying thread was runnable and waited for at least
//! [`WAITED_SHARE`] of it, when the samplers came late by at least [`LATE_US`], or when a thread ran for
//! nearly all of it and its peers' did not: as fast as it goes, a fast card keeps every host's core busy.
//! Three of them make a finding: a note, for in a soak of hours each host has some, unless they are
//! [`SECONDS_SHARE`] of all, or of what followed in its stage when something else began that tells against
//! the host. Hosts that share a kernel share its CPU, as in a lab: there a second is short only if the host
//! was [`PEERS_FACTOR`] times as badly off as its peers in the same second, and six are needed. Where most on
//! a kernel come late it is the machine, and no fall of those who go on answering is a card's.
//!
//! # Source
//!
//! Samplers of a worker on a busy machine of two cores: late by at most 2 ms at the 99th
//! percentile; `sched_info_arrive` of `kernel/sched/stats.h` for the time of waiting.

use std::collections::BTreeMap;

use super::{
    cause,
    falls::Fall,
    pressure, robust,
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

/// The same of its peers, from which on it is the load that keeps a core busy and not the host's shortage.
const USED_PEERS_SHARE: f64 = 0.8;

/// Peers that are asked for it: the median of more is no other.
const PEERS_MAX: usize = 16;

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

    /// Whether it waited, or came late: on a kernel of its own that tells by itself.
    fn had_to_wait(self) -> bool {
        self.waited >= WAITED_SHARE || self.late_us >= LATE_US
    }

    /// Whether it may be one on a kernel of its own, as far as it shows by itself.
    fn may_be_own(self) -> bool {
        self.had_to_wait() || self.used >= USED_SHARE
    }

    /// Whether it is one on a kernel of its own, beside what peers on theirs had.
    fn is_own(self, peers: &[Self]) -> bool {
        self.had_to_wait()
            || self.used >= USED_SHARE && Self::median(peers, |peer| peer.used) < USED_PEERS_SHARE
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
    let is_own = beside.is_empty();
    let hosts = if is_own { seen.others(host).take(PEERS_MAX).collect() } else { beside };
    let may_be = |second: Shortage| if is_own { second.may_be_own() } else { second.may_be_beside() };
    let second = |at: RunTime| at.as_secs_f64().round() as u64;
    // Few seconds are in question, of a hundred hosts with thousands each.
    let in_question = own.iter().filter(|(_, state)| may_be(Shortage::of(state)));
    let mut peers: BTreeMap<u64, Vec<Shortage>> =
        in_question.map(|(at, _)| (second(*at), Vec::new())).collect();
    if peers.is_empty() {
        return Vec::new();
    }
    for (at, state) in hosts.iter().filter_map(|other| seen.states.get(other)).flatten() {
        if let Some(peers) = peers.get_mut(&second(*at)) {
            peers.push(Shortage::of(state));
        }
    }
    let is_short = |(at, state): &&State| {
        let peers = peers.get(&second(*at)).map_or(&[][..], Vec::as_slice);
        let second = Shortage::of(state);
        if is_own { second.is_own(peers) } else { second.is_beside(peers) }
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

/// The finding on a host whose worker was short of CPU; a note where that was seldom, and not while
/// anything began of what the host `has` against it.
pub fn finding(seen: &Seen, host: HostId, has: &[Finding]) -> Option<Finding> {
    let short = seconds(seen, host);
    let (first, _) = short.first()?;
    let least = if seen.shares_kernel(host) { SECONDS_BESIDE_MIN } else { SECONDS_MIN };
    if short.len() < least {
        return None;
    }
    let all: Vec<&State> = seen.states.get(&host).into_iter().flatten().collect();
    let is_much = |(from, to): (RunTime, RunTime)| {
        let within = |states: &[&State]| states.iter().filter(|(at, _)| (from..=to).contains(at)).count();
        within(&short) > 0 && within(&short) as f64 >= SECONDS_SHARE * within(&all) as f64
    };
    let whole = (RunTime::default(), seen.latest);
    let much = is_much(whole) || has.iter().any(|finding| is_much(pressure::stretch(seen, finding)));
    let severity = if much { Severity::Warn } else { Severity::Info };
    let text = format!(
        "the worker on {} was short of CPU for {} s: what it measured may be its host's limit and not its card's; stop what else runs there, or give the worker cores",
        seen.name(host),
        short.len()
    );
    let mut finding = cause::bare(FindingKind::HostLimited, severity, &[], text);
    finding.first_seen_s = Some(first.as_secs_f64());
    finding.numbers.insert("starved_s".to_owned(), Some(short.len() as f64));
    Some(finding)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::model::{judge::tests::field::Field, record::line::Body};

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
            assert_eq!(shortage.is_own(&[second(0.0, 0.6, 500.0); 3]), want, "{name}");
            assert_eq!(shortage.is_own(&[]), want, "{name}, and nothing is known of others");
        }
        let busy = [second(0.0, 0.98, 500.0); 3];
        assert!(!second(0.0, 0.99, 500.0).is_own(&busy), "it is the load that keeps all of them busy");
        assert!(second(0.3, 0.99, 500.0).is_own(&busy), "and it waits");
    }

    #[test]
    fn a_fleet_of_which_every_core_is_busy_under_full_load_is_not_short_of_cpu() {
        let short = |used: fn(u16) -> f32| {
            let mut field = Field::of(8);
            for (host, second) in (0..8).flat_map(|host| (0..90).map(move |second| (host, second))) {
                let state = HostSeen { threads: Some((used(host), 0.0)), ..HostSeen::default() };
                field.take(host + 1, RunTime(second * 1_000_000), Body::Host(Arc::new(state)));
            }
            let is_short = |host: &u16| finding(&field.seen, HostId(*host), &[]).is_some();
            (0..8).filter(is_short).collect::<Vec<_>>()
        };
        assert_eq!(short(|_| 0.98), [0_u16; 0]);
        assert_eq!(short(|host| if host == 3 { 0.98 } else { 0.5 }), [3]);
    }

    #[test]
    fn a_few_seconds_of_a_long_run_keep_from_passing_only_where_something_else_began() {
        let none: fn(u64) -> bool = |_| false;
        for (seconds, began, want) in [
            (100, none, Severity::Warn),
            (1000, none, Severity::Info),
            (1000, |second| second == 0, Severity::Warn),
            (1000, |second| second == 500, Severity::Info),
        ] {
            let state = |second: u64| {
                let waited = if second < 5 { 0.5 } else { 0.0 };
                let state = HostSeen { threads: Some((0.1, waited)), ..HostSeen::default() };
                (RunTime(second * 1_000_000), Arc::new(state))
            };
            let mut field = Field::of(2);
            // A stage of 19 s begins every 20 s.
            for _ in 0..seconds / 20 {
                field.storm(19, |_, _, _| 1e6);
            }
            let mut seen = field.seen;
            seen.latest = RunTime(seconds * 1_000_000);
            seen.states.insert(HostId(0), (0..seconds).map(state).collect());
            let has = |second: u64| {
                let mut finding = cause::bare(FindingKind::PacketLoss, Severity::Fail, &[], String::new());
                finding.first_seen_s = Some(second as f64 + 2.5);
                finding
            };
            let has: Vec<Finding> = (0..seconds).filter(|second| began(*second)).map(has).collect();
            let found = finding(&seen, HostId(0), &has).expect("five are more than three");
            assert_eq!(found.severity, want, "of {seconds} s, {} began", has.len());
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
