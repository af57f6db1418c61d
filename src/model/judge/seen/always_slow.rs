//! Sides of hosts that carry a small part of what their class does, from calibration to the end.
//!
//! # Rule
//!
//! Who was calibrated at less than [`CAPACITY_CREDIBLE`] of the fleet's median may have died meanwhile:
//! its capacity is then taken for the fleet's. But where all that it carries under full load later agrees
//! with its calibration, within a factor of two, that is what it can. What is asked of it by the
//! fleet's measure stands in its queues, and is no fall.
//!
//! # What does not belong here
//!
//! That it is slow, and by how much: `slow`.

use std::collections::BTreeSet;

use super::{FlowSeen, HostFlows, RoundSeen, Seen, WAYS, Way, carried::CAPACITY_CREDIBLE};
use crate::model::{
    fleet::host::HostId,
    judge::{fall::LOADED, robust},
    plan::layout::StageKind,
};

/// Below this share of the fleet's median no bulk data passes, as of a host whose large frames are lost:
/// what comes are the ends of writes.
const CAPACITY_SOME: f64 = 0.03;

/// Slots under full load that show what a host carries: five seconds'.
const SLOTS_MIN: usize = 50;

/// The quantiles of these slots that must agree with calibration: few slots in which a stream waited for
/// its timeout, and all but the peaks of queues that drain.
const QUANTILES: [f64; 2] = [0.25, 0.9];

impl Seen {
    /// The sides that were calibrated at next to nothing, and carry just that ever after.
    pub(super) fn find_always_slow(&self) -> BTreeSet<(HostId, Way)> {
        let sides = self.hosts.iter().flat_map(|host| WAYS.map(|way| (host.id, way)));
        sides.filter(|(host, way)| self.carries_as_calibrated(*host, *way) == Some(true)).collect()
    }

    fn carries_as_calibrated(&self, host: HostId, way: Way) -> Option<bool> {
        let calibrated = self.calibrated_bps(host, way)?;
        if !(CAPACITY_SOME..CAPACITY_CREDIBLE).contains(&(calibrated / self.fleet_bps(way)?)) {
            return None;
        }
        let is_full = |round: &&RoundSeen| {
            round.kind == StageKind::Load
                && round.saturates()
                && round.by_host.get(&host).is_some_and(|part| part.load(way) >= LOADED)
        };
        let rounds = self.rounds.iter().filter(is_full);
        let carried: Vec<f64> =
            rounds.flat_map(|round| self.bps_in(round, host, way, round.slots())).flatten().collect();
        let agrees = |bps: f64| (0.5..=2.0).contains(&(bps / calibrated));
        let all_agree = QUANTILES.iter().all(|q| robust::quantile(&carried, *q).is_some_and(agrees));
        Some(carried.len() >= SLOTS_MIN && all_agree)
    }

    /// Whether a round asks more of a host that is always slow, or of all its partners that are, than
    /// these carry. Permission to send stands in the same queues, so that the other way is silent too.
    pub fn asks_too_much(&self, round: &RoundSeen, host: HostId, way: Way) -> bool {
        if self.always_slow.is_empty() {
            return false;
        }
        let floods = |host| WAYS.into_iter().any(|way| self.floods(round, host, way));
        let own = round.by_host.get(&host).map_or(&[][..], |part| part.of(way));
        let peer_of = |id| self.flows.get(id).map(|flow: &FlowSeen| flow.peer_of(host));
        floods(host) || (!own.is_empty() && own.iter().filter_map(peer_of).all(floods))
    }

    /// Whether a round asks more of one side that is always slow than that carries.
    fn floods(&self, round: &RoundSeen, host: HostId, way: Way) -> bool {
        let endless = round.frame_bytes().is_some() && !round.is_paced();
        self.always_slow.contains(&(host, way)) && (endless || self.fills(round, host, way))
    }

    /// What cannot be carried of a host's planned load, bits per second, because partners are always slow:
    /// with these no more passes than their fair share.
    pub(super) fn missing_with_slow(
        &self,
        part: &HostFlows,
        host: HostId,
        way: Way,
        planned_bps: f64,
    ) -> f64 {
        if self.always_slow.is_empty() {
            return 0.0;
        }
        let flows = part.of(way);
        let missing = |flow: &FlowSeen| {
            let side = (flow.peer_of(host), way.other());
            let capacity =
                self.calibrated_bps(side.0, side.1).filter(|_| self.always_slow.contains(&side))?;
            let theirs = self.rounds[flow.round].by_host.get(&side.0)?.of(side.1).len().max(1);
            Some((planned_bps / flows.len() as f64 - capacity / theirs as f64).max(0.0))
        };
        flows.iter().filter_map(|id| missing(self.flows.get(id)?)).sum()
    }
}
