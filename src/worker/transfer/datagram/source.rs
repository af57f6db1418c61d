//! The sending end of a flow of datagrams on one thread.
//!
//! Says hello until a report comes, then sends: with a rate, what the bucket allows; without
//! one, what the receiver's window allows. Without a report for 3 s it says hello again.

use std::{collections::VecDeque, io, net::UdpSocket, sync::atomic::Ordering};

use super::{HEADER_BYTES, Shape, header, token};
use crate::{
    model::{
        fleet::units::RunTime,
        plan::carriage::Carriage,
        record::line::{DatagramsSent, StreamEvent},
        run::message::Role,
    },
    sys::{datagram as sys, socket::raise_send_buffer},
    worker::transfer::{
        around::{Around, Deal, Turn},
        bucket::Bucket,
        key::{Hello, Purpose, REPORT_BYTES, Report, nonce},
        poller::Token,
        socket,
        source::{CONSENT_US, PROBE_US},
        stage::Flow,
        told::Told,
    },
};

/// Refills of the bucket are spent this often: half a millisecond's worth goes into one
/// switch's buffer without loss.
const QUANTUM_US: u64 = 500;

/// Trains and calls of single frames in one turn at most, so that streams share a thread.
const TRAINS_A_TURN: usize = 8;
const CALLS_A_TURN: usize = 4;

/// Frames of one call.
const FRAMES_A_CALL: usize = 64;

/// Without news from the receiver for so long, what is under way counts as lost: its last
/// datagrams may be.
const RELEASE_US: u64 = 20_000;

/// Room for what waits in the own kernel.
const SEND_BUFFER_BYTES: usize = 4 * 1024 * 1024;

#[derive(Debug)]
struct Stream {
    place: u16,
    socket: Option<UdpSocket>,
    nonce: [u8; 16],
    token: u64,
    hello_at_us: u64,
    /// The last report, and when it came; `None` while nothing flows.
    report: Option<(Report, u64)>,
    number: u64,
    /// Numbers below this one are not under way any more.
    settled: u64,
    sent_at_us: u64,
    queued: bool,
    counts: DatagramsSent,
    told: Told,
}

/// The datagrams of a flow that one thread sends.
#[derive(Debug)]
pub struct Source {
    flow: Flow,
    /// When it is over, on the run's clock.
    pub end: RunTime,
    shape: Shape,
    bucket: Option<Bucket>,
    deal: Deal,
    streams: Vec<Stream>,
    held: VecDeque<u16>,
    /// A train with room for its headers, or the bytes behind a single frame's header.
    train: Vec<u8>,
    /// Hellos sent, and answered by a first report, since they were last told.
    pub asked: (u32, u32),
}

impl Source {
    /// Begins a flow. `None` where the frames have no room for numbers.
    pub fn begin(
        flow: Flow,
        carriage: &Carriage,
        end: RunTime,
        rate_bps: Option<u64>,
        around: &mut Around<'_>,
    ) -> Option<Self> {
        let shape = Shape::new(&flow, carriage, around.shared.binding.mtu)?;
        let deal = around.deal(flow.id);
        let streams: Vec<Stream> =
            deal.places(carriage.streams).map(|place| Stream::new(place, &flow, around.now_us)).collect();
        let own = rate_bps.map(|rate| rate * streams.len() as u64 / u64::from(carriage.streams));
        let shape = own.map_or(shape, |rate| shape.paced(rate));
        let bucket = own.map(|rate| {
            let unit = shape.counts_bytes * shape.train as u64;
            Bucket::of_units(rate, around.now_us, unit, QUANTUM_US)
        });
        let behind = shape.datagram_bytes - HEADER_BYTES;
        let content = &around.payload.bytes()[..behind];
        let train = if shape.is_single() {
            content.to_vec()
        } else {
            [&[0; HEADER_BYTES][..], content].concat().repeat(shape.train)
        };
        let mut source =
            Self { flow, end, shape, bucket, deal, streams, held: VecDeque::new(), train, asked: (0, 0) };
        source.flow.meter.part_begins();
        source.tick(around);
        Some(source)
    }

    /// Says hello where nothing flows, gives up what is silent, and lets what waits go on.
    pub fn tick(&mut self, around: &mut Around<'_>) {
        let may_send = around.shared.may_send(around.now_us);
        for index in 0..self.streams.len() {
            let stream = &mut self.streams[index];
            match stream.report {
                Some((_, at_us)) if around.now_us > at_us + CONSENT_US => {
                    stream.report = None;
                    stream.queued = false;
                    let place = stream.place;
                    self.held.retain(|held| *held != place);
                    self.tell(index, StreamEvent::Paused, around);
                }
                Some(_) if may_send && self.bucket.is_none() => {
                    if around.now_us > stream.sent_at_us + RELEASE_US {
                        stream.settled = stream.number;
                    }
                    self.queue(index, around);
                }
                None if may_send && around.now_us >= stream.hello_at_us => self.greet(index, around),
                Some(_) | None => {}
            }
        }
    }

