//! The sending end of a flow on one thread: connects its streams, proves the key, sends
//! while the receiver consents.
//!
//! ```text
//!  Waiting ──► Connecting ──► Greeting ──► Flowing
//!     ▲            │             │            │ consent older than 3 s, reset, end
//!     └────────────┴─────────────┴────────────┘
//! ```
//!
//! While no stream of a flow flows, only keyed probes of 42 bytes go out, five a second, and
//! each fifth of them a handshake instead. An answer lets all streams connect at once. The
//! streams of a flow are dealt out to all threads; the thread that has the first one probes.

use std::{collections::VecDeque, io, sync::atomic::Ordering, time::Duration};

use socket2::Socket;

use super::{
    around::{Around, Deal, Turn},
    bucket::Bucket,
    key::nonce,
    outlet::Outlet,
    poller::Token,
    room::Room,
    socket,
    stage::Flow,
    told::Told,
};
use crate::{
    model::{
        fleet::units::RunTime,
        plan::carriage::Carriage,
        record::line::{StreamEvent, TcpFlow},
        run::message::Role,
    },
    sys::socket::{TcpInfo, tcp_info},
};

mod probing;
mod talking;

use probing::Probing;

/// Consent older than this stops a stream (the contract's figure).
pub const CONSENT_US: u64 = 3_000_000;

/// A connection attempt that takes longer is given up: the kernel's own second attempt
/// comes after 1 s.
const CONNECT_US: u64 = 900_000;

/// A far process that says nothing for so long after the handshake does not run.
const GREETING_US: u64 = 2_000_000;

/// Probes go out this often (the contract's figure).
pub const PROBE_US: u64 = 200_000;

/// Handed to the kernel in one call at most, where the streams of a thread are few.
const TURN_BYTES: usize = 1024 * 1024;

#[derive(Debug)]
enum State {
    Waiting,
    Connecting { socket: Socket, since_us: u64 },
    Greeting { socket: Socket, since_us: u64 },
    Flowing(Box<Flowing>),
}

#[derive(Debug)]
struct Flowing {
    socket: Socket,
    outlet: Outlet,
    room: Room,
    consent_us: u64,
    /// Waits for its turn to send.
    queued: bool,
    info: TcpInfo,
}

impl Flowing {
    /// What its connection did since the last time; `None` where the kernel does not say.
    fn ask(&mut self) -> Option<TcpFlow> {
        let info = tcp_info(&self.socket).ok()?;
        let before = std::mem::replace(&mut self.info, info);
        Some(info.since(&before))
    }
}

#[derive(Debug)]
struct Stream {
    place: u16,
    state: State,
    nonce: [u8; 16],
    heard: Vec<u8>,
    told: Told,
}

/// The streams of a flow that one thread sends.
#[derive(Debug)]
pub struct Source {
    flow: Flow,
    carriage: Carriage,
    /// When it is over, on the run's clock.
    pub end: RunTime,
    bucket: Option<Bucket>,
    deal: Deal,
    streams: Vec<Stream>,
    probing: Option<Probing>,
    /// Streams with room that wait for the bucket, or for the permission to send.
    held: VecDeque<u16>,
    /// Probes sent and answered since they were last told.
    pub asked: (u32, u32),
}

impl Source {
    /// Begins a flow: all streams of this thread connect at once.
    pub fn begin(
        flow: Flow,
        carriage: &Carriage,
        end: RunTime,
        rate_bps: Option<u64>,
        around: &mut Around<'_>,
    ) -> Self {
        let deal = around.deal(flow.id);
        let streams: Vec<Stream> = deal
            .places(carriage.streams)
            .map(|place| Stream {
                place,
                state: State::Waiting,
                nonce: nonce(),
                heard: Vec::new(),
                told: Told::default(),
            })
            .collect();
        let own = rate_bps.map(|rate| rate * streams.len() as u64 / u64::from(carriage.streams));
        let mut source = Self {
            flow: Flow { rate_bps: own, ..flow },
            carriage: carriage.clone(),
            end,
            bucket: own.map(|rate| Bucket::new(rate, around.now_us)),
            deal,
            streams,
            probing: None,
            held: VecDeque::new(),
            asked: (0, 0),
        };
        source.flow.meter.part_begins();
        source.connect_all(around);
        source
    }

