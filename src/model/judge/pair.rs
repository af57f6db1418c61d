//! A quick measurement between two hosts, folded out of its record: goodput, losses and what
//! was busy, by interval and in all. No verdict: what limited it is named, nobody accused.
//!
//! The live view and the last word are the same fold, fed with the same lines.

use std::collections::{BTreeMap, BTreeSet};

use schemars::JsonSchema;
use serde::Serialize;

use crate::model::{
    fleet::{
        host::HostId,
        units::{RunTime, SLOT_US},
    },
    plan::{
        carriage::Carriage,
        dose::Rate,
        layout::{FlowId, PlannedRound, StageKind},
    },
    record::{
        carried::DatagramFlow,
        line::{Body, Line, TcpFlow},
        slot_bytes::SlotBytes,
    },
};
use datagrams::Datagrams;
pub use limit::Limit;

pub mod datagrams;
mod limit;

/// The schema of [`PairReport`].
pub const PAIR_SCHEMA: &str = "nicburn.pair/1";

const SLOTS_PER_S: u64 = 1_000_000 / SLOT_US;

/// Lines told once a second speak of the second before them.
const TOLD_AFTER_US: u64 = 500_000;

/// A flow over some time.
#[derive(Clone, Debug, Default, PartialEq, Serialize, JsonSchema)]
pub struct Span {
    /// Since the measurement's beginning, omitted seconds not counted, seconds.
    pub from_s: u64,
    /// To, seconds.
    pub to_s: u64,
    /// Bytes that arrived; null where a part of the time was not measured.
    pub bytes: Option<u64>,
    /// Goodput at the receiver, bits per second.
    pub goodput_bps: Option<u64>,
    /// TCP segments, or QUIC packets taken for lost.
    pub retransmits: Option<u64>,
    /// Smoothed round trip, the largest, microseconds.
    pub rtt_us: Option<u32>,
    /// Of a core, the busiest carrying thread of the sending host.
    pub sender_cpu_share: Option<f64>,
    /// The same of the receiving host.
    pub receiver_cpu_share: Option<f64>,
    /// What became of its datagrams; null where it sent none.
    pub datagrams: Option<Datagrams>,
    /// What held it up; null where nothing that is known did.
    pub limited_by: Option<Limit>,
}

/// A flow of the measurement.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct Way {
    /// Who sent.
    pub from: String,
    /// Who received.
    pub to: String,
    /// By interval.
    pub intervals: Vec<Span>,
    /// In all.
    pub total: Span,
    /// Bytes that the receiver compared with what was sent.
    pub verified_bytes: u64,
    /// Bytes of these that differed.
    pub differing_bytes: u64,
}

/// What `nicburn pair --json` prints.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct PairReport {
    /// [`PAIR_SCHEMA`].
    pub schema: String,
    /// The run's name, also of the folder with its record.
    pub run: String,
    /// How the bytes were carried, in words.
    pub carriage: String,
    /// Seconds at the beginning that count for nothing.
    pub omitted_s: u64,
    /// Whether the links are a lab's.
    pub simulated_links: bool,
    /// One, or two where both sent.
    pub ways: Vec<Way>,
}

/// How a measurement is cut.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Cut {
    /// Seconds of an interval.
    pub interval_s: u64,
    /// Seconds at the beginning that count for nothing.
    pub omit_s: u64,
}

#[derive(Clone, Debug)]
struct Seen {
    from: HostId,
    to: HostId,
    rate_bps: Option<u64>,
    slots: BTreeMap<u64, Option<u64>>,
    /// By second of the run's clock.
    tcp: BTreeMap<u64, TcpFlow>,
    /// The same.
    datagrams: BTreeMap<u64, DatagramFlow>,
    verified: (u64, u64),
}

/// The fold.
#[derive(Clone, Debug)]
pub struct Fold {
    cut: Cut,
    run: String,
    simulated_links: bool,
    names: BTreeMap<HostId, String>,
    instances: BTreeMap<u16, HostId>,
    carriage: Carriage,
    /// First slot and seconds.
    round: Option<(u64, u64)>,
    flows: BTreeMap<FlowId, Seen>,
    /// By host and second: the busiest thread's share of a core.
    cpu: BTreeMap<(HostId, u64), f64>,
    latest: RunTime,
    told: u64,
}

