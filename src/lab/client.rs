//! A lab as the program that uses it sees it: start, enter, break, end.
//!
//! Nothing here touches a link: all is asked of the holder process.

use std::{
    fs::{File, OpenOptions},
    io::{self, Write},
    net::IpAddr,
    os::unix::{fs::OpenOptionsExt, net::UnixStream},
    path::{Path, PathBuf},
    process::{self, Child, ChildStdin, ChildStdout, Stdio},
    sync::{Mutex, PoisonError},
    time::Duration,
};

use super::{
    LabError,
    fault::Fault,
    fleet::NAMESPACE_FD_BASE,
    holder::{open_state_dir, register_paths},
    protocol::{Answer, Command, Lines, WorkerStart, WorkerState, line_of},
    spec::{LabSpec, host_number},
    tool,
};
use crate::sys::namespace::{NetNs, join_holder};

pub use super::protocol::Status;

mod detached;

pub use detached::{attach, list};

/// A fleet of 64 stands after a second on an idle machine; a busy one is given ten.
const READY_TIME_LIMIT: Duration = Duration::from_secs(10);

/// More for each host, so that the largest fleet on the slowest machine still comes.
const READY_TIME_LIMIT_PER_HOST: Duration = Duration::from_millis(100);

/// A command is at most one batch of a program that itself is given 20 s.
const ANSWER_TIME_LIMIT: Duration = Duration::from_secs(25);

/// A holder that takes longer to read one line is stuck.
const WRITE_TIME_LIMIT: Duration = Duration::from_secs(5);

/// A holder whose pipe has closed ends at once.
const END_TIME_LIMIT: Duration = Duration::from_secs(3);

/// A lab that stands. Dropping it ends it, unless it is detached.
#[derive(Debug)]
pub struct Lab {
    name: String,
    holder_pid: u32,
    hosts: u16,
    coordinator_addr: IpAddr,
    link: Mutex<Link>,
}

/// The line to the holder.
#[derive(Debug)]
enum Link {
    /// The holder is our child and dies with this.
    Pipes { child: Child, stdin: Option<ChildStdin>, stdout: ChildStdout, lines: Lines },
    /// It lives by itself, and each command is a call of its own, so that no caller keeps a
    /// place from others.
    Socket { path: PathBuf, call: Option<(UnixStream, Lines)> },
}

impl Lab {
    /// Builds the lab of `spec` through a holder: a child process `exe lab-holder`.
    pub fn start(exe: &Path, spec: &LabSpec) -> Result<Self, LabError> {
        spec.check()?;
        tool::check_installed()?;
        let mut command = process::Command::new(exe);
        command.arg("lab-holder").stdin(Stdio::piped()).stdout(Stdio::piped());
        if spec.detached {
            command.stderr(detached_log(spec)?);
        }
        let mut child =
            command.spawn().map_err(LabError::io(format!("starting {} lab-holder", exe.display())))?;
        let stdin = child.stdin.take();
        let stdout = child.stdout.take().expect("stdout was asked to be a pipe");
        let mut link = Link::Pipes { child, stdin, stdout, lines: Lines::default() };
        let limit = READY_TIME_LIMIT + READY_TIME_LIMIT_PER_HOST * u32::from(spec.hosts);
        let status = link.say(&line_of(spec), "build the fleet").and_then(|()| {
            match link.hear("build the fleet", limit)? {
                Answer::Ready(status) => Ok(status),
                other => Err(unexpected("build the fleet", other)),
            }
        });
        let status = match status {
            Ok(status) => status,
            Err(error) => {
                link.end();
                return Err(error);
            }
        };
        if spec.detached {
            // The child goes on by itself, deaf to the pipe that closes here.
            return attach(&spec.state_dir, &spec.name);
        }
        Ok(Self::new(status, link))
    }

    fn new(status: Status, link: Link) -> Self {
        let Status { name, holder_pid, hosts, coordinator_addr, .. } = status;
        Self { name, holder_pid: holder_pid.cast_unsigned(), hosts, coordinator_addr, link: Mutex::new(link) }
    }

