//! What can go wrong between the two ends, and what became of a connection.

use std::{io, net::SocketAddr, path::PathBuf, time::Duration};

/// What went wrong on the line, or in setting it up.
#[derive(Debug, thiserror::Error)]
pub enum WireError {
    /// No socket on that address.
    #[error(
        "cannot open a UDP socket on {addr}: {source}; is the port taken, or the address of another host?"
    )]
    Bind {
        /// Which address.
        addr: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// None of the join file's addresses answered as the coordinator of its run.
    #[error("cannot reach the coordinator: {tried}; is it still running, and is UDP open on the way?")]
    Unreachable {
        /// Each address and what came of it.
        tried: String,
    },
    /// Keys or certificates are not what they should be.
    #[error("cannot {doing}: {why}")]
    Certificate {
        /// What was being done, for example `read the run's CA certificate`.
        doing: &'static str,
        /// What was wrong.
        why: String,
    },
    /// The connection is gone.
    #[error("the connection is gone: {}", .0.why)]
    Gone(Gone),
    /// The far end takes nothing.
    #[error("the far end has taken nothing for {} s", .limit.as_secs())]
    Stalled {
        /// How long it was waited for.
        limit: Duration,
    },
    /// The far end said nothing.
    #[error("no {what} came within {} s", .limit.as_secs())]
    Silent {
        /// What was awaited.
        what: &'static str,
        /// How long it was waited for.
        limit: Duration,
    },
    /// A frame is longer than its stream allows.
    #[error("a frame is longer than the {max} bytes that this stream allows")]
    FrameTooLong {
        /// The limit.
        max: usize,
    },
    /// A frame's content is not what this stream carries.
    #[error("a frame cannot be understood: {0}; are both ends of the same build?")]
    BadFrame(String),
    /// The stream ended inside a frame, or was given up.
    #[error("the stream ended early: {0}")]
    CutOff(String),
    /// A certificate that this run did not issue, or has replaced since.
    #[error("the certificate is not, or no longer, one of this run; join again")]
    UnknownCertificate,
    /// A file of keys or of the join could not be read or written.
    #[error("cannot {doing} {}: {why}", path.display())]
    File {
        /// What was being done, for example `read the join file`.
        doing: &'static str,
        /// Which file.
        path: PathBuf,
        /// What was wrong, and the way out.
        why: String,
    },
}

/// How a connection ended.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Gone {
    /// The far process closed it, or said that it knows nothing of it: its kernel lives.
    pub by_peer: bool,
    /// In words.
    pub why: String,
}

impl From<quinn::ConnectionError> for Gone {
    fn from(error: quinn::ConnectionError) -> Self {
        use quinn::ConnectionError::{ApplicationClosed, ConnectionClosed, LocallyClosed, Reset, TimedOut};
        let by_peer = matches!(error, ApplicationClosed(_) | ConnectionClosed(_) | Reset);
        let why = match &error {
            ApplicationClosed(close) if !close.reason.is_empty() => printable(&close.reason),
            ConnectionClosed(close) => format!("refused ({})", printable(close.to_string().as_bytes())),
            TimedOut => "nothing heard for as long as a connection may be silent".to_owned(),
            LocallyClosed => "closed on this side".to_owned(),
            other => printable(other.to_string().as_bytes()),
        };
        Self { by_peer, why }
    }
}

impl From<quinn::ConnectionError> for WireError {
    fn from(error: quinn::ConnectionError) -> Self {
        Self::Gone(error.into())
    }
}

/// What the far end said, fit for a terminal: at most 300 characters, none of control.
fn printable(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).chars().filter(|c| !c.is_control()).take(300).collect()
}
