//! Cards that grow slower and slower, within a stage against the others of the same second, or from
//! round to round.
//!
//! # Rule
//!
//! Over stages in which all send at once, for at least [`SECONDS_MIN`] s: each second a host's
//! rate is held against the fleet's median of that second, so that what slows all accuses
//! nobody. A one-sided CUSUM of the standardised rates opens at [`H`]; and the last third must
//! lie at least [`DEFICIT`] under the first, or noise that wanders would do. Seconds in which a host
//! fell count for nothing: what it carries otherwise may decline all the same.
//!
//! Of pairs a host has a round now and then: those of a side that `slow` finds decline when the last
//! third lies so far under the first, a good part of them lies between the two, and of any two the later
//! one is mostly the slower. What became slow at once has hardly any between.
//!
//! # Source
//!
//! Page's CUSUM with k = 1.5 and h = 15: in simulations of 100 hosts over 600 s with
//! autocorrelated noise the textbook's k = 0.5, h = 5 gave 48 to 100 false alarms a run, these
//! none to two, at a delay of 7 s.

use std::collections::BTreeMap;

use super::{
    cause::{self, rate_text},
    falls::Fall,
    robust,
    seen::{RoundSeen, Seen, WAYS, Way},
    summary::{Finding, FindingKind, Severity},
};
use crate::model::{
    fleet::{host::HostId, units::SLOTS_PER_S},
    plan::{dose::Pattern, layout::StageKind},
};

/// Seconds of a stage below which no trend is told.
pub const SECONDS_MIN: usize = 8;

/// Hosts below which the fleet's median is no yardstick.
const HOSTS_MIN: usize = 4;

/// What the sum forgives each second, standard deviations.
const K: f64 = 1.5;

/// Where it opens.
const H: f64 = 15.0;

/// A single second counts for no more than this many standard deviations.
const Z_MAX: f64 = 4.0;

/// Scatter of healthy hosts is never taken for less.
const SIGMA_MIN: f64 = 0.03;

/// How much slower the last third must be than the first.
const DEFICIT: f64 = 0.2;

/// Slots after a fall in which what stood in line is sent, and connections find their pace again.
const RECOVERS_SLOTS: u64 = 20;

/// Rounds below which no trend is told.
const ROUNDS_MIN: usize = 8;

/// Share of the way from the first third to the last within which a round belongs to one of them.
const EDGE: f64 = 0.2;

/// Share of the rounds that must lie between: of a straight line three fifths do, of a step none, and of
/// a line that is over before the last third a quarter.
const BETWEEN_MIN: f64 = 0.2;

/// Share of all two rounds of which the later one must be the slower.
const FALLING_MIN: f64 = 0.8;

/// Findings of decline, by host.
pub fn findings(seen: &Seen, falls: &[Fall]) -> Vec<(HostId, Finding)> {
    let mut sides: BTreeMap<HostId, Vec<(Way, Decline)>> = BTreeMap::new();
    for round in seen.rounds.iter().filter(|round| is_shared(round)) {
        for way in WAYS {
            for (host, decline) in declines(seen, falls, round, way) {
                sides.entry(host).or_default().push((way, decline));
            }
        }
    }
    sides.into_iter().map(|(host, sides)| (host, finding(seen, host, &sides, "within one stage"))).collect()
}

/// Rounds in which every host does the same for long enough.
pub fn is_shared(round: &RoundSeen) -> bool {
    round.kind == StageKind::Load
        && round.saturates()
        && round.dose.pattern == Pattern::Storm
        && round.length_s() >= SECONDS_MIN as f64
}

/// By host: bits per second in each second; `None` where it is not known.
pub type Series = BTreeMap<HostId, Vec<Option<f64>>>;

/// How a side declined: its rate in the first and the last third, and when it showed.
#[derive(Clone, Copy, Debug)]
pub struct Decline {
    first_bps: f64,
    last_bps: f64,
    opened_s: f64,
}

/// What a side carried in a round.
#[derive(Clone, Copy, Debug)]
pub struct Measured {
    /// When the round began, seconds.
    pub at_s: f64,
    /// The logarithm of its share of what its class carried.
    pub relative: f64,
    /// Bits per second.
    pub bps: f64,
}

/// How a side declined over rounds, in the order of time.
pub fn over_rounds(rounds: &[Measured]) -> Option<Decline> {
    let third = rounds.len() / 3;
    if rounds.len() < ROUNDS_MIN {
        return None;
    }
    let median = |part: &[Measured], of: fn(&Measured) -> f64| {
        robust::median(&part.iter().map(of).collect::<Vec<_>>())
    };
    let (begin, end) = (&rounds[..third], &rounds[rounds.len() - third..]);
    let (first, last) = (median(begin, |it| it.relative)?, median(end, |it| it.relative)?);
    let depth = first - last;
    if -depth > (1.0 - DEFICIT).ln() {
        return None;
    }
    let is_between = |it: &&Measured| first - it.relative > EDGE * depth && it.relative - last > EDGE * depth;
    let between = rounds.iter().filter(is_between).count() as f64;
    let later = |place: usize| rounds[place + 1..].iter().map(move |it| (rounds[place], *it));
    let (falling, all) = (0..rounds.len()).flat_map(later).fold((0_u32, 0_u32), |(falling, all), (a, b)| {
        (falling + u32::from(b.relative < a.relative), all + 1)
    });
    if between < BETWEEN_MIN * rounds.len() as f64 || f64::from(falling) < FALLING_MIN * f64::from(all) {
        return None;
    }
    let opened = rounds.iter().find(|it| it.relative < (1.0 - DEFICIT / 2.0).ln())?;
    Some(Decline {
        first_bps: median(begin, |it| it.bps)?,
        last_bps: median(end, |it| it.bps)?,
        opened_s: opened.at_s,
    })
}

