//! Falls that nothing else explains: tied to load, or an outage.
//!
//! # The tie to load
//!
//! A card *dies under load* when its falls begin within [`REACHED_WITHIN_S`] of reaching a
//! dose, under at least half of its capacity, and that happened twice, or lasts to the end.
//! One fall that ends by itself, after which the same load is carried, is an outage.

use std::collections::BTreeSet;

use super::super::{
    falls::Fall,
    seen::{Seen, WAYS},
    summary::{Direction, Finding, FindingKind, Severity},
};
use super::way;
use crate::model::fleet::host::HostId;

/// Falls this soon after the load rose are tied to it. DESIGN says 2 s; a limiter that
/// integrates over a second, as thermal and credit limits do, trips up to a second later.
const REACHED_WITHIN_S: f64 = 3.0;

/// Share of its capacity that counts as load.
const UNDER_LOAD: f64 = 0.5;

/// Below this share of the offered load, the load had not been reached yet.
const RISEN: f64 = 0.6;

/// Silence that is an outage; less is worth a warning (the contract's figure).
const OUTAGE_MIN_S: f64 = 1.0;

/// A dose survived is one held this long …
const SURVIVED_SLOTS: u64 = 80;

/// … without a fall in the time after (8 s and 2 s, the contract's figures).
const SURVIVED_AFTER_SLOTS: u64 = 20;

/// How the falls of a host are tied to load.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Tie {
    /// Times that the killing dose was reached.
    pub tries: usize,
    /// Times that the card died of it.
    pub failures: usize,
    /// The highest goodput just before a fall, bits per second.
    pub killed_bps: Option<f64>,
    /// The highest goodput that was held, bits per second.
    pub survived_bps: Option<f64>,
}

/// The tie of these falls to load, where there is one.
pub fn dies_under_load(seen: &Seen, host: HostId, falls: &[&Fall]) -> Option<Tie> {
    let failures = falls.iter().filter(|fall| reached(seen, fall)).count();
    let to_the_end = falls.iter().any(|fall| fall.until.is_none());
    let tied = failures * 2 > falls.len() && (failures >= 2 || to_the_end);
    tied.then(|| {
        let killed_bps = falls.iter().filter_map(|fall| fall.offered_bps).reduce(f64::max);
        Tie {
            tries: tries(seen, host, falls, killed_bps),
            failures: falls.len(),
            killed_bps,
            survived_bps: survived(seen, host, falls),
        }
    })
}

/// Whether a fall began soon after its host had reached a load.
fn reached(seen: &Seen, fall: &Fall) -> bool {
    let Some(capacity) = capacity(seen, fall.host) else { return false };
    let Some(offered) = fall.offered_bps.filter(|bps| *bps >= UNDER_LOAD * capacity) else {
        // Died before a first second of load was seen: dead on arrival of the load.
        return fall.offered_bps.is_none();
    };
    let since_rise = (0..fall.since)
        .rev()
        .take_while(|slot| load(seen, fall.host, *slot).is_some_and(|bps| bps >= RISEN * offered))
        .count();
    since_rise as f64 / 10.0 <= REACHED_WITHIN_S
}

/// The larger capacity of the two directions.
fn capacity(seen: &Seen, host: HostId) -> Option<f64> {
    WAYS.into_iter().filter_map(|way| seen.capacity(host, way)).reduce(f64::max)
}

/// What a host carried in a slot, the larger direction; `None` where nothing was planned or measured.
fn load(seen: &Seen, host: HostId, slot: u64) -> Option<f64> {
    let round = seen.rounds.iter().rev().find(|round| (round.start..round.end).contains(&slot))?;
    WAYS.into_iter().filter_map(|way| Some(seen.carried(round, host, way, slot)?.0)).reduce(f64::max)
}

