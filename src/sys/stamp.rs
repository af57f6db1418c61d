//! Datagrams with the moment at which the kernel took them from the card.

use std::{io, mem::MaybeUninit, net::SocketAddr, net::UdpSocket};

use rustix::time::{ClockId, clock_gettime};
use socket2::{MaybeUninitSlice, MsgHdrMut, SockAddr, SockRef};

use super::socket::set;

/// `SO_TIMESTAMPNS` of `asm-generic/socket.h`: stamps as two longs, seconds and nanoseconds.
const SO_TIMESTAMPNS: libc::c_int = 35;

/// Room for one control message with a stamp.
const CONTROL_BYTES: usize = 64;

/// Lets the kernel stamp what arrives on a socket.
///
/// # Errors
///
/// If the kernel refuses.
pub fn ask_for_stamps(socket: &UdpSocket) -> io::Result<()> {
    set(socket, libc::SOL_SOCKET, SO_TIMESTAMPNS, 1 as libc::c_int)
}

/// The clock of stamps now, nanoseconds: the wall clock, which may be set meanwhile.
pub fn now_ns() -> u64 {
    let now = clock_gettime(ClockId::Realtime);
    (now.tv_sec as u64).saturating_mul(1_000_000_000) + now.tv_nsec as u64
}

/// A datagram: its length, who sent it, and when the kernel took it, nanoseconds by
/// [`now_ns`]'s clock; `None` where it did not say.
///
/// # Errors
///
/// What the kernel says; `WouldBlock` where there is nothing.
pub fn receive(socket: &UdpSocket, into: &mut [u8]) -> io::Result<(usize, SocketAddr, Option<u64>)> {
    let mut control = [MaybeUninit::<u8>::uninit(); CONTROL_BYTES];
    let mut room = vec![MaybeUninit::<u8>::uninit(); into.len()];
    let (addr_out, length, control_length);
    {
        // SAFETY: an all-zero address is a valid one, of no family; the kernel overwrites it.
        let mut addr = unsafe { SockAddr::try_init(|_, _| Ok(()))?.1 };
        let mut buffers = [MaybeUninitSlice::new(&mut room)];
        let mut message =
            MsgHdrMut::new().with_addr(&mut addr).with_buffers(&mut buffers).with_control(&mut control);
        length = SockRef::from(socket).recvmsg(&mut message, libc::MSG_DONTWAIT)?;
        control_length = message.control_len();
        addr_out = addr;
    }
    let length = length.min(into.len());
    for (to, from) in into.iter_mut().zip(&room[..length]) {
        // SAFETY: the kernel has written `length` bytes.
        *to = unsafe { from.assume_init() };
    }
    // SAFETY: the kernel has written `control_length` bytes.
    let control: Vec<u8> = control[..control_length.min(CONTROL_BYTES)]
        .iter()
        .map(|byte| unsafe { byte.assume_init() })
        .collect();
    let from = addr_out.as_socket().ok_or_else(|| io::Error::other("a datagram from nowhere"))?;
    Ok((length, from, stamp(&control)))
}

/// The stamp in a message's control part: one `cmsghdr` and a `timespec`.
fn stamp(control: &[u8]) -> Option<u64> {
    let word = |at: usize| {
        let bytes = control.get(at..at + 8)?;
        Some(i64::from_ne_bytes(bytes.try_into().ok()?))
    };
    let number = |at: usize| {
        let bytes = control.get(at..at + 4)?;
        Some(i32::from_ne_bytes(bytes.try_into().ok()?))
    };
    let ours = number(8)? == libc::SOL_SOCKET && number(12)? == SO_TIMESTAMPNS;
    let (seconds, nanos) = (u64::try_from(word(16)?).ok()?, u64::try_from(word(24)?).ok()?);
    ours.then(|| seconds.saturating_mul(1_000_000_000) + nanos)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_datagram_is_stamped_as_it_arrives_and_not_as_it_is_read() {
        let (a, b) = (
            UdpSocket::bind("127.0.0.1:0").expect("a port"),
            UdpSocket::bind("127.0.0.1:0").expect("a port"),
        );
        ask_for_stamps(&b).expect("Linux has it");
        let mut bytes = [0; 8];
        // The kernel begins to stamp a moment after it was asked; until then it stamps as it reads.
        let on_time = (0..50).any(|_| {
            let before = now_ns();
            a.send_to(b"abc", b.local_addr().expect("bound")).expect("sent");
            let after = now_ns();
            // Read later than it came.
            std::thread::sleep(std::time::Duration::from_millis(30));
            let (length, from, stamp) = receive(&b, &mut bytes).expect("there");
            assert_eq!((&bytes[..length], from), (&b"abc"[..], a.local_addr().expect("bound")));
            let stamp = stamp.expect("stamped");
            before <= stamp && stamp <= after + 10_000_000
        });
        assert!(on_time, "stamps are of the reading and not of the arrival");
        assert_eq!(receive(&b, &mut bytes).expect_err("no more").kind(), io::ErrorKind::WouldBlock);
    }
}
