//! Flows that never come to be: a queue that is dead to some of them, or a table that is full.
//!
//! # Rule
//!
//! Rounds of ever new connections: an attempt that was begun and not done within the round did
//! not pass. A side of a host is at fault when most of its pairs miss more than [`MISSING_MIN`]
//! of their attempts. Where nearly none passes, or from some moment on none does any more, while
//! flows that were there before run on, new flows are refused (`new_flows_refused`); where a
//! steady share is missing, some queue or hash bucket is dead to it (`dead_queue`).
//!
//! Without such rounds there is still a sign: echoes that are old flows pass, handshakes do not
//! ([`claim`]).
//!
//! # Source
//!
//! conntrack and flow-director tables refuse the flow after the k-th (`nf_conntrack: table
//! full`); RSS spreads flows over queues by a hash, so one dead queue of eight takes an eighth.

use std::collections::BTreeMap;

use super::{
    cause,
    falls::Fall,
    localise::{self, MOST, Pairs, Trial},
    outage::{self, held::Held},
    paths::{self, Pair},
    poisson::Share,
    rack::{Racks, Symptom},
    seen::{FlowSeen, RoundSeen, Seen, Way},
    summary::{Finding, FindingKind, Severity},
    ways::Found,
};
use crate::model::{
    fleet::{
        host::HostId,
        units::{RunTime, SLOTS_PER_S},
    },
    plan::layout::StageKind,
    record::{line::ConnectsFlow, probe::TICK_US},
};

mod dead_way;

/// Share of the attempts that must be missing: the last few of a round are still under way.
pub const MISSING_MIN: f64 = 0.05;

/// Attempts of a pair below which nothing is said.
const ATTEMPTS_MIN: u64 = 10;

/// How many times the fleet's missing share it must be.
const FLEET_FACTOR: f64 = 5.0;

/// Share of the attempts that pass of a host that refuses new flows.
const REFUSES_BELOW: f64 = 0.1;

/// … and of one that refused none before.
const TOOK_BEFORE: f64 = 0.5;

/// Probes' ticks in the second that a worker tells of.
const TICKS_A_SECOND: u64 = 1_000_000 / TICK_US;

/// The number of a finding that says how many attempts it rests on.
pub const ATTEMPTS: &str = "attempts";

/// What was told of new connections in stages of a kind, second by second; without those in which
/// one of both ends had no orders yet, or stood still as a whole: there it is no matter of new flows.
fn told(seen: &Seen, kind: StageKind) -> impl Iterator<Item = (RunTime, &FlowSeen, &ConnectsFlow)> {
    let mut held = Held::of(seen, true);
    seen.connects.iter().filter_map(move |(at, id, told)| {
        let flow = seen.flows.get(id)?;
        let (round, since) = (&seen.rounds[flow.round], at.slot().saturating_sub(SLOTS_PER_S));
        let last = at.0 / TICK_US;
        let ticks = last.saturating_sub(TICKS_A_SECOND)..last + 1;
        let counts =
            round.kind == kind && seen.took_part(round, flow, since) && !held.an_end_of(flow, &ticks);
        counts.then_some((*at, flow, told))
    })
}

/// Attempts begun and missing, between pairs, in stages of a kind.
fn attempts(seen: &Seen, kind: StageKind) -> Pairs {
    let mut pairs = Pairs::new();
    for (_, flow, told) in told(seen, kind) {
        let pair = pairs.entry((flow.from, flow.to)).or_default();
        pair.of += told.tried;
        pair.events += told.done;
    }
    for pair in pairs.values_mut() {
        // A kernel or process that turns somebody away is no card.
        pair.events = pair.of.saturating_sub(pair.events);
    }
    pairs
}

/// Findings of flows that never came to be.
pub fn findings(seen: &Seen, racks: &Racks) -> Found {
    let mut pairs = attempts(seen, StageKind::Load);
    let crossings = racks.set_apart(&mut pairs, is_bad);
    let trials = localise::beyond_typical(&pairs, FLEET_FACTOR, is_bad);
    let shares: Vec<Share> = pairs.values().copied().collect();
    let (blames, left) = localise::explain_away(&trials, MOST);
    let of_two = left.first().filter(|_| seen.is_of_two());
    let of_two = of_two.map(|place| between(seen, &trials[*place], shares[*place]));
    let hosts = localise::by_host(&blames)
        .into_iter()
        // Of a host that is silent altogether no flow runs on: that is told as its silence.
        .filter(|(host, _)| !rounds(seen).all(|round| outage::is_silent(seen, *host, &round.slots())))
        .map(|(host, sides)| {
            let mut all = Share::default();
            sides.iter().flat_map(|side| &side.trials).for_each(|place| all.add(shares[*place]));
            let ways: Vec<Way> = sides.iter().map(|side| side.way).collect();
            (host, finding(seen, host, &ways, all))
        });
    Found { pairs: of_two.into_iter().collect(), ..Found::on_hosts(hosts.collect()) }
        .with(Symptom::NewFlows, crossings)
}