impl Fold {
    /// Of a record yet to come.
    pub fn new(cut: Cut) -> Self {
        Self {
            cut: Cut { interval_s: cut.interval_s.max(1), ..cut },
            run: String::new(),
            simulated_links: false,
            names: BTreeMap::new(),
            instances: BTreeMap::new(),
            carriage: Carriage::default(),
            round: None,
            flows: BTreeMap::new(),
            cpu: BTreeMap::new(),
            latest: RunTime(0),
            told: 0,
        }
    }

    /// Takes a line.
    pub fn feed(&mut self, line: &Line) {
        self.latest = self.latest.max(line.t);
        let second = line.t.0.saturating_sub(TOLD_AFTER_US) / 1_000_000;
        match &line.body {
            Body::Opened(opened) => {
                self.run.clone_from(&opened.run);
                self.simulated_links = opened.simulated_links;
                self.names = opened.hosts.iter().map(|host| (host.id, host.name.to_string())).collect();
            }
            Body::Joined(joined) => {
                self.instances.insert(joined.instance, joined.host);
            }
            Body::Stage(begun) if begun.stage.kind == StageKind::Load => {
                if let Some(round) = begun.stage.rounds.first() {
                    self.begin(round, begun.at);
                }
            }
            Body::Samples(samples) => {
                for (flow, counts) in &samples.rx {
                    if let Some(seen) = self.flows.get_mut(flow) {
                        let counts = counts.iter().map(|count| count.map(SlotBytes::get));
                        seen.slots.extend((samples.s..).zip(counts));
                    }
                }
            }
            Body::Tcp(tcp) => tcp.flows.iter().for_each(|(flow, part)| self.add(*flow, second, part)),
            Body::Quic(quic) => {
                let sends = self.flows.get(&quic.flow).map(|seen| seen.from);
                if sends.is_some() && sends == self.instances.get(&line.i).copied() {
                    let part = TcpFlow {
                        segs: quic.packets,
                        retr: quic.lost,
                        rtt_us: quic.rtt_us,
                        ..TcpFlow::default()
                    };
                    self.add(quic.flow, second, &part);
                }
            }
            Body::Datagrams { flows } => {
                for (flow, part) in flows {
                    if let Some(seen) = self.flows.get_mut(flow) {
                        seen.datagrams.entry(second).or_default().add(part);
                    }
                }
            }
            Body::Verified { flows } => {
                for (flow, part) in flows {
                    if let Some(seen) = self.flows.get_mut(flow) {
                        seen.verified.0 += part.bytes;
                        seen.verified.1 += part.differing_bytes;
                    }
                }
            }
            Body::Host(host) => {
                if let (Some(id), Some((share, _))) = (self.instances.get(&line.i), host.threads) {
                    self.cpu.insert((*id, second), f64::from(share));
                }
            }
            _ => {}
        }
    }

    fn begin(&mut self, round: &PlannedRound, at: RunTime) {
        self.carriage = round.dose.carriage.clone();
        self.round = Some(((at.0 + round.offset_us) / SLOT_US, round.for_us / 1_000_000));
        let rate_bps = match round.dose.rate {
            Rate::Bps(rate) => Some(rate.bps()),
            Rate::Pps(_) | Rate::PpsShare(_) | Rate::Share(_) | Rate::Unpaced => None,
        };
        let seen = |from, to| Seen {
            from,
            to,
            rate_bps,
            slots: BTreeMap::new(),
            tcp: BTreeMap::new(),
            datagrams: BTreeMap::new(),
            verified: (0, 0),
        };
        self.flows = round.flows.iter().map(|flow| (flow.flow, seen(flow.from, flow.to))).collect();
    }

    fn add(&mut self, flow: FlowId, second: u64, part: &TcpFlow) {
        if let Some(seen) = self.flows.get_mut(&flow) {
            seen.tcp.entry(second).or_default().add(part);
        }
    }

    /// The names of both ends, by way.
    pub fn ways(&self) -> Vec<(String, String)> {
        self.flows.values().map(|seen| (self.name(seen.from), self.name(seen.to))).collect()
    }

    fn name(&self, host: HostId) -> String {
        self.names.get(&host).cloned().unwrap_or_else(|| format!("host {}", host.0))
    }

    /// Intervals that are complete and were not returned before, in order: which way, and
    /// what it came to. When the run is `over`, no more lines are awaited.
    pub fn ready(&mut self, over: bool) -> Vec<(usize, Span)> {
        let mut ready = Vec::new();
        while let Some((from_s, to_s)) = self.interval(self.told) {
            let Some((first, _)) = self.round else { break };
            let last = first + (self.cut.omit_s + to_s) * SLOTS_PER_S - 1;
            // What is told once a second comes a little after the second it speaks of.
            let awaited = if over { 0 } else { SLOTS_PER_S + SLOTS_PER_S / 2 };
            if self.latest.slot() < last + awaited {
                break;
            }
            ready.extend(
                self.flows.values().enumerate().map(|(way, seen)| (way, self.span(seen, from_s, to_s))),
            );
            self.told += 1;
        }
        ready
    }

