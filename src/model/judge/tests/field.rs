//! What was seen of a made-up fleet, by a few functions of who and when: for the detectors' own
//! tests, which need no record.

use crate::model::{
    fleet::{
        host::{Host, HostId, NicFacts},
        units::{BitRate, RunTime, SLOT_US, SLOTS_PER_S},
    },
    judge::seen::Seen,
    plan::{
        carriage::{Carriage, FrameSize, Transport},
        dose::{Dose, Pattern, Rate, Ways},
        layout::{FlowId, PlannedFlow, PlannedRound, PlannedStage, StageKind},
    },
    record::{
        few::Few,
        line::{
            Body, ConnectsFlow, DatagramFlow, DatagramsSent, Joined, Line, Samples, StageBegun, TcpFlow,
            TcpSeen,
        },
        probe::{Asked, Moments, NO_ANSWER, Outcomes, ProbesSeen, TICK_US, TICKS_A_LINE},
        slot_bytes::SlotBytes,
    },
};

/// What every card carries.
pub const CARD_BPS: f64 = 80e6;

/// Bytes of a full frame.
const FULL_FRAME: f64 = 1514.0;

/// A fleet and what was seen of it so far.
pub struct Field {
    pub seen: Seen,
    n: u16,
    stage: u16,
    next_flow: FlowId,
    next_slot: u64,
    lines: u64,
}

impl Field {
    /// Healthy hosts of which nothing was seen yet.
    pub fn of(n: u16) -> Self {
        Self::with_racks(n, |_| None)
    }

    pub fn with_racks(n: u16, rack: impl Fn(u16) -> Option<String>) -> Self {
        let host = |id: u16| Host {
            id: HostId(id),
            name: format!("h{}", id + 1).parse().expect("a name"),
            rack: rack(id),
            nic: NicFacts {
                iface: "eth0".to_owned(),
                addr: Some(format!("10.0.0.{}", id + 1).parse().expect("an address")),
                mtu: Some(1500),
                ..NicFacts::default()
            },
        };
        let capacity = Some(BitRate::from_bps(CARD_BPS as u64));
        let mut seen = Seen::default();
        seen.hosts = (0..n).map(host).collect();
        seen.calibrated((0..n).map(|id| (HostId(id), (capacity, capacity))).collect());
        let mut field = Self { seen, n, stage: 2, next_flow: 1, next_slot: 20, lines: 0 };
        for id in 0..n {
            let joined = Joined {
                instance: id + 1,
                host: HostId(id),
                instance_id: format!("{id:032}"),
                boot_id: format!("boot-{id}"),
                kernel: "6.1".to_owned(),
                cores: 2,
                congestion_control: "cubic".to_owned(),
                control_in_band: None,
            };
            field.take(0, RunTime(0), Body::Joined(Box::new(joined)));
        }
        field
    }

    /// All ordered pairs.
    pub fn mesh(&self) -> Vec<(u16, u16)> {
        let n = self.n;
        (0..n).flat_map(|from| (0..n).filter(move |to| *to != from).map(move |to| (from, to))).collect()
    }

    pub fn take(&mut self, by: u16, at: RunTime, body: Body) {
        self.lines += 1;
        self.seen.take(&Line { i: by, e: 1, q: self.lines, t: at, body });
    }

