//! Two hosts that are slow with each other alone: their path's doing.
//!
//! # Rule
//!
//! All of their flows with each other, both ways together and at least [`FLOWS_MIN`], carry less than
//! [`CARRIES_MAX`] of their class, and those that either has with others at the median what their class does.
//! Or all flows one way, in at least [`ONE_WAY_MIN`] rounds, carry less than [`ONE_WAY_MAX`], where the other way
//! is as good as theirs with others: a policer or a broken link on the way there. Of a fleet of two, one way carries less than the other, and nobody can tell which end is why.

use std::collections::BTreeMap;

use super::{DEFICIT, FLOWS_MIN, Sample};
use crate::model::fleet::host::HostId;
use crate::model::judge::{
    cause::{self, rate_text},
    paths::{self, Pair},
    robust,
    seen::Seen,
    summary::Finding,
};

/// Share of its class that a slow path carries at most: no healthy flow of thousands was that slow in all of
/// its rounds.
const CARRIES_MAX: f64 = 0.8;

/// The same of one way alone, of which there are half as many flows.
const ONE_WAY_MAX: f64 = 0.6;

/// Rounds in which one way must have been slow.
const ONE_WAY_MIN: usize = 2;

/// Findings on such pairs.
pub(super) fn findings(seen: &Seen, samples: &[Sample]) -> Vec<(Pair, Finding)> {
    if seen.is_of_two() {
        return of_two(seen, samples).into_iter().collect();
    }
    let mut pairs: BTreeMap<Pair, Vec<&Sample>> = BTreeMap::new();
    for sample in samples {
        pairs.entry((sample.from.min(sample.to), sample.from.max(sample.to))).or_default().push(sample);
    }
    let with_others = |host, pair: &Pair| {
        let of_host = |other: &&Pair| (other.0 == host || other.1 == host) && *other != pair;
        usual(pairs.keys().filter(of_host).flat_map(|other| &pairs[other]))
    };
    let alone = |pair: &Pair| with_others(pair.0, pair) && with_others(pair.1, pair);
    let such = pairs.iter().filter_map(|(pair, own)| {
        if carry_less(own, FLOWS_MIN, CARRIES_MAX) {
            return alone(pair).then(|| (*pair, finding(seen, *pair, own)));
        }
        let (there, back): (Vec<&Sample>, Vec<&Sample>) = own.iter().partition(|it| it.from == pair.0);
        let slow = [(&there, &back), (&back, &there)]
            .into_iter()
            .find(|(slow, other)| carry_less(slow, ONE_WAY_MIN, ONE_WAY_MAX) && usual(*other))?;
        alone(pair).then(|| (*pair, one_way(seen, slow.0)))
    });
    such.collect()
}

/// Whether flows, so many at least, all carry less than a share of their class.
fn carry_less(own: &[&Sample], least: usize, share: f64) -> bool {
    own.len() >= least && own.iter().all(|it| it.x < share.ln())
}

/// Whether flows carry at the median what their class does.
fn usual<'a>(flows: impl IntoIterator<Item = &'a &'a Sample>) -> bool {
    let xs: Vec<f64> = flows.into_iter().map(|sample| sample.x).collect();
    robust::median(&xs).is_some_and(|x| x > (1.0 - DEFICIT).ln())
}

/// The finding on a fleet of two, of which one way carries less than the other: either end may be why.
fn of_two(seen: &Seen, samples: &[Sample]) -> Option<(Pair, Finding)> {
    let mut ways: BTreeMap<Pair, Vec<&Sample>> = BTreeMap::new();
    for sample in samples {
        ways.entry((sample.from, sample.to)).or_default().push(sample);
    }
    let is_slow =
        |own: &[&Sample]| own.len() >= FLOWS_MIN && own.iter().all(|it| it.x < (1.0 - DEFICIT).ln());
    let ((from, to), own) = ways.into_iter().find(|(_, own)| is_slow(own))?;
    let (bps, class_bps) = medians(&own);
    let what = format!(
        "from {} to {} {} are carried where the other way carries {}, in all {} flows",
        seen.name(from),
        seen.name(to),
        rate_text(Some(bps)),
        rate_text(Some(class_bps)),
        own.len(),
    );
    let with_others = "nothing is known of either with others";
    Some(((from.min(to), from.max(to)), told(seen, &what, with_others, &own)))
}

fn finding(seen: &Seen, (a, b): Pair, own: &[&Sample]) -> Finding {
    let (bps, class_bps) = medians(own);
    let what = format!(
        "{} and {} carry {} with each other where their class carries {}, in all {} of their flows",
        seen.name(a),
        seen.name(b),
        rate_text(Some(bps)),
        rate_text(Some(class_bps)),
        own.len(),
    );
    told(seen, &what, "with the others either carries what its class does", own)
}

/// The finding on a pair of which one way alone is slow.
fn one_way(seen: &Seen, own: &[&Sample]) -> Finding {
    let (bps, class_bps) = medians(own);
    let name = |host: Option<HostId>| host.map_or("?", |host| seen.name(host));
    let what = format!(
        "from {} to {} {} are carried where their class carries {}, in all {} rounds, and the other way as much as it does",
        name(own.first().map(|it| it.from)),
        name(own.first().map(|it| it.to)),
        rate_text(Some(bps)),
        rate_text(Some(class_bps)),
        own.len(),
    );
    told(seen, &what, "with the others either carries what its class does", own)
}

fn told(seen: &Seen, what: &str, with_others: &str, own: &[&Sample]) -> Finding {
    let (bps, class_bps) = medians(own);
    let mut finding = paths::worse(seen, what, with_others);
    let numbers =
        [("goodput_bps", bps.round()), ("class_bps", class_bps.round()), ("flows", own.len() as f64)];
    finding.numbers = cause::numbers(numbers);
    finding
}

/// What flows carry, and what their class does, bits per second.
fn medians(own: &[&Sample]) -> (f64, f64) {
    let median = |of: fn(&Sample) -> f64| {
        robust::median(&own.iter().map(|sample| of(sample)).collect::<Vec<_>>()).unwrap_or_default()
    };
    (median(|sample| sample.bps), median(|sample| sample.class_bps))
}
