//! Socket options and facts that no safe crate wraps: pacing, timers, `TCP_INFO`.

use std::{
    io, mem,
    os::fd::{AsFd, AsRawFd},
};

use rustix::net::RecvFlags;
use socket2::SockRef;

use crate::model::record::line::TcpFlow;

/// Linux `SO_MAX_PACING_RATE`; 64-bit values since 4.20.
const SO_MAX_PACING_RATE: libc::c_int = 47;

/// Linux `TCP_RTO_MAX_MS`, since 6.15.
const TCP_RTO_MAX_MS: libc::c_int = 44;

pub(super) fn set<T: Copy>(
    socket: &impl AsRawFd,
    level: libc::c_int,
    name: libc::c_int,
    value: T,
) -> io::Result<()> {
    let length = mem::size_of::<T>() as libc::socklen_t;
    // SAFETY: the descriptor lives as long as `socket`; the kernel reads `length` bytes of
    // `value`, which is a plain integer on this frame.
    let done =
        unsafe { libc::setsockopt(socket.as_raw_fd(), level, name, (&raw const value).cast(), length) };
    if done == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Room for what arrives and for what is sent: the option that passes the system's limit, and the
/// one that anybody may set.
pub(super) const ARRIVALS: [libc::c_int; 2] = [libc::SO_RCVBUFFORCE, libc::SO_RCVBUF];
pub(super) const SENDING: [libc::c_int; 2] = [libc::SO_SNDBUFFORCE, libc::SO_SNDBUF];

/// Asks for so much room, past the system's limit where that is permitted.
pub(super) fn ask_for_room(socket: &impl AsRawFd, of: [libc::c_int; 2], bytes: usize) -> io::Result<()> {
    let [forced, plain] = of;
    let bytes = bytes as libc::c_int;
    set(socket, libc::SOL_SOCKET, forced, bytes).or_else(|_| set(socket, libc::SOL_SOCKET, plain, bytes))
}

/// Asks for a receive buffer of so many bytes, past the system's limit where that is
/// permitted. Returns what was got.
pub fn raise_receive_buffer(socket: &(impl AsRawFd + AsFd), bytes: usize) -> io::Result<usize> {
    ask_for_room(socket, ARRIVALS, bytes)?;
    SockRef::from(socket).recv_buffer_size()
}

/// As [`raise_receive_buffer`], for sending.
pub fn raise_send_buffer(socket: &(impl AsRawFd + AsFd), bytes: usize) -> io::Result<usize> {
    ask_for_room(socket, SENDING, bytes)?;
    SockRef::from(socket).send_buffer_size()
}

/// Lets TCP itself space out its segments to `bytes_per_s`.
pub fn set_max_pacing_rate(socket: &impl AsRawFd, bytes_per_s: u64) -> io::Result<()> {
    set(socket, libc::SOL_SOCKET, SO_MAX_PACING_RATE, bytes_per_s)
}

/// Caps the back-off of TCP's retransmission timer; an error before Linux 6.15.
pub fn set_rto_max_ms(socket: &impl AsRawFd, rto_max_ms: u32) -> io::Result<()> {
    set(socket, libc::IPPROTO_TCP, TCP_RTO_MAX_MS, rto_max_ms)
}

/// The MTU of the way to where a socket is connected, as the kernel knows it now, bytes.
pub fn path_mtu(socket: &impl AsRawFd, ipv4: bool) -> io::Result<u32> {
    let (level, name) =
        if ipv4 { (libc::IPPROTO_IP, libc::IP_MTU) } else { (libc::IPPROTO_IPV6, libc::IPV6_MTU) };
    let mut mtu: libc::c_int = 0;
    let mut length = mem::size_of_val(&mtu) as libc::socklen_t;
    // SAFETY: the kernel writes at most `length` bytes into `mtu`, a plain integer of that size.
    let done =
        unsafe { libc::getsockopt(socket.as_raw_fd(), level, name, (&raw mut mtu).cast(), &raw mut length) };
    if done != 0 {
        return Err(io::Error::last_os_error());
    }
    u32::try_from(mtu).map_err(|_| io::Error::other(format!("the kernel tells an MTU of {mtu}")))
}

/// Lets sends pass memory by reference (`MSG_ZEROCOPY`, since Linux 4.14).
pub fn set_zerocopy(socket: &impl AsRawFd) -> io::Result<()> {
    set(socket, libc::SOL_SOCKET, libc::SO_ZEROCOPY, 1 as libc::c_int)
}

/// What became of sends by reference.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Completions {
    /// Sends that the kernel is done with.
    pub done: u32,
    /// Those of them whose bytes it copied after all.
    pub copied: u32,
}

