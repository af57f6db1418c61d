//! Stages that cannot be placed in time: their lines are left out, and the loss is said.
//!
//! All that is judged is laid out on slots of 100 ms from the first stage to the last: one whose time
//! cannot be would make that endless. Workers' lines are told apart by `judge::clocks`.

use super::line::{Body, COORDINATOR, Line, StageBegun};
use crate::model::fleet::units::{RunTime, SLOT_US};

/// How long after the last word of most workers a stage may begin.
const AFTER_US: u64 = 3_600_000_000;

/// How long a stage may last: what a scenario file may ask for, seven times over.
const LASTS_MAX_US: u64 = 7 * 24 * 3_600_000_000;

/// Slots of all flows of a stage: some hundred times what a hundred hosts have in a minute.
const CELLS_MAX: u64 = 1 << 26;

/// Takes out such stages; what was lost, in words. Lines are in order of instance.
pub(super) fn sieve(lines: &mut Vec<Line>) -> Vec<String> {
    let latest = last_words(lines).map_or(u64::MAX, |at| at.0.saturating_add(AFTER_US));
    let mut losses = Vec::new();
    lines.retain(|line| {
        let Body::Stage(begun) = &line.body else { return true };
        let fits = line.i != COORDINATOR || (begun.at.0 <= latest && can_be(begun));
        if !fits {
            let name = &begun.stage.name;
            losses.push(format!("the stage {name} is left out: when it ran, or for how long, cannot be"));
        }
        fits
    });
    losses
}

/// The moment until which most workers wrote; lines are in order of instance. Of two the earlier: it
/// needs one clock that is right.
pub fn last_words(lines: &[Line]) -> Option<RunTime> {
    let of_workers = lines.chunk_by(|a, b| a.i == b.i).filter(|own| own[0].i != COORDINATOR);
    let mut workers: Vec<RunTime> =
        of_workers.filter_map(|own| own.iter().map(|line| line.t).max()).collect();
    workers.sort_unstable();
    workers.get(workers.len().saturating_sub(1) / 2).copied()
}

/// Whether a stage is one that could be carried out.
fn can_be(begun: &StageBegun) -> bool {
    let mut cells = 0_u64;
    begun.stage.rounds.iter().all(|round| {
        cells = cells.saturating_add((round.for_us / SLOT_US).saturating_mul(round.flows.len() as u64));
        let end = round.offset_us.checked_add(round.for_us);
        end.is_some_and(|end| end <= LASTS_MAX_US) && cells <= CELLS_MAX
    })
}
