use super::*;
use crate::model::judge::{summary::Direction, tests::field::Field};

fn found(of: impl Fn(u16, u16) -> (f64, f64)) -> Vec<(u16, FindingKind, Option<Direction>)> {
    found_of(8, of)
}

fn found_of(n: u16, of: impl Fn(u16, u16) -> (f64, f64)) -> Vec<(u16, FindingKind, Option<Direction>)> {
    let mut field = Field::of(n);
    for size in [82, 512, 1514] {
        field.frames(size, 7_000, 0.05, |from, to, sent| {
            let (twice, late) = of(from, to);
            DatagramFlow {
                received: sent,
                duplicates: (sent as f64 * twice) as u64,
                reordered: (sent as f64 * late) as u64,
                ..DatagramFlow::default()
            }
        });
    }
    findings(&field.seen, &[], &Racks::of(&field.seen))
        .hosts
        .into_iter()
        .map(|(host, f)| (host.0, f.kind, f.direction))
        .collect()
}

#[test]
fn what_comes_twice_or_late_is_found_with_its_side() {
    assert_eq!(found(|_, _| (0.0, 0.0)), []);
    assert_eq!(
        found(|_, to| (if to == 1 { 0.02 } else { 0.0 }, 0.0)),
        [(1, FindingKind::Duplication, Some(Direction::Rx))]
    );
    assert_eq!(
        found(|from, _| (0.0, if from == 1 { 0.03 } else { 0.0 })),
        [(1, FindingKind::Reordering, Some(Direction::Tx))]
    );
    assert_eq!(found(|_, _| (0.0, 0.02)), [], "everybody's is the network's");
    for hosts in 3..6 {
        let both = found_of(hosts, |from, to| (if from == 1 || to == 1 { 0.02 } else { 0.0 }, 0.0));
        assert_eq!(both, [(1, FindingKind::Duplication, Some(Direction::Both))], "of {hosts} hosts");
    }
}

#[test]
fn at_high_rates_a_host_s_own_cores_reorder_and_nobody_is_accused() {
    let mut field = Field::of(8);
    field.frames(82, 60_000, 0.6, |_, to, sent| DatagramFlow {
        received: sent,
        reordered: if to == 1 { sent / 10 } else { 0 },
        ..DatagramFlow::default()
    });
    assert!(findings(&field.seen, &[], &Racks::of(&field.seen)).hosts.is_empty());
}

#[test]
fn what_two_hosts_show_with_each_other_alone_is_their_path_s() {
    let of = |share: f64| {
        let mut field = Field::of(8);
        field.frames(512, 7_000, 0.05, |from, to, sent| DatagramFlow {
            received: sent,
            reordered: if [(1, 2), (2, 1)].contains(&(from, to)) { (sent as f64 * share) as u64 } else { 0 },
            ..DatagramFlow::default()
        });
        let found = findings(&field.seen, &[], &Racks::of(&field.seen));
        assert!(found.hosts.is_empty(), "{:?}", found.hosts);
        found.pairs.into_iter().map(|((a, b), _)| (a.0, b.0)).collect::<Vec<_>>()
    };
    assert_eq!(of(0.02), [(1, 2)]);
    assert_eq!(of(0.003), [], "three of a thousand each way may be chance");
}