    fn greet(&mut self, index: usize, around: &mut Around<'_>) {
        let stream = &mut self.streams[index];
        stream.hello_at_us = around.now_us + PROBE_US;
        if stream.socket.is_none() {
            let token = Token::Source { flow: self.flow.id, place: stream.place };
            match open(&self.flow, &self.shape, around, token) {
                Ok(socket) => stream.socket = Some(socket),
                Err(error) => return self.tell(index, socket::meaning(&error), around),
            }
        }
        let hello =
            Hello { purpose: Purpose::Stream, flow: self.flow.id, stream: stream.place, nonce: stream.nonce };
        let Some(socket) = &stream.socket else { return };
        // Trains are cut to the flow's size; a hello is shorter and stays whole.
        match socket.send(&self.flow.key.seal(&hello)) {
            Ok(_) => self.asked.0 += 1,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => self.tell(index, socket::meaning(&error), around),
        }
    }

    /// Something is ready on one of its sockets.
    pub fn ready(&mut self, place: u16, readable: bool, writable: bool, around: &mut Around<'_>) {
        let Some(index) = self.deal.index(place).filter(|index| *index < self.streams.len()) else { return };
        if readable {
            self.hear(index, around);
        }
        if (readable || writable) && self.streams[index].report.is_some() {
            self.queue(index, around);
        }
    }

    /// Reads the receiver's reports.
    fn hear(&mut self, index: usize, around: &mut Around<'_>) {
        let mut refused = None;
        loop {
            let stream = &mut self.streams[index];
            let Some(socket) = &stream.socket else { return };
            let mut bytes = [0; REPORT_BYTES + 1];
            match socket.recv(&mut bytes) {
                Ok(REPORT_BYTES) => {
                    let sealed = bytes.first_chunk::<REPORT_BYTES>();
                    let report = sealed.and_then(|sealed| self.flow.key.reports(&stream.nonce, sealed));
                    if let Some(report) = report {
                        self.reported(index, report, around);
                    }
                }
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => {
                    sys::drop_notices(socket);
                    if refused.replace(socket::meaning(&error)).is_some() {
                        break;
                    }
                }
            }
        }
        if let Some(event) = refused.filter(|event| *event == StreamEvent::Refused) {
            self.tell(index, event, around);
        }
    }

    fn reported(&mut self, index: usize, report: Report, around: &mut Around<'_>) {
        let stream = &mut self.streams[index];
        let first = stream.report.is_none();
        if stream.report.is_some_and(|(last, _)| report.counter <= last.counter) {
            return;
        }
        stream.report = Some((report, around.now_us));
        stream.settled = stream.settled.max(report.next).min(stream.number);
        if first {
            self.asked.1 += 1;
            self.tell(index, StreamEvent::Flowing, around);
        }
    }

    fn queue(&mut self, index: usize, around: &mut Around<'_>) {
        let stream = &mut self.streams[index];
        if std::mem::replace(&mut stream.queued, true) {
            return;
        }
        if self.bucket.is_some() {
            self.held.push_back(stream.place);
        } else {
            around.turns.push_back(Turn { role: Role::Source, flow: self.flow.id, place: stream.place });
        }
    }

    /// Sends what the bucket allows, a train or a call's worth for each stream in turn.
    pub fn pump(&mut self, around: &mut Around<'_>) {
        let unit = self.shape.counts_bytes * self.shape.train as u64;
        while around.shared.may_send(around.now_us) {
            let Some(bucket) = &mut self.bucket else { return };
            let allowed = bucket.allowed(around.now_us);
            if allowed < unit {
                return;
            }
            let Some(place) = self.held.pop_front() else { return };
            let Some(index) = self.deal.index(place) else { return };
            self.streams[index].queued = false;
            let most = (allowed / self.shape.counts_bytes) as usize;
            let sent = self.send(index, most, around);
            if let Some(bucket) = &mut self.bucket {
                bucket.take(sent as u64 * self.shape.counts_bytes);
            }
            if sent > 0 {
                self.queue(index, around);
            }
        }
    }

    /// The turn of a stream without a rate. Returns the bytes sent.
    pub fn turn(&mut self, place: u16, around: &mut Around<'_>) -> usize {
        let Some(index) = self.deal.index(place).filter(|index| *index < self.streams.len()) else {
            return 0;
        };
        self.streams[index].queued = false;
        let (mut all, calls) = (0, if self.shape.is_single() { CALLS_A_TURN } else { TRAINS_A_TURN });
        for _ in 0..calls {
            let room = self.streams[index].room(&self.shape);
            let sent = if room == 0 || !around.shared.may_send(around.now_us) {
                0
            } else {
                self.send(index, room, around)
            };
            all += sent;
            if sent == 0 {
                // A report, or the clock, will bring it back.
                return all * self.shape.charge_bytes as usize;
            }
        }
        self.queue(index, around);
        all * self.shape.charge_bytes as usize
    }