    /// A round of load; its flows with their ends.
    pub fn round(
        &mut self,
        kind: StageKind,
        dose: Dose,
        seconds: f64,
        pairs: &[(u16, u16)],
        rate: Option<BitRate>,
    ) -> Vec<(FlowId, u16, u16)> {
        let first = self.next_flow;
        let flows: Vec<(FlowId, u16, u16)> =
            (first..).zip(pairs).map(|(flow, (from, to))| (flow, *from, *to)).collect();
        self.next_flow += flows.len() as FlowId;
        let slots = (seconds * SLOTS_PER_S as f64) as u64;
        let planned = flows.iter().map(|(flow, from, to)| PlannedFlow {
            flow: *flow,
            from: HostId(*from),
            to: HostId(*to),
        });
        let round = PlannedRound { offset_us: 0, for_us: slots * SLOT_US, dose, flows: planned.collect() };
        let stage = PlannedStage {
            index: self.stage,
            name: format!("stage-{}", self.stage),
            kind,
            rounds: vec![round],
            probes: vec![],
        };
        let at = RunTime::of_slot(self.next_slot);
        self.stage += 1;
        self.next_slot += slots + 10;
        let rates =
            rate.map(|rate| flows.iter().map(|(flow, ..)| (*flow, rate)).collect()).unwrap_or_default();
        self.take(0, at, Body::Stage(Box::new(StageBegun { stage, at, rates })));
        flows
    }

    /// What receivers counted of a round's flows, by who and slot of the round.
    pub fn carried(&mut self, flows: &[(FlowId, u16, u16)], bps: impl Fn(u16, u16, u64) -> f64) {
        for (flow, from, to) in flows {
            let seen = &self.seen.flows[flow];
            let (start, length) = (self.seen.rounds[seen.round].start, seen.slots.len() as u64);
            let bytes = |slot| (bps(*from, *to, slot) * SLOT_US as f64 / 8e6) as u64;
            let counts = (0..length).map(|slot| Some(SlotBytes::new(bytes(slot)))).collect();
            let samples = Samples { s: start, rx: Few::from_iter([(*flow, counts)]), ..Samples::default() };
            self.take(to + 1, RunTime::of_slot(start + length), Body::Samples(samples));
        }
    }

    /// Pairs one after the other, as fast as they go, one way; what each carries.
    pub fn pairs(&mut self, bps: impl Fn(u16, u16) -> f64) {
        self.pairs_as(StageKind::Load, 2.0, bps);
    }

    pub fn pairs_as(&mut self, kind: StageKind, seconds: f64, bps: impl Fn(u16, u16) -> f64) {
        for pair in self.mesh() {
            let flows = self.round(
                kind,
                dose(Pattern::Pairs, Rate::Unpaced, Carriage::tcp(2)),
                seconds,
                &[pair],
                None,
            );
            self.carried(&flows, |from, to, _| bps(from, to));
        }
    }

    /// Everybody with everybody, all hosts at once, one way and then the other: what each
    /// carries, where so many flows go from the lower half of the fleet to the upper, or back.
    pub fn matchings(&mut self, bps: impl Fn(u16, u16, usize) -> f64) {
        let (n, half) = (self.n, self.n / 2);
        for turn in 0..n - 1 {
            // The circle method: the last host stays, the others walk round.
            let seat = |place: u16| (turn + place) % (n - 1);
            let mut pairs = vec![(n - 1, seat(0))];
            pairs.extend((1..half).map(|place| (seat(place), seat(n - 1 - place))));
            for swap in [false, true] {
                let pairs: Vec<(u16, u16)> =
                    pairs.iter().map(|(a, b)| if swap { (*b, *a) } else { (*a, *b) }).collect();
                let one_way = dose(Pattern::Pairs, Rate::Unpaced, Carriage::tcp(2));
                let flows = self.round(StageKind::Load, one_way, 1.5, &pairs, None);
                let like = |a: u16, b: u16| {
                    pairs.iter().filter(|(c, d)| (*c < half, *d < half) == (a < half, b < half)).count()
                };
                self.carried(&flows, |from, to, _| bps(from, to, like(from, to)));
            }
        }
    }

    /// Pairs at half load; the share of its segments that each loses.
    pub fn paced(&mut self, lost: impl Fn(u16, u16) -> f64) {
        self.paced_as(StageKind::Load, lost);
    }

