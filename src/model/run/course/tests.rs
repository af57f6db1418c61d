use super::*;
use crate::model::plan::{
    carriage::Carriage,
    dose::{Dose, Pattern, Rate, Ways},
    layout::PlannedRound,
};
use proptest::prelude::*;

const A: HostId = HostId(0);
const B: HostId = HostId(1);
const STAGE_MS: u64 = 5000;

fn plan(kinds: &[StageKind]) -> Plan {
    let dose = Dose {
        pattern: Pattern::Storm,
        ways: Ways::BothWays,
        rate: Rate::Unpaced,
        carriage: Carriage::tcp(1),
    };
    let stage = |(index, kind): (u16, &StageKind)| PlannedStage {
        index,
        name: format!("stage-{index}"),
        kind: *kind,
        rounds: vec![PlannedRound {
            offset_us: 0,
            for_us: STAGE_MS * 1000,
            dose: dose.clone(),
            flows: vec![],
        }],
        probes: vec![],
    };
    Plan { seed: 7, stages: (0..).zip(kinds).map(stage).collect(), confirm_us: 0 }
}

fn ms(ms: u64) -> RunTime {
    RunTime(ms * 1000)
}

/// A course with what it did, in short.
struct Told {
    course: Course,
    said: Vec<String>,
    ending: Option<Ending>,
}

impl Told {
    fn new(kinds: &[StageKind]) -> Self {
        let course = Course::new(&plan(kinds), [A, B], ms(0));
        let mut told = Self { course, said: Vec::new(), ending: None };
        told.step(Event::Tick, 0);
        told
    }

    fn step(&mut self, event: Event, at_ms: u64) {
        for action in self.course.step(event, ms(at_ms)) {
            let said = match action {
                Action::Tell { host, order: Order::Prepare { stage } } => {
                    format!("h{} prepare {stage}", host.0)
                }
                Action::Tell { host, order: Order::Start { stage, at } } => {
                    format!("h{} start {stage} at {}", host.0, at.0 / 1000)
                }
                Action::Tell { host, order: Order::Stop { .. } } => format!("h{} stop", host.0),
                Action::Tell { host, order: Order::Finish } => format!("h{} finish", host.0),
                Action::Record(Body::Stage(begun)) => {
                    format!("stage {} at {}", begun.stage.index, begun.at.0 / 1000)
                }
                Action::Record(Body::NotReady { stage, hosts, why }) => {
                    format!(
                        "not ready {stage}: {:?} {:?}",
                        hosts.iter().map(|host| host.0).collect::<Vec<_>>(),
                        why.values()
                    )
                }
                Action::Record(Body::Left { host, .. }) => format!("h{} left", host.0),
                Action::Record(body) => format!("{body:?}"),
                Action::Announce(_) => continue,
                Action::Calibrated => "calibrated".to_owned(),
                Action::WorkOutRates { stage } => format!("rates {stage}?"),
                Action::Suspect => "suspects?".to_owned(),
                Action::Over(ending) => {
                    let said = format!("over {:?}", ending.ended);
                    self.ending = Some(ending);
                    said
                }
            };
            self.said.push(said);
        }
    }

    fn both_ready(&mut self, stage: u16, at_ms: u64) {
        for host in [A, B] {
            self.step(Event::Ready { host, stage }, at_ms);
        }
    }

    /// What was said since the last call.
    fn said(&mut self) -> Vec<String> {
        std::mem::take(&mut self.said)
    }
}

/// A course that may confirm suspects, at the end of its one stage.
fn through_and_asked() -> Told {
    let plan = Plan { confirm_us: 40_000_000, ..plan(&[StageKind::Reach]) };
    let mut told = Told { course: Course::new(&plan, [A, B], ms(0)), said: Vec::new(), ending: None };
    told.step(Event::Tick, 0);
    told.both_ready(0, 30);
    let over = 300 + STAGE_MS + 300;
    told.step(Event::Tick, over);
    let drain = DRAIN_SUSPECTS.as_millis() as u64;
    assert_eq!(told.course.deadline(), Some(ms(over + drain)));
    told.said();
    told.step(Event::Tick, over + drain);
    assert_eq!(told.said(), ["suspects?"]);
    told
}