/// How often the load rose to the killing dose, falls included.
fn tries(seen: &Seen, host: HostId, falls: &[&Fall], killed_bps: Option<f64>) -> usize {
    let Some(dose) = killed_bps.map(|bps| bps * 0.9) else { return falls.len() };
    let (mut tries, mut above, mut since_low) = (0, false, 0u32);
    for slot in 0..seen.latest.slot() {
        match load(seen, host, slot) {
            Some(bps) if bps >= dose => {
                tries += usize::from(!above);
                (above, since_low) = (true, 0);
            }
            Some(bps) if bps < dose * RISEN => {
                since_low += 1;
                // Half a second below the dose ends a try; a single lost window does not.
                above &= since_low < 5;
            }
            _ => {}
        }
    }
    tries.max(falls.len())
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
    let peers: BTreeSet<HostId> = falls.iter().flat_map(|fall| fall.peers.iter().copied()).collect();
    let observers = peers.intersection(healthy).count();
    let enough = observers >= super::OBSERVERS_MIN.min(healthy.len().max(1));
    let mut finding = match dies_under_load(seen, host, falls) {
        Some(tie) => dies(seen, host, falls, tie, observers),
        None => outage(seen, host, falls, observers),
    };
    let lasting = falls.iter().any(|fall| fall.until.is_none()) || longest_s(falls) >= OUTAGE_MIN_S;
    finding.confirmed = Some(enough && (falls.len() > 1 || lasting));
    let dead: Vec<Direction> = falls.iter().filter_map(|fall| way::dead_direction(seen, fall)).collect();
    // TCP falls both ways when one is dead: where probes tell the ways apart, they are right.
    finding.direction = Some(dead.first().copied().unwrap_or_else(|| super::direction(falls)));
    finding.numbers.insert("observers".to_owned(), Some(observers as f64));
    finding
}

fn dies(seen: &Seen, host: HostId, falls: &[&Fall], tie: Tie, observers: usize) -> Finding {
    let survived = tie.survived_bps.map_or("no load was held for 8 s".to_owned(), |bps| {
        format!("{} was held for 8 s", super::rate_text(Some(bps)))
    });
    let text = format!(
        "{} fell silent {} soon after reaching {}; {survived}; {observers} peers saw it. Collect its driver's counters and kernel log before a reboot, then repeat after a change of driver, firmware or card",
        seen.name(host),
        super::times(falls),
        super::rate_text(tie.killed_bps),
    );
    let mut finding = super::bare(FindingKind::DiesUnderLoad, Severity::Fail, falls, text);
    finding.numbers.insert("dose_killed_bps".to_owned(), tie.killed_bps.map(f64::round));
    finding.numbers.insert("dose_survived_bps".to_owned(), tie.survived_bps.map(f64::round));
    finding.numbers.insert("tries".to_owned(), Some(tie.tries as f64));
    finding.numbers.insert("failures".to_owned(), Some(tie.failures as f64));
    finding
}

fn outage(seen: &Seen, host: HostId, falls: &[&Fall], observers: usize) -> Finding {
    let to_the_end = falls.iter().any(|fall| fall.until.is_none());
    let long = to_the_end || longest_s(falls) >= OUTAGE_MIN_S || falls.len() > 1;
    let rest = if to_the_end {
        "whether its card, its link or the whole host died, only its console can tell"
    } else {
        "nothing ties it to load; look at its link, its switch port and its log of that moment"
    };
    let text = format!(
        "{} fell silent {}, seen by {observers} peers; {rest}",
        seen.name(host),
        super::times(falls),
    );
    let severity = if long { Severity::Fail } else { Severity::Warn };
    let mut finding = super::bare(FindingKind::Outage, severity, falls, text);
    finding.numbers.insert("drop_offs".to_owned(), Some(falls.len() as f64));
    finding
        .numbers
        .insert("longest_s".to_owned(), falls.iter().filter_map(|fall| fall.for_s()).reduce(f64::max));
    finding
}

/// The longest of the falls whose end was seen.
fn longest_s(falls: &[&Fall]) -> f64 {
    falls.iter().filter_map(|fall| fall.for_s()).fold(0.0, f64::max)
}
