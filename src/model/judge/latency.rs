//! Hosts whose echoes come back late, in a quiet network or at half load.
//!
//! # Rule
//!
//! A probe is late beyond three times what the fleet's pairs have as their 99th percentile, at the
//! median of pairs without a late host, and by at least 1 ms more. A pair is bad when more than
//! [`LATE_SHARE`] of its probes were late; the host that explains the bad pairs is found by
//! explain-away over both of its sides, and its own are late [`OTHERS_FACTOR`] times as often as the others'. It is
//! `latency` when the network was quiet, `latency_under_load` when only load brings it out.
//! With fewer than [`PROBES_MIN`] probes of a host nothing is said, unless most of them were late.
//!
//! # Source
//!
//! 299 probes: with 95 % one of them lies beyond the 99th percentile (order statistics). The
//! ratio of loaded to idle latency is `GPCNeT`'s; one-way delays are not told, because clocks that
//! were set by echoes over the same card halve any difference between its two ways.
//!
//! # What does not belong here
//!
//! Delays that come in gaps of everything at once: `stalls`. Lost probes: `loss`, `outage`.

use std::collections::{BTreeMap, BTreeSet};

use hdrhistogram::Histogram;

use super::{
    cause,
    falls::Fall,
    localise::{self, MOST, Pairs},
    paths::{self, Pair},
    poisson::Share,
    quiet::{self, Calm},
    rack::{Crossing, Racks, Symptom},
    seen::{
        Seen,
        probes::{Asked, Outcome},
    },
    summary::{Finding, FindingKind, Severity},
    ways::Found,
};
use crate::model::{fleet::host::HostId, plan::layout::StageKind, record::probe::ANSWER_US};

/// Probes of a host below which nothing is said (the contract's figure).
const PROBES_MIN: usize = 299;

/// Where most of them are late, so many tell it as well: with few hosts, a quiet stage has no more.
const PROBES_MOST_MIN: usize = 30;

/// How many times the fleet's 99th percentile is late (the contract's figure) …
const FLEET_FACTOR: f64 = 3.0;

/// … and how much more at least, microseconds (the contract's figure).
const MORE_US: f64 = 1_000.0;

/// Share of a pair's probes that must be late: of the 99th percentile, one in a hundred.
const LATE_SHARE: f64 = 0.01;

/// The same of pairs on a crossing of racks, and within them: of a few dozen probes one is late anywhere.
const CROSSING_LATE_SHARE: f64 = 0.05;

/// Late probes of a host in all: fewer are a moment's, not a card's.
const LATE_MIN: u64 = 6;

/// Partners below which one may well have more late echoes with a late host than all others.
const PARTNERS_TELL: usize = 4;

/// How many times as often as between those whom nobody blames a host's must be late: when a card lets go of
/// what it held, all are a little late at once.
const OTHERS_FACTOR: f64 = 3.0;

/// Share of the echoes between two hosts that must be late for it to be their path's: of gaps of 50 ms a
/// second so many fall into one …
const PATH_LATE_SHARE: f64 = 0.05;

/// … and each way one part of so many at least …
const PATH_EACH_WAY: u64 = 4;

/// … and how much rarer they must be between either and the others.
const PATH_FACTOR: f64 = 10.0;

/// When echoes are looked at, and what lateness then is: of a host, and of a crossing of racks.
const STATES: [(Calm, FindingKind, Symptom); 2] = [
    (Calm::Idle, FindingKind::Latency, Symptom::Late),
    (Calm::Paced, FindingKind::LatencyUnderLoad, Symptom::LateUnderLoad),
];

/// The number of a finding that says how many probes it rests on …
pub const PROBES: &str = "probes";

/// … and how many of them were late.
pub const LATE_PROBES: &str = "late_probes";

/// By observer and target: round trips, microseconds; what had no answer counts as a second,
/// so that a silence is not left out of its own measure.
type Trips = BTreeMap<(HostId, HostId), Vec<u32>>;

