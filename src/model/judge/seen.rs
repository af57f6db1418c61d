//! The record laid out for judging: hosts, rounds, and bytes on the grid of slots.
//!
//! One fold for both uses: `judge` feeds the whole record, the live view feeds lines as
//! they come. Nothing is judged here.

use std::collections::{BTreeMap, BTreeSet};

use super::files::Files;
use crate::model::{
    fleet::{
        host::{Host, HostId},
        units::{BitRate, RunTime, SLOT_US},
    },
    plan::{
        dose::{Dose, Rate},
        layout::FlowId,
        schedule::{self, Capacities},
    },
    record::line::{
        Body, Contact, CorruptSeen, Ended, HostSeen, Joined, Line, LinkSeen, ReachPeer, Samples, StageBegun,
        StreamSeen, VerifiedFlow,
    },
};

mod round;

pub use round::{FlowSeen, HostFlows, RoundSeen, WAYS, Way};

/// Everything seen so far.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    /// Hosts by number.
    pub hosts: Vec<Host>,
    /// Rounds in the order of their beginning.
    pub rounds: Vec<RoundSeen>,
    /// Flows by number.
    pub flows: BTreeMap<FlowId, FlowSeen>,
    /// Worker instances in the order of their coming.
    pub joined: Vec<(RunTime, Joined)>,
    /// What became of control connections.
    pub contacts: Vec<(RunTime, Contact)>,
    /// Workers that left by their own will.
    pub left: Vec<(RunTime, HostId, String)>,
    /// What happened to streams, with the host whose worker saw it.
    pub streams: Vec<(HostId, StreamSeen)>,
    /// Windows in which a worker itself did not run.
    pub stalled: Vec<(HostId, RunTime, RunTime)>,
    /// The state of hosts, second by second.
    pub states: BTreeMap<HostId, Vec<(RunTime, HostSeen)>>,
    /// What reach came to, by observer and target.
    pub reach: BTreeMap<(HostId, HostId), ReachPeer>,
    /// Keyed probes: when, flow, sent, answered, as the source counted.
    pub asked: Vec<(RunTime, FlowId, u32, u32)>,
    /// Keyed probes: when, flow, arrived, as the sink counted.
    pub heard: Vec<(RunTime, FlowId, u32)>,
    /// What each host's own CPU carries over loopback, bits per second.
    pub ceilings: BTreeMap<HostId, u64>,
    /// Verified payload that differed, as its receivers told.
    pub corrupt: Vec<CorruptSeen>,
    /// What receivers compared, by flow.
    pub verified: BTreeMap<FlowId, VerifiedFlow>,
    /// What calibration came to.
    pub capacities: Capacities,
    /// Hosts that were not there when a stage began, by the stage's place: since which slot
    /// they took part after all.
    pub not_ready: BTreeMap<u16, BTreeMap<HostId, Option<u64>>>,
    /// Windows in which the coordinator itself was held up: since, until, how.
    pub impaired: Vec<(RunTime, RunTime, String)>,
    /// How the run ended, where its last line is there.
    pub ended: Option<(RunTime, Ended, Option<String>)>,
    /// The latest moment of any line.
    pub latest: RunTime,
    /// The latest moment of which each host's worker itself wrote: it ran then.
    pub last_wrote: BTreeMap<HostId, RunTime>,
    /// What flows that move files told of themselves.
    pub files: Files,
    host_of_instance: BTreeMap<u16, HostId>,
}

/// Whether a dose is to fill links: small frames end at a packet rate, new connections carry
/// next to nothing, and a file may end at a disk.
fn saturates(dose: &Dose) -> bool {
    let carriage = &dose.carriage;
    dose.rate == Rate::Unpaced
        && carriage.frame_size_bytes.is_none()
        && carriage.connections_per_s.is_none()
        && !carriage.transport.moves_a_file()
}

impl Seen {
    /// All of a record.
    pub fn of(record: &crate::model::record::book::Record) -> Self {
        let mut seen = Self { hosts: record.opened.hosts.clone(), ..Self::default() };
        // Instances and stages first: workers' lines name both, and their own order within a
        // record tells nothing of when they happened.
        for line in record.lines.iter().filter(|line| line.i == 0) {
            seen.take(line);
        }
        for line in record.lines.iter().filter(|line| line.i != 0) {
            seen.take(line);
        }
        seen.streams.sort_by_key(|(_, stream)| stream.at);
        seen.stalled.sort_by_key(|(_, from, _)| *from);
        seen
    }

