//! What a lab's holder is asked and answers: one JSON object a line.
//!
//! The first line to a holder is its [`LabSpec`](super::spec::LabSpec); it answers
//! [`Answer::Ready`] or [`Answer::Refused`]. After that each [`Command`] gets one [`Answer`].

use std::{
    io,
    net::IpAddr,
    os::fd::AsFd,
    path::PathBuf,
    time::{Duration, Instant},
};

use rustix::event::{PollFd, PollFlags, poll};
use serde::{Deserialize, Serialize};

use super::{fault::Fault, tool::timespec};

/// The longest line of either side; a status of 128 hosts and all its faults is below 64 KiB.
pub(crate) const LINE_BYTES_MAX: usize = 256 * 1024;

/// What a holder is asked.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "snake_case")]
pub enum Command {
    /// Start a worker on every host.
    StartWorkers(WorkerStart),
    /// Start that of one host again, as the last `StartWorkers` said.
    StartWorker {
        /// Number of the host.
        host: u16,
    },
    /// Break something.
    Fault {
        /// What.
        fault: Fault,
    },
    /// Take a fault back.
    Unfault {
        /// The number that the fault was answered with.
        number: u32,
    },
    /// How the workers are.
    Workers,
    /// How everything is.
    Status,
    /// End.
    Down,
}

impl Command {
    /// The command in a word or two, for messages.
    pub(crate) const fn name(&self) -> &'static str {
        match self {
            Self::StartWorkers(_) => "start workers",
            Self::StartWorker { .. } => "start a worker",
            Self::Fault { .. } => "break something",
            Self::Unfault { .. } => "take a fault back",
            Self::Workers => "list its workers",
            Self::Status => "tell its state",
            Self::Down => "end",
        }
    }
}

/// How to start workers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct WorkerStart {
    /// The executable; it is called as `EXE worker --join FILE --name hK --iface eth0`.
    pub exe: PathBuf,
    /// The coordinator's join file.
    pub join_file: PathBuf,
    /// Folder for each worker's stderr, in `hK.log`. It must exist.
    pub log_dir: PathBuf,
    /// More arguments for every worker.
    pub args: Vec<String>,
}

/// What a holder answers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "answer", rename_all = "snake_case")]
pub enum Answer {
    /// The fleet stands.
    Ready(Status),
    /// It is done.
    Done,
    /// The fault is noted, and begun unless it begins later.
    Faulted {
        /// Its number, by which it can be taken back.
        number: u32,
    },
    /// How the workers are.
    Workers {
        /// Each that was ever started, by host.
        workers: Vec<WorkerState>,
    },
    /// How everything is.
    Status(Status),
    /// It could not be done; nothing was changed unless the text says so.
    Refused {
        /// Why.
        text: String,
    },
}

/// How a lab is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Status {
    /// Its name.
    pub name: String,
    /// Process that holds its namespaces.
    pub holder_pid: i32,
    /// Number of hosts.
    pub hosts: u16,
    /// Address at which its workers find the coordinator.
    pub coordinator_addr: IpAddr,
    /// Seconds since it stands.
    pub up_s: f64,
    /// Seconds until it ends by itself.
    pub ttl_left_s: f64,
    /// The truth about every fault ever put on it, in words.
    pub faults: Vec<String>,
    /// The same with their numbers and times.
    pub fault_states: Vec<FaultState>,
    /// Workers started in it.
    pub workers: Vec<WorkerState>,
}

/// A fault of a lab.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FaultState {
    /// Its number.
    pub number: u32,
    /// The fault as it can be typed.
    pub text: String,
    /// Seconds after the lab stood when it was asked for.
    pub asked_at_s: f64,
    /// Seconds after the lab stood when it was over; `None` while it lasts or waits.
    pub over_at_s: Option<f64>,
    /// A step that failed, in words.
    pub trouble: Option<String>,
}

/// A worker of a lab.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct WorkerState {
    /// Name of its host.
    pub host: String,
    /// Its process.
    pub pid: i32,
    /// Its exit code, once it ended by itself.
    pub exit_code: Option<i32>,
    /// The signal that ended it.
    pub signal: Option<i32>,
}

impl WorkerState {
    /// Whether it had not ended when this was told.
    pub const fn is_running(&self) -> bool {
        self.exit_code.is_none() && self.signal.is_none()
    }
}

/// Bytes of one side, cut into lines.
#[derive(Debug, Default)]
pub(crate) struct Lines {
    bytes: Vec<u8>,
}

impl Lines {
    /// Takes what one read of `from` gives; `false` at its end.
    pub(crate) fn fill(&mut self, from: impl AsFd) -> io::Result<bool> {
        let mut buffer = [0_u8; 8192];
        let length = match rustix::io::read(from, &mut buffer) {
            Ok(length) => length,
            Err(rustix::io::Errno::INTR | rustix::io::Errno::AGAIN) => return Ok(true),
            Err(error) => return Err(error.into()),
        };
        self.bytes.extend_from_slice(&buffer[..length]);
        if self.bytes.len() > LINE_BYTES_MAX {
            return Err(io::Error::other(format!("a line of more than {LINE_BYTES_MAX} bytes")));
        }
        Ok(length > 0)
    }

    /// The next whole line, without its end.
    pub(crate) fn next(&mut self) -> Option<String> {
        let end = self.bytes.iter().position(|byte| *byte == b'\n')?;
        let line: Vec<u8> = self.bytes.drain(..=end).collect();
        Some(String::from_utf8_lossy(&line[..end]).into_owned())
    }

    /// Waits for a whole line; `None` at the end of `from`.
    ///
    /// After `limit` it fails with [`io::ErrorKind::TimedOut`].
    pub(crate) fn wait(&mut self, from: impl AsFd, limit: Duration) -> io::Result<Option<String>> {
        let deadline = Instant::now() + limit;
        loop {
            if let Some(line) = self.next() {
                return Ok(Some(line));
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(io::ErrorKind::TimedOut.into());
            }
            let mut fds = [PollFd::new(&from, PollFlags::IN)];
            match poll(&mut fds, Some(&timespec(left))) {
                Ok(0) | Err(rustix::io::Errno::INTR) => {}
                Ok(_) => {
                    if !self.fill(&from)? {
                        return Ok(None);
                    }
                }
                Err(error) => return Err(error.into()),
            }
        }
    }
}

/// `message` as a line.
pub(crate) fn line_of(message: &impl Serialize) -> String {
    let mut line = serde_json::to_string(message).expect("messages are plain data with text keys");
    line.push('\n');
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_read_as_they_are_written() {
        let command = Command::Fault { fault: "dead@h1,for=2s".parse().unwrap() };
        let line = line_of(&command);
        assert_eq!(line, "{\"do\":\"fault\",\"fault\":\"dead@h1,for=2s\"}\n");
        assert_eq!(serde_json::from_str::<Command>(&line).unwrap(), command);
    }

    #[test]
    fn half_a_line_waits_for_its_other_half_until_the_deadline() {
        let (read, write) = rustix::pipe::pipe().unwrap();
        let mut lines = Lines::default();
        rustix::io::write(&write, b"one\ntw").unwrap();
        let limit = Duration::from_millis(50);
        assert_eq!(lines.wait(&read, limit).unwrap().as_deref(), Some("one"));
        assert_eq!(lines.wait(&read, limit).unwrap_err().kind(), io::ErrorKind::TimedOut);
        rustix::io::write(&write, b"o\n").unwrap();
        assert_eq!(lines.wait(&read, limit).unwrap().as_deref(), Some("two"));
        drop(write);
        assert_eq!(lines.wait(&read, limit).unwrap(), None);
    }
}
