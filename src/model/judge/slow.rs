//! Hosts that work, but slower than their class: greedy explain-away over pair rounds.
//!
//! # Rule
//!
//! Every pair flow gives x = ln(goodput / what its class carries). A component, the sending
//! or the receiving side of one host, is slow when most of its flows lie at least
//! [`DEFICIT`] under and their median is far beyond the scatter of undisturbed flows. The
//! component that explains most is taken, its flows are removed, and so on; single slow
//! flows that no host explains are nobody's card.
//!
//! # Source
//!
//! Peng et al., *deTector* (loss localisation by greedy hit ratio), with thresholds from
//! simulations of 100 hosts: five rounds suffice at 3 % noise, three do not.
//!
//! # What does not belong here
//!
//! Flows during drop-offs: a dead card is not a slow one.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    cause,
    degrading::{self, Measured},
    falls::Fall,
    frames, loss, others, outage, robust,
    seen::{Seen, WAYS, Way},
    summary::{Direction, Finding, FindingKind, Severity},
    ways::Found,
};
use crate::model::fleet::host::HostId;

mod path;
mod samples;
mod storm;

pub use samples::steady_bps;
use samples::{SMALL_FLEET, Sample, samples};

/// The least deficit that is worth a finding.
pub const DEFICIT: f64 = 0.10;

/// Share of a component's flows that must lie below the limit.
const HIT_MIN: f64 = 0.6;

/// Flows of a component below which nothing is said.
pub const FLOWS_MIN: usize = 3;

/// Partners with whom a component must have been measured.
const PARTNERS_MIN: usize = 2;

/// The median of a component must lie this many standard errors under its class to stand
/// alone, without a confirming pass.
const Z_ALONE: f64 = -5.0;

/// … and this many to be a suspicion that is tried again: in simulations with a confirming pass
/// no healthy host was accused from here on.
const Z_SUSPECT: f64 = -2.0;

/// The number of a finding that says how many standard errors its slowest side lies under its class.
const Z: &str = "z";

/// The number of a finding that says what share of its class a host's slowest side lacks.
pub const DEFICIT_SHARE: &str = "deficit_share";

/// Scatter of healthy flows is never taken for less: when healthy peers agree within 0.1 %,
/// a gap of 1 % would score beyond ten.
const SIGMA_MIN: f64 = 0.03;

/// The standard error of a median against that of a mean, for a normal distribution.
const MEDIAN_ERROR: f64 = 1.253;

/// Who carries so little of its class is not slow: nothing of its data passes.
const STUCK: f64 = 0.97;

/// A slow side of a host.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Slow {
    host: HostId,
    way: Way,
    x: f64,
    z: f64,
    flows: usize,
    bps: f64,
    class_bps: f64,
}

/// Findings of slowness.
pub fn findings(seen: &Seen, falls: &[Fall]) -> Found {
    let all = samples(seen, falls);
    Found { pairs: path::findings(seen, &all), ..Found::on_hosts(on_hosts(seen, falls, &all)) }
}

fn on_hosts(seen: &Seen, falls: &[Fall], all: &[Sample]) -> Vec<(HostId, Finding)> {
    let such = |one_way: bool| -> Vec<Sample> {
        all.iter().copied().filter(|sample| sample.one_way == one_way).collect()
    };
    // In rounds that run both ways a slow sending side also delays the acknowledgements of
    // what its host receives, so the side is told from one-way rounds where there are enough.
    let enough = |samples: &[Sample]| {
        seen.hosts
            .iter()
            .all(|host| samples.iter().filter(|sample| sample.from == host.id).count() >= FLOWS_MIN)
    };
    let one_way = such(true);
    let tells_ways = enough(&one_way);
    let samples_of = if tells_ways { one_way } else { all.to_vec() };
    let (mut by_host, mut notes) = sides(samples_of, seen);
    let told = |host: HostId, slow: &[Slow], together: bool| {
        let plain = finding(seen, falls, host, slow, together);
        let slower = || decline(seen, all, host, slow);
        if plain.kind == FindingKind::FailSlow { slower().unwrap_or(plain) } else { plain }
    };
    let mut found: Vec<(HostId, Finding)> =
        by_host.iter().map(|(host, slow)| (*host, told(*host, slow, false))).collect();
    if tells_ways {
        let known: Vec<HostId> = by_host.keys().copied().collect();
        let more;
        (by_host, more) = sides(such(false), seen);
        notes.extend(more);
        // Who is slow one way is slow both ways too, and makes its partners so.
        by_host.retain(|host, _| !known.contains(host));
        found.extend(by_host.iter().map(|(host, slow)| (*host, told(*host, slow, true))));
    }
    let known: BTreeSet<HostId> = found.iter().map(|(host, _)| *host).collect();
    let later = storm::findings(seen, falls).into_iter();
    found.extend(later.filter(|(host, _)| !known.contains(host)));
    found.extend(notes.into_iter().map(|((host, way), bps)| (host, others::finding(seen, host, way, bps))));
    found
}

