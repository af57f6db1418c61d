//! Builds records out of a few words: who was dead when, who was slow, what peers saw.

use std::{collections::BTreeMap, sync::Arc};

use crate::model::{
    fleet::{
        host::{Host, HostId, NicFacts},
        units::{BitRate, RunTime, SLOT_US},
    },
    judge::live::Live,
    plan::{
        carriage::{Carriage, Transport},
        dose::{Dose, Pattern, Rate, Ways},
        layout::{FlowId, PlannedFlow, PlannedRound, PlannedStage, StageKind},
        scenario::Scenario,
    },
    record::{
        book::Record,
        few::{self, Few},
        line::{
            Body, Contact, ContactState, CorruptSeen, Ended, HostSeen, Joined, Line, LinkSeen, Opened,
            Samples, SlotCounts, StageBegun, StreamEvent, StreamSeen, TcpFlow, TcpSeen, VerifiedFlow,
        },
        probe::Moments,
        slot_bytes::SlotBytes,
    },
    run::event::RunEvent,
};

/// What every card carries.
pub const CAPACITY_BPS: f64 = 80e6;

/// The slot in which the story's stage begins.
pub const ZERO_SLOT: u64 = 50;

/// A story of one stage.
pub struct Story {
    hosts: usize,
    kind: StageKind,
    rounds: Vec<PlannedRound>,
    /// Who carries in which slots what share of its bytes.
    dims: Vec<(usize, u64, u64, f64)>,
    dead_pairs: Vec<(usize, usize)>,
    slow: Vec<(usize, bool, bool, f64)>,
    unheard: BTreeMap<usize, u64>,
    extra: Vec<(usize, u64, Body)>,
    before: Vec<(usize, RunTime, Body)>,
}

fn host_id(host: usize) -> HostId {
    HostId(u16::try_from(host).expect("few hosts"))
}

impl Story {
    fn of(hosts: usize, rounds: Vec<Vec<(usize, usize)>>, pattern: Pattern, ways: Ways, slots: u64) -> Self {
        let mut next: FlowId = 0;
        let rounds = (0..).zip(rounds).map(|(number, flows): (u64, _)| PlannedRound {
            offset_us: number * (slots + 2) * SLOT_US,
            for_us: slots * SLOT_US,
            dose: dose(pattern, ways),
            flows: flows
                .into_iter()
                .map(|(from, to)| {
                    next += 1;
                    PlannedFlow { flow: next, from: host_id(from), to: host_id(to) }
                })
                .collect(),
        });
        Self {
            hosts,
            rounds: rounds.collect(),
            dims: vec![],
            dead_pairs: vec![],
            slow: vec![],
            unheard: BTreeMap::new(),
            extra: vec![],
            before: vec![],
            kind: StageKind::Load,
        }
    }

    /// A storm of so many slots.
    pub fn storm(hosts: usize, slots: u64) -> Self {
        let all = (0..hosts).flat_map(|a| (0..hosts).filter(move |b| *b != a).map(move |b| (a, b))).collect();
        Self::of(hosts, vec![all], Pattern::Storm, Ways::BothWays, slots)
    }

    /// Calibration: pair rounds both ways, each of so many slots.
    pub fn calibration(hosts: usize, slots: u64) -> Self {
        Self { kind: StageKind::Calibrate, ..Self::pairs(hosts, slots) }
    }

    /// Before the stage begins, a host's interface counts 80 Mb/s that are not the run's.
    pub fn busy_before(mut self, host: usize) -> Self {
        for second in 0..=3 {
            let link = LinkSeen { carrier: true, rx_bytes: second * 10_000_000, ..LinkSeen::default() };
            let state = HostSeen { link: Some(link), ..HostSeen::default() };
            self.before.push((host, RunTime(second * 1_000_000), Body::Host(Arc::new(state))));
        }
        self
    }

    /// Pair rounds both ways, each of so many slots.
    pub fn pairs(hosts: usize, slots: u64) -> Self {
        let rounds = circle(hosts)
            .into_iter()
            .map(|pairs| pairs.into_iter().flat_map(|(a, b)| [(a, b), (b, a)]).collect())
            .collect();
        Self::of(hosts, rounds, Pattern::Pairs, Ways::BothWays, slots)
    }

