//! The sending end of a flow: connects, proves the key, sends while the receiver consents.
//!
//! ```text
//!  Waiting ──► Connecting ──► Greeting ──► Flowing
//!     ▲            │             │            │ consent older than 3 s, reset, end
//!     └────────────┴─────────────┴────────────┘
//! ```
//!
//! While no stream of a flow flows, only keyed probes of 42 bytes go out, five a second, and
//! each fifth of them a handshake instead. An answer lets all streams connect at once.

use std::{
    io::{self, Read as _},
    time::Duration,
};

use socket2::Socket;

use super::{
    Flow, Shared,
    bucket::Bucket,
    key::{CONSENT_BYTES, Hello, Purpose},
    poller::Poller,
    socket,
};
use crate::{
    model::{
        fleet::units::RunTime,
        record::line::{Body, StreamEvent, StreamSeen, TcpFlow},
    },
    sys::socket::{TcpInfo, tcp_info},
};

mod probing;

use probing::Probing;

/// Consent older than this stops a stream (the contract's figure).
const CONSENT_US: u64 = 3_000_000;

/// A connection attempt that takes longer is given up: the kernel's own second attempt
/// comes after 1 s.
const CONNECT_US: u64 = 900_000;

/// A far process that says nothing for so long after the handshake does not run.
const GREETING_US: u64 = 2_000_000;

/// Probes go out this often (the contract's figure).
const PROBE_US: u64 = 200_000;

/// The same event of a stream is told at most this often.
const TELL_AGAIN_US: u64 = 1_000_000;

/// Handed to the kernel in one call at most, so that many streams share a thread fairly.
const TURN_BYTES: u64 = 256 * 1024;

#[derive(Debug)]
enum State {
    Waiting,
    Connecting { socket: Socket, token: u64, since_us: u64 },
    Greeting { socket: Socket, token: u64, since_us: u64 },
    Flowing { socket: Socket, token: u64, consent_us: u64, writable: bool, info: TcpInfo },
}

#[derive(Debug)]
struct Stream {
    state: State,
    nonce: [u8; 16],
    heard: Vec<u8>,
    told: Option<(StreamEvent, u64)>,
}

/// The sending end of one flow.
#[derive(Debug)]
pub struct Source {
    flow: Flow,
    /// When it is over, on the run's clock.
    pub end: RunTime,
    bucket: Option<Bucket>,
    streams: Vec<Stream>,
    probing: Option<Probing>,
    turn: usize,
    /// Bytes handed to the kernel.
    pub sent: u64,
    /// Probes sent and answered since they were last told.
    pub asked: (u32, u32),
}

/// What a source needs of its carrier.
pub struct Around<'a> {
    /// Shared with the control plane.
    pub shared: &'a Shared,
    /// Its carrier's event queue.
    pub poller: &'a mut Poller,
    /// Own clock, microseconds.
    pub now_us: u64,
    /// Random bytes.
    pub payload: &'a [u8],
}

fn nonce() -> [u8; 16] {
    let mut nonce = [0; 16];
    let random = ring::rand::SystemRandom::new();
    // Without randomness no stream may start: an all-zero nonce would repeat.
    ring::rand::SecureRandom::fill(&random, &mut nonce).expect("the kernel gives random bytes");
    nonce
}

impl Source {
    /// Begins a flow: all its streams connect at once.
    pub fn begin(
        flow: Flow,
        streams: u16,
        end: RunTime,
        rate_bps: Option<u64>,
        around: &mut Around<'_>,
    ) -> Self {
        let bucket = rate_bps.map(|rate| Bucket::new(rate, around.now_us));
        let streams = (0..streams)
            .map(|_| Stream { state: State::Waiting, nonce: nonce(), heard: Vec::new(), told: None })
            .collect();
        let mut source = Self {
            flow: Flow { rate_bps, ..flow },
            end,
            bucket,
            streams,
            probing: None,
            turn: 0,
            sent: 0,
            asked: (0, 0),
        };
        source.connect_all(around);
        source
    }

    fn connect_all(&mut self, around: &mut Around<'_>) {
        for index in 0..self.streams.len() {
            if matches!(self.streams[index].state, State::Waiting) {
                self.connect(index, around);
            }
        }
    }

    fn connect(&mut self, index: usize, around: &mut Around<'_>) {
        if !around.shared.may_send(around.now_us) {
            return;
        }
        let share = self.flow.rate_bps.map(|rate| rate / self.streams.len() as u64);
        let attempt = socket::connect(&around.shared.binding, self.flow.peer, share)
            .and_then(|socket| Ok((around.poller.watch(&socket)?, socket)));
        match attempt {
            Ok((token, socket)) => {
                self.streams[index].state = State::Connecting { socket, token, since_us: around.now_us };
            }
            Err(error) => self.fail(index, socket::meaning(&error), around),
        }
    }

    /// Whether a token is one of this flow's.
    pub fn owns(&self, token: u64) -> bool {
        self.probing.as_ref().is_some_and(|probing| probing.token == token)
            || self.streams.iter().any(|stream| stream.token() == Some(token))
    }