/// What others carry over sides that are no slower than their class with it.
type Notes = BTreeMap<(HostId, Way), f64>;

/// The slow sides of each host; and those that are only shared, with what others carry over them.
fn sides(samples: Vec<Sample>, seen: &Seen) -> (BTreeMap<HostId, Vec<Slow>>, Notes) {
    let shared = |side: &Slow| {
        let others = others::carried_bps(seen, side.host, side.way);
        others.filter(|bps| others::make_up(side.bps, *bps, side.class_bps, DEFICIT))
    };
    let mut by_host: BTreeMap<HostId, Vec<Slow>> = BTreeMap::new();
    let mut notes = Notes::new();
    for slow in explain_away(samples, seen) {
        match shared(&slow) {
            Some(bps) => {
                notes.insert((slow.host, slow.way), bps);
            }
            None => by_host.entry(slow.host).or_default().push(slow),
        }
    }
    (by_host, notes)
}

fn explain_away(mut alive: Vec<Sample>, seen: &Seen) -> Vec<Slow> {
    let sigma = scatter(&alive, seen);
    let limit = (1.0 - DEFICIT).ln();
    let mut found: Vec<Slow> = Vec::new();
    loop {
        let taken: BTreeSet<(HostId, Way)> = found.iter().map(|slow| (slow.host, slow.way)).collect();
        let best = seen
            .hosts
            .iter()
            .flat_map(|host| WAYS.map(|way| (host.id, way)))
            .filter(|component| !taken.contains(component))
            .filter_map(|(host, way)| candidate(&alive, host, way, sigma, limit))
            .max_by(|a, b| a.1.total_cmp(&b.1));
        let Some((slow, _)) = best else { break };
        alive.retain(|sample| !touches(sample, slow.host, slow.way));
        found.push(slow);
    }
    let others: Vec<Slow> = found.iter().filter_map(|slow| other_side(&alive, &found, slow, sigma)).collect();
    found.extend(others);
    found
}

/// The other side of a host that is slow one way, where it is slow too: it takes less to tell that of a
/// card than to suspect it.
fn other_side(alive: &[Sample], found: &[Slow], slow: &Slow, sigma: f64) -> Option<Slow> {
    let way = slow.way.other();
    let is_known = found.iter().any(|side| (side.host, side.way) == (slow.host, way));
    let (other, _) = candidate(alive, slow.host, way, sigma, (1.0 - DEFICIT / 2.0).ln())?;
    (!is_known && other.z < Z_ALONE).then_some(other)
}

/// The scatter of undisturbed flows. In a small fleet half of the flows touch the sick host
/// and no quantile is clean; there it is told from repeats of the same ordered pair.
fn scatter(samples: &[Sample], seen: &Seen) -> f64 {
    if seen.hosts.len() > SMALL_FLEET {
        let xs: Vec<f64> = samples.iter().map(|sample| sample.x).collect();
        return robust::sigma_above(&xs, SIGMA_MIN);
    }
    let mut pairs: BTreeMap<(HostId, HostId), Vec<f64>> = BTreeMap::new();
    for sample in samples {
        pairs.entry((sample.from, sample.to)).or_default().push(sample.x);
    }
    let steps: Vec<f64> =
        pairs.values().flat_map(|xs| xs.windows(2).map(|two| (two[0] - two[1]).abs())).collect();
    let sigma = robust::median(&steps)
        .map_or(SIGMA_MIN, |step| robust::MAD_TO_SIGMA * step / std::f64::consts::SQRT_2);
    sigma.max(SIGMA_MIN)
}

fn touches(sample: &Sample, host: HostId, way: Way) -> bool {
    way.of(sample.from, sample.to) == host
}

/// A component that qualifies, and how much it explains.
fn candidate(alive: &[Sample], host: HostId, way: Way, sigma: f64, limit: f64) -> Option<(Slow, f64)> {
    let own: Vec<&Sample> = alive.iter().filter(|sample| touches(sample, host, way)).collect();
    // Of two hosts either may be the slow one: that is their path's.
    let partners: BTreeSet<HostId> =
        own.iter().map(|sample| way.other().of(sample.from, sample.to)).collect();
    if own.len() < FLOWS_MIN || partners.len() < PARTNERS_MIN {
        return None;
    }
    let xs: Vec<f64> = own.iter().map(|sample| sample.x).collect();
    let low = xs.iter().filter(|x| **x < limit).count();
    let x = robust::median(&xs)?;
    let z = x / (MEDIAN_ERROR * sigma / (own.len() as f64).sqrt());
    let rates: Vec<f64> = own.iter().map(|sample| sample.bps).collect();
    let classes: Vec<f64> = own.iter().map(|sample| sample.class_bps).collect();
    let qualifies = low as f64 >= HIT_MIN * own.len() as f64 && x < limit && z < Z_SUSPECT;
    let explains = xs.iter().filter(|x| **x < limit).map(|x| -x).sum();
    let slow = Slow {
        host,
        way,
        x,
        z,
        flows: own.len(),
        bps: robust::median(&rates)?,
        class_bps: robust::median(&classes)?,
    };
    qualifies.then_some((slow, explains))
}

