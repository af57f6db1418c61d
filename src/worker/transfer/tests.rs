//! One or two sets of carriers over loopback, with stages made by hand.
//!
//! Tests take turns: two of them at once would measure each other.

use std::{
    cell::RefCell,
    collections::BTreeMap,
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpListener, TcpStream, UdpSocket},
    sync::{LazyLock, MutexGuard},
    time::{Duration, Instant},
};

use tokio::sync::mpsc;

use super::{
    alone::Alone,
    hosted::Hosted,
    key::{HELLO_BYTES, Hello, Purpose, TransferKey, read_hello},
    payload::Payload,
    stage::{Flow, Meter, Round},
    *,
};
use crate::{
    model::{
        fleet::{host::HostId, units::SLOT_US},
        plan::{
            carriage::{BufferLayout, Carriage, ReceiveMode},
            layout::FlowId,
        },
        record::{
            few::Few,
            line::{CorruptSeen, ReachPeer, StreamEvent, VerifiedFlow},
            slot_bytes::SlotBytes,
        },
        run::message::{Role, SecretHex},
    },
    worker::reach::reach,
};

mod datagrams;
mod files;
pub(super) mod verifying;

/// The run of all tests begins with the first of them.
static ORIGIN: LazyLock<u64> = LazyLock::new(clock::now_us);

/// Whose turn it is.
static TURN: Mutex<()> = Mutex::new(());

/// A slot closed later than this may be missing; below the contract's 50 ms, since the
/// histogram rounds.
const LATE_US: u64 = 45_000;

/// Receivers count this many slots after a flow's end.
const DRAIN_SLOTS: u64 = 2;

/// The flow of most tests.
pub(super) const FLOW: FlowId = 5;

pub(super) fn turn() -> MutexGuard<'static, ()> {
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

pub(super) fn key(digit: &str) -> TransferKey {
    TransferKey::new(&SecretHex(digit.repeat(64))).unwrap()
}

/// The payload of all tests: what the fleet's key draws.
fn payload() -> Arc<Payload> {
    static PAYLOAD: LazyLock<Arc<Payload>> = LazyLock::new(|| Arc::new(Payload::new(&key("f")).unwrap()));
    Arc::clone(&PAYLOAD)
}

pub(super) fn no_caps() -> Caps {
    Caps { rate_bps: None, bytes: u64::MAX, duration_us: u64::MAX }
}

/// One worker's carriers, without a session.
pub(super) struct End {
    pub(super) shared: Arc<Shared>,
    carriers: Option<Carriers>,
    lines: mpsc::Receiver<(RunTime, Body)>,
    pub(super) seen: Vec<Body>,
    pub(super) addr: SocketAddr,
    hosted: RefCell<Hosted>,
    runtime: tokio::runtime::Runtime,
}

impl End {
    pub(super) fn new() -> Self {
        Self::with(no_caps(), 1)
    }

    pub(super) fn with(caps: Caps, threads: usize) -> Self {
        Self::on(caps, threads, &std::env::temp_dir().join("nicburn-tests"))
    }

    /// With its files in this folder.
    fn on(caps: Caps, threads: usize, spool: &std::path::Path) -> Self {
        let Alone { shared, carriers, lines } =
            Alone::start(Binding::loopback().unwrap(), 0, threads, |shared| {
                shared.offset_us = AtomicI64::new(-ORIGIN.cast_signed());
                shared.depot = Arc::new(depot::Depot::new(spool));
                shared.caps = caps;
            })
            .unwrap();
        let addr = SocketAddr::new(shared.binding.addr, shared.binding.port);
        let carriers = Some(carriers);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        Self { shared, carriers, lines, seen: Vec::new(), addr, hosted: RefCell::default(), runtime }
    }

    pub(super) fn tell(&self, command: &Command) {
        if matches!(command, Command::Stop) {
            self.hosted.borrow_mut().stop();
        }
        self.carriers.as_ref().unwrap().tell(command);
    }