#[test]
fn suspects_are_asked_for_once_and_their_stage_is_run_like_any_other() {
    let mut told = through_and_asked();
    let stage = PlannedStage { index: 1, kind: StageKind::Confirm, ..PlannedStage::default() };
    told.step(Event::Confirm { stages: vec![stage] }, 20_000);
    assert_eq!(told.said(), ["rates 1?"]);
    told.step(Event::Rates { stage: 1, rates: Ok(BTreeMap::new()) }, 20_010);
    assert_eq!(told.said(), ["h0 prepare 1", "h1 prepare 1"]);
    told.both_ready(1, 20_030);
    told.step(Event::Tick, 30_000);
    assert!(told.said().contains(&"h0 finish".to_owned()), "nobody is suspected twice");
}

#[test]
fn without_suspects_the_lines_are_collected_at_once_and_a_stop_does_not_wait_for_the_answer() {
    let mut told = through_and_asked();
    told.step(Event::Confirm { stages: vec![] }, 20_000);
    assert_eq!(told.said(), ["h0 finish", "h1 finish"]);
    let mut told = through_and_asked();
    told.step(Event::StopAsked { why: "enough".to_owned() }, 20_000);
    assert_eq!(told.said(), ["h0 stop", "h0 finish", "h1 stop", "h1 finish"]);
    told.step(Event::Confirm { stages: vec![PlannedStage::default()] }, 20_010);
    assert!(told.said().is_empty(), "the answer came too late");
}

#[test]
fn a_run_without_trouble_goes_stage_by_stage_to_its_end() {
    let mut told = Told::new(&[StageKind::Calibrate, StageKind::Load]);
    assert_eq!(told.said(), ["h0 prepare 0", "h1 prepare 0"]);

    told.both_ready(0, 30);
    assert_eq!(told.said(), ["h0 start 0 at 300", "h1 start 0 at 300", "stage 0 at 300"]);
    assert_eq!(told.course.deadline(), Some(ms(300 + STAGE_MS + 800)));

    told.step(Event::Tick, 6100);
    assert_eq!(told.said(), ["calibrated", "rates 1?"]);
    let rates = BTreeMap::from([(1, BitRate::from_mbps(1))]);
    told.step(Event::Rates { stage: 1, rates: Ok(rates.clone()) }, 6100);
    assert_eq!(told.said(), ["h0 prepare 1", "h1 prepare 1"]);
    assert_eq!(told.course.rates(), &rates);

    told.both_ready(1, 6200);
    assert_eq!(told.said(), ["h0 start 1 at 6400", "h1 start 1 at 6400", "stage 1 at 6400"]);
    told.step(Event::Tick, 11_700);
    assert_eq!(told.said(), ["h0 finish", "h1 finish"]);
    told.step(Event::Collected { host: A }, 11_800);
    told.step(Event::Collected { host: B }, 11_900);
    assert_eq!(told.said(), ["over Complete"]);
    assert_eq!(told.course.deadline(), None);
}

#[test]
fn a_worker_that_does_not_answer_is_named_and_the_others_start_without_it() {
    let mut told = Told::new(&[StageKind::Reach]);
    told.step(Event::Ready { host: A, stage: 0 }, 10);
    told.said();
    told.step(Event::Tick, 2999);
    assert!(told.said().is_empty(), "it has 3 s");
    told.step(Event::Tick, 3000);
    assert_eq!(
        told.said(),
        ["not ready 0: [1] []", "h0 start 0 at 3200", "h1 start 0 at 3200", "stage 0 at 3200"],
    );
}

#[test]
fn a_worker_that_cannot_do_a_stage_is_not_started_and_its_words_are_kept() {
    let mut told = Told::new(&[StageKind::Reach]);
    told.said();
    told.step(Event::CannotDo { host: B, stage: 0, why: "no descriptors".to_owned() }, 10);
    told.step(Event::Ready { host: A, stage: 0 }, 20);
    assert_eq!(told.said(), ["not ready 0: [1] [\"no descriptors\"]", "h0 start 0 at 300", "stage 0 at 300"]);
}

