//! What comes from the fleet, understood.

use super::Driver;
use crate::{
    coordinator::{
        roster::Seated,
        sessions::{Batch, FromFleet, SessionHandle},
    },
    model::{
        fleet::host::HostId,
        record::line::{Body, Contact, ContactState},
        run::{
            course::Event,
            event::RunEvent,
            liveness::Change,
            message::{FromWorker, Hello},
        },
    },
};

/// Refused lines are told to people up to this many times; the count goes on.
const REFUSED_TOLD_MAX: u64 = 5;

impl Driver {
    pub(super) fn hear(&mut self, event: FromFleet) {
        match event {
            FromFleet::Join(call) => self.door.join(*call),
            FromFleet::Hello(session, hello) => self.came_back(session, *hello),
            FromFleet::Said(session, said) => self.said(session, said),
            FromFleet::Gone(session, gone) => {
                let Some(host) = self.roster.unseat(session).map(|member| member.host) else { return };
                if let Some(change) = self.liveness.link_gone(host, gone.by_peer, &gone.why) {
                    self.contact(host, change, false);
                }
                self.step(Event::Lost { host });
            }
        }
    }

    /// A session during the run: only of a worker that was in at its zero.
    fn came_back(&mut self, session: SessionHandle, hello: Hello) {
        if self.door.admit(&session, &hello, &self.roster).is_err() {
            return;
        }
        let Some(host) = self.roster.by_name(&hello.name).map(|member| member.host) else {
            let why = format!("the run began without {}; join the next one", hello.name);
            session.tell(crate::model::run::message::FromCoordinator::Refused { why });
            return;
        };
        let data_addr = hello.data_addr;
        let (seated, before) = self.roster.seat(hello, session);
        if let Some(before) = before {
            let why = "a new session took its place";
            before.close(why);
            if let Some(change) = self.liveness.link_gone(host, false, why) {
                self.contact(host, change, false);
            }
        }
        if seated == Seated::NewInstance {
            self.addrs.insert(host, data_addr);
            self.enrol(host);
        }
        let at = self.clock.now();
        self.welcome(host, at);
        self.contact(host, Change::Back, true);
    }

    fn said(&mut self, session: u64, said: FromWorker) {
        let Some(member) = self.roster.on(session) else { return };
        let host = member.host;
        if let FromWorker::Done { last_seq } = &said {
            member.done = Some(*last_seq);
        }
        if let Some(change) = self.liveness.heard(host, self.clock.now()) {
            self.contact(host, change, false);
        }
        match said {
            FromWorker::Ready { stage } => self.step(Event::Ready { host, stage }),
            FromWorker::CannotDo { stage, why } => self.step(Event::CannotDo { host, stage, why }),
            FromWorker::Leaving { why } => {
                self.teller.note(format!("{} leaves: {why}", self.name(host)));
                self.liveness.forget(host);
                self.step(Event::Left { host, why });
            }
            FromWorker::Done { .. } => self.check_collected(host),
            FromWorker::Ping { .. } | FromWorker::Hello(_) => {}
        }
    }

    /// Takes a batch of lines: each verbatim into the record, if it is sound and new.
    pub(super) fn take(&mut self, batch: &Batch) {
        let Some(host) = self.roster.by_name(&batch.name).map(|member| member.host) else { return };
        let now = self.clock.now();
        for text in batch.text.lines().filter(|text| !text.is_empty()) {
            match self.intake.take(text, |instance| self.roster.host_of(instance) == Some(host)) {
                Ok(Some(line)) => self.append(text.to_owned(), &line, now),
                Ok(None) => {}
                Err(why) => self.refuse_line(&batch.name.to_string(), &why),
            }
        }
        self.check_collected(host);
    }

    fn refuse_line(&mut self, name: &str, why: &str) {
        self.lines_refused += 1;
        tracing::warn!(name, why, "line refused");
        if self.lines_refused <= REFUSED_TOLD_MAX {
            self.teller.note(format!("a line from {name} was refused: {why}"));
        }
    }

    /// A worker that is done, and whose lines are all here, need not be awaited.
    fn check_collected(&mut self, host: HostId) {
        let Some(member) = self.roster.get(host) else { return };
        if let Some(last) = member.done
            && self.intake.has_all(member.instance, last)
        {
            // It has told everything and may go: its silence means nothing any more.
            self.liveness.forget(host);
            self.step(Event::Collected { host });
        }
    }

    /// A change of contact: into the record, to the watcher, to the course.
    pub(super) fn contact(&mut self, host: HostId, change: Change, fresh: bool) {
        let at = self.clock.now();
        let instance = self.roster.get(host).map_or(0, |member| member.instance);
        let (state, why) = match change {
            Change::Lost { why } => (ContactState::Lost, why),
            Change::Closed { why } => (ContactState::Closed, why),
            Change::Back => (ContactState::Back, String::new()),
        };
        self.write(Body::Contact(Contact { host, instance, state, why: why.clone() }));
        if state == ContactState::Back {
            self.teller.tell(RunEvent::ContactBack { host, at });
            self.step(Event::Back { host, fresh });
        } else {
            self.teller.tell(RunEvent::ContactLost { host, at, why });
            self.step(Event::Lost { host });
        }
    }

    pub(super) fn name(&self, host: HostId) -> &str {
        self.roster.names().get(host.index()).map_or("?", |name| name.as_str())
    }
}
