//! Where a host's ladder of packet rates ends: from which rate on its own kernel, and not its card, loses
//! frames.
//!
//! # Rule
//!
//! Of single frames at a rate, those are the kernel's own that its sockets refused to send or had no
//! room to keep, as they told themselves, and those for which a core's backlog had none (`pressure`).
//! Of the smallest frames, those are looked at that do not fill a link: where they are [`OWN_SHARE`] of a
//! host's one way, and at least [`OWN_MIN`], at some rate and at all that are higher, its ladder that way
//! is at its end: what is lost there tells nothing of a card, and what was tested ends at the highest rate
//! below. A note, unless nothing else tells against a host with a kernel of its own and that is no more than
//! [`FAR_BELOW`] of what its peers kept up with: a card that drains its queue too slowly fills its kernel's.
//!
//! # Source
//!
//! The contract: the ladder tops out where the host loses by itself. A frame that the socket counts was
//! delivered by the card (`SO_RXQ_OVFL`, `socket(7)`); one that was refused never reached it.
//!
//! # What does not belong here
//!
//! What the network lost: `loss`. How fast the rungs are: `plan::schedule::rates`.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    cause, pressure, robust,
    seen::{FlowSeen, RoundSeen, Seen, WAYS, Way},
    summary::{Finding, FindingKind, Severity},
};
use crate::model::{
    fleet::host::HostId,
    plan::layout::{FlowId, StageKind},
};

/// Share of a host's frames from which on its own drops hide what its card loses: the loss at which a
/// card fails.
const OWN_SHARE: f64 = 1e-3;

/// Frames below which it is a burst that found a full buffer.
const OWN_MIN: u64 = 10;

/// Share of the rate that its peers were tested at up to which a host's own differs from theirs: a rung of a
/// ladder that doubles.
const FAR_BELOW: f64 = 0.55;

/// Frames of a host one way at one rate.
#[derive(Clone, Copy, Debug, Default)]
struct Rung {
    pps: f64,
    /// What its own kernel refused or dropped.
    own: u64,
    of: u64,
}

impl Rung {
    fn is_over(&self) -> bool {
        self.own >= OWN_MIN && self.own as f64 >= OWN_SHARE * self.of as f64
    }
}

/// The end of a host's ladder one way.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct End {
    way: Way,
    /// The lowest rate at which its own kernel lost frames, a second.
    from_pps: f64,
    /// The highest below that; `None` where there was none.
    pub clean_pps: Option<f64>,
    /// Frames that it lost there, and frames in all.
    own: u64,
    of: u64,
}

impl End {
    /// The highest rate at which the host's kernel kept up; 0 where it never did.
    fn tested_pps(self) -> f64 {
        self.clean_pps.unwrap_or(0.0)
    }
}

/// Whether numbered frames were sent at a rate.
fn is_rung(round: &RoundSeen) -> bool {
    round.kind == StageKind::Load && round.is_paced() && round.frame_bytes().is_some()
}

/// Frames a second of a host in a round.
fn pps(round: &RoundSeen, host: HostId, way: Way) -> Option<f64> {
    let bps = round.by_host.get(&host)?.paced_bps(way);
    Some(bps / 8.0 / f64::from(round.frame_bytes()?))
}

/// What an end of a flow's own kernel lost of it, of how many.
fn own_of(seen: &Seen, id: FlowId, way: Way) -> Option<(u64, u64)> {
    match way {
        Way::Tx => seen.datagrams_sent.get(&id).map(|told| (told.refused, told.sent + told.refused)),
        Way::Rx => seen.datagrams.get(&id).map(|told| (told.socket_drops, told.received + told.socket_drops)),
    }
}

/// A host's rungs one way, slowest first.
fn rungs(seen: &Seen, host: HostId, way: Way) -> Vec<Rung> {
    let smallest = seen.rounds.iter().filter(|round| is_rung(round)).filter_map(RoundSeen::frame_bytes).min();
    let mut rungs: BTreeMap<usize, Rung> = BTreeMap::new();
    if smallest.is_none() {
        return Vec::new();
    }
    for (id, flow) in seen.numbered_flows_of(host) {
        let round = &seen.rounds[flow.round];
        let fits = is_rung(round) && round.frame_bytes() == smallest && !seen.is_overfull(round, flow);
        if !flow.touches(host, way) || !fits {
            continue;
        }
        let Some(((own, of), pps)) = own_of(seen, id, way).zip(pps(round, host, way)) else { continue };
        let rung = rungs.entry(flow.round).or_default();
        *rung = Rung { pps, own: rung.own + own, of: rung.of + of };
    }
    if way == Way::Rx {
        for (round, rung) in &mut rungs {
            rung.own += pressure::dropped_in(seen, host, &BTreeSet::from([*round]));
        }
    }
    let mut rungs: Vec<Rung> = rungs.into_values().collect();
    // Of two at the same rate the clean one counts.
    rungs.sort_by(|a, b| a.pps.total_cmp(&b.pps).then(b.is_over().cmp(&a.is_over())));
    rungs
}

