//! The two ends of a flow, whatever carries it: what a carrier calls, passed on.

use super::{around::Around, connects, datagram, sink, source};
use crate::model::fleet::units::RunTime;

/// The sending end of a flow on one thread.
#[derive(Debug)]
pub enum Source {
    /// TCP connections.
    Streams(Box<source::Source>),
    /// Numbered datagrams.
    Datagrams(Box<datagram::source::Source>),
    /// Ever new connections.
    Connects(Box<connects::Source>),
}

/// The receiving end of a flow on one thread.
#[derive(Debug)]
pub enum Sink {
    /// TCP connections.
    Streams(Box<sink::Sink>),
    /// Numbered datagrams.
    Datagrams(Box<datagram::sink::Sink>),
}

impl Source {
    /// When it is over, on the run's clock.
    pub const fn end_at(&self) -> RunTime {
        match self {
            Self::Streams(source) => source.end,
            Self::Datagrams(source) => source.end,
            Self::Connects(source) => source.end,
        }
    }

    /// Something is ready on one of its sockets.
    pub fn ready(&mut self, place: u16, readable: bool, writable: bool, around: &mut Around<'_>) {
        match self {
            Self::Streams(source) => source.ready(place, readable, writable, around),
            Self::Datagrams(source) => source.ready(place, readable, writable, around),
            Self::Connects(source) => source.ready(place, readable, writable, around),
        }
    }

    /// The turn of one of its streams. Returns the bytes sent.
    pub fn turn(&mut self, place: u16, around: &mut Around<'_>) -> usize {
        match self {
            Self::Streams(source) => source.turn(place, around),
            Self::Datagrams(source) => source.turn(place, around),
            Self::Connects(_) => 0,
        }
    }

    /// Deadlines.
    pub fn tick(&mut self, around: &mut Around<'_>) {
        match self {
            Self::Streams(source) => source.tick(around),
            Self::Datagrams(source) => source.tick(around),
            Self::Connects(source) => source.tick(around),
        }
    }

    /// Sends what its rate allows.
    pub fn pump(&mut self, around: &mut Around<'_>) {
        match self {
            Self::Streams(source) => source.pump(around),
            Self::Datagrams(source) => source.pump(around),
            Self::Connects(source) => source.pump(around),
        }
    }

    /// When it next wants the carrier's attention, own clock, microseconds.
    pub fn wake_us(&self, may_send: bool, ticks_us: u64) -> u64 {
        match self {
            Self::Streams(source) => source.wake_us(may_send, ticks_us),
            Self::Datagrams(source) => source.wake_us(may_send, ticks_us),
            Self::Connects(source) => source.wake_us(may_send),
        }
    }

    /// Adds what its sockets tell to the flow's meter.
    pub fn ask(&mut self) {
        match self {
            Self::Streams(source) => source.ask_tcp(),
            Self::Datagrams(source) => source.ask(),
            Self::Connects(source) => source.ask(),
        }
    }

    /// Probes sent and answered since the last call.
    pub fn take_asked(&mut self) -> (u32, u32) {
        match self {
            Self::Streams(source) => std::mem::take(&mut source.asked),
            Self::Datagrams(source) => std::mem::take(&mut source.asked),
            Self::Connects(_) => (0, 0),
        }
    }

    /// The far end lives: all streams that wait connect.
    pub fn connect_all(&mut self, around: &mut Around<'_>) {
        if let Self::Streams(source) = self {
            source.connect_all(around);
        }
    }

    /// Something is ready on the socket of its probes.
    pub fn hear_answers(&mut self, around: &mut Around<'_>) {
        if let Self::Streams(source) = self {
            source.hear_answers(around);
        }
    }

    /// Ends it.
    pub fn end(self, around: &Around<'_>) {
        match self {
            Self::Streams(source) => source.end(around),
            Self::Datagrams(source) => source.end(around),
            Self::Connects(source) => source.end(around),
        }
    }
}

impl Sink {
    /// When it is over, on the run's clock.
    pub const fn end_at(&self) -> RunTime {
        match self {
            Self::Streams(sink) => sink.end,
            Self::Datagrams(sink) => sink.end,
        }
    }

    /// There is something to read.
    pub fn ready(&mut self, place: u16, around: &mut Around<'_>) {
        match self {
            Self::Streams(sink) => sink.ready(place, around),
            Self::Datagrams(sink) => sink.ready(place, around),
        }
    }

    /// The turn of one of its streams. Returns the bytes received.
    pub fn turn(&mut self, place: u16, scratch: &mut [u8], around: &mut Around<'_>) -> usize {
        match self {
            Self::Streams(sink) => sink.turn(place, scratch, around),
            Self::Datagrams(sink) => sink.turn(place, around),
        }
    }

    /// Consents and reports that are due.
    pub fn consent(&mut self, around: &Around<'_>) {
        match self {
            Self::Streams(sink) => sink.consent(around.now_us),
            Self::Datagrams(sink) => sink.consent(around),
        }
    }

    /// Adds what its sockets tell to the flow's meter.
    pub fn ask(&mut self) {
        if let Self::Datagrams(sink) = self {
            sink.ask();
        }
    }

    /// Ends it.
    pub fn end(self) {
        if let Self::Datagrams(sink) = self {
            sink.end();
        }
    }
}
