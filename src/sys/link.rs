//! Interfaces as rtnetlink tells them: in the network namespace of the calling thread, which
//! sysfs does not follow.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

use super::route::RouteSocket;
use crate::model::record::{
    line::LinkSeen,
    read::{self, ReadError},
};

/// Why a link is not known.
#[derive(Debug, thiserror::Error)]
pub enum LinkError {
    /// The kernel refused.
    #[error("cannot ask the kernel for interface {index}")]
    Ask {
        /// Which interface.
        index: u32,
        /// What the kernel said.
        source: io::Error,
    },
    /// The answer lacks what it must have.
    #[error("the kernel's answer on interface {index} is not understood: {source}")]
    Answer {
        /// Which interface.
        index: u32,
        /// What it lacks.
        source: ReadError,
    },
}

/// A route socket that is asked again and again.
#[derive(Debug)]
pub struct LinkReader {
    socket: RouteSocket,
    index: u32,
}

impl LinkReader {
    /// For the interface of this index in the calling thread's namespace.
    ///
    /// # Errors
    ///
    /// If the kernel gives no route socket.
    pub fn new(index: u32) -> Result<Self, LinkError> {
        let socket = RouteSocket::open().map_err(|source| LinkError::Ask { index, source })?;
        Ok(Self { socket, index })
    }

    /// The link's present state.
    ///
    /// # Errors
    ///
    /// If the kernel refuses, or its answer lacks a field: never a zero in its place.
    pub fn read(&self) -> Result<LinkSeen, LinkError> {
        let index = self.index;
        let answer = self.socket.link(index).map_err(|source| LinkError::Ask { index, source })?;
        read::link::seen(&answer).map_err(|source| LinkError::Answer { index, source })
    }
}

/// An interface with one of its addresses.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Address {
    /// The interface's name.
    pub iface: String,
    /// Its index.
    pub index: u32,
    /// The address.
    pub addr: IpAddr,
    /// Up and running.
    pub running: bool,
    /// A loopback interface.
    pub loopback: bool,
}

/// Every address of this namespace, in the kernel's order.
///
/// # Errors
///
/// If the C library cannot list them.
pub fn addresses() -> io::Result<Vec<Address>> {
    let mut list: *mut libc::ifaddrs = std::ptr::null_mut();
    // SAFETY: getifaddrs fills `list`, which is freed below.
    if unsafe { libc::getifaddrs(&raw mut list) } != 0 {
        return Err(io::Error::last_os_error());
    }
    let mut found = Vec::new();
    let mut next = list;
    while !next.is_null() {
        // SAFETY: `next` is an entry of the list, which lives until freeifaddrs.
        let entry = unsafe { &*next };
        // SAFETY: the name is a C string of the same list.
        let iface = unsafe { std::ffi::CStr::from_ptr(entry.ifa_name) }.to_string_lossy().into_owned();
        // SAFETY: a null or valid address of the same list.
        if let Some(addr) = unsafe { ip_of(entry.ifa_addr) } {
            // SAFETY: the name is a C string of the same list.
            let index = unsafe { libc::if_nametoindex(entry.ifa_name) };
            let has = |flag: libc::c_int| entry.ifa_flags & flag.cast_unsigned() != 0;
            found.push(Address {
                iface,
                index,
                addr,
                running: has(libc::IFF_UP) && has(libc::IFF_RUNNING),
                loopback: has(libc::IFF_LOOPBACK),
            });
        }
        next = entry.ifa_next;
    }
    // SAFETY: the list that getifaddrs gave, once.
    unsafe { libc::freeifaddrs(list) };
    Ok(found)
}

/// # Safety
///
/// `addr` is null or points to a socket address of the length of its family.
unsafe fn ip_of(addr: *const libc::sockaddr) -> Option<IpAddr> {
    if addr.is_null() {
        return None;
    }
    // SAFETY: by this function's contract, for each family its own structure.
    unsafe {
        match i32::from((*addr).sa_family) {
            libc::AF_INET => {
                let v4 = addr.cast::<libc::sockaddr_in>().read_unaligned();
                Some(IpAddr::V4(Ipv4Addr::from(v4.sin_addr.s_addr.to_ne_bytes())))
            }
            libc::AF_INET6 => {
                let v6 = addr.cast::<libc::sockaddr_in6>().read_unaligned();
                Some(IpAddr::V6(Ipv6Addr::from(v6.sin6_addr.s6_addr)))
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_loopback_interface_tells_its_state() {
        let addresses = addresses().expect("readable");
        let lo = addresses.iter().find(|address| address.loopback).expect("every machine has one");
        let link = LinkReader::new(lo.index).expect("a socket").read().expect("an answer");
        assert!(link.up && link.carrier && link.mtu > 1000);
    }

    #[test]
    fn an_interface_that_does_not_exist_is_an_error_and_not_a_zero() {
        let error = LinkReader::new(1_000_000).expect("a socket").read().expect_err("no such interface");
        assert!(matches!(error, LinkError::Ask { .. }), "{error}");
    }
}
