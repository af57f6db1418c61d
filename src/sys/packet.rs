//! Whole frames from and to an interface (`AF_PACKET`), with the header that says what their
//! sender left to the card.

use std::{
    io,
    mem::size_of,
    os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd},
};

use super::{
    carrier::index_of,
    socket::{ARRIVALS, SENDING, ask_for_room, set},
};

/// Options of `linux/if_packet.h` that the `libc` crate lacks.
const PACKET_VNET_HDR: libc::c_int = 15;
const PACKET_IGNORE_OUTGOING: libc::c_int = 23;

/// Room asked for what comes or goes in one go: a second of frames of a lab's link, each
/// counted with its whole buffer.
const BUFFER_BYTES: usize = 16 << 20;

/// All protocols, in network order.
const ALL: u16 = (libc::ETH_P_ALL as u16).to_be();

/// A socket bound to one interface of the namespace that the calling thread was in.
#[derive(Debug)]
pub struct PacketSocket {
    fd: OwnedFd,
}

impl PacketSocket {
    /// A socket that hears what arrives at `iface`, and not what leaves there.
    ///
    /// # Errors
    ///
    /// If the kernel refuses, for one without `CAP_NET_RAW` in the namespace's user namespace.
    pub fn taking(iface: &str) -> io::Result<Self> {
        let socket = Self::open(iface, ALL)?;
        set(&socket.fd, libc::SOL_PACKET, PACKET_IGNORE_OUTGOING, 1 as libc::c_int)?;
        ask_for_room(&socket.fd, ARRIVALS, BUFFER_BYTES)?;
        Ok(socket)
    }

    /// A socket that only sends at `iface`, with a mark on all that it sends.
    ///
    /// # Errors
    ///
    /// If the kernel refuses; a mark needs `CAP_NET_ADMIN`.
    pub fn sending(iface: &str, mark: Option<u32>) -> io::Result<Self> {
        let socket = Self::open(iface, 0)?;
        ask_for_room(&socket.fd, SENDING, BUFFER_BYTES)?;
        mark.map_or(Ok(()), |mark| set(&socket.fd, libc::SOL_SOCKET, libc::SO_MARK, mark))?;
        Ok(socket)
    }

    fn open(iface: &str, protocol: u16) -> io::Result<Self> {
        let kind = libc::SOCK_RAW | libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK;
        // SAFETY: no pointers are passed.
        let fd = unsafe { libc::socket(libc::AF_PACKET, kind, 0) };
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the kernel has just handed out `fd`, and nobody else owns it.
        let fd = unsafe { OwnedFd::from_raw_fd(fd) };
        set(&fd, libc::SOL_PACKET, PACKET_VNET_HDR, 1 as libc::c_int)?;
        // SAFETY: `sockaddr_ll` is plain data for which all zeroes is a value.
        let mut addr: libc::sockaddr_ll = unsafe { std::mem::zeroed() };
        addr.sll_family = libc::AF_PACKET as u16;
        addr.sll_protocol = protocol;
        addr.sll_ifindex = index_of(iface)?.cast_signed();
        // SAFETY: `addr` is a whole `sockaddr_ll` and outlives the call.
        let answer = unsafe {
            libc::bind(fd.as_raw_fd(), (&raw const addr).cast(), size_of::<libc::sockaddr_ll>() as u32)
        };
        if answer == 0 { Ok(Self { fd }) } else { Err(io::Error::last_os_error()) }
    }

    /// The next frame with its header; `None` where none waits.
    ///
    /// # Errors
    ///
    /// What the kernel says, for one that the interface is gone.
    pub fn take(&self, room: &mut [u8]) -> io::Result<Option<usize>> {
        match rustix::io::read(&self.fd, room) {
            Ok(length) => Ok(Some(length)),
            Err(rustix::io::Errno::AGAIN | rustix::io::Errno::INTR) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Sends a frame with its header; `false` where the interface has no room for it.
    ///
    /// # Errors
    ///
    /// What the kernel says.
    pub fn send(&self, frame: &[u8]) -> io::Result<bool> {
        match rustix::io::write(&self.fd, frame) {
            Ok(_) => Ok(true),
            Err(rustix::io::Errno::AGAIN | rustix::io::Errno::NOBUFS | rustix::io::Errno::INTR) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }
}

impl AsFd for PacketSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}