    /// Pair rounds one way and then the other, the pass twice over.
    pub fn pairs_one_way(hosts: usize, slots: u64) -> Self {
        let once = circle(hosts);
        let back = once.iter().map(|pairs| pairs.iter().map(|(a, b)| (*b, *a)).collect());
        let rounds: Vec<Vec<(usize, usize)>> = once.iter().cloned().chain(back).collect();
        let twice = rounds.iter().cloned().chain(rounds.iter().cloned()).collect();
        Self::of(hosts, twice, Pattern::Pairs, Ways::OneWay, slots)
    }

    /// Nothing passes to or from a host in these slots of the stage.
    pub fn dead(self, host: usize, from: u64, to: u64) -> Self {
        self.trickles(host, from, to, 0.0)
    }

    /// Only a share of its bytes passes to or from a host in these slots of the stage.
    pub fn trickles(mut self, host: usize, from: u64, to: u64, share: f64) -> Self {
        self.dims.push((host, from, to, share));
        self
    }

    /// Nothing ever passes between these two.
    pub fn dead_pair(mut self, a: usize, b: usize) -> Self {
        self.dead_pairs.push((a, b));
        self
    }

    /// A host carries only a share of its capacity, sending and/or receiving.
    pub fn slow(mut self, host: usize, tx: bool, rx: bool, share: f64) -> Self {
        self.slow.push((host, tx, rx, share));
        self
    }

    /// No line of this host's worker from this slot on is in the record.
    pub fn unheard(mut self, host: usize, from: u64) -> Self {
        self.unheard.insert(host, from);
        self
    }

    /// A host's worker tells something at a slot; `usize::MAX` is the coordinator.
    pub fn tells(mut self, host: usize, slot: u64, body: Body) -> Self {
        self.extra.push((host, slot, body));
        self
    }

    /// A control connection was lost, or came back.
    pub fn contact(self, host: usize, slot: u64, state: ContactState) -> Self {
        let contact =
            Contact { host: host_id(host), instance: instance(host), state, why: "timed out".to_owned() };
        self.tells(usize::MAX, slot, Body::Contact(contact))
    }

    /// A host did not confirm its part of the stage in time.
    pub fn late(self, host: usize) -> Self {
        let not_ready = Body::NotReady { stage: 2, hosts: vec![host_id(host)], why: BTreeMap::new() };
        self.tells(usize::MAX, 0, not_ready)
    }

    /// A host said why it could not do its part of the stage.
    pub fn unable(self, host: usize, why: &str) -> Self {
        let host = host_id(host);
        let why = BTreeMap::from([(host, why.to_owned())]);
        self.tells(usize::MAX, 0, Body::NotReady { stage: 2, hosts: vec![host], why })
    }

    /// Every peer that sends to `host` saw this on its stream.
    pub fn stream(mut self, host: usize, slot: u64, what: StreamEvent) -> Self {
        for flow in self.rounds.iter().flat_map(|round| &round.flows).filter(|flow| flow.to == host_id(host))
        {
            let seen =
                StreamSeen { flow: flow.flow, stream: 0, what, at: RunTime::of_slot(ZERO_SLOT + slot) };
            self.extra.push((flow.from.index(), slot, Body::Stream(seen)));
        }
        self
    }

    /// A worker told what its host's CPU carries.
    pub fn ceiling(mut self, host: usize, tcp_bps: u64) -> Self {
        self.extra.push((host, 0, Body::Ceiling { tcp_bps }));
        self
    }

    /// The receiver of a flow found one byte of it changed.
    pub fn corrupt(mut self, from: usize, to: usize, slot: u64) -> Self {
        for flow in self.flows(|flow| (flow.from, flow.to) == (host_id(from), host_id(to))) {
            let at = RunTime::of_slot(ZERO_SLOT + slot);
            let corrupt =
                CorruptSeen { flow: flow.flow, stream: 0, at, offset: 4_711, bytes: 1, sent: 1, received: 3 };
            self.extra.push((to, slot, Body::Corrupt(corrupt)));
            let verified = VerifiedFlow { bytes: 1_000_000, differing_bytes: 1, compare_ns: 50_000 };
            self.extra.push((
                to,
                slot + 1,
                Body::Verified { flows: Few::from_iter([(flow.flow, verified)]) },
            ));
        }
        self
    }