/// The highest rate at which a host's kernel kept up one way; 0 where it never did.
fn tested_pps(seen: &Seen, host: HostId, way: Way) -> Option<f64> {
    let rungs = rungs(seen, host, way);
    let last = rungs.last()?;
    Some(end(&rungs, way).map_or(last.pps, End::tested_pps))
}

/// Whether a host's kernel kept up with far less than those of its peers did.
fn is_far_below(seen: &Seen, host: HostId, end: End) -> bool {
    let others: Vec<f64> = seen.others(host).filter_map(|other| tested_pps(seen, other, end.way)).collect();
    robust::median(&others).is_some_and(|usual| end.tested_pps() < FAR_BELOW * usual)
}

/// Where a ladder of these rungs ends, if it does.
fn end(rungs: &[Rung], way: Way) -> Option<End> {
    // The lowest of those of which none above it is clean.
    let over = rungs.iter().rev().take_while(|rung| rung.is_over()).last()?;
    let below = rungs.iter().map(|rung| rung.pps).filter(|pps| *pps < over.pps);
    Some(End { way, from_pps: over.pps, clean_pps: below.reduce(f64::max), own: over.own, of: over.of })
}

/// Where a host's ladders end.
pub fn ends(seen: &Seen, host: HostId) -> impl Iterator<Item = End> {
    WAYS.into_iter().filter_map(move |way| end(&rungs(seen, host, way), way))
}

/// The ends of all ladders, for whoever asks of many flows.
pub struct Ends(BTreeMap<(HostId, Way), f64>);

impl Ends {
    /// Of a record.
    pub fn of(seen: &Seen) -> Self {
        let hosts = seen.hosts.iter().map(|host| host.id);
        let all = hosts.flat_map(|host| ends(seen, host).map(move |end| ((host, end.way), end.from_pps)));
        Self(all.collect())
    }

    /// Whether a flow's frames are more than the kernel of one of its ends keeps up with.
    pub fn lie_below(&self, round: &RoundSeen, flow: &FlowSeen) -> bool {
        let is_over = |(host, way): (HostId, Way)| {
            let end = self.0.get(&(host, way));
            end.zip(pps(round, host, way)).is_some_and(|(end, pps)| pps >= *end)
        };
        [(flow.from, Way::Tx), (flow.to, Way::Rx)].into_iter().any(is_over)
    }
}

/// The finding on a host whose ladder ended; `alone` where nothing else tells against it. A note, for it takes
/// nothing from what was tested below, or a warning where it differs from its peers.
pub fn finding(seen: &Seen, host: HostId, alone: bool) -> Option<Finding> {
    let ends: Vec<End> = ends(seen, host).collect();
    let lowest = ends.iter().min_by(|a, b| a.from_pps.total_cmp(&b.from_pps))?;
    let (what, settings) = match lowest.way {
        Way::Tx => ("refused to send", "its socket buffers (net.core.wmem_max) and queue lengths"),
        Way::Rx => (
            "had no room for",
            "its socket buffers (net.core.rmem_max) and backlog (net.core.netdev_max_backlog)",
        ),
    };
    let below = lowest
        .clean_pps
        .map_or_else(|| "at no packet rate".to_owned(), |pps| format!("at no more than {pps:.0} a second"));
    let text = format!(
        "the kernel of {} {what} {} of {} single frames at {:.0} a second: its ladder of packet rates ends there, and its card was tested {below}; give the worker cores, or raise {settings}",
        seen.name(host),
        lowest.own,
        lowest.of,
        lowest.from_pps,
    );
    let differs = alone && !seen.shares_kernel(host) && ends.iter().any(|end| is_far_below(seen, host, *end));
    let severity = if differs { Severity::Warn } else { Severity::Info };
    let mut finding = cause::bare(FindingKind::HostLimited, severity, &[], text);
    let direction = Way::together(ends.iter().map(|end| end.way));
    finding.direction = Some(direction);
    let mut numbers = vec![
        ("ends_at_pps", lowest.from_pps.round()),
        ("dropped_by_kernel", lowest.own as f64),
        ("frames", lowest.of as f64),
    ];
    numbers.extend(lowest.clean_pps.map(|pps| ("tested_pps", pps.round())));
    finding.numbers = cause::numbers(numbers);
    Some(finding)
}

#[cfg(test)]
mod tests;
