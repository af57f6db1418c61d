use super::*;
use crate::model::{
    fleet::units::BitRate,
    judge::{falls, tests::field::Field},
    record::line::DatagramFlow,
};

/// Directions found of eight hosts of which the third carries such shares of its class.
fn found(tx: f64, rx: f64) -> Vec<(u16, Option<Direction>)> {
    let mut field = Field::of(8);
    field.matchings(|from, to, _| {
        let share = if from == 2 {
            tx
        } else if to == 2 {
            rx
        } else {
            1.0
        };
        let own = 1.0 + 0.002 * f64::from((from * 5 + to * 3) % 7);
        57e6 * share * own
    });
    findings(&field.seen, &[]).hosts.into_iter().map(|(host, it)| (host.0, it.direction)).collect()
}

#[test]
fn the_other_side_of_a_slow_host_takes_less_to_be_told() {
    for (tx, rx, want) in [
        (1.0, 1.0, None),
        (0.93, 0.93, None),
        (0.6, 1.0, Some(Direction::Tx)),
        (0.6, 0.98, Some(Direction::Tx)),
        (1.0, 0.85, Some(Direction::Rx)),
        (0.88, 0.92, Some(Direction::Both)),
        (0.85, 0.85, Some(Direction::Both)),
    ] {
        let want: Vec<_> = want.map(|direction| (2, Some(direction))).into_iter().collect();
        assert_eq!(found(tx, rx), want, "{tx} {rx}");
    }
}

/// At a tenth of its class from the first to the last moment: what its class carries is no measure of it,
/// nor of its partners beside it, and frames by the fleet's measure stand in its queues.
#[test]
fn who_is_always_slow_did_not_fall() {
    let found = |later: f64| {
        let mut field = Field::of(8);
        let calibrated = |host: u16| Some(BitRate::from_bps(if host == 2 { 5_000_000 } else { 57_000_000 }));
        field.seen.calibrated((0..8).map(|id| (HostId(id), (calibrated(id), calibrated(id)))).collect());
        let carries = |a: u16, b: u16| if a == 2 || b == 2 { later } else { 57e6 };
        field.matchings(|from, to, _| carries(from, to));
        field.storm(3, |from, to, _| carries(from, to) / 7.0);
        field.frames(1514, 3000, 0.05, |from, to, sent| DatagramFlow {
            received: if from == 2 || to == 2 { 0 } else { sent },
            ..DatagramFlow::default()
        });
        field.seen.settle();
        let falls = falls::all(&field.seen);
        let slow = findings(&field.seen, &falls).hosts.into_iter();
        let of_falls: BTreeSet<u16> = falls.iter().map(|fall| fall.host.0).collect();
        (of_falls, slow.map(|(host, it)| (host.0, it.kind)).collect::<Vec<_>>())
    };
    assert_eq!(found(5e6), (BTreeSet::new(), vec![(2, FindingKind::FailSlow)]));
    let (falls, _) = found(57e6);
    assert!(falls.contains(&2), "calibration alone found it slow: that it lost frames later is a fall");
    let (falls, _) = found(0.0);
    assert!(falls.contains(&2), "who carries nothing at all is not slow");
}

#[test]
fn two_hosts_that_are_slow_with_each_other_alone_are_a_path() {
    let of = |share: f64, is_slow: fn(u16, u16) -> bool| {
        let mut field = Field::of(8);
        for _ in 0..2 {
            field.matchings(|from, to, _| 57e6 * if is_slow(from, to) { share } else { 1.0 });
        }
        let found = findings(&field.seen, &[]);
        let hosts: Vec<u16> = found.hosts.into_iter().map(|(host, _)| host.0).collect();
        (hosts, found.pairs.into_iter().map(|((a, b), _)| (a.0, b.0)).collect::<Vec<_>>())
    };
    let between: fn(u16, u16) -> bool = |a, b| [(1, 2), (2, 1)].contains(&(a, b));
    assert_eq!(of(0.5, between), (vec![], vec![(1, 2)]));
    assert_eq!(of(0.85, between), (vec![], vec![]), "within what chance does");
    assert_eq!(of(0.5, |a, b| (a, b) == (1, 2)), (vec![], vec![(1, 2)]), "one way alone");
    assert_eq!(of(0.7, |a, b| (a, b) == (2, 1)), (vec![], vec![]), "of that too little is known");
    assert_eq!(of(0.5, |a, b| a == 1 || b == 1), (vec![1], vec![]), "with everybody: the host's");
}