    pub fn paced_as(&mut self, kind: StageKind, lost: impl Fn(u16, u16) -> f64) {
        let rate = BitRate::from_bps((CARD_BPS / 2.0) as u64);
        for pair in self.mesh() {
            let half = dose(Pattern::Pairs, Rate::Share(0.5), Carriage::tcp(2));
            let flows = self.round(kind, half, 1.5, &[pair], Some(rate));
            self.carried(&flows, |_, _, _| CARD_BPS / 2.0);
            let segs = (CARD_BPS / 2.0 * 1.5 / 8.0 / FULL_FRAME) as u64;
            for (flow, from, to) in flows {
                let retr = (segs as f64 * lost(from, to)).round() as u64;
                let tcp = TcpFlow { segs: segs + retr, retr, ..TcpFlow::default() };
                let at = RunTime::of_slot(self.next_slot);
                self.take(from + 1, at, Body::Tcp(TcpSeen { flows: Few::from_iter([(flow, tcp)]) }));
            }
        }
    }

    /// Single frames between all at once, each host at so many a second both ways; what arrives
    /// of a pair's frames.
    pub fn frames(
        &mut self,
        size: u16,
        pps: u32,
        share: f64,
        arrived: impl Fn(u16, u16, u64) -> DatagramFlow,
    ) {
        self.frames_as(StageKind::Load, size, pps, share, arrived);
    }

    pub fn frames_as(
        &mut self,
        kind: StageKind,
        size: u16,
        pps: u32,
        share: f64,
        arrived: impl Fn(u16, u16, u64) -> DatagramFlow,
    ) {
        let carriage = Carriage {
            transport: Transport::Udp,
            frame_size_bytes: Some(FrameSize::Bytes(size)),
            ..Carriage::tcp(1)
        };
        let each = f64::from(pps) / f64::from(self.n - 1);
        let bps = each * f64::from(size) * 8.0;
        let pairs = self.mesh();
        let dose = dose(Pattern::Storm, Rate::PpsShare(share), carriage);
        let flows = self.round(kind, dose, 1.0, &pairs, Some(BitRate::from_bps(bps as u64)));
        let sent = each as u64;
        for (flow, from, to) in flows.clone() {
            let at = RunTime::of_slot(self.next_slot);
            let told = DatagramsSent { sent, refused: 0 };
            self.take(from + 1, at, Body::DatagramsSent { flows: Few::from_iter([(flow, told)]) });
            self.take(
                to + 1,
                at,
                Body::Datagrams { flows: Few::from_iter([(flow, arrived(from, to, sent))]) },
            );
        }
        self.carried(&flows, |from, to, _| {
            bps * arrived(from, to, sent).received as f64 / sent.max(1) as f64
        });
    }

    /// New connections between all; the share that is done in each second.
    pub fn connections(&mut self, seconds: u64, done: impl Fn(u16, u16, u64) -> f64) {
        let carriage = Carriage { connections_per_s: Some(20), ..Carriage::tcp(1) };
        let pairs = self.mesh();
        let dose = dose(Pattern::Storm, Rate::Unpaced, carriage);
        let flows = self.round(StageKind::Load, dose, seconds as f64, &pairs, None);
        let start = self.seen.rounds.last().expect("one").start;
        for (flow, from, to) in flows {
            for second in 0..seconds {
                let tried = 20;
                let passed = (20.0 * done(from, to, second)).round() as u64;
                let told = ConnectsFlow { tried, done: passed, ..ConnectsFlow::default() };
                let at = RunTime::of_slot(start + (second + 1) * SLOTS_PER_S);
                self.take(from + 1, at, Body::Connects { flows: Few::from_iter([(flow, told)]) });
            }
        }
    }

    /// All at once; what each flow carries, by who and second.
    pub fn storm(&mut self, seconds: u64, bps: impl Fn(u16, u16, u64) -> f64) {
        let pairs = self.mesh();
        let dose = dose(Pattern::Storm, Rate::Unpaced, Carriage::tcp(2));
        let flows = self.round(StageKind::Load, dose, seconds as f64, &pairs, None);
        self.carried(&flows, |from, to, slot| bps(from, to, slot / SLOTS_PER_S));
    }

