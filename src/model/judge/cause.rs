//! What was the matter with a blamed host: one cause for each of its falls, in an order of
//! precedence, and one finding for each cause.
//!
//! The order is the table [`CAUSES`]: what the worker's own process did comes first, then whether it
//! was allowed to send, then carrier and address facts, then which direction died, then what still passed, and whether the
//! processes that move files had anything in flight; then the tie to load; the rest is an outage.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    address,
    falls::Fall,
    files, frames, new_flows,
    seen::Seen,
    stalls,
    summary::{Basis, Direction, Finding, FindingKind, Severity},
};
use crate::model::fleet::{
    host::HostId,
    units::{BitRate, RunTime, SLOT_US},
};

pub mod dose;
pub mod lease;
pub mod link;
pub mod load;
pub mod process;
pub mod way;

/// The fewest healthy peers that must have seen a silence before it is blamed on a card;
/// all of them, where there are fewer.
pub const OBSERVERS_MIN: usize = 3;

/// A rule that claims falls: the kind it claims them for, or `None`.
type Claim = fn(&Seen, &Fall) -> Option<FindingKind>;

/// Who may claim a fall, in the order of precedence.
const CAUSES: &[Claim] = &[
    process::claim,
    lease::claim,
    link::claim,
    address::claim,
    way::claim,
    new_flows::claim,
    files::claim,
    frames::claim,
];

/// The findings on one blamed host, from its own falls.
pub fn findings(seen: &Seen, host: HostId, falls: &[&Fall], healthy: &BTreeSet<HostId>) -> Vec<Finding> {
    let mut claimed: BTreeMap<FindingKind, Vec<&Fall>> = BTreeMap::new();
    let mut rest: Vec<&Fall> = Vec::new();
    let claims: Vec<(&Fall, Option<FindingKind>)> =
        falls.iter().map(|fall| (*fall, claim_of(seen, fall))).collect();
    // What a kernel or a worker says of a fall comes first; what only seems so from outside does not.
    let seems = claims.iter().filter(|(_, claim)| claim.is_none_or(|kind| FROM_OUTSIDE.contains(&kind)));
    let gaps = stalls::among(seen, &seems.map(|(fall, _)| *fall).collect::<Vec<_>>());
    for (fall, claim) in claims.into_iter().filter(|(fall, _)| !gaps.contains(fall)) {
        match claim {
            Some(kind) => claimed.entry(kind).or_default().push(fall),
            // A card through which small packets pass all along did not die: a moment's
            // silence of its bulk data alone is that of single connections. What lasts and is
            // no black hole is a collapse.
            None if frames::small_packets_pass(seen, fall) && !frames::lasts(seen, fall) => {}
            None => rest.push(fall),
        }
    }
    // A direction that died and came back, more than once and under load, is a card that
    // dies under load in that direction: the tie to load says more.
    let tied = |falls: &[&Fall]| falls.len() > 1 && load::dies_under_load(seen, host, falls).is_some();
    if claimed.get(&FindingKind::OneWayDead).is_some_and(|one_way| tied(one_way)) {
        rest.extend(claimed.remove(&FindingKind::OneWayDead).into_iter().flatten());
    }
    // A card that fell silent altogether more often than its bulk data alone was stuck is stuck
    // by what these silences left behind.
    if claimed.get(&FindingKind::MtuBlackHole).is_some_and(|stuck| stuck.len() < rest.len()) {
        rest.extend(claimed.remove(&FindingKind::MtuBlackHole).into_iter().flatten());
    }
    let mut findings: Vec<Finding> = claimed
        .into_iter()
        .map(|(kind, falls)| match kind {
            FindingKind::LinkDown | FindingKind::LinkFlap => link::finding(seen, host, &falls),
            FindingKind::OneWayDead => way::finding(seen, host, &falls),
            FindingKind::AddressLost | FindingKind::DuplicateAddress | FindingKind::NeighbourFailure => {
                address::finding(seen, host, kind, &falls)
            }
            FindingKind::NewFlowsRefused => new_flows::stuck(seen, host, &falls),
            FindingKind::MtuBlackHole => frames::stuck(seen, host, &falls),
            FindingKind::ControlLost => lease::finding(seen, host, &falls),
            FindingKind::HostLimited => files::stood(seen, host, &falls),
            kind => process::finding(seen, host, kind, &falls),
        })
        .collect();
    if !rest.is_empty() {
        findings.push(load::finding(seen, host, &rest, healthy));
    }
    if !gaps.is_empty() {
        findings.push(load::gaps(seen, host, &gaps, healthy));
    }
    findings
}

/// Kinds that claim a fall by what passes in it, and that a moment's stall may look like.
const FROM_OUTSIDE: [FindingKind; 3] =
    [FindingKind::OneWayDead, FindingKind::MtuBlackHole, FindingKind::NewFlowsRefused];

/// The kind that claims a fall; `None` for what is left to the tie to load.
pub fn claim_of(seen: &Seen, fall: &Fall) -> Option<FindingKind> {
    CAUSES.iter().find_map(|claim| claim(seen, fall))
}

/// The direction that all of these falls share.
pub fn direction(falls: &[&Fall]) -> Direction {
    let first = falls.first().map_or(Direction::Both, |fall| fall.direction);
    if falls.iter().all(|fall| fall.direction == first) { first } else { Direction::Both }
}

/// The onset of the first of these falls.
pub fn first_seen_s(falls: &[&Fall]) -> Option<f64> {
    falls.iter().map(|fall| RunTime(fall.since * SLOT_US).as_secs_f64()).reduce(f64::min)
}

/// "2 times, 3.1 s and 2.9 s" for texts; at most three lengths are spelt out.
pub fn times(falls: &[&Fall]) -> String {
    let lengths: Vec<String> = falls
        .iter()
        .take(3)
        .map(|fall| fall.for_s().map_or("to the end".to_owned(), |length| format!("{length:.1} s")))
        .collect();
    let more = if falls.len() > 3 { ", …" } else { "" };
    format!("{} ({}{more})", often(falls.len()), lengths.join(", "))
}

/// "once", "twice", "3 times", for texts.
pub fn often(times: usize) -> String {
    match times {
        1 => "once".to_owned(),
        2 => "twice".to_owned(),
        n => format!("{n} times"),
    }
}

/// A rate for texts; "an unknown rate" where it was not measured.
pub fn rate_text(bps: Option<f64>) -> String {
    bps.map_or("an unknown rate".to_owned(), |bps| BitRate::from_bps(bps as u64).to_string())
}

/// Numbers of a finding, by name.
pub fn numbers<'a>(told: impl IntoIterator<Item = (&'a str, f64)>) -> BTreeMap<String, Option<f64>> {
    told.into_iter().map(|(name, value)| (name.to_owned(), Some(value))).collect()
}

/// A finding without numbers, for the rules to fill.
pub fn bare(kind: FindingKind, severity: Severity, falls: &[&Fall], text: String) -> Finding {
    Finding {
        kind,
        direction: None,
        severity,
        confirmed: None,
        evidence: Basis::EndToEnd,
        first_seen_s: first_seen_s(falls),
        text,
        numbers: BTreeMap::new(),
        corroboration: Vec::new(),
    }
}
