//! The coordinator's end: greets callers side by side, and hands over those who have said
//! what they want.
//!
//! One caller never waits for another: each is greeted by a task of its own, their number
//! is bounded, and each step has a deadline.

use std::{net::SocketAddr, sync::Arc};

use rustls::pki_types::CertificateDer;
use tokio::sync::{Mutex, Semaphore, mpsc};

use super::{CLOSED, FIRST_FRAME_MAX, HANDSHAKE_MAX, JOIN_FRAME_MAX_BYTES, Link, TURNED_AWAY, within};
use crate::{
    model::{
        fleet::host::HostName,
        run::message::{
            FRAME_MAX_BYTES, FromCoordinator, FromWorker, JoinReply, JoinRequest, PLAN_FRAME_MAX_BYTES,
        },
    },
    wire::{
        error::WireError,
        frame::{Receiver, SEND_PATIENCE, Sender},
        identity::RunAuthority,
        socket, tls,
    },
};

/// Callers greeted at once. A fleet that starts together calls again when it is turned away.
const GREETED_MAX: usize = 64;

/// From this many on a caller must first show that it receives at the address it calls
/// from, so that forged addresses cannot take up all places.
const GREETED_UNPROVEN_MAX: usize = GREETED_MAX / 2;

/// Callers that have said what they want and were not accepted yet.
const WAITING_MAX: usize = 64;

/// The coordinator's end. Handshakes run concurrently and bounded inside.
pub struct Listener {
    endpoint: quinn::Endpoint,
    local: SocketAddr,
    greeted: Mutex<mpsc::Receiver<Incoming>>,
}

/// A caller that has said what it wants.
#[expect(clippy::large_enum_variant, reason = "one a caller, taken apart at once; nobody keeps many of them")]
pub enum Incoming {
    /// It wants a certificate.
    Join(JoinCall),
    /// It has one.
    Session(CoordinatorSession),
}

/// A worker without a certificate that asks for one.
pub struct JoinCall {
    request: JoinRequest,
    from: SocketAddr,
    connection: quinn::Connection,
    answers: Sender<JoinReply>,
}

/// A session with a worker that holds a certificate of this run.
pub struct CoordinatorSession {
    /// The name in its certificate.
    pub name: HostName,
    /// Where it calls from.
    pub from: SocketAddr,
    /// What the worker is told.
    pub orders: Sender<FromCoordinator>,
    /// What it answers; the first is there already.
    pub replies: Receiver<FromWorker>,
    /// Batches of record lines, newline-separated text.
    pub lines: Receiver<String>,
    /// The connection under it.
    pub link: Link,
}

impl Listener {
    /// Listens on `addr`; with port 0 on a free one. Must be called within a tokio runtime.
    pub fn bind(addr: SocketAddr, authority: Arc<RunAuthority>) -> Result<Self, WireError> {
        let config = tls::server(&authority)?;
        let fault = |source| WireError::Bind { addr, source };
        let endpoint = socket::endpoint(addr, Some(config)).map_err(fault)?;
        let local = endpoint.local_addr().map_err(fault)?;
        let (sender, greeted) = mpsc::channel(WAITING_MAX);
        tokio::spawn(greet_all(endpoint.clone(), authority, sender));
        Ok(Self { endpoint, local, greeted: Mutex::new(greeted) })
    }

    /// Where it listens.
    pub const fn local_addr(&self) -> SocketAddr {
        self.local
    }

    /// The next caller whose first frame is in; `None` once closed. Cancel safe.
    pub async fn accept(&self) -> Option<Incoming> {
        self.greeted.lock().await.recv().await
    }

    /// Closes every connection, telling the far ends why, and waits 2 s at the most until
    /// they know.
    pub async fn close(&self, why: &str) {
        self.endpoint.close(CLOSED, why.as_bytes());
        // Who has not acknowledged by then is told by its own idle timeout.
        let _ = tokio::time::timeout(SEND_PATIENCE, self.endpoint.wait_idle()).await;
    }
}

impl JoinCall {
    /// What the worker asks.
    pub const fn request(&self) -> &JoinRequest {
        &self.request
    }

    /// Where it calls from.
    pub const fn from(&self) -> SocketAddr {
        self.from
    }

    /// Answers, waits 2 s at the most until the worker has the answer, and hangs up.
    pub async fn answer(mut self, reply: JoinReply) {
        let sent = match self.answers.send(&reply).await {
            Ok(()) => self.answers.finish().await,
            Err(error) => Err(error),
        };
        if let Err(why) = sent {
            tracing::debug!(from = %self.from, "an answer to a join request did not arrive: {why}");
        }
        self.connection.close(CLOSED, b"answered");
    }
}

