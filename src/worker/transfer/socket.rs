//! Data sockets as this worker wants them, and what their errors mean.

use std::{
    io,
    net::{SocketAddr, UdpSocket},
    time::Duration,
};

use socket2::{Domain, Protocol, Socket, Type};

use super::Binding;
use crate::{model::record::line::StreamEvent, sys};

/// How a stream's socket is dressed beyond what all of them wear.
#[derive(Clone, Copy, Debug, Default)]
pub struct Dress<'a> {
    /// TCP spaces its segments out to this rate, bits per second.
    pub pacing_bps: Option<u64>,
    /// Instead of the worker's own choice.
    pub congestion_control: Option<&'a str>,
}

/// Bytes not yet sent that the kernel accepts of a stream: more would only age in a queue.
const NOT_SENT_BYTES: u32 = 128 * 1024;

/// Bound of TCP's backed-off timer: after a second of silence the card may well be back.
const RTO_MAX_MS: u32 = 1000;

/// Congestion controls in the order of choice. A default of BBR would pace away the bursts
/// that kill cards, and hide loss.
const CONGESTION_CONTROLS: [&str; 2] = ["cubic", "reno"];

/// The first of the wanted congestion controls that this kernel permits.
///
/// # Errors
///
/// If it permits none of them.
pub fn congestion_control(addr: std::net::IpAddr) -> io::Result<String> {
    let socket = Socket::new(Domain::for_address(SocketAddr::new(addr, 0)), Type::STREAM, None)?;
    let permitted =
        CONGESTION_CONTROLS.iter().find(|name| socket.set_tcp_congestion(name.as_bytes()).is_ok());
    permitted.map(|name| (*name).to_owned()).ok_or_else(|| {
        io::Error::other("this kernel permits neither cubic nor reno; load one: modprobe tcp_cubic")
    })
}

/// Bound to the address and, where that is permitted, to the device.
fn bind(socket: &Socket, binding: &Binding, port: u16) -> io::Result<()> {
    if let Err(error) = socket.bind_device(Some(binding.iface.as_bytes())) {
        tracing::debug!(%error, iface = binding.iface, "not bound to the device; its counters will tell");
    }
    socket.bind(&SocketAddr::new(binding.addr, port).into())
}

/// A listener on the card's address.
///
/// # Errors
///
/// If the port is taken, or the kernel refuses.
pub fn listen(binding: &Binding, port: u16) -> io::Result<Socket> {
    let socket = Socket::new(
        Domain::for_address(SocketAddr::new(binding.addr, port)),
        Type::STREAM,
        Some(Protocol::TCP),
    )?;
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    bind(&socket, binding, port)?;
    socket.listen(1024)?;
    Ok(socket)
}

/// A listener and a datagram socket on the same port, and which (0 takes any).
///
/// # Errors
///
/// If the port is taken for one of the two, or the kernel refuses.
pub fn listen_both(binding: &Binding, port: u16) -> io::Result<(Socket, UdpSocket, u16)> {
    let listener = listen(binding, port)?;
    let port = listener.local_addr()?.as_socket().map_or(port, |addr| addr.port());
    Ok((listener, datagrams(binding, port)?, port))
}

/// A datagram socket on the card's address.
///
/// # Errors
///
/// If the port is taken, or the kernel refuses.
pub fn datagrams(binding: &Binding, port: u16) -> io::Result<UdpSocket> {
    let socket = Socket::new(
        Domain::for_address(SocketAddr::new(binding.addr, port)),
        Type::DGRAM,
        Some(Protocol::UDP),
    )?;
    socket.set_nonblocking(true)?;
    if port != 0 {
        // Streams of datagrams get sockets of their own on the worker's one open port; the
        // port itself is held by the listener of the same number.
        socket.set_reuse_port(true)?;
    }
    bind(&socket, binding, port)?;
    Ok(socket.into())
}

/// A datagram socket that listens: on one of the ports that the worker may listen on.
///
/// # Errors
///
/// If all of them are taken, or the kernel refuses.
pub fn listening_datagrams(binding: &Binding) -> io::Result<UdpSocket> {
    let (first, last) = binding.data_ports.unwrap_or((0, 0));
    let mut refused = io::Error::from(io::ErrorKind::AddrInUse);
    for port in first..=last {
        match datagrams(binding, port) {
            Ok(socket) => return Ok(socket),
            Err(error) => refused = error,
        }
    }
    Err(refused)
}

/// A connection attempt under way.
///
/// # Errors
///
/// What the kernel says at once, for example that no route leads there.
pub fn connect(binding: &Binding, to: SocketAddr, options: &Dress<'_>) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(to), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_nonblocking(true)?;
    bind(&socket, binding, 0)?;
    dress(&socket, binding, options)?;
    if let Some(rate) = options.pacing_bps {
        // A little above the bucket's rate: the bucket sets the rate, TCP the spacing.
        sys::socket::set_max_pacing_rate(&socket, (rate / 8).saturating_mul(11) / 10)?;
    }
    match socket.connect(&to.into()) {
        Ok(()) => Ok(socket),
        Err(error) if error.raw_os_error() == Some(libc::EINPROGRESS) => Ok(socket),
        Err(error) => Err(error),
    }
}

fn dress(socket: &Socket, binding: &Binding, options: &Dress<'_>) -> io::Result<()> {
    let congestion_control = options.congestion_control.unwrap_or(&binding.congestion_control);
    socket.set_tcp_congestion(congestion_control.as_bytes())?;
    socket.set_tcp_notsent_lowat(NOT_SENT_BYTES)?;
    socket.set_tcp_nodelay(true)?;
    // Closing discards what was not sent: a round's end is an end.
    socket.set_linger(Some(Duration::ZERO))?;
    if sys::socket::set_rto_max_ms(socket, RTO_MAX_MS).is_err() {
        tracing::trace!("this kernel does not cap TCP's timer");
    }
    Ok(())
}

/// An accepted stream, made ready.
///
/// # Errors
///
/// If the kernel refuses an option.
pub fn accepted(socket: &Socket) -> io::Result<()> {
    socket.set_nonblocking(true)?;
    socket.set_tcp_nodelay(true)?;
    socket.set_linger(Some(Duration::ZERO))
}

/// What an error of a data socket says of the far end.
pub fn meaning(error: &io::Error) -> StreamEvent {
    match error.raw_os_error() {
        Some(libc::ECONNREFUSED) => StreamEvent::Refused,
        Some(libc::ECONNRESET | libc::EPIPE) => StreamEvent::Reset,
        Some(libc::ETIMEDOUT) => StreamEvent::TimedOut,
        _ => StreamEvent::Unreachable,
    }
}
