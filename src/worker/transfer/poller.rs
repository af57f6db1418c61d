//! What a carrier waits with: an event queue, tokens for sockets, a mailbox.

use std::{
    io,
    mem::MaybeUninit,
    net::SocketAddr,
    os::fd::{AsFd, OwnedFd},
    sync::{Mutex, PoisonError},
};

use rustix::event::{
    EventfdFlags, Timespec,
    epoll::{self, EventData, EventFlags},
    eventfd,
};

use super::{Command, key::Hello};
use crate::model::plan::layout::FlowId;

/// Events taken from the kernel at once.
const EVENTS_MAX: usize = 256;

/// Whose socket is ready. Packed into the kernel's 64 bits, so that no table is searched.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Token {
    /// Letters.
    Mailbox,
    /// Callers.
    Listener,
    /// Keyed datagrams.
    Datagrams,
    /// A caller that has not said who it is.
    Caller {
        /// Its number.
        number: u32,
    },
    /// A stream that is sent.
    Source {
        /// Of which flow.
        flow: FlowId,
        /// Its place in it.
        place: u16,
    },
    /// A stream that is received.
    Sink {
        /// Of which flow.
        flow: FlowId,
        /// Its place in it.
        place: u16,
    },
    /// Probes of a paused flow.
    Probe {
        /// Which flow.
        flow: FlowId,
    },
}

impl Token {
    const fn pack(self) -> u64 {
        let (kind, place, number) = match self {
            Self::Mailbox => (0, 0, 0),
            Self::Listener => (1, 0, 0),
            Self::Datagrams => (2, 0, 0),
            Self::Caller { number } => (3, 0, number),
            Self::Source { flow, place } => (4, place, flow),
            Self::Sink { flow, place } => (5, place, flow),
            Self::Probe { flow } => (6, 0, flow),
        };
        kind << 48 | (place as u64) << 32 | number as u64
    }

    const fn unpack(packed: u64) -> Self {
        let (place, number) = ((packed >> 32) as u16, packed as u32);
        match packed >> 48 {
            0 => Self::Mailbox,
            1 => Self::Listener,
            2 => Self::Datagrams,
            3 => Self::Caller { number },
            4 => Self::Source { flow: number, place },
            5 => Self::Sink { flow: number, place },
            _ => Self::Probe { flow: number },
        }
    }
}

/// Waits for sockets.
#[derive(Debug)]
pub struct Poller {
    epoll: OwnedFd,
}

/// One socket is ready.
#[derive(Clone, Copy, Debug)]
pub struct Ready {
    /// Which.
    pub token: Token,
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
        epoll::add(&epoll, &mailbox.bell, EventData::new_u64(Token::Mailbox.pack()), EventFlags::IN)?;
        Ok(Self { epoll })
    }

    /// Watches a socket, edge-triggered, or from now on under another token; it leaves the
    /// queue when it is closed.
    ///
    /// # Errors
    ///
    /// If the kernel refuses.
    pub fn watch(&mut self, socket: impl AsFd, token: Token) -> io::Result<()> {
        let flags = EventFlags::IN | EventFlags::OUT | EventFlags::RDHUP | EventFlags::ET;
        let data = EventData::new_u64(token.pack());
        match epoll::add(&self.epoll, &socket, data, flags) {
            Err(rustix::io::Errno::EXIST) => Ok(epoll::modify(&self.epoll, &socket, data, flags)?),
            other => Ok(other?),
        }
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
        token: Token::unpack(event.data.u64()),
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
    /// From the listening carrier: datagrams of a flow that is yours will come from there.
    Datagrams(SocketAddr, Hello),
    /// From the carrier that probes: the far end of a flow lives.
    Answered(FlowId),
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

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// For all flows and places: what the kernel gives back is what it was given.
        #[test]
        fn a_token_survives_the_kernel(flow: u32, place: u16) {
            let all = [
                Token::Mailbox, Token::Listener, Token::Datagrams, Token::Caller { number: flow },
                Token::Source { flow, place }, Token::Sink { flow, place }, Token::Probe { flow },
            ];
            for token in all {
                prop_assert_eq!(Token::unpack(token.pack()), token);
            }
        }
    }
}