    /// Something is ready on one of its sockets.
    pub fn ready(&mut self, token: u64, readable: bool, writable: bool, around: &mut Around<'_>) {
        if self.probing.as_ref().is_some_and(|probing| probing.token == token) {
            self.hear_answers(around);
            return;
        }
        let Some(index) = self.streams.iter().position(|stream| stream.token() == Some(token)) else {
            return;
        };
        if let State::Flowing { writable: room, .. } = &mut self.streams[index].state {
            *room |= writable;
        }
        if matches!(self.streams[index].state, State::Connecting { .. }) && writable {
            self.greet(index, around);
        }
        if readable && !matches!(self.streams[index].state, State::Connecting { .. } | State::Waiting) {
            self.hear(index, around);
        }
    }

    /// The handshake is over: says who it is.
    fn greet(&mut self, index: usize, around: &mut Around<'_>) {
        let stream = &mut self.streams[index];
        stream.nonce = nonce();
        stream.heard.clear();
        let State::Connecting { socket, token, .. } = std::mem::replace(&mut stream.state, State::Waiting)
        else {
            return;
        };
        let hello =
            Hello { purpose: Purpose::Stream, flow: self.flow.id, stream: index as u16, nonce: stream.nonce };
        let said = match socket.take_error() {
            Ok(None) => socket.send_with_flags(&self.flow.key.seal(&hello), libc::MSG_NOSIGNAL),
            Ok(Some(error)) | Err(error) => Err(error),
        };
        match said {
            Ok(_) => stream.state = State::Greeting { socket, token, since_us: around.now_us },
            Err(error) => self.fail(index, socket::meaning(&error), around),
        }
    }

