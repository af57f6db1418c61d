//! Tells the host's facts and counters: when they are asked for, and what becomes of a
//! reader that does not answer. Control never waits for it.

use std::{sync::atomic::Ordering, time::Duration};

use tokio::time::Instant;

use super::Serving;
use crate::{
    model::{
        fleet::units::RunTime,
        record::{facts::Asked, line::Body},
        run::message::FromWorker,
    },
    worker::{
        Ending, Parts,
        host::{
            HostReader,
            asking::{Answer, Asking, Question},
        },
    },
};

/// Between two looks at the counters.
const EACH: Duration = Duration::from_secs(1);

/// A reader that has not answered by then hangs in a driver; that is told once.
const ANSWER_MAX: Duration = Duration::from_secs(5);

/// What the end's facts may hold up the end: a fifth of what collecting may take.
const END_MAX: Duration = Duration::from_secs(2);

/// What is known of the reader.
pub(super) struct Telling {
    /// `None` once it is known to be of no use.
    asking: Option<Asking>,
    /// Why there is none, until that is told.
    untold: Option<(&'static str, String)>,
    wanted: Option<Asked>,
    started: bool,
    next_at: Instant,
    waits_since: Option<Instant>,
    is_late: bool,
    end_by: Option<Instant>,
}

impl Telling {
    pub(super) fn new(parts: &Parts) -> Self {
        let reader = HostReader::live(&parts.card.iface, parts.card.index).and_then(Asking::start);
        let (asking, untold) = match reader {
            Ok(asking) => (Some(asking), None),
            Err(error) => (None, Some(("host facts", format!("the reader cannot be started: {error}")))),
        };
        Self {
            asking,
            untold,
            wanted: None,
            started: false,
            next_at: Instant::now(),
            waits_since: None,
            is_late: false,
            end_by: None,
        }
    }

    /// The coordinator has let this worker in: for the first time, or again.
    pub(super) fn welcomed(&mut self) {
        let asked = if self.started { Asked::Back } else { Asked::Start };
        self.started = true;
        // Facts of the start that are still to be read also tell how the host is now.
        self.wanted.get_or_insert(asked);
    }

    /// The next answer; pends where there is no reader.
    pub(super) async fn answer(&mut self) -> Option<Answer> {
        match &mut self.asking {
            Some(asking) => asking.answer().await,
            None => std::future::pending().await,
        }
    }

    /// Asks for what is due.
    fn ask(&mut self, at: RunTime) {
        let now = Instant::now();
        if let Some(since) = self.waits_since {
            if now.duration_since(since) > ANSWER_MAX && !self.is_late {
                self.is_late = true;
                let why = format!(
                    "no answer for {} s: the driver may hang in an ioctl, ethtool -S would too",
                    ANSWER_MAX.as_secs()
                );
                self.untold = Some(("host facts", why));
            }
            return;
        }
        let question = match self.wanted.take() {
            Some(asked) => Question::Facts(asked, at),
            None if self.started && now >= self.next_at => Question::Counters(at),
            None => return,
        };
        self.next_at = now + EACH;
        if self.asking.as_ref().is_some_and(|asking| asking.ask(question)) {
            self.waits_since = Some(now);
        }
    }

    /// Asks for the facts of the end; `false` where nothing would come of it.
    fn ask_end(&mut self, at: RunTime) -> bool {
        let asking = self.asking.as_ref().filter(|_| self.started && !self.is_late);
        let asked = asking.is_some_and(|asking| asking.ask(Question::Facts(Asked::End, at)));
        if asked {
            self.end_by = Some(Instant::now() + END_MAX);
        }
        asked
    }
}

impl Serving {
    /// Asks for what is due, and tells what is not to be had.
    pub(super) fn tell_facts(&mut self) -> Result<(), Ending> {
        if !self.outbox.is_welcome() {
            return Ok(());
        }
        let at = self.parts.shared.run_now();
        if self.telling.end_by.is_none() {
            self.telling.ask(at);
        }
        if let Some((what, why)) = self.telling.untold.take() {
            self.keep(at, Body::Unread { what: what.to_owned(), why })?;
        }
        Ok(())
    }

    /// An answer of the reader; `None` where its thread broke.
    pub(super) fn heard_facts(&mut self, answer: Option<Answer>) -> Result<(), Ending> {
        let at = self.parts.shared.run_now();
        self.telling.waits_since = None;
        self.telling.is_late = false;
        match answer {
            Some(Answer::Facts(facts)) => {
                let is_end = facts.asked == Asked::End;
                self.keep(at, Body::Facts(facts))?;
                if is_end {
                    self.done();
                }
            }
            Some(Answer::Counters(moved)) if moved.is_empty() => {}
            Some(Answer::Counters(moved)) => self.keep(at, Body::Counters(moved))?,
            None => {
                self.telling.asking = None;
                let why = "the reader broke; the worker's own log says how".to_owned();
                self.keep(at, Body::Unread { what: "host facts".to_owned(), why })?;
                if self.telling.end_by.is_some() {
                    self.done();
                }
            }
        }
        Ok(())
    }

    /// The run is over: the facts of the end, and then the last word.
    pub(super) fn finish(&mut self) {
        // Without the run's time no line can be told at its moment.
        let synced = self.parts.shared.synced.load(Ordering::Relaxed);
        if self.finish_by.is_some() || !synced || !self.telling.ask_end(self.parts.shared.run_now()) {
            self.done();
        }
    }

    /// The facts of the end do not come in time: the end comes without them.
    pub(super) fn end_is_late(&mut self) -> Result<(), Ending> {
        if self.telling.end_by.is_some_and(|by| Instant::now() >= by) {
            let why = format!("no answer within {} s", END_MAX.as_secs());
            let at = self.parts.shared.run_now();
            self.keep(at, Body::Unread { what: "host facts at the end".to_owned(), why })?;
            self.done();
        }
        Ok(())
    }

    fn done(&mut self) {
        self.telling.end_by = None;
        self.finish_by.get_or_insert(Instant::now() + super::DELIVER_MAX);
        self.reply(FromWorker::Done { last_seq: self.outbox.last_seq() });
    }
}
