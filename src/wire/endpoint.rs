//! stub of the agreed interface
#![allow(missing_docs, clippy::all, clippy::pedantic, clippy::todo, unused, reason = "stub")]
use std::net::SocketAddr;
use super::{identity::{RunAuthority, WorkerIdentity}, join::JoinFile};
use crate::model::{fleet::host::HostName, run::message::{FromCoordinator, FromWorker, JoinReply, JoinRequest}};
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct WireError(pub String);
/// The coordinator's end. Handshakes run concurrently and bounded inside.
pub struct Listener;
impl Listener {
    pub fn bind(addr: SocketAddr, authority: std::sync::Arc<RunAuthority>) -> Result<Self, WireError> { todo!() }
    pub fn local_addr(&self) -> SocketAddr { todo!() }
    /// The next caller whose first frame is in; `None` once closed.
    pub async fn accept(&self) -> Option<Incoming> { todo!() }
    pub async fn close(&self, why: &str) { todo!() }
}
pub enum Incoming { Join(JoinCall), Session(CoordinatorSession) }
/// A worker without a certificate that asks for one.
pub struct JoinCall;
impl JoinCall {
    pub fn request(&self) -> &JoinRequest { todo!() }
    pub fn from(&self) -> SocketAddr { todo!() }
    pub async fn answer(self, reply: JoinReply) { todo!() }
}
/// A session with a worker that holds a certificate of this run.
pub struct CoordinatorSession {
    pub name: HostName,
    pub from: SocketAddr,
    pub orders: Sender<FromCoordinator>,
    pub replies: Receiver<FromWorker>,
    /// Batches of record lines, newline-separated text.
    pub lines: Receiver<String>,
    pub link: Link,
}
pub struct WorkerSession {
    pub orders: Receiver<FromCoordinator>,
    pub replies: Sender<FromWorker>,
    pub lines: Sender<String>,
    pub link: Link,
}
pub struct Sender<T>(std::marker::PhantomData<T>);
impl<T: serde::Serialize> Sender<T> {
    /// Writes one frame; an error after 2 s without progress or when the connection is gone.
    pub async fn send(&mut self, message: &T) -> Result<(), WireError> { todo!() }
}
pub struct Receiver<T>(std::marker::PhantomData<T>);
impl<T: serde::de::DeserializeOwned> Receiver<T> {
    /// The next frame; cancel safe. `Ok(None)` when the far end finished in order.
    pub async fn next(&mut self) -> Result<Option<T>, WireError> { todo!() }
}
/// The connection under a session.
#[derive(Clone)]
pub struct Link;
impl Link {
    /// Resolves once the connection is gone.
    pub async fn closed(&self) -> Gone { todo!() }
    pub fn close(&self, why: &str) { todo!() }
    pub fn rtt(&self) -> std::time::Duration { todo!() }
}
#[derive(Clone, Debug)]
pub struct Gone { /// the far process closed it, or its kernel refused (so its kernel lives)
    pub by_peer: bool, pub why: String }
/// A worker's first call: token in, certificate out. `from` binds the local address.
pub async fn join(file: &JoinFile, name: &HostName, build: &str, from: Option<std::net::IpAddr>) -> Result<WorkerIdentity, JoinError> { todo!() }
#[derive(Debug, thiserror::Error)]
pub enum JoinError {
    #[error("{0}")] Refused(String),
    #[error(transparent)] Wire(#[from] WireError),
}
pub async fn connect(file: &JoinFile, identity: &WorkerIdentity, from: Option<std::net::IpAddr>) -> Result<WorkerSession, WireError> { todo!() }
