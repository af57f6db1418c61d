//! Packets that arrived with a wrong checksum, where too few for their loss to tell: whose card
//! damages them.
//!
//! # Rule
//!
//! Kernels count them once a second. A second that lies in rounds in which a host receives from one
//! other alone is told of that pair; of two rounds with different partners it is told of neither. A
//! pair is bad when anything was counted in its seconds. The side that explains the bad pairs is
//! found by explain-away, and is at fault with at least [`ERRORS_MIN`] of them: a healthy fleet has
//! none, for what a cable damages the frame's own check drops before.
//!
//! # Source
//!
//! Stone and Partridge, "When the CRC and TCP checksum disagree" (SIGCOMM 2000): what arrives so was
//! damaged in a host, a card or a switch's memory. In the lab 2 in 10,000 such packets marked 13 of
//! the 14 pairs of a sick host, and no other.
//!
//! # What does not belong here
//!
//! Where so many are damaged that packets are lost: `loss`. Payload that was compared: `corruption`.

use super::{
    cause,
    localise::{self, MOST, Pairs},
    poisson::Share,
    rack::{Racks, Symptom},
    seen::{RoundSeen, Seen, Way},
    summary::{Finding, FindingKind, Severity},
    ways::Found,
};
use crate::model::{
    fleet::{
        host::HostId,
        units::{RunTime, SLOT_US},
    },
    plan::{dose::Pattern, layout::StageKind},
};

/// Damaged packets of a side below which nothing is said: one or two are a cosmic ray's.
const ERRORS_MIN: u64 = 5;

/// The number of a finding that says how many were counted.
pub const CHECKSUM_ERRORS: &str = "checksum_errors";

/// The number that says of how many pairs: only findings of this rule have it.
pub const DAMAGED_PAIRS: &str = "damaged_pairs";

/// What a kernel counted between two readings.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Counted {
    /// Since when.
    pub since: RunTime,
    /// Until when.
    pub at: RunTime,
    /// Packets whose checksum was wrong.
    pub errors: u64,
}

/// Of each pair, from one host to another: seconds told of it alone, and what was counted in them.
fn pairs(seen: &Seen, kind: StageKind) -> Pairs {
    let mut pairs = Pairs::new();
    for (to, told) in &seen.checksums {
        for counted in told {
            if let Some(from) = only_sender(seen, kind, *to, counted) {
                pairs.entry((from, *to)).or_default().add(Share { events: counted.errors, of: 1 });
            }
        }
    }
    pairs
}

/// From whom alone a host was to receive while this was counted.
fn only_sender(seen: &Seen, kind: StageKind, to: HostId, counted: &Counted) -> Option<HostId> {
    let (since, at) = (counted.since.0 / SLOT_US, counted.at.0 / SLOT_US);
    let begun = seen.rounds.partition_point(|round| round.start <= at);
    // In the order of their beginning, and none lies within another.
    let during = seen.rounds[..begun].iter().rev().take_while(|round| round.end > since);
    let mut senders: Vec<HostId> = Vec::new();
    for round in during {
        let Some(part) = round.by_host.get(&to).filter(|part| !part.rx.is_empty()) else { continue };
        if !tells(round, kind) {
            return None;
        }
        senders.extend(part.rx.iter().filter_map(|flow| seen.flows.get(flow)).map(|flow| flow.from));
    }
    let first = *senders.first()?;
    senders.iter().all(|sender| *sender == first).then_some(first)
}

fn tells(round: &RoundSeen, kind: StageKind) -> bool {
    round.kind == kind && round.dose.pattern == Pattern::Pairs
}

/// Findings of damaged packets.
pub fn findings(seen: &Seen, racks: &Racks) -> Found {
    if seen.checksums.values().flatten().all(|counted| counted.errors == 0) {
        return Found::default();
    }
    let mut pairs = pairs(seen, StageKind::Load);
    let is_bad = |share: Share| share.events > 0;
    let crossings = racks.set_apart(&mut pairs, is_bad);
    let trials = localise::trials(&pairs, is_bad);
    let (blames, _) = localise::explain_away(&trials, MOST);
    let hosts = localise::by_host(&blames).into_iter().filter_map(|(host, sides)| {
        let places: Vec<usize> = sides.iter().flat_map(|side| side.trials.iter().copied()).collect();
        let errors = places.iter().map(|place| trials[*place].weight as u64).sum();
        let damaged = places.iter().filter(|place| trials[**place].bad).count();
        let ways: Vec<Way> = sides.iter().map(|side| side.way).collect();
        (errors >= ERRORS_MIN).then(|| (host, finding(seen, host, &ways, errors, damaged)))
    });
    Found::on_hosts(hosts.collect()).with(Symptom::Damage, crossings)
}

