use proptest::prelude::*;

use super::*;
use crate::model::{
    fleet::{
        host::{Host, HostId, NicFacts},
        units::RunTime,
    },
    plan::scenario::Scenario,
    record::{
        line::{Ended, Joined, Samples},
        probe::Moments,
    },
};

fn opened() -> Body {
    let host = |id, name: &str| Host {
        id: HostId(id),
        name: name.parse().unwrap(),
        rack: None,
        nic: NicFacts::default(),
    };
    Body::Opened(Box::new(Opened {
        schema: RECORD_SCHEMA.to_owned(),
        run: "run-1".to_owned(),
        build: "0.1.0".to_owned(),
        started_at: "2026-01-01T00:00:00Z".to_owned(),
        scenario: Scenario { name: "accept".to_owned(), ..Scenario::default() },
        seed: 7,
        planned: 2,
        hosts: vec![host(0, "h1"), host(1, "h3")],
        policy: None,
        simulated_links: true,
        moments: Moments::Turning,
    }))
}

fn joined(instance: u16, host: u16) -> Body {
    Body::Joined(Box::new(Joined {
        instance,
        host: HostId(host),
        instance_id: "abc".to_owned(),
        boot_id: "b".to_owned(),
        kernel: "6.1".to_owned(),
        cores: 2,
        congestion_control: "cubic".to_owned(),
        control_in_band: None,
    }))
}

fn line(i: u16, q: u64, body: Body) -> Line {
    Line { i, e: 1, q, t: RunTime(q.wrapping_mul(250_000)), body }
}

fn samples(i: u16, q: u64) -> Line {
    line(i, q, Body::Samples(Samples { s: q.wrapping_mul(2), ..Samples::default() }))
}

/// A whole record: opening, two workers of a few lines each, closing.
fn whole() -> Vec<Line> {
    let mut lines = vec![line(0, 1, opened()), line(0, 2, joined(1, 0)), line(0, 3, joined(2, 1))];
    for q in 1..=3 {
        lines.extend([samples(1, q), samples(2, q)]);
    }
    lines.push(line(0, 4, Body::Closed { ended: Ended::Complete, why: None }));
    lines
}

fn file(lines: &[Line]) -> String {
    lines.iter().map(|line| text::encode(line) + "\n").collect()
}

/// As `journal` reads a file.
fn read(bytes: &[u8]) -> Result<Record, RecordError> {
    let text = String::from_utf8_lossy(bytes);
    Record::from_text_lines(text.lines())
}

#[test]
fn a_whole_record_loses_nothing() {
    let record = read(file(&whole()).as_bytes()).unwrap();
    assert_eq!(record.losses, Vec::<String>::new());
    assert_eq!(record.lines.len(), whole().len());
    assert!(record.lines.is_sorted_by_key(|line| (line.i, line.q)));
}

#[test]
fn a_line_that_came_live_and_from_a_spool_counts_once() {
    let mut lines = whole();
    lines.push(samples(2, 2));
    let record = Record::from_lines(lines).unwrap();
    assert_eq!(record.lines.len(), whole().len());
    assert_eq!(record.losses, Vec::<String>::new());
}

#[test]
fn what_follows_the_opening_of_another_run_is_left_out_and_said() {
    let Body::Opened(mut other) = opened() else { unreachable!("it opens") };
    other.run = "run-2".to_owned();
    let mut lines = whole();
    let own = lines.len();
    lines.extend([line(0, 9, Body::Opened(other)), samples(1, 8), samples(2, 9)]);
    let record = read(file(&lines).as_bytes()).unwrap();
    assert_eq!(record.lines.len(), own);
    let want = format!("line {} opens another run, run-2: it and the 2 lines after it are left out", own + 1);
    assert_eq!(record.losses, [want]);
}

#[test]
fn a_stage_at_a_time_that_cannot_be_is_left_out_and_said() {
    use crate::model::{
        plan::{
            carriage::Carriage,
            dose::{Dose, Pattern, Rate, Ways},
            layout::{PlannedRound, PlannedStage},
        },
        record::line::StageBegun,
    };
    for (at, for_us) in [(u64::MAX, 1_000_000), (1 << 53, 1_000_000), (1_000_000, u64::MAX), (0, 1 << 53)] {
        let dose = Dose {
            pattern: Pattern::Storm,
            ways: Ways::BothWays,
            rate: Rate::Unpaced,
            carriage: Carriage::tcp(1),
        };
        let round = PlannedRound { offset_us: 5, for_us, dose, flows: vec![] };
        let stage = PlannedStage { name: "storm".to_owned(), rounds: vec![round], ..PlannedStage::default() };
        let begun = StageBegun { stage, at: RunTime(at), rates: BTreeMap::new() };
        let mut lines = whole();
        lines.push(line(0, 5, Body::Stage(Box::new(begun))));
        let record = read(file(&lines).as_bytes()).unwrap();
        assert_eq!(record.lines.len(), lines.len() - 1);
        assert!(record.losses[0].starts_with("the stage storm is left out"), "{:?}", record.losses);
    }
}

#[test]
fn two_lines_under_one_number_are_said() {
    let mut lines = whole();
    lines.push(Line { t: RunTime(1), ..samples(2, 2) });
    let record = Record::from_lines(lines).unwrap();
    assert!(record.lines.contains(&samples(2, 2)));
    assert_eq!(record.losses, ["of h3, 1 line came twice with different content; the first was kept"]);
}

