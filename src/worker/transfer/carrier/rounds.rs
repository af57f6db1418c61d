//! Opens and closes rounds by the run's clock: sinks a little early, sources on time.

use std::collections::BTreeMap;

use super::{Carrier, Role, Sink, Source};
use crate::model::{
    fleet::units::{RunTime, SLOT_US},
    plan::layout::FlowId,
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
                if round.carriage.transport.by_carriers() {
                    self.sinks.insert(flow.id, Sink::new(flow.clone(), &round.carriage, RunTime(end)));
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
                if self.place.deal(flow.id).places(round.carriage.streams).next().is_none() {
                    continue;
                }
                let rate = match (flow.rate_bps, own_cap) {
                    (Some(rate), Some(cap)) => Some(rate.min(cap)),
                    (rate, cap) => rate.or(cap),
                };
                self.with(now_us, |sources, _, around| {
                    let source = Source::begin(flow.clone(), &round.carriage, RunTime(end), rate, around);
                    sources.insert(flow.id, source);
                });
            }
        }
    }

    /// Closes what is over: sources at once, sinks after their drain.
    pub(super) fn close_rounds(&mut self, now_us: u64) {
        let run_now = self.shared.run_now().0;
        self.with(now_us, |sources, sinks, around| {
            let over: Vec<FlowId> =
                sources.iter().filter(|(_, source)| run_now >= source.end.0).map(|(flow, _)| *flow).collect();
            for source in over.iter().filter_map(|flow| sources.remove(flow)).collect::<Vec<_>>() {
                source.end(around);
            }
            sinks.retain(|_, sink| run_now < sink.end.0 + DRAIN_US);
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
        self.sinks.clear();
        self.turns.clear();
    }
}