    /// A worker says that it did not run.
    pub fn stalled(self, host: usize, from: u64, to: u64) -> Self {
        let (from_at, to_at) = (RunTime::of_slot(ZERO_SLOT + from), RunTime::of_slot(ZERO_SLOT + to));
        self.tells(host, to, Body::Stalled { from: from_at, to: to_at })
    }

    /// A host's worker had no lease in these slots.
    pub fn lapsed(self, host: usize, from: u64, to: u64) -> Self {
        let (from_at, to_at) = (RunTime::of_slot(ZERO_SLOT + from), RunTime::of_slot(ZERO_SLOT + to));
        self.tells(host, to, Body::Lapsed { from: from_at, to: to_at })
    }

    /// A host's link facts at a slot; at the story's start its carrier was up, unless told.
    pub fn link(mut self, host: usize, slot: u64, link: LinkSeen) -> Self {
        let first = slot > 0 && !self.extra.iter().any(|(who, at, _)| *who == host && *at == 0);
        let up = LinkSeen { up: true, carrier: true, ..LinkSeen::default() };
        for (slot, link) in first.then_some((0, up)).into_iter().chain([(slot, link)]) {
            // Counts on the interface run ahead of what flows carry, as headers make them.
            let rx_bytes = slot * 2_000_000;
            let link = LinkSeen { rx_bytes, ..link };
            self.extra.push((
                host,
                slot,
                Body::Host(Arc::new(HostSeen { link: Some(link), ..HostSeen::default() })),
            ));
        }
        self
    }

    /// Peers probe a host that is down; it hears them or not. None is answered.
    pub fn probes_to(self, host: usize, from: u64, to: u64, heard: bool) -> Self {
        let flows = self.flows(|flow| flow.to == host_id(host));
        self.probes(&flows, from, to, heard)
    }

    /// A host that is down probes its peers; they hear it or not. None is answered.
    pub fn probes_from(self, host: usize, from: u64, to: u64, heard: bool) -> Self {
        let flows = self.flows(|flow| flow.from == host_id(host));
        self.probes(&flows, from, to, heard)
    }

    fn flows(&self, such: impl Fn(&PlannedFlow) -> bool) -> Vec<PlannedFlow> {
        self.rounds.iter().flat_map(|round| round.flows.iter().copied()).filter(such).collect()
    }

    fn probes(mut self, flows: &[PlannedFlow], from: u64, to: u64, heard: bool) -> Self {
        for flow in flows {
            for slot in (from..to).step_by(2) {
                let asked = few::rare(Few::from_iter([(flow.flow, (1, 0))]));
                self.extra.push((
                    flow.from.index(),
                    slot,
                    Body::Samples(Samples { asked, ..Samples::default() }),
                ));
                if heard {
                    let heard = few::rare(Few::from_iter([(flow.flow, 1)]));
                    self.extra.push((
                        flow.to.index(),
                        slot,
                        Body::Samples(Samples { heard, ..Samples::default() }),
                    ));
                }
            }
        }
        self
    }

