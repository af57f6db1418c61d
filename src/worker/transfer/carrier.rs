//! One thread that carries bytes: its loop, and the rounds it opens and closes by the clock.
//!
//! Each turn: letters, rounds, wait, sockets, consents and deadlines, sending, slots. It
//! waits for nothing but its event queue, and for that never longer than to the next slot.

use std::{
    collections::BTreeMap,
    io,
    mem::MaybeUninit,
    net::UdpSocket,
    sync::{Arc, PoisonError, atomic::Ordering},
};

use socket2::Socket;

use super::{
    Command, Flow, Shared, Stage,
    poller::{Letter, MAILBOX, Mailbox, Poller},
    sink::Sink,
    slots::Slots,
    source::{Around, Source, TICK},
};
use crate::{
    model::{
        fleet::units::{RunTime, SLOT_US},
        plan::layout::FlowId,
        record::line::{Body, Samples, TcpSeen},
        run::message::Role,
    },
    sys::clock,
};

mod doors;

/// Random bytes that are sent over and over: larger than the caches that a card's reads
/// could be served from is left to the engines to come; this is one buffer a worker.
const PAYLOAD_BYTES: usize = 4 * 1024 * 1024;

/// Room for what is received and dropped; the kernel writes none of it.
const SCRATCH_BYTES: usize = 1024 * 1024;

/// Sinks await their streams this long before their round, for clocks that differ.
const EARLY_US: u64 = 500_000;

/// Sinks read this long after their round.
const DRAIN_US: u64 = 200_000;

/// A caller must have said who it is within this.
const GREETING_US: u64 = 2_000_000;

/// A turn that took longer did not run: a frozen process, a starved or paused machine.
const STALLED_US: u64 = 1_000_000;

/// How often a source's connections are asked for their state.
const TCP_EVERY_US: u64 = 1_000_000;

/// The flow number of reach: no transfer has it.
pub const REACH_FLOW: FlowId = 0;

/// Random bytes for all carriers of a worker.
///
/// # Errors
///
/// If the kernel gives none.
pub fn payload() -> io::Result<Arc<[u8]>> {
    let mut bytes = vec![0; PAYLOAD_BYTES];
    ring::rand::SecureRandom::fill(&ring::rand::SystemRandom::new(), &mut bytes)
        .map_err(|_| io::Error::other("the kernel gives no random bytes for the payload"))?;
    Ok(bytes.into())
}

/// Which of a worker's carriers this is.
pub struct Place {
    /// From 0; the first one listens.
    pub index: usize,
    /// Everybody's mailbox.
    pub mailboxes: Vec<Arc<Mailbox>>,
}

impl Place {
    /// Flows are dealt out by their number.
    fn owns(&self, flow: &Flow) -> bool {
        flow.id as usize % self.mailboxes.len() == self.index
    }
}

struct Caller {
    socket: Socket,
    since_us: u64,
}

/// One thread's state.
pub struct Carrier {
    place: Place,
    shared: Arc<Shared>,
    payload: Arc<[u8]>,
    scratch: Vec<MaybeUninit<u8>>,
    poller: Poller,
    listener: Option<(u64, Socket)>,
    udp: Option<(u64, UdpSocket)>,
    callers: BTreeMap<u64, Caller>,
    stage: Option<Arc<Stage>>,
    zero: Option<RunTime>,
    stopped: bool,
    next_sink_round: usize,
    next_source_round: usize,
    sources: BTreeMap<FlowId, Source>,
    sinks: BTreeMap<FlowId, Sink>,
    heard: BTreeMap<FlowId, u32>,
    slots: Slots,
    tcp_at_us: u64,
    turn_at_us: u64,
    quit: bool,
}

impl Carrier {
    /// Not yet running; the first carrier gets the listening ends.
    ///
    /// # Errors
    ///
    /// If the kernel gives no event queue.
    pub fn new(
        place: Place,
        shared: Arc<Shared>,
        payload: Arc<[u8]>,
        ends: Option<(Socket, UdpSocket)>,
    ) -> io::Result<Self> {
        let mut poller = Poller::new(&place.mailboxes[place.index])?;
        let (listener, udp) = match ends {
            Some((listener, udp)) => {
                (Some((poller.watch(&listener)?, listener)), Some((poller.watch(&udp)?, udp)))
            }
            None => (None, None),
        };
        let mut scratch = Vec::with_capacity(SCRATCH_BYTES);
        scratch.resize(SCRATCH_BYTES, MaybeUninit::uninit());
        let now_us = clock::now_us();
        Ok(Self {
            place,
            shared,
            payload,
            scratch,
            poller,
            listener,
            udp,
            callers: BTreeMap::new(),
            stage: None,
            zero: None,
            stopped: false,
            next_sink_round: 0,
            next_source_round: 0,
            sources: BTreeMap::new(),
            sinks: BTreeMap::new(),
            heard: BTreeMap::new(),
            slots: Slots::default(),
            tcp_at_us: now_us,
            turn_at_us: now_us,
            quit: false,
        })
    }

