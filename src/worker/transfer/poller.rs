//! What a carrier waits with: an event queue, tokens for sockets, a mailbox.

use std::{
    io,
    mem::MaybeUninit,
    os::fd::{AsFd, OwnedFd},
    sync::{Mutex, PoisonError},
};

use rustix::event::{
    EventfdFlags, Timespec,
    epoll::{self, EventData, EventFlags},
    eventfd,
};

use super::{Command, key::Hello};

/// Events taken from the kernel at once.
const EVENTS_MAX: usize = 256;

/// The mailbox's token.
pub const MAILBOX: u64 = 0;

/// Waits for sockets.
#[derive(Debug)]
pub struct Poller {
    epoll: OwnedFd,
    next: u64,
}

/// One socket is ready.
#[derive(Clone, Copy, Debug)]
pub struct Ready {
    /// Which.
    pub token: u64,
    /// There is something to read, or an end, or an error.
    pub readable: bool,
    /// There is room to write, or an error.
    pub writable: bool,
}

impl Poller {
    /// With a mailbox that wakes it.
    ///
    /// # Errors
    ///
    /// If the kernel gives no event queue.
    pub fn new(mailbox: &Mailbox) -> io::Result<Self> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        epoll::add(&epoll, &mailbox.bell, EventData::new_u64(MAILBOX), EventFlags::IN)?;
        Ok(Self { epoll, next: MAILBOX + 1 })
    }

    /// Watches a socket, edge-triggered; it leaves the queue when it is closed.
    ///
    /// # Errors
    ///
    /// If the kernel refuses.
    pub fn watch(&mut self, socket: impl AsFd) -> io::Result<u64> {
        let token = self.next;
        self.next += 1;
        let flags = EventFlags::IN | EventFlags::OUT | EventFlags::RDHUP | EventFlags::ET;
        epoll::add(&self.epoll, socket, EventData::new_u64(token), flags)?;
        Ok(token)
    }

    /// Watches a socket no longer: somebody else will.
    pub fn forget(&self, socket: impl AsFd) {
        if let Err(error) = epoll::delete(&self.epoll, socket) {
            tracing::debug!(%error, "a socket was not watched");
        }
    }

    /// Waits until a socket is ready, or for `timeout_us`.
    ///
    /// # Errors
    ///
    /// If the kernel refuses; interruption is no error.
    pub fn wait(&self, timeout_us: u64) -> io::Result<Vec<Ready>> {
        let timeout = Timespec {
            tv_sec: (timeout_us / 1_000_000) as i64,
            tv_nsec: (timeout_us % 1_000_000 * 1000) as _,
        };
        let mut events = [MaybeUninit::<epoll::Event>::uninit(); EVENTS_MAX];
        match epoll::wait(&self.epoll, &mut events[..], Some(&timeout)) {
            Ok((ready, _)) => Ok(ready.iter().map(|event| ready_of(*event)).collect()),
            Err(rustix::io::Errno::INTR) => Ok(Vec::new()),
            Err(error) => Err(error.into()),
        }
    }
}

fn ready_of(event: epoll::Event) -> Ready {
    let flags = event.flags;
    let ended = EventFlags::ERR | EventFlags::HUP;
    Ready {
        token: event.data.u64(),
        readable: flags.intersects(EventFlags::IN | EventFlags::RDHUP | ended),
        writable: flags.intersects(EventFlags::OUT | ended),
    }
}

/// Something for a carrier.
#[derive(Debug)]
pub enum Letter {
    /// From the control plane.
    Command(Command),
    /// From the listening carrier: a stream of a flow that is yours.
    Stream(socket2::Socket, Hello),
}

/// Where others leave letters for a carrier.
#[derive(Debug)]
pub struct Mailbox {
    letters: Mutex<Vec<Letter>>,
    bell: OwnedFd,
}

impl Mailbox {
    /// Empty.
    ///
    /// # Errors
    ///
    /// If the kernel gives no event counter.
    pub fn new() -> io::Result<Self> {
        let bell = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        Ok(Self { letters: Mutex::new(Vec::new()), bell })
    }

    /// Leaves a letter and rings.
    pub fn put(&self, letter: Letter) {
        self.letters.lock().unwrap_or_else(PoisonError::into_inner).push(letter);
        // A full counter has rung already.
        let _ = rustix::io::write(&self.bell, &1u64.to_ne_bytes());
    }

    /// Takes all letters.
    pub fn take(&self) -> Vec<Letter> {
        let mut count = [0; 8];
        // Empty: somebody else's ring was taken with the last letters.
        let _ = rustix::io::read(&self.bell, &mut count);
        std::mem::take(&mut *self.letters.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
