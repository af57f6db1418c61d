//! The judge's fold while the run goes on: the same watch of the same slots, behind a
//! watermark.
//!
//! A slot is looked at as soon as every receiver's count is in, or [`GRACE_US`] after its
//! end with what is there. What is told here is provisional: whose fault a drop-off is,
//! only the judge says.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    fall::{Turn, Watch},
    falls, robust,
    seen::{RoundSeen, Seen, WAYS, Way},
    summary::Direction,
};
use crate::model::{
    fleet::{
        host::HostId,
        units::{BitRate, RunTime, SLOT_US, SLOTS_PER_S},
    },
    plan::{
        layout::StageKind,
        schedule::{Capacities, FrameRates},
    },
    record::line::Line,
    run::event::RunEvent,
};

/// How long a slot waits for counts that are missing: a worker reports every 250 ms, and a
/// busy machine adds some.
const GRACE_US: u64 = 400_000;

/// Share of a host's capacity from which on others' traffic would be told for a fault (the
/// contract's figure).
const OTHERS_SHARE: f64 = 0.05;

/// Slots at a calibration round's start that are slow start and not capacity.
const WARM_UP_SLOTS: usize = 2;

/// One host, one direction, and how far it has been looked at.
#[derive(Clone, Debug, Default)]
struct Track {
    watch: Watch,
    round: usize,
    slot: u64,
    open: bool,
}

/// The fold.
#[derive(Clone, Debug, Default)]
pub struct Live {
    seen: Seen,
    tracks: BTreeMap<(HostId, Way), Track>,
    told: BTreeMap<HostId, (Direction, u64)>,
    rates_at: RunTime,
}

impl Live {
    /// Nothing seen yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes a line as it was written to the record.
    pub fn feed(&mut self, line: &Line, now: RunTime) -> Vec<RunEvent> {
        self.seen.take(line);
        self.advance(now)
    }

    /// To be called every 100 ms: drop-offs that only the passing of time reveals, and the
    /// rates of the last second once a second.
    pub fn tick(&mut self, now: RunTime) -> Vec<RunEvent> {
        let mut events = self.advance(now);
        if now.since(self.rates_at).as_secs() >= 1 {
            self.rates_at = now;
            events.extend(self.rates(now));
        }
        events
    }

    /// All that was seen so far.
    pub const fn seen(&self) -> &Seen {
        &self.seen
    }

    /// What calibration came to: of each host and direction the best round's median slot.
    pub fn capacities(&self) -> Capacities {
        let best =
            |host, way| self.best_calibrated(host, way, false).map(|bps| BitRate::from_bps(bps as u64));
        self.of_each(best)
    }

    /// The same in the smallest frames a second; empty where that was not asked for.
    pub fn frame_rates(&self) -> FrameRates {
        let frames = |host, way| {
            let size = self.calibrated(true).next()?.frame_bytes()?;
            self.best_calibrated(host, way, true).map(|bps| (bps / 8.0 / f64::from(size)) as u32)
        };
        if self.calibrated(true).next().is_none() { FrameRates::new() } else { self.of_each(frames) }
    }

    fn of_each<T>(&self, of: impl Fn(HostId, Way) -> Option<T>) -> BTreeMap<HostId, (Option<T>, Option<T>)> {
        let hosts = self.seen.hosts.iter();
        hosts.map(|host| (host.id, (of(host.id, Way::Tx), of(host.id, Way::Rx)))).collect()
    }

    /// Rounds of calibration: in frames of a size, or as large as they go.
    fn calibrated(&self, frames: bool) -> impl Iterator<Item = &RoundSeen> {
        let rounds = self.seen.rounds.iter();
        rounds.filter(move |round| {
            round.kind == StageKind::Calibrate && round.frame_bytes().is_some() == frames
        })
    }

    /// The best of its rounds' median slots, bits per second.
    fn best_calibrated(&self, host: HostId, way: Way, frames: bool) -> Option<f64> {
        let medians = self.calibrated(frames).filter_map(|round| {
            let from = round.start + WARM_UP_SLOTS as u64;
            let known: Vec<f64> = (from..round.end)
                .filter_map(|slot| Some(self.seen.carried(round, host, way, slot)?.0))
                .collect();
            robust::median(&known)
        });
        medians.reduce(f64::max).filter(|bps| *bps > 0.0)
    }

