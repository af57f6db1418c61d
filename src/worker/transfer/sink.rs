//! The receiving end of a flow: counts what arrives, and renews its consent.
//!
//! Nothing is counted of a stream that has not proven the flow's key; that check is the
//! carrier's, before a stream gets here.

use std::{
    io::{self, Write as _},
    mem::MaybeUninit,
};

use socket2::Socket;

use super::{Flow, Shared, key::Hello, poller::Poller, slots::Slots, socket};
use crate::model::{
    fleet::units::RunTime,
    record::line::{Body, StreamEvent, StreamSeen},
};

/// Consent is renewed this often: six times within the 3 s that it holds.
const CONSENT_EVERY_US: u64 = 500_000;

/// Read in one go of one stream, so that many streams share a thread fairly.
const TURN_BYTES: usize = 1024 * 1024;

/// Towards a flow's end its streams may close at any moment.
const END_US: u64 = 150_000;

#[derive(Debug)]
struct Stream {
    socket: Socket,
    token: u64,
    hello: Hello,
    counter: u64,
    next_consent_us: u64,
    readable: bool,
}

/// The receiving end of one flow.
#[derive(Debug)]
pub struct Sink {
    /// What is planned.
    pub flow: Flow,
    /// When it is over, on the run's clock.
    pub end: RunTime,
    streams: Vec<Stream>,
}

impl Sink {
    /// Awaits streams of this flow.
    pub fn new(flow: Flow, end: RunTime) -> Self {
        Self { flow, end, streams: Vec::new() }
    }

    /// A stream that has proven the key. A stream of the same place is replaced: its source
    /// has given it up.
    pub fn accept(
        &mut self,
        socket: Socket,
        hello: Hello,
        poller: &mut Poller,
        now_us: u64,
    ) -> io::Result<()> {
        self.streams.retain(|stream| stream.hello.stream != hello.stream);
        let token = poller.watch(&socket)?;
        self.streams.push(Stream {
            socket,
            token,
            hello,
            counter: 0,
            next_consent_us: now_us,
            readable: true,
        });
        Ok(())
    }

    /// Whether a token is one of this flow's.
    pub fn owns(&self, token: u64) -> bool {
        self.streams.iter().any(|stream| stream.token == token)
    }

    /// There is something to read.
    pub fn ready(&mut self, token: u64) {
        if let Some(stream) = self.streams.iter_mut().find(|stream| stream.token == token) {
            stream.readable = true;
        }
    }

    /// Reads what there is, a turn for each stream. `true` when there is more to read at once.
    pub fn drain(&mut self, scratch: &mut [MaybeUninit<u8>], slots: &mut Slots, shared: &Shared) -> bool {
        let mut more = false;
        let flow = self.flow.id;
        let run_now = shared.run_now();
        let near_end = run_now.0 + END_US >= self.end.0;
        self.streams.retain_mut(|stream| {
            if !stream.readable {
                return true;
            }
            let length = scratch.len().min(TURN_BYTES);
            match stream.socket.recv_with_flags(&mut scratch[..length], libc::MSG_TRUNC | libc::MSG_DONTWAIT)
            {
                Ok(0) => lost(flow, stream, StreamEvent::Reset, near_end, shared, run_now),
                Ok(bytes) => {
                    slots.count(flow, bytes as u64);
                    more = true;
                    true
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    stream.readable = false;
                    true
                }
                Err(error) => lost(flow, stream, socket::meaning(&error), near_end, shared, run_now),
            }
        });
        more
    }

    /// Renews the consent of every stream whose last one is half a second old.
    pub fn consent(&mut self, now_us: u64) {
        for stream in &mut self.streams {
            if now_us < stream.next_consent_us {
                continue;
            }
            stream.next_consent_us = now_us + CONSENT_EVERY_US;
            let consent = self.flow.key.consent(&stream.hello.nonce, stream.counter);
            stream.counter += 1;
            let mut writer: &Socket = &stream.socket;
            // Where even 24 bytes do not fit, the way back is dead, and silence is right.
            let _ = writer.write(&consent);
        }
    }
}

/// A stream ended before its time; always `false`, to drop it.
fn lost(flow: u32, stream: &Stream, what: StreamEvent, near_end: bool, shared: &Shared, at: RunTime) -> bool {
    if !near_end {
        shared.tell(Body::Stream(StreamSeen { flow, stream: stream.hello.stream, what, at }));
    }
    false
}
