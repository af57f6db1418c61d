//! Runs one side of a case once: starts both ends, waits with deadlines, adds up the cost.

use std::{
    net::SocketAddr,
    process::Command,
    time::{Duration, Instant},
};

use super::{
    cases::{Case, Pinning},
    child::Running,
    error::BenchError,
    machine::{busy_s, core_to_core_ns},
    metric::Run,
    peers::{PeerRun, REST},
    place::Place,
    plain,
    spec::{EndReport, EndSpec, Engine, Load},
};
use crate::{
    model::{fleet::units::SLOT_US, run::message::Role},
    sys::{clock, process::cores},
};

/// The hidden command of this program that is one end.
pub const END_COMMAND: &str = "bench-end";

/// The port of our sinks, and the first of those with a socket each.
const PORT: u16 = 5601;

/// Ends are started so long before their source begins: they make their payload, and a sink
/// opens its round half a second early.
const LEAD_US: u64 = 1_000_000;

/// A source writes its file before, and a sink opens its round 1.5 s early.
const FILE_LEAD_US: u64 = 4_000_000;

/// A run is done again when others used more of the machine than this.
const FOREIGN_SHARE_MAX: f64 = 0.2;

/// And at most so often: then it counts with what it was, and says so.
const TRIES_MAX: u32 = 3;

/// What carries a side.
#[derive(Clone, Debug)]
pub(super) enum Side {
    /// A process of ours at each end.
    Ends(Engine, Load),
    /// A peer's server and client.
    Peer(PeerRun),
    /// A plain `scp` of a file of so many bytes.
    Scp(u64),
}

/// Runs `side` until others leave it enough of the machine.
pub(super) fn quiet_run(place: &Place, case: &Case, side: &Side, for_s: u32) -> Result<Run, BenchError> {
    let all = cores().map_err(BenchError::io("reading the cores of this process"))?;
    let mut tries = 1;
    loop {
        let core_to_core_ns = core_to_core_ns(&all);
        let (began, busy_before) = (Instant::now(), busy_s()?);
        let run = match side {
            Side::Ends(engine, load) => ends(place, case, *engine, load, for_s, &all)?,
            Side::Peer(peer) => with_peer(place, case, *peer, for_s, &all)?,
            Side::Scp(bytes) => {
                let (source, sink) = place.ends(case.path);
                plain::copy(&source, &sink, allowed(case, &all).as_deref(), *bytes, for_s)?
            }
        };
        let ours_s = run.source_cpu_s + run.sink_cpu_s;
        let used_s = busy_s()? - busy_before - ours_s;
        let foreign_cpu_share = (used_s / began.elapsed().as_secs_f64() / all.len() as f64).max(0.0);
        if foreign_cpu_share <= FOREIGN_SHARE_MAX || tries == TRIES_MAX {
            return Ok(Run { core_to_core_ns, foreign_cpu_share, tries, ..run });
        }
        tries += 1;
    }
}

fn allowed(case: &Case, all: &[usize]) -> Option<Vec<usize>> {
    (case.pinning == Pinning::OneCore).then(|| all.iter().take(1).copied().collect())
}

fn with_peer(
    place: &Place,
    case: &Case,
    peer: PeerRun,
    for_s: u32,
    all: &[usize],
) -> Result<Run, BenchError> {
    let (source, sink) = place.ends(case.path);
    let allowed = allowed(case, all);
    let (command, listens) = peer.server();
    let server = Running::start(sink.ns, allowed.as_deref(), command, "")?;
    server.listens(listens, peer.peer.port(), REST)?;
    let command = peer.client(sink.addr, for_s);
    let client = Running::start(source.ns, allowed.as_deref(), command, "")?;
    let client = client.finish(Duration::from_secs(u64::from(for_s)) + REST)?;
    let server = if peer.server_ends() { server.finish(REST) } else { server.finish_after_output(REST) }?;
    let received = peer.received(&client.stdout, &server.stdout)?;
    Ok(Run {
        bytes: received.bytes,
        for_s: received.for_s,
        datagrams: received.datagrams.map(|(arrived, _)| arrived),
        lost_share: received.datagrams.map(|(arrived, lost)| lost as f64 / (arrived + lost).max(1) as f64),
        source_cpu_s: client.cpu_s,
        sink_cpu_s: server.cpu_s,
        ..Run::default()
    })
}