/// The finding on a host whose slow sides grew slower from round to round, both ways' rounds included.
fn decline(seen: &Seen, all: &[Sample], host: HostId, slow: &[Slow]) -> Option<Finding> {
    let of_side = |side: &Slow| {
        let mut own: Vec<&Sample> = all.iter().filter(|sample| touches(sample, host, side.way)).collect();
        own.sort_by(|a, b| a.at_s.total_cmp(&b.at_s));
        let rounds: Vec<Measured> = own
            .into_iter()
            .map(|sample| Measured { at_s: sample.at_s, relative: sample.x, bps: sample.bps })
            .collect();
        Some((side.way, degrading::over_rounds(&rounds)?))
    };
    let sides: Vec<_> = slow.iter().filter_map(of_side).collect();
    if sides.is_empty() {
        return None;
    }
    let mut finding = degrading::finding(seen, host, &sides, "from pair round to pair round");
    finding.direction = Some(Way::together(slow.iter().map(|side| side.way)));
    finding.numbers.insert(Z.to_owned(), slow.iter().map(|side| side.z).reduce(f64::min));
    Some(finding)
}

/// Whether a finding rests on a side that is so slow that it needs no second look.
pub fn is_far_beyond(finding: &Finding) -> bool {
    finding.number(Z).is_some_and(|z| z <= Z_ALONE)
}

/// Whether a finding rests on pair rounds in which a side is slow.
pub fn is_of_pairs(finding: &Finding) -> bool {
    matches!(finding.kind, FindingKind::FailSlow | FindingKind::Degrading) && finding.number(Z).is_some()
}

/// The finding on a host with slow sides; `together`: that are slow only while both ways are busy.
fn finding(seen: &Seen, falls: &[Fall], host: HostId, slow: &[Slow], together: bool) -> Finding {
    let worst = slow.iter().copied().reduce(|a, b| if b.x < a.x { b } else { a });
    let direction = Way::together(slow.iter().map(|side| side.way));
    let deficit = worst.map_or(0.0, |side| 1.0 - side.x.exp());
    let (bps, class_bps, flows) = worst.map_or((0.0, 0.0, 0), |side| (side.bps, side.class_bps, side.flows));
    let lost = slow.iter().find_map(|side| loss::at_saturation(seen, falls, host, side.way));
    let when = if together { " while both ways are busy, and not one way alone," } else { "" };
    let what = format!(
        "{} {} {:.0} % slower than its peers{when}: {} where its class carries {}, over {flows} pair flows",
        seen.name(host),
        direction.verb(),
        deficit * 100.0,
        cause::rate_text(Some(bps)),
        cause::rate_text(Some(class_bps)),
    );
    let (kind, text) = match lost {
        _ if deficit >= STUCK && outage::answers(seen, host) => {
            (FindingKind::MtuBlackHole, frames::never_passed(seen, host, direction))
        }
        Some(lost) => {
            let text = format!(
                "{what}; {:.1} % of its segments had to be sent again there: what is above some rate is dropped, not queued; look at what polices it, at its rings and its flow control (ethtool -g, -a)",
                lost.rate() * 100.0
            );
            (FindingKind::LossAboveRate, text)
        }
        None => {
            let text =
                format!("{what}; compare its negotiated speed, its slot and its settings with a peer's");
            (FindingKind::FailSlow, text)
        }
    };
    let mut numbers = vec![
        (DEFICIT_SHARE, deficit),
        ("goodput_bps", bps.round()),
        ("class_bps", class_bps.round()),
        ("flows", flows as f64),
        (Z, worst.map_or(0.0, |side| side.z)),
    ];
    numbers.extend(lost.map(|lost| ("loss_share", lost.rate())));
    let mut finding = cause::bare(kind, Severity::Fail, &[], text);
    // Who is slow for want of room for both ways at once is so both ways; what drops one drops that.
    let for_both = together && kind == FindingKind::FailSlow;
    finding.direction = Some(if for_both { Direction::Both } else { direction });
    finding.numbers = cause::numbers(numbers);
    finding
}

#[cfg(test)]
mod tests;