#[test]
fn a_lost_worker_is_not_awaited_and_gets_the_running_stage_when_it_is_back() {
    let mut told = Told::new(&[StageKind::Reach]);
    told.step(Event::Ready { host: A, stage: 0 }, 10);
    told.said();
    told.step(Event::Lost { host: B }, 20);
    assert_eq!(told.said(), ["not ready 0: [1] []", "h0 start 0 at 300", "stage 0 at 300"]);
    told.step(Event::Back { host: B, fresh: true }, 1000);
    assert_eq!(told.said(), ["h1 prepare 0", "h1 start 0 at 300"]);
}

#[test]
fn after_a_mere_silence_only_what_was_missed_is_said_again() {
    let mut told = Told::new(&[StageKind::Reach]);
    told.both_ready(0, 10);
    told.said();
    told.step(Event::Lost { host: B }, 500);
    told.step(Event::Back { host: B, fresh: false }, 900);
    assert!(told.said().is_empty());
    told.step(Event::Lost { host: B }, 1000);
    told.step(Event::Tick, 5600);
    told.step(Event::Back { host: B, fresh: false }, 6000);
    assert_eq!(told.said(), ["h0 finish", "h1 finish"]);
}

#[test]
fn a_stop_reaches_everybody_at_once_and_lost_workers_are_not_awaited() {
    let mut told = Told::new(&[StageKind::Reach]);
    told.both_ready(0, 10);
    told.step(Event::Lost { host: B }, 500);
    told.said();
    told.step(Event::StopAsked { why: "by hand".to_owned() }, 600);
    assert_eq!(told.said(), ["h0 stop", "h0 finish"]);
    told.step(Event::Collected { host: A }, 700);
    assert_eq!(told.said(), ["over Interrupted"]);
    assert_eq!(told.ending.map(|ending| ending.why), Some("by hand".to_owned()));
}

#[test]
fn who_comes_back_after_a_stop_is_stopped_too() {
    let mut told = Told::new(&[StageKind::Reach]);
    told.both_ready(0, 10);
    told.step(Event::StopAsked { why: String::new() }, 600);
    told.step(Event::Lost { host: B }, 700);
    told.said();
    told.step(Event::Back { host: B, fresh: true }, 800);
    assert_eq!(told.said(), ["h1 stop", "h1 finish"]);
}

#[test]
fn lines_are_awaited_ten_seconds_and_a_lost_workers_return_eight() {
    for (lost, over_ms) in [(false, 10_000), (true, 8000)] {
        let mut told = Told::new(&[]);
        told.step(Event::Collected { host: A }, 1);
        if lost {
            told.step(Event::Lost { host: B }, 2);
        }
        assert_eq!(told.course.deadline(), Some(ms(over_ms)));
        told.step(Event::Tick, over_ms - 1);
        assert!(told.ending.is_none());
        told.step(Event::Tick, over_ms);
        assert_eq!(told.ending.map(|ending| ending.ended), Some(Ended::Complete), "lost: {lost}");
    }
}

#[test]
fn a_worker_back_at_the_last_moment_still_hands_over_its_lines() {
    let mut told = Told::new(&[]);
    told.step(Event::Lost { host: B }, 2);
    told.step(Event::Collected { host: A }, 3);
    told.step(Event::Back { host: B, fresh: true }, 7900);
    assert_eq!(told.course.deadline(), Some(ms(12_900)));
}

#[test]
fn rates_that_cannot_be_had_end_the_run_as_the_scenarios_fault_before_any_load() {
    let mut told = Told::new(&[StageKind::Load]);
    told.step(Event::Rates { stage: 0, rates: Err("80 Mb/s is more than h1 carries".to_owned()) }, 5);
    assert_eq!(told.said(), ["rates 0?", "h0 stop", "h0 finish", "h1 stop", "h1 finish"]);
    for host in [A, B] {
        told.step(Event::Collected { host }, 10);
    }
    let ending = told.ending.expect("over");
    assert!(ending.usage && ending.why.contains("80 Mb/s"), "{ending:?}");
}

