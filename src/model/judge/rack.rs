//! What crosses the boundary of a rack as a whole: an uplink that loses or is slow, and no host.
//!
//! # Rule
//!
//! Before hosts are looked at: from one rack to another most of what was measured is bad, from
//! most of the first rack's hosts, and within both racks next to nothing is, once the pairs of
//! hosts that are sick within their own rack are left out. Such crossings are told as the
//! fleet's, and left out when hosts are looked at. An uplink that loses packets at
//! half load, or that carries less one way than the other, is a fault; one that carries less
//! both ways alike, without loss, is congested: it may have been built so (`narrow`).
//!
//! With fewer than [`HOSTS_MIN`] hosts in a rack an uplink cannot be told from a host.
//!
//! # Source
//!
//! Simulations of 8 racks of 12 hosts with an uplink at 60 % and two sick hosts: without this
//! step six or seven healthy hosts were blamed, with it none. R-Pingmesh's authors: two cards in
//! a rack are undecidable.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    cause::{self, rate_text},
    falls::Fall,
    localise::{self, MOST, Trial},
    loss::{self, Paced},
    seen::Seen,
    summary::{Finding, FindingKind, Severity},
};
use crate::model::{fleet::host::HostId, plan::layout::FlowId};
use narrow::Carried;

pub(super) mod cut;
mod narrow;

/// Hosts of a rack below which its uplink cannot be told from a host.
const HOSTS_MIN: usize = 3;

/// Share of a crossing's trials, and of its hosts, that must be bad.
const CROSSING_MIN: f64 = 0.6;

/// Share of the trials within the racks that may be bad.
const WITHIN_MAX: f64 = 0.2;

/// How much two directions may differ for an uplink to be merely congested.
const ALIKE: f64 = 0.15;

/// The same of the most that each ever carried: of a handful of rounds single ones tell less than medians.
const ALIKE_AT_BEST: f64 = 2.0 * ALIKE;

/// Limited rounds below which an uplink is not called slow: two are two slow hosts' meeting.
const FAULT_ROUNDS_MIN: usize = 3;

/// … unless so many pairs were slow in them: three a round are more than two slow hosts make.
const FAULT_PAIRS_MIN: usize = 6;

/// From one rack to another.
type Crossing = (String, String);

/// Crossings that are bad as a whole.
#[derive(Clone, Debug, Default)]
pub struct Crossings {
    racks: BTreeMap<HostId, String>,
    lossy: BTreeMap<Crossing, f64>,
    narrow: BTreeMap<Crossing, Carried>,
    crowded: BTreeSet<FlowId>,
    /// The most that each carried at once, bits per second.
    most_bps: BTreeMap<Crossing, f64>,
}

