//! Tells the host's facts and counters: when they are asked for, and what becomes of a
//! reader that does not answer. Control never waits for it.

use std::time::Duration;

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
        Self::of(asking, untold)
    }

    fn of(asking: Option<Asking>, untold: Option<(&'static str, String)>) -> Self {
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
    fn ask(&mut self, at: RunTime, now: Instant) {
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
    /// Tells once what this host's CPU carries.
    fn tell_ceiling(&mut self) -> Result<(), Ending> {
        let body = match self.parts.ceiling_bps.take() {
            Some(Ok(tcp_bps)) => Body::Ceiling { tcp_bps },
            Some(Err(why)) => Body::Unread { what: "ceiling of the CPU".to_owned(), why },
            None => return Ok(()),
        };
        self.keep(self.parts.shared.run_now(), body)
    }

    /// Asks for what is due, and tells what is not to be had.
    pub(super) fn tell_facts(&mut self) -> Result<(), Ending> {
        if !self.outbox.is_welcome() {
            return Ok(());
        }
        self.tell_ceiling()?;
        let at = self.parts.shared.run_now();
        if self.telling.end_by.is_none() {
            self.telling.ask(at, Instant::now());
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
        let synced = self.is_synced();
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

#[cfg(test)]
mod tests {
    use std::{fs, path::Path};

    use super::*;

    #[test]
    fn a_driver_that_hangs_is_told_once_and_holds_up_nothing() {
        // A pipe that nobody writes to hangs its reader, as a driver does in an ioctl.
        let root = tempfile::tempdir().expect("a folder");
        let answers = root.path().join("answers");
        fs::create_dir(&answers).expect("made");
        let link =
            Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/hosts/ice/answers/route-link.hex");
        fs::copy(link, answers.join("route-link.hex")).expect("copied");
        let pipe = answers.join("ethtool-drvinfo.hex");
        let mode = rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR;
        rustix::fs::mknodat(rustix::fs::CWD, &pipe, rustix::fs::FileType::Fifo, mode, 0).expect("a pipe");
        let reader = HostReader::recorded(root.path()).expect("a link");
        let mut telling = Telling::of(Some(Asking::start(reader).expect("a thread")), None);

        let (at, now) = (RunTime(0), Instant::now());
        telling.welcomed();
        telling.ask(at, now);
        telling.ask(at, now + ANSWER_MAX);
        assert!(telling.untold.is_none() && telling.waits_since == Some(now));
        telling.ask(at, now + ANSWER_MAX + EACH);
        let (what, why) = telling.untold.take().expect("told");
        assert!(what == "host facts" && why.contains("hang"), "{why}");
        telling.ask(at, now + 2 * ANSWER_MAX);
        assert!(telling.untold.is_none(), "it is told twice");
        assert!(!telling.ask_end(at), "the end would wait for it");
        // Lets the thread go on: it reads an empty answer.
        fs::OpenOptions::new().write(true).open(&pipe).expect("the reader waits at the other end");
    }
}
