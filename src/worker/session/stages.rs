//! Stages: a slice is understood, checked against the owner's limits, and handed over.

use std::{collections::BTreeMap, sync::Arc};

use tokio::time::sleep;

use super::{
    super::{
        prober::Task,
        reach,
        transfer::{
            Command, able,
            key::TransferKey,
            payload::Payload,
            stage::{Flow, Round, Stage},
        },
    },
    Serving, files,
};
use crate::model::{
    fleet::{host::HostId, units::RunTime},
    plan::{
        carriage::{BufferLayout, Carriage},
        layout::StageKind,
    },
    run::message::{FromWorker, StageSlice},
};

/// Files that a worker needs besides its streams.
const OWN_FILES: u64 = 64;

/// How long probing goes on after a stage's end: the next one begins within a second.
const PROBE_ON_US: u64 = 2_000_000;

/// Files that a flow's end needs: its sockets, and pipes where bytes go by reference.
fn files_per_flow(carriage: &Carriage) -> u64 {
    let piped = matches!(carriage.layout, BufferLayout::Vmsplice | BufferLayout::Iovec);
    u64::from(carriage.streams) * if piped { 3 } else { 1 }
}

impl Serving {
    pub(super) fn prepare(&mut self, slice: &StageSlice) {
        // After a lost connection the running stage is handed out again: it goes on as it is.
        if self.stage.as_ref().is_some_and(|known| known.index == slice.stage) {
            return self.reply(FromWorker::Ready { stage: slice.stage });
        }
        let understood = self.understand(slice).and_then(|stage| {
            files::ready(&self.parts.shared, &stage)?;
            Ok(stage)
        });
        let reply = match understood {
            Ok(stage) => {
                let stage = Arc::new(stage);
                self.stage = Some(Arc::clone(&stage));
                self.hosted.stop();
                self.parts.carriers.tell(&Command::Prepare(stage));
                FromWorker::Ready { stage: slice.stage }
            }
            Err(why) => FromWorker::CannotDo { stage: slice.stage, why },
        };
        self.reply(reply);
    }

    /// A slice as the carriers take it, or why it cannot be done.
    fn understand(&self, slice: &StageSlice) -> Result<Stage, String> {
        let key = |secret| {
            TransferKey::new(secret).ok_or_else(|| "a transfer's key is no 64 hexadecimal digits".to_owned())
        };
        let peers: BTreeMap<HostId, _> = slice.peers.iter().map(|peer| (peer.host, peer.addr)).collect();
        for addr in peers.values() {
            if let Some(why) = self.parts.limits.refuses(*addr, self.parts.card.addr) {
                return Err(why);
            }
        }
        let files = rustix::process::getrlimit(rustix::process::Resource::Nofile).current.unwrap_or(u64::MAX);
        let mut rounds = Vec::new();
        for round in &slice.rounds {
            let needed = round.flows.len() as u64 * files_per_flow(&round.carriage) + OWN_FILES;
            if needed > files {
                return Err(format!(
                    "{needed} files are needed for its streams and {files} are permitted; raise the limit (ulimit -n), or plan fewer streams"
                ));
            }
            let flows: Result<Vec<Flow>, String> = round
                .flows
                .iter()
                .map(|flow| {
                    let peer = peers
                        .get(&flow.peer)
                        .ok_or_else(|| format!("flow {} goes to an unknown host", flow.flow))?;
                    Ok(Flow {
                        id: flow.flow,
                        role: flow.role,
                        peer: *peer,
                        rate_bps: flow.rate_bps,
                        key: key(&flow.key)?,
                        meter: Arc::default(),
                    })
                })
                .collect();
            let flows = flows?;
            if let Some(flow) = flows.first() {
                able::check(&self.parts.shared.binding, &round.carriage, flow)?;
            }
            rounds.push(Round {
                offset_us: round.offset_us,
                for_us: round.for_us,
                carriage: round.carriage.clone(),
                flows,
            });
        }
        let reaches = slice.kind == StageKind::Reach;
        let probes = slice.probes.iter().filter_map(|target| Some((*target, *peers.get(target)?))).collect();
        let peers = if reaches { peers } else { BTreeMap::new() };
        let fleet_key = key(&slice.fleet_key)?;
        // The fleet's key is the run's: what is sent was drawn with the first stage.
        let payload = match &self.stage {
            Some(stage) => Arc::clone(&stage.payload),
            None => Arc::new(
                Payload::new(&fleet_key).map_err(|error| format!("no memory for the payload: {error}"))?,
            ),
        };
        let for_us = slice.for_us;
        Ok(Stage { index: slice.stage, fleet_key, payload, rounds, peers, probes, for_us })
    }

    pub(super) fn start(&mut self, stage: u16, at: RunTime) {
        if !self.is_synced() {
            self.unstarted = Some((stage, at));
            return;
        }
        if self.started.replace(stage) == Some(stage) {
            return;
        }
        self.parts.carriers.tell(&Command::Start { stage, at });
        if let Some(prepared) = self.stage.clone().filter(|known| known.index == stage) {
            self.hosted.start(&self.parts.shared, &prepared, at);
            self.probe(&prepared, at);
        }
        let Some(prepared) =
            self.stage.clone().filter(|known| known.index == stage && !known.peers.is_empty())
        else {
            return;
        };
        let (shared, own) = (Arc::clone(&self.parts.shared), self.host);
        let wait = at.since(shared.run_now());
        tokio::spawn(async move {
            sleep(wait).await;
            if let Some(own) = own {
                reach::reach(shared, prepared, own).await;
            }
        });
    }

    /// Probes while a stage runs, and on until the next one begins.
    fn probe(&self, stage: &Stage, at: RunTime) {
        let Some(own) = self.host else { return };
        self.prober.probe(Task {
            own,
            targets: stage.probes.clone(),
            key: stage.fleet_key.clone(),
            from: at,
            until: RunTime(at.0 + stage.for_us + PROBE_ON_US),
        });
    }
}
