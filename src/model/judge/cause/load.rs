//! Falls that nothing else explains: tied to load, or an outage.
//!
//! # The tie to load
//!
//! A card *dies under load* when most of its falls begin soon after reaching a dose
//! ([`dose`](super::dose)), and that happened twice, or lasts to the end; or when three and more came
//! each after as long a time of it, as of a limiter that lets a bucket run full. One fall that ends by
//! itself, after which the same load is carried, is an outage.

use std::collections::BTreeSet;

use super::super::{
    falls::Fall,
    outage::{self, Outage},
    seen::{Seen, WAYS, Way},
    stalls,
    summary::{Direction, Finding, FindingKind, Severity},
};
use super::{
    dose::{self, AXES, Axis, Levels},
    way,
};
use crate::model::fleet::host::HostId;

/// A single fall this soon after the load rose is tied to it, seconds. DESIGN says 2 s; a
/// limiter that integrates over a second, as thermal and credit limits do, trips up to a
/// second later, and of pair rounds that run one way each direction has only every other.
const ONCE_WITHIN_S: f64 = 4.0;

/// The same for falls that come again: just above its limit a card holds out for longer, and
/// that each of several falls comes so soon after the load came back is no chance.
const AGAIN_WITHIN_S: f64 = 6.0;

/// Silence that is an outage; less is worth a warning (the contract's figure).
const OUTAGE_MIN_S: f64 = 1.0;

/// A dose survived is one held this long …
const SURVIVED_SLOTS: u64 = 80;

/// … without a fall in the time after (8 s and 2 s, the contract's figures).
const SURVIVED_AFTER_SLOTS: u64 = 20;

/// Who wrote this shortly before the run's end had run to it: workers look at their host each second.
const RAN_ON_US: u64 = 3_000_000;

/// The number of a finding all of whose falls the host went on answering in: so many.
pub const ANSWERED: &str = "answered_drop_offs";

/// The number of a finding all of whose falls began as a round did: so many.
pub const WITH_ROUNDS: &str = "began_with_rounds";

/// How the falls of a host are tied to load.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Tie {
    /// To which kind of load.
    pub axis: Axis,
    /// Times that the killing dose was reached.
    pub tries: usize,
    /// Times that the card died of it.
    pub failures: usize,
    /// The seconds of load that each fall took, where it was not soon after.
    pub after_s: Option<f64>,
    /// The highest goodput just before a fall, bits per second.
    pub killed_bps: Option<f64>,
    /// The highest goodput that was held, bits per second.
    pub survived_bps: Option<f64>,
}

/// The tie of these falls to load, where there is one.
pub fn dies_under_load(seen: &Seen, host: HostId, falls: &[&Fall]) -> Option<Tie> {
    let to_the_end = falls.iter().any(|fall| fall.until.is_none());
    let within_s = if falls.len() > 1 { AGAIN_WITHIN_S } else { ONCE_WITHIN_S };
    let outages = outage::all_of(seen, host);
    let tied = |axis: Axis| {
        let levels = Levels::of(seen, host, axis, falls);
        let after_s = levels.each_after_s(seen, falls, &outages).filter(|after_s| *after_s > within_s);
        let soon = falls.iter().filter(|fall| levels.brought(seen, fall, &outages, within_s)).count();
        (after_s.map_or(soon, |_| falls.len()), levels, after_s)
    };
    // Of equals the first that had not been held before, else the first.
    let rank = |(failures, levels, _): &(usize, Levels, Option<f64>)| (*failures, !levels.were_held(falls));
    let all = AXES.map(|axis| (axis, tied(axis)));
    let best = all.iter().reduce(|best, other| if rank(&other.1) > rank(&best.1) { other } else { best })?;
    let failures = best.1.0;
    let is_tied = failures * 2 > falls.len() && (failures >= 2 || to_the_end);
    let [plainest, ..] = &all;
    let fell_with_few = best.0 == Axis::Streams && best.1.1.differ(falls);
    let (axis, (_, levels, after_s)) = if fell_with_few { plainest } else { best };
    is_tied.then(|| Tie {
        axis: *axis,
        tries: levels.tries(falls),
        failures: falls.len(),
        after_s: *after_s,
        killed_bps: falls.iter().filter_map(|fall| fall.offered_bps).reduce(f64::max),
        survived_bps: survived(seen, host, falls),
    })
}

/// What a host carried in a slot, the larger direction; `None` where nothing was planned or measured.
fn load(seen: &Seen, host: HostId, slot: u64) -> Option<f64> {
    let round = seen.rounds.iter().rev().find(|round| round.slots().contains(&slot))?;
    WAYS.into_iter().filter_map(|way| Some(seen.carried(round, host, way, slot)?.0)).reduce(f64::max)
}

