//! What hosts carried and were to carry, slot by slot, and with whom.

use std::collections::BTreeSet;

use super::{FlowSeen, RoundSeen, Seen, Way};
use crate::model::{
    fleet::{
        host::HostId,
        units::{BitRate, SLOT_US},
    },
    judge::robust,
    plan::{layout::FlowId, schedule::Capacities},
};

/// Below this share of the fleet's median, a calibrated capacity is taken for the death of
/// the card during calibration and not for its level: a factor of five is beyond any mix of
/// healthy cards of one class, and only sets what a later fall is measured against.
const CAPACITY_CREDIBLE: f64 = 0.2;

impl Seen {
    /// What a host carried one way in a slot of a round: bits per second, and the share of
    /// its flows that this is known of. `None` when no flow of that way was measured.
    pub fn carried(&self, round: &RoundSeen, host: HostId, way: Way, slot: u64) -> Option<(f64, f64)> {
        let index = slot.checked_sub(round.start)? as usize;
        let (mut bytes, mut known, mut all) = (0, 0u32, 0u32);
        for flow in self.active(round, host, way, slot) {
            all += 1;
            if let Some(count) = flow.slots.get(index).copied().flatten() {
                bytes += count;
                known += 1;
            }
        }
        let bps = bytes as f64 * 8e6 / SLOT_US as f64;
        (known > 0).then(|| (bps, f64::from(known) / f64::from(all)))
    }

    /// The flows of a host, one way, that had something to carry in that slot and both of
    /// whose ends took part in the stage by then.
    pub fn active<'a>(
        &'a self,
        round: &'a RoundSeen,
        host: HostId,
        way: Way,
        slot: u64,
    ) -> impl Iterator<Item = &'a FlowSeen> + 'a {
        self.taking_part(round, host, way, slot)
            .filter(move |(id, flow)| self.files.is_active(*id, &flow.slots, slot))
            .map(|(_, flow)| flow)
    }

    fn taking_part<'a>(
        &'a self,
        round: &'a RoundSeen,
        host: HostId,
        way: Way,
        slot: u64,
    ) -> impl Iterator<Item = (FlowId, &'a FlowSeen)> + 'a {
        let flows = round.by_host.get(&host).map_or(&[][..], |part| part.of(way));
        flows
            .iter()
            .filter_map(|id| Some((*id, self.flows.get(id)?)))
            .filter(move |(_, flow)| self.took_part(round, flow, slot))
    }

    /// Whether both ends of a flow took part in its stage by a slot.
    pub fn took_part(&self, round: &RoundSeen, flow: &FlowSeen, slot: u64) -> bool {
        [flow.from, flow.to].iter().all(|host| self.had_come(round, *host, slot))
    }

    /// Whether a host had come to a round's stage by a slot.
    fn had_come(&self, round: &RoundSeen, host: HostId, slot: u64) -> bool {
        let since = self.not_ready.get(&round.stage).and_then(|hosts| hosts.get(&host));
        since.is_none_or(|since| since.is_some_and(|since| since <= slot))
    }

    /// Whether a host has come to no stage up to a slot: its worker never had orders, and answers
    /// nobody.
    pub fn is_absent(&self, host: HostId, slot: u64) -> bool {
        let mut begun = self.rounds.iter().take_while(|round| round.start <= slot);
        !self.not_ready.is_empty() && begun.all(|round| !self.had_come(round, host, slot))
    }

    /// Whether every flow of that way has its count for a slot.
    pub fn complete(&self, round: &RoundSeen, host: HostId, way: Way, slot: u64) -> bool {
        self.carried(round, host, way, slot).is_some_and(|(_, known)| known >= 1.0)
    }

    /// Takes what calibration came to.
    pub fn calibrated(&mut self, capacities: Capacities) {
        let median = |rates: Vec<Option<BitRate>>| {
            let all: Vec<f64> = rates.into_iter().flatten().map(|rate| rate.bps() as f64).collect();
            robust::median(&all)
        };
        let (tx, rx) = capacities.values().copied().unzip();
        self.fleet_capacity = (median(tx), median(rx));
        self.capacities = capacities;
    }

    /// The capacity of a host one way: as calibrated, else the fleet's median.
    pub fn capacity(&self, host: HostId, way: Way) -> Option<f64> {
        let pick = |(tx, rx): &(Option<BitRate>, Option<BitRate>)| match way {
            Way::Tx => *tx,
            Way::Rx => *rx,
        };
        let own = self.capacities.get(&host).and_then(pick).map(|rate| rate.bps() as f64);
        let fleet = if way == Way::Tx { self.fleet_capacity.0 } else { self.fleet_capacity.1 };
        match (own, fleet) {
            // A card that died while it was calibrated has no level of its own.
            (Some(own), Some(fleet)) if own < fleet * CAPACITY_CREDIBLE => Some(fleet),
            (Some(own), _) => Some(own),
            (None, fleet) => fleet,
        }
    }

    /// What a host is to carry one way in a slot of a round, in bits per second; `None` where
    /// no capacity is known.
    pub fn expected(&self, round: &RoundSeen, host: HostId, way: Way, slot: u64) -> Option<f64> {
        let part = round.by_host.get(&host)?;
        if round.makes_connections() {
            return None;
        }
        let rates: Option<Vec<f64>> =
            self.active(round, host, way, slot).map(|flow| flow.rate.map(|rate| rate.bps() as f64)).collect();
        match rates {
            Some(rates) if round.is_paced() => Some(rates.iter().sum()),
            _ => Some(self.capacity(host, way)? * part.load(way)),
        }
    }

    /// The hosts that `host` exchanged data with, one way, in slots of a round, as far as any of
    /// these was measured.
    pub fn peers(
        &self,
        round: &RoundSeen,
        host: HostId,
        way: Way,
        slots: std::ops::Range<u64>,
    ) -> BTreeSet<HostId> {
        let last = round.end.saturating_sub(1);
        let places =
            slots.start.saturating_sub(round.start) as usize..slots.end.saturating_sub(round.start) as usize;
        let is_known = |flow: &FlowSeen| {
            flow.slots.get(places.clone()).is_some_and(|own| own.iter().any(Option::is_some))
        };
        self.taking_part(round, host, way, last)
            .filter(|(_, flow)| is_known(flow))
            .map(|(_, flow)| flow.peer_of(host))
            .collect()
    }
}
