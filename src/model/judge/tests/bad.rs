//! Records as they come when something went wrong with them: judged as far as they go, with the
//! shortfall named, and no healthy host accused.

use std::sync::Arc;

use proptest::prelude::*;

use super::*;
use crate::model::{
    plan::draft,
    record::{book::Record, line::HostSeen, text},
};

/// Ten seconds of eight hosts, of which h3 dies twice.
fn sick() -> Record {
    Story::storm(8, 200).dead(2, 20, 50).dead(2, 65, 95).record()
}

fn accused(summary: &Summary) -> Vec<&str> {
    let fail = summary.hosts.iter().filter(|host| host.verdict == Verdict::Fail);
    fail.map(|host| host.host.as_str()).collect()
}

#[test]
fn lines_that_come_twice_or_in_another_order_change_nothing() {
    let record = sick();
    let want = judge(&record);
    let mut lines = record.lines.clone();
    lines.extend(record.lines.iter().cloned());
    lines.reverse();
    let again = Record::from_lines(lines).expect("it has an opening");
    assert_eq!(judge(&again), want);
}

#[test]
fn a_worker_whose_clock_jumped_is_told_and_nobody_is_accused_for_it() {
    let jumps = [
        |t: RunTime| RunTime(t.0 + 86_400_000_000),
        |t: RunTime| RunTime(t.0 + 20_000_000),
        |_| RunTime(0),
        |_| RunTime(u64::MAX),
    ];
    for jump in jumps {
        let mut record = Story::storm(8, 200).record();
        let own = record.lines.iter_mut().filter(|line| line.i == 4);
        own.skip(100).for_each(|line| line.t = jump(line.t));
        let summary = judge(&record);
        assert_eq!(accused(&summary), Vec::<&str>::new());
        assert_eq!(summary.hosts[3].verdict, Verdict::Inconclusive);
        assert_eq!(kinds(&summary, 3), [FindingKind::ClockJump]);
        let others = summary.hosts.iter().filter(|host| host.verdict == Verdict::Pass).count();
        assert_eq!(others, 7);
        assert!(summary.run.duration_s.expect("it ended") < 60.0);
    }
}

#[test]
fn a_host_that_never_joined_is_not_tested_and_does_not_hide_a_sick_one() {
    let mut record = sick();
    record.lines.retain(|line| {
        let joins = matches!(&line.body, Body::Joined(joined) if joined.host == HostId(6));
        line.i != 7 && !joins
    });
    let summary = judge(&record);
    assert_eq!(accused(&summary), ["h3"]);
    assert!(matches!(summary.hosts[6].verdict, Verdict::NotTested | Verdict::Inconclusive));
}

/// Everybody is inconclusive for what the record lacks.
fn nobody_passes_for(record: &Record, why: &str) {
    let summary = judge(record);
    let reasons: Vec<_> =
        summary.hosts.iter().map(|host| (host.verdict, host.reason.as_deref().unwrap_or(""))).collect();
    let all =
        reasons.iter().all(|(verdict, reason)| *verdict == Verdict::Inconclusive && reason.contains(why));
    assert!(all, "{why}: {reasons:?}");
}

#[test]
fn nobody_passes_a_record_that_lacks_a_stage_or_a_line_of_the_coordinator() {
    let mut record = Story::storm(8, 200).record();
    let stages = "name = \"two\"\n[[stage]]\nname = \"load\"\npattern = \"storm\"\nfor = \"5s\"\n\
                  [[stage]]\nname = \"storm\"\npattern = \"storm\"\nfor = \"5s\"\n";
    record.opened.scenario.stages = draft::read("test", stages).expect("a sound scenario").stages;
    nobody_passes_for(&record, "the record lacks the stage storm");
    let losses = judge(&record).record_losses;
    assert_eq!(losses, ["the stage storm is missing"]);

    let mut record = Story::storm(8, 200).contact(3, 85, ContactState::Lost).record();
    record.lines.retain(|line| !matches!(line.body, Body::Contact(_)));
    nobody_passes_for(&record, "of the coordinator's lines 1 of 13 are missing");
}

#[test]
fn who_told_nothing_of_a_kind_of_evidence_does_not_pass() {
    let state = Body::Host(Arc::new(HostSeen::default()));
    let told = |hosts: usize| {
        (0..hosts).fold(Story::storm(8, 200), |story, host| story.tells(host, 3, state.clone()))
    };
    let summary = judge(&told(7).record());
    assert_eq!(summary.hosts[7].reason.as_deref(), Some("it told nothing, or too little, of its interface"));
    assert!(judge(&told(8).record()).passed);
}