#[test]
fn missing_lines_are_said_by_host_name() {
    let mut lines = whole();
    lines.push(samples(2, 16));
    let record = Record::from_lines(lines).unwrap();
    assert_eq!(record.losses, ["12 lines of h3 missing (4 to 15)"]);
}

#[test]
fn a_hostile_sequence_number_is_counted_and_not_listed_one_by_one() {
    let mut lines = whole();
    lines.push(samples(9, u64::MAX));
    let record = Record::from_lines(lines).unwrap();
    assert_eq!(
        record.losses,
        [format!("{} lines of instance 9 missing (1 to {})", u64::MAX - 1, u64::MAX - 1)]
    );
}

#[test]
fn a_damaged_line_is_said_with_its_number_and_the_rest_is_read() {
    let damaged = file(&whole()).replacen("\"s\":4", "\"s\":5", 1);
    let record = read(damaged.as_bytes()).unwrap();
    assert_eq!(record.losses, ["line 6 is damaged (checksum)", "1 line of h1 missing (2)"]);
    assert_eq!(record.lines.len(), whole().len() - 1);
}

#[test]
fn a_cut_at_any_byte_keeps_all_whole_lines_and_is_said() {
    let lines = whole();
    let file = file(&lines);
    let opening = file.find('\n').unwrap();
    for cut in 0..file.len() - 1 {
        let read = read(&file.as_bytes()[..cut]);
        if cut < opening {
            assert!(matches!(read, Err(RecordError::NoOpening(_))), "cut at {cut}");
            continue;
        }
        let record = read.unwrap();
        // A line is whole when it lacks no more than its newline.
        let ends = file.match_indices('\n').filter(|(at, _)| *at <= cut).count();
        assert_eq!(record.lines.len(), ends, "cut at {cut}");
        assert!(!record.losses.is_empty(), "cut at {cut}");
        let mid_line = cut > 0 && !file[..cut].ends_with(['\n', '}']);
        assert!(!mid_line || record.losses.contains(&"the last line is cut off".to_owned()), "cut at {cut}");
    }
}

#[test]
fn a_record_of_another_schema_is_refused_by_name() {
    let mut lines = whole();
    let Body::Opened(opened) = &mut lines[0].body else { panic!("the first line opens") };
    opened.schema = "nicburn.record/2".to_owned();
    let error = Record::from_lines(lines).unwrap_err();
    assert_eq!(error, RecordError::Schema { found: "nicburn.record/2".to_owned() });
}

#[test]
fn rubble_is_counted_without_end_of_words() {
    let rubble = file(&whole()) + &"{}\n".repeat(1000);
    let record = read(rubble.as_bytes()).unwrap();
    assert_eq!(record.losses.len(), LOSSES_SAID_MAX + 1);
    assert_eq!(record.losses.last().unwrap(), "900 more lines are damaged");
}

#[test]
fn no_byte_of_a_record_can_change_unnoticed() {
    let sound = Record::from_lines(whole()).unwrap();
    let file = file(&whole()).into_bytes();
    for at in 0..file.len() {
        for with in [0x01, 0x20, 0x80] {
            let mut bytes = file.clone();
            bytes[at] ^= with;
            if let Ok(record) = read(&bytes) {
                assert!(!record.losses.is_empty() || record.lines == sound.lines, "byte {at}");
            }
        }
    }
}

proptest! {
    #[test]
    fn any_bytes_at_any_place_neither_panic_nor_pass(at in 0_usize..10_000, patch in proptest::collection::vec(any::<u8>(), 1..40)) {
        let sound = Record::from_lines(whole()).unwrap();
        let mut bytes = file(&whole()).into_bytes();
        let at = at % bytes.len();
        let end = (at + patch.len()).min(bytes.len());
        bytes[at..end].copy_from_slice(&patch[..end - at]);
        if let Ok(record) = read(&bytes) {
            prop_assert!(!record.losses.is_empty() || record.lines == sound.lines);
        }
    }
}

/// What a worker kept, of which the coordinator has the first lines.
#[test]
fn a_spool_is_taken_where_it_goes_on_from_what_the_record_has_and_not_of_another_run() {
    let kept = |from: u64, shift: u64| -> Vec<Result<Line, LineError>> {
        let moved = |q: u64| line(1, q, Body::Samples(Samples { s: q * 2 + shift, ..Samples::default() }));
        (from..=20).map(|q| Ok(moved(q))).collect()
    };
    let read = |spool: Vec<Result<Line, LineError>>| {
        let mut reading = Reading::default();
        for line in whole() {
            reading.take(Ok(line));
        }
        reading.take_spool(spool).map(|()| reading.finish().expect("it is sound"))
    };
    let record = read(kept(1, 0)).expect("of this run");
    assert_eq!(record.lines.iter().filter(|line| line.i == 1).count(), 20);
    assert!(read(kept(100, 7)).is_err(), "an empty one");
    let Err(RecordError::ForeignSpool { both, differ }) = read(kept(1, 1_000)) else {
        panic!("it was taken")
    };
    assert_eq!(both, differ);
    assert!(matches!(read(vec![Err(LineError::NoChecksum)]), Err(RecordError::NoSpool { lines: 1 })));
}
