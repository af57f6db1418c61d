//! Whether this host can carry what a round asks for: tried on sockets that are thrown away,
//! and said before any load, with the way out.

use std::io;

use socket2::{Domain, Protocol, Socket, Type};

use super::{Binding, datagram::Shape, socket, stage::Flow};
use crate::{
    model::plan::carriage::{BufferLayout, Carriage, Transport},
    sys::socket::{raise_receive_buffer, set_zerocopy},
};

/// A receive buffer of less holds not even some trains: every pause of its thread would be
/// drops of its own.
const RECEIVE_BUFFER_MIN_BYTES: usize = 256 * 1024;

/// Checks one round's way of carrying for one of its flows.
///
/// # Errors
///
/// What this host cannot do, with the value and the way out.
pub fn check(binding: &Binding, carriage: &Carriage, flow: &Flow) -> Result<(), String> {
    match carriage.transport {
        Transport::Tcp => congestion_control(binding, carriage).and_then(|()| layout(carriage.layout)),
        Transport::Udp => frame(binding, carriage, flow).and_then(|()| buffer(binding)),
        Transport::Quic | Transport::Scp | Transport::File => Ok(()),
    }
}

fn congestion_control(binding: &Binding, carriage: &Carriage) -> Result<(), String> {
    let Some(wanted) = &carriage.congestion_control else { return Ok(()) };
    let domain = if binding.addr.is_ipv4() { Domain::IPV4 } else { Domain::IPV6 };
    let tried = Socket::new(domain, Type::STREAM, Some(Protocol::TCP))
        .and_then(|socket| socket.set_tcp_congestion(wanted.as_bytes()));
    tried.map_err(|error| {
        let known = std::fs::read_to_string("/proc/sys/net/ipv4/tcp_available_congestion_control");
        let known = known.map_or_else(|_| "unknown".to_owned(), |text| text.trim().to_owned());
        format!(
            "the congestion control `{wanted}` is not to be had here ({error}); this kernel has: {known}; load it (modprobe tcp_{wanted}) or permit it (sysctl net.ipv4.tcp_allowed_congestion_control)"
        )
    })
}

fn layout(layout: BufferLayout) -> Result<(), String> {
    let tried: io::Result<()> = match layout {
        BufferLayout::Zerocopy => {
            Socket::new(Domain::IPV4, Type::STREAM, Some(Protocol::TCP)).and_then(|s| set_zerocopy(&s))
        }
        BufferLayout::Vmsplice | BufferLayout::Iovec => rustix::pipe::pipe().map(drop).map_err(Into::into),
        BufferLayout::Sendfile => rustix::fs::memfd_create("nicburn-able", rustix::fs::MemfdFlags::CLOEXEC)
            .map(drop)
            .map_err(Into::into),
        BufferLayout::Write | BufferLayout::Record32k => Ok(()),
    };
    tried.map_err(|error| {
        format!(
            "the buffer layout `{}` is refused by this kernel: {error}; use write or record32k",
            layout.name()
        )
    })
}

/// That a frame is larger than this interface carries is no reason to stay away: the plan
/// asked for no more than most of the fleet carries, and the odd host is to be found.
fn frame(binding: &Binding, carriage: &Carriage, flow: &Flow) -> Result<(), String> {
    if carriage.frame_size_bytes.is_some() && Shape::new(flow, carriage, binding.mtu).is_none() {
        let least = if flow.peer.is_ipv4() { 62 } else { 82 };
        return Err(format!(
            "{} have no room for a numbered datagram over this kind of address; use at least {least} bytes",
            carriage.words()
        ));
    }
    Ok(())
}

fn buffer(binding: &Binding) -> Result<(), String> {
    let tried = socket::datagrams(binding, 0)
        .and_then(|socket| raise_receive_buffer(&socket, RECEIVE_BUFFER_MIN_BYTES));
    match tried {
        Ok(got) if got >= RECEIVE_BUFFER_MIN_BYTES => Ok(()),
        Ok(got) => Err(format!(
            "the kernel gives {got} bytes of receive buffer and {RECEIVE_BUFFER_MIN_BYTES} are needed; raise it: sysctl net.core.rmem_max={RECEIVE_BUFFER_MIN_BYTES}"
        )),
        Err(error) => Err(format!("no socket for datagrams on {}: {error}", binding.addr)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        model::plan::carriage::FrameSize,
        model::run::message::{Role, SecretHex},
        worker::transfer::key::TransferKey,
    };
    use std::sync::Arc;

    fn checked(carriage: &Carriage) -> Result<(), String> {
        let key = TransferKey::new(&SecretHex("a".repeat(64))).expect("64 digits");
        let peer = "10.0.0.1:1".parse().expect("an address");
        let flow = Flow { id: 1, role: Role::Source, peer, rate_bps: None, key, meter: Arc::default() };
        check(&Binding::loopback().expect("reno or cubic"), carriage, &flow)
    }

    #[test]
    fn what_this_kernel_does_is_taken() {
        for layout in BufferLayout::ALL {
            assert_eq!(checked(&Carriage { layout, ..Carriage::tcp(1) }), Ok(()), "{layout:?}");
        }
        let udp = Carriage { transport: Transport::Udp, ..Carriage::tcp(1) };
        assert_eq!(checked(&udp), Ok(()));
        let frames = |size| Carriage { frame_size_bytes: Some(FrameSize::Bytes(size)), ..udp.clone() };
        assert_eq!(checked(&frames(1514)), Ok(()));
        assert_eq!(checked(&frames(9014)), Ok(()), "a smaller MTU than the fleet's is to be found");
    }

    #[test]
    fn what_it_does_not_is_named_with_its_value_and_the_way_out() {
        let odd = Carriage { congestion_control: Some("nosuch".to_owned()), ..Carriage::tcp(1) };
        let why = checked(&odd).expect_err("no such thing");
        assert!(why.contains("`nosuch`") && why.contains("modprobe tcp_nosuch"), "{why}");
        let udp = Carriage { transport: Transport::Udp, ..Carriage::tcp(1) };
        let small = Carriage { frame_size_bytes: Some(FrameSize::Bytes(61)), ..udp };
        let why = checked(&small).expect_err("too small");
        assert!(why.contains("61 bytes") && why.contains("use at least 62"), "{why}");
    }
}
