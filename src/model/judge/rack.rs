//! What crosses the boundary of a rack as a whole: an uplink that loses or is slow, and no host.
//!
//! # Rule
//!
//! Before hosts are looked at: what most pairs that cross from one rack to another show, and next to none
//! within both (`map`), is told of the crossing, symptom by symptom (`symptom`), and left out when hosts are
//! looked at. Of several symptoms the gravest is told. An uplink that carries less one way than the other is
//! a fault; one that carries less both ways alike, without loss, is congested: it may have been built so
//! (`narrow`).
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
    loss::{self, Paced},
    seen::Seen,
    summary::{Finding, FindingKind, Severity},
};
use crate::model::{fleet::host::HostId, plan::layout::FlowId};
use narrow::Carried;

pub(super) mod cut;
mod map;
mod narrow;
pub(super) mod stuck;
mod symptom;

pub use map::{Crossing, Racks};
pub use symptom::Symptom;

/// How much two directions may differ for an uplink to be merely congested.
const ALIKE: f64 = 0.15;

/// The same of the most that each ever carried: of a handful of rounds single ones tell less than medians.
const ALIKE_AT_BEST: f64 = 2.0 * ALIKE;

/// The number of a finding that says of what share of its pairs a symptom was seen.
const PAIRS_SHARE: &str = "pairs_share";

/// Limited rounds below which an uplink is not called slow: two are two slow hosts' meeting.
const FAULT_ROUNDS_MIN: usize = 3;

/// … unless so many pairs were slow in them: three a round are more than two slow hosts make.
const FAULT_PAIRS_MIN: usize = 6;

/// What is the matter with crossings: of what share of their pairs it was seen.
pub type Symptoms = BTreeMap<(Crossing, Symptom), f64>;

/// Crossings that are bad as a whole.
#[derive(Clone, Debug, Default)]
pub struct Crossings {
    racks: Racks,
    symptoms: Symptoms,
    narrow: BTreeMap<Crossing, Carried>,
    crowded: BTreeSet<FlowId>,
    /// The most that each carried at once, bits per second.
    most_bps: BTreeMap<Crossing, f64>,
}

impl Crossings {
    /// Of a record, as far as rates and losses tell; and what its paced flows lost where no crossing was
    /// crowded, on which that rests.
    pub fn of<'a>(seen: &'a Seen, racks: &Racks, falls: &[Fall]) -> (Self, Paced<'a>) {
        let mut crossings = Self { racks: racks.clone(), ..Self::default() };
        if racks.are_told() {
            (crossings.narrow, crossings.most_bps) = narrow::of(&crossings, seen, falls);
            crossings.crowded = narrow::crowded(&crossings, seen);
        }
        let paced = Paced::of(seen, falls, &crossings);
        let lossy = racks.bad(&loss::trials(&paced)).into_iter();
        crossings.symptoms.extend(lossy.map(|(crossing, share)| ((crossing, Symptom::Loss), share)));
        (crossings, paced)
    }

    /// Takes what other detectors found of them.
    pub fn take(&mut self, symptoms: Symptoms) {
        self.symptoms.extend(symptoms);
    }

    /// Whether what was lost between two hosts is the doing of a lossy crossing.
    pub fn loses(&self, from: HostId, to: HostId) -> bool {
        let crossing = self.racks.crossing(from, to);
        crossing.is_some_and(|crossing| self.symptoms.contains_key(&(crossing, Symptom::Loss)))
    }

    /// Whether a flow's round asked more of a narrow crossing than it carries.
    pub fn is_crowded(&self, flow: FlowId) -> bool {
        self.crowded.contains(&flow)
    }

    /// Whether what passes between two hosts crosses what is bad as a whole.
    pub fn troubles(&self, a: HostId, b: HostId) -> bool {
        [self.racks.crossing(a, b), self.racks.crossing(b, a)].iter().flatten().any(|crossing| {
            self.narrow.contains_key(crossing) || self.symptoms.keys().any(|(own, _)| own == crossing)
        })
    }

    /// Findings on crossings: of each two racks the gravest symptom, each way in which it shows.
    pub fn findings(&self) -> Vec<Finding> {
        let mut found: Vec<Finding> = Vec::new();
        for ((crossing, symptom), share) in &self.symptoms {
            let back = (crossing.1.clone(), crossing.0.clone());
            if self.gravest(crossing) != Some(*symptom) {
                continue;
            }
            let shows_back = self.symptoms.get(&(back.clone(), *symptom));
            // Told once, of the way that comes first.
            if shows_back.is_none() || crossing < &back {
                found.push(bad(crossing, *symptom, *share, shows_back.copied()));
            }
        }
        let slow = self
            .narrow
            .iter()
            .filter(|(crossing, _)| self.gravest(crossing).is_none_or(|symptom| !symptom.slows()));
        found.extend(slow.map(|(crossing, carried)| self.narrow_finding(crossing, *carried)));
        found
    }

    /// The gravest that shows between two racks, either way; none that follows from their uplink's being
    /// narrow.
    fn gravest(&self, crossing: &Crossing) -> Option<Symptom> {
        let is_theirs = |(from, to): &Crossing| {
            (from, to) == (&crossing.0, &crossing.1) || (to, from) == (&crossing.0, &crossing.1)
        };
        let is_narrow = self.narrow.keys().any(is_theirs);
        let own = self.symptoms.keys().filter(|(other, _)| is_theirs(other)).map(|(_, symptom)| *symptom);
        own.filter(|symptom| !(is_narrow && *symptom == Symptom::LateUnderLoad)).min()
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

/// The finding on a crossing that is bad as a whole, and back where it is so too.
fn bad((from, to): &Crossing, symptom: Symptom, share: f64, back: Option<f64>) -> Finding {
    let (pairs, way) = symptom.words();
    let and_back = if back.is_some() { " and back" } else { "" };
    let most = back.map_or(share, |back| back.max(share));
    let what = format!(
        "{:.0} % of the pairs from rack {from} to rack {to}{and_back} {pairs}, and next to none within the racks: the way between them {way}",
        most * 100.0
    );
    let number = (PAIRS_SHARE, most);
    if symptom.is_fault() {
        let text =
            format!("{what}, not a host; look at the uplink's ports, optics and members on both sides");
        crossing(FindingKind::RackUplink, Severity::Fail, text, number)
    } else {
        let text = format!("{what}; no host is accused of it");
        crossing(FindingKind::SharedCongestion, Severity::Info, text, number)
    }
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
