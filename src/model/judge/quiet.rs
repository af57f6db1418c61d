//! When the network was quiet, and when it carried no more than half: the ticks in which probes
//! measure the network and not its queues.

use super::seen::{RoundSeen, Seen};
use crate::model::{
    fleet::units::SLOT_US,
    plan::{dose::Rate, layout::StageKind},
    record::probe::TICK_US,
};

/// How long queues drain after a round, slots.
const DRAIN_SLOTS: u64 = 5;

/// Slots of a tick.
const SLOTS: u64 = TICK_US / SLOT_US;

/// Share of what its ends can carry that a gentle round asks for at most.
const GENTLE_MAX: f64 = 0.7;

/// What a tick's probes met.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Calm {
    /// Nobody sent.
    Idle,
    /// Everybody sent at a rate that healthy cards carry without a queue.
    Paced,
}

/// The state of every tick that lies within one state as a whole.
pub fn ticks(seen: &Seen, kind: StageKind) -> Vec<Option<Calm>> {
    let mut ticks: Vec<Option<Calm>> = vec![Some(Calm::Idle); seen.probes.ticks() as usize];
    let fill = |from: u64, to: u64, state: Option<Calm>, ticks: &mut Vec<Option<Calm>>| {
        let (first, last) = (from / SLOTS, to.div_ceil(SLOTS));
        for tick in first..last.min(ticks.len() as u64) {
            ticks[tick as usize] = state;
        }
    };
    for round in &seen.rounds {
        if is_silent(round) {
            continue;
        }
        fill(round.start, round.end + DRAIN_SLOTS, None, &mut ticks);
    }
    for round in seen.rounds.iter().filter(|round| round.kind == kind && is_gentle(round)) {
        // Whole ticks, behind the handshakes of its streams.
        let (first, last) = (round.start.div_ceil(SLOTS) + 1, round.end / SLOTS);
        for tick in first..last.min(ticks.len() as u64) {
            ticks[tick as usize] = Some(Calm::Paced);
        }
    }
    within(seen, kind, &mut ticks);
    ticks
}

/// Ticks of other stages, and before the first and after the last, are of no use.
fn within(seen: &Seen, kind: StageKind, ticks: &mut [Option<Calm>]) {
    let fits = |round: &&RoundSeen| {
        round.kind == kind || (kind == StageKind::Load && round.kind != StageKind::Confirm)
    };
    let rounds: Vec<&RoundSeen> = seen.rounds.iter().filter(fits).collect();
    let from = rounds.iter().map(|round| round.start).min().unwrap_or(u64::MAX);
    let to = rounds.iter().map(|round| round.end).max().unwrap_or(0);
    for (tick, state) in (0..).zip(ticks.iter_mut()) {
        let inside = tick * SLOTS >= from && (tick + 1) * SLOTS <= to;
        if !inside {
            *state = None;
        }
    }
}

fn is_silent(round: &RoundSeen) -> bool {
    round.by_host.is_empty()
}

/// Whether a round asked for what healthy cards carry without a queue, in large frames.
fn is_gentle(round: &RoundSeen) -> bool {
    let share = matches!(round.dose.rate, Rate::Share(share) if share <= GENTLE_MAX);
    share && round.frame_bytes().is_none() && !round.dose.carriage.transport.moves_a_file()
}

#[cfg(test)]
mod tests;
