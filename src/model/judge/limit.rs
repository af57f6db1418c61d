//! Many hosts held to the same rate after the same time: a limit of their kind, not a fault.
//!
//! # Rule
//!
//! In a stage in which all send at once, at least half of the hosts (and three of them) fall
//! from one level to another within [`TOGETHER_S`] s of each other, and what they fall to is the
//! same within [`SAME`] and steady: instances with burst credits do just that.
//!
//! # Source
//!
//! EC2's network burst credits and ENA's `bw_out_allowance_exceeded`: a plateau that all
//! instances of a type reach after about the same bytes.

use std::collections::BTreeMap;

use super::{
    cause::{self, rate_text},
    robust,
    seen::{RoundSeen, Seen, Way},
    summary::{Finding, FindingKind, Severity},
};
use crate::model::{
    fleet::{host::HostId, units::SLOTS_PER_S},
    plan::{dose::Pattern, layout::StageKind},
};

/// Hosts that must be held, and the share of the fleet.
const HOSTS_MIN: usize = 3;
const FLEET_MIN: f64 = 0.5;

/// How much higher the first level must be.
const STEP: f64 = 1.25;

/// Seconds at each level.
const LEVEL_S: usize = 3;

/// How far apart the steps may lie.
const TOGETHER_S: f64 = 3.0;

/// How much the second levels, and the seconds of one, may differ.
const SAME: f64 = 0.07;

/// A step down: when, and from which to which level.
#[derive(Clone, Copy, Debug)]
struct Step {
    at_s: f64,
    from_bps: f64,
    to_bps: f64,
}

/// The finding on the fleet, where its hosts were held.
pub fn finding(seen: &Seen) -> Option<Finding> {
    let shared = |round: &&RoundSeen| {
        round.kind == StageKind::Load && round.saturates() && round.dose.pattern == Pattern::Storm
    };
    seen.rounds.iter().filter(shared).find_map(|round| of_round(seen, round))
}

fn of_round(seen: &Seen, round: &RoundSeen) -> Option<Finding> {
    let steps: BTreeMap<HostId, Step> =
        round.by_host.keys().filter_map(|host| Some((*host, step(seen, round, *host)?))).collect();
    let median = |of: fn(&Step) -> f64| robust::median(&steps.values().map(of).collect::<Vec<_>>());
    let (at, to) = (median(|step| step.at_s)?, median(|step| step.to_bps)?);
    let together: Vec<&Step> = steps
        .values()
        .filter(|step| (step.at_s - at).abs() <= TOGETHER_S && (step.to_bps / to - 1.0).abs() <= SAME)
        .collect();
    let enough =
        together.len() >= HOSTS_MIN && together.len() as f64 >= FLEET_MIN * round.by_host.len() as f64;
    enough.then(|| {
        let from = robust::median(&together.iter().map(|step| step.from_bps).collect::<Vec<_>>());
        let text = format!(
            "{} of {} hosts fell from {} to {} within {TOGETHER_S:.0} s of each other and stayed there: a limit of their kind or of what they share, such as burst credits; no card is accused of it. Ask what the instance type allows, and test within it",
            together.len(),
            round.by_host.len(),
            rate_text(from),
            rate_text(Some(to)),
        );
        let mut finding = cause::bare(FindingKind::RateLimit, Severity::Info, &[], text);
        finding.first_seen_s = Some(at);
        finding.numbers.insert("hosts".to_owned(), Some(together.len() as f64));
        finding.numbers.insert("limit_bps".to_owned(), Some(to.round()));
        finding
    })
}

/// The step down of one host's sending, if it is one: the split whose two levels differ most.
fn step(seen: &Seen, round: &RoundSeen, host: HostId) -> Option<Step> {
    let seconds: Vec<f64> = seen
        .bps_in(round, host, Way::Tx, round.slots())
        .chunks(SLOTS_PER_S as usize)
        .filter_map(|second| {
            let known: Vec<f64> = second.iter().flatten().copied().collect();
            (!known.is_empty()).then(|| known.iter().sum::<f64>() / known.len() as f64)
        })
        .collect();
    // The first second is slow start's.
    let steady = seconds.get(1..)?;
    let splits = LEVEL_S..steady.len().saturating_sub(LEVEL_S - 1);
    let (split, from, to) = splits
        .filter_map(|split| {
            let (from, to) = (robust::median(&steady[..split])?, robust::median(&steady[split..])?);
            Some((split, from, to))
        })
        .max_by(|a, b| (a.1 / a.2.max(1.0)).total_cmp(&(b.1 / b.2.max(1.0))))?;
    let level = &steady[split..];
    let flat = level.iter().filter(|bps| (**bps / to.max(1.0) - 1.0).abs() <= SAME).count();
    let holds = from >= STEP * to && to > 0.0 && flat as f64 >= 0.8 * level.len() as f64;
    holds.then(|| Step { at_s: round.start_s() + (split + 1) as f64, from_bps: from, to_bps: to })
}

#[cfg(test)]
mod tests;
