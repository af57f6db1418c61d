//! Hosts that carry far less than the others while all send at once, though calibration and pair
//! rounds found nothing: what broke them came later.
//!
//! # Rule
//!
//! In rounds in which all do the same for long enough, a side's seconds are held against the
//! fleet's median of each, and that against what calibration found it to carry. A side that lacks
//! [`DEFICIT`] of it at the median is slow. Several, and more than one host in [`HOSTS_A_SICK_ONE`],
//! are no matter of single cards: small racks have their uplinks to themselves. Of who came late or lost its
//! coordinator meanwhile nothing is said: it may have had no leave to send.
//!
//! # What does not belong here
//!
//! Who grows slower within such a round: `degrading`. Who is slow between pairs: the parent.

use std::collections::BTreeMap;

use super::{DEFICIT_SHARE, cause};
use crate::model::{
    fleet::host::HostId,
    judge::{
        degrading,
        falls::Fall,
        robust,
        seen::{RoundSeen, Seen, WAYS, Way},
        summary::{Finding, FindingKind, Severity},
    },
    record::line::ContactState,
};

/// What a side must lack: streams of a storm share their ways unevenly, by a tenth and less.
const DEFICIT: f64 = 0.3;

/// So many hosts for each that may be slow, where there are several.
const HOSTS_A_SICK_ONE: usize = 8;

/// A side that is slow in a round.
struct Side {
    way: Way,
    deficit: f64,
    bps: f64,
    others_bps: f64,
    at_s: f64,
}

/// Findings of slowness in storms, by host.
pub(super) fn findings(seen: &Seen, falls: &[Fall]) -> Vec<(HostId, Finding)> {
    let mut sides: BTreeMap<HostId, Vec<Side>> = BTreeMap::new();
    // What files carry is their processes' matter too.
    let bare = |round: &&RoundSeen| !round.dose.carriage.transport.moves_a_file();
    for round in seen.rounds.iter().filter(|round| degrading::is_shared(round)).filter(bare) {
        for way in WAYS {
            for (host, side) in slow_in(seen, falls, round, way) {
                sides.entry(host).or_default().push(side);
            }
        }
    }
    if sides.len() > 1 && sides.len() * HOSTS_A_SICK_ONE > seen.hosts.len() {
        return Vec::new();
    }
    sides.into_iter().map(|(host, sides)| (host, finding(seen, host, &sides))).collect()
}

fn slow_in(seen: &Seen, falls: &[Fall], round: &RoundSeen, way: Way) -> Vec<(HostId, Side)> {
    let Some(fleet_bps) = seen.fleet_bps(way) else { return Vec::new() };
    let series = degrading::series(seen, falls, round, way);
    let fleet = degrading::medians(&series);
    let out_of_contact = |host: HostId| {
        let lost = |state: ContactState| state != ContactState::Back;
        let mut own = seen.contacts.iter().filter(|(_, contact)| contact.host == host && lost(contact.state));
        let late = seen.not_ready.get(&round.stage).is_some_and(|hosts| hosts.contains_key(&host));
        late || own.any(|(at, _)| round.slots().contains(&at.slot()))
    };
    let series = series.into_iter().filter(|(host, _)| !out_of_contact(*host));
    let slow = series.filter_map(|(host, own)| {
        // Its first second is slow start's.
        let known: Vec<(f64, f64)> =
            own.iter().zip(&fleet).skip(1).filter_map(|(own, all)| Some(((*own)?, (*all)?))).collect();
        let median = |of: fn(&(f64, f64)) -> f64| robust::median(&known.iter().map(of).collect::<Vec<_>>());
        let share = median(|(own, all)| own / all)?;
        let usual = (seen.capacity(host, way)? / fleet_bps).min(1.0);
        let deficit = 1.0 - share / usual;
        let side = Side {
            way,
            deficit,
            bps: median(|(own, _)| *own)?,
            others_bps: median(|(_, all)| *all)?,
            at_s: round.start_s(),
        };
        (known.len() >= degrading::SECONDS_MIN && deficit >= DEFICIT).then_some((host, side))
    });
    slow.collect()
}

fn finding(seen: &Seen, host: HostId, sides: &[Side]) -> Finding {
    let direction = Way::together(sides.iter().map(|side| side.way));
    let worst = sides.iter().max_by(|a, b| a.deficit.total_cmp(&b.deficit));
    let (deficit, bps, others_bps) =
        worst.map_or((0.0, 0.0, 0.0), |side| (side.deficit, side.bps, side.others_bps));
    let text = format!(
        "{} {} {:.0} % slower than the others while all send at once: {} where they carry {}; before, it was not; compare its negotiated speed, its temperature and its link's errors with a peer's, and read its log of that moment",
        seen.name(host),
        direction.verb(),
        deficit * 100.0,
        cause::rate_text(Some(bps)),
        cause::rate_text(Some(others_bps)),
    );
    let mut finding = cause::bare(FindingKind::FailSlow, Severity::Fail, &[], text);
    finding.direction = Some(direction);
    finding.first_seen_s = sides.iter().map(|side| side.at_s).reduce(f64::min);
    let numbers = [(DEFICIT_SHARE, deficit), ("goodput_bps", bps.round()), ("class_bps", others_bps.round())];
    finding.numbers = cause::numbers(numbers);
    finding
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{
        fleet::units::BitRate,
        judge::{summary::Direction, tests::field::Field},
    };

    fn found(share: impl Fn(u16, u16) -> f64) -> Vec<(u16, Option<Direction>)> {
        found_of(8, share)
    }

    fn found_of(hosts: u16, share: impl Fn(u16, u16) -> f64) -> Vec<(u16, Option<Direction>)> {
        let mut field = Field::of(hosts);
        field.storm(20, |from, to, _| 8e6 * share(from, to));
        let all = (0..hosts).map(|host| (HostId(host), (Some(bps(56e6)), Some(bps(56e6))))).collect();
        field.seen.calibrated(all);
        findings(&field.seen, &[]).into_iter().map(|(host, finding)| (host.0, finding.direction)).collect()
    }

    fn bps(bps: f64) -> BitRate {
        BitRate::from_bps(bps as u64)
    }

    #[test]
    fn who_is_slow_among_all_and_was_not_before_is_told_and_no_two_of_eight() {
        assert_eq!(found(|_, _| 1.0), []);
        assert_eq!(
            found(|from, to| if from == 3 || to == 3 { 0.3 } else { 1.0 }),
            [(3, Some(Direction::Both))]
        );
        assert_eq!(found(|from, _| if from == 3 { 0.5 } else { 1.0 }), [(3, Some(Direction::Tx))]);
        assert_eq!(found(|from, _| if from == 3 { 0.85 } else { 1.0 }), []);
        assert_eq!(found(|from, _| if from < 2 { 0.5 } else { 1.0 }), []);
        let one = |from, to| if from == 3 || to == 3 { 0.3 } else { 1.0 };
        assert_eq!(found_of(4, one), [(3, Some(Direction::Both))]);
    }

    #[test]
    fn who_was_calibrated_to_carry_as_little_is_of_another_class() {
        let mut field = Field::of(8);
        field.storm(20, |from, to, _| if from == 3 || to == 3 { 2e6 } else { 8e6 });
        let own = |host| bps(if host == 3 { 14e6 } else { 56e6 });
        field
            .seen
            .calibrated((0..8).map(|host| (HostId(host), (Some(own(host)), Some(own(host))))).collect());
        assert_eq!(findings(&field.seen, &[]).len(), 0);
    }
}
