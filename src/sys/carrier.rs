//! Tells when a link of this network namespace loses or gains its carrier.
//!
//! Only the news, by the kernel's link group of rtnetlink; the state and counters of a link
//! are read elsewhere.

use std::{
    ffi::CString,
    io,
    os::fd::{AsFd, BorrowedFd},
};

use super::route::RouteSocket;
use crate::model::record::read::{
    bytes::u32_at,
    route::{NEW_LINK, messages},
};

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
    socket: RouteSocket,
}

impl CarrierWatch {
    /// Watches the links of the calling thread's namespace.
    pub fn open() -> io::Result<Self> {
        Ok(Self { socket: RouteSocket::open_for_link_news()? })
    }

    /// All news that waits; empty when there is none. News may be lost when nobody reads for
    /// long: the kernel then says `ENOBUFS`, which is returned.
    pub fn read(&self) -> io::Result<Vec<LinkNews>> {
        let mut news = Vec::new();
        let mut buffer = vec![0_u8; READ_BYTES];
        while let Some(length) = self.socket.news(&mut buffer)? {
            parse(&buffer[..length], &mut news);
        }
        Ok(news)
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

/// A message that is cut or lies about its length ends the reading: the next look at the
/// link itself tells what it would have told.
fn parse(bytes: &[u8], news: &mut Vec<LinkNews>) {
    for message in messages(bytes).map_while(Result::ok).filter(|message| message.kind == NEW_LINK) {
        if let (Some(index), Some(flags)) = (u32_at(message.body, 4), u32_at(message.body, 8)) {
            news.push(LinkNews { index, running: flags & libc::IFF_RUNNING as u32 != 0 });
        }
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