    /// Connects every stream that waits.
    pub fn connect_all(&mut self, around: &mut Around<'_>) {
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
        let place = self.streams[index].place;
        let options = socket::Dress {
            pacing_bps: share,
            congestion_control: self.carriage.congestion_control.as_deref(),
        };
        let attempt = socket::connect(&around.shared.binding, self.flow.peer, &options).and_then(|socket| {
            around.poller.watch(&socket, Token::Source { flow: self.flow.id, place })?;
            Ok(socket)
        });
        match attempt {
            Ok(socket) => {
                self.streams[index].state = State::Connecting { socket, since_us: around.now_us };
            }
            Err(error) => self.fail(index, socket::meaning(&error), around),
        }
    }

    /// Something is ready on one of its sockets.
    pub fn ready(&mut self, place: u16, readable: bool, writable: bool, around: &mut Around<'_>) {
        let Some(index) = self.deal.index(place).filter(|index| *index < self.streams.len()) else { return };
        if writable {
            match &self.streams[index].state {
                State::Flowing(_) => self.queue(index, around),
                State::Connecting { .. } => self.greet(index, around),
                State::Waiting | State::Greeting { .. } => {}
            }
        }
        if readable && !matches!(self.streams[index].state, State::Connecting { .. } | State::Waiting) {
            self.hear(index, around);
        }
    }

    /// Lets a stream with room have its turn.
    fn queue(&mut self, index: usize, around: &mut Around<'_>) {
        let stream = &mut self.streams[index];
        let State::Flowing(flowing) = &mut stream.state else { return };
        if std::mem::replace(&mut flowing.queued, true) {
            return;
        }
        if self.bucket.is_some() {
            self.held.push_back(stream.place);
        } else {
            around.turns.push_back(Turn { role: Role::Source, flow: self.flow.id, place: stream.place });
        }
    }

    fn fail(&mut self, index: usize, event: StreamEvent, around: &Around<'_>) {
        let place = self.streams[index].place;
        let was = std::mem::replace(&mut self.streams[index].state, State::Waiting);
        if let State::Flowing(mut flowing) = was {
            self.flow.meter.add_tcp(flowing.ask());
        }
        self.held.retain(|held| *held != place);
        self.tell(index, event, around);
    }

    fn tell(&mut self, index: usize, what: StreamEvent, around: &Around<'_>) {
        let stream = &mut self.streams[index];
        stream.told.tell(what, self.flow.id, stream.place, around);
    }

    /// Gives up what has taken too long, and probes while nothing flows.
    pub fn tick(&mut self, around: &mut Around<'_>) {
        for index in 0..self.streams.len() {
            let over = match &mut self.streams[index].state {
                State::Connecting { since_us, .. } if around.now_us > *since_us + CONNECT_US => {
                    StreamEvent::TimedOut
                }
                State::Greeting { since_us, .. } if around.now_us > *since_us + GREETING_US => {
                    StreamEvent::Silent
                }
                State::Flowing(flowing) if around.now_us > flowing.consent_us + CONSENT_US => {
                    StreamEvent::Paused
                }
                State::Flowing(flowing) => {
                    flowing.room.look(&flowing.socket, flowing.outlet.sent(), around.now_us);
                    continue;
                }
                _ => continue,
            };
            self.fail(index, over, around);
        }
        let flows = self.streams.iter().any(|stream| matches!(stream.state, State::Flowing(_)));
        let waiting = self.streams.iter().any(|stream| matches!(stream.state, State::Waiting));
        if flows && waiting {
            self.connect_one(around);
        } else if !flows && waiting && self.deal.has_first() {
            self.probe(around);
        }
        if self.bucket.is_none() && around.shared.may_send(around.now_us) {
            let flow = self.flow.id;
            let waiting = self.held.drain(..).map(|place| Turn { role: Role::Source, flow, place });
            around.turns.extend(waiting);
        }
    }