    /// Takes one line.
    pub fn take(&mut self, line: &Line) {
        self.latest = self.latest.max(line.t);
        let by = self.host_of_instance.get(&line.i).copied();
        if let Some(host) = by {
            let wrote = self.last_wrote.entry(host).or_default();
            *wrote = (*wrote).max(line.t);
        }
        match (&line.body, by) {
            (Body::Opened(opened), _) => self.hosts.clone_from(&opened.hosts),
            (Body::Joined(joined), _) => {
                self.host_of_instance.insert(joined.instance, joined.host);
                self.joined.push((line.t, (**joined).clone()));
            }
            (Body::Contact(contact), _) => self.contacts.push((line.t, contact.clone())),
            (Body::Stage(begun), _) => self.stage_begins(begun),
            (Body::NotReady { stage, hosts, .. }, _) => {
                self.not_ready.entry(*stage).or_default().extend(hosts.iter().map(|host| (*host, None)));
            }
            (Body::Capacity { hosts }, _) => self.capacities.clone_from(hosts),
            (Body::Left { host, why }, _) => self.left.push((line.t, *host, why.clone())),
            (Body::Impaired { since, why }, _) => self.impaired.push((*since, line.t, why.clone())),
            (Body::Closed { ended, why }, _) => self.ended = Some((line.t, *ended, why.clone())),
            (Body::Samples(samples), Some(host)) => self.sampled(host, line.t, samples),
            (Body::Stream(stream), Some(host)) => self.streams.push((host, stream.clone())),
            (Body::Host(state), Some(host)) => {
                self.states.entry(host).or_default().push((line.t, (**state).clone()));
            }
            (Body::Reach(reach), Some(host)) => {
                for (peer, seen) in &reach.peers {
                    self.reach.insert((host, *peer), seen.clone());
                }
            }
            (Body::Ceiling { tcp_bps }, Some(host)) => {
                self.ceilings.insert(host, *tcp_bps);
            }
            (Body::Corrupt(corrupt), Some(host)) if self.receives(host, corrupt.flow) => {
                self.corrupt.push(corrupt.clone());
            }
            (Body::Verified { flows }, Some(host)) => {
                for (flow, part) in flows {
                    if self.receives(host, *flow) {
                        self.verified.entry(*flow).or_default().add(part);
                    }
                }
            }
            (Body::File(file), Some(host)) => self.files.take(host, file),
            (Body::Stalled { from, to }, Some(host)) => self.stalled.push((host, *from, *to)),
            // A line of an instance that never joined, or a source's own view: no rule asks for it.
            _ => {}
        }
    }

    fn stage_begins(&mut self, begun: &StageBegun) {
        for (number, planned) in begun.stage.rounds.iter().enumerate() {
            let start = (begun.at.0 + planned.offset_us).div_ceil(SLOT_US);
            let end = (begun.at.0 + planned.end_us()) / SLOT_US;
            let load = schedule::planned_load(planned);
            let mut by_host: BTreeMap<HostId, HostFlows> = BTreeMap::new();
            for flow in &planned.flows {
                if planned.dose.carriage.transport.moves_a_file() {
                    self.files.begins(flow.flow, start);
                }
                by_host.entry(flow.from).or_default().tx.push(flow.flow);
                by_host.entry(flow.to).or_default().rx.push(flow.flow);
                self.flows.insert(
                    flow.flow,
                    FlowSeen {
                        from: flow.from,
                        to: flow.to,
                        round: self.rounds.len(),
                        rate: begun.rates.get(&flow.flow).copied(),
                        slots: vec![None; end.saturating_sub(start) as usize],
                        tail: 0,
                    },
                );
            }
            for (host, (tx, rx)) in load {
                let part = by_host.entry(host).or_default();
                (part.tx_load, part.rx_load) = (tx, rx);
            }
            self.rounds.push(RoundSeen {
                stage: begun.stage.index,
                stage_name: begun.stage.name.clone(),
                kind: begun.stage.kind,
                number,
                pattern: planned.dose.pattern,
                ways: planned.dose.ways,
                paced: planned.dose.rate != Rate::Unpaced,
                saturates: saturates(&planned.dose),
                frame_size_bytes: planned.dose.carriage.frame_size_bytes,
                start,
                end,
                by_host,
                streams: planned.dose.carriage.streams,
            });
        }
    }

    /// Whether a flow is one that this host receives: nobody else's word on it counts.
    fn receives(&self, host: HostId, flow: FlowId) -> bool {
        self.flows.get(&flow).is_some_and(|seen| seen.to == host)
    }

