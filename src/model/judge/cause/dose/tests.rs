use std::collections::BTreeSet;

use super::*;
use crate::model::{
    judge::{
        cause::load,
        summary::Direction,
        tests::field::{CARD_BPS, Field, dose},
    },
    plan::{
        carriage::Carriage,
        dose::{Pattern, Rate},
        layout::StageKind,
    },
    record::carried::DatagramFlow,
};

const SICK: HostId = HostId(1);

/// A fall of the sick host, from a moment of the last round on, in slots.
fn fall(field: &Field, after: u64, length: Option<u64>) -> Fall {
    let round = field.seen.rounds.len() - 1;
    let since = field.seen.rounds[round].start + after;
    Fall {
        host: SICK,
        direction: Direction::Both,
        since,
        until: length.map(|length| since + length),
        round,
        peers: BTreeSet::from([HostId(0), HostId(2)]),
        offered_bps: Some(CARD_BPS),
        depth: 1.0,
    }
}

/// The axis to which these falls are tied.
fn axis(field: &Field, falls: &[Fall]) -> Option<Axis> {
    load::dies_under_load(&field.seen, SICK, &falls.iter().collect::<Vec<_>>()).map(|tie| tie.axis)
}

/// One-way pairs of everybody for some time, as healthy hosts carry them.
fn one_way(field: &mut Field, seconds: f64, pairs: &[(u16, u16)]) {
    let flows = field.round(
        StageKind::Load,
        dose(Pattern::Pairs, Rate::Unpaced, Carriage::tcp(2)),
        seconds,
        pairs,
        None,
    );
    field.carried(&flows, |_, _, _| CARD_BPS);
}

#[test]
fn a_fall_soon_after_the_rate_rose_is_tied_to_it_and_a_late_one_is_not() {
    for (name, after, length, want) in [
        ("two seconds on, to the end", 20, None, Some(Axis::Rate)),
        ("eight seconds on, to the end", 80, None, None),
        ("once, and back", 20, Some(20), None),
    ] {
        let mut field = Field::of(4);
        one_way(&mut field, 12.0, &[(0, 1), (2, 3)]);
        assert_eq!(axis(&field, &[fall(&field, after, length)]), want, "{name}");
    }
    let mut field = Field::of(4);
    one_way(&mut field, 20.0, &[(0, 1), (2, 3)]);
    let again = [fall(&field, 35, Some(30)), fall(&field, 100, Some(30))];
    assert_eq!(axis(&field, &again), Some(Axis::Rate), "each time it was back for four seconds");
    let apart = [fall(&field, 70, Some(20)), fall(&field, 180, Some(10))];
    assert_eq!(axis(&field, &apart), None, "it had held the rate for seven and nine seconds");
}

#[test]
fn falls_that_each_took_as_long_a_load_are_tied_to_it_and_those_of_a_clock_are_not() {
    let of = |before_s: f64, falls: &[(u64, u64)]| {
        let mut field = Field::of(4);
        field.idle(StageKind::Load, before_s as u64, |_, _, _| Some(90));
        one_way(&mut field, 30.0, &[(0, 1), (2, 3)]);
        let falls: Vec<Fall> =
            falls.iter().map(|(after, length)| fall(&field, *after, Some(*length))).collect();
        let tie = load::dies_under_load(&field.seen, SICK, &falls.iter().collect::<Vec<_>>());
        tie.map(|tie| (tie.axis, tie.after_s))
    };
    let seven = [(67, 17), (159, 17), (245, 16)];
    assert_eq!(of(20.0, &seven), Some((Axis::Rate, Some(7.1))));
    assert_eq!(of(5.0, &seven), None, "a clock's would not have come before either");
    assert_eq!(of(20.0, &[(67, 17), (159, 17)]), None, "two may be chance");
    assert_eq!(
        of(20.0, &[(67, 17), (184, 17), (270, 16)]),
        None,
        "seven, ten and seven seconds are not alike"
    );
}

/// What recovers in the gaps between rounds holds out for longer there.
#[test]
fn a_load_with_gaps_may_be_held_for_longer_and_not_for_less() {
    let held = |all: &[(usize, usize)]| {
        alike(&all.iter().map(|(held, breaks)| Stretch { held: *held, breaks: *breaks }).collect::<Vec<_>>())
    };
    assert_eq!(held(&[(97, 5), (68, 0), (75, 0), (74, 0)]), Some(vec![68, 75, 74]));
    assert_eq!(held(&[(70, 3), (68, 0), (75, 0)]), Some(vec![70, 68, 75]), "alike all the same");
    assert_eq!(held(&[(97, 0), (68, 0), (75, 0), (74, 0)]), None, "without a gap");
    assert_eq!(held(&[(40, 5), (68, 0), (75, 0), (74, 0)]), None, "sooner, with gaps");
    assert_eq!(held(&[(190, 5), (68, 0), (75, 0), (74, 0)]), None, "for far longer");
    assert_eq!(held(&[(97, 5), (68, 0), (75, 0)]), None, "two may be chance");
}

#[test]
fn who_holds_one_direction_and_dies_of_both_is_tied_to_both() {
    let mut field = Field::of(4);
    one_way(&mut field, 10.0, &[(0, 1), (2, 3)]);
    one_way(&mut field, 10.0, &[(0, 1), (1, 0), (2, 3), (3, 2)]);
    let falls = [fall(&field, 10, Some(20)), fall(&field, 45, Some(20)), fall(&field, 80, None)];
    assert_eq!(axis(&field, &falls), Some(Axis::BothWays));
}

#[test]
fn who_holds_few_streams_and_dies_of_many_is_tied_to_these() {
    let mut field = Field::of(6);
    one_way(&mut field, 10.0, &[(0, 1), (1, 0)]);
    let with_few = fall(&field, 72, Some(20));
    field.storm(20, |_, _, _| CARD_BPS / 5.0);
    // In the storm both ways are as busy as before: only the streams are more.
    let falls = [fall(&field, 10, Some(30)), fall(&field, 70, Some(30))];
    assert_eq!(axis(&field, &falls), Some(Axis::Streams));
    let [many, again] = falls;
    assert_eq!(axis(&field, &[with_few, many, again]), Some(Axis::Rate), "it fell with few as well");
}

#[test]
fn a_step_of_a_ladder_of_frames_is_a_dose_of_packets() {
    let mut field = Field::of(4);
    let passed = |_: u16, _: u16, sent: u64| DatagramFlow { received: sent, ..DatagramFlow::default() };
    field.frames(82, 1000, 0.05, passed);
    field.frames(82, 4000, 0.2, passed);
    assert_eq!(axis(&field, &[fall(&field, 3, None)]), Some(Axis::Packets));
}

#[test]
fn a_silence_that_began_before_the_load_is_not_its_doing() {
    let mut field = Field::of(4);
    let silent = |a: u16, b: u16, tick: u64| !((a == 1 || b == 1) && tick >= 20);
    field.idle(StageKind::Load, 8, |a, b, tick| silent(a, b, tick - 10).then_some(100));
    one_way(&mut field, 10.0, &[(0, 1), (2, 3)]);
    assert_eq!(axis(&field, &[Fall { offered_bps: None, ..fall(&field, 0, None) }]), None);
}
