//! Packets that were lost where healthy hosts lose none: at half load, and in numbered frames.
//!
//! # Rule
//!
//! Saturated traffic retransmits on healthy hosts too, so only paced rounds are counted: TCP's
//! retransmissions (less those that arrived twice), and gaps in the numbers of single frames
//! (less what the own kernels dropped; what is lacking after the last that came is no gap), where
//! no end is asked more than it was calibrated to carry, or stands still. The sides that explain the
//! losses are found by explain-away. A side's loss is a failure when chance cannot bring it below [`CLEAN`], nor
//! keep it from [`FAIL`], and the fleet's is far less. Where the frames show that slow rounds
//! lose nothing and fast ones do, it is `loss_above_rate`.
//!
//! # Source
//!
//! Poisson bounds (`poisson`); limits of RFC 2544's zero-loss rate as `MLRsearch` reads it: a rate
//! is clean as long as its loss cannot be told from the network's own 1e-5.
//!
//! # What does not belong here
//!
//! Which flows count: `paced`. Losses of single pairs: `paths`. What is said of a side: `told`.
//! Sizes that never pass at all: `frames`. What of TCP is slow for its losses: `slow`.

use std::collections::BTreeMap;

use super::{
    falls::{self, Fall},
    localise::{self, Blame, MOST, Pairs, Trial},
    poisson::Share,
    rack::Crossings,
    robust,
    seen::{FlowSeen, RoundSeen, Seen, Way},
    summary::Finding,
};
use crate::model::{
    fleet::host::HostId,
    plan::{
        carriage::Transport,
        dose::Pattern,
        layout::{FlowId, StageKind},
    },
};

mod paced;
pub(super) mod paths;
mod told;

use paced::Lost;
pub use paced::Paced;
use told::finding;

/// Loss from which on a host fails (the contract's figure).
pub const FAIL: f64 = 1e-3;

/// Loss of healthy networks stays below this: 1e-5 to 1e-4 in data centres (Pingmesh).
pub const CLEAN: f64 = 1e-4;

/// A pair is bad from this share of [`FAIL`] on: of a side that loses 1e-3, nine of ten pairs
/// with 4,000 packets each show as much.
const PAIR_SHARE: f64 = 0.25;

/// Lost packets below which a pair shows nothing: one is lost anywhere.
const PAIR_LOST_MIN: u64 = 2;

/// How many times the fleet's loss a side must lose: a network that loses for all is no card.
const FLEET_FACTOR: f64 = 10.0;

/// Retransmissions of saturated traffic from which on they are why it is slow: a queue that is
/// merely full loses a tenth of that.
pub const SATURATED: f64 = 0.01;

/// … and how many times the fleet's.
const SATURATED_FACTOR: f64 = 5.0;

/// Share of a flow's frames that must have arrived for the rest to be losses; of a size that
/// never passes nothing arrives.
const ARRIVED_MIN: f64 = 0.02;

/// The number of a finding that says how many numbered frames it rests on, where it does.
pub const NUMBERED: &str = "numbered_frames";

/// Packets lost and sent of one flow; `None` where that is not known, or nothing tells.
pub fn of_flow(seen: &Seen, id: FlowId, flow: &FlowSeen, round: &RoundSeen) -> Option<Share> {
    if round.dose.carriage.transport == Transport::Tcp {
        let tcp = seen.tcp.get(&id)?;
        return Some(Share { events: tcp.retr.saturating_sub(tcp.dsack), of: tcp.segs });
    }
    round.frame_bytes()?;
    let sent = seen.datagrams_sent.get(&id)?.sent;
    // A receiver that told of no slot told of no datagram either.
    let arrived = seen.datagrams.get(&id).copied().unwrap_or_default();
    if !flow.was_measured() || (arrived.received as f64) < ARRIVED_MIN * sent as f64 {
        return None;
    }
    // Gaps alone: of what was sent after the last that came, a receiver that was late to read
    // may have left some in its socket.
    let missing = u64::try_from(arrived.missing).unwrap_or(0);
    Some(Share { events: missing.saturating_sub(arrived.socket_drops), of: sent })
}

/// Whether a pair lost more than a healthy one.
pub fn is_bad(share: Share) -> bool {
    share.events >= PAIR_LOST_MIN && share.rate() >= PAIR_SHARE * FAIL
}

/// What one side lost, and at which loads.
#[derive(Clone, Debug, Default)]
struct Side {
    /// All of it.
    all: Share,
    /// By the host's load in that direction, bits and packets a second.
    rounds: Vec<(f64, f64, Share)>,
    /// Whether numbered frames tell it, which is exact, or retransmissions.
    numbered: bool,
}

/// Every pair that was measured at gentle loads, both by numbers and by retransmissions, for
/// whoever looks at pairs as a whole.
pub fn trials(paced: &Paced<'_>) -> Vec<Trial> {
    [true, false]
        .into_iter()
        .flat_map(|numbered| localise::trials(&pairs(paced.told_by(numbered)), is_bad))
        .collect()
}