    /// The lab's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The process that holds the lab's namespaces.
    pub const fn holder_pid(&self) -> i32 {
        self.holder_pid.cast_signed()
    }

    /// Moves this process to where the coordinator stands in the lab. Must be called while
    /// the process has one thread: threads that exist already would stay outside.
    pub fn enter_coordinator(&self) -> Result<(), LabError> {
        Ok(join_holder(self.holder_pid, NAMESPACE_FD_BASE)?)
    }

    /// The namespace of a host, or of the `coordinator`, for a thread or child to enter; for
    /// users whose user namespace is the lab's, that is root or who has joined.
    pub fn namespace(&self, host: &str) -> Result<NetNs, LabError> {
        let fd = namespace_fd(host, self.hosts)?;
        Ok(NetNs::of_holder(self.holder_pid, fd)?)
    }

    /// The address at which workers find the coordinator.
    pub const fn coordinator_addr(&self) -> IpAddr {
        self.coordinator_addr
    }

    /// Starts a worker on every host: `exe worker --join FILE --name hK --iface eth0`, its
    /// stderr in `log_dir/hK.log`. The folder must exist.
    pub fn start_workers(&self, exe: &Path, join_file: &Path, log_dir: &Path) -> Result<(), LabError> {
        self.start_workers_with(exe, join_file, log_dir, &[]).map(drop)
    }

    /// As [`Lab::start_workers`] with more arguments; returns the workers.
    pub fn start_workers_with(
        &self,
        exe: &Path,
        join_file: &Path,
        log_dir: &Path,
        args: &[String],
    ) -> Result<Vec<WorkerState>, LabError> {
        let absolute = |path: &Path| {
            std::path::absolute(path)
                .map_err(LabError::io(format!("finding the whole path of {}", path.display())))
        };
        let start = WorkerStart {
            exe: absolute(exe)?,
            join_file: absolute(join_file)?,
            log_dir: absolute(log_dir)?,
            args: args.to_vec(),
        };
        self.workers_of(&Command::StartWorkers(start))
    }

    /// Starts the worker of one host again, after it ended.
    pub fn start_worker(&self, host: u16) -> Result<Vec<WorkerState>, LabError> {
        self.workers_of(&Command::StartWorker { host })
    }

    /// How the workers are.
    pub fn workers(&self) -> Result<Vec<WorkerState>, LabError> {
        self.workers_of(&Command::Workers)
    }

    /// Breaks something; the number with which it is taken back.
    pub fn fault(&self, fault: &Fault) -> Result<u32, LabError> {
        let command = Command::Fault { fault: fault.clone() };
        match self.ask(&command)? {
            Answer::Faulted { number } => Ok(number),
            other => Err(unexpected(command.name(), other)),
        }
    }

    /// Takes a fault back.
    pub fn unfault(&self, number: u32) -> Result<(), LabError> {
        self.done(&Command::Unfault { number })
    }

    /// How the lab is, with the truth about its faults.
    pub fn status(&self) -> Result<Status, LabError> {
        match self.ask(&Command::Status)? {
            Answer::Status(status) => Ok(status),
            other => Err(unexpected(Command::Status.name(), other)),
        }
    }

    /// Ends the lab and waits until its name is free again.
    pub fn down(self) -> Result<(), LabError> {
        self.done(&Command::Down)?;
        self.link.lock().unwrap_or_else(PoisonError::into_inner).hear_the_end();
        Ok(())
    }

    fn workers_of(&self, command: &Command) -> Result<Vec<WorkerState>, LabError> {
        match self.ask(command)? {
            Answer::Workers { workers } => Ok(workers),
            other => Err(unexpected(command.name(), other)),
        }
    }

    fn done(&self, command: &Command) -> Result<(), LabError> {
        match self.ask(command)? {
            Answer::Done => Ok(()),
            other => Err(unexpected(command.name(), other)),
        }
    }