    pub(super) fn begin(&self, stage: Stage, at: RunTime) {
        let (index, stage) = (stage.index, Arc::new(stage));
        self.tell(&Command::Prepare(Arc::clone(&stage)));
        self.hosted.borrow_mut().start(&self.shared, &stage, at);
        self.tell(&Command::Start { stage: index, at });
    }

    /// Waits until `enough` holds for what was told, at most `longest`.
    pub(super) fn until(&mut self, longest: Duration, enough: impl Fn(&[Body]) -> bool) {
        let limit = Instant::now() + longest;
        while !enough(&self.seen) {
            let left = limit.saturating_duration_since(Instant::now());
            let line = self.runtime.block_on(async { tokio::time::timeout(left, self.lines.recv()).await });
            match line {
                Ok(Some((_, body))) => self.seen.push(body),
                Ok(None) | Err(_) => panic!("waited {longest:?} in vain; told: {:#?}", self.seen),
            }
        }
    }

    pub(super) fn quit(&mut self) {
        self.hosted.borrow_mut().stop();
        if let Some(carriers) = self.carriers.take() {
            carriers.quit();
        }
        while let Ok((_, body)) = self.lines.try_recv() {
            self.seen.push(body);
        }
    }

    fn late_us(&self) -> u64 {
        self.shared.lateness.lock().unwrap_or_else(PoisonError::into_inner).max()
    }

    /// Time on a core of its one thread so far.
    fn cpu(&self) -> Duration {
        let thread = self.shared.threads.lock().unwrap_or_else(PoisonError::into_inner)[0];
        let text = std::fs::read_to_string(format!("/proc/self/task/{thread}/schedstat")).unwrap();
        Duration::from_nanos(text.split(' ').next().unwrap().parse().unwrap())
    }
}

impl Drop for End {
    fn drop(&mut self) {
        self.quit();
    }
}

/// Bytes by slot of [`FLOW`].
pub(super) fn slots(seen: &[Body]) -> BTreeMap<u64, Option<u64>> {
    let mut slots = BTreeMap::new();
    for body in seen {
        let Body::Samples(samples) = body else { continue };
        for (slot, bytes) in (samples.s..).zip(samples.rx.get(&FLOW).into_iter().flatten()) {
            assert_eq!(slots.insert(slot, bytes.map(SlotBytes::get)), None, "slot {slot} was told twice");
        }
    }
    slots
}

pub(super) fn received(seen: &[Body]) -> u64 {
    slots(seen).values().flatten().sum()
}

pub(super) fn sent(seen: &[Body]) -> Option<u64> {
    seen.iter().find_map(|body| match body {
        Body::Sent { flow: FLOW, bytes } => Some(*bytes),
        _ => None,
    })
}

pub(super) fn events(seen: &[Body]) -> Vec<StreamEvent> {
    let of_a_stream = |body: &Body| match body {
        Body::Stream(line) => Some(line.what),
        _ => None,
    };
    seen.iter().filter_map(of_a_stream).collect()
}

/// What a test varies of its one flow.
pub(super) struct Wanted {
    pub(super) carriage: Carriage,
    pub(super) rate_bps: Option<u64>,
    pub(super) slots: u64,
    pub(super) key: &'static str,
}

impl Default for Wanted {
    fn default() -> Self {
        Self { carriage: Carriage::tcp(2), rate_bps: Some(40_000_000), slots: 10, key: "a" }
    }
}

impl Wanted {
    /// The stage of one end of it.
    pub(super) fn stage(&self, role: Role, peer: SocketAddr) -> Stage {
        let (rate_bps, meter) = (self.rate_bps, Arc::new(Meter::default()));
        let flow = Flow { id: FLOW, role, peer, rate_bps, key: key(self.key), meter };
        let carriage = self.carriage.clone();
        let round = Round { offset_us: 0, for_us: self.slots * SLOT_US, carriage, flows: vec![flow] };
        let peers = BTreeMap::from([(HostId(1), peer)]);
        Stage {
            index: 1,
            fleet_key: key("f"),
            payload: payload(),
            rounds: vec![round],
            peers,
            probes: BTreeMap::new(),
            for_us: 0,
        }
    }

