//! Repeated gaps of less than a second, in which everything of one host waits.
//!
//! # Rule
//!
//! A gap is a row of at least [`ROW_MIN`] probes of a host, in the order of their sending and
//! with at least two partners, that were all late by [`LATE_US`] or lost, while those between
//! others were not. Where all send at once, a gap is a row of slots in which nothing of a host
//! passed. A host stalls when it had [`GAPS_MIN`] gaps, each below a second, and most of its
//! late probes lie in gaps: delays that come one by one are `latency`'s.
//!
//! # Source
//!
//! PAUSE frames, interrupt storms and firmware hiccups hold a card up as a whole and lose
//! little (Gunawi et al., *Fail-Slow at Scale*, FAST 2018: NICs that stall for milliseconds).
//!
//! # What does not belong here
//!
//! Silences of a second and more: `outage`. Falls under load: `falls`.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    cause,
    falls::Fall,
    outage::held,
    quiet::{self, Calm},
    robust,
    seen::{
        RoundSeen, Seen, WAYS,
        probes::{Asked, Outcome},
    },
    summary::{Direction, Finding, FindingKind, Severity},
};
use crate::model::{
    fleet::{host::HostId, units::SLOT_US},
    plan::{dose::Pattern, layout::StageKind},
    record::probe::{TICK_US, moment_us},
};

/// A probe is in a gap from this round trip on, microseconds: of a gap of 50 ms most are.
pub const LATE_US: u32 = 20_000;

/// Late probes in a row that make a gap.
const ROW_MIN: usize = 3;

/// Partners in a row, so that it is no path's.
const PARTNERS_MIN: usize = 2;

/// Gaps that make a finding: one or two happen to every machine.
const GAPS_MIN: usize = 3;

/// A gap this long is an outage, microseconds.
const GAP_MAX_US: u64 = 1_000_000;

/// Share of a host's late probes that must lie in its gaps.
const IN_GAPS_MIN: f64 = 0.6;

/// Share of a host's probes that may be late: more is not a gap, but how it is.
const LATE_MAX: f64 = 0.4;

/// Share of the probes between others that may be late in the same gap: more is the machine's,
/// or the switch's.
const OTHERS_MAX: f64 = 0.2;

/// Share of its median below which a slot of all of a host's flows is a gap.
const SLOT_LOW: f64 = 0.1;

/// Of so many gaps with load both ways one at least must have shown one way alone for it to be that way's.
const ONE_ALONE: usize = 3;

/// How many times as often as the other.
const ONE_WAY: usize = 4;

/// The number of a finding that says how far its gaps lie apart.
pub const EVERY_S: &str = "every_s";

/// A gap: when it began and how long it was, microseconds.
type Gap = (u64, u64);

/// One probe: when it was sent, between whom, and whether it was late or lost.
#[derive(Clone, Copy, Debug)]
struct Probe {
    at_us: u64,
    from: HostId,
    to: HostId,
    late: bool,
}

/// Findings of stalls, by host.
pub fn findings(seen: &Seen, falls: &[Fall]) -> Vec<(HostId, Finding)> {
    let probes = probes(seen, &quiet::ticks(seen, StageKind::Load));
    let hosts: Vec<HostId> = seen.hosts.iter().map(|host| host.id).collect();
    let of_host = |host: HostId| {
        let gaps = gaps(&probes, host, falls);
        if gaps.len() >= GAPS_MIN { gaps } else { slot_gaps(seen, host, falls) }
    };
    let all: BTreeMap<HostId, Vec<Gap>> = hosts.into_iter().map(|host| (host, of_host(host))).collect();
    let counts: Vec<f64> = all.values().map(|gaps| gaps.len() as f64).collect();
    let typical = robust::median(&counts).unwrap_or(0.0);
    all.into_iter()
        .filter(|(_, gaps)| gaps.len() >= GAPS_MIN && gaps.len() as f64 >= 3.0 * typical)
        .map(|(host, gaps)| (host, finding(seen, host, &gaps)))
        .collect()
}

/// Whether a probe may lie in a gap: late by [`LATE_US`], or lost.
pub const fn is_late(outcome: Outcome) -> bool {
    match outcome {
        Outcome::Lost => true,
        Outcome::Answered(us) => us >= LATE_US,
    }
}