    fn ask(&self, command: &Command) -> Result<Answer, LabError> {
        // A caller that panicked has left at worst an answer that is one behind, which the
        // kinds of answers show.
        let mut link = self.link.lock().unwrap_or_else(PoisonError::into_inner);
        link.say(&line_of(command), command.name())?;
        match link.hear(command.name(), ANSWER_TIME_LIMIT)? {
            Answer::Refused { text } => Err(LabError::Refused(text)),
            answer => Ok(answer),
        }
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        self.link.get_mut().unwrap_or_else(PoisonError::into_inner).end();
    }
}

impl Link {
    fn say(&mut self, line: &str, asked: &str) -> Result<(), LabError> {
        let sent = match self {
            Self::Pipes { stdin: Some(stdin), .. } => stdin.write_all(line.as_bytes()),
            Self::Pipes { stdin: None, .. } => Err(io::ErrorKind::BrokenPipe.into()),
            Self::Socket { path, call } => UnixStream::connect(path).and_then(|mut stream| {
                stream.set_write_timeout(Some(WRITE_TIME_LIMIT))?;
                stream.write_all(line.as_bytes())?;
                *call = Some((stream, Lines::default()));
                Ok(())
            }),
        };
        sent.map_err(LabError::io(format!("asking the lab's holder to {asked}")))
    }

    fn hear(&mut self, asked: &str, limit: Duration) -> Result<Answer, LabError> {
        let line = match self {
            Self::Pipes { stdout, lines, .. } => lines.wait(stdout, limit),
            Self::Socket { call: Some((stream, lines)), .. } => lines.wait(stream, limit),
            Self::Socket { call: None, .. } => Ok(None),
        };
        match line {
            Ok(Some(line)) => serde_json::from_str(&line)
                .map_err(|error| LabError::HolderLost { asked: asked.to_owned(), answer: error.to_string() }),
            Ok(None) => Err(LabError::HolderLost { asked: asked.to_owned(), answer: "it has ended".into() }),
            Err(error) if error.kind() == io::ErrorKind::TimedOut => {
                Err(LabError::NoAnswer { asked: asked.to_owned(), limit })
            }
            Err(error) => {
                Err(LabError::io(format!("hearing from the lab's holder, asked to {asked}"))(error))
            }
        }
    }

    /// Waits until the holder hangs up, as it does when it ends.
    fn hear_the_end(&mut self) {
        if let Self::Socket { call: Some((stream, lines)), .. } = self {
            // Whatever else comes, there is nothing more to ask.
            let _ = lines.wait(stream, END_TIME_LIMIT);
        }
    }

    /// Closes the holder's pipe, which ends it, and makes sure that it has ended.
    fn end(&mut self) {
        if let Self::Pipes { child, stdin, .. } = self {
            drop(stdin.take());
            // What fails here is the waiting for one that is gone.
            let _ = tool::wait(child, END_TIME_LIMIT);
        }
    }
}

/// Moves this process into `host` (`h3`, or `coordinator`) of the lab held by `holder_pid`.
/// Must be called while the process has one thread.
pub fn join_host(holder_pid: i32, host: &str) -> Result<(), LabError> {
    let fd = namespace_fd(host, *super::spec::HOSTS.end())?;
    Ok(join_holder(holder_pid.cast_unsigned(), fd)?)
}

fn namespace_fd(host: &str, last: u16) -> Result<i32, LabError> {
    let number =
        if host == "coordinator" { Some(0) } else { host_number(host).filter(|number| *number <= last) };
    let number = number.ok_or_else(|| LabError::NoSuchHost { host: host.to_owned(), last })?;
    Ok(NAMESPACE_FD_BASE + i32::from(number))
}

fn unexpected(asked: &str, answer: Answer) -> LabError {
    match answer {
        Answer::Refused { text } => LabError::Refused(text),
        other => LabError::HolderLost { asked: asked.to_owned(), answer: format!("{other:?}") },
    }
}

/// Where a holder without a terminal puts what it has to say.
fn detached_log(spec: &LabSpec) -> Result<File, LabError> {
    open_state_dir(&spec.state_dir)?;
    let path = register_paths(&spec.state_dir, &spec.name).0.with_extension("log");
    let file = OpenOptions::new().create(true).write(true).truncate(true).mode(0o600).open(&path);
    file.map_err(LabError::io(format!("writing {}", path.display())))
}
