//! Datagrams: trains that the kernel cuts and joins, or single frames, many a call.

use std::{
    io,
    net::UdpSocket,
    time::{Duration, Instant},
};

use super::{Carried, await_start, connections, on_threads, port_of};
use crate::{
    model::run::message::Role,
    sys::{clock, datagram},
    worker::bench::spec::{EndReport, EndSpec},
};

/// Asked for; the system's limit is 4 MiB, which a burst of trains fills in a millisecond.
const BUFFER_BYTES: usize = 16 * 1024 * 1024;

/// Datagrams in a train: what fits 64 KiB, and the kernel's limit of 64.
const fn train(datagram_bytes: u16) -> usize {
    let fit = 65_000 / datagram_bytes as usize;
    if fit > 64 { 64 } else { fit }
}

/// Frames in one call.
const FRAMES: usize = 32;

/// Trains in one call.
const TRAINS: usize = 8;

/// What was under way at the end is still counted for so long.
const DRAIN_US: u64 = 200_000;

/// How often a silent sink looks at the clock.
const LOOK_EVERY: Duration = Duration::from_millis(50);

pub(super) fn carry(spec: &EndSpec, role: Role, datagram_bytes: u16, single: bool) -> io::Result<EndReport> {
    let sockets =
        (0..connections(spec)).map(|index| open(spec, role, index)).collect::<io::Result<Vec<_>>>()?;
    match role {
        Role::Source => {
            await_start(spec);
            on_threads(spec, sockets, |socket| source(spec, &socket, datagram_bytes, single))
        }
        Role::Sink => on_threads(spec, sockets, |socket| sink(spec, &socket, single)),
    }
}

fn open(spec: &EndSpec, role: Role, index: usize) -> io::Result<UdpSocket> {
    let sink = port_of(spec.sink, index);
    let socket = match role {
        Role::Sink => UdpSocket::bind(sink)?,
        Role::Source => UdpSocket::bind((spec.addr, 0))?,
    };
    if role == Role::Source {
        socket.connect(sink)?;
    }
    datagram::set_buffers(&socket, BUFFER_BYTES)?;
    Ok(socket)
}

fn source(spec: &EndSpec, socket: &UdpSocket, datagram_bytes: u16, single: bool) -> io::Result<Carried> {
    let (began, end) = (Instant::now(), Instant::now() + Duration::from_millis(spec.for_ms));
    let length = usize::from(datagram_bytes);
    let (count, length) = if single { (FRAMES, length) } else { (TRAINS, length * train(datagram_bytes)) };
    if !single {
        datagram::set_segment(socket, datagram_bytes)?;
    }
    let mut batch = datagram::Batch::new(count, &vec![0x5a; length]);
    let mut bytes = 0;
    while Instant::now() < end {
        bytes += (batch.send(socket)? * length) as u64;
    }
    Ok(Carried { bytes, for_s: began.elapsed().as_secs_f64() })
}

fn sink(spec: &EndSpec, socket: &UdpSocket, single: bool) -> io::Result<Carried> {
    socket.set_read_timeout(Some(LOOK_EVERY))?;
    if !single {
        datagram::set_gro(socket)?;
    }
    let mut batch = datagram::Batch::new(FRAMES, &vec![0; if single { 9000 } else { 65_535 }]);
    let mut bytes = 0;
    let (mut began, mut ended) = (None, Instant::now());
    while clock::now_us() < spec.end_us() + DRAIN_US {
        match batch.receive(socket) {
            Ok((_, count)) => {
                began.get_or_insert_with(Instant::now);
                ended = Instant::now();
                bytes += count;
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
    }
    Ok(Carried { bytes, for_s: began.map_or(0.0, |began| (ended - began).as_secs_f64()) })
}
