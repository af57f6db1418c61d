//! How a detached lab is found again: a note and a socket in the owner's state folder.

use std::{
    fs::{self, DirBuilder},
    io::{self, Write},
    os::{
        fd::{AsFd, BorrowedFd},
        unix::{
            fs::{DirBuilderExt, MetadataExt},
            net::{UnixListener, UnixStream},
        },
    },
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use crate::lab::{
    LabError,
    protocol::{Answer, Lines, Status, line_of},
    spec::LabSpec,
};

/// A caller says what it wants at once; one that does not keeps a place from others.
const CALLER_TIME_LIMIT: Duration = Duration::from_secs(10);

/// An answer fits the socket's buffer unless the caller has stopped reading.
const WRITE_TIME_LIMIT: Duration = Duration::from_secs(1);

/// A detached lab's place in the state folder; dropping it takes it out.
#[derive(Debug)]
pub(super) struct Register {
    listener: UnixListener,
    socket: PathBuf,
    note: PathBuf,
}

/// The note and the socket of the lab `name`.
pub(crate) fn register_paths(state_dir: &Path, name: &str) -> (PathBuf, PathBuf) {
    (state_dir.join(format!("lab-{name}.json")), state_dir.join(format!("lab-{name}.sock")))
}

/// Makes the state folder, or checks that nobody else may enter it: whoever can write to a
/// lab's socket commands it.
pub(crate) fn open_state_dir(state_dir: &Path) -> Result<(), LabError> {
    let doing = || LabError::io(format!("opening the state folder {}", state_dir.display()));
    DirBuilder::new().recursive(true).mode(0o700).create(state_dir).map_err(doing())?;
    let facts = fs::metadata(state_dir).map_err(doing())?;
    let ours = facts.uid() == rustix::process::geteuid().as_raw() && facts.mode() & 0o777 == 0o700;
    if ours {
        return Ok(());
    }
    Err(LabError::Refused(format!(
        "the state folder {} must belong to this user alone (mode 700); it has mode {:o} and owner {}",
        state_dir.display(),
        facts.mode() & 0o777,
        facts.uid()
    )))
}

impl Register {
    /// Takes the name of `spec`, unless a living lab has it.
    pub(super) fn open(spec: &LabSpec) -> Result<Self, LabError> {
        open_state_dir(&spec.state_dir)?;
        let (note, socket) = register_paths(&spec.state_dir, &spec.name);
        if UnixStream::connect(&socket).is_ok() {
            return Err(LabError::Refused(format!(
                "a lab `{0}` is up already; end it with `nicburn lab down {0}`, or choose another name",
                spec.name
            )));
        }
        // What a killed holder left behind.
        let _ = fs::remove_file(&socket);
        let listener = UnixListener::bind(&socket)
            .map_err(LabError::io(format!("listening on {} (at most 107 bytes long)", socket.display())))?;
        Ok(Self { listener, socket, note })
    }

    /// Notes that the lab stands.
    pub(super) fn note(&self, status: &Status) -> Result<(), LabError> {
        fs::write(&self.note, line_of(status))
            .map_err(LabError::io(format!("writing {}", self.note.display())))
    }

    /// The next caller, if it is still there.
    pub(super) fn accept(&self) -> Option<Caller> {
        let (stream, _) = self.listener.accept().ok()?;
        stream.set_write_timeout(Some(WRITE_TIME_LIMIT)).ok()?;
        Some(Caller { stream, lines: Lines::default(), deadline: Instant::now() + CALLER_TIME_LIMIT })
    }
}

impl AsFd for Register {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.listener.as_fd()
    }
}

impl Drop for Register {
    fn drop(&mut self) {
        // Left-overs are recognised and removed by the next who looks.
        let _ = fs::remove_file(&self.note);
        let _ = fs::remove_file(&self.socket);
    }
}

/// One who commands a detached lab.
#[derive(Debug)]
pub(super) struct Caller {
    stream: UnixStream,
    pub(super) lines: Lines,
    /// When it is hung up on.
    pub(super) deadline: Instant,
}

impl Caller {
    /// Reads what is there; `false` once the caller is gone.
    pub(super) fn fill(&mut self) -> bool {
        self.lines.fill(&self.stream).unwrap_or(false)
    }

    /// Answers, or hangs up on one that does not read.
    pub(super) fn answer(&mut self, answer: &Answer) {
        let sent: io::Result<()> = self.stream.write_all(line_of(answer).as_bytes());
        if sent.is_err() {
            self.hang_up();
        }
    }

    /// Lets the loop drop this caller.
    pub(super) fn hang_up(&mut self) {
        self.deadline = Instant::now();
    }
}

impl AsFd for Caller {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.stream.as_fd()
    }
}
