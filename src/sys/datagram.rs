//! Datagrams many at a time: trains that the kernel or the card cuts, single frames in one
//! call, and what the kernel tells of them. No safe crate wraps these calls.

use std::{
    io,
    mem::{self, MaybeUninit},
    net::UdpSocket,
    os::fd::AsRawFd,
    ptr,
};

use super::socket::set;

/// `UDP_SEGMENT` and `UDP_GRO` of `linux/udp.h`, since Linux 4.18 and 5.0.
const UDP_SEGMENT: libc::c_int = 103;
const UDP_GRO: libc::c_int = 104;

/// `SO_MEMINFO` and the place of its count of drops.
const SO_MEMINFO: libc::c_int = 55;
const MEMINFO_DROPS: usize = 8;

/// Words that hold one control message of an integer, and a little more.
const CONTROL_WORDS: usize = 8;

/// Every send is cut into datagrams of so many bytes.
pub fn set_segment(socket: &UdpSocket, bytes: usize) -> io::Result<()> {
    set(socket, libc::SOL_UDP, UDP_SEGMENT, bytes as libc::c_int)
}

/// Datagrams that arrived one after the other may be received as one.
pub fn set_coalesce(socket: &UdpSocket) -> io::Result<()> {
    set(socket, libc::SOL_UDP, UDP_GRO, 1 as libc::c_int)
}

/// Frames are never fragmented and no path's MTU is believed: one that is too large is an error.
pub fn set_never_fragment(socket: &UdpSocket, ipv4: bool) -> io::Result<()> {
    if ipv4 {
        set(socket, libc::IPPROTO_IP, libc::IP_MTU_DISCOVER, libc::IP_PMTUDISC_PROBE)
    } else {
        set(socket, libc::IPPROTO_IPV6, libc::IPV6_MTU_DISCOVER, libc::IPV6_PMTUDISC_PROBE)
    }
}

/// What the own queueing discipline drops is told as an error of the send.
pub fn set_tell_drops(socket: &UdpSocket, ipv4: bool) -> io::Result<()> {
    if ipv4 {
        set(socket, libc::IPPROTO_IP, libc::IP_RECVERR, 1 as libc::c_int)
    } else {
        set(socket, libc::IPPROTO_IPV6, libc::IPV6_RECVERR, 1 as libc::c_int)
    }
}

/// Takes notices that the kernel keeps of earlier sends, so that they do not pile up.
pub fn drop_notices(socket: &UdpSocket) {
    let mut room = [0u8; 64];
    let flags = libc::MSG_ERRQUEUE | libc::MSG_DONTWAIT;
    // SAFETY: the kernel writes at most `room.len()` bytes into `room`.
    while unsafe { libc::recv(socket.as_raw_fd(), room.as_mut_ptr().cast(), room.len(), flags) } >= 0 {}
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

/// Sends one datagram for each header, all with the same bytes behind it. Returns how many
/// the kernel took.
///
/// # Errors
///
/// What the kernel says of the first one.
pub fn send_many<const N: usize>(
    socket: &UdpSocket,
    headers: &[[u8; N]],
    payload: &[u8],
) -> io::Result<usize> {
    let part =
        |bytes: &[u8]| libc::iovec { iov_base: bytes.as_ptr().cast_mut().cast(), iov_len: bytes.len() };
    let mut parts: Vec<[libc::iovec; 2]> =
        headers.iter().map(|header| [part(header), part(payload)]).collect();
    let mut messages: Vec<libc::mmsghdr> = parts
        .iter_mut()
        .map(|parts| {
            // SAFETY: all-zero bytes are a valid mmsghdr.
            let mut message: libc::mmsghdr = unsafe { mem::zeroed() };
            message.msg_hdr.msg_iov = parts.as_mut_ptr();
            message.msg_hdr.msg_iovlen = parts.len() as _;
            message
        })
        .collect();
    let flags = libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL;
    // SAFETY: every message refers to `parts`, which refer to `headers` and `payload`: all of
    // them outlive the call, and the kernel only reads them.
    let sent =
        unsafe { libc::sendmmsg(socket.as_raw_fd(), messages.as_mut_ptr(), messages.len() as _, flags as _) };
    usize::try_from(sent).map_err(|_| io::Error::last_os_error())
}

/// Room for many datagrams, or many trains of them.
#[derive(Debug)]
pub struct Batch {
    room: Vec<MaybeUninit<u8>>,
    each: usize,
    controls: Vec<[u64; CONTROL_WORDS]>,
    /// Of each message: bytes as they were sent, and bytes of a datagram in it.
    lengths: Vec<(usize, Option<usize>)>,
}

/// One message: a datagram, or a train of them.
#[derive(Clone, Copy, Debug)]
pub struct Message<'a> {
    /// As much of it as there was room for.
    pub bytes: &'a [u8],
    /// All of its bytes.
    pub length: usize,
    /// Bytes of each of its datagrams but the last; `None` where it is only one.
    pub segment: Option<usize>,
}

impl Batch {
    /// For so many messages, of each of which so many bytes are kept.
    pub fn new(messages: usize, each: usize) -> Self {
        Self {
            room: vec![MaybeUninit::uninit(); messages * each],
            each,
            controls: vec![[0; CONTROL_WORDS]; messages],
            lengths: Vec::with_capacity(messages),
        }
    }

    /// Messages that one call brings at most.
    pub const fn capacity(&self) -> usize {
        self.controls.len()
    }

