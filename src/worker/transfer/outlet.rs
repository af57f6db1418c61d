//! How a stream's bytes are handed to the kernel: one call for each buffer layout.
//!
//! What is sent at each position of a stream is `payload`'s; when it may be sent, `source`'s.

use std::{
    io::{self, IoSlice},
    os::fd::{AsFd, OwnedFd},
    sync::Arc,
};

use rustix::pipe::{IoSliceRaw, PipeFlags, SpliceFlags, fcntl_setpipe_size, pipe_with, splice, vmsplice};
use socket2::{MsgHdr, Socket};

use super::payload::{Lot, Payload};
use crate::{
    model::plan::carriage::{BufferLayout, Carriage},
    sys::socket::{Completions, set_zerocopy, zerocopy_completions},
};

/// One call hands over this much at most: below, calls cost more than copies (4.6 GB/s in
/// pieces of 128 KiB against 7.3 in those of 1 MiB, as measured).
const WRITE_BYTES: usize = 1024 * 1024;

/// A record as ssh and TLS write them.
const RECORD_BYTES: usize = 32 * 1024;

/// Pieces of one call at most.
const PIECES_MAX: usize = 256;

/// A pipe as large as a user without rights may have.
const PIPE_BYTES: usize = 1024 * 1024;

/// What is copied is taken from so much of the payload, over and over: little enough to stay in
/// a core's own cache beside what is under way. By reference a whole page is sent.
const COPIED_SPAN_BYTES: usize = 128 * 1024;

/// Neither waits nor raises a signal.
const FLAGS: libc::c_int = libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL;

/// The sending end of one stream.
#[derive(Debug)]
pub struct Outlet {
    payload: Arc<Payload>,
    layout: BufferLayout,
    /// Which of the worker's threads sends: each has a page of its own.
    home: usize,
    /// Blocks at drawn places, where the receiver compares; else the buffer from end to end.
    lot: Option<Lot>,
    position: u64,
    pipe: Option<Pipe>,
    /// Calls by reference, those the kernel is done with, and those it copied after all.
    zerocopy: Option<Completions>,
}

#[derive(Debug)]
struct Pipe {
    out: OwnedFd,
    into: OwnedFd,
    held: usize,
}

impl Outlet {
    /// From the stream's first byte on.
    pub fn new(payload: Arc<Payload>, carriage: &Carriage, lot: Lot, home: usize) -> Self {
        let drawn = carriage.receive.verifies() || carriage.layout == BufferLayout::Iovec;
        Self {
            payload,
            layout: carriage.layout,
            home,
            lot: drawn.then_some(lot),
            position: 0,
            pipe: None,
            zerocopy: None,
        }
    }