/// Round trips of one state, without those of hosts that were down.
pub fn trips(seen: &Seen, falls: &[Fall], ticks: &[Option<Calm>], state: Calm) -> Trips {
    let mut trips = Trips::new();
    for (from, to) in seen.probes.pairs(Asked::Echo) {
        let down = |slot: u64| {
            falls.iter().any(|fall| {
                (fall.host == from || fall.host == to) && fall.since <= slot + 2 && slot < fall.end()
            })
        };
        let own: Vec<u32> = (0..)
            .zip(ticks)
            .filter(|(tick, known)| **known == Some(state) && !down(tick * 2))
            .filter_map(|(tick, _)| match seen.probes.outcome(from, to, Asked::Echo, tick)? {
                Outcome::Answered(us) => Some(us),
                Outcome::Lost => Some(ANSWER_US as u32),
            })
            .collect();
        trips.insert((from, to), own);
    }
    trips
}

/// The quantile of round trips, by a histogram of three digits; `None` of nothing.
pub fn quantile(trips: &[u32], q: f64) -> Option<f64> {
    let mut histogram: Histogram<u64> = Histogram::new_with_bounds(1, 10 * ANSWER_US, 3).ok()?;
    for us in trips {
        histogram.saturating_record(u64::from(*us).max(1));
    }
    (!trips.is_empty()).then(|| histogram.value_at_quantile(q) as f64)
}

/// The 99th percentile of what each pair's answers took: lost probes are no measure of that.
fn p99s(trips: &Trips) -> Vec<((HostId, HostId), f64)> {
    let answered =
        |own: &Vec<u32>| own.iter().copied().filter(|us| *us < ANSWER_US as u32).collect::<Vec<_>>();
    trips.iter().filter_map(|(pair, own)| Some((*pair, quantile(&answered(own), 0.99)?))).collect()
}

/// From which round trip on a probe is late; `None` where no pair has answers.
fn limit_us(p99s: impl Iterator<Item = ((HostId, HostId), f64)>) -> Option<f64> {
    let fleet = localise::typical(p99s)?;
    Some((FLEET_FACTOR * fleet).max(fleet + MORE_US))
}

/// Findings of lateness.
pub fn findings(seen: &Seen, falls: &[Fall], racks: &Racks) -> Found {
    let ticks = quiet::ticks(seen, StageKind::Load);
    let mut found: BTreeMap<HostId, Finding> = BTreeMap::new();
    let mut across = Found::default();
    // What is late while nobody sends says nothing of hosts under load either.
    let mut bad: BTreeMap<Crossing, f64> = BTreeMap::new();
    let mut pairs = Pairs::new();
    for (state, kind, symptom) in STATES {
        let mut trips = trips(seen, falls, &ticks, state);
        let crossings = late_crossings(&trips, racks);
        bad.extend(crossings.clone());
        trips.retain(|(from, to), _| !racks.lie_on(&bad, *from, *to));
        across = across.with(symptom, crossings);
        let Some(limit) = limit_us(p99s(&trips).into_iter()) else { continue };
        let late = late(&trips, limit);
        for (pair, share) in &late {
            pairs.entry(*pair).or_default().add(*share);
        }
        for host in late_hosts(&trips, &late) {
            let own: Vec<u32> = of_host(&trips, host).collect();
            let finding = finding(seen, host, kind, &own, limit, &trips);
            // What is late in a quiet network is late under load for the same reason.
            found.entry(host).or_insert(finding);
        }
    }
    let pairs = late_paths(seen, &pairs);
    Found { pairs, hosts: found.into_iter().collect(), ..across }
}

