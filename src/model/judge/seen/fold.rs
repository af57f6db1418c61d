//! Lines of a record, laid out one by one.
//!
//! What is laid out is `seen`'s to say. Whose line it is decides whether it counts: a worker tells of
//! the flows that it sends or receives, and of nobody else's.

use std::{collections::BTreeMap, sync::Arc};

use super::{Changed, FlowSeen, Flows, HostFlows, RoundSeen, Seen};
use crate::model::{
    fleet::{
        host::HostId,
        units::{RunTime, SLOT_US},
    },
    judge::{checksums::Counted, clocks::Off, pressure::Pressure, whole::Missing},
    plan::{layout::FlowId, schedule},
    record::{
        book::Record,
        facts::CountersMoved,
        few::Few,
        line::{Body, DatagramFlow, DatagramsSent, Joined, Line, Samples, StageBegun, TcpFlow, VerifiedFlow},
        slot_bytes::SlotBytes,
    },
};

/// Whether a flow is one that this host receives: nobody else's word on it counts.
fn receives(flows: &Flows, host: HostId, flow: FlowId) -> bool {
    flows.get(&flow).is_some_and(|seen| seen.to == host)
}

/// Whether a flow is one that this host sends.
fn sends(flows: &Flows, host: HostId, flow: FlowId) -> bool {
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

/// By how much these counters of a line moved together.
fn sum_of(moved: &CountersMoved, names: &[&str]) -> u64 {
    let steps: i64 = names.iter().filter_map(|name| moved.moved.get(*name)).sum();
    u64::try_from(steps).unwrap_or(0)
}

/// How long a coordinator may wait for anything after its last stage.
const WAITED_MAX_US: u64 = 3_600_000_000;

/// Where kernels count packets whose checksum was wrong.
const CHECKSUM_ERRORS: [&str; 3] =
    ["protocols.Tcp.InCsumErrors", "protocols.Udp.InCsumErrors", "protocols.Udp6.InCsumErrors"];

/// Where kernels count what of a handshake was sent again. Callers give up before that: what is
/// counted are answers.
const IN_VAIN: &str = "protocols.TcpExt.TCPSynRetrans";

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
    pub fn of(record: &Record) -> Self {
        let mut seen = Self {
            hosts: record.opened.hosts.clone(),
            missing: Missing::of(record),
            confirms: record.opened.scenario.confirm_us > 0,
            ..Self::default()
        };
        // Instances and stages first: workers' lines name both, and their own order within a
        // record tells nothing of when they happened.
        for line in record.lines.iter().filter(|line| line.i == 0) {
            seen.take(line);
        }
        let off = Off::of(&record.lines);
        let sound = || record.lines.iter().filter(|line| line.i != 0 && !off.has(line));
        let mut apart = Self { host_of_instance: seen.host_of_instance.clone(), ..Self::default() };
        rayon::join(
            || sound().for_each(|line| seen.take_of_flows(line)),
            || sound().for_each(|line| apart.take_of_hosts(line)),
        );
        let Self { states, probes, cards, moved, checksums, pressure, in_vain, .. } = apart;
        seen = Self { states, probes, cards, moved, checksums, pressure, in_vain, ..seen };
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
        self.wrote_s.values_mut().for_each(|seconds| seconds.sort_unstable());
        self.always_slow = self.find_always_slow();
    }

    /// Takes one line.
    pub fn take(&mut self, line: &Line) {
        self.take_of_flows(line);
        self.take_of_hosts(line);
    }

    /// What workers tell of their own host, and of others by their probes: half of all that is told,
    /// and it meets nothing of the rest.
    fn take_of_hosts(&mut self, line: &Line) {
        let Some(host) = self.host_of_instance.get(&line.i).copied() else { return };
        match &line.body {
            Body::Probes(probes) => self.probes.take(host, probes),
            Body::Host(state) => {
                self.states.entry(host).or_default().push((line.t, Arc::clone(state)));
            }
            Body::Facts(facts) => {
                self.cards.entry(host).or_default().push((line.t, facts.card.clone()));
            }
            Body::Counters(moved) => {
                let errors = sum_of(moved, &CHECKSUM_ERRORS);
                let counted = Counted { since: moved.since, at: line.t, errors };
                self.checksums.entry(host).or_default().push(counted);
                self.pressure.entry(host).or_default().push(Pressure::of(moved, line.t));
                let in_vain = self.in_vain.entry(host).or_default();
                *in_vain = in_vain.saturating_add(sum_of(moved, &[IN_VAIN]));
                let changed = Changed::of(moved);
                self.moved.extend(changed.map(|changed| (host, line.t, changed)));
            }
            _ => {}
        }
    }

    /// What the coordinator tells, and workers of flows.
    fn take_of_flows(&mut self, line: &Line) {
        self.latest = self.latest.max(line.t);
        let by = self.host_of_instance.get(&line.i).copied();
        if let Some(host) = by {
            let wrote = self.last_wrote.entry(host).or_default();
            *wrote = (*wrote).max(line.t);
            let (second, seconds) = (line.t.second(), self.wrote_s.entry(host).or_default());
            if seconds.last() != Some(&second) {
                seconds.push(second);
            }
        }
        match (&line.body, by) {
            (Body::Opened(opened), _) => {
                self.hosts.clone_from(&opened.hosts);
                self.moments = opened.moments;
            }
            (Body::Joined(joined), _) => {
                fn whose(of: &Joined) -> (HostId, &str, &str) {
                    (of.host, &of.instance_id, &of.boot_id)
                }
                let is_known = |(_, known): &(RunTime, Joined)| whose(known) == whose(joined);
                self.host_of_instance.insert(joined.instance, joined.host);
                // Told twice, it is still one.
                if !self.joined.iter().any(is_known) {
                    self.joined.push((line.t, (**joined).clone()));
                }
            }
            (Body::Contact(contact), _) => self.contacts.push((line.t, contact.clone())),
            (Body::Stage(begun), _) => self.stage_begins(begun),
            (Body::NotReady { stage, hosts, why }, _) => {
                for (host, why) in why {
                    self.unable.entry(*host).or_insert_with(|| why.clone());
                }
                self.not_ready.entry(*stage).or_default().extend(hosts.iter().map(|host| (*host, None)));
            }
            (Body::Capacity { hosts, frames }, _) => {
                self.calibrated(hosts.clone());
                self.frames_calibrated(frames.clone());
            }
            (Body::Left { host, why }, _) => self.left.push((line.t, *host, why.clone())),
            (Body::Impaired { since, why }, _) => self.impaired.push((*since, line.t, why.clone())),
            (Body::Closed { ended, why }, _) => self.ended = Some((line.t, *ended, why.clone())),
            (Body::Samples(samples), Some(host)) => self.sampled(host, line.t, samples),
            (Body::Stream(stream), Some(host)) => self.streams.push((host, stream.clone())),
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
                self.connected.extend(own.clone().map(|(flow, _)| *flow));
                self.connects.extend(own.map(|(flow, part)| (line.t, *flow, *part)));
            }
            (Body::Suspects(suspects), None) => self.suspects = Some((**suspects).clone()),
            (Body::File(file), Some(host)) => self.files.take(host, file),
            (Body::Stalled { from, to }, Some(host)) => self.stalled.push((host, *from, *to)),
            (Body::Lapsed { from, to }, Some(host)) => self.lapsed.push((host, *from, *to)),
            // A line of an instance that never joined, a source's own view, or of hosts.
            _ => {}
        }
    }

    fn stage_begins(&mut self, begun: &StageBegun) {
        // Told twice, it is still one.
        if self.rounds.iter().any(|round| round.stage == begun.stage.index) {
            return;
        }
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
            let first =
                (samples.s..).zip(counts).find(|(_, count)| count.is_some_and(|bytes| bytes.get() > 0));
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
                    None => seen.tail += count.map_or(0, SlotBytes::get),
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
}
