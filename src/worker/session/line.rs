//! The line to the coordinator: what is heard on it, and two tasks that write to it, so that
//! control never waits for a slow one.

use std::time::Duration;

use tokio::{sync::mpsc, task::JoinHandle, time::sleep};

use crate::{
    model::run::message::{FromCoordinator, FromWorker},
    wire::endpoint::{Receiver, Sender, WireError, WorkerSession},
};

/// Replies and batches that may wait for a slow line.
pub(super) const REPLIES_MAX: usize = 64;
const BATCHES_MAX: usize = 4;

/// The two writing tasks of a live session, and what it hears.
pub(super) struct LiveLink {
    pub(super) orders: Receiver<FromCoordinator>,
    pub(super) replies: mpsc::Sender<FromWorker>,
    pub(super) batches: mpsc::Sender<String>,
}

impl LiveLink {
    pub(super) fn of(session: WorkerSession) -> Self {
        Self {
            orders: session.orders,
            replies: writer(session.replies, REPLIES_MAX),
            batches: writer(session.lines, BATCHES_MAX),
        }
    }
}

fn writer<T: serde::Serialize + Send + Sync + 'static>(mut to: Sender<T>, room: usize) -> mpsc::Sender<T> {
    let (queue, mut waiting) = mpsc::channel::<T>(room);
    tokio::spawn(async move {
        while let Some(message) = waiting.recv().await {
            // A line that stalls is tried again until the session is given up, which closes
            // this queue.
            while to.send(&message).await.is_err() {
                if waiting.is_closed() {
                    return;
                }
                sleep(Duration::from_millis(50)).await;
            }
        }
    });
    queue
}

/// The next order of a live session; pends while there is none, `None` once it is gone.
pub(super) async fn next_order(link: &mut Option<LiveLink>) -> Option<FromCoordinator> {
    match link {
        Some(link) => link.orders.next().await.ok().flatten(),
        None => std::future::pending().await,
    }
}

/// The session that is being made; pends while none is, `None` where it failed.
pub(super) async fn connected(
    connecting: &mut Option<JoinHandle<Result<WorkerSession, WireError>>>,
) -> Option<WorkerSession> {
    match connecting {
        Some(task) => match task.await {
            Ok(Ok(session)) => Some(session),
            Ok(Err(error)) => {
                tracing::debug!(%error, "the coordinator is not reached");
                None
            }
            Err(error) => {
                tracing::error!(%error, "connecting broke");
                None
            }
        },
        None => std::future::pending().await,
    }
}

/// Room for a batch; pends where there is nothing to send.
pub(super) async fn reserve(batches: Option<mpsc::Sender<String>>) -> Option<mpsc::OwnedPermit<String>> {
    match batches {
        Some(batches) => match batches.reserve_owned().await {
            Ok(permit) => Some(permit),
            Err(_) => std::future::pending().await,
        },
        None => std::future::pending().await,
    }
}
