//! Gaps as bytes show them, where all send at once: rows of slots in which nothing of a host passed.

use super::{GAP_MAX_US, fell, gaps::Gap};
use crate::model::{
    fleet::{host::HostId, units::SLOT_US},
    judge::{
        falls::Fall,
        robust,
        seen::{RoundSeen, Seen, WAYS},
    },
    plan::{dose::Pattern, layout::StageKind},
};

/// Share of its median below which a slot of all of a host's flows is a gap.
const SLOT_LOW: f64 = 0.1;

/// The gaps of one host in rounds in which it exchanges bytes with several at once; of two hosts, with the
/// only other.
pub(super) fn gaps(seen: &Seen, host: HostId, falls: &[Fall]) -> Vec<Gap> {
    let meets_several = |round: &&RoundSeen| {
        let part = round.by_host.get(&host);
        round.kind == StageKind::Load
            && round.saturates()
            && round.dose.pattern != Pattern::Pairs
            && part.is_some_and(|part| part.tx.len() > 1 || part.rx.len() > 1 || seen.is_of_two())
    };
    seen.rounds.iter().filter(meets_several).flat_map(|round| round_gaps(seen, round, host, falls)).collect()
}

fn round_gaps(seen: &Seen, round: &RoundSeen, host: HostId, falls: &[Fall]) -> Vec<Gap> {
    // The first second is slow start's.
    let steady = round.start + 10..round.end;
    let [tx, rx] = WAYS.map(|way| seen.bps_in(round, host, way, steady.clone()));
    let both = tx.into_iter().zip(rx).map(|ways| match ways {
        (Some(tx), Some(rx)) => Some(tx + rx),
        (tx, rx) => tx.or(rx),
    });
    let slots: Vec<(u64, Option<f64>)> = steady.zip(both).collect();
    let known: Vec<f64> = slots.iter().filter_map(|(_, bps)| *bps).collect();
    let Some(median) = robust::median(&known) else { return Vec::new() };
    let low = |bps: &Option<f64>| bps.is_some_and(|bps| bps < SLOT_LOW * median);
    slots
        .chunk_by(|a, b| low(&a.1) == low(&b.1))
        .filter(|row| low(&row[0].1))
        .map(|row| (row[0].0 * SLOT_US, row.len() as u64 * SLOT_US))
        .filter(|(from, length)| *length < GAP_MAX_US && !fell(falls, host, *from))
        .collect()
}
