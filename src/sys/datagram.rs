//! Datagrams in numbers: trains that the kernel cuts and joins, and many frames a call.

use std::{io, net::UdpSocket, os::fd::AsRawFd};

use super::socket::set;

/// Linux `UDP_SEGMENT`, since 4.18.
const UDP_SEGMENT: libc::c_int = 103;

/// Linux `UDP_GRO`, since 5.0.
const UDP_GRO: libc::c_int = 104;

/// Every send is cut into datagrams of `bytes` by the kernel or the card.
pub fn set_segment(socket: &UdpSocket, bytes: u16) -> io::Result<()> {
    set(socket, libc::SOL_UDP, UDP_SEGMENT, libc::c_int::from(bytes))
}

/// A receive may return several datagrams of one length, joined.
pub fn set_gro(socket: &UdpSocket) -> io::Result<()> {
    set(socket, libc::SOL_UDP, UDP_GRO, 1 as libc::c_int)
}

/// Asks for buffers of `bytes` beyond the system's limit; without the permission within it.
pub fn set_buffers(socket: &UdpSocket, bytes: usize) -> io::Result<()> {
    let bytes = libc::c_int::try_from(bytes).unwrap_or(libc::c_int::MAX);
    for (force, plain) in [(libc::SO_RCVBUFFORCE, libc::SO_RCVBUF), (libc::SO_SNDBUFFORCE, libc::SO_SNDBUF)] {
        if set(socket, libc::SOL_SOCKET, force, bytes).is_err() {
            set(socket, libc::SOL_SOCKET, plain, bytes)?;
        }
    }
    Ok(())
}

/// Buffers for many datagrams a call. Lives in the thread that uses it.
#[derive(Debug)]
pub struct Batch {
    // The headers point into the two others, which never move: their memory is not resized.
    headers: Vec<libc::mmsghdr>,
    _slices: Vec<libc::iovec>,
    _bytes: Vec<u8>,
}

impl Batch {
    /// Room for `count` datagrams, each as long as `payload` and beginning as a copy of it.
    pub fn new(count: usize, payload: &[u8]) -> Self {
        let mut bytes = payload.repeat(count);
        let mut slices: Vec<libc::iovec> = bytes
            .chunks_exact_mut(payload.len().max(1))
            .map(|part| libc::iovec { iov_base: part.as_mut_ptr().cast(), iov_len: part.len() })
            .collect();
        let headers = slices
            .iter_mut()
            .map(|slice| {
                // SAFETY: all zero is a valid header without address and control data.
                let mut header: libc::mmsghdr = unsafe { std::mem::zeroed() };
                header.msg_hdr.msg_iov = slice;
                header.msg_hdr.msg_iovlen = 1;
                header
            })
            .collect();
        Self { headers, _slices: slices, _bytes: bytes }
    }

    /// Sends all of them on a connected socket; returns how many the kernel took.
    pub fn send(&mut self, socket: &UdpSocket) -> io::Result<usize> {
        let count = self.headers.len() as libc::c_uint;
        // SAFETY: the headers and what they point to are owned by `self` and outlive the call.
        let done = unsafe { libc::sendmmsg(socket.as_raw_fd(), self.headers.as_mut_ptr(), count, 0) };
        if done < 0 { Err(io::Error::last_os_error()) } else { Ok(done as usize) }
    }

    /// Receives what is there, at least one: datagrams (or joined trains) and their bytes.
    pub fn receive(&mut self, socket: &UdpSocket) -> io::Result<(usize, u64)> {
        let count = self.headers.len() as libc::c_uint;
        let flags = libc::MSG_WAITFORONE;
        // SAFETY: as in `send`; the kernel writes within the buffers' lengths.
        let done = unsafe {
            libc::recvmmsg(
                socket.as_raw_fd(),
                self.headers.as_mut_ptr(),
                count,
                flags as _,
                std::ptr::null_mut(),
            )
        };
        if done < 0 {
            return Err(io::Error::last_os_error());
        }
        let taken = &self.headers[..done as usize];
        Ok((taken.len(), taken.iter().map(|header| u64::from(header.msg_len)).sum()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_arrives_as_it_was_sent() {
        let sink = UdpSocket::bind("127.0.0.1:0").expect("loopback");
        let source = UdpSocket::bind("127.0.0.1:0").expect("loopback");
        source.connect(sink.local_addr().expect("bound")).expect("connected");
        assert_eq!(Batch::new(8, &[1; 100]).send(&source).expect("sent"), 8);
        let mut batch = Batch::new(32, &[0; 200]);
        let (mut count, mut bytes) = (0, 0);
        while count < 8 {
            let (more, of) = batch.receive(&sink).expect("received");
            (count, bytes) = (count + more, bytes + of);
        }
        assert_eq!((count, bytes), (8, 800));
    }
}
