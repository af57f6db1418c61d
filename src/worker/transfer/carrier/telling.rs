//! What a carrier tells the record: slots as they close, the rest once a second, or as often
//! as the worker's owner asks.

use std::sync::atomic::Ordering;

use super::{
    super::stage::{Meter, Tally},
    Carrier,
};
use crate::model::{
    plan::layout::FlowId,
    record::{
        few::{self, Few},
        line::{Body, Samples, TcpSeen},
    },
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
        let asked: Few<FlowId, (u32, u32)> = self
            .sources
            .iter_mut()
            .map(|(flow, source)| (*flow, source.take_asked()))
            .filter(|(_, asked)| *asked != (0, 0))
            .collect();
        let heard: Few<FlowId, u32> = std::mem::take(&mut self.heard).into_iter().collect();
        let (asked, heard) = (few::rare(asked), few::rare(heard));
        if asked.is_none() && heard.is_none() {
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
        for source in self.sources.values_mut() {
            source.ask();
        }
        for sink in self.sinks.values_mut() {
            sink.ask();
        }
        self.tell_meters();
    }

    /// Tells what the stage's flows have counted since they were last told.
    pub(super) fn tell_meters(&self) {
        let stage = self.stage.clone();
        let speaks = |flow: &FlowId| self.place.deal(*flow).has_first();
        let meters = stage.iter().flat_map(|stage| &stage.rounds).flat_map(|round| &round.flows);
        let meters: Vec<_> =
            meters.filter(|flow| speaks(&flow.id)).map(|flow| (flow.id, &*flow.meter)).collect();
        let bodies = [
            taken(&meters, |meter| &meter.tcp).map(|flows| Body::Tcp(TcpSeen { flows })),
            taken(&meters, |meter| &meter.datagrams).map(|flows| Body::Datagrams { flows }),
            taken(&meters, |meter| &meter.datagrams_sent).map(|flows| Body::DatagramsSent { flows }),
            taken(&meters, |meter| &meter.connects).map(|flows| Body::Connects { flows }),
            taken(&meters, |meter| &meter.verified).map(|flows| Body::Verified { flows }),
        ];
        bodies.into_iter().flatten().for_each(|body| self.shared.tell(body));
    }
}

/// What one tally of all flows came to, by flow; `None` where none of them counted anything.
fn taken<T: Default>(
    meters: &[(FlowId, &Meter)],
    of: impl Fn(&Meter) -> &Tally<T>,
) -> Option<Few<FlowId, T>> {
    let flows: Few<FlowId, T> =
        meters.iter().filter_map(|(flow, meter)| Some((*flow, of(meter).take()?))).collect();
    (!flows.is_empty()).then_some(flows)
}
