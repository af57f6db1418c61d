//! Crossings over which bulk data does not get at all, while echoes do.
//!
//! # Rule
//!
//! Of connections as fast as they go, a pair is stuck that carries less than [`STUCK_MAX`] of what its
//! stage's best do. Where most of a crossing's pairs are, and its echoes come back, the way between the racks
//! passes small packets alone, or no connection. What exactly, single frames and new connections tell, where
//! the scenario has them.

use std::collections::BTreeMap;

use super::{Racks, Symptom};
use crate::model::{
    fleet::host::HostId,
    judge::{
        localise::Trial,
        outage, robust,
        seen::{Seen, probes::Asked},
        slow,
        ways::Found,
    },
    plan::{carriage::Transport, layout::StageKind},
};

/// Share of what others carry below which nothing gets through but the ends of writes.
const STUCK_MAX: f64 = 0.05;

/// Whose rate counts as what pairs of a stage carry: with half of them stuck, the median does not.
const BEST: f64 = 0.8;

/// Share of a crossing's echoes that must be answered.
const ANSWERED_MIN: f64 = 0.5;

/// Crossings that are stuck.
pub fn findings(seen: &Seen, racks: &Racks) -> Found {
    if !racks.are_told() {
        return Found::default();
    }
    let mut stages: BTreeMap<u16, Vec<(HostId, HostId, f64)>> = BTreeMap::new();
    for flow in seen.flows.values() {
        let round = &seen.rounds[flow.round];
        let bulk = round.kind == StageKind::Load
            && round.dose.carriage.transport == Transport::Tcp
            && !round.makes_connections()
            && round.saturates();
        if let Some(bps) = slow::steady_bps(&flow.slots).filter(|_| bulk) {
            stages.entry(round.stage).or_default().push((flow.from, flow.to, bps));
        }
    }
    let trials: Vec<Trial> = stages
        .values()
        .flat_map(|pairs| {
            let rates: Vec<f64> = pairs.iter().map(|(.., bps)| *bps).collect();
            let least = STUCK_MAX * robust::quantile(&rates, BEST).unwrap_or(0.0);
            pairs.iter().map(move |(from, to, bps)| Trial {
                from: *from,
                to: *to,
                bad: *bps < least,
                weight: 1.0,
            })
        })
        .collect();
    let mut stuck = racks.bad(&trials);
    stuck.retain(|crossing, _| {
        let crosses = |(from, to): &(HostId, HostId)| racks.crossing(*from, *to).as_ref() == Some(crossing);
        let pairs = seen.probes.pairs(Asked::Echo).filter(crosses);
        outage::answered(seen, pairs, Asked::Echo, 0..seen.probes.ticks()).rate() >= ANSWERED_MIN
    });
    Found::default().with(Symptom::Stuck, stuck)
}
