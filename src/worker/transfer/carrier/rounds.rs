//! Opens and closes rounds by the run's clock: sinks a little early, sources on time.

use std::collections::BTreeMap;

use super::{
    super::{
        around::{Around, Deal},
        connects, datagram, sink, source,
        stage::Flow,
    },
    Carrier, Role, Sink, Source,
};
use crate::model::{
    fleet::units::{RunTime, SLOT_US},
    plan::{
        carriage::{Carriage, Transport},
        layout::FlowId,
    },
};

/// Sinks await their streams this long before their round, for clocks that differ.
const EARLY_US: u64 = 500_000;

/// Sinks read this long after their round.
const DRAIN_US: u64 = 200_000;

impl Carrier {
    pub(super) fn open_rounds(&mut self, now_us: u64) {
        let (Some(stage), Some(zero)) = (self.stage.clone(), self.zero) else { return };
        let run_now = self.shared.run_now().0;
        while let Some(round) = stage.rounds.get(self.next_sink_round) {
            let start = zero.0 + round.offset_us;
            let end = start + round.for_us;
            if run_now + EARLY_US < start {
                break;
            }
            self.next_sink_round += 1;
            for flow in round.flows.iter().filter(|flow| flow.role == Role::Sink && run_now < end) {
                let deal = self.place.deal(flow.id);
                if deal.has_first() {
                    self.slots.add(flow.id, &flow.meter, start.div_ceil(SLOT_US), end / SLOT_US);
                }
                let mtu = self.shared.binding.mtu;
                if let Some(sink) = sink(flow, &round.carriage, RunTime(end), mtu) {
                    self.sinks.insert(flow.id, sink);
                }
            }
        }
        while let Some(round) = stage.rounds.get(self.next_source_round) {
            let start = zero.0 + round.offset_us;
            let end = start + round.for_us;
            if run_now < start {
                break;
            }
            self.next_source_round += 1;
            if run_now >= end || self.stopped || !round.carriage.transport.by_carriers() {
                continue;
            }
            let sending = round.flows.iter().filter(|flow| flow.role == Role::Source);
            let own_cap = self.shared.caps.rate_bps.map(|rate| rate / sending.clone().count().max(1) as u64);
            for flow in sending {
                if !has_part(self.place.deal(flow.id), &round.carriage) {
                    continue;
                }
                let rate = match (flow.rate_bps, own_cap) {
                    (Some(rate), Some(cap)) => Some(rate.min(cap)),
                    (rate, cap) => rate.or(cap),
                };
                self.with(now_us, |sources, _, around| {
                    if let Some(source) = source(flow, &round.carriage, RunTime(end), rate, around) {
                        sources.insert(flow.id, source);
                    }
                });
            }
        }
    }

    /// Closes what is over: sources at once, sinks after their drain.
    pub(super) fn close_rounds(&mut self, now_us: u64) {
        let run_now = self.shared.run_now().0;
        self.with(now_us, |sources, sinks, around| {
            let over: Vec<FlowId> = sources
                .iter()
                .filter(|(_, source)| run_now >= source.end_at().0)
                .map(|(flow, _)| *flow)
                .collect();
            for source in over.iter().filter_map(|flow| sources.remove(flow)) {
                source.end(around);
            }
            let over: Vec<FlowId> = sinks
                .iter()
                .filter(|(_, sink)| run_now >= sink.end_at().0 + DRAIN_US)
                .map(|(flow, _)| *flow)
                .collect();
            for sink in over.iter().filter_map(|flow| sinks.remove(flow)) {
                sink.end();
            }
        });
    }

    pub(super) fn end_sources(&mut self, now_us: u64) {
        self.with(now_us, |sources, _, around| {
            for (_, source) in std::mem::take::<BTreeMap<FlowId, Source>>(sources) {
                source.end(around);
            }
        });
    }

    pub(super) fn end_all(&mut self, now_us: u64) {
        self.end_sources(now_us);
        for (_, sink) in std::mem::take(&mut self.sinks) {
            sink.end();
        }
        self.turns.clear();
    }
}

/// Whether a carrier has a part in sending a flow; new connections are made by one alone.
fn has_part(deal: Deal, carriage: &Carriage) -> bool {
    match carriage.connections_per_s {
        Some(_) => deal.has_first(),
        None => deal.places(carriage.streams).next().is_some(),
    }
}

/// The sending end of a flow; `None` where something beside the carriers sends it, or it
/// cannot be sent.
fn source(
    flow: &Flow,
    carriage: &Carriage,
    end: RunTime,
    rate_bps: Option<u64>,
    around: &mut Around<'_>,
) -> Option<Source> {
    let flow = flow.clone();
    match (carriage.transport, carriage.connections_per_s) {
        (Transport::Tcp, Some(per_s)) => {
            let source = connects::Source::begin(flow, carriage, per_s, end, around)?;
            Some(Source::Connects(Box::new(source)))
        }
        (Transport::Tcp, None) => {
            let source = source::Source::begin(flow, carriage, end, rate_bps, around);
            Some(Source::Streams(Box::new(source)))
        }
        (Transport::Udp, _) => {
            let source = datagram::source::Source::begin(flow, carriage, end, rate_bps, around)?;
            Some(Source::Datagrams(Box::new(source)))
        }
        (Transport::Quic | Transport::Scp | Transport::File, _) => None,
    }
}

/// The receiving end of a flow; `None` as above.
fn sink(flow: &Flow, carriage: &Carriage, end: RunTime, mtu: u32) -> Option<Sink> {
    let flow = flow.clone();
    match carriage.transport {
        Transport::Tcp => Some(Sink::Streams(Box::new(sink::Sink::new(flow, carriage, end)))),
        Transport::Udp => {
            let sink = datagram::sink::Sink::new(flow, carriage, end, mtu)?;
            Some(Sink::Datagrams(Box::new(sink)))
        }
        Transport::Quic | Transport::Scp | Transport::File => None,
    }
}
