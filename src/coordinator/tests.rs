//! Whole runs over loopback, with workers that carry no bytes.

use std::{collections::BTreeMap, fs, path::Path};

use tokio::time::{interval, timeout};

use super::*;
use crate::{
    journal,
    model::{
        fleet::{
            host::{HostId, HostName, NicFacts},
            units::RunTime,
        },
        plan::{
            carriage::Carriage,
            dose::{Dose, Pattern, Rate, Ways},
            scenario::Stage,
        },
        record::{
            line::{Body, ContactState, Line},
            text,
        },
        run::{
            BUILD,
            message::{FromCoordinator, FromWorker, Hello, PROTOCOL},
        },
    },
    wire::{endpoint, join::JoinFile},
};

/// Nothing here takes as long, unless something hangs.
const TEST_MAX: Duration = Duration::from_secs(20);

fn settings(dir: &Path, expect: usize) -> Settings {
    let dose = Dose {
        pattern: Pattern::Storm,
        ways: Ways::BothWays,
        rate: Rate::Unpaced,
        carriage: Carriage::tcp(1),
    };
    let stage = Stage {
        name: "storm".to_owned(),
        steps: vec![dose],
        for_us: 1_000_000,
        repeat: 1,
        matchings: None,
        gap_us: 0,
    };
    Settings {
        listen: "127.0.0.1:0".parse().expect("an address"),
        advertise: None,
        join_file: dir.join("join.json"),
        expect,
        min_workers: 2,
        wait: Duration::from_secs(2),
        out: dir.join("results"),
        state_dir: dir.join("state"),
        scenario: Scenario {
            name: "storm".to_owned(),
            about: "a test".to_owned(),
            stages: vec![stage],
            ..Scenario::default()
        },
        seed: 7,
        simulated_links: true,
        policy: None,
        survey: false,
        shared: false,
    }
}

/// What a worker does on the first start of a stage.
#[derive(Clone, Copy, Eq, PartialEq)]
enum Habit {
    /// As it is told.
    Obeys,
    /// Loses its connection, and comes back.
    Drops,
    /// Dies, and comes back as a new process that kept the certificate.
    Restarts,
}

fn hello(name: &HostName, number: u8, process: u8) -> FromWorker {
    FromWorker::Hello(Box::new(Hello {
        versions: (PROTOCOL, PROTOCOL),
        build: BUILD.to_owned(),
        name: name.clone(),
        instance: format!("{process:032}"),
        boot_id: "boot".to_owned(),
        nic: NicFacts { iface: "eth0".to_owned(), ..NicFacts::default() },
        data_addr: ([10, 0, 0, number], 7000).into(),
        labels: BTreeMap::new(),
        kernel: "6.1".to_owned(),
        cores: 1,
        congestion_control: "cubic".to_owned(),
        control_in_band: None,
    }))
}

/// A worker that obeys and measures one line; the number of its last acknowledged line, or
/// why it was refused.
async fn obey(join_file: PathBuf, number: u8, habit: Habit) -> Result<u64, String> {
    let file = JoinFile::load(&join_file).expect("the join file is there once the coordinator listens");
    let name: HostName = format!("h{number}").parse().expect("a name");
    let identity = endpoint::join(&file, &name, BUILD, None).await.map_err(|error| error.to_string())?;
    let mut session = endpoint::connect(&file, &identity, None).await.expect("connected");
    session.replies.send(&hello(&name, number, 1)).await.expect("sent");
    let (mut instance, mut acked, mut dropped) = (0, 0, habit == Habit::Obeys);
    let mut prepared = 0;
    let mut pings = interval(Duration::from_secs(1));
    loop {
        let order = tokio::select! {
            order = session.orders.next() => order,
            _ = pings.tick() => {
                let ping = FromWorker::Ping { sent_us: 0, offset_us: None, error_us: None };
                session.replies.send(&ping).await.expect("sent");
                continue;
            }
        };
        match order {
            Ok(Some(FromCoordinator::Welcome { instance: given, .. })) => instance = given,
            Ok(Some(FromCoordinator::Refused { why })) => return Err(why),
            Ok(Some(FromCoordinator::Prepare(slice))) => {
                prepared += 1;
                session.replies.send(&FromWorker::Ready { stage: slice.stage }).await.expect("sent");
            }
            Ok(Some(FromCoordinator::Start { .. })) if !dropped => {
                dropped = true;
                session.link.close("gone");
                session = endpoint::connect(&file, &identity, None).await.expect("connected again");
                let process = if habit == Habit::Restarts { 2 } else { 1 };
                session.replies.send(&hello(&name, number, process)).await.expect("sent");
                prepared = 0;
            }
            Ok(Some(FromCoordinator::Start { .. })) => assert!(prepared > 0, "started unprepared"),
            Ok(Some(FromCoordinator::Finish)) => {
                let body = Body::Sent { flow: 1, bytes: 5 };
                let line = text::encode(&Line { i: instance, e: 1, q: 1, t: RunTime(1), body });
                // Twice, as after a lost session.
                session.lines.send(&format!("{line}\n{line}\nrubbish")).await.expect("sent");
                session.replies.send(&FromWorker::Done { last_seq: 1 }).await.expect("sent");
            }
            Ok(Some(FromCoordinator::Acked { seq })) => {
                acked = seq;
                session.link.close("done");
                return Ok(acked);
            }
            Ok(Some(_)) => {}
            Ok(None) | Err(_) => return Ok(acked),
        }
    }
}

