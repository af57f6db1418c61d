use super::*;
use crate::model::judge::tests::field::Field;
use proptest::prelude::*;

/// A little noise that is the same each time, microseconds.
fn noise(from: u16, to: u16, tick: u64) -> u32 {
    80 + ((u64::from(from) * 31 + u64::from(to) * 17 + tick * 7) % 40) as u32
}

fn found(n: u16, seconds: u64, late: impl Fn(u16, u16, u64) -> u32) -> Vec<(u16, FindingKind)> {
    let mut field = Field::of(n);
    field.idle(StageKind::Load, seconds, |from, to, tick| Some(noise(from, to, tick) + late(from, to, tick)));
    findings(&field.seen, &[], &Racks::of(&field.seen))
        .hosts
        .into_iter()
        .map(|(host, finding)| (host.0, finding.kind))
        .collect()
}

#[test]
fn a_late_host_is_found_and_not_its_partners() {
    let of =
        |host: u16, us: u32| move |from: u16, to: u16, _| if from == host || to == host { us } else { 0 };
    assert_eq!(found(8, 6, |_, _, _| 0), []);
    assert_eq!(found(8, 6, of(3, 20_000)), [(3, FindingKind::Latency)]);
    assert_eq!(found(8, 6, of(3, 300)), [], "less than a millisecond more");
    assert_eq!(found(4, 4, of(3, 6_000)), [(3, FindingKind::Latency)], "few probes, and all of them late");
    assert_eq!(found(3, 1, of(2, 6_000)), [], "too few to say");
    let one_pair = |from, to, _| if (from, to) == (1, 2) { 20_000 } else { 0 };
    assert_eq!(found(8, 6, one_pair), [], "a single pair");
    assert_eq!(found(8, 6, |_, _, _| 20_000), [], "everybody alike");
    let sometimes =
        |from, to, tick: u64| if (from == 3 || to == 3) && tick.is_multiple_of(10) { 20_000 } else { 0 };
    assert_eq!(found(8, 6, sometimes), [(3, FindingKind::Latency)], "one in ten");
    assert_eq!(found(8, 2, sometimes), [], "too few probes for one in ten");
}

/// A card that holds what comes for a while and lets go makes all a little late at once.
#[test]
fn who_is_hardly_later_than_the_others_is_no_late_host() {
    let late = |from: u16, to: u16, tick: u64| {
        let all = (u64::from(from) * 31 + u64::from(to) * 17 + tick * 7).is_multiple_of(101);
        let more = (from == 1 || to == 1) && tick % 211 == 60;
        let held = (from == 3 || to == 3) && tick.is_multiple_of(20);
        if held { 40_000 } else { 5_000 * u32::from(all || more) }
    };
    assert_eq!(found(8, 80, late), [(3, FindingKind::Latency)]);
    let two =
        |from: u16, to: u16, _| if [from, to].iter().any(|host| [1, 6].contains(host)) { 9_000 } else { 0 };
    assert_eq!(found(8, 6, two), [1, 6].map(|host| (host, FindingKind::Latency)), "two of them");
}

#[test]
fn what_is_late_at_half_load_alone_is_told_as_that() {
    let mut field = Field::of(8);
    field.idle(StageKind::Load, 6, |from, to, tick| Some(noise(from, to, tick)));
    let from = field.seen.rounds.last().expect("idle").end / 2 + 3;
    field.paced(|_, _| 0.0);
    let to = field.seen.rounds.last().expect("paced").end / 2;
    let loaded: Vec<(u64, u64)> = field
        .seen
        .rounds
        .iter()
        .filter(|round| round.is_paced())
        .map(|round| (round.start, round.end))
        .collect();
    let is_loaded = |tick: u64| loaded.iter().any(|(start, end)| (*start..*end).contains(&(tick * 2)));
    field.probed(from, to, |a, b, tick| {
        Some(noise(a, b, tick) + if (a == 5 || b == 5) && is_loaded(tick) { 9_000 } else { 0 })
    });
    let found = findings(&field.seen, &[], &Racks::of(&field.seen)).hosts;
    assert_eq!(found.len(), 1);
    assert_eq!((found[0].0, found[0].1.kind), (HostId(5), FindingKind::LatencyUnderLoad));
}

#[test]
fn a_suspect_is_late_again_with_a_partner_or_is_not() {
    for late in [true, false] {
        let mut field = Field::of(6);
        field.idle(StageKind::Confirm, 4, |from, to, tick| {
            Some(noise(from, to, tick) + if late && (from == 2 || to == 2) { 15_000 } else { 0 })
        });
        let again = |a, b| reproduced(&field.seen, FindingKind::Latency)(HostId(a), HostId(b));
        assert_eq!((again(2, 4), again(0, 1)), (Some(late), Some(false)));
    }
}

proptest! {
    /// For all hosts and delays from 4 ms on: that host is found, and no other.
    #[test]
    fn delays_of_one_host_are_its_own(host in 0u16..8, us in 4_000u32..500_000) {
        let found = found(8, 6, |from, to, _| if from == host || to == host { us } else { 0 });
        prop_assert_eq!(found, [(host, FindingKind::Latency)]);
    }
}

/// Hosts, and pairs, that are late where these are.
fn ways(late: impl Fn(u16, u16, u64) -> bool) -> (Vec<u16>, Vec<(u16, u16)>) {
    let mut field = Field::of(8);
    field.idle(StageKind::Load, 8, |a, b, tick| {
        Some(noise(a, b, tick) + if late(a, b, tick) { 4_000 } else { 0 })
    });
    let found = findings(&field.seen, &[], &Racks::of(&field.seen));
    let pairs = found.pairs.into_iter().map(|((a, b), _)| (a.0, b.0));
    (found.hosts.into_iter().map(|(host, _)| host.0).collect(), pairs.collect())
}

#[test]
fn two_hosts_that_are_late_with_each_other_alone_are_a_path_and_no_host() {
    let between = |a: u16, b: u16| [(1, 2), (2, 1)].contains(&(a, b));
    assert_eq!(ways(|a, b, _| between(a, b)), (vec![], vec![(1, 2)]));
    assert_eq!(ways(|a, b, tick| between(a, b) && tick % 5 == 0), (vec![], vec![(1, 2)]), "again and again");
    let mostly_one_way =
        |a: u16, b: u16, tick: u64| between(a, b) && tick.is_multiple_of(if a == 1 { 4 } else { 12 });
    assert_eq!(ways(mostly_one_way), (vec![], vec![(1, 2)]), "more often as one of them asks");
    assert_eq!(ways(|a, b, _| (a, b) == (1, 2)), (vec![], vec![]), "asked one way alone");
    assert_eq!(ways(|a, b, tick| between(a, b) && tick % 20 == 0), (vec![], vec![]), "a moment's");
    assert_eq!(ways(|a, b, _| a == 1 || b == 1), (vec![1], vec![]), "with everybody: the host's");
    let some =
        |a: u16, b: u16, tick: u64| between(a, b) || (a == 1 && (tick + u64::from(b)).is_multiple_of(30));
    assert_eq!(ways(some), (vec![], vec![(1, 2)]), "more with one than with all others together");
}