    /// Hosts whose interface was busy before this run had put any load on it: what it carried
    /// between the run's zero and calibration, the larger direction, where that is more than
    /// [`OTHERS_SHARE`] of its capacity.
    pub fn traffic_of_others(&self) -> Vec<(HostId, BitRate)> {
        let calibrated = self.seen.rounds.iter().find(|round| round.kind == StageKind::Calibrate);
        let Some(until) = calibrated.map(|round| RunTime::of_slot(round.start)) else { return Vec::new() };
        let capacities = self.capacities();
        let busy = |host: HostId| {
            let idle: Vec<_> = self.seen.links(host).filter(|(at, _)| *at <= until).collect();
            let ((from, first), (to, last)) = (idle.first()?, idle.last()?);
            let bytes =
                last.rx_bytes.checked_sub(first.rx_bytes)?.max(last.tx_bytes.checked_sub(first.tx_bytes)?);
            let seen = BitRate::over(bytes, to.since(*from))?;
            let (tx, rx) = capacities.get(&host)?;
            let capacity = (*tx).max(*rx)?;
            (seen > capacity.scaled(OTHERS_SHARE)).then_some((host, seen))
        };
        self.seen.hosts.iter().filter_map(|host| busy(host.id)).collect()
    }

    /// Looks at every slot that is ripe.
    fn advance(&mut self, now: RunTime) -> Vec<RunEvent> {
        let Some(latest) = self.seen.rounds.last() else { return Vec::new() };
        let hosts: BTreeSet<HostId> = latest.by_host.keys().copied().collect();
        let mut turns = Vec::new();
        for host in hosts {
            for way in WAYS {
                let track = self.tracks.entry((host, way)).or_default();
                while let Some(turn) = next_turn(&self.seen, track, host, way, now) {
                    turns.push((host, way, turn));
                }
            }
        }
        turns.into_iter().filter_map(|(host, way, turn)| self.tell(host, way, turn)).collect()
    }

    /// Makes one event of what both directions of a host show.
    fn tell(&mut self, host: HostId, way: Way, turn: Turn) -> Option<RunEvent> {
        let direction = match way {
            Way::Tx => Direction::Tx,
            Way::Rx => Direction::Rx,
        };
        match turn {
            Turn::Opened { since, offered_bps } => {
                if let Some((told, first)) = self.told.get_mut(&host) {
                    (*told, *first) = (Direction::Both, since.min(*first));
                    return None;
                }
                self.told.insert(host, (direction, since));
                let stage = self.seen.rounds.iter().rfind(|round| round.start <= since);
                Some(RunEvent::DropOff {
                    host,
                    direction,
                    at: RunTime::of_slot(since),
                    stage: stage.map_or_else(String::new, |round| round.stage_name.clone()),
                    offered: BitRate::from_bps(offered_bps.unwrap_or(0.0) as u64),
                })
            }
            Turn::Closed { until, .. } => {
                if self.tracks.get(&(host, way.other())).is_some_and(|track| track.open) {
                    return None;
                }
                let (direction, since) = self.told.remove(&host)?;
                Some(RunEvent::DropOffOver {
                    host,
                    direction,
                    at: RunTime::of_slot(since),
                    for_s: until.saturating_sub(since) as f64 / SLOTS_PER_S as f64,
                })
            }
        }
    }

    /// Goodput of every host over the last whole second whose counts can be in.
    fn rates(&self, now: RunTime) -> Option<RunEvent> {
        let to = RunTime(now.0.saturating_sub(GRACE_US)).slot();
        let from = to.saturating_sub(SLOTS_PER_S);
        let round = self.seen.rounds.iter().rfind(|round| round.start < to && from < round.end)?;
        let mean = |host, way| {
            let known: Vec<f64> = (from.max(round.start)..to.min(round.end))
                .filter_map(|slot| Some(self.seen.carried(round, host, way, slot)?.0))
                .collect();
            let mean = known.iter().sum::<f64>() / known.len().max(1) as f64;
            BitRate::from_bps(mean as u64)
        };
        let rates =
            round.by_host.keys().map(|host| (*host, mean(*host, Way::Tx), mean(*host, Way::Rx))).collect();
        Some(RunEvent::Rates { at: now, rates })
    }
}

/// The next turn of a track among the slots that are ripe; `None` when there is none yet.
fn next_turn(seen: &Seen, track: &mut Track, host: HostId, way: Way, now: RunTime) -> Option<Turn> {
    loop {
        let round = seen.rounds.get(track.round)?;
        let has_traffic = round.kind != StageKind::Reach
            && !round.makes_connections()
            && round.by_host.get(&host).is_some_and(|part| !part.of(way).is_empty());
        track.slot = track.slot.max(round.start);
        if !has_traffic || track.slot >= round.end {
            track.round += 1;
            continue;
        }
        let end = (track.slot + 1) * SLOT_US;
        let ripe = now.0 >= end + GRACE_US || (now.0 >= end && seen.complete(round, host, way, track.slot));
        if !ripe {
            return None;
        }
        let turn = track.watch.push(falls::slot_of(seen, round, host, way, track.slot));
        track.slot += 1;
        if let Some(turn) = turn {
            track.open = matches!(turn, Turn::Opened { .. });
            return Some(turn);
        }
    }
}