/// Pieces of one call that receives over and over.
const TIMES_MAX: usize = 32;

/// Receives up to `times` fillings of `room` (32 at most) in one call, each over the one
/// before: for bytes that nobody looks at. Returns how many arrived; 0 at the stream's end.
///
/// # Errors
///
/// What the kernel says.
pub fn receive_over(
    socket: &impl AsRawFd,
    room: &mut [u8],
    times: usize,
    how: RecvFlags,
) -> io::Result<usize> {
    let piece = libc::iovec { iov_base: room.as_mut_ptr().cast(), iov_len: room.len() };
    let mut pieces = [piece; TIMES_MAX];
    // SAFETY: all-zero bytes are a valid msghdr.
    let mut message: libc::msghdr = unsafe { mem::zeroed() };
    message.msg_iov = pieces.as_mut_ptr();
    message.msg_iovlen = times.min(TIMES_MAX) as _;
    // SAFETY: `message` points to `pieces`, and each of these to `room`, which this call alone
    // may write; whatever bytes the kernel puts there, in whatever order, are bytes.
    let got = unsafe { libc::recvmsg(socket.as_raw_fd(), &raw mut message, how.bits().cast_signed()) };
    usize::try_from(got).map_err(|_| io::Error::last_os_error())
}

/// `SO_EE_CODE_ZEROCOPY_COPIED` and `SO_EE_ORIGIN_ZEROCOPY` of `linux/errqueue.h`.
const ZEROCOPY_COPIED: u8 = 1;
const ORIGIN_ZEROCOPY: u8 = 5;

/// Takes all notices of finished sends by reference.
pub fn zerocopy_completions(socket: &impl AsRawFd, seen: &mut Completions) {
    loop {
        // As large as the kernel's notice with the address that follows it, and aligned for both.
        let mut control = [0u64; 16];
        // SAFETY: all-zero bytes are a valid msghdr.
        let mut message: libc::msghdr = unsafe { mem::zeroed() };
        message.msg_control = control.as_mut_ptr().cast();
        message.msg_controllen = mem::size_of_val(&control) as _;
        // SAFETY: `message` points to `control`, which outlives the call.
        let got = unsafe {
            libc::recvmsg(socket.as_raw_fd(), &raw mut message, libc::MSG_ERRQUEUE | libc::MSG_DONTWAIT)
        };
        if got < 0 {
            return;
        }
        // SAFETY: the kernel has filled `control` up to `msg_controllen`.
        let header = unsafe { libc::CMSG_FIRSTHDR(&raw const message) };
        if header.is_null() {
            return;
        }
        // SAFETY: the kernel's control messages of these sockets carry a sock_extended_err.
        let notice = unsafe { libc::CMSG_DATA(header).cast::<libc::sock_extended_err>().read_unaligned() };
        if notice.ee_origin == ORIGIN_ZEROCOPY {
            let calls = notice.ee_data.wrapping_sub(notice.ee_info).wrapping_add(1);
            seen.done = seen.done.wrapping_add(calls);
            if notice.ee_code & ZEROCOPY_COPIED != 0 {
                seen.copied = seen.copied.wrapping_add(calls);
            }
        }
    }
}

/// What the kernel tells of one TCP connection; counts are since its beginning.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct TcpInfo {
    /// Consecutive timeouts without an answer.
    pub backoff: u8,
    /// Smoothed round trip, microseconds.
    pub rtt_us: u32,
    /// Segments sent again.
    pub total_retrans: u32,
    /// Segments with data sent.
    pub data_segs_out: u32,
    /// Time with data to send, microseconds.
    pub busy_us: u64,
    /// Time held up by the receiver's window, microseconds.
    pub rwnd_limited_us: u64,
    /// Time held up by the own send buffer, microseconds.
    pub sndbuf_limited_us: u64,
    /// Bytes that the far end has acknowledged; its handshake counts as one.
    pub bytes_acked: u64,
    /// Segments that the far end received twice; 0 where the kernel does not tell (before 4.19).
    pub dsack_dups: u32,
}

