//! Which side of which host explains what was measured between pairs: greedy explain-away.
//!
//! # Rule
//!
//! A *trial* is what was measured from one host to another, and whether it was bad. The side
//! (a host sending, or a host receiving) that explains most of the badness is taken, all of its
//! trials are removed, and so on, as long as some side explains enough: most of its trials are
//! bad, with several partners. What is left over is a matter of single pairs.
//!
//! # Source
//!
//! Peng et al., *deTector* (USENIX ATC 2017), loss localisation: a component is accepted by the
//! share of its probes that are bad (hit ratio), and the one that explains most goes first.
//! Flagging both ends of every bad pair would accuse four healthy hosts for each sick one.
//!
//! # What does not belong here
//!
//! What makes a trial bad: that is its detector's. Numbers without a side: `robust`.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    poisson::Share,
    robust,
    seen::{WAYS, Way},
};
use crate::model::fleet::host::HostId;

/// What was measured from one host to another.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Trial {
    /// Who sent.
    pub from: HostId,
    /// Who received.
    pub to: HostId,
    /// Whether it was worse than a healthy pair is.
    pub bad: bool,
    /// How bad, to tell which side explains most: packets lost, seconds late.
    pub weight: f64,
}

impl Trial {
    /// Whether a side takes part in it.
    pub fn touches(&self, host: HostId, way: Way) -> bool {
        way.of(self.from, self.to) == host
    }

    /// The other end.
    fn partner_of(&self, host: HostId) -> HostId {
        if self.from == host { self.to } else { self.from }
    }
}

/// What a side must show to be blamed.
#[derive(Clone, Copy, Debug)]
pub struct Rule {
    /// The share of its trials that must be bad.
    pub hit_min: f64,
    /// Partners with whom they must be bad, where it met so many.
    pub partners_min: usize,
}

/// Most trials of a side must be bad, with at least two partners.
pub const MOST: Rule = Rule { hit_min: 0.6, partners_min: 2 };

/// Any bad trial counts, with at least two partners: for what never happens on healthy hosts.
pub const ANY: Rule = Rule { hit_min: 0.0, partners_min: 2 };

/// What pairs of hosts show where no single host is in it, given each one's sample.
pub fn typical(pairs: impl IntoIterator<Item = ((HostId, HostId), f64)>) -> Option<f64> {
    let (ends, samples): (Vec<(HostId, HostId)>, Vec<f64>) = pairs.into_iter().unzip();
    let hosts: BTreeSet<HostId> = ends.into_iter().flat_map(|(a, b)| [a, b]).collect();
    robust::typical_of_pairs(&samples, hosts.len())
}

/// What each pair lost, missed or saw of so many, from one host to another.
pub type Pairs = BTreeMap<(HostId, HostId), Share>;

/// The same of pairs; 0 of none, and of two hosts, of which nobody can tell what is typical.
pub fn typical_share(pairs: &Pairs) -> f64 {
    let hosts: BTreeSet<HostId> = pairs.keys().flat_map(|(a, b)| [*a, *b]).collect();
    if hosts.len() <= 2 {
        return 0.0;
    }
    typical(pairs.iter().map(|(pair, share)| (*pair, share.rate()))).unwrap_or(0.0)
}

/// A trial for each pair, in their order: bad where its share is.
pub fn trials(pairs: &Pairs, is_bad: impl Fn(Share) -> bool) -> Vec<Trial> {
    let trial = |((from, to), share): (&(HostId, HostId), &Share)| Trial {
        from: *from,
        to: *to,
        bad: is_bad(*share),
        weight: share.events as f64,
    };
    pairs.iter().map(trial).collect()
}

/// A trial for each pair, in their order: bad where its share is, and `factor` times what is typical.
pub fn beyond_typical(pairs: &Pairs, factor: f64, is_bad: impl Fn(Share) -> bool) -> Vec<Trial> {
    let least = factor * typical_share(pairs);
    trials(pairs, |share| is_bad(share) && share.rate() >= least)
}

/// A side that explains bad trials.
#[derive(Clone, Debug, PartialEq)]
pub struct Blame {
    /// Whose side.
    pub host: HostId,
    /// Which.
    pub way: Way,
    /// Its trials, as places in what was given, bad or not.
    pub trials: Vec<usize>,
    /// How many of them were bad.
    pub bad: usize,
    /// With how many partners.
    pub partners: usize,
}