    /// Nobody sends; echoes by who and tick: `None` has no answer.
    pub fn idle(&mut self, kind: StageKind, seconds: u64, echo: impl Fn(u16, u16, u64) -> Option<u32>) {
        self.idle_as(kind, seconds, |_, observer, target, tick| echo(observer, target, tick));
    }

    /// Nobody sends, and probes turn; answers by how, who and tick.
    pub fn idle_turning(
        &mut self,
        kind: StageKind,
        seconds: u64,
        answer: impl Fn(Asked, u16, u16, u64) -> Option<u32>,
    ) {
        self.seen.moments = Moments::Turning;
        self.idle_as(kind, seconds, answer);
    }

    fn idle_as(
        &mut self,
        kind: StageKind,
        seconds: u64,
        answer: impl Fn(Asked, u16, u16, u64) -> Option<u32>,
    ) {
        self.round(kind, dose(Pattern::Idle, Rate::Unpaced, Carriage::tcp(1)), seconds as f64, &[], None);
        let round = self.seen.rounds.last().expect("one");
        let (from, to) = (round.start * SLOT_US / TICK_US, round.end * SLOT_US / TICK_US);
        self.probed_as(from, to, answer);
    }

    /// Echoes and handshakes in these ticks; what is answered is heard.
    pub fn probed(&mut self, from: u64, to: u64, echo: impl Fn(u16, u16, u64) -> Option<u32>) {
        self.probed_as(from, to, |_, observer, target, tick| echo(observer, target, tick));
    }

    /// Whom a host probes: all others, in a larger fleet the next five.
    fn asked_by(&self, host: u16) -> Vec<u16> {
        let next = if self.n <= 9 { self.n - 1 } else { 5 };
        (1..=next).map(|step| (host + step) % self.n).collect()
    }

    /// The same by how it was asked.
    fn probed_as(&mut self, from: u64, to: u64, answer: impl Fn(Asked, u16, u16, u64) -> Option<u32>) {
        let first = from / TICKS_A_LINE * TICKS_A_LINE;
        for line in (first..to).step_by(TICKS_A_LINE as usize) {
            let ticks = line..line + TICKS_A_LINE;
            for own in 0..self.n {
                let others = self.asked_by(own);
                let askers: Vec<u16> =
                    (0..self.n).filter(|other| self.asked_by(*other).contains(&own)).collect();
                let outcomes = |asked: Asked, target: u16| -> Outcomes {
                    let told = |tick| answer(asked, own, target, tick).unwrap_or(NO_ANSWER);
                    ticks.clone().map(|tick| (from..to).contains(&tick).then(|| told(tick))).collect()
                };
                let of_all = |asked| -> Few<HostId, Outcomes> {
                    others.iter().map(|target| (HostId(*target), outcomes(asked, *target))).collect()
                };
                let heard = |observer: u16| {
                    let is_heard = |tick| answer(Asked::Echo, observer, own, tick).is_some();
                    let bits = ticks.clone().enumerate().filter(|(_, tick)| is_heard(*tick));
                    bits.map(|(bit, _)| 1 << bit).sum()
                };
                let seen = ProbesSeen {
                    first: line,
                    udp: of_all(Asked::Echo),
                    tcp: of_all(Asked::Handshake),
                    heard: askers.iter().map(|observer| (HostId(*observer), heard(*observer))).collect(),
                    held_us: None,
                };
                self.take(own + 1, RunTime((line + TICKS_A_LINE) * TICK_US), Body::Probes(Box::new(seen)));
            }
        }
    }
}

pub fn dose(pattern: Pattern, rate: Rate, carriage: Carriage) -> Dose {
    Dose { pattern, ways: Ways::OneWay, rate, carriage }
}

/// Frames of which this share is lost.
pub fn losing(share: f64) -> impl Fn(u64) -> DatagramFlow {
    move |sent| {
        let lost = (sent as f64 * share).round() as u64;
        DatagramFlow { received: sent - lost, missing: lost as i64, ..DatagramFlow::default() }
    }
}