#[tokio::test]
async fn a_stopped_run_leaves_a_whole_record_with_each_line_once_and_no_traces() {
    let dir = tempfile::tempdir().expect("a folder");
    let settings = settings(dir.path(), 2);
    let (tell, mut events) = mpsc::channel(1024);
    let (ask, stop) = watch::channel(StopLevel::Run);
    let run = tokio::spawn(super::run(settings.clone(), tell, stop));

    let mut workers = Vec::new();
    let watched =
        async {
            while let Some(event) = events.recv().await {
                match event {
                    RunEvent::Listening { .. } => {
                        workers.extend([10, 2].map(|number| {
                            tokio::spawn(obey(settings.join_file.clone(), number, Habit::Obeys))
                        }));
                    }
                    RunEvent::Opened { names, .. } => {
                        let names: Vec<&str> = names.iter().map(HostName::as_str).collect();
                        assert_eq!(names, ["h2", "h10"]);
                    }
                    RunEvent::StageStarted { .. } => {
                        ask.send_replace(StopLevel::Stop);
                    }
                    _ => {}
                }
            }
        };
    timeout(TEST_MAX, watched).await.expect("the run ends");
    let outcome = run.await.expect("no panic").expect("a run");
    assert_eq!(outcome.ended, Ended::Interrupted);
    for worker in workers {
        assert_eq!(worker.await.expect("no panic"), Ok(1), "its line is acknowledged");
    }

    let lines = read(&outcome.folder);
    assert!(matches!(lines.first().map(|line| &line.body), Some(Body::Opened(_))));
    assert!(matches!(
        lines.last().map(|line| &line.body),
        Some(Body::Closed { ended: Ended::Interrupted, .. })
    ));
    let sent = lines.iter().filter(|line| matches!(line.body, Body::Sent { .. })).count();
    assert_eq!(sent, 2, "one line of each worker");

    assert!(!settings.join_file.exists());
    assert_eq!(fs::read_dir(settings.state_dir.join("runs")).expect("a folder").count(), 0);
    assert_eq!(fs::canonicalize(settings.out.join("latest")).ok(), fs::canonicalize(&outcome.folder).ok());
}

/// Waits for the coordinator to listen.
async fn listening(events: &mut mpsc::Receiver<RunEvent>) {
    let event = timeout(TEST_MAX, events.recv()).await.expect("the coordinator speaks");
    assert!(matches!(event, Some(RunEvent::Listening { .. })), "{event:?}");
}

fn read(folder: &Path) -> Vec<Line> {
    let record = journal::find_record(folder).expect("a record");
    let lines = journal::read_lines(&record).expect("readable");
    lines.iter().map(|line| text::decode(line).expect("sound")).collect()
}

#[tokio::test]
async fn a_worker_that_comes_back_goes_on_and_the_record_tells_of_it() {
    for (habit, instances) in [(Habit::Drops, 2), (Habit::Restarts, 3)] {
        let dir = tempfile::tempdir().expect("a folder");
        let settings = settings(dir.path(), 2);
        let (tell, mut events) = mpsc::channel(1024);
        let (_ask, stop) = watch::channel(StopLevel::Run);
        let run = tokio::spawn(super::run(settings.clone(), tell, stop));
        listening(&mut events).await;
        let workers = [(1, Habit::Obeys), (2, habit)]
            .map(|(number, habit)| tokio::spawn(obey(settings.join_file.clone(), number, habit)));

        let outcome = timeout(TEST_MAX, run).await.expect("it ends").expect("no panic").expect("a run");
        assert_eq!(outcome.ended, Ended::Complete);
        for worker in workers {
            assert_eq!(worker.await.expect("no panic"), Ok(1));
        }
        let lines = read(&outcome.folder);
        let states: Vec<ContactState> = lines
            .iter()
            .filter_map(|line| match &line.body {
                Body::Contact(contact) if contact.host == HostId(1) => Some(contact.state),
                _ => None,
            })
            .collect();
        assert_eq!(states[1], ContactState::Back, "{states:?}");
        assert_ne!(states[0], ContactState::Back, "{states:?}");
        let joined = lines.iter().filter(|line| matches!(line.body, Body::Joined(_))).count();
        assert_eq!(joined, instances);
    }
}

#[tokio::test]
async fn too_few_workers_are_named_sent_home_and_nothing_is_written() {
    let dir = tempfile::tempdir().expect("a folder");
    let settings = settings(dir.path(), 2);
    let (tell, mut events) = mpsc::channel(1024);
    let (_ask, stop) = watch::channel(StopLevel::Run);
    let run = tokio::spawn(super::run(settings.clone(), tell, stop));
    listening(&mut events).await;
    let worker = tokio::spawn(obey(settings.join_file.clone(), 1, Habit::Obeys));

    let error = timeout(TEST_MAX, run).await.expect("it ends").expect("no panic").expect_err("too few");
    assert!(matches!(error, RunError::Failed(_)), "{error:?}");
    assert!(error.to_string().starts_with("only 1 of 2 workers came within 2 s"), "{error}");
    assert!(worker.await.expect("no panic").expect_err("refused").contains("only 1 of 2"));
    assert_eq!(fs::read_dir(&settings.out).expect("it is there").count(), 0);
}

#[tokio::test]
async fn a_port_in_use_is_named_with_the_way_out() {
    let dir = tempfile::tempdir().expect("a folder");
    let taken = std::net::UdpSocket::bind("127.0.0.1:0").expect("a port");
    let mut settings = settings(dir.path(), 2);
    settings.listen = taken.local_addr().expect("its address");
    let (tell, _events) = mpsc::channel(1);
    let (_ask, stop) = watch::channel(StopLevel::Run);
    let error = super::run(settings.clone(), tell, stop).await.expect_err("taken").to_string();
    assert!(error.contains(&settings.listen.port().to_string()) && error.contains("--listen"), "{error}");
    assert!(!settings.join_file.exists());
}
