use super::*;
use crate::model::{
    fleet::units::BitRate,
    judge::{detect, tests::field::Field},
    plan::dose::Pattern,
    record::probe::{Asked, Moments},
};

/// How much later what is asked `at_ms` comes back, of what stands still for `gap_ms` from `from_ms` on in
/// each period, and lets go of all when that is over.
fn held_at(gap_ms: u64, from_ms: u64, period_ms: u64, at_ms: u64) -> u32 {
    let into = (at_ms + period_ms - from_ms) % period_ms;
    if into < gap_ms { ((gap_ms - into) * 1000) as u32 } else { 0 }
}

/// Echoes of a host that stands still for `gap_ms` in each second, of probes that keep their moments.
fn held(gap_ms: u64, from_ms: u64) -> impl Fn(u16, u16, u64) -> u32 {
    move |from, to, tick| {
        let at = Moments::Still.leaves_at(Asked::Echo, HostId(from), HostId(to), tick);
        held_at(gap_ms, from_ms, 1000, at.0 / 1000)
    }
}

fn found(n: u16, of: impl Fn(u16, u16, u64) -> Option<u32>) -> Vec<u16> {
    let mut field = Field::of(n);
    field.idle(StageKind::Load, 8, of);
    findings(&field.seen, &[], &Racks::of(&field.seen)).hosts.into_iter().map(|(host, _)| host.0).collect()
}

#[test]
fn repeated_gaps_are_their_host_s_whether_held_or_dropped() {
    let held = held(200, 350);
    let of_h4 = |a: u16, b: u16, tick: u64| Some(90 + if a == 3 || b == 3 { held(a, b, tick) } else { 0 });
    assert_eq!(found(8, of_h4), [3]);
    let dropped = |a: u16, b: u16, tick: u64| {
        let lost = (a == 3 || b == 3) && held(a, b, tick) > 0;
        (!lost).then_some(90)
    };
    assert_eq!(found(8, dropped), [3]);
}

/// How many of the phases in which a host of `n` may stand still each period find it, and nobody else.
fn phases_found(n: u16, gap_ms: u64, period_ms: u64) -> (usize, usize) {
    let is_found = |from_ms: u64| {
        let mut field = Field::of(n);
        field.idle_turning(StageKind::Load, 12, |asked, a, b, tick| {
            let at = Moments::Turning.leaves_at(asked, HostId(a), HostId(b), tick);
            Some(90 + if a == 2 || b == 2 { held_at(gap_ms, from_ms, period_ms, at.0 / 1000) } else { 0 })
        });
        let hosts = findings(&field.seen, &[], &Racks::of(&field.seen)).hosts;
        assert!(hosts.iter().all(|(host, _)| host.0 == 2), "{hosts:?}");
        !hosts.is_empty()
    };
    let phases = (0..period_ms).step_by(50);
    (phases.clone().filter(|from_ms| is_found(*from_ms)).count(), phases.count())
}

/// The contract's 50 ms, whether or not they keep step with the probes.
#[test]
fn short_gaps_are_found_in_whatever_phase_they_come() {
    let all = [
        (8, 50, 1000),
        (8, 50, 700),
        (8, 60, 200),
        (5, 70, 1000),
        (4, 90, 1000),
        (3, 120, 1000),
        // With five that ask and five that are asked, as of all fleets that are larger.
        (24, 60, 1000),
    ];
    for (n, gap_ms, period_ms) in all {
        let (found, of) = phases_found(n, gap_ms, period_ms);
        assert_eq!(found, of, "{gap_ms} ms every {period_ms} ms of one of {n}");
    }
}

/// A hypervisor holds a machine so long now and then.
#[test]
fn fifteen_milliseconds_are_nobody_s_gap() {
    for n in [8, 24, 60] {
        assert_eq!(phases_found(n, 15, 1000).0, 0, "of {n}");
    }
}

#[test]
fn what_is_always_lost_between_some_is_no_gap() {
    let mut field = Field::of(8);
    // Of the third's partners three never hear its echoes, nor it theirs: a dead member takes their ports.
    let is_dead = |a: u16, b: u16| (a == 2 && b > 4) || (b == 2 && a > 4);
    field.idle_turning(StageKind::Load, 12, |asked, a, b, _| {
        (asked == Asked::Handshake || !is_dead(a, b)).then_some(90)
    });
    assert!(findings(&field.seen, &[], &Racks::of(&field.seen)).hosts.is_empty());
    // Half of its new connections wait for a second attempt: no echo does.
    let mut field = Field::of(8);
    field.idle_turning(StageKind::Load, 12, |asked, a, b, tick| {
        let waits = asked == Asked::Handshake && b == 2 && (tick + u64::from(a)) % 4 < 2;
        Some(if waits { 900_000 } else { 90 })
    });
    assert!(findings(&field.seen, &[], &Racks::of(&field.seen)).hosts.is_empty());
}

