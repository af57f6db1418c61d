use super::{super::cases, *};
use crate::model::judge::summary::{Direction, FindingKind};

fn found(place: &str, kind_right: bool, direction_right: Option<bool>, told_after_s: f64) -> SickSeen {
    SickSeen {
        place: place.to_owned(),
        kind: FindingKind::PacketLoss,
        direction: direction_right.map(|_| Direction::Tx),
        place_right: true,
        kind_right,
        direction_right,
        told_after_s: Some(told_after_s),
    }
}

fn run(class: Class, sick: Vec<SickSeen>) -> Outcome {
    let findings = sick.len() as u32;
    Outcome {
        case: "a-case".to_owned(),
        class,
        seed: 1,
        whole: false,
        faults: vec!["loss@h1,percent=1".to_owned()],
        well: 8 - sick.len() as u32,
        well_passed: 8 - sick.len() as u32,
        sick,
        accused: Vec::new(),
        accused_ways: Vec::new(),
        findings,
        duration_s: 30.0,
        said: vec!["h1: fail".to_owned()],
    }
}

#[test]
fn a_miss_counts_against_recall_and_an_accusation_against_precision() {
    let missed = SickSeen { place_right: false, kind_right: false, ..found("h2", false, None, 1.0) };
    let mut accusing = run(Class::Hard, vec![found("h1", true, None, 0.5)]);
    accusing.accused.push("h7".to_owned());
    accusing.well_passed -= 1;
    let board = Board::of(&[accusing, run(Class::Hard, vec![missed])]);
    assert_eq!((board.sick, board.place_right, board.kind_right), (2, 1, 1));
    assert_eq!((board.well, board.well_passed, board.accused), (14, 13, 1));
    assert_eq!(board.precision, Some(0.5));
    assert_eq!(board.findings_per_fault, Some(1.0));
}

#[test]
fn delays_are_those_of_hard_faults_alone() {
    let hard: Vec<Outcome> =
        (1..=20).map(|s| run(Class::Hard, vec![found("h1", true, None, f64::from(s))])).collect();
    let soft = run(Class::Soft, vec![found("h1", true, None, 900.0)]);
    let board = Board::of(hard.iter().chain([&soft]));
    assert_eq!((board.told_after_median_s, board.told_after_p95_s), (Some(11.0), Some(20.0)));
}

#[test]
fn the_page_shows_what_was_missed() {
    let wrong_way = run(Class::Soft, vec![found("h1", true, Some(false), 1.0)]);
    let page = page(&[wrong_way, run(Class::Well, Vec::new())], "Two runs.");
    assert!(page.contains("h1 packet_loss, **another direction**"), "{page}");
    assert!(page.contains("| right direction, of what has one | 0.0 % (0 of 1) | at least 90 % |"), "{page}");
    assert!(page.contains("- a-case, seed 1: h1: fail"), "{page}");
}

#[test]
fn a_run_without_a_summary_is_wrong_and_nobody_of_it_passes() {
    for case in cases() {
        let drawn = super::super::drawn(case, 0);
        let lost = super::super::lost(case, &drawn, 0, "killed");
        assert!(!lost.is_right(), "{}", case.name);
        assert_eq!(lost.well_passed, 0);
        assert!(lost.sick.iter().all(|sick| !sick.place_right));
        assert!(lost.well > 0 && lost.well <= u32::from(case.hosts), "{}", case.name);
    }
}
