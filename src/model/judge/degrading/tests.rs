use super::*;
use crate::model::judge::{summary::Direction, tests::field::Field};

fn found(bps: impl Fn(u16, u16, u64) -> f64) -> Vec<(u16, Option<Direction>)> {
    let mut field = Field::of(8);
    field.storm(20, bps);
    findings(&field.seen, &[]).into_iter().map(|(host, finding)| (host.0, finding.direction)).collect()
}

/// A fall to a third over the stage.
fn fading(second: u64) -> f64 {
    1.0 - 0.66 * (second as f64 / 19.0)
}

#[test]
fn who_fades_is_found_and_who_is_merely_slow_or_among_all_is_not() {
    let flow = 10e6;
    assert_eq!(found(|_, _, _| flow), []);
    assert_eq!(
        found(|from, _, second| if from == 3 { flow * fading(second) } else { flow }),
        [(3, Some(Direction::Tx))]
    );
    assert_eq!(found(|from, _, _| if from == 3 { flow * 0.4 } else { flow }), [], "slow all along");
    assert_eq!(found(|_, _, second| flow * fading(second)), [], "everybody fades");
    let wobbling = |from: u16, _, second: u64| {
        if from == 3 { flow * if second.is_multiple_of(2) { 0.9 } else { 1.1 } } else { flow }
    };
    assert_eq!(found(wobbling), []);
}
