//! Fleets of two: what is the matter between them is told, and of neither.

use super::field::{Field, losing};
use crate::model::{
    judge::{
        detect,
        summary::{FindingKind, Severity},
    },
    record::{line::DatagramFlow, slot_bytes::SlotBytes},
};

/// What is told of two hosts as `make` has them: how often of either that it fails, and what of both.
fn told(make: impl Fn(&mut Field)) -> (usize, Vec<FindingKind>) {
    let mut field = Field::of(2);
    make(&mut field);
    let detected = detect::detect(&field.seen);
    let fails =
        detected.hosts.values().flatten().filter(|finding| finding.severity == Severity::Fail).count();
    (fails, detected.fleet.iter().map(|finding| finding.kind).collect())
}

/// A share of what h1 sends, and of what h2 does.
fn from(h1: f64, h2: f64) -> impl Fn(u16, u16) -> f64 {
    move |from, _| if from == 0 { h1 } else { h2 }
}

#[test]
fn what_is_the_matter_between_two_hosts_is_their_path() {
    let path = (0, vec![FindingKind::Path]);
    assert_eq!(told(|field| (0..4).for_each(|_| field.paced(from(0.01, 0.0)))), path, "lossy one way");
    assert_eq!(told(|field| (0..4).for_each(|_| field.paced(from(0.01, 0.01)))), path, "and both ways");
    let refused = |from: u16, _, _| if from == 0 { 0.5 } else { 1.0 };
    assert_eq!(told(|field| field.connections(5, refused)), path, "new connections");
    let doubled = |from: u16, _, sent: u64| DatagramFlow {
        duplicates: if from == 0 { sent / 50 } else { 0 },
        ..losing(0.0)(sent)
    };
    assert_eq!(told(|field| field.frames(512, 4_000, 0.05, doubled)), path, "doubled frames");
}

#[test]
fn stalls_that_both_show_are_between_them_and_a_few_are_anybody_s() {
    let stalling = |every: u64| {
        move |field: &mut Field| {
            field.storm(30, |_, _, _| 40e6);
            let start = field.seen.rounds[0].start;
            for flow in field.seen.flows.values_mut() {
                let gap = |slot: usize| (start as usize + slot).is_multiple_of(every as usize);
                let slots = flow.slots.iter_mut().enumerate().filter(|(slot, _)| gap(*slot));
                slots.for_each(|(_, bytes)| {
                    *bytes = Some(SlotBytes::new(0));
                });
            }
        }
    };
    assert_eq!(told(stalling(20)), (0, vec![FindingKind::Path]));
    assert_eq!(told(stalling(100)), (0, vec![]));
}

#[test]
fn of_two_healthy_hosts_nothing_is_told() {
    let healthy = |field: &mut Field| {
        for round in 0..4 {
            field.pairs(|from, _| 57e6 + f64::from(from) * 1e6 + f64::from(round) * 5e5);
            field.paced(from(0.0001, 0.0));
        }
        field.connections(5, |_, _, _| 1.0);
        field.frames(512, 4_000, 0.05, |_, _, sent| losing(0.0)(sent));
        field.storm(10, |_, _, _| 40e6);
    };
    assert_eq!(told(healthy), (0, vec![]));
}
