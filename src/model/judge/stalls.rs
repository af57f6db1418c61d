//! Repeated gaps of less than a second, in which everything of one host waits.
//!
//! # Rule
//!
//! A gap is a row of a host's probes, with at least two partners, that were all late or lost, while
//! those between others were not (`gaps`). Where all send at once, it is a row of slots in which
//! nothing of a host passed (`slots`). A host stalls when it had [`GAPS_MIN`] gaps, each below a
//! second. The same of all that crosses from one rack to another is their uplink's: `uplink`.
//!
//! # Source
//!
//! PAUSE frames, interrupt storms and firmware hiccups hold a card up as a whole and lose
//! little (Gunawi et al., *Fail-Slow at Scale*, FAST 2018: NICs that stall for milliseconds).
//!
//! # What does not belong here
//!
//! Silences of a second and more: `outage`. Falls under load: `falls`.

use std::collections::BTreeMap;

use super::{
    cause,
    falls::Fall,
    outage::held,
    paths::{self, Pair},
    quiet,
    rack::{Racks, Symptom},
    robust,
    seen::{RoundSeen, Seen, WAYS},
    summary::{Direction, Finding, FindingKind, Severity},
    ways::Found,
};
use crate::model::{
    fleet::{host::HostId, units::SLOT_US},
    plan::layout::StageKind,
    record::probe::{Moments, TICK_US},
};
use gaps::{Gap, Probe};

mod again;
pub(super) mod gaps;
mod slots;
mod uplink;

pub use again::reproduced;

/// Gaps that make a finding: one or two happen to every machine.
pub(super) const GAPS_MIN: usize = 3;

/// The same of two hosts, which nobody is beside who would show the machine's or the switch's own.
const GAPS_OF_TWO_MIN: usize = 6;

/// A gap this long is an outage, microseconds.
pub(super) const GAP_MAX_US: u64 = 1_000_000;

/// Of so many gaps with load both ways one at least must have shown one way alone for it to be that way's.
const ONE_ALONE: usize = 3;

/// How many times as often as the other.
const ONE_WAY: usize = 4;

/// The number of a finding that says how far its gaps lie apart.
pub const EVERY_S: &str = "every_s";

/// The shortest gaps that are found wherever they fall, milliseconds: those that hold a row of late probes of
/// a host from which and to which so many ways are probed.
pub fn shortest_ms(ways: usize) -> u64 {
    let of_one = ways.max(1) * gaps::kinds_of(Moments::Turning).len();
    let apart = TICK_US / of_one as u64;
    let row = ((gaps::ROW_MIN as u64 + 1) * apart).max(gaps::ROW_US + 2 * apart);
    (u64::from(gaps::LATE_US) + row) / 1000
}

/// Findings of stalls.
pub fn findings(seen: &Seen, falls: &[Fall], racks: &Racks) -> Found {
    let probes = Probe::all(seen, &quiet::ticks(seen, StageKind::Load));
    let hosts: Vec<HostId> = seen.hosts.iter().map(|host| host.id).collect();
    let of_host = |host: HostId| {
        let gaps = gaps::of_host(&probes, host, |at_us| fell(falls, host, at_us));
        if gaps.len() >= GAPS_MIN { gaps } else { slots::gaps(seen, host, falls) }
    };
    let all: BTreeMap<HostId, Vec<Gap>> = hosts.into_iter().map(|host| (host, of_host(host))).collect();
    if let [(a, one), (b, other)] = all.iter().collect::<Vec<_>>()[..] {
        let both = if one.len() <= other.len() { one } else { other };
        return Found { pairs: of_two(seen, (*a, *b), both).into_iter().collect(), ..Found::default() };
    }
    let counts: Vec<f64> = all.values().map(|gaps| gaps.len() as f64).collect();
    let typical = robust::median(&counts).unwrap_or(0.0);
    let hosts = all
        .into_iter()
        .filter(|(_, gaps)| gaps.len() >= GAPS_MIN && gaps.len() as f64 >= 3.0 * typical)
        .map(|(host, gaps)| (host, finding(seen, host, &gaps)));
    Found::on_hosts(hosts.collect()).with(Symptom::Stalls, uplink::crossings(&probes, racks))
}

/// The finding on a fleet of two that stood still together so often.
fn of_two(seen: &Seen, (a, b): Pair, gaps: &[Gap]) -> Option<(Pair, Finding)> {
    // What a worker missed itself is neither card's.
    let missed = |(from, length): &Gap| {
        seen.stalled.iter().any(|(_, since, until)| since.0 < from + length && *from < until.0)
    };
    let gaps: Vec<Gap> = gaps.iter().copied().filter(|gap| !missed(gap)).collect();
    let longest_s = gaps.iter().map(|(_, length)| *length).max()? as f64 / 1e6;
    let what = format!(
        "what {} and {} exchange stood still {} times, for up to {longest_s:.2} s, without losing much",
        seen.name(a),
        seen.name(b),
        gaps.len()
    );
    let mut finding = paths::worse(seen, &what, paths::NEXT_TO_NONE);
    finding.numbers = cause::numbers([("gaps", gaps.len() as f64), ("longest_s", longest_s)]);
    (gaps.len() >= GAPS_OF_TWO_MIN).then_some(((a, b), finding))
}

fn fell(falls: &[Fall], host: HostId, at_us: u64) -> bool {
    let slot = at_us / SLOT_US;
    falls.iter().any(|fall| fall.host == host && fall.since <= slot + 2 && slot < fall.end())
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

#[cfg(test)]
mod tests;