impl TcpInfo {
    /// What the connection did since an earlier look at it.
    pub fn since(&self, before: &Self) -> TcpFlow {
        TcpFlow {
            segs: u64::from(self.data_segs_out.wrapping_sub(before.data_segs_out)),
            retr: u64::from(self.total_retrans.wrapping_sub(before.total_retrans)),
            dsack: u64::from(self.dsack_dups.wrapping_sub(before.dsack_dups)),
            rtt_us: self.rtt_us,
            backoff: self.backoff,
            rwnd_us: self.rwnd_limited_us.saturating_sub(before.rwnd_limited_us),
            sndbuf_us: self.sndbuf_limited_us.saturating_sub(before.sndbuf_limited_us),
            busy_us: self.busy_us.saturating_sub(before.busy_us),
        }
    }
}

/// Bytes of `struct tcp_info` that are read: up to and with `tcpi_dsack_dups`.
const TCP_INFO_BYTES: usize = 220;

/// What a kernel must tell at least: up to and with `tcpi_sndbuf_limited` (4.9).
const TCP_INFO_LEAST_BYTES: usize = 192;

/// Reads `TCP_INFO`. Only to be called by the thread that sends on the socket: another one
/// waits for the socket's lock, for up to 236 ms as measured.
pub fn tcp_info(socket: &impl AsRawFd) -> io::Result<TcpInfo> {
    let mut raw = [0u8; TCP_INFO_BYTES];
    let mut length = TCP_INFO_BYTES as libc::socklen_t;
    // SAFETY: the kernel writes at most `length` bytes into `raw`, which is that long.
    let done = unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            libc::IPPROTO_TCP,
            libc::TCP_INFO,
            raw.as_mut_ptr().cast(),
            &raw mut length,
        )
    };
    if done != 0 {
        return Err(io::Error::last_os_error());
    }
    parse_tcp_info(&raw[..(length as usize).min(TCP_INFO_BYTES)])
        .ok_or_else(|| io::Error::other("this kernel's TCP_INFO is shorter than 192 bytes (before 4.9)"))
}

/// Offsets as in `include/uapi/linux/tcp.h`; fields are only ever appended there, and what an
/// older kernel does not tell is 0. `None` of less than every kernel tells.
pub(super) fn parse_tcp_info(told: &[u8]) -> Option<TcpInfo> {
    let mut raw = [0; TCP_INFO_BYTES];
    let length = told.len().min(TCP_INFO_BYTES);
    raw[..length].copy_from_slice(&told[..length]);
    if length < TCP_INFO_LEAST_BYTES {
        return None;
    }
    let u32_at = |at: usize| u32::from_ne_bytes([raw[at], raw[at + 1], raw[at + 2], raw[at + 3]]);
    let u64_at = |at: usize| {
        let mut bytes = [0; 8];
        bytes.copy_from_slice(&raw[at..at + 8]);
        u64::from_ne_bytes(bytes)
    };
    Some(TcpInfo {
        backoff: raw[4],
        rtt_us: u32_at(68),
        total_retrans: u32_at(100),
        data_segs_out: u32_at(156),
        busy_us: u64_at(168),
        rwnd_limited_us: u64_at(176),
        sndbuf_limited_us: u64_at(184),
        bytes_acked: u64_at(120),
        dsack_dups: u32_at(216),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{
        io::Write as _,
        net::{TcpListener, TcpStream},
    };

    #[test]
    fn a_connected_socket_tells_its_way_s_mtu() {
        let socket = std::net::UdpSocket::bind("127.0.0.1:0").expect("loopback");
        assert!(path_mtu(&socket, true).is_err(), "it leads nowhere yet");
        socket.connect("127.0.0.1:9").expect("connected");
        // The device says 65,536; the kernel counts no IPv4 packet longer than its length field.
        assert!((65_535..=65_536).contains(&path_mtu(&socket, true).expect("known")));
    }

    #[test]
    fn a_live_connection_tells_its_segments() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("loopback");
        let mut stream = TcpStream::connect(listener.local_addr().expect("bound")).expect("connected");
        stream.write_all(b"hello").expect("sent");
        let info = tcp_info(&stream).expect("readable");
        assert_eq!(info.data_segs_out, 1);
        assert!(info.rtt_us > 0);
    }
}
