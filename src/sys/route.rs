//! A route socket: requests, dumps and news of links, as the bytes the kernel answers.
//!
//! It belongs to the network namespace of the thread that opened it, and stays there. What
//! the messages say is `model::record::read`'s work.

use std::{
    io,
    os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd},
};

use crate::model::record::read::{
    bytes::u32_at,
    route::{self, HEADER_BYTES},
};

const NLM_F_REQUEST: u16 = 1;
const NLM_F_MULTI: u16 = 2;
const NLM_F_DUMP: u16 = 0x300;

/// What one read takes: the kernel fills at most 32 KiB of a dump at once.
const READ_BYTES: usize = 32 * 1024;

/// A dump longer than this is broken off: ten thousand links or neighbours are less.
const DUMP_BYTES_MAX: usize = 16 * 1024 * 1024;

/// Group 1 of rtnetlink: links.
const GROUP_LINK: u32 = 1;

/// A route socket.
#[derive(Debug)]
pub struct RouteSocket {
    socket: OwnedFd,
}

impl RouteSocket {
    /// For requests, in the calling thread's namespace.
    pub fn open() -> io::Result<Self> {
        Self::open_for(0)
    }

    /// For news of links; it is read without waiting.
    pub fn open_for_link_news() -> io::Result<Self> {
        Self::open_for(GROUP_LINK)
    }

    fn open_for(groups: u32) -> io::Result<Self> {
        let kind = libc::SOCK_RAW | libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK;
        // SAFETY: integers only; the result is checked before it is owned.
        let fd = unsafe { libc::socket(libc::AF_NETLINK, kind, libc::NETLINK_ROUTE) };
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: `fd` was just made and nobody else owns it.
        let socket = unsafe { OwnedFd::from_raw_fd(fd) };
        // SAFETY: `sockaddr_nl` is plain data for which all zeroes is a value.
        let mut address: libc::sockaddr_nl = unsafe { std::mem::zeroed() };
        address.nl_family = libc::AF_NETLINK as u16;
        address.nl_groups = groups;
        let length = size_of::<libc::sockaddr_nl>() as libc::socklen_t;
        // SAFETY: the address is a whole `sockaddr_nl` that outlives the call.
        let bound = unsafe { libc::bind(socket.as_raw_fd(), (&raw const address).cast(), length) };
        if bound == 0 { Ok(Self { socket }) } else { Err(io::Error::last_os_error()) }
    }

    /// The message on link `index`.
    pub fn link(&self, index: u32) -> io::Result<Vec<u8>> {
        let mut body = [0_u8; 16];
        body[4..8].copy_from_slice(&index.to_ne_bytes());
        self.ask(route::GET_LINK, 0, &body)
    }

    /// All links of the namespace.
    pub fn links(&self) -> io::Result<Vec<u8>> {
        self.ask(route::GET_LINK, NLM_F_DUMP, &[0; 16])
    }

    /// All addresses of the namespace.
    pub fn addresses(&self) -> io::Result<Vec<u8>> {
        self.ask(route::GET_ADDRESS, NLM_F_DUMP, &[0; 8])
    }

    /// All neighbours of the namespace.
    pub fn neighbours(&self) -> io::Result<Vec<u8>> {
        self.ask(route::GET_NEIGHBOUR, NLM_F_DUMP, &[0; 12])
    }

    /// The queueing disciplines of link `index`.
    pub fn qdiscs(&self, index: u32) -> io::Result<Vec<u8>> {
        let mut body = [0_u8; 20];
        body[4..8].copy_from_slice(&index.to_ne_bytes());
        self.ask(route::GET_QDISC, NLM_F_DUMP, &body)
    }