#[test]
fn a_record_that_cannot_be_written_stops_all_and_ends_the_run_at_once() {
    let mut told = Told::new(&[StageKind::Reach]);
    told.said();
    told.step(Event::Failed { why: "disk full".to_owned() }, 5);
    assert_eq!(told.said(), ["h0 stop", "h0 finish", "h1 stop", "h1 finish", "over Aborted"]);
}

#[test]
fn a_run_that_everybody_left_is_over() {
    let mut told = Told::new(&[StageKind::Reach]);
    told.said();
    told.step(Event::Left { host: A, why: "signal".to_owned() }, 5);
    told.step(Event::Left { host: A, why: "again".to_owned() }, 6);
    told.step(Event::Left { host: B, why: "signal".to_owned() }, 7);
    assert_eq!(told.said(), ["h0 left", "h1 left", "over Aborted"]);
}

fn any_event() -> impl Strategy<Value = Event> {
    let host = (0u16..3).prop_map(HostId);
    let stage = 0u16..4;
    prop_oneof![
        4 => Just(Event::Tick),
        3 => (host.clone(), stage.clone()).prop_map(|(host, stage)| Event::Ready { host, stage }),
        1 => (host.clone(), stage.clone()).prop_map(|(host, stage)| Event::CannotDo { host, stage, why: String::new() }),
        3 => host.clone().prop_map(|host| Event::Lost { host }),
        3 => (host.clone(), any::<bool>()).prop_map(|(host, fresh)| Event::Back { host, fresh }),
        1 => host.clone().prop_map(|host| Event::Left { host, why: String::new() }),
        1 => host.prop_map(|host| Event::Collected { host }),
        1 => (stage, any::<bool>()).prop_map(|(stage, sound)| Event::Rates {
            stage,
            rates: if sound { Ok(BTreeMap::new()) } else { Err(String::new()) },
        }),
        1 => Just(Event::StopAsked { why: String::new() }),
    ]
}

proptest! {
    /// For all courses of events: no worker out of contact is told anything, every end is
    /// told once, and with nothing but ticks at its deadlines the run is over in time.
    #[test]
    fn lost_workers_are_never_told_and_every_run_ends_in_time(
        events in proptest::collection::vec((any_event(), 0u64..4000), 0..60),
        answers in any::<bool>(),
    ) {
        let plan = plan(&[StageKind::Reach, StageKind::Calibrate, StageKind::Load]);
        let mut course = Course::new(&plan, [A, B], ms(0));
        let mut away: BTreeSet<HostId> = BTreeSet::new();
        let (mut at, mut over) = (ms(0), 0);
        let mut pending: std::collections::VecDeque<_> = events.into();
        let by = ms(0) + plan.length_max() + Duration::from_secs(30);
        for _ in 0..10_000 {
            let Some(deadline) = course.deadline() else { break };
            prop_assert!(deadline <= by, "would wait until {}", deadline);
            let event = if let Some((event, later_ms)) = pending.pop_front() {
                at = at + Duration::from_millis(later_ms);
                event
            } else {
                at = at.max(deadline);
                Event::Tick
            };
            match &event {
                Event::Lost { host } => { away.insert(*host); }
                Event::Back { host, .. } => { away.remove(host); }
                _ => {}
            }
            for action in course.step(event, at) {
                match action {
                    Action::Tell { host, .. } => prop_assert!(!away.contains(&host), "told h{}", host.0),
                    Action::WorkOutRates { stage } if answers => {
                        pending.push_front((Event::Rates { stage, rates: Ok(BTreeMap::new()) }, 0));
                    }
                    Action::Over(_) => over += 1,
                    _ => {}
                }
            }
        }
        prop_assert_eq!(over, 1);
    }
}
