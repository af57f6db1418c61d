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
    // Streams of datagrams get sockets of their own on the worker's one open port; the
    // port itself is held by the listener of the same number.
    datagrams_on(binding, port, port != 0)
}

fn datagrams_on(binding: &Binding, port: u16, shared: bool) -> io::Result<UdpSocket> {
    let socket = Socket::new(
        Domain::for_address(SocketAddr::new(binding.addr, port)),
        Type::DGRAM,
        Some(Protocol::UDP),
    )?;
    socket.set_nonblocking(true)?;
    socket.set_reuse_port(shared)?;
    bind(&socket, binding, port)?;
    Ok(socket.into())
}

/// A datagram socket that listens: on one of the ports that the worker may listen on, and alone there,
/// for it is not connected: of several the kernel would choose one for each sender.
///
/// # Errors
///
/// If all of them are taken, or the kernel refuses.
pub fn listening_datagrams(binding: &Binding) -> io::Result<UdpSocket> {
    let Some((first, last)) = binding.data_ports else { return datagrams_on(binding, 0, false) };
    let mut refused = io::Error::from(io::ErrorKind::AddrInUse);
    for port in first..=last {
        match datagrams_on(binding, port, false) {
            Ok(socket) => return Ok(socket),
            Err(error) => refused = error,
        }
    }
    if refused.kind() == io::ErrorKind::AddrInUse {
        return Err(io::Error::other(format!(
            "no port of --data-ports {first}-{last} is free for another QUIC connection: each that is received needs one, and the worker itself one"
        )));
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_quic_sink_listens_on_a_port_of_its_own_and_says_so_where_there_is_none() {
        let mut binding = Binding {
            addr: [127, 0, 0, 1].into(),
            iface: "lo".to_owned(),
            mtu: 65_536,
            port: 0,
            data_ports: None,
            congestion_control: "cubic".to_owned(),
        };
        let port = |socket: &UdpSocket| socket.local_addr().expect("bound").port();
        // Of two free neighbours the worker has the first.
        let (own, first) = (0..50)
            .find_map(|_| {
                let first = port(&datagrams(&binding, 0).ok()?);
                let next = datagrams_on(&binding, first.checked_add(1)?, false).ok()?;
                drop(next);
                Some((datagrams(&binding, first).ok()?, first))
            })
            .expect("two free ports");
        binding.data_ports = Some((first, first + 1));
        let sink = listening_datagrams(&binding).expect("the second");
        assert_eq!((port(&own), port(&sink)), (first, first + 1));
        let refused = listening_datagrams(&binding).expect_err("none is left").to_string();
        assert!(refused.contains(&format!("--data-ports {first}-{}", first + 1)), "{refused}");
    }
}
