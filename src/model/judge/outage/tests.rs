use super::*;
use crate::model::{judge::tests::field::Field, plan::layout::StageKind};

/// A fleet of `n` that nobody loads for 8 s, in which echoes pass as told.
fn idle(n: u16, passes: impl Fn(u16, u16, u64) -> bool) -> Field {
    let mut field = Field::of(n);
    field.idle(StageKind::Load, 8, |from, to, tick| passes(from, to, tick - 10).then_some(100));
    field
}

fn outages(field: &Field) -> Vec<(u16, u64, Option<u64>)> {
    all(&field.seen)
        .into_iter()
        .map(|outage| (outage.host.0, outage.since - 10, outage.until.map(|until| until - 10)))
        .collect()
}

#[test]
fn a_host_is_out_from_its_first_missed_probe_to_its_first_answered_one() {
    type Passes = fn(u16, u16, u64) -> bool;
    type Case = (&'static str, Passes, &'static [(u16, u64, Option<u64>)]);
    let cases: &[Case] = &[
        ("nobody", |_, _, _| true, &[]),
        ("h3 for 2 s", |a, b, tick| !((a == 2 || b == 2) && (10..20).contains(&tick)), &[(2, 10, Some(20))]),
        ("h3 to the end", |a, b, tick| !((a == 2 || b == 2) && tick >= 30), &[(2, 30, None)]),
        ("800 ms are none", |a, b, tick| !((a == 2 || b == 2) && (10..14).contains(&tick)), &[]),
        ("a single observer", |a, b, tick| !((a, b) == (0, 2) && tick > 5), &[]),
        (
            "twice",
            |a, b, tick| !((a == 2 || b == 2) && ((5..11).contains(&tick) || (20..26).contains(&tick))),
            &[(2, 5, Some(11)), (2, 20, Some(26))],
        ),
    ];
    for (name, passes, want) in cases {
        assert_eq!(outages(&idle(6, passes)), *want, "{name}");
    }
}

#[test]
fn who_has_not_come_yet_does_not_answer_and_is_not_out() {
    let mut field = idle(5, |a, b, tick| (a != 1 && b != 1) || tick >= 20);
    let stage = field.seen.rounds[0].stage;
    field.seen.not_ready.entry(stage).or_default().insert(HostId(1), None);
    assert_eq!(outages(&field), []);
}

#[test]
fn an_outage_without_load_is_a_fall_under_no_load() {
    let field = idle(5, |a, b, tick| !((a == 1 || b == 1) && (10..18).contains(&tick)));
    let falls = falls(&field.seen, &[]);
    assert_eq!(falls.len(), 1);
    assert_eq!((falls[0].host, falls[0].offered_bps), (HostId(1), Some(0.0)));
    assert!(falls[0].for_s().is_some_and(|length| (length - 1.6).abs() < 0.01));
    assert_eq!(super::falls(&field.seen, &falls), [], "what bytes showed is not told twice");
}

/// A fall of h2 over the whole of the idle time, with all others.
fn whole(field: &Field) -> Fall {
    let round = field.seen.rounds.last().expect("one");
    Fall {
        host: HostId(1),
        direction: Direction::Both,
        since: round.start,
        until: Some(round.end),
        round: 0,
        peers: (0..field.seen.hosts.len() as u16).map(HostId).filter(|host| *host != HostId(1)).collect(),
        offered_bps: None,
        depth: 1.0,
    }
}