    /// Sends one request and gathers its answer.
    fn ask(&self, kind: u16, flags: u16, body: &[u8]) -> io::Result<Vec<u8>> {
        self.forget_late_answers()?;
        let mut request = Vec::with_capacity(HEADER_BYTES + body.len());
        request.extend(((HEADER_BYTES + body.len()) as u32).to_ne_bytes());
        request.extend(kind.to_ne_bytes());
        request.extend((NLM_F_REQUEST | flags).to_ne_bytes());
        request.extend([0; 8]);
        request.extend(body);
        // SAFETY: the kernel reads `request.len()` bytes of `request`.
        let sent = unsafe { libc::send(self.socket.as_raw_fd(), request.as_ptr().cast(), request.len(), 0) };
        if sent < 0 {
            return Err(io::Error::last_os_error());
        }
        let mut answer = Vec::new();
        // The kernel answers a request before `send` returns, and fills in the next part of a
        // dump while the one before is read: this never waits.
        while !self.gather(&mut answer)? {
            if answer.len() > DUMP_BYTES_MAX {
                return Err(io::Error::other(format!("the kernel's answer is above {DUMP_BYTES_MAX} bytes")));
            }
        }
        Ok(answer)
    }

    /// One more part of an answer; `true` if it was the last.
    fn gather(&self, answer: &mut Vec<u8>) -> io::Result<bool> {
        let from = answer.len();
        answer.resize(from + READ_BYTES, 0);
        let got = rustix::io::read(&self.socket, &mut answer[from..])?;
        answer.truncate(from + got);
        for message in route::messages(&answer[from..]) {
            let message = message.map_err(io::Error::other)?;
            match message.kind {
                route::DONE => return Ok(true),
                route::ERROR => return refusal(message.body).map_or(Ok(true), Err),
                _ if message.flags & NLM_F_MULTI == 0 => return Ok(true),
                _ => {}
            }
        }
        Ok(got == 0)
    }

    /// What an earlier request left behind when it was given up.
    fn forget_late_answers(&self) -> io::Result<()> {
        let mut buffer = vec![0; READ_BYTES];
        loop {
            match rustix::io::read(&self.socket, &mut buffer) {
                Ok(0) | Err(rustix::io::Errno::AGAIN) => return Ok(()),
                Ok(_) | Err(rustix::io::Errno::INTR | rustix::io::Errno::NOBUFS) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// What waits to be read, as it came; `None` where nothing does.
    pub fn news(&self, buffer: &mut [u8]) -> io::Result<Option<usize>> {
        loop {
            match rustix::io::read(&self.socket, &mut *buffer) {
                Ok(0) | Err(rustix::io::Errno::AGAIN) => return Ok(None),
                Ok(length) => return Ok(Some(length)),
                Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
}

impl AsFd for RouteSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// The error of an `NLMSG_ERROR`; `None` where it is an acknowledgement.
fn refusal(body: &[u8]) -> Option<io::Error> {
    match u32_at(body, 0).map(u32::cast_signed) {
        Some(0) => None,
        Some(code) => Some(io::Error::from_raw_os_error(code.saturating_neg())),
        None => Some(io::Error::other("the kernel refused without saying why")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::record::read::{link, route::NEW_LINK};

    #[test]
    fn a_dump_is_whole_and_the_socket_is_of_use_again() {
        let socket = RouteSocket::open().expect("a socket");
        let links = socket.links().expect("links");
        assert!(!route::bodies(&links, NEW_LINK).expect("sound").is_empty());
        let lo = link::link(&socket.link(1).expect("lo")).expect("understood");
        assert_eq!((lo.index, lo.name.as_str()), (1, "lo"));
        let addresses = socket.addresses().expect("addresses");
        assert!(link::addresses(&addresses, 1).expect("understood").contains(&"127.0.0.1/8".to_owned()));
    }

    #[test]
    fn a_link_that_is_not_there_is_the_kernel_s_refusal() {
        let socket = RouteSocket::open().expect("a socket");
        let error = socket.link(1_000_000).expect_err("no such link");
        assert_eq!(error.raw_os_error(), Some(libc::ENODEV));
    }
}
