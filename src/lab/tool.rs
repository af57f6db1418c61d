//! Runs `ip`, `tc` and `nft` on a text, with a deadline.
//!
//! The texts are made by `fleet` and `fault`, where they can be read and tested.

use std::{
    fs::File,
    io::{Read, Seek, Write},
    path::PathBuf,
    process::{Child, Command, ExitStatus, Stdio},
    time::{Duration, Instant},
};

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    fs::{MemfdFlags, memfd_create},
    process::{Pid, PidfdFlags, pidfd_open},
};

use super::LabError;
use crate::sys::namespace::{NetNs, spawn_in};

/// The slowest batch seen, 128 hosts on a busy machine, took 2 s.
const TIME_LIMIT: Duration = Duration::from_secs(20);

/// What is kept of a program's complaint.
const STDERR_BYTES_MAX: u64 = 2000;

/// Where administrators' programs live; a plain user's PATH often lacks these.
const SBIN: [&str; 3] = ["/usr/sbin", "/sbin", "/usr/local/sbin"];

/// A program the lab builds with, and how it reads its text from stdin.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Tool {
    /// Links and addresses.
    Ip,
    /// Rates.
    Tc,
    /// Drops.
    Nft,
}

impl Tool {
    /// The program's name.
    pub(crate) const fn program(self) -> &'static str {
        match self {
            Self::Ip => "ip",
            Self::Tc => "tc",
            Self::Nft => "nft",
        }
    }

    const fn args(self) -> [&'static str; 2] {
        match self {
            Self::Ip | Self::Tc => ["-batch", "-"],
            Self::Nft => ["-f", "-"],
        }
    }

    /// Runs this program on `text` inside `ns`.
    pub(crate) fn run(self, ns: &NetNs, text: &str) -> Result<(), LabError> {
        let said = format!("{} {}", self.program(), self.args().join(" "));
        let mut command = Command::new(self.find()?);
        command.args(self.args()).env("LC_ALL", "C");
        // Files in memory instead of pipes: neither side can then wait for the other.
        let (mut stdin, mut stderr) = (memory_file()?, memory_file()?);
        let prepared =
            stdin.write_all(text.as_bytes()).and_then(|()| stdin.rewind()).and_then(|()| stderr.try_clone());
        let output = prepared.map_err(LabError::io(format!("handing `{said}` its text")))?;
        command.stdin(stdin).stdout(Stdio::null()).stderr(output);
        let mut child = spawn_in(ns, &mut command).map_err(LabError::io(format!("starting `{said}`")))?;
        let status = wait(&mut child, TIME_LIMIT).map_err(LabError::io(format!("waiting for `{said}`")))?;
        match status {
            Some(status) if status.success() => Ok(()),
            Some(_) => {
                let mut complaint = String::new();
                // A complaint that cannot be read still leaves the failure itself.
                let _ = stderr
                    .rewind()
                    .and_then(|()| stderr.take(STDERR_BYTES_MAX).read_to_string(&mut complaint));
                Err(LabError::ToolFailed { command: said, stderr: complaint.trim().replace('\n', "; ") })
            }
            None => Err(LabError::ToolHung { command: said, limit: TIME_LIMIT }),
        }
    }

    fn find(self) -> Result<PathBuf, LabError> {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let mut folders = std::env::split_paths(&path).chain(SBIN.map(PathBuf::from));
        let found =
            folders.find_map(|folder| Some(folder.join(self.program())).filter(|file| file.is_file()));
        found.ok_or(LabError::ToolMissing { program: self.program() })
    }
}

/// Says which of the programs is missing, before anything is built.
pub(crate) fn check_installed() -> Result<(), LabError> {
    [Tool::Ip, Tool::Tc, Tool::Nft].into_iter().try_for_each(|tool| tool.find().map(drop))
}

/// Waits until `child` ends; after `limit` kills it and says `None`.
pub(crate) fn wait(child: &mut Child, limit: Duration) -> std::io::Result<Option<ExitStatus>> {
    let pid = Pid::from_child(child);
    let pidfd = pidfd_open(pid, PidfdFlags::empty())?;
    let deadline = Instant::now() + limit;
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status));
        }
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            child.kill()?;
            child.wait()?;
            return Ok(None);
        }
        let mut fds = [PollFd::new(&pidfd, PollFlags::IN)];
        match poll(&mut fds, Some(&timespec(left))) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

/// `length` as poll takes it.
pub(crate) fn timespec(length: Duration) -> Timespec {
    Timespec { tv_sec: length.as_secs().cast_signed(), tv_nsec: i64::from(length.subsec_nanos()) }
}

fn memory_file() -> Result<File, LabError> {
    let made = memfd_create("nicburn-lab", MemfdFlags::CLOEXEC);
    made.map(File::from).map_err(|error| LabError::io("making a file in memory")(error.into()))
}
