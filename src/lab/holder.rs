//! The process that keeps a lab's namespaces and drives its faults.
//!
//! One thread and one loop: it waits for a command, a link's news or the next step of a
//! fault, whichever comes first, and does it. It ends, and the lab with it, when told to,
//! when its maker's pipe closes, after its time to live, or by any signal.

use std::{
    io::{self, Write},
    os::fd::{AsFd, BorrowedFd},
    time::{Duration, Instant},
};

use rustix::event::{PollFd, PollFlags, poll};

use super::{
    LabError,
    fault::Place,
    fleet::Fleet,
    protocol::{Answer, Command, Lines, Status, line_of},
    spec::LabSpec,
    tool::timespec,
};
use crate::sys::namespace;

mod driver;
mod helpers;
mod register;
mod workers;

use driver::FaultDriver;
use register::{Caller, Register};
use workers::Workers;

pub(crate) use register::{open_state_dir, register_paths};

/// A maker writes the spec before anything else.
const SPEC_TIME_LIMIT: Duration = Duration::from_secs(5);

/// Callers of a detached lab at one time; each is there for one short exchange.
const CALLERS_MAX: usize = 8;

/// The whole life of a holder: the hidden entry `lab-holder`. Returns the exit code: 0 when
/// it was ended as planned, 1 when the lab could not be built or kept.
pub fn main() -> i32 {
    // A Ctrl-C at the terminal is for the coordinator, which still has to collect from the
    // workers. It fails only for a process that leads a session already.
    let _ = rustix::process::setsid();
    match hold() {
        Ok(()) => 0,
        Err(error) => {
            tell(&Answer::Refused { text: error.whole() });
            1
        }
    }
}

fn hold() -> Result<(), LabError> {
    let mut stdin = Lines::default();
    let line = stdin
        .wait(io::stdin(), SPEC_TIME_LIMIT)
        .map_err(LabError::io("reading the lab's spec from stdin"))?;
    let spec: LabSpec = serde_json::from_str(&line.unwrap_or_default())
        .map_err(io::Error::other)
        .map_err(LabError::io("reading the lab's spec from stdin"))?;
    spec.check()?;
    // Before the fleet: a name in use costs nothing then.
    let register = spec.detached.then(|| Register::open(&spec)).transpose()?;
    namespace::isolate()?;
    let mut holder = Holder {
        fleet: Fleet::build(&spec)?,
        workers: Workers::default(),
        faults: FaultDriver::new(spec.clone()),
        born: Instant::now(),
        ending: false,
        spec,
    };
    if let Some(register) = &register {
        register.note(&holder.status())?;
    }
    tell(&Answer::Ready(holder.status()));
    holder.serve(stdin, register)
}

/// Whoever made this process may be gone: then nobody is left to tell.
fn tell(answer: &Answer) {
    let mut stdout = io::stdout().lock();
    let _ = stdout.write_all(line_of(answer).as_bytes()).and_then(|()| stdout.flush());
}

struct Holder {
    spec: LabSpec,
    fleet: Fleet,
    workers: Workers,
    faults: FaultDriver,
    born: Instant,
    ending: bool,
}

/// What a poll woke for.
#[derive(Clone, Copy)]
enum Source {
    Stdin,
    Register,
    Caller(usize),
    Links,
}

impl Holder {
    fn serve(&mut self, mut stdin: Lines, register: Option<Register>) -> Result<(), LabError> {
        let mut callers: Vec<Caller> = Vec::new();
        while !self.ending && !self.ttl_left().is_zero() {
            let now = Instant::now();
            self.faults.run_due(now, &self.fleet, &self.workers);
            callers.retain(|caller| caller.deadline > now);
            let deadlines = callers.iter().map(|caller| caller.deadline).chain(self.faults.deadline());
            let wait =
                deadlines.map(|at| at.saturating_duration_since(now)).fold(self.ttl_left(), Duration::min);
            for source in self.wait(register.as_ref(), &callers, wait)? {
                match source {
                    Source::Links => self.faults.links_changed(&self.fleet),
                    Source::Stdin => self.hear_maker(&mut stdin),
                    Source::Caller(index) => self.hear_caller(&mut callers[index]),
                    Source::Register => callers.extend(register.as_ref().and_then(Register::accept)),
                }
            }
        }
        self.workers.kill_all();
        // Before the callers are hung up on: whoever waits for that may take the name again.
        drop(register);
        Ok(())
    }