/// Findings on two hosts whose echoes are late with each other alone, all the time or again and again.
fn late_paths(seen: &Seen, pairs: &Pairs) -> Vec<(Pair, Finding)> {
    let enough = |share: Share, parts: u64| {
        share.events * parts >= 2 * LATE_MIN && share.rate() * parts as f64 >= PATH_LATE_SHARE
    };
    let found = pairs.iter().filter(|((a, b), _)| a < b).filter_map(|((a, b), there)| {
        let back = pairs.get(&(*b, *a)).copied().unwrap_or_default();
        let mut own = *there;
        own.add(back);
        if !(enough(own, 1) && enough(*there, PATH_EACH_WAY) && enough(back, PATH_EACH_WAY)) {
            return None;
        }
        let mut others = Share::default();
        let touches_one =
            |(from, to): &Pair| [a, b].iter().filter(|host| [from, to].contains(*host)).count() == 1;
        pairs.iter().filter(|(pair, _)| touches_one(pair)).for_each(|(_, share)| others.add(*share));
        let alone = others.of > 0 && own.rate() >= PATH_FACTOR * others.rate();
        let what = format!(
            "{} of {} echoes between {} and {} came back late",
            own.events,
            own.of,
            seen.name(*a),
            seen.name(*b)
        );
        let mut finding = paths::worse(seen, &what, paths::NEXT_TO_NONE);
        finding.numbers = cause::numbers([(PROBES, own.of as f64), (LATE_PROBES, own.events as f64)]);
        alone.then_some(((*a, *b), finding))
    });
    found.collect()
}

/// Crossings on which most pairs are late by what pairs within racks have.
fn late_crossings(trips: &Trips, racks: &Racks) -> BTreeMap<Crossing, f64> {
    let within = p99s(trips).into_iter().filter(|((from, to), _)| racks.crossing(*from, *to).is_none());
    let limit = limit_us(within).filter(|_| racks.are_told());
    let is_bad = |share: Share| share.rate() > CROSSING_LATE_SHARE;
    limit.map(|limit| racks.bad(&localise::trials(&late(trips, limit), is_bad))).unwrap_or_default()
}

/// Answered round trips between a host and others, as observer and as target.
fn of_host(trips: &Trips, host: HostId) -> impl Iterator<Item = u32> {
    let own = trips.iter().filter(move |((from, to), _)| *from == host || *to == host);
    own.flat_map(|(_, all)| all.iter().copied().filter(|us| *us < ANSWER_US as u32))
}

fn is_late(us: u32, limit: f64) -> bool {
    us < ANSWER_US as u32 && f64::from(us) > limit
}

/// How many of the echoes of each pair that asked were late.
fn late(trips: &Trips, limit: f64) -> Pairs {
    let share = |own: &Vec<u32>| Share {
        events: own.iter().filter(|us| is_late(**us, limit)).count() as u64,
        of: own.len() as u64,
    };
    trips.iter().filter(|(_, own)| !own.is_empty()).map(|(pair, own)| (*pair, share(own))).collect()
}

/// The hosts that explain late pairs, over both sides.
fn late_hosts(trips: &Trips, late_of: &Pairs) -> BTreeSet<HostId> {
    let trials = localise::trials(late_of, |share| share.rate() > LATE_SHARE);
    let (blames, _) = localise::explain_away(&trials, MOST);
    let blamed: BTreeSet<HostId> = blames.iter().map(|blame| blame.host).collect();
    let mut told = BTreeSet::new();
    for host in blames.iter().map(|blame| blame.host) {
        let all = of_host(trips, host).count();
        // What another host is to blame for first is not this one's as well.
        let with = late_with(late_of, host, &told);
        let late: u64 = with.values().sum();
        let most_with_one = with.values().max().copied().unwrap_or_default();
        // More with one than with all others together is that path's.
        let of_a_path = with.len() >= PARTNERS_TELL && 2 * most_with_one > late;
        let some = all >= PROBES_MIN && late as f64 > LATE_SHARE * all as f64 && !of_a_path;
        let most = all >= PROBES_MOST_MIN && late as usize * 2 > all;
        if late >= LATE_MIN && (some || most) && is_later_than_others(late_of, host, &told, &blamed) {
            told.insert(host);
        }
    }
    told
}

