//! Where one flow's sink waits for its source, for transports that move files.

use std::io;

use socket2::Socket;
use tokio::net::TcpListener;

use super::{hosted::HostedFlow, socket};

/// A listener of one flow, on the card's address.
#[derive(Debug)]
pub struct Door {
    listener: TcpListener,
    /// Where.
    pub port: u16,
}

impl Door {
    /// Opens one: on a free port of those that the worker's owner named, or on any.
    ///
    /// # Errors
    ///
    /// If no port is free.
    pub fn open(hosted: &HostedFlow) -> io::Result<Self> {
        let shared = &hosted.shared;
        let (first, last) = shared.binding.data_ports.unwrap_or((0, 0));
        let mut refused = io::Error::from(io::ErrorKind::AddrInUse);
        for port in first..=last {
            match socket::listen(&shared.binding, port) {
                Ok(listener) => {
                    let addr = listener.local_addr()?.as_socket();
                    let port = addr.map_or(port, |addr| addr.port());
                    return Ok(Self { listener: TcpListener::from_std(listener.into())?, port });
                }
                Err(error) => refused = error,
            }
        }
        let which = if first == 0 { "any port".to_owned() } else { format!("ports {first} to {last}") };
        Err(io::Error::other(format!(
            "cannot listen on {which} of {}: {refused}; free one, or widen --data-ports",
            shared.binding.addr
        )))
    }

    /// The next connection from the flow's source, blocking; others are turned away.
    ///
    /// # Errors
    ///
    /// If the listener is gone.
    pub async fn next(&self, hosted: &HostedFlow) -> io::Result<Socket> {
        loop {
            let (connection, from) = self.listener.accept().await?;
            if from.ip().to_canonical() == hosted.flow.peer.ip().to_canonical() {
                let connection = Socket::from(connection.into_std()?);
                connection.set_nonblocking(false)?;
                return Ok(connection);
            }
            tracing::warn!(?from, flow = hosted.flow.id, "a connection from elsewhere was turned away");
        }
    }
}
