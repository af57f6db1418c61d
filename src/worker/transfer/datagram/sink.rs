//! The receiving end of a flow of datagrams on one thread: numbers, and reports to the source.

use std::{
    collections::BTreeMap,
    io,
    net::{SocketAddr, UdpSocket},
    sync::atomic::Ordering,
};

use super::{
    HEADER_BYTES, Shape, read_header,
    sequence::{Counts, Sequence},
    token,
};
use crate::{
    model::{
        fleet::units::RunTime,
        plan::carriage::{Carriage, ReceiveMode},
        record::line::{DatagramFlow, VerifiedFlow},
        run::message::Role,
    },
    sys::{datagram as sys, socket::raise_receive_buffer},
    worker::transfer::{
        around::{Around, Turn},
        inlet::Difference,
        key::{Hello, Report},
        poller::Token,
        socket,
        stage::Flow,
        told::Differences,
    },
};

/// Room for what has arrived and is not read yet: a tenth of a second at 1 Gb/s.
const RECEIVE_BUFFER_BYTES: usize = 16 * 1024 * 1024;

/// Of the buffer, what may be under way unreported: the kernel charges more than the bytes.
const WINDOW_SHARE: usize = 4;

/// Reports go out at least this often; they are the source's consent.
const REPORT_EVERY_US: u64 = 100_000;

/// Trains, and single frames, that are taken in one call.
const TRAINS: usize = 8;
const FRAMES: usize = 64;

/// A train with all of its bytes.
const TRAIN_BYTES: usize = 65_536;

#[derive(Debug)]
struct Stream {
    socket: UdpSocket,
    hello: Hello,
    token: u64,
    sequence: Sequence,
    counter: u64,
    /// Datagrams since the last report, and datagrams after which one is due.
    unreported: u64,
    report_after: u64,
    window_bytes: u64,
    report_at_us: u64,
    queued: bool,
    /// Of the last datagram: time on the way, by clocks that differ; and how it varies,
    /// sixteenths of a microsecond.
    transit_us: Option<i64>,
    jitter: i64,
    told: (Counts, u64, u32),
}

/// The datagrams of a flow that one thread receives.
#[derive(Debug)]
pub struct Sink {
    flow: Flow,
    /// When it is over, on the run's clock.
    pub end: RunTime,
    carriage: Carriage,
    shape: Shape,
    batch: sys::Batch,
    streams: BTreeMap<u16, Stream>,
    verified: VerifiedFlow,
    differences: Differences,
}

impl Sink {
    /// Awaits streams of this flow. `None` where its frames have no room for numbers.
    pub fn new(flow: Flow, carriage: &Carriage, end: RunTime, mtu: u32) -> Option<Self> {
        let shape = Shape::new(&flow, carriage, mtu)?;
        let reads = carriage.receive != ReceiveMode::Discard;
        let batch = match (shape.is_single(), reads) {
            (true, false) => sys::Batch::new(FRAMES, HEADER_BYTES),
            (true, true) => sys::Batch::new(FRAMES, shape.datagram_bytes),
            (false, false) => sys::Batch::new(TRAINS, HEADER_BYTES),
            (false, true) => sys::Batch::new(TRAINS, TRAIN_BYTES),
        };
        let (streams, verified, differences) = Default::default();
        Some(Self { flow, end, carriage: carriage.clone(), shape, batch, streams, verified, differences })
    }