/// Whether a host's echoes, but for those with hosts that are `told`, are late more often than those between
/// hosts that nobody `blamed`; where there are none, than between all others that are not told.
fn is_later_than_others(
    late: &Pairs,
    host: HostId,
    told: &BTreeSet<HostId>,
    blamed: &BTreeSet<HostId>,
) -> bool {
    let of = |its: bool, but: &BTreeSet<HostId>| {
        let mut all = Share::default();
        let is_meant = |(from, to): &Pair| {
            (*from == host || *to == host) == its && !but.contains(from) && !but.contains(to)
        };
        late.iter().filter(|(pair, _)| is_meant(pair)).for_each(|(_, share)| all.add(*share));
        all
    };
    let others = Some(of(false, blamed)).filter(|share| share.of > 0);
    of(true, told).rate() >= OTHERS_FACTOR * others.unwrap_or_else(|| of(false, told)).rate()
}

/// Late echoes of a host with each partner, but for some, as observer and as target.
fn late_with(late: &Pairs, host: HostId, but: &BTreeSet<HostId>) -> BTreeMap<HostId, u64> {
    let mut with: BTreeMap<HostId, u64> = BTreeMap::new();
    for ((from, to), share) in late.iter().filter(|((from, to), _)| *from == host || *to == host) {
        let other = if *from == host { *to } else { *from };
        if !but.contains(&other) {
            *with.entry(other).or_default() += share.events;
        }
    }
    with
}

fn finding(seen: &Seen, host: HostId, kind: FindingKind, own: &[u32], limit: f64, trips: &Trips) -> Finding {
    let others: Vec<u32> = trips
        .iter()
        .filter(|((from, to), _)| *from != host && *to != host)
        .flat_map(|(_, all)| all.iter().copied().filter(|us| *us < ANSWER_US as u32))
        .collect();
    let (median, p99) = (quantile(own, 0.5).unwrap_or(0.0), quantile(own, 0.99).unwrap_or(0.0));
    let fleet = quantile(&others, 0.99).unwrap_or(0.0);
    let when = if kind == FindingKind::Latency { "while nobody sends" } else { "at half load" };
    let text = format!(
        "echoes to and from {} take {:.1} ms at the median and {:.1} ms at the 99th percentile {when}, those between others {:.1} ms ({} probes); look at its interrupt moderation, power management and queues (ethtool -c, -l), and at what stands between it and its switch",
        seen.name(host),
        median / 1e3,
        p99 / 1e3,
        fleet / 1e3,
        own.len(),
    );
    let mut finding = cause::bare(kind, Severity::Fail, &[], text);
    let late = own.iter().filter(|us| is_late(**us, limit)).count();
    let numbers = [
        ("median_s", median / 1e6),
        ("p99_s", p99 / 1e6),
        ("fleet_p99_s", fleet / 1e6),
        (PROBES, own.len() as f64),
        (LATE_PROBES, late as f64),
    ];
    finding.numbers = cause::numbers(numbers);
    finding
}

/// Whether a suspect's echoes were late again while suspects were tried, as one partner saw
/// it; `None` where the two did not probe each other enough. Gathered once, for it is asked of all pairs.
pub fn reproduced(seen: &Seen, kind: FindingKind) -> impl Fn(HostId, HostId) -> Option<bool> + use<> {
    let state = if kind == FindingKind::Latency { Calm::Idle } else { Calm::Paced };
    let trips = trips(seen, &[], &quiet::ticks(seen, StageKind::Confirm), state);
    let p99s = p99s(&trips);
    move |host, partner| {
        let pairs = [(host, partner), (partner, host)];
        let own: Vec<u32> = pairs.iter().filter_map(|pair| trips.get(pair)).flatten().copied().collect();
        if own.len() < CONFIRM_PROBES_MIN {
            return None;
        }
        let others = p99s.iter().copied().filter(|((from, to), _)| *from != host && *to != host);
        let limit = limit_us(others)?;
        let late = own.iter().filter(|us| is_late(**us, limit)).count();
        Some(late as f64 > LATE_SHARE * own.len() as f64)
    }
}

/// Probes between two hosts that tell whether one of them is late again: two seconds' both ways.
const CONFIRM_PROBES_MIN: usize = 16;

#[cfg(test)]
mod tests;