    /// Starts both ends on a slot's bound, at least 600 ms from now.
    pub(super) fn start(&self, source: &End, sink: &End) -> RunTime {
        let zero = RunTime::of_slot(source.shared.run_now().slot() + 7);
        sink.begin(self.stage(Role::Sink, source.addr), zero);
        source.begin(self.stage(Role::Source, sink.addr), zero);
        zero
    }

    /// Starts a source towards somebody who is no carrier, now.
    fn start_towards(&self, source: &End, peer: SocketAddr) {
        source.begin(self.stage(Role::Source, peer), source.shared.run_now());
    }

    /// Waits until both ends have told all of it.
    pub(super) fn finish(&self, zero: RunTime, source: &mut End, sink: &mut End) {
        let longest = Duration::from_micros(self.slots * SLOT_US) + Duration::from_secs(3);
        let last = zero.slot() + self.slots + DRAIN_SLOTS - 1;
        source.until(longest, |seen| sent(seen).is_some());
        sink.until(longest, |seen| slots(seen).contains_key(&last));
    }
}

#[test]
fn every_slot_is_told_once_and_no_more_is_received_than_was_sent() {
    let _turn = turn();
    let (mut source, mut sink) = (End::new(), End::new());
    let wanted = Wanted { rate_bps: None, carriage: Carriage::tcp(3), ..Wanted::default() };
    let zero = wanted.start(&source, &sink);
    wanted.finish(zero, &mut source, &mut sink);
    let slots = slots(&sink.seen);
    let told: Vec<u64> = slots.keys().copied().collect();
    let all: Vec<u64> = (zero.slot()..zero.slot() + wanted.slots + DRAIN_SLOTS).collect();
    assert_eq!(told, all);
    let (sent, received) = (sent(&source.seen).unwrap(), received(&sink.seen));
    assert!(received <= sent, "{received} received of {sent}");
    assert!(received > 10_000_000, "{received}");
    assert_eq!(events(&source.seen), [StreamEvent::Flowing; 3]);
    // A machine that held the thread up is to say so with a missing slot.
    if sink.late_us() < LATE_US {
        assert!(slots.values().all(Option::is_some), "{slots:?}, though {} us late", sink.late_us());
    }
}

#[test]
fn a_paced_flow_keeps_its_rate_within_five_per_cent() {
    let _turn = turn();
    let (mut source, mut sink) = (End::new(), End::new());
    let wanted = Wanted { slots: 30, ..Wanted::default() };
    let zero = wanted.start(&source, &sink);
    wanted.finish(zero, &mut source, &mut sink);
    let slots = slots(&sink.seen);
    let middle: Vec<u64> =
        slots.range(zero.slot() + 5..zero.slot() + 25).filter_map(|(_, bytes)| *bytes).collect();
    assert!(middle.len() >= 15, "{slots:?}");
    let share = middle.iter().sum::<u64>() as f64 / middle.len() as f64 / 500_000.0;
    assert!((0.95..=1.05).contains(&share), "{share} of the rate; {slots:?}");
}

#[test]
fn who_holds_another_key_counts_for_nothing() {
    let _turn = turn();
    let (mut source, mut sink) = (End::new(), End::new());
    let wanted = Wanted::default();
    let zero = wanted.start(&source, &sink);
    let stranger = Wanted { key: "b", ..Wanted::default() };
    source.begin(stranger.stage(Role::Source, sink.addr), zero);
    wanted.finish(zero, &mut source, &mut sink);
    assert_eq!((sent(&source.seen), received(&sink.seen)), (Some(0), 0));
    assert!(slots(&sink.seen).values().any(Option::is_some), "it counted, and found nothing");
    let events = events(&source.seen);
    assert_eq!(events[..2], [StreamEvent::Reset; 2], "both streams are closed without a word");
    assert!(!events.contains(&StreamEvent::Flowing));
}

