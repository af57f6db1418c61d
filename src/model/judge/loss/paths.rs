//! Packets that are lost between two hosts, and by neither of them elsewhere.
//!
//! # Rule
//!
//! What no side of a host explains, and no crossing of racks, is added up for each two hosts,
//! both ways and over all paced rounds. They fail together when even chance leaves their loss
//! above [`FAIL`](super::FAIL), it is far above the fleet's, and several flows had their part
//! in it.

use std::collections::BTreeMap;

use super::{Crossings, FAIL, FLEET_FACTOR, Paced, Share, explained};
use crate::model::judge::{
    localise::Trial,
    paths::{self, Pair},
    seen::Seen,
    summary::Finding,
};

/// Flows that must have lost something: one is a moment's.
const FLOWS_MIN: usize = 2;

/// What is lost between two hosts.
#[derive(Clone, Copy, Debug, Default)]
struct Lossy {
    all: Share,
    flows: usize,
    since_s: Option<f64>,
}

/// Findings on single pairs, with the pair.
pub(in crate::model::judge) fn findings(
    seen: &Seen,
    paced: &Paced<'_>,
    crossings: &Crossings,
) -> Vec<(Pair, Finding)> {
    let mut lossy: BTreeMap<Pair, Lossy> = BTreeMap::new();
    let mut typical = 0.0_f64;
    for numbered in [true, false] {
        let lost = paced.told_by(numbered);
        let found = explained(lost, crossings);
        typical = typical.max(found.typical);
        for place in found.left {
            let Trial { from, to, .. } = found.trials[place];
            let between = lossy.entry((from.min(to), from.max(to))).or_default();
            between.all.add(found.shares[place]);
            let flows = lost
                .iter()
                .filter(|lost| (lost.flow.from, lost.flow.to) == (from, to) && lost.share.events > 0);
            for lost in flows {
                between.flows += 1;
                between.since_s = between.since_s.into_iter().chain([lost.round.start_s()]).reduce(f64::min);
            }
        }
    }
    let fails = |lossy: &Lossy| {
        lossy.flows >= FLOWS_MIN && lossy.all.at_least() > FAIL && lossy.all.rate() >= FLEET_FACTOR * typical
    };
    let found = lossy.into_iter().filter(|(_, lossy)| fails(lossy));
    found.map(|(pair, lossy)| (pair, finding(seen, pair, lossy))).collect()
}

fn finding(seen: &Seen, (a, b): Pair, Lossy { all, since_s, .. }: Lossy) -> Finding {
    let what = format!(
        "{:.1} % is lost between {} and {}, {} of {} packets",
        all.rate() * 100.0,
        seen.name(a),
        seen.name(b),
        all.events,
        all.of,
    );
    let mut finding = paths::worse(seen, &what, paths::NEXT_TO_NONE);
    finding.first_seen_s = since_s;
    finding.numbers.insert("loss_share".to_owned(), Some(all.rate()));
    finding.numbers.insert("lost".to_owned(), Some(all.events as f64));
    finding.numbers.insert("sent".to_owned(), Some(all.of as f64));
    finding
}
