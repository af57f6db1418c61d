//! The record laid out for judging: hosts, rounds, and bytes on the grid of slots.
//!
//! One fold for both uses: `judge` feeds the whole record, the live view feeds lines as
//! they come. Nothing is judged here.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use super::{checksums::Counted, clocks::Off, files::Files};
use crate::model::{
    fleet::{
        host::{Host, HostId},
        units::{RunTime, SLOT_US},
    },
    plan::{
        layout::FlowId,
        schedule::{self, Capacities, FrameRates},
    },
    record::{
        facts::{CardFacts, CountersMoved, Neighbour},
        few::Few,
        line::{
            Body, ConnectsFlow, Contact, CorruptSeen, DatagramFlow, DatagramsSent, Ended, HostSeen, Joined,
            Line, LinkSeen, ReachPeer, Samples, StageBegun, StreamSeen, SuspectsSeen, TcpFlow, VerifiedFlow,
        },
    },
};

mod always_slow;
mod carried;
pub mod probes;
mod round;

use probes::Probes;
pub use round::{FlowSeen, HostFlows, RoundSeen, WAYS, Way};

/// The state of a host at a moment.
pub type State = (RunTime, Arc<HostSeen>);

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
    pub states: BTreeMap<HostId, Vec<State>>,
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
    /// What sources' connections did, over a flow's life.
    pub tcp: BTreeMap<FlowId, TcpFlow>,
    /// When a source told that a connection of a flow had waited for an answer in vain.
    pub timed_out: Vec<(RunTime, FlowId)>,
    /// What arrived of datagrams, as their receivers told, over a flow's life.
    pub datagrams: BTreeMap<FlowId, DatagramFlow>,
    /// And what was handed over, as their sources told.
    pub datagrams_sent: BTreeMap<FlowId, DatagramsSent>,
    /// What became of new connections, as they were told.
    pub connects: Vec<(RunTime, FlowId, ConnectsFlow)>,
    /// What probes came to.
    pub probes: Probes,
    /// Facts of each host's card, as they were told.
    pub cards: BTreeMap<HostId, Vec<(RunTime, CardFacts)>>,
    /// Addresses and neighbours of each host, as they changed.
    pub moved: Vec<(HostId, RunTime, Changed)>,
    /// Packets whose checksum was wrong, as each host's kernel counted from reading to reading.
    pub checksums: BTreeMap<HostId, Vec<Counted>>,
    /// First packets of a handshake, and answers to them, that each host's kernel sent again.
    pub in_vain: BTreeMap<HostId, u64>,
    /// Who was suspected after the last stage.
    pub suspects: Option<SuspectsSeen>,
    /// What calibration came to.
    pub capacities: Capacities,
    /// The fleet's medians of it, to send and to receive, bits per second.
    fleet_capacity: (Option<f64>, Option<f64>),
    /// The sides of hosts that are always as slow as calibration found them.
    always_slow: BTreeSet<(HostId, Way)>,
    /// And in the smallest frames a second, where that was measured.
    pub frame_rates: FrameRates,
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
    /// Lines of each host's workers that were left out, for their clock jumped.
    pub off: BTreeMap<HostId, u64>,
    host_of_instance: BTreeMap<u16, HostId>,
    flows_of_host: BTreeMap<HostId, Vec<FlowId>>,
}

/// Whether a flow is one that this host receives: nobody else's word on it counts.
fn receives(flows: &BTreeMap<FlowId, FlowSeen>, host: HostId, flow: FlowId) -> bool {
    flows.get(&flow).is_some_and(|seen| seen.to == host)
}

/// Whether a flow is one that this host sends.
fn sends(flows: &BTreeMap<FlowId, FlowSeen>, host: HostId, flow: FlowId) -> bool {
    flows.get(&flow).is_some_and(|seen| seen.from == host)
}

/// Adds what a line tells of flows that are its worker's to tell of.
fn sum<T: Default>(
    into: &mut BTreeMap<FlowId, T>,
    told: &Few<FlowId, T>,
    add: fn(&mut T, &T),
    is_own: impl Fn(FlowId) -> bool,
) {
    for (flow, part) in told.iter().filter(|(flow, _)| is_own(**flow)) {
        add(into.entry(*flow).or_default(), part);
    }
}

/// How long a coordinator may wait for anything after its last stage.
const WAITED_MAX_US: u64 = 3_600_000_000;

/// Where kernels count packets whose checksum was wrong.
const CHECKSUM_ERRORS: [&str; 3] =
    ["protocols.Tcp.InCsumErrors", "protocols.Udp.InCsumErrors", "protocols.Udp6.InCsumErrors"];

