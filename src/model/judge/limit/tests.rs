use super::*;
use crate::model::judge::tests::field::Field;

fn found(bps: impl Fn(u16, u64) -> f64) -> Option<f64> {
    let mut field = Field::of(6);
    field.storm(20, |from, _, second| bps(from, second) / 5.0);
    finding(&field.seen).and_then(|finding| finding.numbers["limit_bps"])
}

#[test]
fn a_plateau_that_all_reach_together_is_a_limit() {
    let all = found(|_, second| if second < 9 { 80e6 } else { 30e6 });
    assert!(all.is_some_and(|bps| (bps / 30e6 - 1.0).abs() < 0.01), "{all:?}");
    assert_eq!(found(|_, _| 80e6), None);
    assert_eq!(found(|from, second| if from == 2 && second > 9 { 30e6 } else { 80e6 }), None, "one host");
    let apart = |from: u16, second: u64| {
        if second < 4 + 2 * u64::from(from) { 80e6 } else { 30e6 + 8e6 * f64::from(from) }
    };
    assert_eq!(found(apart), None, "each at its own time and level");
}