#[test]
fn without_a_lease_not_even_a_handshake_or_a_probe_is_sent() {
    let _turn = turn();
    let mut source = End::new();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let udp = UdpSocket::bind(listener.local_addr().unwrap()).unwrap();
    listener.set_nonblocking(true).unwrap();
    udp.set_nonblocking(true).unwrap();
    source.shared.lease_until_us.store(0, Ordering::Relaxed);
    Wanted::default().start_towards(&source, listener.local_addr().unwrap());
    source.until(Duration::from_secs(4), |seen| sent(seen).is_some());
    assert_eq!(sent(&source.seen), Some(0));
    assert_eq!(listener.accept().unwrap_err().kind(), io::ErrorKind::WouldBlock);
    assert_eq!(udp.recv(&mut [0; 100]).unwrap_err().kind(), io::ErrorKind::WouldBlock);
}

#[test]
fn a_lease_that_runs_out_ends_the_sending() {
    let _turn = turn();
    let (mut source, mut sink) = (End::new(), End::new());
    let wanted = Wanted { slots: 15, ..Wanted::default() };
    let zero = wanted.start(&source, &sink);
    let until = zero.0 + 500_000;
    source.shared.lease_until_us.store(until + *ORIGIN, Ordering::Relaxed);
    wanted.finish(zero, &mut source, &mut sink);
    let slots = slots(&sink.seen);
    let before: u64 = slots.range(..zero.slot() + 5).filter_map(|(_, bytes)| *bytes).sum();
    assert!(before > 0, "{slots:?}");
    let after: Vec<_> = slots.range(zero.slot() + 7..).filter_map(|(_, bytes)| *bytes).collect();
    assert!(after.len() > 3 && after.iter().all(|bytes| *bytes == 0), "{slots:?}");
}

#[test]
fn a_stop_ends_the_sending_at_once() {
    let _turn = turn();
    let (mut source, mut sink) = (End::new(), End::new());
    let wanted = Wanted { rate_bps: None, slots: 300, ..Wanted::default() };
    wanted.start(&source, &sink);
    sink.until(Duration::from_secs(4), |seen| received(seen) > 0);
    source.tell(&Command::Stop);
    let stopped = source.shared.run_now();
    source.until(Duration::from_secs(1), |seen| sent(seen).is_some());
    sink.until(Duration::from_secs(4), |seen| slots(seen).contains_key(&(stopped.slot() + 12)));
    // The first slot that begins 200 ms or more after the stop.
    let quiet = (stopped.0 + 200_000).div_ceil(SLOT_US);
    let slots = slots(&sink.seen);
    let after: Vec<_> = slots.range(quiet..).filter_map(|(_, bytes)| *bytes).collect();
    assert!(after.len() > 3 && after.iter().all(|bytes| *bytes == 0), "from {quiet} on: {slots:?}");
}

#[test]
fn a_sink_that_quits_within_its_round_is_a_reset_or_a_refusal_at_its_source() {
    let _turn = turn();
    let (mut source, mut sink) = (End::new(), End::new());
    Wanted { slots: 300, carriage: Carriage::tcp(1), ..Wanted::default() }.start(&source, &sink);
    sink.until(Duration::from_secs(4), |seen| received(seen) > 0);
    sink.quit();
    source.until(Duration::from_secs(3), |seen| events(seen).len() >= 2);
    let events = events(&source.seen);
    assert_eq!(events[0], StreamEvent::Flowing);
    assert!(matches!(events[1], StreamEvent::Reset | StreamEvent::Refused), "{events:?}");
}

