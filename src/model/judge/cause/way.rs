//! Falls in which only one direction died, told by keyed probes.
//!
//! TCP dies both ways when one way is dead: its acknowledgements are lost. The probes of
//! paused streams tell the ways apart: what the host sent and its peers heard, and what
//! its peers sent and it heard.

use super::super::{
    falls::Fall,
    outage,
    seen::Seen,
    summary::{Direction, Finding, FindingKind, Severity},
};
use crate::model::fleet::{
    host::HostId,
    units::{RunTime, SLOT_US},
};

/// Probes that must have been sent one way before their silence means anything: at five a
/// second and one in a hundred lost by chance, four in a row are 1e-8.
const PROBES_MIN: u32 = 4;

/// Share of the probes of a living direction that must arrive.
const ARRIVES: f64 = 0.5;

/// Share of the probes of a dead direction that may arrive: those around its ends.
const DEAD: f64 = 0.1;

/// Probes of one direction of a host during a fall.
#[derive(Clone, Copy, Debug, Default)]
struct Count {
    sent: u32,
    answered: u32,
    heard: u32,
}

/// Whether exactly one direction was dead.
pub fn claim(seen: &Seen, fall: &Fall) -> Option<FindingKind> {
    dead_direction(seen, fall).map(|_| FindingKind::OneWayDead)
}

/// The direction that was dead, where probes tell that the other was not.
pub fn dead_direction(seen: &Seen, fall: &Fall) -> Option<Direction> {
    let out = count(seen, fall, true);
    let back = count(seen, fall, false);
    let unanswered = |probes: Count| {
        probes.sent >= PROBES_MIN && f64::from(probes.answered) <= DEAD * f64::from(probes.sent)
    };
    let arrived = |probes: Count| f64::from(probes.heard) >= ARRIVES * f64::from(probes.sent.max(PROBES_MIN));
    let lost =
        |probes: Count| probes.sent >= PROBES_MIN && f64::from(probes.heard) <= DEAD * f64::from(probes.sent);
    // Scheduled probes go on all the time, so they tell within a second.
    if let Some(direction) = outage::dead_direction(seen, fall) {
        return Some(direction);
    }
    // Peers' probes go unanswered, and the host's own arrive: it does not hear them.
    if unanswered(back) && arrived(out) && lost(back) {
        return Some(Direction::Rx);
    }
    // The host's probes do not arrive, and it hears those of its peers.
    if arrived(back) && lost(out) && unanswered(back) {
        return Some(Direction::Tx);
    }
    None
}

/// Probes that the host sent (`out`), or that its peers sent it, while a fall lasted.
fn count(seen: &Seen, fall: &Fall, out: bool) -> Count {
    let from = RunTime(fall.since * SLOT_US);
    let to = RunTime(fall.end().saturating_mul(SLOT_US));
    let ours = |flow: &u32| {
        seen.flows
            .get(flow)
            .is_some_and(|flow| if out { flow.from == fall.host } else { flow.to == fall.host })
    };
    let mut count = Count::default();
    for (_, _, sent, answered) in
        seen.asked.iter().filter(|(at, flow, ..)| (from..=to).contains(at) && ours(flow))
    {
        count.sent += sent;
        count.answered += answered;
    }
    for (_, _, heard) in seen.heard.iter().filter(|(at, flow, _)| (from..=to).contains(at) && ours(flow)) {
        count.heard += heard;
    }
    count
}

/// The finding on a host of which one direction died.
pub fn finding(seen: &Seen, host: HostId, falls: &[&Fall]) -> Finding {
    let directions: Vec<Direction> = falls.iter().filter_map(|fall| dead_direction(seen, fall)).collect();
    let direction = directions.first().copied().unwrap_or(Direction::Both);
    let (verb, other) = match direction {
        Direction::Tx => ("sent nothing", "still received"),
        _ => ("received nothing", "still sent"),
    };
    let text = format!(
        "{} {verb} {} while it {other}: one direction of its card or link is dead; swap the cable and the switch port before the card",
        seen.name(host),
        super::times(falls),
    );
    let mut finding = super::bare(FindingKind::OneWayDead, Severity::Fail, falls, text);
    finding.direction = Some(direction);
    finding.confirmed = Some(true);
    finding.numbers.insert("drop_offs".to_owned(), Some(falls.len() as f64));
    super::load::note_answered(seen, falls, &mut finding);
    finding
}