/// The sides that explain the bad trials, most explaining first; and the bad trials that no
/// side explains, as places in what was given.
pub fn explain_away(trials: &[Trial], rule: Rule) -> (Vec<Blame>, Vec<usize>) {
    let hosts: BTreeSet<HostId> = trials.iter().flat_map(|trial| [trial.from, trial.to]).collect();
    let mut alive: BTreeSet<usize> = (0..trials.len()).collect();
    let mut blames: Vec<Blame> = Vec::new();
    loop {
        let sides = hosts.iter().flat_map(|host| WAYS.map(|way| (*host, way)));
        let untaken =
            sides.filter(|(host, way)| !blames.iter().any(|blame| blame.host == *host && blame.way == *way));
        // Of equals the first is taken, so that the same record gives the same verdict.
        let best = untaken
            .filter_map(|(host, way)| candidate(trials, &alive, host, way, rule))
            .reduce(|best, next| if next.1 > best.1 { next } else { best });
        let Some((blame, _)) = best else { break };
        alive.retain(|place| !blame.trials.contains(place));
        blames.push(blame);
    }
    let left = alive.into_iter().filter(|place| trials[*place].bad).collect();
    (blames, left)
}

/// A side that qualifies, and how much it explains.
fn candidate(
    trials: &[Trial],
    alive: &BTreeSet<usize>,
    host: HostId,
    way: Way,
    rule: Rule,
) -> Option<(Blame, f64)> {
    let own: Vec<usize> = alive.iter().copied().filter(|place| trials[*place].touches(host, way)).collect();
    let bad: Vec<&Trial> = own.iter().map(|place| &trials[*place]).filter(|trial| trial.bad).collect();
    let met: BTreeSet<HostId> = own.iter().map(|place| trials[*place].partner_of(host)).collect();
    let partners: BTreeSet<HostId> = bad.iter().map(|trial| trial.partner_of(host)).collect();
    let enough = partners.len() >= rule.partners_min.min(met.len()).max(2);
    let hit = bad.len() as f64 >= rule.hit_min * own.len() as f64;
    let explains = bad.iter().map(|trial| trial.weight).sum();
    (enough && hit && !bad.is_empty())
        .then_some((Blame { host, way, bad: bad.len(), partners: partners.len(), trials: own }, explains))
}

/// The sides of each host together.
pub fn by_host(blames: &[Blame]) -> BTreeMap<HostId, Vec<&Blame>> {
    let mut hosts: BTreeMap<HostId, Vec<&Blame>> = BTreeMap::new();
    for blame in blames {
        hosts.entry(blame.host).or_default().push(blame);
    }
    hosts
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// All ordered pairs of `n` hosts; bad where a sick side takes part.
    fn mesh(n: u16, sick: &[(u16, Way)]) -> Vec<Trial> {
        let pairs = (0..n).flat_map(|from| (0..n).filter(move |to| *to != from).map(move |to| (from, to)));
        pairs
            .map(|(from, to)| {
                let trial = Trial { from: HostId(from), to: HostId(to), bad: false, weight: 1.0 };
                let bad = sick.iter().any(|(host, way)| trial.touches(HostId(*host), *way));
                Trial { bad, ..trial }
            })
            .collect()
    }

    fn blamed(trials: &[Trial]) -> Vec<(u16, Way)> {
        let mut sides: Vec<(u16, Way)> =
            explain_away(trials, MOST).0.iter().map(|blame| (blame.host.0, blame.way)).collect();
        sides.sort_unstable();
        sides
    }

    proptest! {
        /// For all fleets of four and more: one sick side is blamed, and nobody else.
        #[test]
        fn one_sick_side_is_found_and_no_other(n in 4u16..20, host in any::<u16>(), tx in any::<bool>()) {
            let side = (host % n, if tx { Way::Tx } else { Way::Rx });
            let trials = mesh(n, &[side]);
            prop_assert_eq!(blamed(&trials), [side]);
            prop_assert!(explain_away(&trials, MOST).1.is_empty());
        }

        /// For all fleets of eight and more: two sick hosts, both ways, are blamed for all of it.
        #[test]
        fn two_sick_hosts_are_found(n in 8u16..20, a in any::<u16>(), b in any::<u16>()) {
            let (a, b) = (a % n, b % n);
            prop_assume!(a != b);
            let sick = [(a, Way::Tx), (a, Way::Rx), (b, Way::Tx), (b, Way::Rx)];
            let blamed: BTreeSet<u16> = blamed(&mesh(n, &sick)).into_iter().map(|(host, _)| host).collect();
            prop_assert_eq!(blamed, BTreeSet::from([a, b]));
        }

        /// For all fleets: healthy hosts are not blamed.
        #[test]
        fn nobody_is_blamed_for_nothing(n in 2u16..20) {
            prop_assert!(blamed(&mesh(n, &[])).is_empty());
        }
    }

    #[test]
    fn a_single_bad_pair_is_nobodys_fault() {
        let mut trials = mesh(8, &[]);
        trials[3].bad = true;
        let (blames, left) = explain_away(&trials, MOST);
        assert!(blames.is_empty());
        assert_eq!(left, [3]);
    }

    #[test]
    fn of_two_hosts_neither_is_blamed() {
        let trials = mesh(2, &[(0, Way::Tx)]);
        assert_eq!(explain_away(&trials, MOST).0, []);
        assert_eq!(explain_away(&trials, ANY).0, []);
    }
}
