use super::*;
use crate::model::{
    fleet::units::{BitRate, RunTime},
    judge::{
        checksums::Counted,
        paths::Pair,
        rack::Racks,
        summary::{Direction, FindingKind, Severity},
        tests::field::{Field, losing},
    },
    record::line::DatagramFlow,
};
use proptest::prelude::*;

/// All findings on hosts.
fn all(field: &Field) -> Vec<(HostId, Finding)> {
    let (crossings, paced) = Crossings::of(&field.seen, &Racks::of(&field.seen), &[]);
    findings(&field.seen, &paced, &crossings)
}

/// All findings on pairs.
fn of_pairs(field: &Field) -> Vec<(Pair, Finding)> {
    let (crossings, paced) = Crossings::of(&field.seen, &Racks::of(&field.seen), &[]);
    paths::findings(&field.seen, &paced, &crossings)
}

/// What is found of a fleet of eight: host, kind and direction.
fn found(field: &Field) -> Vec<(u16, FindingKind, Option<Direction>)> {
    all(field)
        .into_iter()
        .filter(|(_, finding)| finding.severity == Severity::Fail)
        .map(|(host, finding)| (host.0, finding.kind, finding.direction))
        .collect()
}

/// Frames at four rates, as a scenario steps them; what each pair loses at each.
fn ladder(field: &mut Field, lost: impl Fn(u16, u16, u32) -> f64) {
    for pps in [3_000, 6_000, 12_000, 24_000] {
        field.frames(82, pps, 0.05, |from, to, sent| losing(lost(from, to, pps))(sent));
    }
}

#[test]
fn loss_is_found_with_its_side_and_told_from_what_is_lost_only_above_a_rate() {
    type Lost = fn(u16, u16, u32) -> f64;
    type Case = (&'static str, Lost, &'static [(u16, FindingKind, Option<Direction>)]);
    use FindingKind::{LossAboveRate, PacketLoss};
    let cases: &[Case] = &[
        ("nothing", |_, _, _| 0.0, &[]),
        ("one in 100,000 everywhere", |_, _, _| 1e-5, &[]),
        (
            "1 % of what h4 sends",
            |from, _, _| if from == 3 { 0.01 } else { 0.0 },
            &[(3, PacketLoss, Some(Direction::Tx))],
        ),
        (
            "0.2 % of what h4 receives",
            |_, to, _| if to == 3 { 0.002 } else { 0.0 },
            &[(3, PacketLoss, Some(Direction::Rx))],
        ),
        (
            "both ways of h1",
            |from, to, _| if from == 0 || to == 0 { 0.02 } else { 0.0 },
            &[(0, PacketLoss, Some(Direction::Both))],
        ),
        (
            "h4 above 10,000 a second",
            |_, to, pps| if to == 3 && pps > 10_000 { 0.1 } else { 0.0 },
            &[(3, LossAboveRate, Some(Direction::Rx))],
        ),
        ("everybody alike", |_, _, _| 0.02, &[]),
        ("a single pair", |from, to, _| if (from, to) == (1, 2) { 0.3 } else { 0.0 }, &[]),
    ];
    for (name, lost, want) in cases {
        let mut field = Field::of(8);
        ladder(&mut field, lost);
        assert_eq!(found(&field), *want, "{name}");
    }
}

/// The fleet's rate of large frames is more than a card carries that negotiated less than the others.
#[test]
fn what_a_slow_host_cannot_carry_of_the_fleets_rate_is_no_loss() {
    for (own_bps, want) in
        [(20_000_000, &[][..]), (80_000_000, &[(3, FindingKind::PacketLoss, Some(Direction::Rx))])]
    {
        let mut field = Field::of(8);
        let mut capacities = field.seen.capacities.clone();
        capacities.get_mut(&HostId(3)).expect("it is there").1 = Some(BitRate::from_bps(own_bps));
        field.seen.calibrated(capacities);
        // 29 Mb/s in all.
        for _ in 0..4 {
            field.frames(1514, 2_400, 0.05, |_, to, sent| losing(if to == 3 { 0.3 } else { 0.0 })(sent));
        }
        assert_eq!(found(&field), want, "calibrated to {own_bps}");
    }
}

/// A card that stands still for a moment overflows its queue, and then answers late; one that is far
/// away always does.
#[test]
fn what_is_lost_while_its_host_stands_still_is_no_loss_of_its_own() {
    let lossy = &[(3, FindingKind::PacketLoss, Some(Direction::Rx))][..];
    for (late_us, usual_us, want) in [(300_000, 300, &[][..]), (300, 300, lossy), (40_000, 40_000, lossy)] {
        let mut field = Field::of(8);
        for _ in 0..4 {
            field.frames(1514, 2_400, 0.05, |_, to, sent| losing(if to == 3 { 0.1 } else { 0.0 })(sent));
            let slots = field.seen.rounds.last().expect("one").slots();
            let (first, end) = (slots.start / 2, slots.end / 2);
            let touches = |a: u16, b: u16| a == 3 || b == 3;
            field.probed(first.saturating_sub(5), end, |a, b, tick| {
                Some(if touches(a, b) && tick == first + 2 { late_us } else { usual_us })
            });
        }
        assert_eq!(found(&field), want, "late by {late_us} us, else {usual_us}");
    }
}

