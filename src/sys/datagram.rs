//! Sockets for datagrams: how much they may hold, and what was dropped for want of room.

use std::{io, mem, net::UdpSocket, os::fd::AsRawFd};

use super::socket::set;

/// `SO_MEMINFO` and the place of its count of drops.
const SO_MEMINFO: libc::c_int = 55;
const MEMINFO_DROPS: usize = 8;

/// Asks for a receive buffer of so many bytes, past the system's limit where that is
/// permitted. Returns what was got.
pub fn raise_receive_buffer(socket: &UdpSocket, bytes: usize) -> io::Result<usize> {
    if set(socket, libc::SOL_SOCKET, libc::SO_RCVBUFFORCE, bytes as libc::c_int).is_err() {
        set(socket, libc::SOL_SOCKET, libc::SO_RCVBUF, bytes as libc::c_int)?;
    }
    socket2::SockRef::from(socket).recv_buffer_size()
}

/// As [`raise_receive_buffer`], for sending.
pub fn raise_send_buffer(socket: &UdpSocket, bytes: usize) -> io::Result<usize> {
    if set(socket, libc::SOL_SOCKET, libc::SO_SNDBUFFORCE, bytes as libc::c_int).is_err() {
        set(socket, libc::SOL_SOCKET, libc::SO_SNDBUF, bytes as libc::c_int)?;
    }
    socket2::SockRef::from(socket).send_buffer_size()
}

/// Datagrams that this socket's kernel dropped since it exists, for want of room.
pub fn socket_drops(socket: &UdpSocket) -> io::Result<u32> {
    let mut words = [0u32; 16];
    let mut length = mem::size_of_val(&words) as libc::socklen_t;
    // SAFETY: the kernel writes at most `length` bytes into `words`.
    let done = unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            SO_MEMINFO,
            words.as_mut_ptr().cast(),
            &raw mut length,
        )
    };
    if done != 0 {
        return Err(io::Error::last_os_error());
    }
    if (length as usize) < (MEMINFO_DROPS + 1) * mem::size_of::<u32>() {
        return Err(io::Error::other("this kernel does not count a socket's drops (before 4.12)"));
    }
    Ok(words[MEMINFO_DROPS])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_fit_is_counted_as_dropped_here() {
        let (from, to) = (UdpSocket::bind("127.0.0.1:0").unwrap(), UdpSocket::bind("127.0.0.1:0").unwrap());
        let got = raise_receive_buffer(&to, 8192).unwrap();
        from.connect(to.local_addr().unwrap()).unwrap();
        assert_eq!(socket_drops(&to).unwrap(), 0);
        for _ in 0..got / 1000 {
            from.send(&[0; 1400]).unwrap();
        }
        assert!(socket_drops(&to).unwrap() > 0);
    }
}
