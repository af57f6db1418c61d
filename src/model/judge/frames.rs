//! Sizes of frames that never pass: a black hole, or an interface with another MTU.
//!
//! # Rule
//!
//! Rounds of single frames send each size between all pairs, never fragmented. A pair has a
//! *hole* at a size of which at least [`SENT_MIN`] frames left and none arrived. The side that
//! explains the holes of a size is found by explain-away; a side is a black hole when it has
//! holes at every size from some size on, and a smaller one passed. A host whose interface has
//! another MTU than most of the fleet's is told as that: it is a setting, not a fault.
//!
//! Without such rounds there is still a sign: bulk data that is stuck while echoes and
//! handshakes pass ([`claim`]).
//!
//! # Source
//!
//! 20 of 20 against 0 of 20: Fisher p = 1.5e-11; 0 of 20 leaves at most 14 % (Clopper-Pearson).

use std::collections::{BTreeMap, BTreeSet};

use super::{
    cause,
    falls::Fall,
    localise::{self, MOST, Trial},
    outage,
    rack::{Crossing, Racks, Symptom},
    robust,
    seen::{Seen, Way},
    summary::{Direction, Finding, FindingKind, Severity},
    ways::Found,
};
use crate::model::{fleet::host::HostId, plan::layout::StageKind};

/// Frames of a size that must have left for their silence to mean anything.
pub const SENT_MIN: u64 = 20;

/// The number of a finding that says from which size on frames are lost.
pub const FRAME_LOST: &str = "frame_lost_bytes";

/// Share of all pairs that may have a hole at a size for it to be a host's.
const HOLES_MAX: f64 = 0.5;

/// Slots of silence that a black hole lasts at least. Linux sends a lost SYN again after 1 s
/// (RFC 6298), and after 2 s more.
const STUCK_SLOTS_MIN: u64 = 25;

/// Share of the planned load that a black hole swallows at least. It passes no full frame, so that
/// what still comes are the ends of writes: less than 1 % in every lab run. Of ssh processes that
/// wait for a core, each sends a write a second (66–88 % were missing).
const STUCK_DEPTH_MIN: f64 = 0.95;

/// The largest size that passed, and the smallest that never did.
type Bracket = (u16, u16);

/// What was sent and arrived of one size, from one host to another.
#[derive(Clone, Copy, Debug, Default)]
struct Tried {
    sent: u64,
    refused: u64,
    arrived: u64,
}

/// By size: what became of frames between pairs, in stages of a kind.
fn tried(seen: &Seen, kind: StageKind) -> BTreeMap<u16, BTreeMap<(HostId, HostId), Tried>> {
    let mut sizes: BTreeMap<u16, BTreeMap<(HostId, HostId), Tried>> = BTreeMap::new();
    for (id, flow) in &seen.flows {
        let round = &seen.rounds[flow.round];
        let Some(size) = round.frame_bytes().filter(|_| round.kind == kind) else { continue };
        // What its receiver's worker never told of says nothing.
        if !flow.was_measured() {
            continue;
        }
        let sent = seen.datagrams_sent.get(id).copied().unwrap_or_default();
        let arrived = seen.datagrams.get(id).map_or(0, |arrived| arrived.received);
        let pair = sizes.entry(size).or_default().entry((flow.from, flow.to)).or_default();
        pair.sent += sent.sent;
        pair.refused += sent.refused;
        pair.arrived += arrived;
    }
    sizes
}

impl Tried {
    /// Whether none came of enough.
    const fn is_hole(self) -> bool {
        self.arrived == 0 && self.sent + self.refused >= SENT_MIN
    }

    const fn passes(self) -> bool {
        self.arrived > 0
    }
}