    fn sampled(&mut self, by: HostId, at: RunTime, samples: &Samples) {
        for (flow, counts) in &samples.rx {
            let Some(seen) = self.flows.get_mut(flow).filter(|seen| seen.to == by) else { continue };
            let start = self.rounds[seen.round].start;
            let first = (samples.s..).zip(counts).find(|(_, count)| count.is_some_and(|bytes| bytes > 0));
            if let (Some((first, _)), Some(late)) =
                (first, self.not_ready.get_mut(&self.rounds[seen.round].stage))
            {
                for host in [seen.from, seen.to] {
                    if let Some(since) = late.get_mut(&host) {
                        *since = Some(since.map_or(first, |known| known.min(first)));
                    }
                }
            }
            for (slot, count) in (samples.s..).zip(counts) {
                let index = slot.checked_sub(start).map(|index| index as usize);
                match index.and_then(|index| seen.slots.get_mut(index)) {
                    Some(place) => *place = *count,
                    None => seen.tail += count.unwrap_or(0),
                }
            }
        }
        let own = |flow: &FlowId, sink: bool| {
            self.flows.get(flow).is_some_and(|seen| by == if sink { seen.to } else { seen.from })
        };
        for (flow, (sent, answered)) in samples.asked.iter().filter(|(flow, _)| own(flow, false)) {
            self.asked.push((at, *flow, *sent, *answered));
        }
        for (flow, arrived) in samples.heard.iter().filter(|(flow, _)| own(flow, true)) {
            self.heard.push((at, *flow, *arrived));
        }
    }

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
        let absent = self.not_ready.get(&round.stage);
        let took_part = move |host: HostId| {
            let since = absent.and_then(|absent| absent.get(&host));
            since.is_none_or(|since| since.is_some_and(|since| since <= slot))
        };
        let flows = round.by_host.get(&host).map_or(&[][..], |part| part.of(way));
        flows
            .iter()
            .filter_map(|id| Some((*id, self.flows.get(id)?)))
            .filter(move |(_, flow)| took_part(flow.from) && took_part(flow.to))
    }

    /// Whether every flow of that way has its count for a slot.
    pub fn complete(&self, round: &RoundSeen, host: HostId, way: Way, slot: u64) -> bool {
        self.carried(round, host, way, slot).is_some_and(|(_, known)| known >= 1.0)
    }

    /// The capacity of a host one way: as calibrated, else the fleet's median.
    pub fn capacity(&self, host: HostId, way: Way) -> Option<f64> {
        let pick = |(tx, rx): &(Option<BitRate>, Option<BitRate>)| match way {
            Way::Tx => *tx,
            Way::Rx => *rx,
        };
        let own = self.capacities.get(&host).and_then(pick).map(|rate| rate.bps() as f64);
        let all: Vec<f64> = self.capacities.values().filter_map(pick).map(|rate| rate.bps() as f64).collect();
        let fleet = super::robust::median(&all);
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
        let rates: Option<Vec<f64>> =
            self.active(round, host, way, slot).map(|flow| flow.rate.map(|rate| rate.bps() as f64)).collect();
        match rates {
            Some(rates) if round.paced => Some(rates.iter().sum()),
            _ => Some(self.capacity(host, way)? * part.load(way)),
        }
    }

    /// The hosts that `host` exchanged data with, one way, in a round.
    pub fn peers(&self, round: &RoundSeen, host: HostId, way: Way) -> BTreeSet<HostId> {
        let last = round.end.saturating_sub(1);
        self.taking_part(round, host, way, last).map(|(_, flow)| flow.peer_of(host)).collect()
    }

    /// The instance of a host that ran at `at`, and its boot id.
    pub fn instances(&self, host: HostId) -> impl Iterator<Item = &(RunTime, Joined)> {
        self.joined.iter().filter(move |(_, joined)| joined.host == host)
    }

    /// The link facts of a host, in the order of time; what was unread is left out.
    pub fn links(&self, host: HostId) -> impl Iterator<Item = (RunTime, LinkSeen)> + '_ {
        let states = self.states.get(&host).into_iter().flatten();
        states.filter_map(|(at, state)| Some((*at, state.link?)))
    }

    /// Whether other hosts share this host's kernel, as in a lab: machine-wide facts then
    /// say nothing of one host.
    pub fn shares_kernel(&self, host: HostId) -> bool {
        let boot = self.instances(host).last().map(|(_, joined)| &joined.boot_id);
        self.joined.iter().any(|(_, other)| other.host != host && Some(&other.boot_id) == boot)
    }

    /// The name of a host, for texts.
    pub fn name(&self, host: HostId) -> &str {
        self.hosts.get(host.index()).map_or("?", |host| host.name.as_str())
    }
}

/// Below this share of the fleet's median, a calibrated capacity is taken for the death of
/// the card during calibration and not for its level: a factor of five is beyond any mix of
/// healthy cards of one class, and only sets what a later fall is measured against.
const CAPACITY_CREDIBLE: f64 = 0.2;
