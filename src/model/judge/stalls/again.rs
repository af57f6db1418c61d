//! Whether a suspect stood still again while suspects were tried.

use std::collections::{BTreeMap, BTreeSet};

use super::gaps::{self, Probe};
use crate::model::{
    fleet::host::HostId,
    judge::{quiet, seen::Seen},
    plan::layout::StageKind,
};

/// Probes between two hosts that tell whether one of them stalls: echoes of two seconds, both ways.
const PROBES_MIN: usize = 16;

/// Whether a suspect stood still again, as one partner saw it or all that are not suspected saw together:
/// gaps and probes may keep step, so that one partner asks in each and another in none. Gathered once, for
/// it is asked of all pairs.
pub fn reproduced(seen: &Seen) -> impl Fn(HostId, HostId) -> Option<bool> + use<> {
    let probes = Probe::all(seen, &quiet::ticks(seen, StageKind::Confirm));
    let suspected =
        |host: HostId| seen.suspects.as_ref().is_some_and(|suspects| suspects.hosts.contains_key(&host));
    let stood = |host: &HostId| {
        let untold = |other: HostId| other == *host || !suspected(other);
        let own: Vec<Probe> =
            probes.iter().copied().filter(|probe| untold(probe.from) && untold(probe.to)).collect();
        !gaps::of_host(&own, *host, |_| false).is_empty()
    };
    let stood: BTreeSet<HostId> = seen.hosts.iter().map(|host| host.id).filter(stood).collect();
    // Of each two hosts: how many asked, and how many of these were late.
    let mut between: BTreeMap<(HostId, HostId), (usize, usize)> = BTreeMap::new();
    for probe in &probes {
        let (asked, late) = between.entry((probe.from.min(probe.to), probe.from.max(probe.to))).or_default();
        *asked += 1;
        *late += usize::from(probe.late);
    }
    move |host, partner| {
        let (asked, late) = *between.get(&(host.min(partner), host.max(partner)))?;
        (asked >= PROBES_MIN).then(|| late > 0 || stood.contains(&host))
    }
}