/// The finding on a fleet of two.
fn between(seen: &Seen, trial: &Trial, share: Share) -> (Pair, Finding) {
    let (from, to) = (trial.from, trial.to);
    let what = format!(
        "{} of {} new connections from {} to {} failed",
        share.events,
        share.of,
        seen.name(from),
        seen.name(to)
    );
    let mut finding = paths::worse(seen, &what, paths::NEXT_TO_NONE);
    finding.numbers = cause::numbers([(ATTEMPTS, share.of as f64), ("missing_share", share.rate())]);
    ((from.min(to), from.max(to)), finding)
}

fn is_bad(share: Share) -> bool {
    share.of >= ATTEMPTS_MIN && share.rate() >= MISSING_MIN
}

/// Whether a side refuses all new flows, from the first on or from some moment on.
fn refuses(seen: &Seen, host: HostId, ways: &[Way]) -> bool {
    let mut seconds: BTreeMap<u64, (u64, u64)> = BTreeMap::new();
    for (at, flow, told) in told(seen, StageKind::Load) {
        if ways.iter().any(|way| flow.touches(host, *way)) {
            let second = seconds.entry(at.second()).or_default();
            *second = (second.0 + told.tried, second.1 + told.done);
        }
    }
    let passed: Vec<f64> = seconds
        .values()
        .filter(|(tried, _)| *tried >= ATTEMPTS_MIN)
        .map(|(tried, done)| *done as f64 / *tried as f64)
        .collect();
    let Some((last, before)) = passed.split_last() else { return false };
    let all = passed.iter().sum::<f64>() / passed.len() as f64;
    all < REFUSES_BELOW || (*last < REFUSES_BELOW && before.iter().any(|share| *share > TOOK_BEFORE))
}

fn finding(seen: &Seen, host: HostId, ways: &[Way], all: Share) -> Finding {
    let name = seen.name(host);
    let refuses = refuses(seen, host, ways);
    let (kind, text) = if refuses {
        let text = format!(
            "{name} takes no new connection while those that it has run on: {} of {} attempts did not pass; look at tables of flows and connections (conntrack -S, sysctl net.netfilter.nf_conntrack_max, ethtool -n) on it and on what stands before it",
            all.events, all.of
        );
        (FindingKind::NewFlowsRefused, text)
    } else {
        let text = format!(
            "{:.0} % of the new connections of {name} never come to be, {} of {}, and the others all do: some queue or hash bucket is dead to a share of flows; compare its queues' counters (ethtool -S), and try with a single one (ethtool -L)",
            all.rate() * 100.0,
            all.events,
            all.of
        );
        (FindingKind::DeadQueue, text)
    };
    let mut finding = cause::bare(kind, Severity::Fail, &[], text);
    finding.direction = if refuses { None } else { dead_way::of(seen, host) };
    finding.numbers.insert("missing_share".to_owned(), Some(all.rate()));
    finding.numbers.insert(ATTEMPTS.to_owned(), Some(all.of as f64));
    finding
}

/// Whether a host's silence is one of new flows alone: its echoes, an old flow, were answered
/// meanwhile, and its handshakes were not.
pub fn claim(seen: &Seen, fall: &Fall) -> Option<FindingKind> {
    let alive = outage::alive_during(seen, fall)?;
    (alive.echoes && !alive.handshakes).then_some(FindingKind::NewFlowsRefused)
}

/// The finding on a host to which no new flow came while old ones ran on.
pub fn stuck(seen: &Seen, host: HostId, falls: &[&Fall]) -> Finding {
    let text = format!(
        "{} took no new connection {}, while echoes that had begun before were answered: tables of flows are full, on it or before it; look at conntrack -S, sysctl net.netfilter.nf_conntrack_max and ethtool -n",
        seen.name(host),
        cause::times(falls),
    );
    let mut finding = cause::bare(FindingKind::NewFlowsRefused, Severity::Fail, falls, text);
    finding.confirmed = Some(true);
    finding.numbers.insert("drop_offs".to_owned(), Some(falls.len() as f64));
    finding
}

/// The rounds of new connections.
fn rounds(seen: &Seen) -> impl Iterator<Item = &RoundSeen> {
    seen.rounds.iter().filter(|round| round.kind == StageKind::Load && round.makes_connections())
}

/// How many connections a second a finding's host was asked for while it refused them.
pub fn attempts_per_s(seen: &Seen, finding: &Finding) -> f64 {
    let seconds: f64 = rounds(seen).map(RoundSeen::length_s).sum();
    finding.number(ATTEMPTS).unwrap_or(0.0) / seconds.max(1.0)
}

/// Whether attempts were missing again with one partner while suspects were tried.
pub fn reproduced(seen: &Seen, host: HostId, partner: HostId) -> Option<bool> {
    let pairs = attempts(seen, StageKind::Confirm);
    let mut all = Share::default();
    for pair in [(host, partner), (partner, host)] {
        all.add(pairs.get(&pair).copied().unwrap_or_default());
    }
    (all.of >= ATTEMPTS_MIN).then(|| is_bad(all))
}

#[cfg(test)]
mod tests;
