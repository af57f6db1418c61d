//! Which host stands in which rack, and which crossings from one rack to another are bad as a whole.
//!
//! # Rule
//!
//! A crossing is bad when most of what was measured over it is, from most of the first rack's hosts, and
//! within both racks next to nothing is, once the pairs of hosts that are sick within their own rack are
//! left out; and no single host has its part in all of the bad ones. Of what never happens on healthy ways
//! a few bad ones tell, if several senders and several receivers have their part in them and none lies
//! within a rack.
//!
//! # What does not belong here
//!
//! What makes a trial bad: its detector's. What is said of a crossing: `symptom`.

use std::collections::{BTreeMap, BTreeSet};

use crate::model::{
    fleet::host::HostId,
    judge::{
        localise::{self, ANY, MOST, Pairs, Rule, Trial},
        poisson::Share,
        seen::Seen,
    },
};

/// Hosts of a rack below which its uplink cannot be told from a host.
const HOSTS_MIN: usize = 3;

/// Share of a crossing's trials, and of its hosts, that must be bad.
pub(super) const CROSSING_MIN: f64 = 0.6;

/// Share of the trials within the racks that may be bad.
pub(super) const WITHIN_MAX: f64 = 0.2;

/// Senders, and receivers, that must have their part in what is bad: of a large fleet most crossings are
/// measured once or twice, and what one host has its part in alone may be that host's.
pub(super) const ENDS_MIN: usize = 2;

/// Bad trials of a crossing below which two hosts' being sick may be all.
const BAD_MIN: usize = 3;

/// From one rack to another.
pub type Crossing = (String, String);

/// The racks of all hosts; of none where their uplinks cannot be told from hosts.
#[derive(Clone, Debug, Default)]
pub struct Racks(BTreeMap<HostId, String>);

/// Trials by where they lie: on crossings, and within racks.
#[derive(Default)]
struct Lie<'a> {
    across: BTreeMap<Crossing, Vec<&'a Trial>>,
    within: BTreeMap<&'a String, Vec<&'a Trial>>,
}

impl Racks {
    /// Of a fleet.
    pub fn of(seen: &Seen) -> Self {
        let racks: BTreeMap<HostId, String> =
            seen.hosts.iter().filter_map(|host| Some((host.id, host.rack.clone()?))).collect();
        let mut sizes: BTreeMap<&String, usize> = BTreeMap::new();
        for rack in racks.values() {
            *sizes.entry(rack).or_default() += 1;
        }
        let told = sizes.len() > 1 && sizes.values().all(|hosts| *hosts >= HOSTS_MIN);
        Self(if told { racks } else { BTreeMap::new() })
    }

    /// Whether uplinks can be told from hosts at all.
    pub fn are_told(&self) -> bool {
        !self.0.is_empty()
    }

    /// The rack of a host.
    pub fn rack(&self, host: HostId) -> Option<&String> {
        self.0.get(&host)
    }

    /// Their names, in order.
    pub fn names(&self) -> BTreeSet<&String> {
        self.0.values().collect()
    }

    /// What lies between two hosts; `None` within a rack.
    pub fn crossing(&self, from: HostId, to: HostId) -> Option<Crossing> {
        let (from, to) = (self.rack(from)?, self.rack(to)?);
        (from != to).then(|| (from.clone(), to.clone()))
    }

    /// Whether what lies between two hosts is one of these crossings.
    pub fn lie_on(&self, crossings: &BTreeMap<Crossing, f64>, from: HostId, to: HostId) -> bool {
        self.crossing(from, to).is_some_and(|crossing| crossings.contains_key(&crossing))
    }

    /// The crossings most of whose trials are bad, with the share that was.
    pub fn bad(&self, trials: &[Trial]) -> BTreeMap<Crossing, f64> {
        let Lie { across, within } = self.lie(trials, MOST);
        let clean = |rack: &String| within.get(rack).is_none_or(|own| share(own) <= WITHIN_MAX);
        let is_bad = |(crossing, own): &(Crossing, Vec<&Trial>)| {
            let all: BTreeSet<HostId> = own.iter().map(|trial| trial.from).collect();
            let hit: BTreeSet<HostId> =
                own.iter().filter(|trial| trial.bad).map(|trial| trial.from).collect();
            let most = share(own) >= CROSSING_MIN && hit.len() as f64 >= CROSSING_MIN * all.len() as f64;
            let enough = own.iter().filter(|trial| trial.bad).count() >= BAD_MIN && are_of_several(own);
            most && enough && clean(&crossing.0) && clean(&crossing.1)
        };
        across.into_iter().filter(is_bad).map(|(crossing, own)| (crossing, share(&own))).collect()
    }

    /// The crossings of which any trial is bad that no single host can explain, and none within their racks.
    pub fn ever_bad(&self, trials: &[Trial]) -> BTreeMap<Crossing, f64> {
        let Lie { across, within } = self.lie(trials, ANY);
        let clean = |rack: &String| within.get(rack).is_none_or(|own| own.iter().all(|trial| !trial.bad));
        let is_bad = |(crossing, own): &(Crossing, Vec<&Trial>)| {
            are_of_several(own) && clean(&crossing.0) && clean(&crossing.1)
        };
        across.into_iter().filter(is_bad).map(|(crossing, own)| (crossing, share(&own))).collect()
    }

    /// Takes the pairs out that lie on crossings most of whose pairs are bad; these crossings.
    pub fn set_apart(&self, pairs: &mut Pairs, is_bad: impl Fn(Share) -> bool) -> BTreeMap<Crossing, f64> {
        let crossings = self.bad(&localise::trials(pairs, is_bad));
        pairs.retain(|(from, to), _| !self.lie_on(&crossings, *from, *to));
        crossings
    }

    /// Where trials lie, without those of hosts that are sick within their own rack: these say nothing of it.
    fn lie<'a>(&'a self, trials: &'a [Trial], rule: Rule) -> Lie<'a> {
        let near: Vec<Trial> =
            trials.iter().copied().filter(|trial| self.crossing(trial.from, trial.to).is_none()).collect();
        let (sick, _) = localise::explain_away(&near, rule);
        let is_sick = |trial: &Trial| sick.iter().any(|side| trial.touches(side.host, side.way));
        let mut lie = Lie::default();
        for trial in trials.iter().filter(|trial| !is_sick(trial)) {
            match (self.crossing(trial.from, trial.to), self.rack(trial.from)) {
                (Some(crossing), _) => lie.across.entry(crossing).or_default().push(trial),
                (None, Some(rack)) => lie.within.entry(rack).or_default().push(trial),
                (None, None) => {}
            }
        }
        lie
    }
}

/// Whether several senders and several receivers have their part in the bad ones.
fn are_of_several(trials: &[&Trial]) -> bool {
    let ends = |of: fn(&Trial) -> HostId| {
        trials.iter().filter(|trial| trial.bad).map(|trial| of(trial)).collect::<BTreeSet<_>>().len()
    };
    ends(|trial| trial.from) >= ENDS_MIN && ends(|trial| trial.to) >= ENDS_MIN
}

fn share(trials: &[&Trial]) -> f64 {
    trials.iter().filter(|trial| trial.bad).count() as f64 / trials.len().max(1) as f64
}
