//! The socket under an endpoint: where it is bound, how much it holds, what it dropped.

use std::{
    io,
    net::{SocketAddr, UdpSocket},
    sync::Arc,
};

use quinn::{Endpoint, ServerConfig, TokioRuntime};

use super::{super::Binding, super::socket, datagram_bytes, endpoint_config, headers_bytes};
use crate::sys::{
    datagram::socket_drops,
    socket::{path_mtu, raise_receive_buffer, raise_send_buffer},
};

/// Asked for of the kernel: what arrives while the thread that reads is not running.
const BUFFER_BYTES: usize = 16 * 1024 * 1024;

/// An endpoint, and what its socket tells.
#[derive(Debug)]
pub(super) struct Room {
    pub(super) endpoint: Endpoint,
    /// The same socket: quinn does not tell its own.
    socket: UdpSocket,
    /// As the kernel counts it, bytes.
    pub(super) receive_buffer_bytes: u64,
    /// As the kernel counts it, bytes.
    pub(super) send_buffer_bytes: u64,
    drops: Option<u32>,
}

impl Room {
    /// For one end of a flow; a sink brings what it serves with.
    pub(super) fn open(
        binding: &Binding,
        datagram_bytes: u16,
        server: Option<ServerConfig>,
    ) -> io::Result<Self> {
        let bound = match server {
            Some(_) => socket::listening_datagrams(binding)?,
            None => socket::datagrams(binding, 0)?,
        };
        let receive_buffer_bytes = raise_receive_buffer(&bound, BUFFER_BYTES)? as u64;
        let send_buffer_bytes = raise_send_buffer(&bound, BUFFER_BYTES)? as u64;
        let same = bound.try_clone()?;
        let config = endpoint_config(datagram_bytes);
        let endpoint = Endpoint::new(config, server, bound, Arc::new(TokioRuntime))?;
        let drops = socket_drops(&same).ok();
        Ok(Self { endpoint, socket: same, receive_buffer_bytes, send_buffer_bytes, drops })
    }

    /// Datagrams dropped here for want of room since the last call; `None` where the kernel
    /// does not tell.
    pub(super) fn take_drops(&mut self) -> Option<u64> {
        let now = socket_drops(&self.socket).ok();
        let before = std::mem::replace(&mut self.drops, now);
        Some(u64::from(now?.wrapping_sub(before?)))
    }
}

/// The largest datagram of the way to `peer`, by the route's MTU.
pub(super) fn way_datagram_bytes(binding: &Binding, peer: SocketAddr) -> io::Result<u16> {
    let probe = socket::datagrams(binding, 0)?;
    probe.connect(peer)?;
    let mtu = path_mtu(&probe, peer.is_ipv4())?;
    let least = u32::from(super::DATAGRAM_MIN_BYTES) + headers_bytes(peer.is_ipv4());
    if mtu < least {
        return Err(io::Error::other(format!("an MTU of {mtu} is too small for QUIC, which needs {least}")));
    }
    Ok(datagram_bytes(mtu, peer.is_ipv4()))
}