    /// The so-manieth interval; the last one may be short.
    fn interval(&self, index: u64) -> Option<(u64, u64)> {
        let (_, seconds) = self.round?;
        let counted = seconds.saturating_sub(self.cut.omit_s);
        let from = index * self.cut.interval_s;
        (from < counted).then(|| (from, (from + self.cut.interval_s).min(counted)))
    }

    fn span(&self, seen: &Seen, from_s: u64, to_s: u64) -> Span {
        let (first, _) = self.round.unwrap_or_default();
        let of = |second: u64| first + (self.cut.omit_s + second) * SLOTS_PER_S;
        let bytes: Option<u64> =
            (of(from_s)..of(to_s)).map(|slot| seen.slots.get(&slot).copied().flatten()).sum();
        let seconds: BTreeSet<u64> = (from_s..to_s).map(|second| of(second) / SLOTS_PER_S).collect();
        let tcp = sum(&seen.tcp, &seconds, TcpFlow::add);
        let datagrams = sum(&seen.datagrams, &seconds, DatagramFlow::add).map(Datagrams::of);
        let cpu = |host: HostId| {
            let shares: Vec<f64> =
                seconds.iter().filter_map(|second| self.cpu.get(&(host, *second)).copied()).collect();
            (!shares.is_empty()).then(|| shares.iter().sum::<f64>() / shares.len() as f64)
        };
        let goodput_bps = bytes.map(|bytes| bytes * 8 / (to_s - from_s).max(1));
        let (sender, receiver) = (cpu(seen.from), cpu(seen.to));
        Span {
            from_s,
            to_s,
            bytes,
            goodput_bps,
            retransmits: tcp.map(|tcp| tcp.retr),
            rtt_us: tcp.map(|tcp| tcp.rtt_us),
            sender_cpu_share: sender,
            receiver_cpu_share: receiver,
            datagrams,
            limited_by: limit::of(seen.rate_bps, goodput_bps, (tcp, datagrams), (sender, receiver)),
        }
    }

    /// What it came to. `None` where nothing was begun.
    pub fn report(&self) -> Option<PairReport> {
        let (_, seconds) = self.round?;
        let counted = seconds.saturating_sub(self.cut.omit_s);
        let way = |seen: &Seen| Way {
            from: self.name(seen.from),
            to: self.name(seen.to),
            intervals: (0..)
                .map_while(|index| self.interval(index))
                .map(|(from, to)| self.span(seen, from, to))
                .collect(),
            total: self.total(seen, counted),
            verified_bytes: seen.verified.0,
            differing_bytes: seen.verified.1,
        };
        Some(PairReport {
            schema: PAIR_SCHEMA.to_owned(),
            run: self.run.clone(),
            carriage: self.carriage.words(),
            omitted_s: self.cut.omit_s,
            simulated_links: self.simulated_links,
            ways: self.flows.values().map(way).collect(),
        })
    }

    /// In all; where slots are missing, what is known of the rest, scaled to nothing.
    fn total(&self, seen: &Seen, counted: u64) -> Span {
        let mut total = self.span(seen, 0, counted);
        if total.bytes.is_none() {
            let (first, _) = self.round.unwrap_or_default();
            let range =
                first + self.cut.omit_s * SLOTS_PER_S..first + (self.cut.omit_s + counted) * SLOTS_PER_S;
            let known: Vec<u64> = seen.slots.range(range).filter_map(|(_, bytes)| *bytes).collect();
            // Slots that were not measured say nothing: the rate is that of the others.
            total.goodput_bps =
                (!known.is_empty()).then(|| known.iter().sum::<u64>() * 8 * SLOTS_PER_S / known.len() as u64);
        }
        total
    }
}

/// What was told of these seconds; `None` where nothing was.
fn sum<T: Default>(told: &BTreeMap<u64, T>, seconds: &BTreeSet<u64>, add: fn(&mut T, &T)) -> Option<T> {
    let mut sum: Option<T> = None;
    let own = told.iter().filter(|(second, _)| seconds.contains(second));
    own.for_each(|(_, part)| add(sum.get_or_insert_default(), part));
    sum
}

#[cfg(test)]
mod tests;