impl Crossings {
    /// Of a record; and what its paced flows lost where no crossing was crowded, on which that rests.
    pub fn of<'a>(seen: &'a Seen, falls: &[Fall]) -> (Self, Paced<'a>) {
        let racks = racks(seen);
        if racks.is_empty() {
            let none = Self::default();
            let paced = Paced::of(seen, falls, &none);
            return (none, paced);
        }
        let mut crossings = Self { racks, ..Self::default() };
        (crossings.narrow, crossings.most_bps) = narrow::of(&crossings, seen, falls);
        crossings.crowded = narrow::crowded(&crossings, seen);
        let paced = Paced::of(seen, falls, &crossings);
        crossings.lossy = crossings.bad(&loss::trials(&paced));
        (crossings, paced)
    }

    fn of_pair(&self, from: HostId, to: HostId) -> Option<Crossing> {
        let (from, to) = (self.racks.get(&from)?, self.racks.get(&to)?);
        (from != to).then(|| (from.clone(), to.clone()))
    }

    /// Whether what was measured between two hosts is the doing of a lossy crossing.
    pub fn loses(&self, from: HostId, to: HostId) -> bool {
        self.of_pair(from, to).is_some_and(|crossing| self.lossy.contains_key(&crossing))
    }

    /// Whether a flow's round asked more of a narrow crossing than it carries.
    pub fn is_crowded(&self, flow: FlowId) -> bool {
        self.crowded.contains(&flow)
    }

    /// Whether what passes between two hosts crosses what loses or carries too little.
    pub fn troubles(&self, a: HostId, b: HostId) -> bool {
        [self.of_pair(a, b), self.of_pair(b, a)]
            .iter()
            .flatten()
            .any(|crossing| self.lossy.contains_key(crossing) || self.narrow.contains_key(crossing))
    }

    /// The crossings whose trials are bad as a whole, with the share that was.
    fn bad(&self, trials: &[Trial]) -> BTreeMap<Crossing, f64> {
        let mut across: BTreeMap<Crossing, Vec<&Trial>> = BTreeMap::new();
        let mut within: BTreeMap<&String, Vec<&Trial>> = BTreeMap::new();
        // A sick host's own pairs say nothing of its rack.
        let near: Vec<Trial> =
            trials.iter().copied().filter(|trial| self.of_pair(trial.from, trial.to).is_none()).collect();
        let (sick, _) = localise::explain_away(&near, MOST);
        let is_sick = |trial: &Trial| sick.iter().any(|side| trial.touches(side.host, side.way));
        for trial in trials.iter().filter(|trial| !is_sick(trial)) {
            match (self.of_pair(trial.from, trial.to), self.racks.get(&trial.from)) {
                (Some(crossing), _) => across.entry(crossing).or_default().push(trial),
                (None, Some(rack)) => within.entry(rack).or_default().push(trial),
                (None, None) => {}
            }
        }
        let share = |trials: &[&Trial]| {
            trials.iter().filter(|trial| trial.bad).count() as f64 / trials.len().max(1) as f64
        };
        let clean = |rack: &String| within.get(rack).is_none_or(|own| share(own) <= WITHIN_MAX);
        across
            .into_iter()
            .filter_map(|(crossing, own)| {
                let all: BTreeSet<HostId> = own.iter().map(|trial| trial.from).collect();
                let hit: BTreeSet<HostId> =
                    own.iter().filter(|trial| trial.bad).map(|trial| trial.from).collect();
                let most = share(&own) >= CROSSING_MIN && hit.len() as f64 >= CROSSING_MIN * all.len() as f64;
                let bad = most && clean(&crossing.0) && clean(&crossing.1);
                bad.then(|| (crossing, share(&own)))
            })
            .collect()
    }

    /// Findings on crossings.
    pub fn findings(&self) -> Vec<Finding> {
        let lossy = self.lossy.iter().map(|((from, to), share)| {
            let text = format!(
                "{:.0} % of the pairs from rack {from} to rack {to} lose packets at half load, and next to none within the racks: the way between them loses, not a host; look at the uplink's ports, optics and members on both sides",
                share * 100.0
            );
            crossing(FindingKind::RackUplink, Severity::Fail, text, ("lossy_pairs_share", *share))
        });
        let narrow = self.narrow.iter().filter(|(crossing, _)| !self.lossy.contains_key(*crossing));
        lossy.chain(narrow.map(|(crossing, carried)| self.narrow_finding(crossing, *carried))).collect()
    }

    fn narrow_finding(&self, own: &Crossing, carried: Carried) -> Finding {
        let Carried { bps, rounds, pairs, usual_bps } = carried;
        let (from, to) = own;
        let back = (to.clone(), from.clone());
        let most_bps = |crossing: &Crossing| self.most_bps.get(crossing).copied();
        let back_bps = self.narrow.get(&back).map(|back| back.bps).or_else(|| most_bps(&back));
        let what = format!(
            "from rack {from} to rack {to} all pairs together carry {} where each carries {} within a rack",
            rate_text(Some(bps)),
            rate_text(Some(usual_bps)),
        );
        let number = ("crossing_bps", bps.round());
        let sure = rounds >= FAULT_ROUNDS_MIN || pairs >= FAULT_PAIRS_MIN;
        let is_more = |back: Option<f64>, own: Option<f64>, alike: f64| {
            back.zip(own).is_some_and(|(back, own)| (back / own).ln() > alike)
        };
        // Answers to what goes the other way stand in this one's queue, and slow it while both are busy:
        // what each carried at its best tells them apart then.
        let at_best = is_more(most_bps(&back), most_bps(own), ALIKE_AT_BEST);
        if sure && (at_best || is_more(back_bps, Some(bps), ALIKE)) {
            let text = format!(
                "{what}, and more the other way: the uplink is slow in that direction; look at its ports and members on both sides"
            );
            return crossing(FindingKind::RackUplink, Severity::Fail, text, number);
        }
        let text = format!(
            "{what}, and not clearly more the other way: the uplink is shared by more than it carries; no host is accused of it"
        );
        crossing(FindingKind::SharedCongestion, Severity::Info, text, number)
    }
}

/// The racks of all hosts; none where their uplinks cannot be told from hosts.
fn racks(seen: &Seen) -> BTreeMap<HostId, String> {
    let racks: BTreeMap<HostId, String> =
        seen.hosts.iter().filter_map(|host| Some((host.id, host.rack.clone()?))).collect();
    let mut sizes: BTreeMap<&String, usize> = BTreeMap::new();
    for rack in racks.values() {
        *sizes.entry(rack).or_default() += 1;
    }
    let told = sizes.len() > 1 && sizes.values().all(|hosts| *hosts >= HOSTS_MIN);
    if told { racks } else { BTreeMap::new() }
}

fn crossing(kind: FindingKind, severity: Severity, text: String, number: (&str, f64)) -> Finding {
    let mut finding = cause::bare(kind, severity, &[], text);
    // Many hosts of two racks see it alike, and none within them.
    finding.confirmed = (severity == Severity::Fail).then_some(true);
    finding.numbers.insert(number.0.to_owned(), Some(number.1));
    finding
}

#[cfg(test)]
mod tests;
