//! Datagrams: trains that the kernel cuts and joins, or single frames, many a call.

use std::{
    io,
    net::UdpSocket,
    time::{Duration, Instant},
};

use super::{Carried, await_start, connections, on_threads, port_of};
use crate::{
    model::run::message::Role,
    sys::{
        clock, datagram,
        socket::{raise_receive_buffer, raise_send_buffer},
    },
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
    raise_receive_buffer(&socket, BUFFER_BYTES)?;
    raise_send_buffer(&socket, BUFFER_BYTES)?;
    Ok(socket)
}

fn source(spec: &EndSpec, socket: &UdpSocket, datagram_bytes: u16, single: bool) -> io::Result<Carried> {
    let (began, end) = (Instant::now(), Instant::now() + Duration::from_millis(spec.for_ms));
    let length = usize::from(datagram_bytes);
    let payload = vec![0x5a; length * train(datagram_bytes)];
    let mut bytes = 0;
    if single {
        let headers = [[0x5a; 4]; FRAMES];
        while Instant::now() < end {
            bytes += (datagram::send_many(socket, &headers, &payload[4..length])? * length) as u64;
        }
    } else {
        datagram::set_segment(socket, length)?;
        while Instant::now() < end {
            bytes += socket.send(&payload)? as u64;
        }
    }
    Ok(Carried { bytes, for_s: began.elapsed().as_secs_f64() })
}

fn sink(spec: &EndSpec, socket: &UdpSocket, single: bool) -> io::Result<Carried> {
    socket.set_read_timeout(Some(LOOK_EVERY))?;
    if !single {
        datagram::set_coalesce(socket)?;
    }
    let (messages, each) = if single { (FRAMES, 9_216) } else { (TRAINS, 65_536) };
    let mut batch = datagram::Batch::new(messages, each);
    let mut bytes = 0;
    let (mut began, mut ended) = (None, Instant::now());
    while clock::now_us() < spec.end_us() + DRAIN_US {
        match batch.receive(socket) {
            Ok(_) => {
                began.get_or_insert_with(Instant::now);
                ended = Instant::now();
                bytes += batch.messages().map(|message| message.length as u64).sum::<u64>();
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
    }
    Ok(Carried { bytes, for_s: began.map_or(0.0, |began| (ended - began).as_secs_f64()) })
}