/// All echoes of quiet and of gentle ticks, in the order of their sending.
fn probes(seen: &Seen, ticks: &[Option<Calm>]) -> Vec<Probe> {
    let mut probes: Vec<Probe> = Vec::new();
    for (from, to) in seen.probes.pairs(Asked::Echo) {
        for (tick, _) in (0..).zip(ticks).filter(|(_, state)| state.is_some()) {
            let Some(outcome) = seen.probes.outcome(from, to, Asked::Echo, tick) else { continue };
            let at_us = tick * TICK_US + moment_us(from, to);
            probes.push(Probe { at_us, from, to, late: is_late(outcome) });
        }
    }
    probes.sort_by_key(|probe| (probe.at_us, probe.from, probe.to));
    probes
}

/// The gaps of one host that probes show; none where its late probes come one by one.
fn gaps(probes: &[Probe], host: HostId, falls: &[Fall]) -> Vec<Gap> {
    let own: Vec<&Probe> = probes.iter().filter(|probe| probe.from == host || probe.to == host).collect();
    let late = own.iter().filter(|probe| probe.late).count();
    let (mut gaps, mut in_gaps) = (Vec::new(), 0);
    for row in own.chunk_by(|a, b| a.late && b.late).filter(|row| row[0].late && row.len() >= ROW_MIN) {
        let partners: BTreeSet<HostId> =
            row.iter().map(|probe| if probe.from == host { probe.to } else { probe.from }).collect();
        let (from, to) = (row[0].at_us, row[row.len() - 1].at_us);
        let others: Vec<bool> = probes
            .iter()
            .filter(|probe| (from..=to).contains(&probe.at_us) && probe.from != host && probe.to != host)
            .map(|probe| probe.late)
            .collect();
        let shared = others.iter().filter(|late| **late).count() as f64 > OTHERS_MAX * others.len() as f64;
        if partners.len() >= PARTNERS_MIN && !shared && to - from < GAP_MAX_US && !fell(falls, host, from) {
            gaps.push((from, to - from));
            in_gaps += row.len();
        }
    }
    let mostly = in_gaps as f64 >= IN_GAPS_MIN * late as f64;
    let rarely = late as f64 <= LATE_MAX * own.len() as f64;
    if mostly && rarely { gaps } else { Vec::new() }
}

fn fell(falls: &[Fall], host: HostId, at_us: u64) -> bool {
    let slot = at_us / SLOT_US;
    falls.iter().any(|fall| fall.host == host && fall.since <= slot + 2 && slot < fall.end())
}

/// The gaps of one host in rounds in which it exchanges bytes with several at once.
fn slot_gaps(seen: &Seen, host: HostId, falls: &[Fall]) -> Vec<Gap> {
    let meets_several = |round: &&RoundSeen| {
        let part = round.by_host.get(&host);
        round.kind == StageKind::Load
            && round.saturates()
            && round.dose.pattern != Pattern::Pairs
            && part.is_some_and(|part| part.tx.len() > 1 || part.rx.len() > 1)
    };
    seen.rounds.iter().filter(meets_several).flat_map(|round| round_gaps(seen, round, host, falls)).collect()
}

fn round_gaps(seen: &Seen, round: &RoundSeen, host: HostId, falls: &[Fall]) -> Vec<Gap> {
    // The first second is slow start's.
    let steady = round.start + 10..round.end;
    let [tx, rx] = WAYS.map(|way| seen.bps_in(round, host, way, steady.clone()));
    let both = tx.into_iter().zip(rx).map(|ways| match ways {
        (Some(tx), Some(rx)) => Some(tx + rx),
        (tx, rx) => tx.or(rx),
    });
    let slots: Vec<(u64, Option<f64>)> = steady.zip(both).collect();
    let known: Vec<f64> = slots.iter().filter_map(|(_, bps)| *bps).collect();
    let Some(median) = robust::median(&known) else { return Vec::new() };
    let low = |bps: &Option<f64>| bps.is_some_and(|bps| bps < SLOT_LOW * median);
    slots
        .chunk_by(|a, b| low(&a.1) == low(&b.1))
        .filter(|row| low(&row[0].1))
        .map(|row| (row[0].0 * SLOT_US, row.len() as u64 * SLOT_US))
        .filter(|(from, length)| *length < GAP_MAX_US && !fell(falls, host, *from))
        .collect()
}