#[test]
fn what_is_no_gap_of_one_host_is_nobody_s() {
    assert_eq!(found(8, |_, _, _| Some(90)), [0_u16; 0], "healthy");
    let held = held(200, 350);
    assert_eq!(found(8, |a, b, tick| Some(90 + held(a, b, tick))), [0_u16; 0], "the whole machine's");
    let once = |a: u16, b: u16, tick: u64| {
        Some(90 + if (a == 3 || b == 3) && tick < 15 { held(a, b, tick) } else { 0 })
    };
    assert_eq!(found(8, once), [0_u16; 0], "one gap is nothing");
    let always = |a: u16, b: u16, _| Some(if a == 3 || b == 3 { 40_000 } else { 90 });
    assert_eq!(found(8, always), [0_u16; 0], "always late is latency");
    let scattered = |a: u16, b: u16, tick: u64| {
        let late = (a == 3 || b == 3) && (u64::from(a) * 7 + u64::from(b) * 13 + tick).is_multiple_of(9);
        Some(if late { 40_000 } else { 90 })
    };
    assert_eq!(found(8, scattered), [0_u16; 0], "one by one is latency");
}

#[test]
fn gaps_under_full_load_are_seen_by_the_bytes() {
    let mut field = Field::of(6);
    let pairs = field.mesh();
    let dose = crate::model::judge::tests::field::dose(
        Pattern::Storm,
        crate::model::plan::dose::Rate::Unpaced,
        crate::model::plan::carriage::Carriage::tcp(2),
    );
    let flows = field.round(StageKind::Load, dose, 12.0, &pairs, None);
    field.carried(&flows, |from, to, slot| if (from == 2 || to == 2) && slot % 20 < 2 { 0.0 } else { 16e6 });
    let found = findings(&field.seen, &[], &Racks::of(&field.seen)).hosts;
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].0, HostId(2));
    assert!(found[0].1.numbers["gaps"].is_some_and(|gaps| gaps >= 5.0), "{:?}", found[0].1.numbers);
}

/// What is found of six hosts that send at half load, when nothing passes to and from the third for half
/// a second every five, while its echoes come to `echo`: kinds, and whether they are confirmed.
fn with_half_seconds(echo: fn(u64) -> Option<u32>) -> Vec<(u16, FindingKind, Option<bool>)> {
    let mut field = Field::of(6);
    let pairs = field.mesh();
    let dose = crate::model::judge::tests::field::dose(
        Pattern::Storm,
        crate::model::plan::dose::Rate::Share(0.5),
        crate::model::plan::carriage::Carriage::tcp(2),
    );
    let flows = field.round(StageKind::Load, dose, 24.0, &pairs, Some(BitRate::from_bps(8_000_000)));
    let stands_still = |slot: u64| (20..25).contains(&(slot % 50));
    field.carried(
        &flows,
        |from, to, slot| {
            if (from == 2 || to == 2) && stands_still(slot) { 0.0 } else { 8e6 }
        },
    );
    let round = &field.seen.rounds[0];
    let (start, end) = (round.start, round.end);
    field.probed(start / 2, end / 2, |from, to, tick| {
        let slot = tick * 2 - start;
        if (from == 2 || to == 2) && stands_still(slot) { echo(25 - slot % 50) } else { Some(90) }
    });
    let found = detect::detect(&field.seen).hosts.into_iter();
    found.flat_map(|(host, own)| own.into_iter().map(move |it| (host.0, it.kind, it.confirmed))).collect()
}

#[test]
fn drop_offs_whose_echoes_come_late_are_gaps_and_no_deaths() {
    let late = with_half_seconds(|slots_left| Some(slots_left as u32 * 100_000));
    assert_eq!(late, [(2, FindingKind::Stalls, Some(true))]);
    let lost = with_half_seconds(|_| None);
    assert!(lost.iter().all(|(host, kind, _)| *host == 2 && *kind != FindingKind::Stalls), "{lost:?}");
    let in_time = with_half_seconds(|_| Some(90));
    assert!(in_time.iter().all(|(_, kind, _)| *kind != FindingKind::Stalls), "{in_time:?}");
}

/// Who sees the fourth of eight stand still again in four seconds that try it.
fn seen_again(of: impl Fn(u16, u16, u64) -> u32, host: u16) -> Vec<Option<bool>> {
    let mut field = Field::of(8);
    field.idle(StageKind::Confirm, 4, |a, b, tick| Some(90 + of(a, b, tick)));
    let partners = (0..8).filter(|partner| *partner != host);
    let again = reproduced(&field.seen);
    partners.map(|partner| again(HostId(host), HostId(partner))).collect()
}

/// Gaps that come as often as a partner's probes meet the same partners each time.
#[test]
fn a_gap_that_some_partners_always_miss_shows_again_to_all() {
    let short = held(100, 350);
    let of_h4 = |a: u16, b: u16, tick: u64| if a == 3 || b == 3 { short(a, b, tick) } else { 0 };
    let asked_in_it =
        |partner: u16| (0..20).any(|tick| of_h4(3, partner, tick).max(of_h4(partner, 3, tick)) > 20_000);
    let in_it = (0..8).filter(|partner| *partner != 3 && asked_in_it(*partner)).count();
    assert!((2..=5).contains(&in_it), "{in_it} of seven ask in a gap");
    assert_eq!(seen_again(of_h4, 3), [Some(true); 7]);
    let controls = seen_again(of_h4, 5);
    assert_eq!(controls.iter().filter(|again| **again == Some(true)).count(), usize::from(asked_in_it(5)));
    assert_eq!(seen_again(|_, _, _| 0, 3), [Some(false); 7]);
    let all_at_once = seen_again(short, 3);
    assert!(all_at_once.contains(&Some(false)), "the whole machine's shows to who asked: {all_at_once:?}");
}
