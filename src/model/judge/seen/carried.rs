//! What hosts carried and were to carry, slot by slot, and with whom.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Range,
};

use super::{FlowSeen, RoundSeen, Seen, Way};
use crate::model::{
    fleet::{
        host::HostId,
        units::{BitRate, SLOT_US},
    },
    judge::robust,
    plan::{
        layout::FlowId,
        schedule::{Capacities, FrameRates},
    },
};

/// Below this share of the fleet's median, a calibrated capacity is taken for the death of
/// the card during calibration and not for its level: a factor of five is beyond any mix of
/// healthy cards of one class, and only sets what a later fall is measured against.
pub(super) const CAPACITY_CREDIBLE: f64 = 0.2;

/// Share of what a host was calibrated to carry from which on its queues may overflow: frames count
/// their headers, and calibration did not.
const FULL_SHARE: f64 = 0.9;

/// What a process that encrypts or reads files carries at least where it runs at all, bits per second: one
/// core does several times as much in QUIC or ssh. A card of 100 Gb/s, held against its own rate, would seem
/// to have fallen silent in every such round.
const PROCESS_BPS: f64 = 1e9;

/// What the flows of a host came to in a slot.
#[derive(Clone, Copy, Debug, Default)]
struct Sum {
    bytes: u64,
    known: u32,
    all: u32,
}

impl Sum {
    /// Bits per second, and the share of the flows that this is known of.
    fn carried(self) -> Option<(f64, f64)> {
        let bps = self.bytes as f64 * 8e6 / SLOT_US as f64;
        (self.known > 0).then(|| (bps, f64::from(self.known) / f64::from(self.all)))
    }
}

/// The fleet's medians of what was measured of each host, to send and to receive.
fn medians<T: Copy>(
    hosts: &BTreeMap<HostId, (Option<T>, Option<T>)>,
    number: impl Fn(T) -> f64,
) -> (Option<f64>, Option<f64>) {
    let of = |way: Way| {
        let all = hosts.values().filter_map(|(tx, rx)| way.of(*tx, *rx)).map(&number);
        robust::median(&all.collect::<Vec<_>>())
    };
    (of(Way::Tx), of(Way::Rx))
}

impl Seen {
    /// What a host carried one way in a slot of a round, as [`Self::carried_in`] tells it.
    pub fn carried(&self, round: &RoundSeen, host: HostId, way: Way, slot: u64) -> Option<(f64, f64)> {
        self.carried_in(round, host, way, slot..slot + 1).pop().flatten()
    }

    /// The same without the share.
    pub fn bps_in(&self, round: &RoundSeen, host: HostId, way: Way, slots: Range<u64>) -> Vec<Option<f64>> {
        self.carried_in(round, host, way, slots).into_iter().map(|carried| Some(carried?.0)).collect()
    }

    /// What a host carried one way in each of some slots of a round: bits per second, and the
    /// share of its flows that this is known of. `None` when no flow of that way was measured.
    ///
    /// Of flows that had something to carry then, and both of whose ends took part.
    pub fn carried_in(
        &self,
        round: &RoundSeen,
        host: HostId,
        way: Way,
        slots: Range<u64>,
    ) -> Vec<Option<(f64, f64)>> {
        let mut sums = vec![Sum::default(); slots.end.saturating_sub(slots.start) as usize];
        let flows = round.by_host.get(&host).map_or(&[][..], |part| part.of(way));
        for (id, flow) in flows.iter().filter_map(|id| Some((*id, self.flows.get(id)?))) {
            let Some(since) = self.takes_part_since(round, flow) else { continue };
            let endless = self.files.is_endless(id);
            for (slot, sum) in slots.clone().zip(&mut sums).skip_while(|(slot, _)| *slot < since) {
                if endless || self.files.is_active(id, slot) {
                    sum.all += 1;
                    let place = slot.checked_sub(round.start);
                    if let Some(count) = place.and_then(|place| *flow.slots.get(place as usize)?) {
                        sum.bytes += count.get();
                        sum.known += 1;
                    }
                }
            }
        }
        sums.into_iter().map(Sum::carried).collect()
    }

