//! Before the run: workers join and wait until the fleet is complete, or time is up.
//!
//! A worker is welcomed only when the run begins, because its host's number depends on who
//! else came. A join that fails concerns that worker alone and never ends the gathering.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use tokio::{
    sync::watch,
    time::{Instant, sleep_until, timeout},
};

use super::{
    RunError, Settings, StopLevel,
    gate::Gate,
    preflight::{Ground, Traces, unix_s},
    roster::Roster,
    sessions::{self, FromFleet, Inbox, RunClock, SessionHandle},
    stop::StopServer,
    teller::Teller,
};
use crate::{
    model::run::{
        event::RunEvent,
        message::{FromCoordinator, Hello, JoinReply, SecretHex},
    },
    wire::{
        endpoint::{JoinCall, Listener},
        identity::RunAuthority,
    },
};

/// How long an answer to a join may take to get out.
const ANSWER_MAX: Duration = Duration::from_secs(5);

/// The door of a run: who may come in, and with which certificate.
pub(super) struct Door {
    pub(super) gate: Gate,
    pub(super) authority: Arc<RunAuthority>,
}

/// The fleet that came.
pub(super) struct Fleet {
    pub(super) run: String,
    pub(super) door: Door,
    pub(super) roster: Roster,
    pub(super) inbox: Inbox,
    pub(super) listener: Arc<Listener>,
    pub(super) clock: RunClock,
    pub(super) secret: SecretHex,
    pub(super) stop: StopServer,
    pub(super) traces: Traces,
}

/// Waits for the fleet.
pub(super) async fn gather(
    settings: &Settings,
    ground: Ground,
    teller: &mut Teller,
    stop: &mut watch::Receiver<StopLevel>,
) -> Result<Fleet, RunError> {
    let clock = RunClock::default();
    let inbox = sessions::open(Arc::clone(&ground.listener), clock.clone());
    let mut fleet = Fleet {
        run: ground.run,
        door: Door { gate: ground.gate, authority: ground.authority },
        roster: Roster::default(),
        inbox,
        listener: ground.listener,
        clock,
        secret: ground.secret,
        stop: ground.stop.serve(),
        traces: ground.traces,
    };
    let until = Instant::now() + settings.wait;
    while fleet.roster.present() < settings.expect {
        let event = tokio::select! {
            biased; // Or a crowd at the door could put off the end of the wait.
            _ = stopped(stop, StopLevel::Run) => return Err(fleet.give_up(interrupted()).await),
            Some(()) = fleet.stop.asked.recv() => return Err(fleet.give_up(interrupted()).await),
            () = sleep_until(until) => break,
            event = fleet.inbox.fleet.recv() => event,
        };
        match event {
            Some(event) => fleet.hear(event, settings, teller),
            None => return Err(RunError::Failed("the listener ended; nothing was sent".to_owned())),
        }
    }
    if fleet.roster.present() < settings.min_workers {
        let why = too_few(settings, &fleet.roster);
        return Err(fleet.give_up(RunError::Failed(why)).await);
    }
    fleet.door.gate.start();
    fleet.roster.number();
    Ok(fleet)
}

/// Resolves once a stop beyond `seen` is asked; never, where nobody can ask any more.
pub(super) async fn stopped(stop: &mut watch::Receiver<StopLevel>, seen: StopLevel) -> StopLevel {
    let asked = stop.wait_for(|level| *level != StopLevel::Run && *level != seen).await.map(|level| *level);
    match asked {
        Ok(level) => level,
        Err(_) => std::future::pending().await,
    }
}

impl Door {
    /// Answers a join request; the answer travels on a task of its own.
    pub(super) fn join(&mut self, call: JoinCall) {
        let request = call.request();
        let issued = self.gate.join(request, unix_s(SystemTime::now())).and_then(|()| {
            self.authority.issue(&request.name, &request.public_key).map_err(|error| {
                self.gate.release(&request.name);
                error.to_string()
            })
        });
        let reply = match issued {
            Ok(certificate_pem) => JoinReply::Issued { certificate_pem },
            Err(why) => {
                tracing::warn!(name = %request.name, from = %call.from(), why, "join refused");
                JoinReply::Refused { why }
            }
        };
        tokio::spawn(timeout(ANSWER_MAX, call.answer(reply)));
    }

    /// Lets a session in, or tells it why not.
    pub(super) fn admit(
        &self,
        session: &SessionHandle,
        hello: &Hello,
        roster: &Roster,
    ) -> Result<(), String> {
        let others = roster.members().map(|member| &member.hello);
        self.gate.hello(hello, &session.name, others).inspect_err(|why| {
            tracing::warn!(name = %session.name, why, "session refused");
            session.tell(FromCoordinator::Refused { why: why.clone() });
        })
    }
}

impl Fleet {
    fn hear(&mut self, event: FromFleet, settings: &Settings, teller: &mut Teller) {
        match event {
            FromFleet::Join(call) => self.door.join(*call),
            FromFleet::Hello(session, hello) => {
                if let Err(why) = self.door.admit(&session, &hello, &self.roster) {
                    // Its place is free again, unless another session of it is in.
                    if self.roster.by_name(&session.name).is_none() {
                        self.door.gate.release(&session.name);
                    }
                    teller.note(format!("{} refused: {why}", session.name));
                    return;
                }
                let name = hello.name.clone();
                if let (_, Some(before)) = self.roster.seat(*hello, session) {
                    before.close("a new session took its place");
                }
                let (have, expected) = (self.roster.present(), settings.expect);
                teller.tell(RunEvent::Joined { name, have, expected });
            }
            FromFleet::Said(..) => {}
            FromFleet::Gone(session, gone) => {
                if let Some(member) = self.roster.unseat(session) {
                    teller
                        .note(format!("{} is gone again before the start: {}", member.hello.name, gone.why));
                }
            }
        }
    }

    /// Sends everybody home before anything was sent; the error is given back.
    pub(super) async fn give_up(self, error: RunError) -> RunError {
        let why = error.to_string();
        for session in self.roster.members().filter_map(|member| member.session.as_ref()) {
            session.tell(FromCoordinator::Refused { why: why.clone() });
        }
        // Time for the word to get out; who does not listen is cut off.
        let mut inbox = self.inbox;
        let mut left = self.roster.present();
        let farewells = async {
            while left > 0 {
                match inbox.fleet.recv().await {
                    Some(FromFleet::Gone(..)) => left -= 1,
                    Some(_) => {}
                    None => return,
                }
            }
        };
        let _ = timeout(Duration::from_secs(2), farewells).await;
        let _ = timeout(Duration::from_secs(1), self.listener.close(&why)).await;
        error
    }
}

fn interrupted() -> RunError {
    RunError::Failed("stopped while waiting for workers; nothing was sent".to_owned())
}

fn too_few(settings: &Settings, roster: &Roster) -> String {
    let came: Vec<&str> = roster
        .members()
        .filter(|member| member.session.is_some())
        .map(|member| member.hello.name.as_str())
        .collect();
    let who = if came.is_empty() { "nobody".to_owned() } else { came.join(", ") };
    format!(
        "only {} of {} workers came within {} s, and at least {} are needed; missing {}, here: {who}; nothing was \
         sent. Start the others with --join {}, wait longer with --wait, or go on with fewer with --min-workers",
        came.len(),
        settings.expect,
        settings.wait.as_secs(),
        settings.min_workers,
        settings.expect - came.len(),
        settings.join_file.display(),
    )
}