/// The sizes at which each side has holes, and the largest below them that passed; and crossings that have.
fn holes(seen: &Seen, racks: &Racks) -> (BTreeMap<(HostId, Way), Bracket>, BTreeMap<Crossing, f64>) {
    let sizes = tried(seen, StageKind::Load);
    let mut by_side: BTreeMap<(HostId, Way), BTreeSet<u16>> = BTreeMap::new();
    let mut crossings: BTreeMap<Crossing, f64> = BTreeMap::new();
    for (size, pairs) in &sizes {
        let mut trials: Vec<Trial> = pairs
            .iter()
            .filter(|(_, tried)| tried.sent + tried.refused >= SENT_MIN)
            .map(|((from, to), tried)| Trial { from: *from, to: *to, bad: tried.is_hole(), weight: 1.0 })
            .collect();
        let across = racks.bad(&trials);
        trials.retain(|trial| !racks.lie_on(&across, trial.from, trial.to));
        crossings.extend(across);
        let holes = trials.iter().filter(|trial| trial.bad).count() as f64;
        // What hardly anybody's frames pass is the switches' limit, and no host's.
        if holes > HOLES_MAX * trials.len() as f64 {
            continue;
        }
        for blame in localise::explain_away(&trials, MOST).0 {
            by_side.entry((blame.host, blame.way)).or_default().insert(*size);
        }
    }
    let passed = |side: &(HostId, Way), size: u16| {
        let own = |(from, to): &(HostId, HostId)| if side.1 == Way::Tx { *from } else { *to } == side.0;
        sizes[&size].iter().any(|(pair, tried)| own(pair) && tried.passes())
    };
    let by_side = by_side.into_iter().filter_map(|(side, holes)| {
        let first = *holes.first()?;
        let above = sizes.keys().filter(|size| **size >= first);
        let all = above.clone().all(|size| holes.contains(size));
        let below = sizes.keys().copied().filter(|size| *size < first && passed(&side, *size)).max()?;
        all.then_some((side, (below, first)))
    });
    (by_side.collect(), crossings)
}

/// Findings of sizes that never pass.
pub fn findings(seen: &Seen, racks: &Racks) -> Found {
    let usual = usual_mtu(seen);
    let mut hosts: BTreeMap<HostId, Vec<(Way, Bracket)>> = BTreeMap::new();
    let (by_side, crossings) = holes(seen, racks);
    for ((host, way), sizes) in by_side {
        hosts.entry(host).or_default().push((way, sizes));
    }
    let hosts = hosts.into_iter().map(|(host, sides)| {
        let own = mtu(seen, host).filter(|own| usual.is_some_and(|usual| *own != usual));
        let finding = match (own, usual) {
            (Some(own), Some(usual)) => mismatch(seen, host, own, usual, &sides),
            _ => black_hole(seen, host, &sides),
        };
        (host, finding)
    });
    Found::on_hosts(hosts.collect()).with(Symptom::LargeFrames, crossings)
}

/// The MTU that a host's interface had last.
fn mtu(seen: &Seen, host: HostId) -> Option<u32> {
    let told = seen.links(host).map(|(_, link)| link.mtu).filter(|mtu| *mtu > 0).last();
    told.or_else(|| seen.hosts.get(host.index()).and_then(|host| host.nic.mtu))
}

/// The MTU that most hosts have.
fn usual_mtu(seen: &Seen) -> Option<u32> {
    let all: Vec<f64> = seen.hosts.iter().filter_map(|host| mtu(seen, host.id)).map(f64::from).collect();
    robust::median(&all).map(|mtu| mtu as u32)
}

fn black_hole(seen: &Seen, host: HostId, sides: &[(Way, Bracket)]) -> Finding {
    let direction = Way::together(sides.iter().map(|(way, _)| *way));
    let passed = sides.iter().map(|(_, (passed, _))| *passed).min().unwrap_or_default();
    let lost = sides.iter().map(|(_, (_, lost))| *lost).min().unwrap_or_default();
    let text = format!(
        "of the frames that {} {}, {passed} bytes pass and {lost} and more never do, without a word from anybody: a black hole; compare the MTU of its switch port and of everything between with its own, and try segmentation offloads off (ethtool -K)",
        seen.name(host),
        direction.verb(),
    );
    let mut finding = cause::bare(FindingKind::MtuBlackHole, Severity::Fail, &[], text);
    finding.direction = Some(direction);
    finding.numbers.insert("frame_passed_bytes".to_owned(), Some(f64::from(passed)));
    finding.numbers.insert(FRAME_LOST.to_owned(), Some(f64::from(lost)));
    finding
}