    /// Somebody at `from` has proven the key: its datagrams get a socket of their own, on
    /// the worker's own port.
    ///
    /// # Errors
    ///
    /// If the kernel gives no such socket.
    pub fn accept(
        &mut self,
        from: SocketAddr,
        hello: Hello,
        port: u16,
        around: &mut Around<'_>,
    ) -> io::Result<()> {
        let place = hello.stream;
        if place >= self.carriage.streams {
            return Err(io::Error::other(format!(
                "stream {place} of {} was never planned",
                self.carriage.streams
            )));
        }
        if self.streams.get(&place).is_some_and(|stream| stream.hello.nonce == hello.nonce) {
            // Its report was lost.
            self.report(place, around);
            return Ok(());
        }
        let socket = socket::datagrams(&around.shared.binding, port)?;
        socket.connect(from)?;
        let room = raise_receive_buffer(&socket, RECEIVE_BUFFER_BYTES)?;
        if !self.shape.is_single() {
            sys::set_coalesce(&socket)?;
        }
        around.poller.watch(&socket, Token::Sink { flow: self.flow.id, place })?;
        let window_bytes = (room / WINDOW_SHARE) as u64;
        let stream = Stream {
            socket,
            hello,
            token: token(&self.flow.key, place),
            sequence: Sequence::default(),
            counter: 0,
            unreported: 0,
            report_after: (window_bytes / self.shape.charge_bytes / 4).max(1),
            window_bytes,
            report_at_us: around.now_us,
            queued: false,
            transit_us: None,
            jitter: 0,
            told: (Counts::default(), 0, 0),
        };
        self.streams.insert(place, stream);
        self.report(place, around);
        self.ready(place, around);
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
    pub fn turn(&mut self, place: u16, around: &mut Around<'_>) -> usize {
        let Some(stream) = self.streams.get_mut(&place) else { return 0 };
        stream.queued = false;
        match self.batch.receive(&stream.socket) {
            Ok(_) => {}
            // What was refused or unreachable on the way back is the source's to notice.
            Err(_) => return 0,
        }
        let run_now = around.shared.run_now();
        let (mut bytes, mut differs) = (0u64, None);
        for message in self.batch.messages() {
            let segment = message.segment.unwrap_or(message.length).max(1);
            let count = message.length.div_ceil(segment) as u64;
            let Some((first, at_us)) = read_header(stream.token, message.bytes) else { continue };
            stream.notice(run_now, at_us);
            match self.carriage.receive {
                ReceiveMode::Discard => stream.sequence.arrived(first, count),
                ReceiveMode::Read | ReceiveMode::Verify { .. } => {
                    let numbered = message.bytes.chunks(segment);
                    let numbers = numbered.filter_map(|bytes| read_header(stream.token, bytes));
                    numbers.for_each(|(number, _)| stream.sequence.arrived(number, 1));
                }
            }
            if let ReceiveMode::Verify { one_in } = self.carriage.receive {
                let sent = &around.payload.bytes()[..self.shape.datagram_bytes - HEADER_BYTES];
                let found = compare(message.bytes, segment, stream.token, sent, one_in, &mut self.verified);
                differs = differs.or(found);
            }
            stream.unreported += count;
            bytes +=
                if self.shape.is_single() { count * self.shape.counts_bytes } else { message.length as u64 };
        }
        self.flow.meter.received.fetch_add(bytes, Ordering::Relaxed);
        let due = stream.unreported >= stream.report_after;
        if let Some(found) = differs {
            self.differences.tell(found, self.flow.id, place, around.shared);
        }
        if due {
            self.report(place, around);
        }
        self.ready(place, around);
        (bytes as usize).max(HEADER_BYTES)
    }

    /// Reports what is due by the clock.
    pub fn consent(&mut self, around: &Around<'_>) {
        let due: Vec<u16> = self
            .streams
            .iter()
            .filter(|(_, stream)| around.now_us >= stream.report_at_us)
            .map(|(place, _)| *place)
            .collect();
        for place in due {
            self.report(place, around);
        }
    }

    fn report(&mut self, place: u16, around: &Around<'_>) {
        let Some(stream) = self.streams.get_mut(&place) else { return };
        (stream.unreported, stream.report_at_us) = (0, around.now_us + REPORT_EVERY_US);
        stream.counter += 1;
        let report = Report {
            counter: stream.counter,
            next: stream.sequence.next(),
            received: stream.sequence.counts().unique,
            window_bytes: stream.window_bytes,
        };
        // Where even this does not leave, the way back is dead, and silence is right.
        let _ = stream.socket.send(&self.flow.key.report(&stream.hello.nonce, &report));
    }

    /// Adds what arrived since the last time to the flow's meter.
    pub fn ask(&mut self) {
        for stream in self.streams.values_mut() {
            let now = stream.sequence.counts();
            let missing = stream.sequence.missing();
            let drops = sys::socket_drops(&stream.socket).unwrap_or(stream.told.2);
            let (before, missed, dropped) = std::mem::replace(&mut stream.told, (now, missing, drops));
            let part = DatagramFlow {
                received: now.unique - before.unique,
                missing: missing.cast_signed() - missed.cast_signed(),
                reordered: now.reordered - before.reordered,
                duplicates: now.duplicates - before.duplicates,
                longest_gap: now.longest_gap,
                jitter_us: (stream.jitter / 16) as u32,
                socket_drops: u64::from(drops.wrapping_sub(dropped)),
            };
            self.flow.meter.datagrams.add(|all| all.add(&part));
        }
        self.flow.meter.add_verified(&std::mem::take(&mut self.verified));
    }

    /// Ends the flow on this thread: nothing comes any more.
    pub fn end(mut self) {
        for stream in self.streams.values_mut() {
            stream.sequence.end();
        }
        self.ask();
    }
}

impl Stream {
    /// The way's delay varies (RFC 3550, 6.4.1): the clocks' difference cancels out.
    fn notice(&mut self, run_now: RunTime, at_us: u64) {
        let transit_us = run_now.0.cast_signed() - at_us.cast_signed();
        if let Some(before) = self.transit_us.replace(transit_us) {
            self.jitter += (transit_us - before).abs() - (self.jitter + 8) / 16;
        }
    }
}

/// Compares one datagram in so many with what was `sent` behind its header. The first
/// differing byte: a stream's positions are its datagrams' bytes by their numbers.
fn compare(
    bytes: &[u8],
    segment: usize,
    token: u64,
    sent: &[u8],
    one_in: u16,
    verified: &mut VerifiedFlow,
) -> Option<Difference> {
    let mut found = None;
    for datagram in bytes.chunks(segment) {
        let Some((number, _)) = read_header(token, datagram) else { continue };
        if !number.is_multiple_of(u64::from(one_in)) {
            continue;
        }
        let received = &datagram[HEADER_BYTES..];
        verified.bytes += received.len() as u64;
        if received != &sent[..received.len().min(sent.len())] {
            let differing = || sent.iter().zip(received).enumerate().filter(|(_, (a, b))| a != b);
            verified.differing_bytes += differing().count() as u64;
            let start = number * (HEADER_BYTES + sent.len()) as u64;
            found = found.or_else(|| {
                let (at, (sent, received)) = differing().next()?;
                let position = start + (HEADER_BYTES + at) as u64;
                Some(Difference { position, bytes: 1, sent: *sent, received: *received })
            });
        }
    }
    found
}
