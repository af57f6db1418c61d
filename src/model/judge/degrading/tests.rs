use std::collections::BTreeSet;

use super::*;
use crate::model::judge::{summary::Direction, tests::field::Field};

fn found(bps: impl Fn(u16, u16, u64) -> f64) -> Vec<(u16, Option<Direction>)> {
    found_with(&[], bps)
}

/// The same of hosts of which one fell in these seconds of the storm.
fn found_with(
    fell: &[(u16, u64, Option<u64>)],
    bps: impl Fn(u16, u16, u64) -> f64,
) -> Vec<(u16, Option<Direction>)> {
    let mut field = Field::of(8);
    field.storm(20, bps);
    let start = field.seen.rounds.last().map_or(0, |round| round.start);
    let falls: Vec<Fall> = fell
        .iter()
        .map(|(host, since, until)| Fall {
            host: HostId(*host),
            direction: Direction::Tx,
            since: start + since * SLOTS_PER_S,
            until: until.map(|until| start + until * SLOTS_PER_S),
            round: field.seen.rounds.len() - 1,
            peers: BTreeSet::new(),
            offered_bps: None,
            depth: 1.0,
        })
        .collect();
    findings(&field.seen, &falls).into_iter().map(|(host, finding)| (host.0, finding.direction)).collect()
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

#[test]
fn who_fades_and_falls_once_is_found_and_who_only_falls_is_not() {
    let flow = 10e6;
    let fades = |from, _, second| if from == 3 { flow * fading(second) } else { flow };
    assert_eq!(found_with(&[(3, 15, Some(16))], fades), [(3, Some(Direction::Tx))]);
    let dies = |from, _, second| if from == 3 && second >= 12 { 0.0 } else { flow };
    assert_eq!(found_with(&[(3, 12, None)], dies), [], "to the end");
    let dead = [3, 4, 9, 10, 14, 15, 18, 19];
    let falls = [(3, 3, Some(5)), (3, 9, Some(11)), (3, 14, Some(16)), (3, 18, None)];
    let again = |from, _, second| if from == 3 && dead.contains(&second) { 0.0 } else { flow };
    assert_eq!(found_with(&falls, again), [], "again and again");
}

/// What a side carried of its class in fourteen rounds.
fn over(share: impl Fn(usize) -> f64) -> Option<Decline> {
    let rounds: Vec<Measured> = (0..14)
        .map(|round| {
            let wobble = 1.0 + 0.02 * ((round * 5 % 7) as f64 / 3.0 - 1.0);
            let share = share(round) * wobble;
            Measured { at_s: 16.0 + 3.0 * round as f64, relative: share.ln(), bps: share * 60e6 }
        })
        .collect();
    over_rounds(&rounds)
}

#[test]
fn what_grows_slower_from_round_to_round_declines_and_what_is_slow_at_once_does_not() {
    let line = over(|round| 0.9 - 0.03 * round as f64).expect("a straight line");
    assert!(line.first_bps > 48e6 && line.last_bps < 34e6, "{line:?}");
    assert!((16.0..23.0).contains(&line.opened_s), "{line:?}");
    assert!(
        over(|round| 1.0 - 0.45 * ((round as f64 - 3.0) / 7.0).clamp(0.0, 1.0)).is_some(),
        "and then stays"
    );
    assert!(over(|_| 0.5).is_none(), "slow all along");
    assert!(over(|round| if round < 7 { 1.0 } else { 0.5 }).is_none(), "slow at once");
    assert!(over(|round| if round % 2 == 0 { 0.9 } else { 0.5 }).is_none(), "now and then");
    assert!(over(|round| 0.5 + 0.03 * round as f64).is_none(), "faster and faster");
    assert!(over(|round| 0.95 - 0.008 * round as f64).is_none(), "a little");
    assert!(over_rounds(&[]).is_none());
}
