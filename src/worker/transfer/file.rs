//! The same file as `scp` moves, without ssh: disk, TCP, disk. What is slow here as well is
//! not the cipher.
//!
//! `source` sends from the page cache (`sendfile`), `sink` writes what arrives into space
//! that was reserved before. Each end has a thread of its own, because disks block; sockets
//! are waited for in short steps, so that a stop is noticed. Ends prove the flow's key to
//! each other, and the sink renews its consent, as the carriers' streams do.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use socket2::Socket;

use super::depot::Fault;

mod sink;
mod source;

pub use sink::sink;
pub use source::source;

/// The sink renews its consent this often; a source without one stops after [`CONSENT_HOLDS`].
const CONSENT_EVERY: Duration = Duration::from_millis(500);
const CONSENT_HOLDS: Duration = Duration::from_secs(3);

/// Saying who one is takes no longer.
const GREETING: Duration = Duration::from_secs(2);

/// Sockets are waited for in steps of this length.
const STEP: Duration = Duration::from_millis(50);

/// The consent's number that says that all of the file lies on disk.
const WRITTEN: u64 = u64::MAX;

/// How a thread's part of a transfer ended.
enum End {
    /// All of the file passed.
    Complete,
    /// The network ended it: to be tried again.
    Lost(io::Error),
    /// Something else did.
    Failed(Fault),
}

impl From<io::Error> for End {
    fn from(error: io::Error) -> Self {
        Self::Lost(error)
    }
}

/// How a thread spent its time.
#[derive(Clone, Copy, Debug)]
struct Spending {
    began: Instant,
    /// In calls that go to the disk.
    in_disk: Duration,
    busy_ns: u64,
}

impl Spending {
    fn begin() -> Self {
        Self { began: Instant::now(), in_disk: Duration::ZERO, busy_ns: thread_busy_ns() }
    }

    /// Runs a call that goes to the disk.
    fn disk<T>(&mut self, call: impl FnOnce() -> T) -> T {
        let began = Instant::now();
        let out = call();
        self.in_disk += began.elapsed();
        out
    }

    /// Shares of the time: blocked on the disk, and on a core or waiting for one.
    fn shares(&self) -> (f32, f32) {
        let elapsed = self.began.elapsed().as_nanos().max(1) as f32;
        let busy = thread_busy_ns().saturating_sub(self.busy_ns) as f32;
        // What a disk call copies is work of the core; only the rest is waiting.
        let blocked = (self.in_disk.as_nanos() as f32 - busy).max(0.0);
        (blocked / elapsed, busy / elapsed)
    }
}

/// This thread's time on a core and in the queue for one; 0 where it is not told.
fn thread_busy_ns() -> u64 {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    text.split_ascii_whitespace().take(2).filter_map(|number| number.parse::<u64>().ok()).sum()
}

/// Waits a step's time until a socket is ready. Whether it is.
fn wait(socket: &Socket, flags: PollFlags) -> io::Result<PollFlags> {
    let step = Timespec { tv_sec: 0, tv_nsec: STEP.subsec_nanos().into() };
    let mut seen = [PollFd::new(socket, flags)];
    match poll(&mut seen, Some(&step)) {
        Ok(_) | Err(rustix::io::Errno::INTR) => Ok(seen[0].revents()),
        Err(error) => Err(error.into()),
    }
}

/// Fills `bytes` from a socket, for at most the time of a greeting.
fn read_all(socket: &Socket, bytes: &mut [u8], stop: &Arc<AtomicBool>) -> io::Result<()> {
    let deadline = Instant::now() + GREETING;
    let (mut reader, mut read) = (socket, 0);
    while read < bytes.len() {
        if stop.load(Ordering::Relaxed) || Instant::now() >= deadline {
            return Err(io::ErrorKind::TimedOut.into());
        }
        wait(socket, PollFlags::IN)?;
        match io::Read::read(&mut reader, &mut bytes[read..]) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(more) => read += more,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