    /// The record of this story.
    pub fn record(&self) -> Record {
        let at = RunTime::of_slot(ZERO_SLOT);
        let stage = PlannedStage {
            index: 2,
            name: "load".to_owned(),
            kind: self.kind,
            rounds: self.rounds.clone(),
            ..PlannedStage::default()
        };
        let end = ZERO_SLOT + stage.length().as_micros() as u64 / SLOT_US;
        let capacity = Some(BitRate::from_bps(CAPACITY_BPS as u64));
        let mut bodies: Vec<(u16, RunTime, Body)> =
            vec![(0, RunTime(0), Body::Opened(Box::new(self.opened())))];
        for host in 0..self.hosts {
            bodies.push((0, RunTime(0), Body::Joined(Box::new(joined(host)))));
        }
        let capacities = (0..self.hosts).map(|host| (host_id(host), (capacity, capacity))).collect();
        bodies.push((0, at, Body::Capacity { hosts: capacities, frames: BTreeMap::new() }));
        bodies.push((0, at, Body::Stage(Box::new(StageBegun { stage, at, rates: BTreeMap::new() }))));
        bodies.extend(self.before.iter().map(|(host, at, body)| (instance(*host), *at, body.clone())));
        bodies.extend(self.samples());
        bodies.extend(self.connections());
        for (host, slot, body) in &self.extra {
            let by = if *host == usize::MAX { 0 } else { instance(*host) };
            bodies.push((by, RunTime::of_slot(ZERO_SLOT + slot), body.clone()));
        }
        bodies.push((0, RunTime::of_slot(end + 5), Body::Closed { ended: Ended::Complete, why: None }));
        let lines = bodies.into_iter().map(|(i, t, body)| Line { i, e: 1, q: 0, t, body }).collect();
        let mut record = Record { opened: self.opened(), lines, losses: vec![] };
        number(&mut record);
        record
    }

    /// One samples line for each host and slot.
    fn samples(&self) -> Vec<(u16, RunTime, Body)> {
        let mut lines = Vec::new();
        for round in &self.rounds {
            let start = round.offset_us / SLOT_US;
            for slot in start..round.end_us() / SLOT_US {
                for host in
                    (0..self.hosts).filter(|host| self.unheard.get(host).is_none_or(|from| slot < *from))
                {
                    let rx: Few<FlowId, SlotCounts> = round
                        .flows
                        .iter()
                        .filter(|flow| flow.to == host_id(host))
                        .map(|flow| {
                            let bytes = SlotBytes::new(self.bytes(round, *flow, slot));
                            (flow.flow, SlotCounts::from_iter([Some(bytes)]))
                        })
                        .collect();
                    if !rx.is_empty() {
                        let samples = Samples { s: ZERO_SLOT + slot, rx, ..Samples::default() };
                        let at = RunTime(RunTime::of_slot(ZERO_SLOT + slot + 1).0 + 20_000);
                        lines.push((instance(host), at, Body::Samples(samples)));
                    }
                }
            }
        }
        lines
    }

    /// What each host that lives tells of its connections as a round ends.
    fn connections(&self) -> Vec<(u16, RunTime, Body)> {
        let living = || (0..self.hosts).filter(|host| !self.unheard.contains_key(host));
        let of = |round: &PlannedRound, host: usize| {
            let own = round.flows.iter().filter(|flow| flow.from == host_id(host));
            let flows: Few<FlowId, TcpFlow> =
                own.map(|flow| (flow.flow, TcpFlow { segs: 10_000, ..TcpFlow::default() })).collect();
            let at = RunTime::of_slot(ZERO_SLOT + round.end_us() / SLOT_US);
            (instance(host), at, Body::Tcp(TcpSeen { flows }))
        };
        let tcp = self.rounds.iter().filter(|round| round.dose.carriage.transport == Transport::Tcp);
        tcp.flat_map(|round| living().map(move |host| of(round, host))).collect()
    }

    /// What a flow carries in a slot: its fair share of the lesser end.
    fn bytes(&self, round: &PlannedRound, flow: PlannedFlow, slot: u64) -> u64 {
        let (from, to) = (flow.from.index(), flow.to.index());
        let dim = |host: usize| {
            let own = self.dims.iter().filter(|(who, a, b, _)| *who == host && (*a..*b).contains(&slot));
            own.map(|(.., share)| *share).fold(1.0, f64::min)
        };
        let severed = |(a, b): &(usize, usize)| (*a, *b) == (from, to) || (*a, *b) == (to, from);
        if self.dead_pairs.iter().any(severed) {
            return 0;
        }
        let out = round.flows.iter().filter(|other| other.from == flow.from).count() as f64;
        let into = round.flows.iter().filter(|other| other.to == flow.to).count() as f64;
        let share = |host: usize, tx: bool| {
            let such = self
                .slow
                .iter()
                .filter(|(who, slow_tx, slow_rx, _)| *who == host && if tx { *slow_tx } else { *slow_rx });
            such.map(|(.., share)| *share).fold(1.0, f64::min)
        };
        // A little scatter, the same for every run: no fleet is uniform.
        let scatter = 1.0 + 0.01 * ((slot * 7 + u64::from(flow.flow) * 13) % 5) as f64 - 0.02;
        let passes = dim(from).min(dim(to)) * scatter;
        let bps = CAPACITY_BPS * (share(from, true) / out).min(share(to, false) / into) * passes;
        (bps / 8.0 * SLOT_US as f64 / 1e6) as u64
    }

