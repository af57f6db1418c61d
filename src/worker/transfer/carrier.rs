//! One thread that carries bytes: its loop, and whose turn it is.
//!
//! Each time round: letters, rounds, sockets, turns to send and receive, deadlines, slots.
//! It waits for nothing but its event queue, and for that never longer than to the next
//! slot; and it looks at the clock after every few milliseconds' worth of bytes.

use std::{
    collections::{BTreeMap, VecDeque},
    io,
    net::UdpSocket,
    num::NonZeroU64,
    sync::{Arc, PoisonError},
};

use socket2::Socket;

use super::{
    Command, Shared,
    around::{Around, Place, Turn},
    ends::{Sink, Source},
    inlet::SCRATCH_BYTES,
    poller::{Letter, Poller, Ready, Token},
    slots::Slots,
    source::TICK,
    stage::Stage,
};
use crate::{
    model::{
        fleet::units::{RunTime, SLOT_US},
        plan::layout::FlowId,
        record::line::Body,
        run::message::Role,
    },
    sys::{
        clock,
        pages::{HUGE_BYTES, HugePages},
        process::{confine, cores},
    },
};

mod doors;
mod rounds;
mod telling;

/// A caller must have said who it is within this.
const GREETING_US: u64 = 2_000_000;

/// A time round the loop that took longer did not run: a frozen process, a starved or
/// paused machine. Half of the shortest drop-off there is.
const STALLED_US: u64 = 250_000;

/// Bytes that are moved between two looks at the clock: about half a millisecond's worth.
const BUDGET_BYTES: usize = 4 * 1024 * 1024;

/// Time that turns may take together: on a machine short of cores each call also does some of the kernel's
/// work for others, and a hundred of them took a third of a second.
const TURNS_US: u64 = 5_000;

/// Deadlines of streams are looked at this often.
const TICK_US: u64 = 5_000;

/// The flow number of reach: no transfer has it.
pub const REACH_FLOW: FlowId = 0;

struct Caller {
    socket: Socket,
    since_us: u64,
}

/// One thread's state.
pub struct Carrier {
    place: Place,
    shared: Arc<Shared>,
    scratch: HugePages,
    poller: Poller,
    listener: Option<Socket>,
    udp: Option<UdpSocket>,
    callers: BTreeMap<u32, Caller>,
    called: u32,
    stage: Option<Arc<Stage>>,
    zero: Option<RunTime>,
    stopped: bool,
    next_sink_round: usize,
    next_source_round: usize,
    sources: BTreeMap<FlowId, Source>,
    sinks: BTreeMap<FlowId, Sink>,
    turns: VecDeque<Turn>,
    heard: BTreeMap<FlowId, u32>,
    slots: Slots,
    ticked_us: u64,
    told_us: u64,
    turn_at_us: u64,
    quit: bool,
}

impl Carrier {
    /// Not yet running; the first carrier gets the listening ends.
    ///
    /// # Errors
    ///
    /// If the kernel gives no event queue.
    pub fn new(place: Place, shared: Arc<Shared>, ends: Option<(Socket, UdpSocket)>) -> io::Result<Self> {
        let mut poller = Poller::new(&place.mailboxes[place.index])?;
        let (listener, udp) = ends.unzip();
        if let (Some(listener), Some(udp)) = (&listener, &udp) {
            poller.watch(listener, Token::Listener)?;
            poller.watch(udp, Token::Datagrams)?;
        }
        let scratch = HugePages::new(SCRATCH_BYTES.div_ceil(HUGE_BYTES), |_| ())?;
        let now_us = clock::now_us();
        Ok(Self {
            place,
            shared,
            scratch,
            poller,
            listener,
            udp,
            callers: BTreeMap::new(),
            called: 0,
            stage: None,
            zero: None,
            stopped: false,
            next_sink_round: 0,
            next_source_round: 0,
            sources: BTreeMap::new(),
            sinks: BTreeMap::new(),
            turns: VecDeque::new(),
            heard: BTreeMap::new(),
            slots: Slots::default(),
            ticked_us: now_us,
            told_us: now_us,
            turn_at_us: now_us,
            quit: false,
        })
    }

