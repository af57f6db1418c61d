//! The way between two hosts that neither of them explains: where their bytes fell, where both lose
//! packets with each other alone, and where probes alone tell of it.
//!
//! # What does not belong here
//!
//! Whose a fall is: `explain`. Which pairs lose: `loss::paths`. Which are silent: `outage::between`.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    cause, contact,
    explain::Explained,
    falls::Fall,
    files,
    loss::{self, Paced},
    outage::between::{self, Silence},
    rack::Crossings,
    seen::Seen,
    summary::{Finding, FindingKind, Severity},
};
use crate::model::fleet::host::HostId;

/// Two hosts, the lower number first.
pub type Pair = (HostId, HostId);

/// Findings on pairs of hosts that neither of them explains.
pub fn findings(
    seen: &Seen,
    falls: &[Fall],
    explained: &Explained,
    crossings: &Crossings,
    paced: &Paced<'_>,
    by_themselves: Vec<(Pair, Finding)>,
    hosts: &BTreeMap<HostId, Vec<Finding>>,
) -> Vec<Finding> {
    let fails = |host: HostId| {
        hosts.get(&host).into_iter().flatten().filter(|finding| finding.severity == Severity::Fail)
    };
    // Nor is a way bad on which a filter lies.
    let is_filtered =
        |host: HostId| hosts.get(&host).into_iter().flatten().any(|finding| contact::untests(finding.kind));
    let is_sick = |host: HostId| fails(host).next().is_some() || is_filtered(host);
    // What happens beside a host that is sick anyway is that host's, and what happens on a crossing
    // that has no room for everybody is the crossing's.
    let is_theirs = |a: HostId, b: HostId| is_sick(a) || is_sick(b) || crossings.troubles(a, b);
    // A dead queue takes some pairs whole, and these again and again; so does a wrong neighbour entry.
    let takes_pairs = |host: HostId| {
        fails(host)
            .any(|finding| matches!(finding.kind, FindingKind::DeadQueue | FindingKind::NeighbourFailure))
    };
    let mut found: BTreeMap<Pair, Finding> = BTreeMap::new();
    for ((a, b), indices) in &explained.paths {
        let own = indices.iter().map(|index| &falls[*index]);
        let own: Vec<&Fall> = own.filter(|fall| !files::stood_still(seen, fall)).collect();
        let Some(first) = own.first() else { continue };
        let again = own.iter().any(|fall| fall.round != first.round);
        // One silence may be theirs; who falls silent with the same one again is a path.
        if (again || !is_theirs(*a, *b)) && !takes_pairs(*a) && !takes_pairs(*b) {
            found.insert((*a, *b), path(seen, *a, *b, &own));
        }
    }
    for ((a, b), finding) in loss::paths::findings(seen, paced, crossings).into_iter().chain(by_themselves) {
        if !is_theirs(a, b) {
            // What fell silent loses too.
            found.entry((a, b)).or_insert(finding);
        }
    }
    for ((a, b), silences) in between::silences(seen) {
        if !is_theirs(a, b) {
            found.entry((a, b)).or_insert_with(|| unanswered(seen, (a, b), &silences));
        }
    }
    found.into_values().collect()
}

/// Of a fleet of two.
const UNTOLD: &str = "of two hosts nobody can tell which; run with more hosts, or look at both ends' links, settings and counters";

/// What does not show elsewhere, of what shows on a path.
pub const NEXT_TO_NONE: &str = "next to none between either and the others";

/// The finding on a pair of which something shows that does not of either with others: seen by several
/// flows or echoes, and as many with others did not.
pub fn worse(seen: &Seen, what: &str, with_others: &str) -> Finding {
    let text = if seen.is_of_two() {
        format!("{what}: it is one of the two, or the way between them, and {UNTOLD}")
    } else {
        format!(
            "{what}, and {with_others}: it is the way between the two, or one of its members; trace it with the ports of these flows, and look at the links on it"
        )
    };
    let mut finding = cause::bare(FindingKind::Path, Severity::Fail, &[], text);
    finding.confirmed = Some(true);
    finding
}

/// The finding on a pair that did not reach each other while probes alone tell of it.
fn unanswered(seen: &Seen, (a, b): Pair, silences: &[Silence]) -> Finding {
    let longest_s = silences.iter().map(Silence::for_s).fold(0.0, f64::max);
    let rest = if silences.iter().any(|silence| silence.to_the_end) { ", the last to the end" } else { "" };
    let text = format!(
        "nothing that {} and {} asked of each other was answered, {}, for up to {longest_s:.1} s{rest}, while both answered everybody else: the way between the two was cut, or one of its members; trace it, and look at the links on it",
        seen.name(a),
        seen.name(b),
        cause::often(silences.len()),
    );
    let mut finding = cause::bare(FindingKind::Path, Severity::Fail, &[], text);
    finding.first_seen_s = silences.first().map(Silence::since_s);
    finding.confirmed = Some(true);
    finding.numbers.insert("silences".to_owned(), Some(silences.len() as f64));
    finding.numbers.insert("longest_s".to_owned(), Some(longest_s));
    finding
}

/// The finding on a pair that fell together, and nobody knows which.
pub fn path(seen: &Seen, a: HostId, b: HostId, falls: &[&Fall]) -> Finding {
    let rounds: BTreeSet<usize> = falls.iter().map(|fall| fall.round).collect();
    let lasting = falls.iter().any(|fall| fall.for_s().is_none_or(|length| length >= between::FAIL_S));
    let severity = if rounds.len() > 1 || lasting { Severity::Fail } else { Severity::Info };
    let both = falls.iter().filter(|fall| fall.host == a).count().max(1);
    let text = format!(
        "nothing passed between {} and {}, {}, and from outside it cannot be told which end is at fault; run with more hosts, or look at both ends' links and counters",
        seen.name(a),
        seen.name(b),
        cause::often(both),
    );
    let mut finding = cause::bare(FindingKind::Path, severity, falls, text);
    finding.confirmed = (severity == Severity::Fail).then_some(true);
    finding.numbers.insert("drop_offs".to_owned(), Some(falls.len() as f64));
    finding
}
