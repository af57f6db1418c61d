use proptest::prelude::*;

use super::*;
use crate::model::record::facts::{Asked, CardFacts, Interrupt, MachineFacts, ModuleFacts, Neighbour};

fn counters(driver: &[(&str, u64)]) -> Counters {
    let driver = driver.iter().map(|(name, value)| ((*name).to_owned(), *value)).collect();
    Counters { driver, ..Counters::default() }
}

const ZERO: RunTime = RunTime(0);

#[test]
fn what_moved_is_told_and_what_stood_still_is_not() {
    let mut before = counters(&[("rx_drops", 5), ("tx_drops", 7), ("resets", 9)]);
    let mut after = counters(&[("rx_drops", 8), ("tx_drops", 7), ("resets", 1), ("new", 4)]);
    before.addresses = vec!["10.0.0.1/8".to_owned(), "10.0.0.2/8".to_owned()];
    after.addresses = vec!["10.0.0.2/8".to_owned(), "10.0.0.3/8".to_owned()];
    let told = moved(&before, &after, RunTime(3));
    let steps: Vec<(&str, i64)> = told.moved.iter().map(|(name, step)| (&**name, *step)).collect();
    assert_eq!(steps, [("driver.new", 4), ("driver.resets", -8), ("driver.rx_drops", 3)]);
    assert_eq!(
        (told.addresses_gone, told.addresses_came, told.since),
        (vec!["10.0.0.1/8".to_owned()], vec!["10.0.0.3/8".to_owned()], RunTime(3))
    );
    assert!(moved(&before, &before, ZERO).is_empty());
}

#[test]
fn what_could_not_be_read_moves_nothing_and_its_step_is_told_once_it_can() {
    let before = counters(&[("rx_drops", 5)]);
    let mut gap = Counters::default();
    gap.unread.insert("addresses".to_owned(), "the socket is gone".to_owned());
    let told = moved(&before, &gap, ZERO);
    assert!(told.is_empty(), "{told:?}");
    let base = next_base(before, gap, &told);
    assert_eq!(moved(&base, &counters(&[("rx_drops", 9)]), ZERO).moved.get("driver.rx_drops"), Some(&4));
    assert!(moved(&Counters::default(), &counters(&[("rx_drops", 9)]), ZERO).is_empty());
}

#[test]
fn of_too_many_the_troubled_come_first_and_the_rest_is_told_later() {
    let name = |queue: usize| format!("queue_{queue}_bytes");
    let many = |value| -> Vec<(String, u64)> {
        (0..400).map(|queue| (name(queue), value)).chain([("rx_errors".to_owned(), value)]).collect()
    };
    let of = |all: Vec<(String, u64)>| Counters { driver: all.into_iter().collect(), ..Counters::default() };
    let (before, after) = (of(many(1)), of(many(3)));
    let told = moved(&before, &after, ZERO);
    assert_eq!(
        (told.moved.len(), told.left_out, told.moved.get("driver.rx_errors")),
        (NAMES_MAX, 145, Some(&2))
    );
    let base = next_base(before, after, &told);
    let later = moved(&base, &of(many(3)), ZERO);
    assert_eq!((later.moved.len(), later.left_out), (145, 0));
}

#[test]
fn neighbours_are_told_when_they_are_learnt_change_fail_or_are_back() {
    let entry = |addr: &str, mac: Option<&str>, state: &str| Neighbour {
        addr: addr.to_owned(),
        mac: mac.map(str::to_owned),
        state: state.to_owned(),
    };
    let with = |neighbours: &[Neighbour]| Counters { neighbours: neighbours.to_vec(), ..Counters::default() };
    let (own, stranger) = (Some("02:00:00:00:00:02"), Some("02:00:00:00:00:05"));
    let asked = entry("10.0.0.2", None, "incomplete");
    let learnt = entry("10.0.0.2", stranger, "reachable");
    let changed = entry("10.0.0.2", own, "stale");
    let failed = entry("10.0.0.2", None, "failed");
    for (before, after, want) in [
        (None, Some(&asked), Some(&asked)),
        (None, Some(&learnt), Some(&learnt)),
        (Some(&asked), Some(&learnt), Some(&learnt)),
        (Some(&learnt), Some(&learnt), None),
        (Some(&learnt), Some(&changed), Some(&changed)),
        (Some(&learnt), Some(&failed), Some(&failed)),
        (Some(&failed), Some(&learnt), Some(&learnt)),
        (Some(&learnt), None, None),
    ] {
        let list = |one: Option<&Neighbour>| with(&one.into_iter().cloned().collect::<Vec<_>>());
        let told = moved(&list(before), &list(after), RunTime(0)).neighbours;
        assert_eq!(told.first(), want, "{before:?} {after:?}");
    }
    let many: Vec<Neighbour> =
        (0..NEIGHBOURS_MAX).map(|n| entry(&format!("10.1.0.{n}"), own, "stale")).collect();
    let after: Vec<Neighbour> = many.iter().chain([&failed]).cloned().collect();
    let told = moved(&with(&[]), &with(&after), RunTime(0)).neighbours;
    assert_eq!((told.len(), told.first()), (NEIGHBOURS_MAX, Some(&failed)), "what failed comes first");
}

fn facts(neighbours: usize, stats: usize) -> HostFacts {
    let neighbour = |number| Neighbour { addr: format!("10.0.{number}.1"), ..Neighbour::default() };
    let mut counters = Counters::default();
    for number in 0..stats {
        counters.driver.insert(format!("rx_queue_{number}_some_long_name"), u64::MAX);
        counters.driver.insert(format!("total_{}", "x".repeat(number % 20)), 1);
    }
    HostFacts {
        asked: Asked::Start,
        boot_id: Fact::Absent,
        machine: MachineFacts::default(),
        card: CardFacts {
            neighbours: Fact::Known((0..neighbours).map(neighbour).collect()),
            interrupts: Fact::Known(vec![Interrupt::default(); neighbours]),
            ..CardFacts::default()
        },
        module: ModuleFacts::default(),
        kernels: Fact::Absent,
        dkms: Fact::Absent,
        counters,
    }
}

#[test]
fn facts_that_fit_are_left_alone() {
    let whole = facts(10, 10);
    let mut cut = whole.clone();
    fit(&mut cut, 40_000);
    assert_eq!(cut, whole);
}

#[test]
fn what_was_cut_is_told_with_its_count() {
    let mut cut = facts(2000, 2000);
    fit(&mut cut, 40_000);
    let why = |what: &str| cut.counters.unread.get(what).map(String::as_str);
    assert_eq!(
        why("driver (quiet counters of single queues)"),
        Some("2000 more were read but have no room on a line")
    );
    assert_eq!(why("neighbours"), Some("1968 more were read but have no room on a line"));
    assert!(cut.counters.driver.contains_key("total_"), "totals stay");
}

proptest! {
    #[test]
    fn facts_always_fit_in_the_end(neighbours in 0_usize..3000, stats in 0_usize..3000) {
        let mut cut = facts(neighbours, stats);
        fit(&mut cut, 44 * 1024);
        prop_assert!(serde_json::to_vec(&cut).unwrap().len() <= 44 * 1024);
    }
}