    /// Takes what there is. Returns the number of messages.
    ///
    /// # Errors
    ///
    /// What the kernel says; `WouldBlock` where there is nothing.
    pub fn receive(&mut self, socket: &UdpSocket) -> io::Result<usize> {
        self.lengths.clear();
        let mut parts: Vec<libc::iovec> = self
            .room
            .chunks_mut(self.each)
            .map(|room| libc::iovec { iov_base: room.as_mut_ptr().cast(), iov_len: room.len() })
            .collect();
        let mut messages: Vec<libc::mmsghdr> = parts
            .iter_mut()
            .zip(&mut self.controls)
            .map(|(part, control)| {
                // SAFETY: all-zero bytes are a valid mmsghdr.
                let mut message: libc::mmsghdr = unsafe { mem::zeroed() };
                message.msg_hdr.msg_iov = part;
                message.msg_hdr.msg_iovlen = 1;
                message.msg_hdr.msg_control = control.as_mut_ptr().cast();
                message.msg_hdr.msg_controllen = mem::size_of_val(control) as _;
                message
            })
            .collect();
        let flags = libc::MSG_DONTWAIT | libc::MSG_TRUNC;
        // SAFETY: every message refers to its own part of `room` and its own `control`, which
        // outlive the call.
        let got = unsafe {
            libc::recvmmsg(
                socket.as_raw_fd(),
                messages.as_mut_ptr(),
                messages.len() as _,
                flags as _,
                ptr::null_mut(),
            )
        };
        let got = usize::try_from(got).map_err(|_| io::Error::last_os_error())?;
        self.lengths.extend(
            messages[..got].iter().map(|message| (message.msg_len as usize, segment(&message.msg_hdr))),
        );
        Ok(got)
    }

    /// The messages of the last call.
    pub fn messages(&self) -> impl Iterator<Item = Message<'_>> {
        self.lengths.iter().enumerate().map(|(index, &(length, segment))| {
            let room = &self.room[index * self.each..];
            // SAFETY: the kernel has written as many bytes as fitted.
            let bytes =
                unsafe { std::slice::from_raw_parts(room.as_ptr().cast::<u8>(), length.min(self.each)) };
            Message { bytes, length, segment }
        })
    }
}

/// What `UDP_GRO` tells of a message.
fn segment(header: &libc::msghdr) -> Option<usize> {
    // SAFETY: the kernel has filled the control buffer up to `msg_controllen`.
    let mut control = unsafe { libc::CMSG_FIRSTHDR(header) };
    while !control.is_null() {
        // SAFETY: not null, and within the control buffer.
        let (level, kind) = unsafe { ((*control).cmsg_level, (*control).cmsg_type) };
        if level == libc::SOL_UDP && kind == UDP_GRO {
            // SAFETY: this control message carries an integer.
            let bytes = unsafe { libc::CMSG_DATA(control).cast::<libc::c_int>().read_unaligned() };
            return usize::try_from(bytes).ok().filter(|bytes| *bytes > 0);
        }
        // SAFETY: as above.
        control = unsafe { libc::CMSG_NXTHDR(header, control) };
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::socket::raise_receive_buffer;

    fn pair() -> (UdpSocket, UdpSocket) {
        let (a, b) = (
            UdpSocket::bind("127.0.0.1:0").expect("a port"),
            UdpSocket::bind("127.0.0.1:0").expect("a port"),
        );
        a.connect(b.local_addr().expect("bound")).expect("connected");
        b.connect(a.local_addr().expect("bound")).expect("connected");
        (a, b)
    }

    #[test]
    fn a_train_leaves_in_one_call_and_arrives_with_its_datagrams_size() {
        let (a, b) = pair();
        set_segment(&a, 100).expect("Linux 4.18");
        set_coalesce(&b).expect("Linux 5.0");
        a.send(&[7; 1_050]).expect("sent");
        let mut batch = Batch::new(8, 20);
        b.set_nonblocking(true).expect("a socket");
        let (mut bytes, mut datagrams) = (0, 0);
        while batch.receive(&b).is_ok() {
            for message in batch.messages() {
                assert_eq!(message.bytes, &[7; 20]);
                bytes += message.length;
                datagrams += message.segment.map_or(1, |segment| message.length.div_ceil(segment));
            }
        }
        assert_eq!((bytes, datagrams), (1_050, 11));
    }

    #[test]
    fn single_datagrams_leave_and_arrive_many_at_a_time() {
        let (a, b) = pair();
        let headers: Vec<[u8; 2]> = (0..40).map(|number| [number, 9]).collect();
        assert_eq!(send_many(&a, &headers, b"abc").expect("sent"), 40);
        let mut batch = Batch::new(64, 2);
        assert_eq!(batch.receive(&b).expect("there"), 40);
        let got: Vec<_> = batch.messages().map(|message| (message.bytes[0], message.length)).collect();
        assert_eq!(got, (0..40).map(|number| (number, 5)).collect::<Vec<_>>());
        assert_eq!(batch.receive(&b).expect_err("nothing left").kind(), io::ErrorKind::WouldBlock);
    }

    #[test]
    fn what_found_no_room_is_counted() {
        let (a, b) = pair();
        raise_receive_buffer(&b, 4_096).expect("small");
        for _ in 0..200 {
            a.send(&[0; 1_000]).expect("sent");
        }
        let dropped = socket_drops(&b).expect("Linux 4.12");
        let mut batch = Batch::new(256, 8);
        let got = batch.receive(&b).expect("some");
        assert_eq!(got + dropped as usize, 200);
        assert!(dropped > 0);
    }
}