    fn opened(&self) -> Opened {
        let hosts = (0..self.hosts).map(|host| Host {
            id: host_id(host),
            name: format!("h{}", host + 1).parse().expect("a sound name"),
            rack: None,
            nic: NicFacts { iface: "eth0".to_owned(), ..NicFacts::default() },
        });
        Opened {
            schema: crate::model::record::line::RECORD_SCHEMA.to_owned(),
            run: "story".to_owned(),
            build: "test".to_owned(),
            started_at: "2026-01-01T00:00:00Z".to_owned(),
            scenario: Scenario { name: "story".to_owned(), ..Scenario::default() },
            seed: 1,
            planned: u16::try_from(self.hosts).expect("few hosts"),
            hosts: hosts.collect(),
            simulated_links: true,
            moments: Moments::Turning,
            policy: None,
        }
    }
}

/// As on real hosts, each with a kernel of its own: those of one share its CPU.
pub fn own_kernels(mut record: Record) -> Record {
    for line in &mut record.lines {
        if let Body::Joined(joined) = &mut line.body {
            joined.boot_id = format!("boot of {}", joined.host.0);
        }
    }
    record
}

/// Numbers the lines of each instance: whoever writes, writes in the order of time.
pub fn number(record: &mut Record) {
    record.lines.sort_by_key(|line| (line.i, line.t));
    let mut next: BTreeMap<u16, u64> = BTreeMap::new();
    for line in &mut record.lines {
        let q = next.entry(line.i).or_insert(0);
        *q += 1;
        line.q = *q;
    }
}

fn dose(pattern: Pattern, ways: Ways) -> Dose {
    Dose { pattern, ways, rate: Rate::Unpaced, carriage: Carriage::tcp(1) }
}

fn instance(host: usize) -> u16 {
    host_id(host).0 + 1
}

fn joined(host: usize) -> Joined {
    Joined {
        instance: instance(host),
        host: host_id(host),
        instance_id: format!("{host:032x}"),
        boot_id: "lab".to_owned(),
        kernel: "6.18".to_owned(),
        cores: 2,
        congestion_control: "cubic".to_owned(),
        control_in_band: None,
    }
}

/// Rounds of disjoint pairs by the circle method.
fn circle(hosts: usize) -> Vec<Vec<(usize, usize)>> {
    let seats = hosts + hosts % 2;
    (0..seats - 1)
        .map(|round| {
            let seat = |place: usize| if place == 0 { 0 } else { (place - 1 + round) % (seats - 1) + 1 };
            (0..seats / 2)
                .map(|place| (seat(place), seat(seats - 1 - place)))
                .filter(|(a, b)| *a < hosts && *b < hosts)
                .map(|(a, b)| if round % 2 == 0 { (a, b) } else { (b, a) })
                .collect()
        })
        .collect()
}

/// The live fold after all of a record.
pub fn live_fold(record: &Record) -> Live {
    let mut live = Live::new();
    for line in &record.lines {
        live.feed(line, line.t);
    }
    live
}

/// Feeds a record in the order of time; when which host's drop-off was told.
pub fn live(record: &Record) -> Vec<(RunTime, HostId)> {
    let mut lines = record.lines.clone();
    lines.sort_by_key(|line| line.t);
    let mut live = Live::new();
    let mut told = Vec::new();
    for line in &lines {
        for event in live.feed(line, line.t).into_iter().chain(live.tick(line.t)) {
            if let RunEvent::DropOff { host, .. } = event {
                told.push((line.t, host));
            }
        }
    }
    told
}