/// The highest goodput held for 8 s without a fall in these and the 2 s after.
fn survived(seen: &Seen, host: HostId, falls: &[&Fall]) -> Option<f64> {
    let loads: Vec<Option<f64>> = (0..seen.latest.slot()).map(|slot| load(seen, host, slot)).collect();
    let free = |from: u64| {
        let to = from + SURVIVED_SLOTS + SURVIVED_AFTER_SLOTS;
        !falls.iter().any(|fall| fall.since < to && from < fall.end())
    };
    (0..loads.len() as u64)
        .filter(|from| free(*from))
        .filter_map(|from| {
            let held = loads.get(from as usize..(from + SURVIVED_SLOTS) as usize)?;
            let sum: Option<f64> = held.iter().copied().sum();
            Some(sum? / held.len() as f64)
        })
        .reduce(f64::max)
}

/// The finding on a host whose falls nothing else explains.
pub fn finding(seen: &Seen, host: HostId, falls: &[&Fall], healthy: &BTreeSet<HostId>) -> Finding {
    witnessed(seen, host, falls, healthy, |observers, longest_s| {
        let mut finding = match dies_under_load(seen, host, falls) {
            Some(tie) => dies(seen, host, falls, tie, observers),
            None => silence(seen, host, falls, observers, longest_s),
        };
        // TCP falls both ways when one is dead: where probes tell the ways apart, they are right.
        let dead = falls.iter().find_map(|fall| way::dead_direction(seen, fall));
        finding.direction = Some(dead.unwrap_or_else(|| super::direction(falls)));
        finding
    })
}

/// The finding on a host whose falls are gaps.
pub fn gaps(seen: &Seen, host: HostId, falls: &[&Fall], healthy: &BTreeSet<HostId>) -> Finding {
    witnessed(seen, host, falls, healthy, |_, _| stalls::of_falls(seen, host, falls))
}

/// What is told of a host's falls, given how many healthy hosts saw them, and for how long the longest
/// lasted: confirmed or not by these.
fn witnessed(
    seen: &Seen,
    host: HostId,
    falls: &[&Fall],
    healthy: &BTreeSet<HostId>,
    told: impl FnOnce(usize, f64) -> Finding,
) -> Finding {
    let mut peers: BTreeSet<HostId> = falls.iter().flat_map(|fall| fall.peers.iter().copied()).collect();
    // Of pairs only its partners exchange bytes with it; who probed it saw its silence as well.
    let mut missed = outage::all_of(seen, host);
    missed.retain(|outage| falls.iter().any(|fall| outage.overlaps(fall)));
    let longest_s = silent_for_s(falls, &missed);
    peers.extend(missed.into_iter().flat_map(|outage| outage.observers));
    let observers = peers.intersection(healthy).count();
    let enough = observers >= super::OBSERVERS_MIN.min(healthy.len().max(1));
    let mut finding = told(observers, longest_s);
    let lasting = falls.iter().any(|fall| fall.until.is_none()) || longest_s >= OUTAGE_MIN_S;
    finding.confirmed = Some(enough && (falls.len() > 1 || lasting));
    if let Some(unknown) = unmeasured(seen, falls) {
        let rest = format!("; what it {} meanwhile is not known", unknown.verb());
        finding.text.push_str(&rest);
    }
    finding.numbers.insert("observers".to_owned(), Some(observers as f64));
    note_answered(seen, falls, &mut finding);
    if falls.len() > 1 && falls.iter().all(|fall| began_with_a_round(seen, fall)) {
        finding.numbers.insert(WITH_ROUNDS.to_owned(), Some(falls.len() as f64));
    }
    finding
}

/// Whether a fall began as its host's flows were to: they did not die, but never came to be.
fn began_with_a_round(seen: &Seen, fall: &Fall) -> bool {
    seen.rounds.iter().any(|round| round.start == fall.since && round.by_host.contains_key(&fall.host))
}

/// Notes that its observers' echoes were answered in all of these falls, where they were.
pub fn note_answered(seen: &Seen, falls: &[&Fall], finding: &mut Finding) {
    if falls.iter().all(|fall| outage::went_on_answering(seen, fall) == Some(true)) {
        finding.numbers.insert(ANSWERED.to_owned(), Some(falls.len() as f64));
    }
}