    /// Reads the receiver's consents.
    fn hear(&mut self, index: usize, around: &mut Around<'_>) {
        let stream = &mut self.streams[index];
        let (State::Greeting { socket, .. } | State::Flowing { socket, .. }) = &stream.state else { return };
        let mut ended = None;
        loop {
            let mut bytes = [0; 8 * CONSENT_BYTES];
            let mut reader: &Socket = socket;
            match reader.read(&mut bytes) {
                Ok(0) => ended = Some(StreamEvent::Reset),
                Ok(count) => {
                    stream.heard.extend(&bytes[..count]);
                    continue;
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => ended = Some(socket::meaning(&error)),
            }
            break;
        }
        let mut consented = false;
        while let Some((consent, _)) = stream.heard.split_first_chunk::<CONSENT_BYTES>() {
            consented |= self.flow.key.consents(&stream.nonce, consent).is_some();
            stream.heard.drain(..CONSENT_BYTES);
        }
        if consented {
            self.consented(index, around);
        }
        if let Some(event) = ended {
            self.fail(index, event, around);
        }
    }

    fn consented(&mut self, index: usize, around: &mut Around<'_>) {
        let stream = &mut self.streams[index];
        match std::mem::replace(&mut stream.state, State::Waiting) {
            State::Greeting { socket, token, .. } => {
                let info = tcp_info(&socket).unwrap_or_default();
                stream.state =
                    State::Flowing { socket, token, consent_us: around.now_us, writable: true, info };
                self.probing = None;
                self.tell(index, StreamEvent::Flowing, around);
                self.connect_all(around);
            }
            State::Flowing { socket, token, writable, info, .. } => {
                stream.state = State::Flowing { socket, token, consent_us: around.now_us, writable, info };
            }
            other => stream.state = other,
        }
    }

    fn fail(&mut self, index: usize, event: StreamEvent, around: &Around<'_>) {
        self.streams[index].state = State::Waiting;
        self.tell(index, event, around);
    }

    /// Tells an event of a stream, unless the same one was told a moment ago.
    fn tell(&mut self, index: usize, what: StreamEvent, around: &Around<'_>) {
        let stream = &mut self.streams[index];
        let again = stream
            .told
            .is_some_and(|(told, at_us)| told == what && around.now_us.saturating_sub(at_us) < TELL_AGAIN_US);
        if !again {
            stream.told = Some((what, around.now_us));
            let (flow, at) = (self.flow.id, around.shared.run_now());
            around.shared.tell(Body::Stream(StreamSeen { flow, stream: index as u16, what, at }));
        }
    }

    /// Gives up what has taken too long, and probes while nothing flows.
    pub fn tick(&mut self, around: &mut Around<'_>) {
        for index in 0..self.streams.len() {
            let over = match &self.streams[index].state {
                State::Connecting { since_us, .. } if around.now_us > since_us + CONNECT_US => {
                    StreamEvent::TimedOut
                }
                State::Greeting { since_us, .. } if around.now_us > since_us + GREETING_US => {
                    StreamEvent::Silent
                }
                State::Flowing { consent_us, .. } if around.now_us > consent_us + CONSENT_US => {
                    StreamEvent::Paused
                }
                _ => continue,
            };
            self.fail(index, over, around);
        }
        let flows = self.streams.iter().any(|stream| matches!(stream.state, State::Flowing { .. }));
        let waiting = self.streams.iter().any(|stream| matches!(stream.state, State::Waiting));
        if flows && waiting {
            self.connect_one(around);
        } else if !flows && waiting {
            self.probe(around);
        }
    }

    /// One stream of a flow that flows connects again, at the pace of probes.
    fn connect_one(&mut self, around: &mut Around<'_>) {
        let rested = |stream: &Stream| {
            matches!(stream.state, State::Waiting)
                && stream.told.is_none_or(|(_, at_us)| around.now_us >= at_us + PROBE_US)
        };
        if let Some(index) = self.streams.iter().position(rested) {
            self.connect(index, around);
        }
    }

    /// Sends what is allowed, a turn for each stream. `true` when there is more to send at once.
    pub fn pump(&mut self, around: &Around<'_>) -> bool {
        let mut more = false;
        for _ in 0..self.streams.len() {
            self.turn = (self.turn + 1) % self.streams.len();
            if !around.shared.may_send(around.now_us) {
                return false;
            }
            let allowed = match &mut self.bucket {
                Some(bucket) => match bucket.allowed(around.now_us) {
                    bytes if bytes >= bucket.quantum() => bytes,
                    _ => return false,
                },
                None => u64::MAX,
            };
            let index = self.turn;
            match self.send(index, allowed, around) {
                Ok(0) => {}
                Ok(bytes) => {
                    self.sent += bytes;
                    around.shared.note_sent(around.now_us, bytes);
                    if let Some(bucket) = &mut self.bucket {
                        bucket.take(bytes);
                    }
                    more |= self.bucket.is_none();
                }
                Err(error) => self.fail(index, socket::meaning(&error), around),
            }
        }
        more
    }

    /// One call's worth of one stream.
    fn send(&mut self, index: usize, allowed: u64, around: &Around<'_>) -> io::Result<u64> {
        let State::Flowing { socket, writable, .. } = &mut self.streams[index].state else { return Ok(0) };
        if !*writable {
            return Ok(0);
        }
        let length = TURN_BYTES.min(allowed) as usize;
        let from = (self.sent as usize) % (around.payload.len() - length);
        match socket
            .send_with_flags(&around.payload[from..from + length], libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL)
        {
            Ok(bytes) => {
                *writable = bytes == length;
                Ok(bytes as u64)
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                *writable = false;
                Ok(0)
            }
            Err(error) => Err(error),
        }
    }

    /// When this flow next wants the carrier's attention, own clock, microseconds.
    ///
    /// Only what it would then act on counts: a deadline that is past and stays past would
    /// make the carrier spin.
    pub fn wake_us(&self, may_send: bool) -> u64 {
        if !may_send {
            return u64::MAX;
        }
        let is = |such: fn(&State) -> bool| self.streams.iter().any(|stream| such(&stream.state));
        let sends = is(|state| matches!(state, State::Flowing { writable: true, .. }));
        let flows = is(|state| matches!(state, State::Flowing { .. }));
        let waits = is(|state| matches!(state, State::Waiting));
        let paced = self.bucket.as_ref().filter(|_| sends).map(Bucket::ready_at_us);
        let probe = self.probing.as_ref().filter(|_| waits && !flows).map(|probing| probing.next_us);
        paced.unwrap_or(u64::MAX).min(probe.unwrap_or(u64::MAX))
    }

    /// What its connections did since the last time.
    pub fn tcp(&mut self) -> Option<TcpFlow> {
        let mut flow = TcpFlow::default();
        let mut any = false;
        for stream in &mut self.streams {
            let State::Flowing { socket, info: before, .. } = &mut stream.state else { continue };
            let Ok(info) = tcp_info(socket) else { continue };
            any = true;
            flow.segs += u64::from(info.data_segs_out.wrapping_sub(before.data_segs_out));
            flow.retr += u64::from(info.total_retrans.wrapping_sub(before.total_retrans));
            flow.rtt_us = flow.rtt_us.max(info.rtt_us);
            flow.backoff = flow.backoff.max(info.backoff);
            flow.rwnd_us += info.rwnd_limited_us.saturating_sub(before.rwnd_limited_us);
            flow.sndbuf_us += info.sndbuf_limited_us.saturating_sub(before.sndbuf_limited_us);
            flow.busy_us += info.busy_us.saturating_sub(before.busy_us);
            *before = info;
        }
        any.then_some(flow)
    }

    /// Ends the flow: what the kernel still holds is discarded.
    pub fn end(self, shared: &Shared) {
        shared.tell(Body::Sent { flow: self.flow.id, bytes: self.sent });
    }
}

impl Stream {
    fn token(&self) -> Option<u64> {
        match &self.state {
            State::Waiting => None,
            State::Connecting { token, .. }
            | State::Greeting { token, .. }
            | State::Flowing { token, .. } => Some(*token),
        }
    }
}

/// The longest a carrier sleeps while a source is there: its deadlines are checked so often.
pub const TICK: Duration = Duration::from_millis(50);
