//! Interfaces as rtnetlink tells them: in the network namespace of the calling thread, which
//! sysfs does not follow.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    os::fd::{AsRawFd, FromRawFd, OwnedFd},
};

use crate::model::record::line::LinkSeen;

const RTM_GETLINK: u16 = 18;
const RTM_NEWLINK: u16 = 16;
const NLM_F_REQUEST: u16 = 1;
const NLMSG_ERROR: u16 = 2;
const IFLA_MTU: u16 = 4;
const IFLA_STATS64: u16 = 23;
const IFLA_CARRIER: u16 = 33;
const IFLA_CARRIER_DOWN_COUNT: u16 = 48;

/// Length of `struct nlmsghdr` and of `struct ifinfomsg`.
const HEADER: usize = 16;

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
    #[error("the kernel's answer on interface {index} lacks {what}")]
    Lacks {
        /// Which interface.
        index: u32,
        /// What.
        what: &'static str,
    },
}

/// A route socket that is asked again and again.
#[derive(Debug)]
pub struct LinkReader {
    socket: OwnedFd,
    index: u32,
}

impl LinkReader {
    /// For the interface of this index in the calling thread's namespace.
    ///
    /// # Errors
    ///
    /// If the kernel gives no route socket.
    pub fn new(index: u32) -> Result<Self, LinkError> {
        // SAFETY: a plain system call; the descriptor is owned at once.
        let fd = unsafe {
            libc::socket(libc::AF_NETLINK, libc::SOCK_RAW | libc::SOCK_CLOEXEC, libc::NETLINK_ROUTE)
        };
        if fd < 0 {
            return Err(LinkError::Ask { index, source: io::Error::last_os_error() });
        }
        // SAFETY: `fd` is new and ours.
        Ok(Self { socket: unsafe { OwnedFd::from_raw_fd(fd) }, index })
    }

    /// The link's present state.
    ///
    /// # Errors
    ///
    /// If the kernel refuses, or its answer lacks a field: never a zero in its place.
    pub fn read(&self) -> Result<LinkSeen, LinkError> {
        let mut request = [0u8; 2 * HEADER];
        request[0..4].copy_from_slice(&(2 * HEADER as u32).to_ne_bytes());
        request[4..6].copy_from_slice(&RTM_GETLINK.to_ne_bytes());
        request[6..8].copy_from_slice(&NLM_F_REQUEST.to_ne_bytes());
        request[HEADER + 4..HEADER + 8].copy_from_slice(&self.index.to_ne_bytes());
        let ask = |source| LinkError::Ask { index: self.index, source };
        // SAFETY: the kernel reads `request.len()` bytes of `request`.
        let sent = unsafe { libc::send(self.socket.as_raw_fd(), request.as_ptr().cast(), request.len(), 0) };
        if sent < 0 {
            return Err(ask(io::Error::last_os_error()));
        }
        let mut answer = vec![0u8; 32 * 1024];
        // SAFETY: the kernel writes at most `answer.len()` bytes into `answer`. The kernel
        // answers a request on a route socket before `send` returns, so this never waits.
        let got = unsafe {
            libc::recv(self.socket.as_raw_fd(), answer.as_mut_ptr().cast(), answer.len(), libc::MSG_DONTWAIT)
        };
        let got = usize::try_from(got).map_err(|_| ask(io::Error::last_os_error()))?;
        parse(self.index, &answer[..got])
    }
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..at + 4)?.try_into().ok().map(u32::from_ne_bytes)
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    bytes.get(at..at + 2)?.try_into().ok().map(u16::from_ne_bytes)
}

/// The counter number `place` of `struct rtnl_link_stats64`.
fn stat(bytes: &[u8], place: usize) -> Option<u64> {
    bytes.get(place * 8..place * 8 + 8)?.try_into().ok().map(u64::from_ne_bytes)
}

/// Reads the kernel's answer to a `RTM_GETLINK`.
fn parse(index: u32, answer: &[u8]) -> Result<LinkSeen, LinkError> {
    let lacks = |what| LinkError::Lacks { index, what };
    match u16_at(answer, 4) {
        Some(RTM_NEWLINK) => {}
        Some(NLMSG_ERROR) => {
            let code = u32_at(answer, HEADER).ok_or(lacks("an error code"))?.cast_signed();
            return Err(LinkError::Ask { index, source: io::Error::from_raw_os_error(-code) });
        }
        _ => return Err(lacks("a link message")),
    }
    let flags = u32_at(answer, HEADER + 8).ok_or(lacks("flags"))?;
    let (mut mtu, mut carrier, mut carrier_down, mut stats) = (None, None, None, None);
    let mut at = 2 * HEADER;
    while let (Some(length), Some(kind)) = (u16_at(answer, at), u16_at(answer, at + 2)) {
        let length = usize::from(length);
        let Some(value) = answer.get(at + 4..at + length.max(4)) else { break };
        match kind {
            IFLA_MTU => mtu = u32_at(value, 0),
            IFLA_CARRIER => carrier = value.first().map(|byte| *byte != 0),
            IFLA_CARRIER_DOWN_COUNT => carrier_down = u32_at(value, 0),
            IFLA_STATS64 => stats = Some(value),
            _ => {}
        }
        if length < 4 {
            break;
        }
        at += length.next_multiple_of(4);
    }
    let stats = stats.ok_or(lacks("IFLA_STATS64"))?;
    let count = |place| stat(stats, place).ok_or(lacks("a counter"));
    Ok(LinkSeen {
        up: flags & libc::IFF_UP as u32 != 0,
        carrier: carrier.ok_or(lacks("IFLA_CARRIER"))?,
        carrier_down: carrier_down.ok_or(lacks("IFLA_CARRIER_DOWN_COUNT"))?,
        mtu: mtu.ok_or(lacks("IFLA_MTU"))?,
        rx_packets: count(0)?,
        tx_packets: count(1)?,
        rx_bytes: count(2)?,
        tx_bytes: count(3)?,
        rx_errors: count(4)?,
        tx_errors: count(5)?,
        rx_dropped: count(6)?,
        tx_dropped: count(7)?,
    })
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

    #[test]
    fn an_answer_that_is_cut_off_lacks_something() {
        for length in 0..48 {
            assert!(parse(1, &vec![0; length]).is_err());
        }
    }
}
