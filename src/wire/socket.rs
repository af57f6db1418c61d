//! The UDP socket under the line: sends what is long in pieces, and puts them together again.
//!
//! Both ends of the line use it, and nothing else does: QUIC as a transport of load has sockets of
//! its own, whose frames are as large as they are.

use std::{
    collections::VecDeque,
    io::{self, IoSliceMut},
    net::SocketAddr,
    pin::Pin,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU32, Ordering},
    },
    task::{Context, Poll, ready},
};

use quinn::{
    AsyncUdpSocket, EndpointConfig, Runtime, TokioRuntime, UdpPoller,
    udp::{RecvMeta, Transmit},
};
use ring::rand::{SecureRandom, SystemRandom};

use super::pieces::{self, Joiner};

/// An endpoint whose datagrams are short; with a configuration it also takes calls. Must be made
/// within a tokio runtime.
pub fn endpoint(addr: SocketAddr, server: Option<quinn::ServerConfig>) -> io::Result<quinn::Endpoint> {
    let inner = TokioRuntime.wrap_udp_socket(std::net::UdpSocket::bind(addr)?)?;
    let mut number = [0; 4];
    SystemRandom::new().fill(&mut number).map_err(|_unspecified| io::Error::other("no random bytes"))?;
    let next = AtomicU32::new(u32::from_be_bytes(number));
    let socket = Arc::new(Socket { inner, next, inbox: Mutex::default() });
    let mut config = EndpointConfig::default();
    // The fixed bit tells packets from pieces.
    config.grease_quic_bit(false);
    quinn::Endpoint::new_with_abstract_socket(config, server, socket, Arc::new(TokioRuntime))
}

#[derive(Debug)]
struct Socket {
    inner: Arc<dyn AsyncUdpSocket>,
    /// The number of the next datagram; the first is drawn, so that it cannot be guessed.
    next: AtomicU32,
    inbox: Mutex<Inbox>,
}

/// What came and was not handed out yet; no more than one receive brought.
#[derive(Debug, Default)]
struct Inbox {
    joiner: Joiner,
    whole: VecDeque<(RecvMeta, Vec<u8>)>,
}

impl Inbox {
    fn take(&mut self, meta: RecvMeta, datagram: &[u8]) {
        let whole = if pieces::is_piece(datagram) {
            self.joiner.take(meta.addr, datagram)
        } else {
            Some(datagram.to_vec())
        };
        self.whole.extend(whole.map(|whole| (meta, whole)));
    }

    /// Fills buffers with whole datagrams; how many.
    fn hand_out(&mut self, bufs: &mut [IoSliceMut<'_>], metas: &mut [RecvMeta]) -> usize {
        let mut count = 0;
        for (buf, place) in bufs.iter_mut().zip(metas) {
            let Some((meta, whole)) = self.whole.pop_front() else { break };
            // What is longer than QUIC has room for is none of its packets.
            let length = whole.len().min(buf.len());
            buf[..length].copy_from_slice(&whole[..length]);
            *place = RecvMeta { len: length, stride: length, ..meta };
            count += 1;
        }
        count
    }
}

impl AsyncUdpSocket for Socket {
    fn create_io_poller(self: Arc<Self>) -> Pin<Box<dyn UdpPoller>> {
        Arc::clone(&self.inner).create_io_poller()
    }

    fn try_send(&self, transmit: &Transmit<'_>) -> io::Result<()> {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let pieces = pieces::split(transmit.contents, number);
        if pieces.is_empty() {
            return self.inner.try_send(transmit);
        }
        for (which, piece) in pieces.iter().enumerate() {
            let piece = Transmit { contents: piece, segment_size: None, ..transmit.clone() };
            match self.inner.try_send(&piece) {
                // The rest is lost, and with it the datagram: QUIC sends it again.
                Err(error) if which > 0 && error.kind() == io::ErrorKind::WouldBlock => break,
                sent => sent?,
            }
        }
        Ok(())
    }

    fn poll_recv(
        &self,
        cx: &mut Context<'_>,
        bufs: &mut [IoSliceMut<'_>],
        metas: &mut [RecvMeta],
    ) -> Poll<io::Result<usize>> {
        let mut inbox = self.inbox.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            let count = inbox.hand_out(bufs, metas);
            if count > 0 {
                return Poll::Ready(Ok(count));
            }
            let count = ready!(self.inner.poll_recv(cx, bufs, metas))?;
            for (buf, meta) in bufs.iter().zip(metas.iter()).take(count) {
                // The kernel may hand out several of one length as one.
                for datagram in buf[..meta.len].chunks(meta.stride.max(1)) {
                    inbox.take(*meta, datagram);
                }
            }
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.inner.local_addr()
    }

    fn max_receive_segments(&self) -> usize {
        self.inner.max_receive_segments()
    }

    fn may_fragment(&self) -> bool {
        self.inner.may_fragment()
    }
}