#[test]
fn what_was_heard_tells_which_direction_died() {
    // Echoes need both ways; what is heard needs one.
    let cases = [(Way::Tx, Direction::Tx), (Way::Rx, Direction::Rx)];
    for (dead, want) in cases {
        let mut field = idle(5, |a, b, _| a != 1 && b != 1);
        let told: Vec<(u16, u16)> = field.mesh();
        for (observer, target) in told {
            // Everything arrives except what goes the dead way of h2.
            let lost = if dead == Way::Tx { observer == 1 } else { target == 1 };
            if !lost {
                for line in (10..50u64).step_by(5) {
                    let heard = crate::model::record::probe::ProbesSeen {
                        first: line,
                        heard: [(HostId(observer), 0b11111)].into_iter().collect(),
                        ..Default::default()
                    };
                    field.seen.probes.take(HostId(target), &heard);
                }
            }
        }
        assert_eq!(dead_direction(&field.seen, &whole(&field)), Some(want));
    }
    // A fall that ends later than the silence does is told by the silence.
    let mut field = idle(5, |a, b, tick| (a != 1 && b != 1) || tick >= 25);
    for line in (10..50u64).step_by(5) {
        for (observer, target) in field.mesh() {
            if observer != 1 || line >= 35 {
                let heard = [(HostId(observer), 0b11111)].into_iter().collect();
                let line =
                    crate::model::record::probe::ProbesSeen { first: line, heard, ..Default::default() };
                field.seen.probes.take(HostId(target), &line);
            }
        }
    }
    assert_eq!(dead_direction(&field.seen, &whole(&field)), Some(Direction::Tx));
    let both = idle(5, |a, b, _| a != 1 && b != 1);
    assert_eq!(dead_direction(&both.seen, &whole(&both)), None);
}

#[test]
fn lost_echoes_beside_bulk_data_that_goes_on_are_a_filter_s_and_no_fall() {
    for (name, carried, want) in [("it goes on", 60e6, 0), ("it stops", 0.0, 1)] {
        let mut field = Field::of(5);
        field.storm(8, |a, b, second| if [a, b].contains(&1) && second > 1 { carried } else { 60e6 });
        let round = field.seen.rounds.last().expect("one").slots();
        let (from, to) = (round.start / SLOTS, round.end / SLOTS);
        field.probed(from, to, |a, b, tick| (![a, b].contains(&1) || tick < from + 10).then_some(100));
        let found = falls(&field.seen, &[]);
        assert_eq!(found.iter().filter(|fall| fall.host == HostId(1)).count(), want, "{name}");
    }
}

#[test]
fn who_loses_echoes_now_and_then_goes_on_answering_and_who_loses_all_does_not() {
    type Passes = fn(u16, u16, u64) -> bool;
    // Of h2's echoes every fourth is lost, another for each observer; or all of four ticks.
    let cases: [(&str, Passes, Option<bool>); 3] = [
        ("loses many", |a, b, tick| ![a, b].contains(&1) || (tick + u64::from(a)) % 4 > 0, Some(true)),
        ("dies shortly", |a, b, tick| ![a, b].contains(&1) || !(20..24).contains(&tick), Some(false)),
        ("answers late once", |a, b, tick| ![a, b].contains(&1) || tick != 20, Some(true)),
    ];
    for (name, passes, want) in cases {
        let field = idle(5, passes);
        assert_eq!(went_on_answering(&field.seen, &whole(&field)), want, "{name}");
    }
    let silent = Field::of(5);
    let fall = Fall { since: 30, until: Some(60), ..whole(&idle(5, |_, _, _| true)) };
    assert_eq!(went_on_answering(&silent.seen, &fall), None, "nobody probed");
}

#[test]
fn what_still_passed_is_told_of_echoes_and_handshakes_each() {
    let field = idle(5, |_, _, _| true);
    assert_eq!(alive_during(&field.seen, &whole(&field)), Some(Alive { echoes: true, handshakes: true }));
    let field = idle(5, |a, b, _| a != 1 && b != 1);
    assert_eq!(alive_during(&field.seen, &whole(&field)), Some(Alive { echoes: false, handshakes: false }));
    let silent = Field::of(5);
    let fall = Fall { since: 30, until: Some(60), ..whole(&field) };
    assert_eq!(alive_during(&silent.seen, &fall), None, "nobody probed");
    // Of five hosts only h2 and h3 are cut off from each other: that the others pass says nothing.
    let field = idle(5, |a, b, _| [a, b] != [1, 2] && [a, b] != [2, 1]);
    let one = Fall { peers: [HostId(2)].into(), ..whole(&field) };
    assert_eq!(alive_during(&field.seen, &one), Some(Alive { echoes: false, handshakes: false }));
}