    /// Runs until told to quit.
    pub fn run(mut self) {
        let id = rustix::thread::gettid().as_raw_nonzero().get().cast_unsigned();
        self.shared.threads.lock().unwrap_or_else(PoisonError::into_inner).push(id);
        let mut hurry = false;
        while !self.quit {
            let wait_us = if hurry { 0 } else { self.wait_us() };
            match self.poller.wait(wait_us) {
                Ok(ready) => hurry = self.turn(ready),
                Err(error) => {
                    tracing::error!(%error, "the event queue is gone; this worker carries no more");
                    return;
                }
            }
        }
    }

    /// How long nothing needs to be done, microseconds.
    fn wait_us(&self) -> u64 {
        let run_now = self.shared.run_now();
        let to_slot = Slots::next_boundary(run_now).0 - run_now.0;
        let busy = !self.sources.is_empty() || !self.sinks.is_empty();
        let tick = if busy { TICK.as_micros() as u64 } else { SLOT_US };
        let now_us = clock::now_us();
        let may_send = self.shared.may_send(now_us);
        let wakes = self.sources.values().map(|source| source.wake_us(may_send).saturating_sub(now_us));
        wakes.min().unwrap_or(u64::MAX).min(to_slot).min(tick)
    }

    /// One turn of the loop; `true` when there is more to do at once.
    fn turn(&mut self, ready: Vec<super::poller::Ready>) -> bool {
        let now_us = clock::now_us();
        self.note_stall(now_us);
        self.cut_slots();
        for letter in self.place.mailboxes[self.place.index].take() {
            self.letter(letter, now_us);
        }
        self.open_rounds(now_us);
        for event in ready.into_iter().filter(|event| event.token != MAILBOX) {
            self.ready(event, now_us);
        }
        let mut more = false;
        for sink in self.sinks.values_mut() {
            more |= sink.drain(&mut self.scratch, &mut self.slots, &self.shared);
            sink.consent(now_us);
        }
        let mut around =
            Around { shared: &self.shared, poller: &mut self.poller, now_us, payload: &self.payload };
        for source in self.sources.values_mut() {
            source.tick(&mut around);
            more |= source.pump(&around);
        }
        self.close_rounds();
        self.ask_tcp(now_us);
        self.callers.retain(|_, caller| now_us < caller.since_us + GREETING_US);
        more
    }

    /// A turn that comes much too late is told: what this worker missed is nobody's fault.
    fn note_stall(&mut self, now_us: u64) {
        let before = std::mem::replace(&mut self.turn_at_us, now_us);
        if self.place.index == 0 && now_us.saturating_sub(before) > STALLED_US {
            let to = self.shared.run_now();
            let from = RunTime(to.0.saturating_sub(now_us - before));
            self.shared.tell(Body::Stalled { from, to });
        }
    }

    fn cut_slots(&mut self) {
        // Before the run's time is known there is no grid to cut on.
        if !self.shared.synced.load(Ordering::Relaxed) {
            return;
        }
        if let Some(late) = self.slots.advance(self.shared.run_now()) {
            self.shared.note_lateness(late);
            let mut lines = self.slots.due();
            self.add_probes(&mut lines);
            for line in lines {
                self.shared.tell(Body::Samples(line));
            }
        }
    }

    /// Counts of probes go out with the counts of bytes, or alone where there are none.
    fn add_probes(&mut self, lines: &mut Vec<Samples>) {
        let asked: BTreeMap<FlowId, (u32, u32)> = self
            .sources
            .iter_mut()
            .filter(|(_, source)| source.asked != (0, 0))
            .map(|(flow, source)| (*flow, std::mem::take(&mut source.asked)))
            .collect();
        let heard = std::mem::take(&mut self.heard);
        if asked.is_empty() && heard.is_empty() {
            return;
        }
        match lines.first_mut() {
            Some(line) => (line.asked, line.heard) = (asked, heard),
            None => {
                lines.push(Samples { s: self.shared.run_now().slot(), asked, heard, ..Samples::default() });
            }
        }
    }