#[test]
fn a_sink_whose_kernel_answers_and_whose_thread_does_not_is_silent() {
    let _turn = turn();
    let mut source = End::new();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    Wanted { slots: 300, carriage: Carriage::tcp(1), ..Wanted::default() }
        .start_towards(&source, listener.local_addr().unwrap());
    let mut caller = listener.accept().unwrap().0;
    caller.set_read_timeout(Some(Duration::from_secs(4))).unwrap();
    source.until(Duration::from_secs(4), |seen| !events(seen).is_empty());
    assert_eq!(events(&source.seen), [StreamEvent::Silent]);
    source.tell(&Command::Stop);
    source.until(Duration::from_secs(1), |seen| sent(seen).is_some());
    assert_eq!(sent(&source.seen), Some(0));
    let mut bytes = Vec::new();
    let ended = caller.read_to_end(&mut bytes);
    assert_eq!(bytes.len(), HELLO_BYTES, "it said hello and no more");
    assert_eq!(ended.unwrap_err().kind(), io::ErrorKind::ConnectionReset, "and gave the stream up");
}

/// Sends a probe of a flow, sealed with a key.
fn probe(udp: &UdpSocket, flow: FlowId, key: &TransferKey, nonce: u8) {
    let hello = Hello { purpose: Purpose::Probe, flow, stream: 0, nonce: [nonce; 16] };
    udp.send(&key.seal(&hello)).unwrap();
}

#[test]
fn a_probe_with_the_wrong_key_is_neither_answered_nor_counted() {
    let _turn = turn();
    let mut sink = End::new();
    let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
    udp.connect(sink.addr).unwrap();
    udp.set_read_timeout(Some(Duration::from_secs(2))).unwrap();
    let stage = Wanted::default().stage(Role::Sink, udp.local_addr().unwrap());
    sink.tell(&Command::Prepare(Arc::new(stage)));
    // Datagrams keep their order here: had a wrong one been answered, its answer came first.
    probe(&udp, FLOW, &key("b"), 1);
    probe(&udp, FLOW, &key("f"), 2);
    probe(&udp, FLOW + 1, &key("a"), 3);
    udp.send(&[0; HELLO_BYTES]).unwrap();
    probe(&udp, FLOW, &key("a"), 4);
    let mut bytes = [0; HELLO_BYTES];
    assert_eq!(udp.recv(&mut bytes).unwrap(), HELLO_BYTES);
    assert!(key("a").proves(&bytes));
    let answer = read_hello(&bytes).unwrap();
    assert_eq!((answer.purpose, answer.flow, answer.nonce), (Purpose::Answer, FLOW, [4; 16]));
    let heard = |body: &Body| match body {
        Body::Samples(samples) => samples.heard.as_deref().cloned().unwrap_or_default(),
        _ => Few::new(),
    };
    sink.until(Duration::from_secs(2), |seen| seen.iter().any(|body| !heard(body).is_empty()));
    let heard: Vec<_> = sink.seen.iter().flat_map(heard).collect();
    assert_eq!(heard, [(FLOW, 1)]);
}

/// What `from` comes to in reaching for `to` with a key.
fn reached(from: &mut End, to: &End, digit: &str) -> ReachPeer {
    let stage = Stage { fleet_key: key(digit), ..Wanted::default().stage(Role::Source, to.addr) };
    from.runtime.block_on(reach(Arc::clone(&from.shared), Arc::new(stage), HostId(0)));
    from.seen.clear();
    let is_reach = |body: &Body| matches!(body, Body::Reach(_));
    from.until(Duration::from_secs(1), |seen| seen.iter().any(is_reach));
    match from.seen.iter().find(|body| is_reach(body)) {
        Some(Body::Reach(seen)) => seen.peers[&HostId(1)].clone(),
        _ => unreachable!("awaited above"),
    }
}

#[test]
fn reach_is_answered_with_the_fleets_key_and_with_no_other() {
    let _turn = turn();
    let (mut caller, mut sink) = (End::new(), End::new());
    sink.tell(&Command::Prepare(Arc::new(Wanted::default().stage(Role::Sink, caller.addr))));
    let friend = reached(&mut caller, &sink, "f");
    assert!(friend.tcp_us.is_some() && friend.udp_us.is_some() && friend.why.is_empty(), "{friend:?}");
    let stranger = reached(&mut caller, &sink, "e");
    assert_eq!((stranger.tcp_us, stranger.udp_us), (None, None), "{stranger:?}");
    let gone = sink.addr;
    sink.quit();
    let nobody = reached(&mut caller, &sink, "f");
    assert_eq!((nobody.tcp_us, nobody.udp_us), (None, None), "{nobody:?}");
    assert!(nobody.why.contains(&gone.to_string()), "{nobody:?}");
}

