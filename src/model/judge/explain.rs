//! Whose fall is it? Explains drop-offs by one host first; what is left is a path's.
//!
//! # Rule
//!
//! What a cut between two racks explains is left out (`rack::cut`). Then
//! greedy explain-away, after deTector's localisation: the host that lost the most distinct
//! peers, or that has evidence of its own (lost contact, carrier, a stalled worker, silence
//! that all its observers probed), takes
//! the blame; every fall that is then fully shared with a blamed host is explained by it; repeat.
//! A host that lost one single peer is never blamed on bytes alone: it and its peer look the
//! same from outside, and the pair is reported as a path.
//!
//! # What does not belong here
//!
//! What was the matter with the blamed host: `cause`.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Range,
};

use super::{
    falls::{self, Fall},
    outage::{self, Outage},
    rack::cut::{self, Cut},
    seen::{RoundSeen, Seen, Way},
    starved,
};
use crate::model::{
    fleet::{
        host::HostId,
        units::{RunTime, SLOT_US, SLOTS_PER_S},
    },
    record::line::ContactState,
};

/// The fewest distinct peers that must be lost for a blame on bytes alone.
const PEERS_MIN: usize = 2;

/// Share of all hosts of which own falls in one second are a shared cause and nobody's card.
const SHARED: f64 = 0.5;

/// The fewest hosts for which [`SHARED`] means anything: of three hosts, one sick card takes
/// a third of the fleet and its partner makes it two.
const SHARED_HOSTS_MIN: usize = 4;

/// Share of all hosts, and the fewest, that fall in time where it is the machine's doing.
const MACHINE: f64 = 0.25;
const MACHINE_HOSTS_MIN: f64 = 3.0;

/// What of its load a pair misses at most that only waits for a core; of a path on which frames are lost or
/// stuck nothing is left.
const STARVED_DEPTH: f64 = 0.95;

/// A fall that began so long before another's onset, and still lasts, is of the same event: some of those
/// whom a shared cause strikes hold out for a moment.
const TOGETHER_SLOTS: u64 = 20;

/// What became of the falls.
#[derive(Clone, Debug, Default)]
pub struct Explained {
    /// By index into the falls: the host whose fault it is.
    pub by: BTreeMap<usize, HostId>,
    /// Falls that stand for themselves, by their host.
    pub own: BTreeMap<HostId, Vec<usize>>,
    /// Pairs that fell together, and nobody knows which; with the indices of their falls.
    pub paths: BTreeMap<(HostId, HostId), Vec<usize>>,
    /// Falls of many hosts at once, without a host in common, and of a machine short of CPU.
    pub shared: BTreeSet<usize>,
    /// Cuts between racks, and the falls that they explain.
    pub cuts: Vec<(Cut, BTreeSet<usize>)>,
}

impl Explained {
    /// Whether a fall is some other host's doing, or a cut's.
    fn is_settled(&self, index: usize) -> bool {
        self.by.contains_key(&index) || self.cuts.iter().any(|(_, own)| own.contains(&index))
    }

    /// Takes falls out that are something else's doing, after all.
    pub fn forget(&mut self, is_else: impl Fn(usize) -> bool) {
        self.shared.retain(|index| !is_else(*index));
        self.by.retain(|index, _| !is_else(*index));
        for indices in self.own.values_mut().chain(self.paths.values_mut()) {
            indices.retain(|index| !is_else(*index));
        }
        self.own.retain(|_, indices| !indices.is_empty());
        self.paths.retain(|_, indices| !indices.is_empty());
    }
}

/// Explains every fall.
pub fn explain(seen: &Seen, falls: &[Fall]) -> Explained {
    let outages = outage::all(seen);
    let mut explained = Explained { cuts: cuts(seen, falls), ..Explained::default() };
    let mut blamed: BTreeSet<HostId> = BTreeSet::new();
    loop {
        explain_by(falls, &blamed, &mut explained);
        match next_blame(seen, falls, &outages, &blamed, &explained) {
            Some(host) => {
                blamed.insert(host);
            }
            None => break,
        }
    }
    for (index, fall) in falls.iter().enumerate() {
        if explained.is_settled(index) {
            continue;
        }
        if blamed.contains(&fall.host) {
            explained.own.entry(fall.host).or_default().push(index);
        } else if let Some(peer) = fall.peers.first() {
            let pair = (fall.host.min(*peer), fall.host.max(*peer));
            explained.paths.entry(pair).or_default().push(index);
        }
    }
    set_shared_apart(seen, falls, &mut explained);
    explained
}