/// Where kernels count what of a handshake was sent again. Callers give up before that: what is
/// counted are answers.
const IN_VAIN: &str = "protocols.TcpExt.TCPSynRetrans";

/// Addresses and neighbours that changed on a host.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Changed {
    /// Addresses that are gone.
    pub gone: Vec<String>,
    /// Addresses that came.
    pub came: Vec<String>,
    /// Neighbours whose entry is another one now.
    pub neighbours: Vec<Neighbour>,
}

impl Changed {
    /// What of a line's counters is of addresses; `None` where nothing is.
    fn of(moved: &CountersMoved) -> Option<Self> {
        let changed = Self {
            gone: moved.addresses_gone.clone(),
            came: moved.addresses_came.clone(),
            neighbours: moved.neighbours.clone(),
        };
        (changed != Self::default()).then_some(changed)
    }
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
        let off = Off::of(&record.lines);
        let sound = || record.lines.iter().filter(|line| line.i != 0 && !off.has(line));
        let instances = seen.host_of_instance.clone();
        // A third of all that is told, and nothing else needs it.
        let probes = || {
            let mut probes = Probes::default();
            for line in sound() {
                if let (Body::Probes(told), Some(host)) = (&line.body, instances.get(&line.i)) {
                    probes.take(*host, told);
                }
            }
            probes
        };
        ((), seen.probes) = rayon::join(|| sound().for_each(|line| seen.take_but_probes(line)), probes);
        for (instance, lines) in off.by_instance() {
            if let Some(host) = seen.host_of_instance.get(&instance) {
                *seen.off.entry(*host).or_default() += lines;
            }
        }
        seen.settle();
        // What happens is looked at slot by slot: a time that cannot be must not make it endless.
        let planned = seen.rounds.last().map(|round| RunTime::of_slot(round.end));
        let known = planned.max(seen.last_wrote.values().max().copied()).unwrap_or_default();
        seen.latest = seen.latest.min(RunTime(known.0.saturating_add(WAITED_MAX_US)));
        seen
    }

    /// Puts in order what lines of several workers tell of the same time.
    pub fn settle(&mut self) {
        self.streams.sort_by_key(|(_, stream)| stream.at);
        self.stalled.sort_by_key(|(_, from, _)| *from);
        self.connects.sort_by_key(|(at, flow, _)| (*at, *flow));
        self.moved.sort_by_key(|(host, at, _)| (*at, *host));
        self.always_slow = self.find_always_slow();
    }

    /// Takes one line.
    pub fn take(&mut self, line: &Line) {
        if let (Body::Probes(probes), Some(host)) = (&line.body, self.host_of_instance.get(&line.i)) {
            self.probes.take(*host, probes);
        }
        self.take_but_probes(line);
    }

    fn take_but_probes(&mut self, line: &Line) {
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
            (Body::Capacity { hosts, frames }, _) => {
                self.calibrated(hosts.clone());
                self.frame_rates.clone_from(frames);
            }
            (Body::Left { host, why }, _) => self.left.push((line.t, *host, why.clone())),
            (Body::Impaired { since, why }, _) => self.impaired.push((*since, line.t, why.clone())),
            (Body::Closed { ended, why }, _) => self.ended = Some((line.t, *ended, why.clone())),
            (Body::Samples(samples), Some(host)) => self.sampled(host, line.t, samples),
            (Body::Stream(stream), Some(host)) => self.streams.push((host, stream.clone())),
            (Body::Host(state), Some(host)) => {
                self.states.entry(host).or_default().push((line.t, Arc::clone(state)));
            }
            (Body::Reach(reach), Some(host)) => {
                for (peer, seen) in &reach.peers {
                    self.reach.insert((host, *peer), seen.clone());
                }
            }
            (Body::Ceiling { tcp_bps }, Some(host)) => {
                self.ceilings.insert(host, *tcp_bps);
            }
            (Body::Corrupt(corrupt), Some(host)) if receives(&self.flows, host, corrupt.flow) => {
                self.corrupt.push(corrupt.clone());
            }
            (Body::Verified { flows }, Some(host)) => {
                sum(&mut self.verified, flows, VerifiedFlow::add, |flow| receives(&self.flows, host, flow));
            }
            (Body::Tcp(tcp), Some(host)) => {
                sum(&mut self.tcp, &tcp.flows, TcpFlow::add, |flow| sends(&self.flows, host, flow));
                let own = tcp
                    .flows
                    .iter()
                    .filter(|(flow, part)| part.backoff > 0 && sends(&self.flows, host, **flow));
                self.timed_out.extend(own.map(|(flow, _)| (line.t, *flow)));
            }
            (Body::Datagrams { flows }, Some(host)) => {
                sum(&mut self.datagrams, flows, DatagramFlow::add, |flow| receives(&self.flows, host, flow));
            }
            (Body::DatagramsSent { flows }, Some(host)) => {
                sum(&mut self.datagrams_sent, flows, DatagramsSent::add, |flow| {
                    sends(&self.flows, host, flow)
                });
            }
            (Body::Connects { flows }, Some(host)) => {
                let own = flows.iter().filter(|(flow, _)| sends(&self.flows, host, **flow));
                self.connects.extend(own.map(|(flow, part)| (line.t, *flow, *part)));
            }
            (Body::Facts(facts), Some(host)) => {
                self.cards.entry(host).or_default().push((line.t, facts.card.clone()));
            }
            (Body::Counters(moved), Some(host)) => {
                let errors: i64 = CHECKSUM_ERRORS.iter().filter_map(|name| moved.moved.get(*name)).sum();
                let errors = u64::try_from(errors).unwrap_or(0);
                let counted = Counted { since: moved.since, at: line.t, errors };
                self.checksums.entry(host).or_default().push(counted);
                let in_vain = moved.moved.get(IN_VAIN).map_or(0, |count| u64::try_from(*count).unwrap_or(0));
                let all = self.in_vain.entry(host).or_default();
                *all = all.saturating_add(in_vain);
                let changed = Changed::of(moved);
                self.moved.extend(changed.map(|changed| (host, line.t, changed)));
            }
            (Body::Suspects(suspects), None) => self.suspects = Some((**suspects).clone()),
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
                    self.files.starts.begins(flow.flow, start);
                }
                for host in [flow.from, flow.to] {
                    self.flows_of_host.entry(host).or_default().push(flow.flow);
                }
                let rate = begun.rates.get(&flow.flow).copied();
                let paced_bps = rate.map_or(0.0, |rate| rate.bps() as f64);
                let from = by_host.entry(flow.from).or_default();
                from.tx.push(flow.flow);
                from.tx_paced_bps += paced_bps;
                let to = by_host.entry(flow.to).or_default();
                to.rx.push(flow.flow);
                to.rx_paced_bps += paced_bps;
                self.flows.insert(
                    flow.flow,
                    FlowSeen {
                        from: flow.from,
                        to: flow.to,
                        round: self.rounds.len(),
                        rate,
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
                dose: planned.dose.clone(),
                start,
                end,
                by_host,
            });
        }
    }

    fn sampled(&mut self, by: HostId, at: RunTime, samples: &Samples) {
        for (flow, counts) in &samples.rx {
            let Some(seen) = self.flows.get_mut(flow).filter(|seen| seen.to == by) else { continue };
            let start = self.rounds[seen.round].start;
            let first = (samples.s..).zip(counts).find(|(_, count)| count.is_some_and(|bytes| bytes > 0));
            if let Some((first, _)) = first {
                self.files.starts.carried(*flow, first);
            }
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
        for (flow, (sent, answered)) in
            samples.asked.iter().flat_map(|asked| asked.iter()).filter(|(flow, _)| own(flow, false))
        {
            self.asked.push((at, *flow, *sent, *answered));
        }
        for (flow, arrived) in
            samples.heard.iter().flat_map(|heard| heard.iter()).filter(|(flow, _)| own(flow, true))
        {
            self.heard.push((at, *flow, *arrived));
        }
    }

    /// All flows that a host sends or receives.
    pub fn flows_of(&self, host: HostId) -> impl Iterator<Item = &FlowSeen> {
        let own = self.flows_of_host.get(&host).into_iter().flatten();
        own.filter_map(|id| self.flows.get(id))
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
        !self.on_its_kernel(host).is_empty()
    }

    /// The other hosts on a host's kernel.
    pub fn on_its_kernel(&self, host: HostId) -> BTreeSet<HostId> {
        let boot = self.instances(host).last().map(|(_, joined)| &joined.boot_id);
        let others = self.joined.iter().map(|(_, joined)| joined).filter(|other| other.host != host);
        others.filter(|other| Some(&other.boot_id) == boot).map(|other| other.host).collect()
    }

    /// The name of a host, for texts.
    pub fn name(&self, host: HostId) -> &str {
        self.hosts.get(host.index()).map_or("?", |host| host.name.as_str())
    }
}
