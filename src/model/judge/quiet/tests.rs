use super::*;
use crate::model::judge::tests::field::Field;

/// The ticks of a state: first and one more than the last of each stretch.
fn stretches(seen: &Seen, kind: StageKind, state: Calm) -> Vec<(u64, u64)> {
    let all = ticks(seen, kind);
    let mut stretches: Vec<(u64, u64)> = Vec::new();
    for (tick, known) in (0..).zip(all) {
        match stretches.last_mut() {
            _ if known != Some(state) => {}
            Some((_, end)) if *end == tick => *end += 1,
            _ => stretches.push((tick, tick + 1)),
        }
    }
    stretches
}

#[test]
fn quiet_is_where_nobody_sends_and_gentle_where_half_is_sent() {
    let mut field = Field::of(3);
    field.idle(StageKind::Load, 4, |_, _, _| Some(90));
    let idle = (10, 30);
    field.paced(|_, _| 0.0);
    field.storm(3, |_, _, _| 1e6);
    let end = field.seen.rounds.last().expect("a storm").end / 2;
    field.probed(30, end, |_, _, _| Some(90));
    let quiet = stretches(&field.seen, StageKind::Load, Calm::Idle);
    assert!(quiet[0].0 == idle.0 && quiet[0].1 >= idle.1, "{quiet:?}");
    let gentle = stretches(&field.seen, StageKind::Load, Calm::Paced);
    assert_eq!(gentle.len(), 6, "one a pair");
    let storm = field.seen.rounds.last().expect("a storm");
    let disturbed = |(from, to): &(u64, u64)| *to > storm.start / 2 && *from < storm.end / 2;
    assert!(!quiet.iter().chain(&gentle).any(disturbed), "a storm is neither");
}

#[test]
fn ticks_of_confirming_rounds_stand_apart() {
    let mut field = Field::of(3);
    field.idle(StageKind::Load, 2, |_, _, _| Some(90));
    field.idle(StageKind::Confirm, 2, |_, _, _| Some(90));
    let load = stretches(&field.seen, StageKind::Load, Calm::Idle);
    let confirm = stretches(&field.seen, StageKind::Confirm, Calm::Idle);
    assert!(load.iter().all(|(_, to)| *to <= confirm[0].0), "{load:?} {confirm:?}");
}
