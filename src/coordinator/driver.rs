//! The loop of a run: the one place that waits.
//!
//! It takes what happens (time, messages, lines, a wish to stop), asks the machines of
//! `model::run` what to do, and does it. Nothing in it blocks: disk work is the recorder's
//! thread, sending is each session's task.

mod act;
mod hear;

use std::{collections::BTreeMap, net::SocketAddr, path::PathBuf, time::Duration, time::SystemTime};

use tokio::{
    sync::watch,
    time::{Instant, MissedTickBehavior, interval, sleep_until},
};

use super::{
    Outcome, RunError, Settings, StopLevel,
    folder::{self, RunFile},
    gather::{Door, Fleet, stopped},
    intake::Intake,
    preflight::Traces,
    recorder::{Durable, RecordFailed, Recorder},
    roster::Roster,
    sessions::{Inbox, RunClock},
    stop::StopServer,
    teller::Teller,
};
use crate::{
    journal::Writer,
    model::{
        fleet::{host::HostId, units::RunTime},
        judge::{confirm::Suspects, live::Live},
        plan::layout::Plan,
        record::{
            line::{Body, COORDINATOR, Ended, Line, Opened, RECORD_SCHEMA},
            probe::Moments,
            text,
        },
        run::{
            BUILD,
            course::{Course, Ending, Event},
            event::RunEvent,
            liveness::{LEASE_EACH, LEASE_TTL, Liveness},
            message::{FromCoordinator, SecretHex},
        },
    },
    wire::endpoint::Listener,
};

/// The fencing number: a run is led by one coordinator process, and not taken over.
pub(super) const EPOCH: u32 = 1;

/// How often the loop looks around by itself: the measuring grid.
const LOOK: Duration = Duration::from_millis(100);

/// A loop that is later than this did not see what happened meanwhile.
const LAG_MAX: Duration = Duration::from_secs(1);

/// The look for suspects, on a thread of its own.
type Suspecting = tokio::task::JoinHandle<Suspects>;

/// What the look for suspects came to; `None` where it broke. Pends while nobody looks.
async fn suspects(suspecting: &mut Option<Suspecting>) -> Option<Suspects> {
    match suspecting {
        Some(task) => task.await.ok(),
        None => std::future::pending().await,
    }
}

/// A run under way.
pub(super) struct Driver {
    pub(super) run: String,
    pub(super) folder: PathBuf,
    pub(super) plan: Plan,
    pub(super) course: Course,
    pub(super) liveness: Liveness,
    pub(super) live: Live,
    /// Whether the watcher is told every line: in a quick measurement, which they are all of.
    tells_lines: bool,
    /// Whether others may use the links as well.
    pub(super) shared: bool,
    pub(super) door: Door,
    pub(super) roster: Roster,
    pub(super) addrs: BTreeMap<HostId, SocketAddr>,
    pub(super) secret: SecretHex,
    pub(super) clock: RunClock,
    pub(super) inbox: Inbox,
    pub(super) listener: std::sync::Arc<Listener>,
    pub(super) intake: Intake,
    pub(super) recorder: Recorder,
    /// How far each instance was told that its lines are safe.
    pub(super) acked: BTreeMap<u16, u64>,
    pub(super) teller: Teller,
    pub(super) stop: StopServer,
    /// The coordinator's own last line.
    seq: u64,
    pub(super) lines_refused: u64,
    lease_at: RunTime,
    suspecting: Option<Suspecting>,
    pub(super) ending: Option<Ending>,
    pub(super) record_failed: Option<String>,
    pub(super) _traces: Traces,
}

impl Driver {
    /// The run's zero: the folder is made, everybody welcomed.
    pub(super) fn open(
        settings: &Settings,
        plan: Plan,
        fleet: Fleet,
        mut teller: Teller,
    ) -> Result<Self, RunError> {
        let hosts = fleet.roster.hosts();
        let started_at = humantime::format_rfc3339_millis(SystemTime::now()).to_string();
        let file = RunFile {
            started_at: &started_at,
            expected: settings.expect,
            simulated_links: settings.simulated_links,
            shared: settings.shared,
            ..RunFile::new(&fleet.run, BUILD, &settings.scenario, &plan, &fleet.roster)
        };
        let folder = folder::open(&settings.out, &fleet.run, &file)?;
        let failed = |why: String| RunError::Failed(format!("record cannot be written: {why}"));
        let writer =
            Writer::create(&folder.join("record.jsonl")).map_err(|error| failed(error.to_string()))?;
        let recorder = Recorder::start(writer).map_err(|error| failed(error.to_string()))?;

        fleet.clock.start();
        let at = fleet.clock.now();
        teller.tell(RunEvent::Opened {
            run: fleet.run.clone(),
            folder: folder.display().to_string(),
            names: fleet.roster.names().to_vec(),
            planned_s: plan.length().as_secs_f64(),
        });
        let addrs = fleet.roster.members().map(|member| (member.host, member.hello.data_addr)).collect();
        let mut driver = Self {
            course: Course::new(&plan, hosts.iter().map(|host| host.id), at),
            run: fleet.run,
            folder,
            plan,
            liveness: Liveness::default(),
            live: Live::new(),
            tells_lines: settings.scenario.pair.is_some(),
            shared: settings.shared,
            door: fleet.door,
            roster: fleet.roster,
            addrs,
            secret: fleet.secret,
            clock: fleet.clock,
            inbox: fleet.inbox,
            listener: fleet.listener,
            intake: Intake::default(),
            recorder,
            acked: BTreeMap::new(),
            teller,
            stop: fleet.stop,
            seq: 0,
            lines_refused: 0,
            lease_at: at,
            suspecting: None,
            ending: None,
            record_failed: None,
            _traces: fleet.traces,
        };
        driver.write(Body::Opened(Box::new(Opened {
            schema: RECORD_SCHEMA.to_owned(),
            run: driver.run.clone(),
            build: BUILD.to_owned(),
            started_at,
            scenario: settings.scenario.clone(),
            seed: settings.seed,
            planned: u16::try_from(settings.expect).unwrap_or(u16::MAX),
            hosts: hosts.clone(),
            simulated_links: settings.simulated_links,
            moments: Moments::Turning,
            policy: settings.policy.clone(),
        })));
        for host in hosts {
            driver.enrol(host.id);
            driver.welcome(host.id, at);
        }
        Ok(driver)
    }