/// A worker freezes, and its own word on it is lost; or the record breaks off before it could tell; or a
/// line of the coordinator is lost in the midst of it.
#[test]
fn a_silence_that_lost_lines_may_explain_accuses_nobody() {
    let silent = |record: &mut Record, from: u64, to: u64| {
        let (from, to) = (RunTime::of_slot(story::ZERO_SLOT + from), RunTime::of_slot(story::ZERO_SLOT + to));
        record.lines.retain(|line| line.i != 5 || line.t < from || line.t >= to);
    };
    let mut record = Story::storm(8, 200).dead(4, 60, 112).record();
    silent(&mut record, 60, 112);
    let summary = judge(&record);
    assert_eq!(accused(&summary), Vec::<&str>::new());
    assert_eq!(kinds(&summary, 4), [FindingKind::WorkerFrozen]);

    let mut record = Story::storm(8, 200).dead(4, 60, 112).record();
    record.lines.retain(|line| line.t < RunTime::of_slot(story::ZERO_SLOT + 100));
    assert_eq!(accused(&judge(&record)), Vec::<&str>::new());
    let mut record = Story::storm(8, 400).dead(4, 60, 390).record();
    record.lines.retain(|line| line.t < RunTime::of_slot(story::ZERO_SLOT + 300));
    assert_eq!(accused(&judge(&record)), ["h5"], "it was silent for long enough");

    let story = Story::storm(8, 200).dead(4, 60, 112).contact(4, 85, ContactState::Lost);
    let mut record = story.record();
    assert_eq!(accused(&judge(&record)), ["h5"]);
    record.lines.retain(|line| !matches!(line.body, Body::Contact(_)));
    assert_eq!(accused(&judge(&record)), Vec::<&str>::new());
}

#[test]
fn counters_that_go_backwards_prove_nothing() {
    let link = |rx_bytes| {
        let link = LinkSeen { up: true, carrier: true, rx_bytes, ..LinkSeen::default() };
        Body::Host(Arc::new(HostSeen { link: Some(link), ..HostSeen::default() }))
    };
    let mut story = Story::storm(8, 200);
    for (slot, rx_bytes) in [(0, u64::MAX - 5), (100, 7_000_000_000), (190, 3)] {
        story = story.tells(4, slot, link(rx_bytes));
    }
    let summary = judge(&story.record());
    assert_eq!(accused(&summary), Vec::<&str>::new());
    assert_eq!(summary.hosts[4].verdict, Verdict::Pass, "{:?}", summary.hosts[4]);
}

#[test]
fn lines_of_a_kind_that_nobody_knows_yet_are_named_and_passed_over() {
    let record = sick();
    let mut lines: Vec<String> = record.lines.iter().map(text::encode).collect();
    lines.insert(5, r#"{"i":3,"e":1,"q":9000,"t":5,"b":{"of_the_future":{}}}"#.to_owned());
    lines.insert(9, "not even this".to_owned());
    let read = Record::from_text_lines(lines.iter().map(String::as_str)).expect("the rest is sound");
    assert!(read.losses.len() >= 2, "{:?}", read.losses);
    assert_eq!(accused(&judge(&read)), ["h3"]);
}

proptest! {
    /// For all parts of its lines that are lost: a sick host is found or nobody is accused, and
    /// a record that lost much is not passed.
    #[test]
    fn gaps_never_turn_into_an_accusation(keep in 0.05f64..1.0, seed in any::<u64>()) {
        let mut record = sick();
        let mut draw = seed | 1;
        record.lines.retain(|line| {
            // xorshift: enough to leave lines out at random.
            draw ^= draw << 13;
            draw ^= draw >> 7;
            draw ^= draw << 17;
            matches!(line.body, Body::Opened(_)) || (draw % 1000) as f64 <= keep * 1000.0
        });
        let summary = judge(&record);
        prop_assert!(accused(&summary).iter().all(|host| *host == "h3"), "{:?}", summary.hosts.iter().map(|host| &host.findings).collect::<Vec<_>>());
        prop_assert!(keep > 0.8 || !summary.passed);
    }

    /// For all times that a line may bear: the judge ends, and accuses nobody but the sick host.
    #[test]
    fn no_time_makes_it_fall_over(which in any::<prop::sample::Index>(), t in any::<u64>()) {
        let mut record = sick();
        let place = which.index(record.lines.len());
        record.lines[place].t = RunTime(t);
        let summary = judge(&record);
        prop_assert!(accused(&summary).iter().all(|host| *host == "h3"));
    }
}
