//! The sending end of a flow that makes ever new connections: handshake, keyed hello,
//! consent, and gone. What fails only for new flows is found by nothing else.

use std::{
    io::{self, Read as _},
    sync::atomic::Ordering,
};

use hdrhistogram::Histogram;
use socket2::Socket;

use super::{
    around::Around,
    bucket::Bucket,
    key::{CONSENT_BYTES, HELLO_BYTES, Hello, Purpose, nonce},
    poller::Token,
    socket,
    stage::Flow,
};
use crate::model::{
    fleet::units::RunTime,
    plan::carriage::Carriage,
    record::line::{ConnectsFlow, StreamEvent},
};

/// An attempt is given up after this: the kernel has then tried twice, at 0 and at 1 s.
const ATTEMPT_US: u64 = 2_500_000;

/// Attempts under way at once; more are not begun, and told as held back.
const UNDER_WAY_MAX: usize = 1024;

/// Refills of the bucket are spent this often.
const QUANTUM_US: u64 = 2_000;

/// The longest attempt that is told apart, microseconds.
const LONGEST_US: u64 = 10_000_000;

#[derive(Debug)]
struct Attempt {
    socket: Socket,
    nonce: [u8; 16],
    since_us: u64,
    greeted: bool,
}

/// The connections of a flow that one thread makes.
#[derive(Debug)]
pub struct Source {
    flow: Flow,
    congestion_control: Option<String>,
    /// When it is over, on the run's clock.
    pub end: RunTime,
    bucket: Bucket,
    attempts: Vec<Option<Attempt>>,
    counts: ConnectsFlow,
    took_us: Histogram<u64>,
}

impl Source {
    /// Begins a flow.
    pub fn begin(
        flow: Flow,
        carriage: &Carriage,
        per_s: u16,
        end: RunTime,
        around: &Around<'_>,
    ) -> Option<Self> {
        flow.meter.part_begins();
        Some(Self {
            flow,
            congestion_control: carriage.congestion_control.clone(),
            end,
            // The bucket counts connections as bytes.
            bucket: Bucket::of_units(u64::from(per_s) * 8, around.now_us, 1, QUANTUM_US),
            attempts: Vec::new(),
            counts: ConnectsFlow::default(),
            took_us: Histogram::new_with_bounds(1, LONGEST_US, 2).ok()?,
        })
    }

    /// Begins the connections that are due.
    pub fn pump(&mut self, around: &mut Around<'_>) {
        while around.shared.may_send(around.now_us) && self.bucket.allowed(around.now_us) > 0 {
            self.bucket.take(1);
            let free = self.attempts.iter().position(Option::is_none);
            if free.is_none() && self.attempts.len() >= UNDER_WAY_MAX {
                self.counts.held += 1;
                continue;
            }
            let place = free.unwrap_or_else(|| {
                self.attempts.push(None);
                self.attempts.len() - 1
            });
            self.counts.tried += 1;
            match self.connect(place as u16, around) {
                Ok(attempt) => self.attempts[place] = Some(attempt),
                Err(error) => self.count(socket::meaning(&error)),
            }
        }
    }

    fn connect(&self, place: u16, around: &mut Around<'_>) -> io::Result<Attempt> {
        let congestion_control = self.congestion_control.as_deref();
        let options = socket::Dress { congestion_control, ..socket::Dress::default() };
        let socket = socket::connect(&around.shared.binding, self.flow.peer, &options)?;
        around.poller.watch(&socket, Token::Source { flow: self.flow.id, place })?;
        Ok(Attempt { socket, nonce: nonce(), since_us: around.now_us, greeted: false })
    }

    /// Something is ready on one of its sockets.
    pub fn ready(&mut self, place: u16, readable: bool, writable: bool, around: &mut Around<'_>) {
        let Some(attempt) = self.attempts.get_mut(usize::from(place)).and_then(Option::as_mut) else {
            return;
        };
        let outcome = if writable && !attempt.greeted {
            attempt.greeted = true;
            greet(attempt, &self.flow, place).map(|()| false)
        } else if readable && attempt.greeted {
            hear(attempt, &self.flow)
        } else {
            Ok(false)
        };
        match outcome {
            Ok(false) => return,
            Ok(true) => {
                self.counts.done += 1;
                self.took_us.saturating_record(around.now_us.saturating_sub(attempt.since_us).max(1));
                self.flow.meter.sent.fetch_add(HELLO_BYTES as u64, Ordering::Relaxed);
                around.shared.note_sent(around.now_us, HELLO_BYTES as u64);
            }
            Err(error) => self.count(socket::meaning(&error)),
        }
        self.attempts[usize::from(place)] = None;
    }

    fn count(&mut self, event: StreamEvent) {
        match event {
            StreamEvent::Refused | StreamEvent::Reset => self.counts.refused += 1,
            StreamEvent::TimedOut | StreamEvent::Silent => self.counts.timed_out += 1,
            _ => self.counts.unreachable += 1,
        }
    }

    /// Gives up what has taken too long.
    pub fn tick(&mut self, around: &Around<'_>) {
        for place in 0..self.attempts.len() {
            let over = |attempt: &Attempt| around.now_us > attempt.since_us + ATTEMPT_US;
            if self.attempts[place].as_ref().is_some_and(over) {
                self.attempts[place] = None;
                self.count(StreamEvent::TimedOut);
            }
        }
    }

    /// When this flow next wants the carrier's attention, own clock, microseconds.
    pub fn wake_us(&self, may_send: bool) -> u64 {
        if may_send { self.bucket.ready_at_us() } else { u64::MAX }
    }

    /// Adds what became of its connections since the last time to the flow's meter.
    pub fn ask(&mut self) {
        let mut counts = std::mem::take(&mut self.counts);
        if !self.took_us.is_empty() {
            counts.took_us = Some([0.5, 0.99, 1.0].map(|quantile| self.took_us.value_at_quantile(quantile)));
            self.took_us.reset();
        }
        // One thread alone makes them.
        self.flow.meter.connects.add(|all| *all = counts);
    }

    /// Ends the flow.
    pub fn end(mut self, around: &Around<'_>) {
        self.ask();
        self.flow.meter.part_ends(self.flow.id, around.shared);
    }
}

fn greet(attempt: &Attempt, flow: &Flow, place: u16) -> io::Result<()> {
    if let Some(error) = attempt.socket.take_error()? {
        return Err(error);
    }
    let hello = Hello { purpose: Purpose::Stream, flow: flow.id, stream: place, nonce: attempt.nonce };
    attempt.socket.send_with_flags(&flow.key.seal(&hello), libc::MSG_NOSIGNAL)?;
    Ok(())
}

/// Whether the consent is there.
fn hear(attempt: &Attempt, flow: &Flow) -> io::Result<bool> {
    let mut bytes = [0; CONSENT_BYTES];
    let mut reader: &Socket = &attempt.socket;
    match reader.read(&mut bytes) {
        // It comes in one segment: 24 bytes.
        Ok(CONSENT_BYTES) => Ok(flow.key.consents(&attempt.nonce, &bytes).is_some()),
        Ok(_) => Err(io::ErrorKind::ConnectionReset.into()),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(false),
        Err(error) => Err(error),
    }
}