/// Mean rates of a host's whole seconds in a round; `None` where half of one is not known, or its
/// falls leave no half of it.
fn seconds(seen: &Seen, falls: &[&Fall], round: &RoundSeen, host: HostId, way: Way) -> Vec<Option<f64>> {
    let fell = |slot: u64| {
        let mut own = falls.iter().filter(|fall| fall.host == host);
        own.any(|fall| (fall.since..fall.end().saturating_add(RECOVERS_SLOTS)).contains(&slot))
    };
    let carried = seen.bps_in(round, host, way, round.slots());
    let carried: Vec<_> = round.slots().zip(carried).map(|(slot, bps)| bps.filter(|_| !fell(slot))).collect();
    let mean = |second: &[Option<f64>]| {
        let known: Vec<f64> = second.iter().flatten().copied().collect();
        (known.len() * 2 > SLOTS_PER_S as usize).then(|| known.iter().sum::<f64>() / known.len() as f64)
    };
    carried.chunks(SLOTS_PER_S as usize).map(mean).collect()
}

/// Mean rates of each host's whole seconds in a round.
pub fn series(seen: &Seen, falls: &[Fall], round: &RoundSeen, way: Way) -> Series {
    let touching = |fall: &&Fall| fall.since < round.end && round.start < fall.end();
    let falls: Vec<&Fall> = falls.iter().filter(touching).collect();
    round.by_host.keys().map(|host| (*host, seconds(seen, &falls, round, *host, way))).collect()
}

/// The fleet's median of each second; `None` where too few hosts are known.
pub fn medians(series: &Series) -> Vec<Option<f64>> {
    let length = series.values().map(Vec::len).max().unwrap_or(0);
    (0..length)
        .map(|second| {
            let all: Vec<f64> = series.values().filter_map(|own| *own.get(second)?).collect();
            robust::median(&all).filter(|median| all.len() >= HOSTS_MIN && *median > 0.0)
        })
        .collect()
}

fn declines(seen: &Seen, falls: &[Fall], round: &RoundSeen, way: Way) -> Vec<(HostId, Decline)> {
    let series = series(seen, falls, round, way);
    let fleet = medians(&series);
    // Against the fleet and the host's own beginning: a host that is slow all along is no decline.
    let relative = |own: &[Option<f64>]| -> Vec<Option<f64>> {
        own.iter()
            .zip(&fleet)
            .map(|(own, fleet)| Some((own.as_ref()?.max(1.0) / fleet.as_ref()?).ln()))
            .collect()
    };
    let scatter: Vec<f64> =
        series.values().flat_map(|own| relative(own).into_iter().flatten().collect::<Vec<_>>()).collect();
    let sigma = robust::sigma_above(&scatter, SIGMA_MIN);
    series
        .iter()
        .filter_map(|(host, own)| Some((*host, decline(round, own, &relative(own), sigma)?)))
        .collect()
}

fn decline(round: &RoundSeen, own: &[Option<f64>], relative: &[Option<f64>], sigma: f64) -> Option<Decline> {
    let third = relative.len() / 3;
    let part = |range: std::ops::Range<usize>| {
        let part = relative.get(range)?;
        let known: Vec<f64> = part.iter().flatten().copied().collect();
        robust::median(&known).filter(|_| known.len() * 2 >= part.len())
    };
    // Its first second is slow start's.
    let (first, last) = (part(1..third.max(2))?, part(relative.len() - third..relative.len())?);
    if last - first > (1.0 - DEFICIT).ln() {
        return None;
    }
    let (mut sum, mut opened) = (0.0_f64, None);
    for (second, x) in relative.iter().enumerate().skip(1) {
        let Some(x) = x else { continue };
        let z = ((x - first) / sigma).clamp(-Z_MAX, Z_MAX);
        sum = (sum - z - K).max(0.0);
        if sum > H && opened.is_none() {
            opened = Some(second);
        }
    }
    let rate = |range: std::ops::Range<usize>| {
        let known: Vec<f64> = own[range].iter().flatten().copied().collect();
        robust::median(&known)
    };
    Some(Decline {
        first_bps: rate(1..third.max(2))?,
        last_bps: rate(own.len() - third..own.len())?,
        opened_s: round.start_s() + opened? as f64,
    })
}

/// The finding on a host whose sides declined; `over`: over what.
pub fn finding(seen: &Seen, host: HostId, sides: &[(Way, Decline)], over: &str) -> Finding {
    let direction = Way::together(sides.iter().map(|(way, _)| *way));
    let worst = sides
        .iter()
        .map(|(_, decline)| decline)
        .min_by(|a, b| (a.last_bps / a.first_bps).total_cmp(&(b.last_bps / b.first_bps)));
    let (first, last) = worst.map_or((0.0, 0.0), |decline| (decline.first_bps, decline.last_bps));
    let text = format!(
        "what {} {} grew less and less {over}, from {} to {}, while the others kept their rate; look at its temperature (ethtool -m, sensors), at its link's errors, and run it for longer",
        seen.name(host),
        direction.verb(),
        rate_text(Some(first)),
        rate_text(Some(last)),
    );
    let mut finding = cause::bare(FindingKind::Degrading, Severity::Fail, &[], text);
    finding.direction = Some(direction);
    finding.first_seen_s = sides.iter().map(|(_, decline)| decline.opened_s).reduce(f64::min);
    let numbers = [
        ("first_bps", first.round()),
        ("last_bps", last.round()),
        ("deficit_share", 1.0 - last / first.max(1.0)),
    ];
    finding.numbers = cause::numbers(numbers);
    finding
}

#[cfg(test)]
mod tests;