#[test]
fn retransmissions_at_half_load_tell_a_lossy_side_where_no_frames_were_sent() {
    let mut field = Field::of(8);
    field.paced(|_, to| if to == 5 { 0.003 } else { 0.0 });
    assert_eq!(found(&field), [(5, FindingKind::PacketLoss, Some(Direction::Rx))]);
}

#[test]
fn bulk_that_is_lost_while_as_many_small_frames_pass_is_lost_for_its_rate() {
    let mut field = Field::of(8);
    field.paced(|from, _| if from == 5 { 0.02 } else { 0.0 });
    ladder(&mut field, |_, _, _| 0.0);
    let all = all(&field);
    assert_eq!(all.len(), 1);
    assert_eq!(all[0].1.kind, FindingKind::LossAboveRate);
    assert!(all[0].1.numbers.contains_key("clean_bps"), "{:?}", all[0].1.numbers);
}

#[test]
fn what_checksums_caught_is_corruption_and_whose_counters_moved_tells_the_side() {
    for (sends, errors) in [(false, vec![(2u16, 300u64)]), (true, vec![(0, 60), (1, 70), (4, 90), (6, 80)])] {
        let mut field = Field::of(8);
        field.paced(|from, to| if (sends && from == 2) || (!sends && to == 2) { 0.01 } else { 0.0 });
        let whole = |errors| Counted { since: RunTime(0), at: RunTime(60_000_000), errors };
        let errors = errors.into_iter();
        field.seen.checksums = errors.map(|(host, count)| (HostId(host), vec![whole(count)])).collect();
        let want = if sends { Direction::Tx } else { Direction::Rx };
        assert_eq!(found(&field), [(2, FindingKind::Corruption, Some(want))]);
    }
}

#[test]
fn what_the_receivers_own_kernel_dropped_is_not_the_networks_loss() {
    let mut field = Field::of(5);
    field.frames(82, 24_000, 0.05, |_, to, sent| DatagramFlow {
        received: if to == 1 { sent / 2 } else { sent },
        missing: if to == 1 { (sent - sent / 2) as i64 } else { 0 },
        socket_drops: if to == 1 { sent - sent / 2 } else { 0 },
        ..DatagramFlow::default()
    });
    assert_eq!(found(&field), []);
}

#[test]
fn what_a_late_receiver_had_not_read_at_the_end_of_a_round_is_no_loss() {
    let mut field = Field::of(5);
    field.frames(82, 24_000, 0.05, |_, to, sent| DatagramFlow {
        received: if to == 1 { sent - sent / 30 } else { sent },
        ..DatagramFlow::default()
    });
    assert_eq!(found(&field), []);
    assert!(of_pairs(&field).is_empty());
}

#[test]
fn what_a_single_pair_loses_is_the_paths_and_told_once() {
    type Lost = fn(u16, u16) -> f64;
    let cases: [(Lost, &[(u16, u16)]); 4] = [
        (|from, to| if (from, to) == (1, 2) { 0.3 } else { 0.0 }, &[(1, 2)]),
        (|from, to| if [(1, 2), (2, 1)].contains(&(from, to)) { 0.02 } else { 0.0 }, &[(1, 2)]),
        (|from, _| if from == 1 { 0.02 } else { 0.0 }, &[]),
        (|_, _| 1e-5, &[]),
    ];
    for (lost, want) in cases {
        let mut field = Field::of(8);
        ladder(&mut field, |from, to, _| lost(from, to));
        field.paced(lost);
        let found = of_pairs(&field);
        let pairs: Vec<(u16, u16)> = found.iter().map(|((a, b), _)| (a.0, b.0)).collect();
        assert_eq!(pairs, want);
    }
}

proptest! {
    /// For all hosts, sides and losses from 0.2 % on: found on that side of that host alone.
    #[test]
    fn a_lossy_side_is_found_and_no_other(host in 0u16..8, tx in any::<bool>(), lost in 0.002f64..0.5) {
        let mut field = Field::of(8);
        ladder(&mut field, |from, to, _| if (if tx { from } else { to }) == host { lost } else { 0.0 });
        let want = if tx { Direction::Tx } else { Direction::Rx };
        prop_assert_eq!(found(&field), [(host, FindingKind::PacketLoss, Some(want))]);
    }
}

/// Of three hosts one touches four of six pairs: what these lose is not what is usual.
#[test]
fn one_of_three_hosts_that_loses_both_ways_is_found() {
    for hosts in 3..6 {
        let mut field = Field::of(hosts);
        field.paced(|from, to| if from == 1 || to == 1 { 0.01 } else { 0.0 });
        let want = [(1, FindingKind::PacketLoss, Some(Direction::Both))];
        assert_eq!(found(&field), want, "of {hosts} hosts");
    }
}
