//! What a stream may have under way: how its send buffer is sized, and when it grows (ADR 5).
//!
//! What is handed over is `outlet`'s, and when is `source`'s.

use std::{io, sync::LazyLock};

use socket2::Socket;

use crate::{
    model::plan::carriage::BufferLayout,
    sys::{cache::own_cache_bytes, socket::raise_send_buffer},
};

/// For each microsecond of its round trip: 40 Gb/s, more than one core copies to a card.
const UNDER_WAY_BYTES_PER_US: usize = 5_000;

/// The least: it bounds what the kernel still drains after its process was killed, 20 ms at
/// 100 Mb/s, and keeps what is copied in a core's own cache. Linux doubles it.
const LEAST_BYTES: usize = 128 * 1024;

/// Where more is needed, the kernel's own sizing knows better.
const MOST_BYTES: usize = 2 * 1024 * 1024;

/// A core's own cache of this size holds both ends' copies of what is under way: there the least
/// is twice as fast as the kernel's own sizing (Xeon, 2 MiB: 26 against 13 GB/s on two cores).
const ROOMY_CACHE_BYTES: usize = 2 * 1024 * 1024;

/// Elsewhere nothing is kept close anyhow, and what counts is how seldom two ends that share a
/// core take turns (EPYC, 1 MiB: 1.15 times as fast as with the least).
const SELDOM_TURNS_BYTES: usize = 1024 * 1024;

/// A stream this fast, 4 Gb/s, drains all of that within 4 ms.
const FAST_BYTES_PER_US: u64 = 500;

/// What a copying stream that has shown to be fast may have under way on this machine.
pub fn fast_bytes() -> usize {
    static BYTES: LazyLock<usize> = LazyLock::new(|| match own_cache_bytes() {
        Ok(cache) if cache < ROOMY_CACHE_BYTES => SELDOM_TURNS_BYTES,
        Ok(_) => LEAST_BYTES,
        Err(error) => {
            tracing::debug!(%error, "the cores' own caches are taken for roomy");
            LEAST_BYTES
        }
    });
    *BYTES
}

/// The room of one stream.
#[derive(Debug)]
pub struct Room {
    /// It may still grow.
    may_grow: bool,
    /// When it was looked at last, and what had been sent by then.
    looked: (u64, u64),
}

impl Room {
    /// Sizes a stream's send buffer by the round trip of its handshake, microseconds. By
    /// reference nothing is copied that a cache should hold: there the kernel's own sizing stays.
    pub fn fit(socket: &Socket, rtt_us: u32, layout: BufferLayout, now_us: u64) -> Self {
        let bytes = (rtt_us as usize * UNDER_WAY_BYTES_PER_US).max(LEAST_BYTES);
        if let Err(error) = size(socket, bytes, layout) {
            tracing::debug!(%error, "the send buffer stays as the kernel sizes it");
        }
        let may_grow = !layout.is_by_reference() && bytes < fast_bytes();
        Self { may_grow, looked: (now_us, 0) }
    }

    /// Looked at every few milliseconds: once a stream has shown to be fast, it gets the room of
    /// a fast one.
    pub fn look(&mut self, socket: &Socket, sent: u64, now_us: u64) {
        if self.may_grow && self.is_fast(sent, now_us) {
            self.may_grow = false;
            if let Err(error) = raise_send_buffer(socket, fast_bytes()) {
                tracing::debug!(%error, "the send buffer stays as it is");
            }
        }
    }

    fn is_fast(&mut self, sent: u64, now_us: u64) -> bool {
        let (then_us, before) = std::mem::replace(&mut self.looked, (now_us, sent));
        now_us > then_us && sent.saturating_sub(before) / (now_us - then_us) >= FAST_BYTES_PER_US
    }
}

fn size(socket: &Socket, bytes: usize, layout: BufferLayout) -> io::Result<()> {
    if layout.is_by_reference() {
        // No bound at all: half a pipe would wait for a threshold to be passed.
        return socket.set_tcp_notsent_lowat(u32::MAX);
    }
    if bytes > MOST_BYTES {
        return Ok(());
    }
    // Bounded as a whole, the buffer needs no second bound within.
    socket.set_tcp_notsent_lowat(u32::MAX)?;
    socket.set_send_buffer_size(bytes)
}

#[cfg(test)]
mod tests {
    use socket2::{Domain, Type};

    use super::*;

    fn socket() -> Socket {
        Socket::new(Domain::IPV4, Type::STREAM, None).unwrap()
    }

    /// A room that may grow, whatever machine this is.
    fn room(socket: &Socket) -> Room {
        Room { may_grow: true, ..Room::fit(socket, 20, BufferLayout::Write, 1_000) }
    }

    #[test]
    fn a_short_way_gets_the_least_and_a_long_one_what_it_needs() {
        let socket = socket();
        let _ = Room::fit(&socket, 20, BufferLayout::Write, 0);
        assert_eq!(socket.send_buffer_size().unwrap(), 2 * LEAST_BYTES);
        let kernels_own = super::tests::socket().send_buffer_size().unwrap();
        for (rtt_us, layout) in [(10_000, BufferLayout::Write), (20, BufferLayout::Vmsplice)] {
            let socket = super::tests::socket();
            assert!(!Room::fit(&socket, rtt_us, layout, 0).may_grow);
            assert_eq!(socket.send_buffer_size().unwrap(), kernels_own, "{rtt_us} us, {layout:?}");
        }
    }

    #[test]
    fn only_what_is_fast_grows_and_once() {
        let socket = socket();
        let mut room = room(&socket);
        let before = socket.send_buffer_size().unwrap();
        // 60 Mb/s, a burst into the empty buffer included; then 3.2 Gb/s.
        room.look(&socket, 300_000, 6_000);
        room.look(&socket, 2_300_000, 11_000);
        assert!(room.may_grow);
        assert_eq!(socket.send_buffer_size().unwrap(), before);
        room.look(&socket, 2_300_000 + 2_500_000, 16_000);
        assert!(!room.may_grow, "4 Gb/s");
        assert!(socket.send_buffer_size().unwrap() >= before);
    }

    #[test]
    fn a_look_at_the_same_moment_tells_nothing() {
        let socket = socket();
        let mut room = room(&socket);
        room.look(&socket, 100_000_000, 1_000);
        assert!(room.may_grow);
    }
}