    fn letter(&mut self, letter: Letter, now_us: u64) {
        match letter {
            Letter::Stream(socket, hello) => self.take_stream(socket, hello, now_us),
            Letter::Command(Command::Prepare(stage)) => {
                self.end_all();
                self.stage = Some(stage);
                (self.zero, self.stopped) = (None, false);
                (self.next_sink_round, self.next_source_round) = (0, 0);
            }
            Letter::Command(Command::Start { stage, at }) => {
                if self.stage.as_ref().is_some_and(|prepared| prepared.index == stage) {
                    self.zero = Some(at);
                }
            }
            Letter::Command(Command::Stop) => {
                self.stopped = true;
                self.end_sources();
            }
            Letter::Command(Command::Quit) => {
                self.end_all();
                self.quit = true;
            }
        }
    }

    fn end_sources(&mut self) {
        for (_, source) in std::mem::take(&mut self.sources) {
            source.end(&self.shared);
        }
    }

    fn end_all(&mut self) {
        self.end_sources();
        self.sinks.clear();
    }

    /// Opens the rounds whose time has come: sinks a little early, sources on time.
    fn open_rounds(&mut self, now_us: u64) {
        let (Some(stage), Some(zero)) = (self.stage.clone(), self.zero) else { return };
        let run_now = self.shared.run_now().0;
        while let Some(round) = stage.rounds.get(self.next_sink_round) {
            let start = zero.0 + round.offset_us;
            let end = start + round.for_us;
            if run_now + EARLY_US < start {
                break;
            }
            self.next_sink_round += 1;
            for flow in round.flows.iter().filter(|flow| flow.role == Role::Sink && self.place.owns(flow)) {
                if run_now < end {
                    self.slots.add(flow.id, start.div_ceil(SLOT_US), end / SLOT_US);
                    self.sinks.insert(flow.id, Sink::new(flow.clone(), RunTime(end)));
                }
            }
        }
        while let Some(round) = stage.rounds.get(self.next_source_round) {
            let start = zero.0 + round.offset_us;
            let end = start + round.for_us;
            if run_now < start {
                break;
            }
            self.next_source_round += 1;
            let sending = round.flows.iter().filter(|flow| flow.role == Role::Source);
            let count = sending.clone().count() as u64;
            for flow in sending.filter(|flow| self.place.owns(flow)) {
                if run_now >= end || self.stopped {
                    continue;
                }
                let own_cap = self.shared.caps.rate_bps.map(|rate| rate / count.max(1));
                let rate = match (flow.rate_bps, own_cap) {
                    (Some(rate), Some(cap)) => Some(rate.min(cap)),
                    (rate, cap) => rate.or(cap),
                };
                let mut around =
                    Around { shared: &self.shared, poller: &mut self.poller, now_us, payload: &self.payload };
                let source = Source::begin(flow.clone(), round.streams, RunTime(end), rate, &mut around);
                self.sources.insert(flow.id, source);
            }
        }
    }

    /// Closes what is over: sources at once, sinks after their drain.
    fn close_rounds(&mut self) {
        let run_now = self.shared.run_now().0;
        let over: Vec<FlowId> = self
            .sources
            .iter()
            .filter(|(_, source)| run_now >= source.end.0)
            .map(|(flow, _)| *flow)
            .collect();
        for flow in over {
            if let Some(source) = self.sources.remove(&flow) {
                source.end(&self.shared);
            }
        }
        self.sinks.retain(|_, sink| run_now < sink.end.0 + DRAIN_US);
    }

    fn ask_tcp(&mut self, now_us: u64) {
        if now_us < self.tcp_at_us + TCP_EVERY_US {
            return;
        }
        self.tcp_at_us = now_us;
        let flows: BTreeMap<_, _> =
            self.sources.iter_mut().filter_map(|(flow, source)| Some((*flow, source.tcp()?))).collect();
        if !flows.is_empty() {
            self.shared.tell(Body::Tcp(TcpSeen { flows }));
        }
    }

    fn ready(&mut self, event: super::poller::Ready, now_us: u64) {
        if self.listener.as_ref().is_some_and(|(token, _)| *token == event.token) {
            self.answer_callers(now_us);
        } else if self.udp.as_ref().is_some_and(|(token, _)| *token == event.token) {
            self.answer_probes();
        } else if self.callers.contains_key(&event.token) {
            self.greet(event.token, now_us);
        } else if let Some(sink) = self.sinks.values_mut().find(|sink| sink.owns(event.token)) {
            sink.ready(event.token);
        } else if let Some(source) = self.sources.values_mut().find(|source| source.owns(event.token)) {
            let mut around =
                Around { shared: &self.shared, poller: &mut self.poller, now_us, payload: &self.payload };
            source.ready(event.token, event.readable, event.writable, &mut around);
        }
    }
}
