//! The bare techniques: loops around the system calls alone, what the engines are held against.
//!
//! One thread a connection, connection `i` of both ends on core `i`. No protocol, no checks,
//! no samples; a peer that goes away ends them by a time limit.

use std::{
    io::{self, IoSlice},
    net::{SocketAddr, TcpStream},
    os::fd::OwnedFd,
    time::{Duration, Instant},
};

use rustix::{
    net::RecvFlags,
    pipe::{SpliceFlags, fcntl_setpipe_size, pipe, splice},
};
use socket2::{Domain, Socket, Type};

use super::spec::{EndReport, EndSpec, Layout, Receive, Transport};
use crate::{
    model::run::message::Role,
    sys::{
        clock,
        pages::{HugePages, view_into_pipe},
        process::confine,
        socket::{raise_send_buffer, receive_over},
    },
    worker::transfer::room::fast_bytes,
};

mod quic;
mod udp;

/// Written in one call: at 1 MiB a copy across cores is 1.6 times as fast as at
/// 128 KiB, and no faster beyond.
const CALL_BYTES: usize = 1024 * 1024;

/// What is copied comes from so much, and goes to so much, over and over in one call: it stays
/// in a core's own cache.
const COPIED_BYTES: usize = 128 * 1024;

/// What is read goes there so many times over: all that may be under way, in one call.
const READ_TIMES: usize = 2 * CALL_BYTES / COPIED_BYTES;

/// Counted in one call where the kernel drops it.
const DISCARD_BYTES: usize = 2 * CALL_BYTES;

/// Huge pages of payload for each thread.
const PAYLOAD_PAGES: usize = 2;

/// No call waits longer: the other end is gone then.
pub(super) const CALL_LIMIT: Duration = Duration::from_secs(5);

/// Carries one end out.
pub(super) fn carry(spec: &EndSpec) -> io::Result<EndReport> {
    match (spec.load.transport, spec.role) {
        (Transport::Tcp, Role::Source) => tcp_source(spec),
        (Transport::Tcp, Role::Sink) => tcp_sink(spec),
        (Transport::Udp { datagram_bytes, single }, role) => udp::carry(spec, role, datagram_bytes, single),
        (Transport::Quic, role) => quic::carry(spec, role),
        (Transport::Scp { .. } | Transport::File { .. }, _) => {
            Err(io::Error::other("files have no bare loop: they are held against scp"))
        }
    }
}

/// Random bytes on huge pages; for ever, since pages that a pipe shows must not change.
fn payload() -> io::Result<&'static HugePages> {
    let mut filled = Ok(());
    let pages = HugePages::new(PAYLOAD_PAGES, |bytes| {
        filled = ring::rand::SecureRandom::fill(&ring::rand::SystemRandom::new(), bytes);
    })?;
    filled.map_err(|_| io::Error::other("the kernel gives no random bytes for the payload"))?;
    Ok(Box::leak(Box::new(pages)))
}

/// Sleeps until the source's beginning.
fn await_start(spec: &EndSpec) {
    std::thread::sleep(Duration::from_micros(spec.start_us.saturating_sub(clock::now_us())));
}

/// What all threads of an end came to.
#[derive(Clone, Copy, Debug, Default)]
struct Carried {
    bytes: u64,
    for_s: f64,
}

/// Runs `carry` for every connection on a thread of its own, confined to its core.
fn on_threads<T: Send>(
    spec: &EndSpec,
    connections: Vec<T>,
    carry: impl Fn(T) -> io::Result<Carried> + Sync,
) -> io::Result<EndReport> {
    let carry = &carry;
    let carried = std::thread::scope(|scope| {
        let threads: Vec<_> = connections
            .into_iter()
            .enumerate()
            .map(|(index, connection)| {
                scope.spawn(move || {
                    if let Some(core) = spec.core_of(index) {
                        confine(None, &[core])?;
                    }
                    carry(connection)
                })
            })
            .collect();
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap_or_else(|_| Err(io::Error::other("a thread panicked"))))
            .collect::<io::Result<Vec<Carried>>>()
    })?;
    Ok(EndReport {
        bytes: Some(carried.iter().map(|one| one.bytes).sum()),
        for_s: carried.iter().map(|one| one.for_s).fold(0.0, f64::max),
        ..EndReport::default()
    })
}

fn connections(spec: &EndSpec) -> usize {
    usize::from(spec.load.flows) * usize::from(spec.load.streams)
}

fn tcp_source(spec: &EndSpec) -> io::Result<EndReport> {
    await_start(spec);
    let connect = |_| {
        let stream = TcpStream::connect_timeout(&spec.sink, CALL_LIMIT)?;
        stream.set_nodelay(true)?;
        stream.set_write_timeout(Some(CALL_LIMIT))?;
        if spec.load.layout == Layout::Write {
            // With the kernel's own sizing the loop is slower, and no reference.
            raise_send_buffer(&stream, fast_bytes())?;
        }
        Ok(stream)
    };
    let streams = (0..connections(spec)).map(connect).collect::<io::Result<Vec<_>>>()?;
    let end = Instant::now() + Duration::from_millis(spec.for_ms);
    on_threads(spec, streams, |stream| {
        let (began, payload) = (Instant::now(), payload()?);
        let bytes = match spec.load.layout {
            Layout::Write => write_until(&stream, payload, end)?,
            Layout::Vmsplice => splice_until(&stream, payload, end)?,
        };
        Ok(Carried { bytes, for_s: began.elapsed().as_secs_f64() })
    })
}