    /// Runs until told to quit.
    pub fn run(mut self) {
        let id = rustix::thread::gettid().as_raw_nonzero().get().cast_unsigned();
        self.shared.threads.lock().unwrap_or_else(PoisonError::into_inner).push(id);
        settle(self.place.index);
        while !self.quit {
            let wait_us = if self.turns.is_empty() { self.wait_us() } else { 0 };
            match self.poller.wait(wait_us) {
                Ok(ready) => self.round(ready),
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
        let (may_send, ticks_us) = (self.shared.may_send(now_us), self.ticked_us + TICK_US);
        let wakes =
            self.sources.values().map(|source| source.wake_us(may_send, ticks_us).saturating_sub(now_us));
        wakes.min().unwrap_or(u64::MAX).min(to_slot).min(tick)
    }

    /// One time round the loop.
    fn round(&mut self, ready: Vec<Ready>) {
        let now_us = clock::now_us();
        self.note_stall(now_us);
        self.cut_slots();
        // The bell is asked only when it rang: every call less is a call more for bytes.
        if ready.iter().any(|event| event.token == Token::Mailbox) {
            for letter in self.place.mailboxes[self.place.index].take() {
                self.letter(letter, now_us);
            }
        }
        self.open_rounds(now_us);
        for event in ready {
            self.ready(event, now_us);
        }
        self.take_turns(now_us);
        self.tick(now_us);
        self.close_rounds(now_us);
        self.ask_and_tell(now_us);
    }

    /// What an end of a flow needs, borrowed from the carrier's own fields.
    fn with<T>(
        &mut self,
        now_us: u64,
        act: impl FnOnce(&mut BTreeMap<FlowId, Source>, &mut BTreeMap<FlowId, Sink>, &mut Around<'_>) -> T,
    ) -> Option<T> {
        let stage = self.stage.as_ref()?;
        let mut around = Around {
            shared: &self.shared,
            poller: &mut self.poller,
            now_us,
            payload: &stage.payload,
            turns: &mut self.turns,
            place: &self.place,
        };
        Some(act(&mut self.sources, &mut self.sinks, &mut around))
    }

    /// Streams that can go on have their turns, one call each, until enough was moved or enough time has
    /// passed for all else to be looked at again.
    fn take_turns(&mut self, now_us: u64) {
        let (mut moved, until_us) = (0, clock::now_us() + TURNS_US);
        while moved < BUDGET_BYTES && clock::now_us() < until_us {
            let Some(turn) = self.turns.pop_front() else { return };
            let Some(stage) = &self.stage else { return };
            let mut around = Around {
                shared: &self.shared,
                poller: &mut self.poller,
                now_us,
                payload: &stage.payload,
                turns: &mut self.turns,
                place: &self.place,
            };
            moved += match turn.role {
                Role::Sink => self
                    .sinks
                    .get_mut(&turn.flow)
                    .map_or(0, |sink| sink.turn(turn.place, &mut self.scratch, &mut around)),
                Role::Source => {
                    self.sources.get_mut(&turn.flow).map_or(0, |source| source.turn(turn.place, &mut around))
                }
            };
        }
    }

    /// Rates are kept each time round, deadlines looked at every few milliseconds.
    fn tick(&mut self, now_us: u64) {
        let due = now_us >= self.ticked_us + TICK_US;
        if due {
            self.ticked_us = now_us;
            self.callers.retain(|_, caller| now_us < caller.since_us + GREETING_US);
        }
        self.with(now_us, |sources, sinks, around| {
            for source in sources.values_mut() {
                if due {
                    source.tick(around);
                }
                source.pump(around);
            }
            for sink in sinks.values_mut() {
                sink.consent(around);
            }
        });
    }

    /// A time round that comes much too late is told: what this worker missed is nobody's fault.
    fn note_stall(&mut self, now_us: u64) {
        let before = std::mem::replace(&mut self.turn_at_us, now_us);
        if self.place.index == 0 && now_us.saturating_sub(before) > STALLED_US {
            let to = self.shared.run_now();
            let from = RunTime(to.0.saturating_sub(now_us - before));
            self.shared.tell(Body::Stalled { from, to });
        }
    }

    fn letter(&mut self, letter: Letter, now_us: u64) {
        match letter {
            Letter::Stream(socket, hello) => self.take_stream(socket, hello, now_us),
            Letter::Datagrams(from, hello) => self.take_datagrams(from, hello, now_us),
            Letter::Answered(flow) => {
                self.with(now_us, |sources, _, around| {
                    if let Some(source) = sources.get_mut(&flow) {
                        source.connect_all(around);
                    }
                });
            }
            Letter::Command(Command::Prepare(stage)) => {
                self.end_all(now_us);
                // What its last flows came to, before nobody asks for them any more.
                self.tell_meters();
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
                self.end_sources(now_us);
            }
            Letter::Command(Command::Quit) => {
                self.end_all(now_us);
                self.quit = true;
            }
        }
    }

    fn ready(&mut self, event: Ready, now_us: u64) {
        match event.token {
            Token::Mailbox => {}
            Token::Listener => self.answer_callers(now_us),
            Token::Datagrams => self.answer_datagrams(now_us),
            Token::Caller { number } => self.greet(number, now_us),
            Token::Sink { flow, place } => {
                self.with(now_us, |_, sinks, around| {
                    if let Some(sink) = sinks.get_mut(&flow) {
                        sink.ready(place, around);
                    }
                });
            }
            Token::Source { flow, place } => {
                self.with(now_us, |sources, _, around| {
                    if let Some(source) = sources.get_mut(&flow) {
                        source.ready(place, event.readable, event.writable, around);
                    }
                });
            }
            Token::Probe { flow } => {
                self.with(now_us, |sources, _, around| {
                    if let Some(source) = sources.get_mut(&flow) {
                        source.hear_answers(around);
                    }
                });
            }
        }
    }
}

/// Stays on one core, so that what it has just received is still in that core's cache, and
/// wakes when it asked to: by default the kernel lets timers slip by 50 us.
fn settle(index: usize) {
    if let Ok(cores) = cores()
        && let Some(core) = cores.get(index % cores.len().max(1))
        && let Err(error) = confine(None, &[*core])
    {
        tracing::debug!(%error, core, "this carrier is not bound to a core");
    }
    if let Err(error) = rustix::thread::set_current_timer_slack(NonZeroU64::new(1)) {
        tracing::debug!(%error, "timers may slip");
    }
}