    /// Makes a socket ready for this layout.
    ///
    /// # Errors
    ///
    /// If the kernel refuses what the layout needs.
    pub fn prepare(&mut self, socket: &Socket) -> io::Result<()> {
        match self.layout {
            BufferLayout::Vmsplice | BufferLayout::Iovec => {
                let (out, into) = pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK)?;
                // A smaller pipe only means more calls.
                let _ = fcntl_setpipe_size(&into, PIPE_BYTES);
                self.pipe = Some(Pipe { out, into, held: 0 });
            }
            BufferLayout::Zerocopy => {
                set_zerocopy(socket)?;
                self.zerocopy = Some(Completions::default());
            }
            BufferLayout::Sendfile => {
                self.payload.file()?;
            }
            BufferLayout::Write | BufferLayout::Record32k => {}
        }
        Ok(())
    }

    /// Hands over at most `most` bytes in one go, and says whether the socket took all of
    /// what it was offered. A full socket is an error of the kind `WouldBlock`.
    ///
    /// # Errors
    ///
    /// What the kernel says.
    pub fn send(&mut self, socket: &Socket, most: usize) -> io::Result<(usize, bool)> {
        let most = most.min(WRITE_BYTES);
        let sent = match self.layout {
            BufferLayout::Write => self.write(socket, most, FLAGS),
            BufferLayout::Record32k => self.records(socket, most),
            BufferLayout::Sendfile => self.sendfile(socket, most),
            BufferLayout::Zerocopy => self.by_reference(socket, most),
            BufferLayout::Vmsplice | BufferLayout::Iovec => return self.through_pipe(socket, most),
        }?;
        self.position += sent as u64;
        Ok((sent, sent == most))
    }

    /// Bytes handed over since the stream's first.
    pub const fn sent(&self) -> u64 {
        self.position
    }

    /// Of calls by reference: how many the kernel finished, and how many of these it copied.
    pub fn copied(&self) -> Option<(u32, u32)> {
        self.zerocopy.as_ref().map(|seen| (seen.done, seen.copied))
    }

    fn write(&self, socket: &Socket, most: usize, flags: libc::c_int) -> io::Result<usize> {
        let Some(lot) = self.lot else {
            let page = self.payload.page_of(self.home);
            if flags & libc::MSG_ZEROCOPY != 0 {
                return socket.send_with_flags(next_of(page, self.position, most), flags);
            }
            let mut pieces = [IoSlice::new(&page[..COPIED_SPAN_BYTES]); WRITE_BYTES / COPIED_SPAN_BYTES];
            let count = most.div_ceil(COPIED_SPAN_BYTES).max(1);
            pieces[count - 1] = IoSlice::new(&page[..most - (count - 1) * COPIED_SPAN_BYTES]);
            return socket.sendmsg(&MsgHdr::new().with_buffers(&pieces[..count]), flags);
        };
        let mut room = [IoSlice::new(&[]); WRITE_BYTES / (64 * 1024) + 1];
        let (count, _) = self.payload.pieces(lot, self.position, most, &mut room);
        socket.sendmsg(&MsgHdr::new().with_buffers(&room[..count]), flags)
    }

    fn records(&mut self, socket: &Socket, most: usize) -> io::Result<usize> {
        let (start, mut sent) = (self.position, 0);
        let outcome = loop {
            if sent >= most {
                break Ok(sent);
            }
            match self.write(socket, RECORD_BYTES.min(most - sent), FLAGS) {
                Ok(bytes) => (sent, self.position) = (sent + bytes, self.position + bytes as u64),
                Err(_) if sent > 0 => break Ok(sent),
                Err(error) => break Err(error),
            }
        };
        self.position = start;
        outcome
    }

    fn sendfile(&self, socket: &Socket, most: usize) -> io::Result<usize> {
        let file = self.payload.file()?;
        let mut sent = 0;
        while sent < most {
            let (offset, length) = match self.lot {
                Some(lot) => Payload::in_file(lot, self.position + sent as u64),
                None => (
                    ((self.position as usize + sent) % (self.payload.bytes().len() - WRITE_BYTES)) as u64
                        & !4095,
                    most,
                ),
            };
            let mut offset = offset;
            match rustix::fs::sendfile(socket, file, Some(&mut offset), length.min(most - sent)) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(bytes) => sent += bytes,
                Err(_) if sent > 0 => break,
                Err(error) => return Err(error.into()),
            }
        }
        Ok(sent)
    }

    fn by_reference(&mut self, socket: &Socket, most: usize) -> io::Result<usize> {
        if let Some(seen) = &mut self.zerocopy {
            zerocopy_completions(socket, seen);
        }
        match self.write(socket, most, FLAGS | libc::MSG_ZEROCOPY) {
            // Too many calls are under way: some of them end soon, and ring.
            Err(error) if error.raw_os_error() == Some(libc::ENOBUFS) => {
                Err(io::ErrorKind::WouldBlock.into())
            }
            other => other,
        }
    }

    /// Fills the pipe when it is empty, and moves what it holds to the socket. The position
    /// is the pipe's; what is counted is what left it.
    fn through_pipe(&mut self, socket: &Socket, most: usize) -> io::Result<(usize, bool)> {
        let Some(pipe) = &mut self.pipe else { return Err(io::ErrorKind::InvalidInput.into()) };
        if pipe.held == 0 {
            let mut room = [IoSlice::new(&[]); PIECES_MAX];
            let count = if let Some(lot) = self.lot {
                self.payload.pieces(lot, self.position, most, &mut room).0
            } else {
                room[0] = IoSlice::new(next_of(self.payload.page_of(self.home), self.position, most));
                1
            };
            let raw: Vec<_> = room[..count].iter().map(|piece| IoSliceRaw::from_slice(piece)).collect();
            // SAFETY: the payload is never written again, so what the pipe refers to stays
            // as it is for as long as anybody may read it.
            pipe.held = unsafe { vmsplice(&pipe.into, &raw, SpliceFlags::NONBLOCK) }?;
            self.position += pipe.held as u64;
        }
        // Without MORE: whether more follows is known only once the socket has taken this.
        let flags = SpliceFlags::NONBLOCK | SpliceFlags::MOVE;
        let moved = splice(&pipe.out, None, socket.as_fd(), None, pipe.held, flags)?;
        pipe.held -= moved;
        Ok((moved, pipe.held == 0))
    }
}

/// What comes next where nobody compares it: `bytes` from end to end, by pages.
fn next_of(bytes: &[u8], position: u64, most: usize) -> &[u8] {
    let from = (position as usize % (bytes.len() - most + 1)) & !4095;
    &bytes[from..from + most]
}