    /// One stream of a flow that flows connects again, at the pace of probes.
    fn connect_one(&mut self, around: &mut Around<'_>) {
        let rested = |stream: &Stream| {
            matches!(stream.state, State::Waiting) && stream.told.is_quiet_for(PROBE_US, around.now_us)
        };
        if let Some(index) = self.streams.iter().position(rested) {
            self.connect(index, around);
        }
    }

    /// Sends what the bucket allows, a turn for each stream.
    pub fn pump(&mut self, around: &mut Around<'_>) {
        while self.bucket.is_some() && around.shared.may_send(around.now_us) {
            let Some(bucket) = &mut self.bucket else { return };
            let allowed = bucket.allowed(around.now_us);
            if allowed < bucket.quantum() {
                return;
            }
            let Some(place) = self.held.pop_front() else { return };
            let sent = self.send(place, allowed as usize, around);
            if let Some(bucket) = &mut self.bucket {
                bucket.take(sent as u64);
            }
        }
    }

    /// The turn of a stream without a rate. Returns the bytes sent.
    pub fn turn(&mut self, place: u16, around: &mut Around<'_>) -> usize {
        if !around.shared.may_send(around.now_us) {
            self.held.push_back(place);
            return 0;
        }
        self.send(place, TURN_BYTES, around)
    }

    /// One call's worth of one stream, which is queued again while there is room.
    fn send(&mut self, place: u16, most: usize, around: &mut Around<'_>) -> usize {
        let Some(index) = self.deal.index(place).filter(|index| *index < self.streams.len()) else {
            return 0;
        };
        let State::Flowing(flowing) = &mut self.streams[index].state else { return 0 };
        flowing.queued = false;
        match flowing.outlet.send(&flowing.socket, most.min(TURN_BYTES)) {
            Ok((bytes, more)) => {
                self.flow.meter.sent.fetch_add(bytes as u64, Ordering::Relaxed);
                around.shared.note_sent(around.now_us, bytes as u64);
                if more {
                    self.queue(index, around);
                }
                bytes
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => 0,
            Err(error) => {
                self.fail(index, socket::meaning(&error), around);
                0
            }
        }
    }

    /// When this flow next wants the carrier's attention, own clock, microseconds.
    ///
    /// Only what it would then act on counts: a deadline that is past and stays past would
    /// make the carrier spin. `ticks_us` is when deadlines are looked at next.
    pub fn wake_us(&self, may_send: bool, ticks_us: u64) -> u64 {
        if !may_send {
            return u64::MAX;
        }
        let is = |such: fn(&State) -> bool| self.streams.iter().any(|stream| such(&stream.state));
        let probes =
            || is(|state| matches!(state, State::Waiting)) && !is(|state| matches!(state, State::Flowing(_)));
        let paced = self.bucket.as_ref().filter(|_| !self.held.is_empty()).map(Bucket::ready_at_us);
        let probe = self.probing.as_ref().filter(|_| probes()).map(|probing| probing.next_us.max(ticks_us));
        paced.unwrap_or(u64::MAX).min(probe.unwrap_or(u64::MAX))
    }

    /// Adds what its connections did since the last time to the flow's meter.
    pub fn ask_tcp(&mut self) {
        for stream in &mut self.streams {
            if let State::Flowing(flowing) = &mut stream.state {
                self.flow.meter.add_tcp(flowing.ask());
            }
        }
    }

    /// Ends the flow on this thread: what the kernel still holds is discarded.
    pub fn end(mut self, around: &Around<'_>) {
        self.ask_tcp();
        let copied = self.streams.iter().filter_map(|stream| match &stream.state {
            State::Flowing(flowing) => flowing.outlet.copied(),
            _ => None,
        });
        if let Some((done, copied)) = copied.reduce(|a, b| (a.0 + b.0, a.1 + b.1)) {
            tracing::info!(
                flow = self.flow.id,
                done,
                copied,
                "sends by reference, and those the kernel copied"
            );
        }
        self.flow.meter.part_ends(self.flow.id, around.shared);
    }
}

/// The longest a carrier sleeps while a source is there: its deadlines are checked so often.
pub const TICK: Duration = Duration::from_millis(50);