/// Takes calls until the endpoint is closed or nobody listens any more.
async fn greet_all(endpoint: quinn::Endpoint, authority: Arc<RunAuthority>, sender: mpsc::Sender<Incoming>) {
    let places = Arc::new(Semaphore::new(GREETED_MAX));
    loop {
        let incoming = tokio::select! {
            incoming = endpoint.accept() => incoming,
            () = sender.closed() => None,
        };
        let Some(incoming) = incoming else { return };
        let unproven = places.available_permits() <= GREETED_MAX - GREETED_UNPROVEN_MAX;
        if unproven && incoming.may_retry() && !incoming.remote_address_validated() {
            // It fails only where retrying is not allowed, which was asked just now.
            let _ = incoming.retry();
            continue;
        }
        let Ok(place) = Arc::clone(&places).try_acquire_owned() else {
            incoming.refuse();
            continue;
        };
        let (authority, sender) = (Arc::clone(&authority), sender.clone());
        tokio::spawn(async move {
            let _place = place;
            greet(incoming, &authority, &sender).await;
        });
    }
}

/// Brings one caller to the point where it has said what it wants, or turns it away.
async fn greet(incoming: quinn::Incoming, authority: &RunAuthority, sender: &mpsc::Sender<Incoming>) {
    let from = incoming.remote_address();
    let from = SocketAddr::new(from.ip().to_canonical(), from.port());
    let connection = match within(HANDSHAKE_MAX, "handshake", async { Ok(incoming.await?) }).await {
        Ok(connection) => connection,
        Err(why) => {
            tracing::debug!(%from, "a caller was not let in: {why}");
            return;
        }
    };
    let greeted = within(FIRST_FRAME_MAX, "first word", first_word(&connection, from, authority)).await;
    match greeted {
        Ok(incoming) => {
            if let Err(_full) = sender.send_timeout(incoming, FIRST_FRAME_MAX).await {
                connection.close(TURNED_AWAY, b"the coordinator has too many callers; call again");
            }
        }
        Err(why) => {
            tracing::debug!(%from, "a caller was turned away: {why}");
            connection.close(TURNED_AWAY, why.to_string().as_bytes());
        }
    }
}

async fn first_word(
    connection: &quinn::Connection,
    from: SocketAddr,
    authority: &RunAuthority,
) -> Result<Incoming, WireError> {
    match certificate(connection) {
        None => join_call(connection, from).await.map(Incoming::Join),
        Some(certificate) => {
            let name = authority.name_of(&certificate).ok_or(WireError::UnknownCertificate)?;
            session(connection, from, name).await.map(Incoming::Session)
        }
    }
}

/// The certificate that TLS has verified, where the caller showed one.
fn certificate(connection: &quinn::Connection) -> Option<CertificateDer<'static>> {
    let chain = connection.peer_identity()?.downcast::<Vec<CertificateDer<'static>>>().ok()?;
    chain.into_iter().next()
}

async fn join_call(connection: &quinn::Connection, from: SocketAddr) -> Result<JoinCall, WireError> {
    let (send, receive) = connection.accept_bi().await?;
    let request = Receiver::json(receive, JOIN_FRAME_MAX_BYTES).next().await?;
    let request = request.ok_or_else(|| WireError::CutOff("no join request was on it".to_owned()))?;
    let answers = Sender::json(send, JOIN_FRAME_MAX_BYTES);
    Ok(JoinCall { request, from, connection: connection.clone(), answers })
}

async fn session(
    connection: &quinn::Connection,
    from: SocketAddr,
    name: HostName,
) -> Result<CoordinatorSession, WireError> {
    connection.set_receive_window(tls::WORKER_WINDOW_BYTES.into());
    let (send, receive) = connection.accept_bi().await?;
    let mut replies = Receiver::json(receive, FRAME_MAX_BYTES);
    replies.opened().await?;
    let mut lines = Receiver::text(connection.accept_uni().await?, FRAME_MAX_BYTES);
    lines.opened().await?;
    let mut orders = Sender::json(send, PLAN_FRAME_MAX_BYTES);
    orders.open().await?;
    replies.wait().await?;
    Ok(CoordinatorSession { name, from, orders, replies, lines, link: Link(connection.clone()) })
}
