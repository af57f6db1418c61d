//! Tells when a link of this network namespace loses or gains its carrier.
//!
//! Only the news, by the kernel's link group of rtnetlink; the state and counters of a link
//! are read elsewhere.

use std::{
    ffi::CString,
    io,
    os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd},
};

/// Group 1 of rtnetlink: links.
const RTMGRP_LINK: u32 = 1;
/// `nlmsghdr` and, after it, `ifinfomsg`: 16 bytes each.
const HEADER_BYTES: usize = 16;
/// What one read takes; a link message is below 2 KiB, and the kernel hands out whole ones.
const READ_BYTES: usize = 32 * 1024;

/// One change of a link.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct LinkNews {
    /// Number of the interface, as [`index_of`] gives it.
    pub index: u32,
    /// Whether the link has a carrier and is up.
    pub running: bool,
}

/// A socket on which the kernel tells of links of one network namespace.
#[derive(Debug)]
pub struct CarrierWatch {
    socket: OwnedFd,
}

impl CarrierWatch {
    /// Watches the links of the calling thread's namespace.
    pub fn open() -> io::Result<Self> {
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
        address.nl_groups = RTMGRP_LINK;
        let length = size_of::<libc::sockaddr_nl>() as libc::socklen_t;
        // SAFETY: the address is a whole `sockaddr_nl` that outlives the call.
        let bound = unsafe { libc::bind(socket.as_raw_fd(), (&raw const address).cast(), length) };
        if bound == 0 { Ok(Self { socket }) } else { Err(io::Error::last_os_error()) }
    }

    /// All news that waits; empty when there is none. News may be lost when nobody reads for
    /// long: the kernel then says `ENOBUFS`, which is returned.
    pub fn read(&self) -> io::Result<Vec<LinkNews>> {
        let mut news = Vec::new();
        let mut buffer = vec![0_u8; READ_BYTES];
        loop {
            match rustix::io::read(&self.socket, &mut buffer) {
                Ok(0) | Err(rustix::io::Errno::AGAIN) => return Ok(news),
                Ok(length) => parse(&buffer[..length], &mut news),
                Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
}

impl AsFd for CarrierWatch {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// The number of interface `name` in the calling thread's namespace.
pub fn index_of(name: &str) -> io::Result<u32> {
    let name = CString::new(name)?;
    // SAFETY: `name` is a terminated text that outlives the call.
    match unsafe { libc::if_nametoindex(name.as_ptr()) } {
        0 => Err(io::Error::last_os_error()),
        index => Ok(index),
    }
}

fn parse(mut bytes: &[u8], news: &mut Vec<LinkNews>) {
    let word = |at: &[u8], from: usize| {
        at.get(from..from + 4).and_then(|four| four.try_into().ok()).map_or(0, u32::from_ne_bytes)
    };
    while bytes.len() >= 2 * HEADER_BYTES {
        let length = (word(bytes, 0) as usize).clamp(HEADER_BYTES, bytes.len());
        let kind = word(bytes, 4) as u16;
        if kind == libc::RTM_NEWLINK && length >= 2 * HEADER_BYTES {
            let running = word(bytes, HEADER_BYTES + 8) & libc::IFF_RUNNING as u32 != 0;
            news.push(LinkNews { index: word(bytes, HEADER_BYTES + 4), running });
        }
        // Messages are padded to four bytes.
        bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(kind: u16, index: u32, flags: u32) -> Vec<u8> {
        let mut bytes = Vec::new();
        for word in [32, u32::from(kind), 0, 0, 0, index, flags, 0] {
            bytes.extend(word.to_ne_bytes());
        }
        bytes
    }

    #[test]
    fn news_of_several_links_is_read_and_other_messages_are_passed_over() {
        let mut bytes = message(libc::RTM_NEWLINK, 7, libc::IFF_RUNNING as u32);
        bytes.extend(message(libc::RTM_DELLINK, 8, 0));
        bytes.extend(message(libc::RTM_NEWLINK, 9, 0));
        let mut news = Vec::new();
        parse(&bytes, &mut news);
        assert_eq!(news, [LinkNews { index: 7, running: true }, LinkNews { index: 9, running: false }]);
    }

    #[test]
    fn a_message_that_lies_about_its_length_ends_the_reading() {
        for length in [0_u32, 3, 1 << 30] {
            let mut bytes = message(libc::RTM_NEWLINK, 7, 0);
            bytes[..4].copy_from_slice(&length.to_ne_bytes());
            let mut news = Vec::new();
            parse(&bytes, &mut news);
            assert!(news.len() <= 1);
        }
    }
}