fn finding(seen: &Seen, host: HostId, ways: &[Way], errors: u64, pairs: usize) -> Finding {
    let direction = Way::together(ways.iter().copied());
    let text = format!(
        "{} changes what it {}: checksums caught {errors} packets in {pairs} of its pairs with others; look at its memory, its card's checksum offload (ethtool -k) and its firmware",
        seen.name(host),
        direction.verb(),
    );
    let mut finding = cause::bare(FindingKind::Corruption, Severity::Fail, &[], text);
    finding.direction = Some(direction);
    let numbers = [(CHECKSUM_ERRORS, errors as f64), (DAMAGED_PAIRS, pairs as f64)];
    finding.numbers = cause::numbers(numbers);
    finding
}

/// Whether a side's packets were damaged again with one partner while suspects were tried.
pub fn reproduced(seen: &Seen, host: HostId, way: Way, partner: HostId) -> Option<bool> {
    let pair = way.ends(host, partner);
    pairs(seen, StageKind::Confirm).get(&pair).map(|share| share.events > 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::judge::{summary::Direction, tests::field::Field};

    /// Of eight hosts in pairs, one after the other; what each receiver's kernel counts in a round.
    fn found(errors: impl Fn(u16, u16) -> u64) -> Vec<(u16, Option<Direction>)> {
        let mut field = Field::of(8);
        field.pairs(|_, _| 60e6);
        count(&mut field, errors);
        findings(&field.seen, &Racks::default())
            .hosts
            .into_iter()
            .map(|(host, finding)| (host.0, finding.direction))
            .collect()
    }

    fn count(field: &mut Field, errors: impl Fn(u16, u16) -> u64) {
        let at = |slot: u64| RunTime(slot * SLOT_US);
        for flow in field.seen.flows.values() {
            let round = &field.seen.rounds[flow.round];
            let counted = Counted {
                since: at(round.start),
                at: at(round.end - 1),
                errors: errors(flow.from.0, flow.to.0),
            };
            field.seen.checksums.entry(flow.to).or_default().push(counted);
        }
    }

    #[test]
    fn the_side_whose_pairs_are_damaged_is_told() {
        assert_eq!(found(|_, _| 0), []);
        assert_eq!(found(|from, _| u64::from(from == 2)), [(2, Some(Direction::Tx))]);
        assert_eq!(found(|_, to| u64::from(to == 2)), [(2, Some(Direction::Rx))]);
        let both = |from, to| u64::from(from == 2 || to == 2);
        assert_eq!(found(both), [(2, Some(Direction::Both))]);
        assert_eq!(found(|from, to| u64::from((from, to) == (2, 3)) * 100), [], "a single pair");
        assert_eq!(found(|from, to| u64::from(from == 2 && to > 5)), [], "two packets");
    }

    #[test]
    fn what_was_counted_across_two_partners_rounds_is_told_of_neither() {
        let mut field = Field::of(8);
        field.pairs(|_, _| 60e6);
        let mine: Vec<(u64, u64)> = field
            .seen
            .flows
            .values()
            .filter(|flow| flow.to == HostId(2))
            .map(|flow| (field.seen.rounds[flow.round].start, field.seen.rounds[flow.round].end))
            .collect();
        let (first, last) = (mine[0].0, mine[mine.len() - 1].1);
        let counted = Counted { since: RunTime(first * SLOT_US), at: RunTime(last * SLOT_US), errors: 900 };
        assert_eq!(only_sender(&field.seen, StageKind::Load, HostId(2), &counted), None);
        let one = Counted { at: RunTime((mine[0].1 - 1) * SLOT_US), ..counted };
        assert!(only_sender(&field.seen, StageKind::Load, HostId(2), &one).is_some());
        assert_eq!(only_sender(&field.seen, StageKind::Confirm, HostId(2), &one), None);
    }
}