    fn wait(
        &self,
        register: Option<&Register>,
        callers: &[Caller],
        limit: Duration,
    ) -> Result<Vec<Source>, LabError> {
        let stdin = io::stdin();
        let mut watched: Vec<(Source, BorrowedFd<'_>)> = Vec::new();
        match register {
            Some(register) if callers.len() < CALLERS_MAX => {
                watched.push((Source::Register, register.as_fd()));
            }
            Some(_) => {}
            None => watched.push((Source::Stdin, stdin.as_fd())),
        }
        watched.extend(
            callers.iter().enumerate().map(|(index, caller)| (Source::Caller(index), caller.as_fd())),
        );
        watched.extend(self.faults.link_news().map(|fd| (Source::Links, fd)));
        let mut fds: Vec<PollFd<'_>> =
            watched.iter().map(|(_, fd)| PollFd::from_borrowed_fd(*fd, PollFlags::IN)).collect();
        match poll(&mut fds, Some(&timespec(limit))) {
            Ok(_) => {}
            Err(rustix::io::Errno::INTR) => return Ok(Vec::new()),
            Err(error) => return Err(LabError::io("waiting for commands")(error.into())),
        }
        let ready = watched.iter().zip(&fds).filter(|(_, fd)| !fd.revents().is_empty());
        Ok(ready.map(|((source, _), _)| *source).collect())
    }

    /// The end of the maker's pipe, and any failure to read it, ends the lab.
    fn hear_maker(&mut self, lines: &mut Lines) {
        if !lines.fill(io::stdin()).unwrap_or(false) {
            self.ending = true;
        }
        while let Some(line) = lines.next() {
            tell(&self.obey(&line));
        }
    }

    fn hear_caller(&mut self, caller: &mut Caller) {
        let open = caller.fill();
        while let Some(line) = caller.lines.next() {
            let answer = self.obey(&line);
            caller.answer(&answer);
        }
        if !open {
            caller.hang_up();
        }
    }

    fn obey(&mut self, line: &str) -> Answer {
        let command = match serde_json::from_str(line) {
            Ok(command) => command,
            Err(error) => return Answer::Refused { text: format!("no command of a lab: {error}") },
        };
        self.carry_out(command).unwrap_or_else(|error| Answer::Refused { text: error.whole() })
    }

    fn carry_out(&mut self, command: Command) -> Result<Answer, LabError> {
        match command {
            Command::StartWorkers(how) => {
                self.workers.start_all(how, &self.fleet, &self.spec)?;
                Ok(Answer::Workers { workers: self.workers.states() })
            }
            Command::StartWorker { host } => {
                self.workers.start_again(host, &self.fleet, &self.spec)?;
                Ok(Answer::Workers { workers: self.workers.states() })
            }
            Command::Fault { fault } => {
                fault.place.hosts().try_for_each(|host| self.fleet.host(host).map(drop))?;
                if fault.place == Place::Uplink && self.spec.racks < 2 {
                    return Err(LabError::Refused(format!("`{fault}`: this lab has one rack and no uplink")));
                }
                let at_s = self.born.elapsed().as_secs_f64();
                let number = self.faults.begin(&fault, at_s, &self.fleet, &self.workers)?;
                Ok(Answer::Faulted { number })
            }
            Command::Unfault { number } => {
                self.faults.take_back(number, &self.fleet, &self.workers)?;
                Ok(Answer::Done)
            }
            Command::Workers => Ok(Answer::Workers { workers: self.workers.states() }),
            Command::Status => Ok(Answer::Status(self.status())),
            Command::Down => {
                self.ending = true;
                self.workers.kill_all();
                Ok(Answer::Done)
            }
        }
    }

    fn ttl_left(&self) -> Duration {
        Duration::from_secs(self.spec.ttl_s).saturating_sub(self.born.elapsed())
    }

    fn status(&mut self) -> Status {
        Status {
            name: self.spec.name.clone(),
            holder_pid: std::process::id().cast_signed(),
            hosts: self.spec.hosts,
            coordinator_addr: self.spec.coordinator_addr(),
            up_s: self.born.elapsed().as_secs_f64(),
            ttl_left_s: self.ttl_left().as_secs_f64(),
            faults: self.faults.truths(),
            fault_states: self.faults.states(),
            workers: self.workers.states(),
        }
    }
}