    /// Leads the run to its end.
    pub(super) async fn drive(mut self, mut stop: watch::Receiver<StopLevel>) -> Result<Outcome, RunError> {
        let mut ticker = interval(LOOK);
        ticker.set_missed_tick_behavior(MissedTickBehavior::Skip);
        let mut looked = self.clock.now();
        let mut durable = self.recorder.durable();
        let mut level = StopLevel::Run;
        while self.ending.is_none() {
            let deadline = self.course.deadline().map_or_else(Instant::now, |at| self.clock.instant(at));
            tokio::select! {
                biased; // Stops and deadlines first: a flood of messages must not put them off.
                asked = stopped(&mut stop, level) => {
                    level = asked;
                    self.asked_to_stop(level);
                }
                Some(()) = self.stop.asked.recv() => self.asked_to_stop(StopLevel::Stop),
                () = sleep_until(deadline) => self.step(Event::Tick),
                _ = ticker.tick() => looked = self.look(looked),
                found = suspects(&mut self.suspecting) => self.suspected(found),
                Ok(()) = durable.changed() => {
                    let news = durable.borrow_and_update().clone();
                    self.acknowledge(&news);
                }
                Some(event) = self.inbox.fleet.recv() => self.hear(event),
                Some(batch) = self.inbox.lines.recv(), if self.recorder.has_room() => self.take(&batch),
            }
        }
        self.close(level).await
    }

    fn asked_to_stop(&mut self, level: StopLevel) {
        let why = "stopped by its operator".to_owned();
        self.step(Event::StopAsked { why: why.clone() });
        if level == StopLevel::Now {
            self.ending =
                self.ending.take().or(Some(Ending { ended: Ended::Interrupted, why, usage: false }));
        }
    }

    /// What only the passing of time reveals.
    fn look(&mut self, looked: RunTime) -> RunTime {
        let now = self.clock.now();
        if now.since(looked) > LAG_MAX + LOOK {
            let why = format!("the coordinator did not run for {:.1} s", now.since(looked).as_secs_f64());
            self.write(Body::Impaired { since: looked, why });
            self.liveness.excuse(now);
        }
        for (host, change) in self.liveness.tick(now) {
            self.contact(host, change, false);
        }
        for event in self.live.tick(now) {
            self.teller.tell(event);
        }
        if now >= self.lease_at {
            self.lease_at = now + LEASE_EACH;
            let lease = self.lease();
            self.tell_all(&lease);
            self.stop.status.send_replace(format!(
                "{} of {} workers connected, {}, {now} since the start",
                self.roster.present(),
                self.roster.names().len(),
                self.course.standing()
            ));
        }
        now
    }

    pub(super) fn lease(&self) -> FromCoordinator {
        FromCoordinator::Lease { ttl_ms: LEASE_TTL.as_millis() as u32, over_at: self.course.over_by() }
    }

    pub(super) fn tell_all(&self, order: &FromCoordinator) {
        for session in self.roster.members().filter_map(|member| member.session.as_ref()) {
            session.tell(order.clone());
        }
    }

    /// Writes a line of the coordinator's own.
    pub(super) fn write(&mut self, body: Body) {
        self.seq += 1;
        let now = self.clock.now();
        let line = Line { i: COORDINATOR, e: EPOCH, q: self.seq, t: now, body };
        self.append(text::encode(&line), &line, now);
    }

    /// Queues a line for the disk and shows it to the live view.
    pub(super) fn append(&mut self, text: String, line: &Line, now: RunTime) {
        if let Err(RecordFailed(why)) = self.recorder.append(text, line.i, line.q) {
            self.fail(&why);
            return;
        }
        if self.tells_lines {
            self.teller.tell(RunEvent::Recorded(Box::new(line.clone())));
        }
        for event in self.live.feed(line, now) {
            self.teller.tell(event);
        }
    }

    /// Tells workers up to which line they may forget.
    pub(super) fn acknowledge(&mut self, durable: &Durable) {
        for (instance, seq) in &durable.upto {
            if *instance == COORDINATOR || self.acked.get(instance) == Some(seq) {
                continue;
            }
            self.acked.insert(*instance, *seq);
            let member = self.roster.host_of(*instance).and_then(|host| self.roster.get(host));
            if let Some(member) = member.filter(|member| member.instance == *instance)
                && let Some(session) = &member.session
            {
                session.tell(FromCoordinator::Acked { seq: *seq });
            }
        }
        if let Some(why) = &durable.failed {
            self.fail(why);
        }
    }

    /// The record cannot be written any more: the run cannot go on.
    fn fail(&mut self, why: &str) {
        if self.record_failed.is_none() {
            self.record_failed = Some(why.to_owned());
            self.step(Event::Failed { why: format!("record cannot be written: {why}") });
        }
    }
}
