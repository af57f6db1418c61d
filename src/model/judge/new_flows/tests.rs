use super::*;
use crate::model::judge::tests::field::Field;

fn found(done: impl Fn(u16, u16, u64) -> f64) -> Vec<(u16, FindingKind)> {
    found_of(8, done)
}

fn found_of(n: u16, done: impl Fn(u16, u16, u64) -> f64) -> Vec<(u16, FindingKind)> {
    let mut field = Field::of(n);
    field.connections(3, done);
    findings(&field.seen, &Racks::of(&field.seen))
        .hosts
        .into_iter()
        .map(|(host, finding)| (host.0, finding.kind))
        .collect()
}

#[test]
fn a_steady_share_is_a_dead_queue_and_an_end_of_all_is_a_full_table() {
    let touches = |a: u16, b: u16| a == 4 || b == 4;
    assert_eq!(found(|_, _, _| 1.0), []);
    assert_eq!(found(|a, b, _| if touches(a, b) { 0.85 } else { 1.0 }), [(4, FindingKind::DeadQueue)]);
    assert_eq!(found(|a, b, _| if touches(a, b) { 0.0 } else { 1.0 }), [(4, FindingKind::NewFlowsRefused)]);
    let full_after_1_s = |a, b, second| if touches(a, b) && second > 0 { 0.0 } else { 1.0 };
    assert_eq!(found(full_after_1_s), [(4, FindingKind::NewFlowsRefused)]);
    assert_eq!(found(|_, _, _| 0.8), [], "everybody alike");
    for hosts in 3..6 {
        let touches_one = |a: u16, b: u16| a == 1 || b == 1;
        let found = found_of(hosts, |a, b, _| if touches_one(a, b) { 0.75 } else { 1.0 });
        assert_eq!(found, [(1, FindingKind::DeadQueue)], "of {hosts} hosts");
    }
    assert_eq!(found(|a, b, _| if (a, b) == (1, 2) { 0.0 } else { 1.0 }), [], "a single pair");
    assert_eq!(found(|_, _, second| if second == 2 { 0.96 } else { 1.0 }), [], "the last are under way");
}

#[test]
fn who_is_silent_altogether_refuses_nothing() {
    let touches = |a: u16, b: u16| a == 4 || b == 4;
    for (name, echoes, want) in
        [("its echoes pass", true, &[FindingKind::NewFlowsRefused][..]), ("nothing passes", false, &[])]
    {
        let mut field = Field::of(8);
        field.connections(3, |a, b, _| if touches(a, b) { 0.0 } else { 1.0 });
        let round = field.seen.rounds.last().expect("one").slots();
        field.probed(round.start / 2, round.end / 2, |a, b, _| (echoes || !touches(a, b)).then_some(100));
        let kinds: Vec<FindingKind> = findings(&field.seen, &Racks::of(&field.seen))
            .hosts
            .into_iter()
            .map(|(_, finding)| finding.kind)
            .collect();
        assert_eq!(kinds, want, "{name}");
    }
}

/// A card that stands still for half a second at the end of a round answers late, and refuses nothing.
#[test]
fn who_stands_still_for_a_moment_refuses_nothing() {
    let touches = |a: u16, b: u16| a == 4 || b == 4;
    for (name, late_us, want) in
        [("stands still", 400_000, &[][..]), ("goes on", 300, &[FindingKind::NewFlowsRefused])]
    {
        let mut field = Field::of(8);
        field.connections(3, |a, b, second| if touches(a, b) && second == 2 { 0.0 } else { 1.0 });
        let slots = field.seen.rounds.last().expect("one").slots();
        let held = slots.start / 2 + 12..slots.start / 2 + 14;
        field.probed(slots.start / 2, slots.end / 2, |a, b, tick| {
            Some(if touches(a, b) && held.contains(&tick) { late_us } else { 300 })
        });
        let kinds: Vec<FindingKind> = findings(&field.seen, &Racks::of(&field.seen))
            .hosts
            .into_iter()
            .map(|(_, finding)| finding.kind)
            .collect();
        assert_eq!(kinds, want, "{name}");
    }
}

/// The way to the coordinator is bad: a worker without orders consents to nobody, and refuses nothing.
#[test]
fn who_had_no_orders_refuses_nothing() {
    let mut field = Field::of(8);
    let touches = |a: u16, b: u16| a == 4 || b == 4;
    field.connections(3, |a, b, _| if touches(a, b) { 0.0 } else { 1.0 });
    assert_eq!(findings(&field.seen, &Racks::of(&field.seen)).hosts.len(), 1, "with orders it does");
    let stage = field.seen.rounds.last().expect("one").stage;
    field.seen.not_ready.insert(stage, BTreeMap::from([(HostId(4), None)]));
    assert_eq!(findings(&field.seen, &Racks::of(&field.seen)).hosts, []);
}