fn dies(seen: &Seen, host: HostId, falls: &[&Fall], tie: Tie, observers: usize) -> Finding {
    let mut finding = super::bare(FindingKind::DiesUnderLoad, Severity::Fail, falls, String::new());
    let mut number = |name: &str, value: Option<f64>| finding.numbers.insert(name.to_owned(), value);
    let survived = tie.survived_bps.map_or("no load was held for 8 s".to_owned(), |bps| {
        format!("{} was held for 8 s", super::rate_text(Some(bps)))
    });
    let soon = tie.after_s.map_or("soon".to_owned(), |after_s| format!("each time some {after_s:.0} s"));
    let killed = super::rate_text(tie.killed_bps);
    let what = match tie.axis {
        Axis::Rate => format!("{soon} after reaching {killed}; {survived}"),
        Axis::BothWays => format!("{soon} after it sent and received at once, at {killed}; {survived}"),
        Axis::Packets => {
            let pps = packets(seen, host, falls);
            number("dose_killed_pps", pps.map(f64::round));
            let pps =
                pps.map_or("a higher packet rate".to_owned(), |pps| format!("{pps:.0} packets a second"));
            format!("{soon} after reaching {pps} in small frames; {survived}")
        }
        Axis::Streams => {
            let streams = dose::streams(seen, falls);
            number("dose_killed_streams", streams);
            let streams = streams.map_or("more streams".to_owned(), |count| format!("{count:.0} streams"));
            format!("{soon} after {streams} ran at once; {survived}")
        }
    };
    number("dose_killed_bps", tie.killed_bps.map(f64::round));
    number("dose_survived_bps", tie.survived_bps.map(f64::round));
    if let Some(after_s) = tie.after_s {
        number("after_s", Some(after_s));
    }
    number("tries", Some(tie.tries as f64));
    number("failures", Some(tie.failures as f64));
    // Who came back before may be about to, as the run ends.
    let dead = falls.iter().all(|fall| fall.until.is_none());
    let back =
        if dead { format!(" It did not come back: {}.", what_died(seen, host)) } else { String::new() };
    finding.text = format!(
        "{} fell silent {} {what}; {observers} peers saw it.{back} Collect its driver's counters and kernel log before a reboot, then repeat after a change of driver, firmware or card",
        seen.name(host),
        super::times(falls),
    );
    finding
}

/// Packets a second that were sent to or by a host in the busiest round in which it fell.
fn packets(seen: &Seen, host: HostId, falls: &[&Fall]) -> Option<f64> {
    let of_round = |fall: &&Fall| {
        let round = seen.rounds.get(fall.round)?;
        let part = round.by_host.get(&host)?;
        let sent = |way: Way| {
            let flows = part.of(way).iter().filter_map(|flow| seen.datagrams_sent.get(flow));
            flows.map(|sent| sent.sent).sum::<u64>()
        };
        Some(sent(Way::Tx).max(sent(Way::Rx)) as f64 / round.length_s().max(0.1))
    };
    falls.iter().filter_map(of_round).reduce(f64::max).filter(|pps| *pps > 0.0)
}

fn silence(seen: &Seen, host: HostId, falls: &[&Fall], observers: usize, longest_s: f64) -> Finding {
    let to_the_end = falls.iter().any(|fall| fall.until.is_none());
    let long = to_the_end || longest_s >= OUTAGE_MIN_S || falls.len() > 1;
    let rest = if to_the_end {
        what_died(seen, host)
    } else {
        "nothing ties it to load; look at its link, its switch port and its log of that moment"
    };
    let before = if longest_s > longest_fall_s(falls) {
        format!(", and left probes unanswered for {longest_s:.1} s")
    } else {
        String::new()
    };
    let text = format!(
        "{} fell silent {}{before}, seen by {observers} peers; {rest}",
        seen.name(host),
        super::times(falls),
    );
    let severity = if long { Severity::Fail } else { Severity::Warn };
    let mut finding = super::bare(FindingKind::Outage, severity, falls, text);
    finding.numbers.insert("drop_offs".to_owned(), Some(falls.len() as f64));
    finding.numbers.insert("longest_s".to_owned(), (longest_s > 0.0).then_some(longest_s));
    finding
}

/// Of a host that never came back.
fn what_died(seen: &Seen, host: HostId) -> &'static str {
    if ran_on(seen, host) {
        "its worker, which another card reaches, ran on: its card, its link or its switch port is dead, and not the host"
    } else {
        "whether its card, its link or the whole host died, only its console can tell"
    }
}

/// Whether a host went on telling of itself to the run's end, by another card than the one under test.
fn ran_on(seen: &Seen, host: HostId) -> bool {
    let wrote = seen.last_wrote.get(&host).copied().unwrap_or_default();
    seen.has_control_apart(host) && seen.latest.0.saturating_sub(wrote.0) <= RAN_ON_US
}

/// The direction of which nothing was measured during these falls of the other one.
fn unmeasured(seen: &Seen, falls: &[&Fall]) -> Option<Direction> {
    let (other, way) = match super::direction(falls) {
        Direction::Both => return None,
        Direction::Tx => (Direction::Rx, Way::Rx),
        Direction::Rx => (Direction::Tx, Way::Tx),
    };
    let known = |fall: &&Fall| {
        seen.rounds.iter().filter(|round| round.start < fall.end() && fall.since < round.end).any(|round| {
            let mut slots = round.start.max(fall.since)..round.end.min(fall.end());
            slots.any(|slot| seen.carried(round, fall.host, way, slot).is_some())
        })
    };
    (!falls.iter().any(known)).then_some(other)
}

/// The longest of the falls whose end was seen, seconds.
fn longest_fall_s(falls: &[&Fall]) -> f64 {
    falls.iter().filter_map(|fall| fall.for_s()).fold(0.0, f64::max)
}

/// The same with the outages that these falls lie in: a fall begins no sooner than its round does, and
/// who probed the host saw all of a silence that began before.
fn silent_for_s(falls: &[&Fall], missed: &[Outage]) -> f64 {
    missed.iter().filter_map(Outage::for_s).fold(longest_fall_s(falls), f64::max)
}
