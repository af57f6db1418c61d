//! Cards that grow slower and slower within a stage, against the others of the same second.
//!
//! # Rule
//!
//! Over stages in which all send at once, for at least [`SECONDS_MIN`] s: each second a host's
//! rate is held against the fleet's median of that second, so that what slows all accuses
//! nobody. A one-sided CUSUM of the standardised rates opens at [`H`]; and the last third must
//! lie at least [`DEFICIT`] under the first, or noise that wanders would do.
//!
//! # Source
//!
//! Page's CUSUM with k = 1.5 and h = 15: in simulations of 100 hosts over 600 s with
//! autocorrelated noise the textbook's k = 0.5, h = 5 gave 48 to 100 false alarms a run, these
//! none to two, at a delay of 7 s.

use std::collections::BTreeMap;

use super::{
    cause::{self, rate_text},
    falls::{self, Fall},
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
    sides.into_iter().map(|(host, sides)| (host, finding(seen, host, &sides))).collect()
}

/// Rounds in which every host does the same for long enough.
fn is_shared(round: &RoundSeen) -> bool {
    round.kind == StageKind::Load
        && round.saturates()
        && round.dose.pattern == Pattern::Storm
        && round.length_s() >= SECONDS_MIN as f64
}

/// How a side declined: its rate in the first and the last third, and when the sum opened.
#[derive(Clone, Copy, Debug)]
struct Decline {
    first_bps: f64,
    last_bps: f64,
    opened_s: f64,
}

/// Mean rates of a host's whole seconds in a round; `None` where half of one is not known.
fn seconds(seen: &Seen, round: &RoundSeen, host: HostId, way: Way) -> Vec<Option<f64>> {
    let carried = seen.bps_in(round, host, way, round.slots());
    let mean = |second: &[Option<f64>]| {
        let known: Vec<f64> = second.iter().flatten().copied().collect();
        (known.len() * 2 > SLOTS_PER_S as usize).then(|| known.iter().sum::<f64>() / known.len() as f64)
    };
    carried.chunks(SLOTS_PER_S as usize).map(mean).collect()
}

fn declines(seen: &Seen, falls: &[Fall], round: &RoundSeen, way: Way) -> Vec<(HostId, Decline)> {
    let undisturbed = |host: &HostId| {
        !falls
            .iter()
            .any(|fall| fall.host == *host && fall.since < round.end && round.start < falls::Fall::end(fall))
    };
    let hosts: Vec<HostId> = round.by_host.keys().copied().filter(undisturbed).collect();
    if hosts.len() < HOSTS_MIN {
        return Vec::new();
    }
    let series: BTreeMap<HostId, Vec<Option<f64>>> =
        hosts.iter().map(|host| (*host, seconds(seen, round, *host, way))).collect();
    let length = series.values().map(Vec::len).max().unwrap_or(0);
    let fleet: Vec<Option<f64>> = (0..length)
        .map(|second| {
            let all: Vec<f64> = series.values().filter_map(|own| *own.get(second)?).collect();
            robust::median(&all).filter(|median| *median > 0.0)
        })
        .collect();
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
        let known: Vec<f64> = relative.get(range)?.iter().flatten().copied().collect();
        robust::median(&known)
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

fn finding(seen: &Seen, host: HostId, sides: &[(Way, Decline)]) -> Finding {
    let direction = Way::together(sides.iter().map(|(way, _)| *way));
    let worst = sides
        .iter()
        .map(|(_, decline)| decline)
        .min_by(|a, b| (a.last_bps / a.first_bps).total_cmp(&(b.last_bps / b.first_bps)));
    let (first, last) = worst.map_or((0.0, 0.0), |decline| (decline.first_bps, decline.last_bps));
    let text = format!(
        "what {} {} grew less and less within one stage, from {} to {}, while the others kept their rate; look at its temperature (ethtool -m, sensors), at its link's errors, and run it for longer",
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
    finding.numbers = numbers.into_iter().map(|(name, value)| (name.to_owned(), Some(value))).collect();
    finding
}

#[cfg(test)]
mod tests;