/// Plays the sink of a stream: proves the key once, and counts what comes until the end.
fn play_sink(mut stream: TcpStream) -> (u16, u64) {
    stream.set_read_timeout(Some(Duration::from_secs(4))).unwrap();
    let mut bytes = [0; HELLO_BYTES];
    stream.read_exact(&mut bytes).unwrap();
    assert!(key("a").proves(&bytes));
    let hello = read_hello(&bytes).unwrap();
    stream.write_all(&key("a").consent(&hello.nonce, 0)).unwrap();
    let mut count = 0;
    let mut room = vec![0; 65_536];
    while let Ok(length @ 1..) = stream.read(&mut room) {
        count += length as u64;
    }
    (hello.stream, count)
}

#[test]
fn the_streams_of_a_paced_flow_share_its_rate() {
    let _turn = turn();
    let source = End::new();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let wanted = Wanted { carriage: Carriage::tcp(4), slots: 20, ..Wanted::default() };
    wanted.start_towards(&source, listener.local_addr().unwrap());
    let sinks: Vec<_> = (0..4)
        .map(|_| {
            let stream = listener.accept().unwrap().0;
            std::thread::spawn(move || play_sink(stream))
        })
        .collect();
    let counts: BTreeMap<u16, u64> = sinks.into_iter().map(|sink| sink.join().unwrap()).collect();
    let fair = counts.values().sum::<u64>() / 4;
    assert!(counts.values().all(|count| *count > fair / 2), "{counts:?}");
}

#[test]
fn the_owners_byte_cap_ends_the_sending() {
    let _turn = turn();
    let mut source = End::with(Caps { bytes: 1_000_000, ..no_caps() }, 1);
    let mut sink = End::new();
    let wanted = Wanted::default();
    let zero = wanted.start(&source, &sink);
    wanted.finish(zero, &mut source, &mut sink);
    let sent = sent(&source.seen).unwrap();
    // One batch may be under way: 10 ms of the rate.
    assert!((1_000_000..=1_050_000).contains(&sent), "{sent}");
}

#[test]
fn the_owners_longest_time_ends_the_sending() {
    let _turn = turn();
    let mut source = End::with(Caps { duration_us: 300_000, ..no_caps() }, 1);
    let mut sink = End::new();
    let wanted = Wanted::default();
    let zero = wanted.start(&source, &sink);
    wanted.finish(zero, &mut source, &mut sink);
    let sent = sent(&source.seen).unwrap();
    assert!((500_000..=1_650_000).contains(&sent), "{sent} bytes, 5 MB a second");
}

#[test]
fn a_source_that_may_not_send_leaves_its_core_alone() {
    let _turn = turn();
    let mut source = End::new();
    source.shared.lease_until_us.store(0, Ordering::Relaxed);
    Wanted::default().start_towards(&source, source.addr);
    source.until(Duration::from_secs(4), |seen| sent(seen).is_some());
    let used = source.cpu();
    assert!(used < Duration::from_millis(200), "{used:?} of a second");
}

#[test]
fn a_source_that_awaits_a_silent_sink_leaves_its_core_alone() {
    let _turn = turn();
    let mut source = End::new();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let wanted = Wanted { slots: 50, carriage: Carriage::tcp(1), ..Wanted::default() };
    wanted.start_towards(&source, listener.local_addr().unwrap());
    source.until(Duration::from_secs(8), |seen| sent(seen).is_some());
    let used = source.cpu();
    assert!(used < Duration::from_millis(500), "{used:?} of five seconds");
}
