//! Gaps of all that crosses from one rack to another, while within both nothing is late: their uplink's.
//!
//! Told by echoes of ticks in which nobody sends: under load a narrow uplink's queue makes them late too.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    GAPS_MIN,
    gaps::{self, PARTNERS_MIN, Probe, ROW_MIN},
};
use crate::model::{
    fleet::host::HostId,
    judge::{
        quiet::Calm,
        rack::{Crossing, Racks},
    },
};

/// Crossings that hold everything up again and again, with the share of their pairs that showed it.
pub(super) fn crossings(probes: &[Probe], racks: &Racks) -> BTreeMap<Crossing, f64> {
    let mut found = BTreeMap::new();
    if !racks.are_told() {
        return found;
    }
    let probes: Vec<Probe> = probes.iter().copied().filter(|probe| probe.calm == Calm::Idle).collect();
    for (a, b) in often_late(&probes, racks) {
        let is_between = |probe: &Probe| between(probe, racks).is_some_and(|racks| racks == (a, b));
        let gaps = gaps::of(&probes, is_between, |row| is_of_several(row, racks, a, b));
        if gaps.len() >= GAPS_MIN {
            let share = late_share(probes.iter().filter(|probe| is_between(probe)));
            found.insert((a.clone(), b.clone()), share);
            found.insert((b.clone(), a.clone()), share);
        }
    }
    found
}

/// The racks that an echo went between, in order; `None` within one.
fn between<'a>(probe: &Probe, racks: &'a Racks) -> Option<(&'a String, &'a String)> {
    let (from, to) = (racks.rack(probe.from)?, racks.rack(probe.to)?);
    (from != to).then(|| (from.min(to), from.max(to)))
}

/// Racks between which so many echoes were late that they may make gaps: of a large fleet hardly any.
fn often_late<'a>(probes: &[Probe], racks: &'a Racks) -> Vec<(&'a String, &'a String)> {
    let mut late: BTreeMap<(&String, &String), usize> = BTreeMap::new();
    for probe in probes.iter().filter(|probe| probe.late) {
        if let Some(racks) = between(probe, racks) {
            *late.entry(racks).or_default() += 1;
        }
    }
    late.into_iter().filter(|(_, count)| *count >= GAPS_MIN * ROW_MIN).map(|(racks, _)| racks).collect()
}

/// Whether several hosts of both racks have their part in a row.
fn is_of_several(row: &[&Probe], racks: &Racks, a: &String, b: &String) -> bool {
    let ends: BTreeSet<HostId> = row.iter().flat_map(|probe| [probe.from, probe.to]).collect();
    let of = |rack: &String| ends.iter().filter(|host| racks.rack(**host) == Some(rack)).count();
    of(a) >= PARTNERS_MIN && of(b) >= PARTNERS_MIN
}

/// The share of pairs of which any echo was late.
fn late_share<'a>(probes: impl Iterator<Item = &'a Probe>) -> f64 {
    let mut pairs: BTreeMap<(HostId, HostId), bool> = BTreeMap::new();
    for probe in probes {
        *pairs.entry((probe.from, probe.to)).or_default() |= probe.late;
    }
    pairs.values().filter(|late| **late).count() as f64 / pairs.len().max(1) as f64
}