fn mismatch(seen: &Seen, host: HostId, own: u32, usual: u32, sides: &[(Way, Bracket)]) -> Finding {
    let text = format!(
        "the interface of {} has an MTU of {own} and most of the fleet's have {usual}: what others send it in full frames does not arrive; set it (ip link set {} mtu {usual}), or the others'",
        seen.name(host),
        seen.hosts.get(host.index()).map_or("DEV", |host| host.nic.iface.as_str()),
    );
    let mut finding = cause::bare(FindingKind::MtuMismatch, Severity::Fail, &[], text);
    finding.direction = Some(Way::together(sides.iter().map(|(way, _)| *way)));
    // Its own kernel says so: there is nothing to try again.
    finding.confirmed = Some(true);
    finding.numbers.insert("mtu_bytes".to_owned(), Some(f64::from(own)));
    finding.numbers.insert("fleet_mtu_bytes".to_owned(), Some(f64::from(usual)));
    finding
}

/// Whether a host's silence is one of large frames alone: nothing else came, echoes and
/// handshakes passed meanwhile, in numbers that are no chance, and it lasted.
pub fn claim(seen: &Seen, fall: &Fall) -> Option<FindingKind> {
    let stuck = swallows_all(fall) && lasts(seen, fall) && small_packets_pass(seen, fall);
    stuck.then_some(FindingKind::MtuBlackHole)
}

/// Whether next to no bulk data came in a fall.
pub fn swallows_all(fall: &Fall) -> bool {
    fall.depth >= STUCK_DEPTH_MIN
}

/// Whether a fall is longer than a connection takes that lost its first packet.
pub fn lasts(seen: &Seen, fall: &Fall) -> bool {
    // Of a silence to the end as much is known as was measured.
    let last =
        || seen.rounds.iter().filter(|round| round.by_host.contains_key(&fall.host)).map(|own| own.end);
    let until = fall.until.or_else(|| last().max()).unwrap_or(fall.since);
    until.saturating_sub(fall.since) >= STUCK_SLOTS_MIN
}

/// Whether echoes and handshakes passed all along between a host and those that it lost: most of
/// them, and never none for a while, as where a fall outlasts the silence that began it.
pub fn small_packets_pass(seen: &Seen, fall: &Fall) -> bool {
    outage::alive_during(seen, fall).is_some_and(|alive| alive.echoes && alive.handshakes)
        && outage::went_on_answering(seen, fall) != Some(false)
}

/// What to say of a host one of whose directions never carried bulk data, while its echoes were
/// answered.
pub fn never_passed(seen: &Seen, host: HostId, direction: Direction) -> String {
    format!(
        "nothing of the bulk data that {} {} ever passes, while its echoes of at most 42 bytes are answered: large frames do not pass; compare MTUs and offloads with a peer's, and run the scenario accept, which finds from which size on",
        seen.name(host),
        direction.verb(),
    )
}

/// The finding on a host whose bulk data was stuck while small packets passed.
pub fn stuck(seen: &Seen, host: HostId, falls: &[&Fall]) -> Finding {
    let text = format!(
        "bulk data of {} was stuck {}, while its echoes and handshakes of at most 42 bytes were answered: large frames do not pass; run the scenario accept, which finds from which size on, and compare MTUs and offloads",
        seen.name(host),
        cause::times(falls),
    );
    let mut finding = cause::bare(FindingKind::MtuBlackHole, Severity::Fail, falls, text);
    finding.direction = Some(cause::direction(falls));
    finding.confirmed = Some(true);
    finding.numbers.insert("drop_offs".to_owned(), Some(falls.len() as f64));
    finding
}

/// Adds to what a host's falls told of a black hole what single frames told of it: from which size
/// on, and which way.
pub fn tell_size(known: &mut Finding, told: Finding) {
    if told.numbers.contains_key(FRAME_LOST) {
        (known.text, known.direction) = (told.text, told.direction);
        known.numbers.extend(told.numbers);
    }
}

/// Whether a suspect's side has a hole at some size in a confirming round with one partner.
pub fn reproduced(seen: &Seen, host: HostId, way: Way, partner: HostId) -> Option<bool> {
    let pair = way.ends(host, partner);
    let sizes = tried(seen, StageKind::Confirm);
    let own: Vec<Tried> = sizes.values().filter_map(|pairs| pairs.get(&pair).copied()).collect();
    let tried = own.iter().any(|tried| tried.sent + tried.refused >= SENT_MIN);
    tried.then(|| own.iter().any(|tried| tried.is_hole()))
}

#[cfg(test)]
mod tests;