/// Cuts between racks with what they explain; short ones that explain nothing are none.
fn cuts(seen: &Seen, falls: &[Fall]) -> Vec<(Cut, BTreeSet<usize>)> {
    let all = cut::of(seen);
    let of = |cut: &Cut| {
        let own = falls.iter().enumerate().filter(|(_, fall)| cut.explains(seen, fall, &all));
        let own: BTreeSet<usize> = own.map(|(index, _)| index).collect();
        (cut.clone(), own)
    };
    all.iter().map(of).filter(|(cut, own)| cut.lasts() || !own.is_empty()).collect()
}

/// Marks the falls whose every peer is blamed and fell at the same time.
fn explain_by(falls: &[Fall], blamed: &BTreeSet<HostId>, explained: &mut Explained) {
    for (index, fall) in falls.iter().enumerate() {
        if blamed.contains(&fall.host) || explained.is_settled(index) || fall.peers.is_empty() {
            continue;
        }
        let at_fault = |peer: &HostId| {
            blamed.contains(peer) && falls.iter().any(|other| other.host == *peer && other.overlaps(fall))
        };
        if fall.peers.iter().all(at_fault)
            && let Some(peer) = fall.peers.first()
        {
            explained.by.insert(index, *peer);
        }
    }
}

/// The next host to blame: most evidence first, then most peers lost, then longest silence.
fn next_blame(
    seen: &Seen,
    falls: &[Fall],
    outages: &[Outage],
    blamed: &BTreeSet<HostId>,
    explained: &Explained,
) -> Option<HostId> {
    let mut scores: BTreeMap<HostId, (bool, BTreeSet<HostId>, u64)> = BTreeMap::new();
    for (index, fall) in falls.iter().enumerate() {
        if blamed.contains(&fall.host) || explained.is_settled(index) {
            continue;
        }
        let (local, peers, silent) = scores.entry(fall.host).or_default();
        *local |= has_local_evidence(seen, outages, fall);
        peers.extend(fall.peers.iter().filter(|peer| !blamed.contains(peer)));
        *silent += fall.end().min(seen.latest.slot()).saturating_sub(fall.since);
    }
    scores
        .into_iter()
        .filter(|(_, (local, peers, _))| *local || peers.len() >= PEERS_MIN)
        .max_by_key(|(_, (local, peers, silent))| (*local, peers.len(), *silent))
        .map(|(host, _)| host)
}

/// Whether something on the host itself, and on no peer of this fall, tells that it was this host.
fn has_local_evidence(seen: &Seen, outages: &[Outage], fall: &Fall) -> bool {
    let local = |host: HostId| {
        contact_lost_during(seen, host, fall)
            || carrier_lost_during(seen, host, fall)
            || stalled_during(seen, host, fall)
            || outage::was_out_during(outages, host, fall)
    };
    local(fall.host) && !fall.peers.iter().any(|peer| local(*peer))
}

/// How long before its onset a fall's cause may have been noted: one second of sampling.
pub const BEFORE_US: u64 = 1_000_000;

/// How long after a fall's last slot its cause may still be noted: control notices a silence
/// after 2.5 s, and facts are sampled each second.
pub const AFTER_US: u64 = 4_000_000;

/// The window in which notes on a fall are looked for.
pub fn window(fall: &Fall) -> (RunTime, RunTime) {
    let from = (fall.since * SLOT_US).saturating_sub(BEFORE_US);
    let to = fall.until.map_or(u64::MAX, |until| until * SLOT_US + AFTER_US);
    (RunTime(from), RunTime(to))
}

/// Whether control lost the host while it was down.
pub fn contact_lost_during(seen: &Seen, host: HostId, fall: &Fall) -> bool {
    let (from, to) = window(fall);
    seen.contacts.iter().any(|(at, contact)| {
        contact.host == host && contact.state != ContactState::Back && (from..=to).contains(at)
    })
}

/// Whether the host's own link facts show a lost carrier.
pub fn carrier_lost_during(seen: &Seen, host: HostId, fall: &Fall) -> bool {
    let (from, to) = window(fall);
    let links: Vec<_> = seen.links(host).collect();
    links.iter().any(|(at, link)| (from..=to).contains(at) && !link.carrier)
        || links.windows(2).any(|pair| {
            let [(_, before), (at, after)] = pair else { return false };
            (from..=to).contains(at) && after.carrier_down > before.carrier_down
        })
}