fn write_until(mut stream: &TcpStream, payload: &[u8], end: Instant) -> io::Result<u64> {
    let mut bytes = 0;
    let pieces = [IoSlice::new(&payload[..COPIED_BYTES]); CALL_BYTES / COPIED_BYTES];
    while Instant::now() < end {
        bytes += io::Write::write_vectored(&mut stream, &pieces)? as u64;
    }
    Ok(bytes)
}

fn splice_until(stream: &TcpStream, payload: &'static [u8], end: Instant) -> io::Result<u64> {
    let (from, to): (OwnedFd, OwnedFd) = pipe()?;
    fcntl_setpipe_size(&to, CALL_BYTES)?;
    let (mut bytes, mut at) = (0, 0);
    while Instant::now() < end {
        let mut shown = view_into_pipe(&to, &payload[at..at + CALL_BYTES])?;
        // On whole pages always: a piece of one more page would not fit the pipe.
        at = (at + CALL_BYTES) % payload.len();
        while shown > 0 {
            let moved = splice(&from, None, stream, None, shown, SpliceFlags::MOVE)?;
            shown -= moved;
            bytes += moved as u64;
        }
    }
    Ok(bytes)
}

fn tcp_sink(spec: &EndSpec) -> io::Result<EndReport> {
    let listener = Socket::new(Domain::for_address(spec.sink), Type::STREAM, None)?;
    listener.set_reuse_address(true)?;
    listener.bind(&spec.sink.into())?;
    listener.listen(1024)?;
    let until_start = Duration::from_micros(spec.start_us.saturating_sub(clock::now_us()));
    listener.set_read_timeout(Some(until_start + CALL_LIMIT))?;
    let accept = |_| {
        let (stream, _) = listener.accept()?;
        stream.set_read_timeout(Some(CALL_LIMIT))?;
        Ok(stream)
    };
    let streams = (0..connections(spec)).map(accept).collect::<io::Result<Vec<_>>>()?;
    on_threads(spec, streams, |stream| match spec.load.receive {
        Receive::Discard => {
            let mut room = vec![0; DISCARD_BYTES];
            read_out(|| Ok(rustix::net::recv(&stream, &mut *room, RecvFlags::TRUNC)?.1))
        }
        Receive::Read => {
            let mut room = HugePages::new(1, |_| ())?;
            let room = &mut room[..COPIED_BYTES];
            read_out(|| receive_over(&stream, room, READ_TIMES, RecvFlags::empty()))
        }
    })
}

/// Reads until the source has shut its side; from the first byte on it is timed.
fn read_out(mut read: impl FnMut() -> io::Result<usize>) -> io::Result<Carried> {
    let mut bytes = 0;
    let mut began = None;
    loop {
        let count = read()?;
        let began = *began.get_or_insert_with(Instant::now);
        if count == 0 {
            return Ok(Carried { bytes, for_s: began.elapsed().as_secs_f64() });
        }
        bytes += count as u64;
    }
}

/// The sink's port for connection `index`, for techniques with a socket each.
fn port_of(sink: SocketAddr, index: usize) -> SocketAddr {
    SocketAddr::new(sink.ip(), sink.port() + index as u16)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::worker::bench::spec::{Engine, Load};

    fn spec(role: Role, load: Load, port: u16) -> EndSpec {
        EndSpec {
            engine: Engine::Bare,
            role,
            load,
            addr: "127.0.0.1".parse().unwrap(),
            iface: "lo".to_owned(),
            source: "127.0.0.1".parse().unwrap(),
            sink: SocketAddr::from(([127, 0, 0, 1], port)),
            start_us: clock::now_us() + 200_000,
            for_ms: 200,
            cores: vec![],
            threads: 1,
            congestion_control: "reno".to_owned(),
        }
    }

    /// A free port, for both kinds of sockets most likely.
    fn port() -> u16 {
        std::net::UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
    }

    fn carried(load: &Load) -> (EndReport, EndReport) {
        let port = port();
        let sink = spec(Role::Sink, load.clone(), port);
        let sink = std::thread::spawn(move || carry(&sink));
        let source = carry(&spec(Role::Source, load.clone(), port)).expect("it sends");
        (source, sink.join().expect("no panic").expect("it receives"))
    }

    fn load(transport: Transport, layout: Layout, receive: Receive) -> Load {
        Load { transport, flows: 1, streams: 2, layout, receive, rate_bps: None, sample_us: None }
    }

    #[test]
    fn every_tcp_technique_carries_all_that_was_sent() {
        for layout in [Layout::Write, Layout::Vmsplice] {
            for receive in [Receive::Read, Receive::Discard] {
                let (source, sink) = carried(&load(Transport::Tcp, layout, receive));
                assert_eq!(source.bytes, sink.bytes, "{layout:?} {receive:?}");
                assert!(sink.bytes.unwrap() > 10_000_000, "{layout:?} {receive:?}: {sink:?}");
            }
        }
    }

    #[test]
    fn datagrams_and_quic_streams_arrive() {
        let trains = Transport::Udp { datagram_bytes: 1472, single: false };
        let single = Transport::Udp { datagram_bytes: 1472, single: true };
        for transport in [trains, single, Transport::Quic] {
            let (source, sink) = carried(&load(transport, Layout::Write, Receive::Read));
            let (sent, received) = (source.bytes.unwrap(), sink.bytes.unwrap());
            assert!(received > 1_000_000 && received <= sent, "{transport:?}: {received} of {sent}");
        }
    }
}
