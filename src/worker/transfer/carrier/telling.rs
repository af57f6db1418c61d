//! What a carrier tells the record: slots as they close, the rest once a second, or as often
//! as the worker's owner asks.

use std::{collections::BTreeMap, sync::atomic::Ordering};

use super::Carrier;
use crate::model::{
    plan::layout::FlowId,
    record::line::{Body, Samples, TcpSeen},
};

impl Carrier {
    pub(super) fn cut_slots(&mut self) {
        // Before the run's time is known there is no grid to cut on.
        if !self.shared.synced.load(Ordering::Relaxed) {
            return;
        }
        let run_now = self.shared.run_now();
        if let Some(late) = self.slots.advance(run_now) {
            self.shared.note_lateness(late);
            let mut lines = self.slots.due();
            self.add_probes(&mut lines);
            for line in lines {
                self.shared.tell(Body::Samples(line));
            }
        }
    }

    /// Counts of probes go out with the counts of bytes, or alone where there are none.
    fn add_probes(&mut self, lines: &mut Vec<Samples>) {
        let asked: BTreeMap<FlowId, (u32, u32)> = self
            .sources
            .iter_mut()
            .map(|(flow, source)| (*flow, source.take_asked()))
            .filter(|(_, asked)| *asked != (0, 0))
            .collect();
        let heard = std::mem::take(&mut self.heard);
        if asked.is_empty() && heard.is_empty() {
            return;
        }
        match lines.first_mut() {
            Some(line) => (line.asked, line.heard) = (asked, heard),
            None => {
                lines.push(Samples { s: self.shared.run_now().slot(), asked, heard, ..Samples::default() });
            }
        }
    }

    /// Asks connections for their state, and tells that and what was compared and numbered.
    pub(super) fn ask_and_tell(&mut self, now_us: u64) {
        if now_us < self.told_us + self.shared.ask_every_us {
            return;
        }
        self.told_us = now_us;
        let stage = self.stage.clone();
        let speaks = |flow: &FlowId| self.place.deal(*flow).has_first();
        for source in self.sources.values_mut() {
            source.ask();
        }
        for sink in self.sinks.values_mut() {
            sink.ask();
        }
        let meters = stage.iter().flat_map(|stage| &stage.rounds).flat_map(|round| &round.flows);
        let meters: Vec<_> =
            meters.filter(|flow| speaks(&flow.id)).map(|flow| (flow.id, &flow.meter)).collect();
        let flows: BTreeMap<_, _> =
            meters.iter().filter_map(|(flow, meter)| Some((*flow, meter.take_tcp()?))).collect();
        if !flows.is_empty() {
            self.shared.tell(Body::Tcp(TcpSeen { flows }));
        }
        let flows: BTreeMap<_, _> =
            meters.iter().filter_map(|(flow, meter)| Some((*flow, meter.take_datagrams()?))).collect();
        if !flows.is_empty() {
            self.shared.tell(Body::Datagrams { flows });
        }
        let flows: BTreeMap<_, _> =
            meters.iter().filter_map(|(flow, meter)| Some((*flow, meter.take_datagrams_sent()?))).collect();
        if !flows.is_empty() {
            self.shared.tell(Body::DatagramsSent { flows });
        }
        let flows: BTreeMap<_, _> =
            meters.iter().filter_map(|(flow, meter)| Some((*flow, meter.take_connects()?))).collect();
        if !flows.is_empty() {
            self.shared.tell(Body::Connects { flows });
        }
        let flows: BTreeMap<_, _> =
            meters.iter().filter_map(|(flow, meter)| Some((*flow, meter.take_verified()?))).collect();
        if !flows.is_empty() {
            self.shared.tell(Body::Verified { flows });
        }
    }
}
