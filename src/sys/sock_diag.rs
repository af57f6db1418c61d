//! What the kernel tells of other processes' TCP connections (`NETLINK_SOCK_DIAG`).

use std::{
    io,
    net::{IpAddr, SocketAddr},
    os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd},
};

use super::socket::{TcpInfo, parse_tcp_info};

/// `linux/sock_diag.h` and `linux/inet_diag.h`.
const SOCK_DIAG_BY_FAMILY: u16 = 20;
const INET_DIAG_INFO: u16 = 2;
const INET_DIAG_CONG: u16 = 4;

const NLM_F_REQUEST: u16 = 1;
const NLM_F_DUMP: u16 = 0x300;
const NLMSG_ERROR: u16 = 2;
const NLMSG_DONE: u16 = 3;
const NLMSG_HEADER: usize = 16;

/// Length of `struct inet_diag_req_v2` and of `struct inet_diag_msg`.
const REQUEST: usize = 56;
const MESSAGE: usize = 72;

/// Established, and those that still send after their close: states 1, 4, 5, 8, 9.
const STATES: u32 = 1 << 1 | 1 << 4 | 1 << 5 | 1 << 8 | 1 << 9;

/// Parts of one answer at most: a machine has no more sockets than this holds.
const PARTS_MAX: usize = 4096;

/// One connection.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Connection {
    /// Its state.
    pub info: TcpInfo,
    /// Its congestion control, where told.
    pub congestion_control: Option<String>,
}

/// The connection of this network namespace that leads to `peer`; the first, if several do.
///
/// # Errors
///
/// If the kernel refuses to tell.
pub fn towards(peer: SocketAddr) -> io::Result<Option<Connection>> {
    // SAFETY: a plain system call; the descriptor is owned at once.
    let fd = unsafe {
        libc::socket(libc::AF_NETLINK, libc::SOCK_RAW | libc::SOCK_CLOEXEC, libc::NETLINK_SOCK_DIAG)
    };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: `fd` is new and ours.
    let socket = unsafe { OwnedFd::from_raw_fd(fd) };
    let request = request(peer);
    // SAFETY: the kernel reads `request.len()` bytes of `request`.
    if unsafe { libc::send(socket.as_raw_fd(), request.as_ptr().cast(), request.len(), 0) } < 0 {
        return Err(io::Error::last_os_error());
    }
    let mut part = vec![0u8; 32 * 1024];
    let mut found = None;
    for _ in 0..PARTS_MAX {
        // SAFETY: the kernel writes at most `part.len()` bytes. It prepares the next part of a
        // dump before the reader asks for it, so this never waits.
        let got = unsafe {
            libc::recv(socket.as_raw_fd(), part.as_mut_ptr().cast(), part.len(), libc::MSG_DONTWAIT)
        };
        let got = usize::try_from(got).map_err(|_| io::Error::last_os_error())?;
        let seen = read_part(&part[..got], peer)?;
        found = found.or(seen.found);
        if seen.is_last {
            return Ok(found);
        }
    }
    Err(io::Error::other("the kernel's list of sockets does not end"))
}

fn request(peer: SocketAddr) -> Vec<u8> {
    let family = if peer.is_ipv4() { libc::AF_INET } else { libc::AF_INET6 };
    let mut bytes = vec![0; NLMSG_HEADER + REQUEST];
    bytes[0..4].copy_from_slice(&((NLMSG_HEADER + REQUEST) as u32).to_ne_bytes());
    bytes[4..6].copy_from_slice(&SOCK_DIAG_BY_FAMILY.to_ne_bytes());
    bytes[6..8].copy_from_slice(&(NLM_F_REQUEST | NLM_F_DUMP).to_ne_bytes());
    bytes[16] = family as u8;
    bytes[17] = libc::IPPROTO_TCP as u8;
    bytes[18] = 1 << (INET_DIAG_INFO - 1) | 1 << (INET_DIAG_CONG - 1);
    bytes[20..24].copy_from_slice(&STATES.to_ne_bytes());
    // The far port narrows nothing in a dump without a filter program; it is compared here.
    bytes
}

struct Part {
    found: Option<Connection>,
    is_last: bool,
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..at + 4)?.try_into().ok().map(u32::from_ne_bytes)
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    bytes.get(at..at + 2)?.try_into().ok().map(u16::from_ne_bytes)
}

/// Reads one part of the kernel's answer.
fn read_part(mut bytes: &[u8], peer: SocketAddr) -> io::Result<Part> {
    let mut part = Part { found: None, is_last: bytes.is_empty() };
    while let (Some(length), Some(kind)) = (u32_at(bytes, 0), u16_at(bytes, 4)) {
        let length = length as usize;
        let Some(message) = bytes.get(NLMSG_HEADER..length) else { break };
        match kind {
            NLMSG_DONE => part.is_last = true,
            NLMSG_ERROR => {
                let code = u32_at(message, 0).unwrap_or(0).cast_signed();
                return Err(io::Error::from_raw_os_error(-code));
            }
            _ if part.found.is_none() => part.found = connection(message, peer),
            _ => {}
        }
        bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
    }
    Ok(part)
}

/// The connection of one message, if it leads to `peer`.
fn connection(message: &[u8], peer: SocketAddr) -> Option<Connection> {
    let far_port = u16::from_be_bytes(message.get(6..8)?.try_into().ok()?);
    let far = message.get(24..40)?;
    let matches = match peer.ip() {
        IpAddr::V4(addr) => far[..4] == addr.octets(),
        IpAddr::V6(addr) => far == addr.octets(),
    };
    if far_port != peer.port() || !matches {
        return None;
    }
    let mut found = None;
    let mut congestion_control = None;
    let mut rest = message.get(MESSAGE..)?;
    while let (Some(length), Some(kind)) = (u16_at(rest, 0), u16_at(rest, 2)) {
        let value = rest.get(4..usize::from(length))?;
        match kind {
            INET_DIAG_INFO => {
                found = parse_tcp_info(value);
            }
            INET_DIAG_CONG => {
                let name = value.split(|byte| *byte == 0).next()?;
                congestion_control = String::from_utf8(name.to_vec()).ok();
            }
            _ => {}
        }
        rest = rest.get(usize::from(length).next_multiple_of(4)..).unwrap_or_default();
    }
    found.map(|info| Connection { info, congestion_control })
}

#[cfg(test)]
mod tests {
    use std::{
        io::{Read as _, Write as _},
        net::{TcpListener, TcpStream},
    };

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_connection_of_this_machine_is_found_by_where_it_leads() {
        for addr in ["127.0.0.1:0", "[::1]:0"] {
            let Ok(listener) = TcpListener::bind(addr) else { continue };
            let peer = listener.local_addr().expect("bound");
            assert_eq!(towards(peer).expect("told"), None);
            let mut near = TcpStream::connect(peer).expect("connected");
            let (mut far, _) = listener.accept().expect("accepted");
            near.write_all(&[7; 1000]).expect("sent");
            far.read_exact(&mut [0; 1000]).expect("received");
            let found = towards(peer).expect("told").expect("it is there");
            assert_eq!(found.info.data_segs_out, 1);
            assert_eq!(found.info.bytes_acked, 1001, "the bytes, and the handshake's one");
            assert!(found.congestion_control.is_some_and(|name| !name.is_empty()));
        }
    }

    proptest! {
        #[test]
        fn no_answer_makes_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
            let peer: SocketAddr = "127.0.0.1:7".parse().expect("an address");
            let _ = read_part(&bytes, peer);
            let _ = connection(&bytes, peer);
        }
    }
}
