//! The receiving end of a flow on one thread: counts what arrives, and renews its consent.
//!
//! Nothing is counted of a stream that has not proven the flow's key; that check is the
//! carrier's, before a stream gets here.

use std::{
    collections::BTreeMap,
    io::{self, Write as _},
    sync::atomic::Ordering,
};

use socket2::Socket;

use super::{
    around::{Around, Turn},
    inlet::Inlet,
    key::{HELLO_BYTES, Hello},
    payload::Lot,
    poller::Token,
    socket,
    stage::Flow,
    told::Differences,
};
use crate::model::{
    fleet::units::RunTime,
    plan::carriage::Carriage,
    record::line::{Body, StreamEvent, StreamSeen},
    run::message::Role,
};

/// Consent is renewed this often: six times within the 3 s that it holds.
const CONSENT_EVERY_US: u64 = 500_000;

/// Towards a flow's end its streams may close at any moment.
pub const END_US: u64 = 150_000;

#[derive(Debug)]
struct Stream {
    socket: Socket,
    hello: Hello,
    inlet: Inlet,
    counter: u64,
    queued: bool,
}

/// The streams of a flow that one thread receives.
#[derive(Debug)]
pub struct Sink {
    /// What is planned.
    pub flow: Flow,
    /// When it is over, on the run's clock.
    pub end: RunTime,
    carriage: Carriage,
    streams: BTreeMap<u16, Stream>,
    next_consent_us: u64,
    differences: Differences,
}

impl Sink {
    /// Awaits streams of this flow.
    pub fn new(flow: Flow, carriage: &Carriage, end: RunTime) -> Self {
        Self {
            flow,
            end,
            carriage: carriage.clone(),
            streams: BTreeMap::new(),
            next_consent_us: u64::MAX,
            differences: Differences::default(),
        }
    }

    /// A stream that has proven the key. A stream of the same place is replaced: its source
    /// has given it up.
    ///
    /// # Errors
    ///
    /// If the kernel does not let it be watched.
    pub fn accept(&mut self, socket: Socket, hello: Hello, around: &mut Around<'_>) -> io::Result<()> {
        let (flow, place) = (self.flow.id, hello.stream);
        if self.carriage.connections_per_s.is_some() {
            return self.consent_once(&socket, &hello);
        }
        if place >= self.carriage.streams {
            return Err(io::Error::other(format!(
                "stream {place} of {} was never planned",
                self.carriage.streams
            )));
        }
        around.poller.watch(&socket, Token::Sink { flow, place })?;
        let lot = Lot::new(&self.flow.key, place, self.carriage.layout);
        let inlet = Inlet::new(around.payload.clone(), &self.carriage, lot);
        self.streams.insert(place, Stream { socket, hello, inlet, counter: 0, queued: false });
        self.next_consent_us = around.now_us;
        self.ready(place, around);
        Ok(())
    }

    /// A new connection is consented to and let go: it counts for its hello's bytes.
    fn consent_once(&self, socket: &Socket, hello: &Hello) -> io::Result<()> {
        self.flow.meter.received.fetch_add(HELLO_BYTES as u64, Ordering::Relaxed);
        // Closing must not discard the answer; the source closes first, by a reset.
        socket.set_linger(None)?;
        socket.send(&self.flow.key.consent(&hello.nonce, 0))?;
        Ok(())
    }

    /// There is something to read.
    pub fn ready(&mut self, place: u16, around: &mut Around<'_>) {
        if let Some(stream) = self.streams.get_mut(&place)
            && !std::mem::replace(&mut stream.queued, true)
        {
            around.turns.push_back(Turn { role: Role::Sink, flow: self.flow.id, place });
        }
    }

    /// The turn of a stream: one call. Returns the bytes received.
    pub fn turn(&mut self, place: u16, scratch: &mut [u8], around: &mut Around<'_>) -> usize {
        let Some(stream) = self.streams.get_mut(&place) else { return 0 };
        stream.queued = false;
        match stream.inlet.receive(&stream.socket, scratch) {
            Ok(received) if received.bytes > 0 => {
                self.flow.meter.received.fetch_add(received.bytes as u64, Ordering::Relaxed);
                self.flow.meter.add_verified(&received.verified);
                if let Some(found) = received.differs {
                    self.differences.tell(found, self.flow.id, place, around.shared);
                }
                if received.more {
                    self.ready(place, around);
                }
                received.bytes
            }
            Ok(_) => self.lose(place, StreamEvent::Reset, around),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => 0,
            Err(error) => self.lose(place, socket::meaning(&error), around),
        }
    }

    /// A stream ended, perhaps before its time.
    fn lose(&mut self, place: u16, what: StreamEvent, around: &Around<'_>) -> usize {
        self.streams.remove(&place);
        let at = around.shared.run_now();
        if at.0 + END_US < self.end.0 {
            around.shared.tell(Body::Stream(StreamSeen { flow: self.flow.id, stream: place, what, at }));
        }
        0
    }

    /// Renews the consent of every stream whose last one is half a second old.
    pub fn consent(&mut self, now_us: u64) {
        if now_us < self.next_consent_us {
            return;
        }
        self.next_consent_us = now_us + CONSENT_EVERY_US;
        for stream in self.streams.values_mut() {
            let consent = self.flow.key.consent(&stream.hello.nonce, stream.counter);
            stream.counter += 1;
            let mut writer: &Socket = &stream.socket;
            // Where even 24 bytes do not fit, the way back is dead, and silence is right.
            let _ = writer.write(&consent);
        }
    }
}