/// Whether the host's own worker did not run for a good part of the fall.
pub fn stalled_during(seen: &Seen, host: HostId, fall: &Fall) -> bool {
    let start = fall.since * SLOT_US;
    let end = fall.until.map_or(seen.latest.0, |until| until * SLOT_US);
    let stalled: u64 = seen
        .stalled
        .iter()
        .filter(|(who, ..)| *who == host)
        .map(|(_, from, to)| to.0.min(end).saturating_sub(from.0.max(start)))
        .sum();
    stalled > 0 && stalled as f64 >= STALLED_SHARE * loaded_us(seen, fall, start..end) as f64
}

/// How much of a fall lies in rounds with load that way: between them it only seems to last.
fn loaded_us(seen: &Seen, fall: &Fall, us: Range<u64>) -> u64 {
    let loaded = |way: &Way| -> u64 {
        let within = |round: &RoundSeen| {
            (round.end * SLOT_US).min(us.end).saturating_sub((round.start * SLOT_US).max(us.start))
        };
        falls::loaded_rounds(seen, fall.host, *way).map(within).sum()
    };
    let most = Way::of_direction(fall.direction).iter().map(loaded).max().unwrap_or_default();
    if most > 0 { most } else { us.end.saturating_sub(us.start) }
}

/// Share of a fall that the worker itself must have missed for the fall to be its own: after
/// the process runs again, its streams still need a handshake.
const STALLED_SHARE: f64 = 0.4;

/// Falls of at least half the fleet at once are one shared cause; so are those of a machine that is short
/// of CPU.
fn set_shared_apart(seen: &Seen, falls: &[Fall], explained: &mut Explained) {
    if seen.hosts.len() < SHARED_HOSTS_MIN {
        return;
    }
    let own: Vec<usize> = explained.own.values().flatten().copied().collect();
    let mut shared: BTreeSet<usize> = BTreeSet::new();
    for &index in &own {
        let onset = falls[index].since;
        let together: BTreeSet<usize> =
            own.iter().copied().filter(|other| is_with(&falls[*other], onset)).collect();
        if hosts_of(falls, &together).len() as f64 > SHARED * seen.hosts.len() as f64 {
            shared.extend(together);
        }
    }
    shared.extend(of_machine(seen, falls, explained));
    explained.forget(|index| shared.contains(&index));
    explained.shared = shared;
}

/// Unexplained falls of hosts that went on answering, while the machine that all share was short of CPU.
/// Where only few fell so it may be one of them after all: then those of single pairs alone, between which
/// something passed all along.
fn of_machine(seen: &Seen, falls: &[Fall], explained: &Explained) -> BTreeSet<usize> {
    let of_paths: BTreeSet<usize> = explained.paths.values().flatten().copied().collect();
    let unexplained = explained.own.values().flatten().chain(&of_paths).copied();
    // Of processes that move files `files` knows more.
    let moves_files = |fall: &Fall| {
        seen.rounds.get(fall.round).is_some_and(|round| round.dose.carriage.transport.moves_a_file())
    };
    let is_machine_s = |index: &usize| {
        let fall = &falls[*index];
        !moves_files(fall)
            && starved::whole_machine(seen, fall)
            && outage::went_on_answering(seen, fall) == Some(true)
    };
    let all: BTreeSet<usize> = unexplained.filter(is_machine_s).collect();
    let many = (MACHINE * seen.hosts.len() as f64).max(MACHINE_HOSTS_MIN);
    let is_many = hosts_of(falls, &all).len() as f64 >= many;
    all.into_iter()
        .filter(|index| is_many || (of_paths.contains(index) && falls[*index].depth < STARVED_DEPTH))
        .collect()
}

fn hosts_of(falls: &[Fall], indices: &BTreeSet<usize>) -> BTreeSet<HostId> {
    indices.iter().map(|index| falls[*index].host).collect()
}

/// Whether a fall began in the same second as another, or shortly before and still lasted then.
fn is_with(fall: &Fall, onset: u64) -> bool {
    let still_lasted = (fall.since..fall.end()).contains(&onset) && onset - fall.since <= TOGETHER_SLOTS;
    still_lasted || fall.since.abs_diff(onset) <= SLOTS_PER_S
}

#[cfg(test)]
mod tests;
