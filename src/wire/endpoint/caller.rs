//! The worker's end.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use super::{CLOSED, FIRST_FRAME_MAX, HANDSHAKE_MAX, JOIN_FRAME_MAX_BYTES, Link, within};
use crate::{
    model::{
        fleet::host::HostName,
        run::message::{
            FRAME_MAX_BYTES, FromCoordinator, FromWorker, JoinReply, JoinRequest, PLAN_FRAME_MAX_BYTES,
        },
    },
    wire::{
        error::WireError,
        frame::{Receiver, Sender},
        identity::{self, COORDINATOR_NAME, WorkerIdentity},
        join::JoinFile,
        socket, tls,
    },
};

/// A worker's session with its coordinator.
pub struct WorkerSession {
    /// What the coordinator says.
    pub orders: Receiver<FromCoordinator>,
    /// What the worker answers; a hello must come first, within 5 s.
    pub replies: Sender<FromWorker>,
    /// Batches of record lines, newline-separated text of at most 64 KiB.
    pub lines: Sender<String>,
    /// The connection under it.
    pub link: Link,
}

/// Why a worker did not get a certificate.
#[derive(Debug, thiserror::Error)]
pub enum JoinError {
    /// The coordinator does not want it, and says why; final.
    #[error("{0}")]
    Refused(String),
    /// It was not reached, or did not answer.
    #[error(transparent)]
    Wire(#[from] WireError),
}

/// A worker's first call: token in, certificate out. `from` binds the local address.
///
/// The private key is drawn here and never leaves the process.
pub async fn join(
    file: &JoinFile,
    name: &HostName,
    build: &str,
    from: Option<IpAddr>,
) -> Result<WorkerIdentity, JoinError> {
    let key = identity::worker_key()?;
    let request = JoinRequest {
        token: file.token.clone(),
        name: name.clone(),
        public_key: identity::public_key_hex(&key),
        build: build.to_owned(),
    };
    let connection = call(file, None, from).await?;
    // Twice the patience for a first word: the coordinator may have many to answer.
    let reply = within(2 * FIRST_FRAME_MAX, "answer to the join request", ask(&connection, &request)).await;
    connection.close(CLOSED, b"joined");
    match reply? {
        JoinReply::Issued { certificate_pem } => Ok(WorkerIdentity::new(name, &key, &certificate_pem)?),
        JoinReply::Refused { why } => Err(JoinError::Refused(why)),
    }
}

async fn ask(connection: &quinn::Connection, request: &JoinRequest) -> Result<JoinReply, WireError> {
    let (send, receive) = connection.open_bi().await?;
    let mut requests = Sender::json(send, JOIN_FRAME_MAX_BYTES);
    requests.send(request).await?;
    let reply = Receiver::json(receive, JOIN_FRAME_MAX_BYTES).next().await?;
    reply.ok_or_else(|| WireError::CutOff("no answer to the join request was on it".to_owned()))
}

/// A session under a certificate of this run. Returns once the coordinator knows the worker.
pub async fn connect(
    file: &JoinFile,
    identity: &WorkerIdentity,
    from: Option<IpAddr>,
) -> Result<WorkerSession, WireError> {
    let connection = call(file, Some(identity), from).await?;
    let opened = within(FIRST_FRAME_MAX, "sign that the session is taken", open(&connection)).await;
    if opened.is_err() {
        connection.close(CLOSED, b"no session came of it");
    }
    opened
}

async fn open(connection: &quinn::Connection) -> Result<WorkerSession, WireError> {
    let (send, receive) = connection.open_bi().await?;
    let mut replies = Sender::json(send, FRAME_MAX_BYTES);
    replies.open().await?;
    let mut lines = Sender::text(connection.open_uni().await?, FRAME_MAX_BYTES);
    lines.open().await?;
    let mut orders = Receiver::json(receive, PLAN_FRAME_MAX_BYTES);
    orders.opened().await?;
    Ok(WorkerSession { orders, replies, lines, link: Link(connection.clone()) })
}

/// Calls the join file's addresses in order until one answers as this run's coordinator.
async fn call(
    file: &JoinFile,
    identity: Option<&WorkerIdentity>,
    from: Option<IpAddr>,
) -> Result<quinn::Connection, WireError> {
    let config = tls::client(file, identity)?;
    let mut tried = Vec::new();
    for addr in &file.addrs {
        match call_one(config.clone(), *addr, from).await {
            Ok(connection) => return Ok(connection),
            Err(why) => tried.push(format!("{addr}: {why}")),
        }
    }
    Err(WireError::Unreachable { tried: tried.join("; ") })
}

async fn call_one(
    config: quinn::ClientConfig,
    addr: SocketAddr,
    from: Option<IpAddr>,
) -> Result<quinn::Connection, WireError> {
    let any: IpAddr =
        if addr.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    let local = SocketAddr::new(from.unwrap_or(any), 0);
    if local.is_ipv4() != addr.is_ipv4() {
        return Err(WireError::CutOff(format!("{} cannot call an address of the other family", local.ip())));
    }
    // The endpoint lives on until its connections are done.
    let endpoint = socket::endpoint(local, None).map_err(|source| WireError::Bind { addr: local, source })?;
    let connecting = endpoint
        .connect_with(config, addr, COORDINATOR_NAME)
        .map_err(|error| WireError::CutOff(error.to_string()))?;
    within(HANDSHAKE_MAX, "answer", async { Ok(connecting.await?) }).await
}
