use std::sync::Arc;

use super::*;
use crate::model::{
    judge::{summary::Direction, tests::field::Field},
    record::line::{Body, HostSeen},
};

/// When and for how long each of the first of eight hosts loses its peers in a storm, in slots.
const FALLS: [(u64, u64); 4] = [(40, 12), (80, 12), (120, 12), (160, 12)];

/// Whose falls are the machine's after a storm in which `fallen` hosts fell one after the other, by
/// how late samplers come and by who answers while down.
fn machine_s(fallen: usize, late_us: u64, answers: bool) -> Vec<u16> {
    let mut field = Field::of(8);
    for (_, joined) in &mut field.seen.joined {
        "one".clone_into(&mut joined.boot_id);
    }
    let down = |host: u16, slot: u64| {
        let fall = FALLS[..fallen].get(usize::from(host));
        fall.is_some_and(|(since, length)| (*since..since + length).contains(&slot))
    };
    field.storm(20, |_, _, _| 0.0);
    let flows: Vec<_> = field.seen.flows.iter().map(|(id, flow)| (*id, flow.from.0, flow.to.0)).collect();
    field.carried(&flows, |from, to, slot| if down(from, slot) || down(to, slot) { 0.0 } else { 5e6 });
    let (start, end) = (field.seen.rounds[0].start, field.seen.rounds[0].end);
    field.probed(start / 2, end / 2, |from, to, tick| {
        let slot = (tick * 2).saturating_sub(start);
        (answers || !(down(from, slot) || down(to, slot))).then_some(200)
    });
    for second in start / SLOTS_PER_S..=end / SLOTS_PER_S {
        for host in 1..=8 {
            let state = HostSeen { late_us: Some((late_us, late_us)), ..HostSeen::default() };
            field.take(host, RunTime(second * 1_000_000), Body::Host(Arc::new(state)));
        }
    }
    let falls = falls::all(&field.seen);
    let explained = explain(&field.seen, &falls);
    let hosts: BTreeSet<u16> = explained.shared.iter().map(|index| falls[*index].host.0).collect();
    hosts.into_iter().collect()
}

#[test]
fn falls_of_many_on_a_machine_short_of_cores_are_the_machine_s() {
    assert_eq!(machine_s(4, 120_000, true), [0, 1, 2, 3]);
    assert_eq!(machine_s(1, 120_000, true), [0_u16; 0], "one alone may be a card");
    assert_eq!(machine_s(4, 3_000, true), [0_u16; 0], "the machine kept up");
    assert_eq!(machine_s(4, 120_000, false), [0_u16; 0], "who is dead does not answer");
}

#[test]
fn a_fall_while_an_earlier_one_lasts_is_of_the_same_event() {
    let fall = |since: u64, length: u64| Fall {
        host: HostId(0),
        direction: Direction::Both,
        since,
        until: Some(since + length),
        round: 0,
        peers: BTreeSet::new(),
        offered_bps: None,
        depth: 1.0,
    };
    for (since, length, want) in
        [(95, 5, true), (85, 20, true), (85, 10, false), (60, 60, false), (111, 5, false)]
    {
        assert_eq!(is_with(&fall(since, length), 100), want, "from {since} for {length}");
    }
}
