use super::*;
use crate::model::judge::tests::field::Field;

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
    findings(&field.seen, &[]).into_iter().map(|(host, it)| (host.0, it.direction)).collect()
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