fn finding(seen: &Seen, host: HostId, gaps: &[Gap]) -> Finding {
    let longest = gaps.iter().map(|(_, length)| *length).max().unwrap_or_default() as f64 / 1e6;
    let text = format!(
        "{} stood still {} times, for up to {longest:.2} s, without losing much: nothing of it passed, with any partner, and then everything did; look for PAUSE frames (ethtool -S, -a), its power management and firmware, and for what else holds its interrupts up",
        seen.name(host),
        gaps.len(),
    );
    let mut finding = cause::bare(FindingKind::Stalls, Severity::Fail, &[], text);
    finding.first_seen_s = gaps.first().map(|(from, _)| *from as f64 / 1e6);
    finding.numbers.insert("gaps".to_owned(), Some(gaps.len() as f64));
    finding.numbers.insert("longest_s".to_owned(), Some(longest));
    let apart: Vec<f64> = gaps.windows(2).map(|two| (two[1].0 - two[0].0) as f64 / 1e6).collect();
    finding.numbers.insert(EVERY_S.to_owned(), robust::median(&apart));
    finding
}

/// Those of a host's falls that are gaps, long enough to show as such: below a second, where in
/// [`GAPS_MIN`] of them at least what passed was held and not lost. One of these in a round with room, in
/// which no queue of its own holds anything up.
pub fn among<'a>(seen: &Seen, falls: &[&'a Fall]) -> Vec<&'a Fall> {
    let gap_max_s = GAP_MAX_US as f64 / 1e6;
    let is_short = |fall: &&Fall| fall.for_s().is_some_and(|length| length < gap_max_s);
    let short: Vec<&Fall> = falls.iter().copied().filter(is_short).collect();
    let held: Vec<&Fall> = short.iter().copied().filter(|fall| held::was_held(seen, fall)).collect();
    let has_room = |fall: &&Fall| seen.rounds.get(fall.round).is_some_and(RoundSeen::is_paced);
    if held.len() >= GAPS_MIN && held.iter().any(has_room) { short } else { Vec::new() }
}

/// The finding on a host for falls that are gaps.
pub fn of_falls(seen: &Seen, host: HostId, falls: &[&Fall]) -> Finding {
    let gap = |fall: &&Fall| (fall.since * SLOT_US, fall.end().saturating_sub(fall.since) * SLOT_US);
    let mut finding = finding(seen, host, &falls.iter().map(gap).collect::<Vec<_>>());
    finding.direction = Some(direction(seen, falls));
    finding
}

/// The way in which bytes are held in gaps. The other one goes on for a moment, until what was sent
/// lacks its acknowledgements: where few bytes are under way both seem to stop at once, and of many
/// streams or of datagrams one alone falls.
fn direction(seen: &Seen, falls: &[&Fall]) -> Direction {
    let loads_both = |fall: &&&Fall| {
        let part = seen.rounds.get(fall.round).and_then(|round| round.by_host.get(&fall.host));
        part.is_some_and(|part| WAYS.into_iter().all(|way| !part.of(way).is_empty()))
    };
    let told: Vec<Direction> = falls.iter().filter(loads_both).map(|fall| fall.direction).collect();
    let of = |way: Direction| told.iter().filter(|told| **told == way).count();
    let (tx, rx) = (of(Direction::Tx), of(Direction::Rx));
    let one_alone = (tx + rx) * ONE_ALONE >= told.len();
    match (tx >= rx * ONE_WAY, rx >= tx * ONE_WAY) {
        (true, false) if one_alone => Direction::Tx,
        (false, true) if one_alone => Direction::Rx,
        _ => Direction::Both,
    }
}

/// Whether a suspect stood still again while suspects were tried, as one partner saw it or all that are
/// not suspected saw together: gaps and probes may keep step, so that one partner asks in each and another
/// in none.
pub fn reproduced(seen: &Seen, host: HostId, partner: HostId) -> Option<bool> {
    let suspected = |other: HostId| {
        other != host && seen.suspects.as_ref().is_some_and(|suspects| suspects.hosts.contains_key(&other))
    };
    let mut all = probes(seen, &quiet::ticks(seen, StageKind::Confirm));
    all.retain(|probe| !suspected(probe.from) && !suspected(probe.to));
    let between = |probe: &&Probe| {
        (probe.from == host && probe.to == partner) || (probe.from == partner && probe.to == host)
    };
    let own: Vec<&Probe> = all.iter().filter(between).collect();
    let enough = own.len() >= CONFIRM_PROBES_MIN;
    enough.then(|| own.iter().any(|probe| probe.late) || !gaps(&all, host, &[]).is_empty())
}

/// Probes between two hosts that tell whether one of them stalls: two seconds' both ways.
const CONFIRM_PROBES_MIN: usize = 16;

#[cfg(test)]
mod tests;
