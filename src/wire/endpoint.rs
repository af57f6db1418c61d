//! The two ends of the line: the coordinator listens, workers call.
//!
//! A caller without a certificate sends one join request on its first stream and gets one
//! answer. A worker with a certificate opens two streams: orders, both ways, and lines,
//! from it to the coordinator; an empty frame makes each visible, and the coordinator
//! answers with one of its own once it knows who calls.

mod caller;
mod listener;

use std::time::Duration;

use quinn::VarInt;

pub use caller::{JoinError, WorkerSession, connect, join};
pub use listener::{CoordinatorSession, Incoming, JoinCall, Listener};

pub use super::{
    error::{Gone, WireError},
    frame::{Receiver, Sender},
};

/// How long a handshake may take.
const HANDSHAKE_MAX: Duration = Duration::from_secs(5);

/// How long a caller may take to say its first word, once the handshake is done.
const FIRST_FRAME_MAX: Duration = Duration::from_secs(5);

/// The longest join request or its answer, in bytes: a token, a name and a key, or a certificate.
const JOIN_FRAME_MAX_BYTES: usize = 8 * 1024;

/// The code of a connection that was closed in order.
const CLOSED: VarInt = VarInt::from_u32(0);

/// The code of a connection whose caller was turned away.
const TURNED_AWAY: VarInt = VarInt::from_u32(1);

/// The connection under a session.
#[derive(Clone)]
pub struct Link(quinn::Connection);

impl Link {
    /// Resolves once the connection is gone.
    pub async fn closed(&self) -> Gone {
        self.0.closed().await.into()
    }

    /// Closes the connection; the far end is told why.
    pub fn close(&self, why: &str) {
        self.0.close(CLOSED, why.as_bytes());
    }

    /// The smoothed round-trip time, as the transport measures it.
    pub fn rtt(&self) -> Duration {
        self.0.rtt()
    }
}

/// Bounds a wait by time.
async fn within<T>(
    limit: Duration,
    what: &'static str,
    wait: impl Future<Output = Result<T, WireError>>,
) -> Result<T, WireError> {
    tokio::time::timeout(limit, wait).await.unwrap_or(Err(WireError::Silent { what, limit }))
}

#[cfg(test)]
mod tests;