    /// The flows of a host, one way, that had something to carry in that slot and both of
    /// whose ends took part in the stage by then.
    fn active<'a>(
        &'a self,
        round: &'a RoundSeen,
        host: HostId,
        way: Way,
        slot: u64,
    ) -> impl Iterator<Item = &'a FlowSeen> + 'a {
        self.taking_part(round, host, way, slot)
            .filter(move |(id, _)| self.files.is_active(*id, slot))
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
        self.takes_part_since(round, flow).is_some_and(|since| since <= slot)
    }

    /// The slot from which on both ends of a flow took part in its stage; `None` if they never did.
    fn takes_part_since(&self, round: &RoundSeen, flow: &FlowSeen) -> Option<u64> {
        Some(self.came(round, flow.from)?.max(self.came(round, flow.to)?))
    }

    /// The slot by which a host had come to a round's stage: 0 for all that were there when it
    /// began, `None` for who never came.
    fn came(&self, round: &RoundSeen, host: HostId) -> Option<u64> {
        let late = self.not_ready.get(&round.stage).and_then(|hosts| hosts.get(&host));
        late.map_or(Some(0), |since| *since)
    }

    /// Whether a host has come to no stage up to a slot: its worker never had orders, and answers
    /// nobody.
    pub fn is_absent(&self, host: HostId, slot: u64) -> bool {
        let mut begun = self.rounds.iter().take_while(|round| round.start <= slot);
        !self.not_ready.is_empty() && begun.all(|round| self.came(round, host).is_none_or(|came| came > slot))
    }

    /// Whether every flow of that way has its count for a slot.
    pub fn complete(&self, round: &RoundSeen, host: HostId, way: Way, slot: u64) -> bool {
        self.carried(round, host, way, slot).is_some_and(|(_, known)| known >= 1.0)
    }

    /// Takes what calibration came to. Nobody sends more than anybody else receives, nor the reverse.
    pub fn calibrated(&mut self, mut capacities: Capacities) {
        let told = capacities.clone();
        let of_others = |host: HostId, way: Way| {
            let others = told.iter().filter(move |(other, _)| **other != host);
            others.filter_map(move |(_, (tx, rx))| way.of(*tx, *rx)).max()
        };
        for (host, (tx, rx)) in &mut capacities {
            let least = |own: &mut Option<BitRate>, way: Way| {
                let most = of_others(*host, way.other());
                *own = own.map(|own| most.map_or(own, |most| own.min(most)));
            };
            least(tx, Way::Tx);
            least(rx, Way::Rx);
        }
        self.fleet_capacity = medians(&capacities, |rate: BitRate| rate.bps() as f64);
        self.capacities = capacities;
    }

    /// Takes what calibration came to in the smallest frames.
    pub fn frames_calibrated(&mut self, rates: FrameRates) {
        self.fleet_frames = medians(&rates, f64::from);
        self.frame_rates = rates;
    }

    /// What a host carries one way in frames of a size, bits per second: as many a second as calibration
    /// found of the smallest, for a card of 25 Gb/s carries a fiftieth of that in them; `None` where that
    /// was not measured.
    fn frames_bps(&self, host: HostId, way: Way, size_bytes: u16) -> Option<f64> {
        let own = self.frame_rates.get(&host).and_then(|(tx, rx)| way.of(*tx, *rx)).map(f64::from);
        let fleet = way.of(self.fleet_frames.0, self.fleet_frames.1);
        let credible = own.filter(|own| fleet.is_none_or(|fleet| *own >= fleet * CAPACITY_CREDIBLE));
        credible.or(fleet).map(|per_s| per_s * f64::from(size_bytes) * 8.0)
    }

    /// What a host was calibrated to carry one way, however little.
    pub(super) fn calibrated_bps(&self, host: HostId, way: Way) -> Option<f64> {
        let own = self.capacities.get(&host).and_then(|(tx, rx)| way.of(*tx, *rx));
        own.map(|rate| rate.bps() as f64)
    }

    /// The fleet's median of what hosts were calibrated to carry.
    pub const fn fleet_bps(&self, way: Way) -> Option<f64> {
        way.of(self.fleet_capacity.0, self.fleet_capacity.1)
    }

    /// Whether a round asks more of one end of a flow than it was calibrated to carry: the rate of
    /// frames is the fleet's, and what a slow host cannot carry of it, it must lose.
    pub fn is_overfull(&self, round: &RoundSeen, flow: &FlowSeen) -> bool {
        [(flow.from, Way::Tx), (flow.to, Way::Rx)].into_iter().any(|(host, way)| self.fills(round, host, way))
    }

    /// Whether a round asks more of one side of a host than that was calibrated to carry.
    pub(super) fn fills(&self, round: &RoundSeen, host: HostId, way: Way) -> bool {
        let paced_bps = round.by_host.get(&host).map_or(0.0, |part| part.paced_bps(way));
        self.calibrated_bps(host, way).is_some_and(|bps| paced_bps > FULL_SHARE * bps)
    }

    /// The capacity of a host one way: as calibrated, else the fleet's median.
    pub fn capacity(&self, host: HostId, way: Way) -> Option<f64> {
        match (self.calibrated_bps(host, way), self.fleet_bps(way)) {
            // A card that died while it was calibrated has no level of its own.
            (Some(own), Some(fleet)) if own < fleet * CAPACITY_CREDIBLE => {
                Some(if self.always_slow.contains(&(host, way)) { own } else { fleet })
            }
            (Some(own), _) => Some(own),
            (None, fleet) => fleet,
        }
    }

    /// What a host is to carry one way in a slot of a round, in bits per second; `None` where
    /// no capacity is known, for small frames that in frames.
    pub fn expected(&self, round: &RoundSeen, host: HostId, way: Way, slot: u64) -> Option<f64> {
        let part = round.by_host.get(&host)?;
        if round.makes_connections() {
            return None;
        }
        if round.is_paced() {
            let mut active = self.active(round, host, way, slot);
            let paced = active.try_fold(0.0, |sum, flow| Some(sum + flow.rate?.bps() as f64));
            if paced.is_some() {
                return paced;
            }
        }
        let capacity = self.capacity(host, way)?;
        let whole = match round.frame_bytes() {
            Some(size) => capacity.min(self.frames_bps(host, way, size)?) * part.load(way),
            None => capacity * part.load(way),
        };
        let by_process = !round.dose.carriage.transport.by_carriers();
        let whole = if by_process { whole.min(PROCESS_BPS) } else { whole };
        Some(whole - self.missing_with_slow(part, host, way, whole))
    }

    /// The hosts that `host` exchanged data with, one way, in slots of a round, as far as any of
    /// these was measured.
    pub fn peers(&self, round: &RoundSeen, host: HostId, way: Way, slots: Range<u64>) -> BTreeSet<HostId> {
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
