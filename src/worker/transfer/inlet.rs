//! How a stream's bytes are taken from the kernel: counted, read, or read and compared.

use std::{io, sync::Arc, time::Instant};

use rustix::net::RecvFlags;
use socket2::Socket;

use super::payload::{Lot, Payload};
use crate::{
    model::{
        plan::carriage::{Carriage, ReceiveMode},
        record::line::VerifiedFlow,
    },
    sys::socket::receive_over,
};

/// Counted in one call at most; a call which brings less has emptied the receive buffer. With 8 MiB
/// it was no faster. Nothing that is only counted is written to this room.
const DISCARD_BYTES: usize = 2 * 1024 * 1024;

/// Read into so much room, so many times over in one call: little enough to stay in a core's
/// own cache beside what is under way, and often enough for one call to empty a stream.
const READ_BYTES: usize = 128 * 1024;
const READ_TIMES: usize = 16;

/// Read in one call at most where it is compared: what was just copied is still in the cache then.
const COMPARE_BYTES: usize = 256 * 1024;

/// Room that a thread needs for what it receives.
pub const SCRATCH_BYTES: usize = DISCARD_BYTES;

/// Where received bytes first differ from what was sent.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Difference {
    /// Bytes of the stream before it.
    pub position: u64,
    /// Bytes that differ in what was compared at once.
    pub bytes: u64,
    /// What was sent, the first differing byte.
    pub sent: u8,
    /// What arrived.
    pub received: u8,
}

/// What one call brought.
#[derive(Debug, Default)]
pub struct Received {
    /// Bytes; 0 at the stream's end.
    pub bytes: usize,
    /// It was as much as was asked for, so that there may be more.
    pub more: bool,
    /// What was compared of them.
    pub verified: VerifiedFlow,
    /// Where they differ.
    pub differs: Option<Difference>,
}

/// The receiving end of one stream.
#[derive(Debug)]
pub struct Inlet {
    payload: Arc<Payload>,
    lot: Lot,
    mode: ReceiveMode,
    position: u64,
}

impl Inlet {
    /// From the stream's first byte on.
    pub fn new(payload: Arc<Payload>, carriage: &Carriage, lot: Lot) -> Self {
        Self { payload, lot, mode: carriage.receive, position: 0 }
    }

    /// Takes what there is, one call's worth.
    ///
    /// # Errors
    ///
    /// What the kernel says; `WouldBlock` where there is nothing.
    pub fn receive(&mut self, socket: &Socket, scratch: &mut [u8]) -> io::Result<Received> {
        let received = match self.mode {
            ReceiveMode::Discard => discard(socket, &mut scratch[..DISCARD_BYTES])?,
            ReceiveMode::Read => read_over(socket, &mut scratch[..READ_BYTES])?,
            ReceiveMode::Verify { one_in } => self.verify(socket, scratch, one_in)?,
        };
        self.position += received.bytes as u64;
        Ok(received)
    }

    /// Takes bytes that a library has read: the next ones of the stream.
    pub fn take(&mut self, bytes: &[u8]) -> Received {
        let mut received = Received { bytes: bytes.len(), ..Received::default() };
        let ReceiveMode::Verify { one_in } = self.mode else {
            self.position += bytes.len() as u64;
            return received;
        };
        let mut rest = bytes;
        while !rest.is_empty() {
            let block = self.lot.block(self.position);
            let left = (block + 1) * self.lot.block_bytes() as u64 - self.position;
            let (piece, behind) = rest.split_at(rest.len().min(left as usize));
            if self.lot.is_sampled(block, one_in) {
                let began = Instant::now();
                let differs = self.compare(piece);
                received.verified.add(&VerifiedFlow {
                    bytes: piece.len() as u64,
                    differing_bytes: differs.map_or(0, |differs| differs.bytes),
                    compare_ns: began.elapsed().as_nanos() as u64,
                });
                received.differs = received.differs.or(differs);
            }
            self.position += piece.len() as u64;
            rest = behind;
        }
        received
    }

    fn verify(&self, socket: &Socket, scratch: &mut [u8], one_in: u16) -> io::Result<Received> {
        let sampled = |block| self.lot.is_sampled(block, one_in);
        let block = self.lot.block(self.position);
        let compares = sampled(block);
        let same = (block..).take_while(|next| sampled(*next) == compares);
        let most = if compares { COMPARE_BYTES } else { DISCARD_BYTES };
        let blocks = same.take(most / self.lot.block_bytes() + 1).count() as u64;
        let length = (((block + blocks) * self.lot.block_bytes() as u64 - self.position) as usize).min(most);
        if !compares {
            return discard(socket, &mut scratch[..length]);
        }
        let mut received = read(socket, &mut scratch[..length])?;
        let began = Instant::now();
        received.differs = self.compare(&scratch[..received.bytes]);
        received.verified = VerifiedFlow {
            bytes: received.bytes as u64,
            differing_bytes: received.differs.map_or(0, |differs| differs.bytes),
            compare_ns: began.elapsed().as_nanos() as u64,
        };
        Ok(received)
    }

    /// Compares bytes that begin at the present position.
    fn compare(&self, bytes: &[u8]) -> Option<Difference> {
        let mut found: Option<Difference> = None;
        let mut at = 0;
        while at < bytes.len() {
            let position = self.position + at as u64;
            let known = self.payload.at(self.lot, position);
            let length = known.len().min(bytes.len() - at);
            let (sent, received) = (&known[..length], &bytes[at..at + length]);
            if sent != received {
                let differing: Vec<usize> = (0..length).filter(|i| sent[*i] != received[*i]).collect();
                let first = differing[0];
                let difference = found.get_or_insert(Difference {
                    position: position + first as u64,
                    bytes: 0,
                    sent: sent[first],
                    received: received[first],
                });
                difference.bytes += differing.len() as u64;
            }
            at += length;
        }
        found
    }
}

fn discard(socket: &Socket, room: &mut [u8]) -> io::Result<Received> {
    one_call(socket, room, RecvFlags::TRUNC)
}

fn read(socket: &Socket, room: &mut [u8]) -> io::Result<Received> {
    one_call(socket, room, RecvFlags::empty())
}

fn one_call(socket: &Socket, room: &mut [u8], how: RecvFlags) -> io::Result<Received> {
    let asked = room.len();
    let (_, bytes) = rustix::net::recv(socket, room, how | RecvFlags::DONTWAIT)?;
    Ok(Received { bytes, more: bytes == asked, ..Received::default() })
}

/// For bytes that nobody looks at: as many as there are, over and over in the same room.
fn read_over(socket: &Socket, room: &mut [u8]) -> io::Result<Received> {
    let bytes = receive_over(socket, room, READ_TIMES, RecvFlags::DONTWAIT)?;
    Ok(Received { bytes, more: bytes == room.len() * READ_TIMES, ..Received::default() })
}