    /// One train, or one call's worth of single frames. Returns the datagrams that left.
    fn send(&mut self, index: usize, most: usize, around: &mut Around<'_>) -> usize {
        let stream = &mut self.streams[index];
        let Some(socket) = &stream.socket else { return 0 };
        let at_us = around.shared.run_now().0;
        let (wanted, outcome) = if self.shape.is_single() {
            let count = most.min(FRAMES_A_CALL);
            let headers: Vec<_> = (stream.number..stream.number + count as u64)
                .map(|number| header(stream.token, number, at_us))
                .collect();
            (count, sys::send_many(socket, &headers, &self.train))
        } else {
            let count = most.min(self.shape.train);
            let size = self.shape.datagram_bytes;
            for (number, place) in (stream.number..).zip(self.train.chunks_mut(size)).take(count) {
                place[..HEADER_BYTES].copy_from_slice(&header(stream.token, number, at_us));
            }
            let sent = socket.send(&self.train[..count * size]);
            (count, sent.map(|_| count))
        };
        match outcome {
            Ok(count) => {
                stream.number += count as u64;
                stream.sent_at_us = around.now_us;
                stream.counts.sent += count as u64;
                let bytes = count as u64 * self.shape.counts_bytes;
                self.flow.meter.sent.fetch_add(bytes, Ordering::Relaxed);
                around.shared.note_sent(around.now_us, bytes);
                count
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => 0,
            Err(error) => {
                // Its own kernel's doing: those numbers were never on the wire.
                stream.counts.refused += wanted as u64;
                sys::drop_notices(socket);
                let event = socket::meaning(&error);
                if event != StreamEvent::Refused && error.raw_os_error() != Some(libc::ENOBUFS) {
                    self.tell(index, event, around);
                }
                0
            }
        }
    }

    fn tell(&mut self, index: usize, what: StreamEvent, around: &Around<'_>) {
        let stream = &mut self.streams[index];
        stream.told.tell(what, self.flow.id, stream.place, around);
    }

    /// When this flow next wants the carrier's attention, own clock, microseconds.
    pub fn wake_us(&self, may_send: bool, ticks_us: u64) -> u64 {
        if !may_send {
            return u64::MAX;
        }
        let paced = self.bucket.as_ref().filter(|_| !self.held.is_empty()).map(Bucket::ready_at_us);
        let waiting = self.streams.iter().map(|stream| match stream.report {
            None => stream.hello_at_us,
            Some(_) if self.bucket.is_none() && !stream.queued => stream.sent_at_us + RELEASE_US,
            Some(_) => u64::MAX,
        });
        paced.unwrap_or(u64::MAX).min(waiting.min().unwrap_or(u64::MAX).max(ticks_us))
    }

    /// Adds what its sockets took since the last time to the flow's meter.
    pub fn ask(&mut self) {
        for stream in &mut self.streams {
            let part = std::mem::take(&mut stream.counts);
            self.flow.meter.datagrams_sent.add(|all| all.add(&part));
        }
    }

    /// Ends the flow on this thread.
    pub fn end(mut self, around: &Around<'_>) {
        self.ask();
        self.flow.meter.part_ends(self.flow.id, around.shared);
    }
}

impl Stream {
    fn new(place: u16, flow: &Flow, now_us: u64) -> Self {
        Self {
            place,
            socket: None,
            nonce: nonce(),
            token: token(&flow.key, place),
            hello_at_us: now_us,
            report: None,
            number: 0,
            settled: 0,
            sent_at_us: now_us,
            queued: false,
            counts: DatagramsSent::default(),
            told: Told::default(),
        }
    }

    /// Datagrams that the receiver's window still has room for.
    fn room(&self, shape: &Shape) -> usize {
        let Some((report, _)) = &self.report else { return 0 };
        let window = report.window_bytes / shape.charge_bytes;
        let room = window.saturating_sub(self.number - self.settled);
        // Half a train is no train: it waits for room for all of it.
        if room < shape.train as u64 && window >= shape.train as u64 { 0 } else { room as usize }
    }
}

fn open(flow: &Flow, shape: &Shape, around: &mut Around<'_>, token: Token) -> io::Result<UdpSocket> {
    let socket = socket::datagrams(&around.shared.binding, 0)?;
    socket.connect(flow.peer)?;
    raise_send_buffer(&socket, SEND_BUFFER_BYTES)?;
    sys::set_never_fragment(&socket, flow.peer.is_ipv4())?;
    sys::set_tell_drops(&socket, flow.peer.is_ipv4())?;
    if !shape.is_single() {
        sys::set_segment(&socket, shape.datagram_bytes)?;
    }
    around.poller.watch(&socket, token)?;
    Ok(socket)
}
