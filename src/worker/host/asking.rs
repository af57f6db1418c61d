//! Keeps the reader on a thread of its own, with bounded queues on both sides.
//!
//! A driver can hang in an ioctl for as long as it likes. The runtime's own blocking threads
//! would have to be waited for when the worker ends; this one ends with the process.

use std::{
    io,
    sync::mpsc::{SyncSender, sync_channel},
    thread,
};

use tokio::sync::mpsc;

use super::HostReader;
use crate::model::{
    fleet::units::RunTime,
    record::{
        facts::{Asked, Counters, CountersMoved, HostFacts},
        moved::{fit, moved, next_base},
    },
};

/// Questions that may wait: the end's while the second's is being answered.
const QUESTIONS_MAX: usize = 2;

/// Facts on one line: a frame has 64 KiB, a batch of lines 48, and a line its own head.
pub const FACTS_BYTES_MAX: usize = 44 * 1024;

/// What the reader is asked.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Question {
    /// All facts.
    Facts(Asked, RunTime),
    /// What moved since the last answer to this question, or since the facts of the start.
    Counters(RunTime),
}

/// What it says.
#[derive(Debug)]
pub enum Answer {
    /// All facts, cut to the length of a line.
    Facts(Box<HostFacts>),
    /// What moved; empty where nothing did.
    Counters(Box<CountersMoved>),
}

/// A reader at work.
#[derive(Debug)]
pub struct Asking {
    questions: SyncSender<Question>,
    answers: mpsc::Receiver<Answer>,
}

impl Asking {
    /// Starts the thread.
    ///
    /// # Errors
    ///
    /// If the system gives none.
    pub fn start(reader: HostReader) -> io::Result<Self> {
        let (questions, asked) = sync_channel(QUESTIONS_MAX);
        let (tell, answers) = mpsc::channel(QUESTIONS_MAX);
        thread::Builder::new().name("host facts".to_owned()).spawn(move || {
            let mut base = None;
            while let Ok(question) = asked.recv() {
                if tell.blocking_send(answer(&reader, question, &mut base)).is_err() {
                    return;
                }
            }
        })?;
        Ok(Self { questions, answers })
    }

    /// Asks; `false` where the questions before are still unanswered.
    pub fn ask(&self, question: Question) -> bool {
        self.questions.try_send(question).is_ok()
    }

    /// The next answer; `None` if the thread broke.
    pub async fn answer(&mut self) -> Option<Answer> {
        self.answers.recv().await
    }
}

/// Counters as they were told last, and when.
type Base = Option<(RunTime, Counters)>;

fn answer(reader: &HostReader, question: Question, base: &mut Base) -> Answer {
    match question {
        Question::Facts(asked, at) => {
            let mut facts = reader.facts(asked);
            // Later facts are told whole besides: the steps between the lines stay complete.
            base.get_or_insert_with(|| (at, facts.counters.clone()));
            fit(&mut facts, FACTS_BYTES_MAX);
            Answer::Facts(Box::new(facts))
        }
        Question::Counters(at) => {
            let now = reader.counters();
            let (since, before) = base.take().unwrap_or_else(|| (at, now.clone()));
            let told = moved(&before, &now, since);
            *base = Some((at, next_base(before, now, &told)));
            Answer::Counters(Box::new(told))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn counters_of_the_loopback_move_when_bytes_cross_it() {
        let reader = HostReader::live("lo", 1).expect("sockets");
        let mut asking = Asking::start(reader).expect("a thread");
        assert!(asking.ask(Question::Facts(Asked::Start, RunTime(1))));
        let Some(Answer::Facts(facts)) = asking.answer().await else { panic!("facts come first") };
        assert!(facts.counters.link.contains_key("rx_packets"), "{:?}", facts.counters.unread);
        let to = std::net::UdpSocket::bind("127.0.0.1:0").expect("a socket");
        to.send_to(b"moves", to.local_addr().expect("an address")).expect("sent");
        assert!(asking.ask(Question::Counters(RunTime(2))));
        let Some(Answer::Counters(told)) = asking.answer().await else { panic!("counters come next") };
        assert!(
            told.moved.get("link.tx_packets").is_some_and(|step| *step >= 1) && told.since == RunTime(1),
            "{told:?}"
        );
    }
}