fn ends(
    place: &Place,
    case: &Case,
    engine: Engine,
    load: &Load,
    for_s: u32,
    all: &[usize],
) -> Result<Run, BenchError> {
    let (source_end, sink_end) = place.ends(case.path);
    let allowed = allowed(case, all);
    let lead_us = if load.transport.file_bytes().is_some() { FILE_LEAD_US } else { LEAD_US };
    let start_us = (clock::now_us() + lead_us).next_multiple_of(SLOT_US);
    let spec = |role, end: &super::place::End<'_>| EndSpec {
        engine,
        role,
        load: load.clone(),
        addr: end.addr,
        iface: end.iface.to_owned(),
        source: source_end.addr,
        sink: SocketAddr::new(sink_end.addr, PORT),
        start_us,
        for_ms: u64::from(for_s) * 1000,
        cores: if case.pinning == Pinning::Pairs { all.to_vec() } else { vec![] },
        threads: case.threads.unwrap_or(all.len()),
        congestion_control: place.congestion_control.clone(),
    };
    let start = |end: &super::place::End<'_>, role| {
        let orders = serde_json::to_string(&spec(role, end))
            .map_err(|error| BenchError::End(format!("cannot word the orders: {error}")))?;
        Running::start(end.ns, allowed.as_deref(), myself()?, &orders)
    };
    let sink = start(&sink_end, Role::Sink)?;
    let source = start(&source_end, Role::Source)?;
    let begins = Instant::now() + Duration::from_micros(start_us.saturating_sub(clock::now_us()));
    black_out(place, case, begins)?;
    let limit =
        begins.saturating_duration_since(Instant::now()) + Duration::from_secs(u64::from(for_s)) + REST;
    let (source, sink) = (source.finish(limit)?, sink.finish(limit)?);
    let (sent, received) = (answer(&source.stdout)?, answer(&sink.stdout)?);
    let bytes = received.bytes.ok_or_else(|| BenchError::End("the sink measured no slot".to_owned()))?;
    let (datagrams, lost_share) = match load.transport {
        super::spec::Transport::Udp { datagram_bytes, .. } => {
            // By number where both ends count them: what was under way at the end arrives too.
            let counted = sent.datagrams.zip(received.datagrams).filter(|(sent, _)| *sent > 0);
            let (sent, arrived) = counted.or(sent.bytes.zip(Some(bytes))).unwrap_or_default();
            let lost = (sent > 0).then(|| sent.saturating_sub(arrived) as f64 / sent as f64);
            let datagrams = received.datagrams.unwrap_or(bytes / u64::from(datagram_bytes));
            (Some(datagrams), lost)
        }
        _ => (None, None),
    };
    Ok(Run {
        bytes,
        for_s: received.for_s,
        datagrams,
        lost_share,
        source_cpu_s: source.cpu_s,
        sink_cpu_s: sink.cpu_s,
        slots: received.slots,
        lateness: received.lateness,
        ended_late_s: sent.ended_late_s,
        ..Run::default()
    })
}

/// This program again, as one end.
fn myself() -> Result<Command, BenchError> {
    let path = std::env::current_exe().map_err(BenchError::io("finding this program"))?;
    let mut command = Command::new(path);
    command.arg(END_COMMAND);
    Ok(command)
}

fn answer(text: &str) -> Result<EndReport, BenchError> {
    let report: EndReport = serde_json::from_str(text)
        .map_err(|error| BenchError::End(format!("an end's answer cannot be read: {error}")))?;
    match report.unavailable {
        Some(lacking) => Err(BenchError::Unavailable(lacking)),
        None => Ok(report),
    }
}

/// Takes the cable down and up again at the case's moments.
fn black_out(place: &Place, case: &Case, begins: Instant) -> Result<(), BenchError> {
    let Some(blackout) = case.blackout else { return Ok(()) };
    let wait_until = |second: u32| {
        let at = begins + Duration::from_secs(u64::from(second));
        std::thread::sleep(at.saturating_duration_since(Instant::now()));
    };
    wait_until(blackout.at_s);
    place.set_cable(false)?;
    wait_until(blackout.at_s + blackout.for_s);
    place.set_cable(true)
}