/// Findings of loss, by host; what a crossing of racks loses is no host's.
pub fn findings(seen: &Seen, paced: &Paced<'_>, crossings: &Crossings) -> Vec<(HostId, Finding)> {
    let numbered = sides(seen, paced, crossings, true);
    let tcp = sides(seen, paced, crossings, false);
    let mut hosts: BTreeMap<HostId, Vec<(Way, Side)>> = BTreeMap::new();
    for ((host, way), side) in &numbered {
        hosts.entry(*host).or_default().push((*way, side.clone()));
    }
    for ((host, way), side) in tcp {
        // Frames are exact: where they tell of a host, TCP adds nothing.
        if !numbered.keys().any(|(other, _)| *other == host) {
            hosts.entry(host).or_default().push((way, side));
        }
    }
    hosts.into_iter().map(|(host, sides)| (host, finding(seen, paced, host, &sides))).collect()
}

/// What each pair lost in all paced rounds of one kind.
fn pairs(lost: &[Lost<'_>]) -> Pairs {
    let mut pairs = Pairs::new();
    for Lost { flow, share, .. } in lost {
        pairs.entry((flow.from, flow.to)).or_default().add(*share);
    }
    pairs
}

/// What explains the losses of one kind of rounds: sides of hosts, and single pairs for the rest.
struct Explained {
    trials: Vec<Trial>,
    /// What each trial lost.
    shares: Vec<Share>,
    blames: Vec<Blame>,
    /// Bad trials that no side explains, as places in `trials`.
    left: Vec<usize>,
    /// What pairs lose that no single host explains.
    typical: f64,
}

fn explained(lost: &[Lost<'_>], crossings: &Crossings) -> Explained {
    let mut pairs = pairs(lost);
    pairs.retain(|(from, to), _| !crossings.loses(*from, *to));
    let trials = localise::trials(&pairs, is_bad);
    let (blames, left) = localise::explain_away(&trials, MOST);
    let typical = localise::typical_share(&pairs);
    let shares: Vec<Share> = pairs.into_values().collect();
    Explained { trials, shares, blames, left, typical }
}

/// The sides that lose more than healthy ones.
fn sides(
    seen: &Seen,
    paced: &Paced<'_>,
    crossings: &Crossings,
    numbered: bool,
) -> BTreeMap<(HostId, Way), Side> {
    let lost = paced.told_by(numbered);
    let Explained { shares, blames, typical, .. } = explained(lost, crossings);
    let of = |blame: &Blame| {
        let mut all = Share::default();
        blame.trials.iter().for_each(|place| all.add(shares[*place]));
        all
    };
    let worse = |all: Share| all.at_least() > CLEAN && all.rate() >= FLEET_FACTOR * typical;
    let worse_ones = blames.iter().map(|blame| (blame, of(blame))).filter(|(_, all)| worse(*all));
    worse_ones
        .map(|(blame, all)| {
            let rounds = by_load(seen, lost, blame);
            ((blame.host, blame.way), Side { all, rounds, numbered })
        })
        .collect()
}

/// What a side lost in each round, slowest first.
fn by_load(seen: &Seen, lost: &[Lost<'_>], side: &Blame) -> Vec<(f64, f64, Share)> {
    let mut rounds: BTreeMap<u64, (f64, Share)> = BTreeMap::new();
    for Lost { flow, round, share } in lost.iter().filter(|lost| lost.flow.touches(side.host, side.way)) {
        let (bps, all) = rounds.entry(round.start).or_default();
        *bps += flow.rate.map_or(0.0, |rate| rate.bps() as f64);
        all.add(*share);
    }
    let length = |start: u64| {
        let round = seen.rounds.iter().find(|round| round.start == start);
        round.map_or(1.0, RoundSeen::length_s).max(0.1)
    };
    let mut rounds: Vec<(f64, f64, Share)> = rounds
        .into_iter()
        .map(|(start, (bps, share))| (bps, share.of as f64 / length(start), share))
        .collect();
    rounds.sort_by(|a, b| a.1.total_cmp(&b.1));
    rounds
}

/// Whether a host's side loses much where pairs send as fast as they go, and the fleet's do not:
/// then it is slow for its losses. The share lost, where it is so.
pub fn at_saturation(seen: &Seen, falls: &[Fall], host: HostId, way: Way) -> Option<Share> {
    let mut sides: BTreeMap<(HostId, Way), Share> = BTreeMap::new();
    for (id, flow, round) in falls::undisturbed(seen, falls, StageKind::Load) {
        let fits = round.saturates() && round.dose.pattern == Pattern::Pairs;
        if let Some(share) = of_flow(seen, id, flow, round).filter(|_| fits) {
            sides.entry((flow.from, Way::Tx)).or_default().add(share);
            sides.entry((flow.to, Way::Rx)).or_default().add(share);
        }
    }
    let rates: Vec<f64> = sides.values().map(|share| share.rate()).collect();
    let typical = robust::median(&rates).unwrap_or(0.0);
    let own = *sides.get(&(host, way))?;
    (own.rate() >= SATURATED && own.rate() >= SATURATED_FACTOR * typical).then_some(own)
}

/// The smallest loss that a plan's paced rounds can tell of one side, given its packets.
pub fn resolution(packets: f64) -> f64 {
    // Six lost packets lie above one in ten thousand of so many for all that chance does.
    if packets <= 0.0 { 1.0 } else { (6.0 / packets).max(CLEAN) }
}

#[cfg(test)]
mod tests;
