//! Everything that comes from workers, brought to one place.
//!
//! Three tasks a session, so that none delays another: orders out; replies in (pings are
//! answered right here, because a clock estimate is only as good as the answer is prompt);
//! lines in. They end with the session. What a message means is the driver's.
//!
//! Every channel is bounded. A worker that floods waits on its own stream; a worker that
//! does not take its orders is treated as lost.

use std::{
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use tokio::{
    sync::mpsc,
    time::{Instant, timeout},
};

use crate::{
    model::{
        fleet::{host::HostName, units::RunTime},
        run::message::{FromCoordinator, FromWorker, Hello},
    },
    wire::endpoint::{CoordinatorSession, Gone, Incoming, JoinCall, Link, Listener, Receiver, Sender},
};

/// Orders that wait for one worker. A stage needs two, a second one lease, one pong, one
/// acknowledgement; more than this many and nothing gets through to it.
const ORDERS_MAX: usize = 64;

/// Messages that wait for the driver; it takes thousands a second.
const REPLIES_MAX: usize = 1024;

/// Batches of lines (at most 64 KiB each) that wait for the driver.
const BATCHES_MAX: usize = 256;

/// A worker says who it is in its first message.
const HELLO_MAX: Duration = Duration::from_secs(5);

/// How long the transport may take to say why a stream ended.
const GONE_MAX: Duration = Duration::from_secs(1);

/// The run's clock: unset before the run's zero.
#[derive(Clone, Debug, Default)]
pub(super) struct RunClock(Arc<OnceLock<Instant>>);

impl RunClock {
    /// Sets zero to this moment, once.
    pub(super) fn start(&self) {
        let _ = self.0.set(Instant::now());
    }

    /// The present moment; zero before the start.
    pub(super) fn now(&self) -> RunTime {
        self.0.get().map_or(RunTime::default(), |zero| RunTime::after_zero(zero.elapsed()))
    }

    /// When `at` is, on tokio's clock.
    pub(super) fn instant(&self, at: RunTime) -> Instant {
        self.0.get().copied().unwrap_or_else(Instant::now) + at.since_zero()
    }
}

/// What reaches the driver from the fleet, except lines.
pub(super) enum FromFleet {
    /// Somebody wants a certificate.
    Join(Box<JoinCall>),
    /// A session said who it is.
    Hello(SessionHandle, Box<Hello>),
    /// A later message of the session with this number.
    Said(u64, FromWorker),
    /// The session with this number ended.
    Gone(u64, Gone),
}

/// Lines of one worker, newline-separated.
pub(super) struct Batch {
    pub(super) name: HostName,
    pub(super) text: String,
}

/// The driver's hold on a session.
#[derive(Clone)]
pub(super) struct SessionHandle {
    pub(super) id: u64,
    pub(super) name: HostName,
    orders: mpsc::Sender<FromCoordinator>,
    welcomed: Arc<AtomicBool>,
    link: Link,
}

impl std::fmt::Debug for SessionHandle {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("SessionHandle")
            .field("id", &self.id)
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

impl SessionHandle {
    /// Queues an order; a worker whose queue is full has taken none for long, and is cut off.
    pub(super) fn tell(&self, order: FromCoordinator) {
        if matches!(order, FromCoordinator::Welcome { .. }) {
            self.welcomed.store(true, Ordering::Release);
        }
        if let Err(mpsc::error::TrySendError::Full(_)) = self.orders.try_send(order) {
            self.link.close("orders are not taken");
        }
    }

    pub(super) fn close(&self, why: &str) {
        self.link.close(why);
    }
}

/// The driver's ends of the channels.
pub(super) struct Inbox {
    pub(super) fleet: mpsc::Receiver<FromFleet>,
    pub(super) lines: mpsc::Receiver<Batch>,
    accepting: tokio::task::JoinHandle<()>,
}

impl Drop for Inbox {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

/// Accepts callers from now on, until the inbox is dropped or the listener closed.
pub(super) fn open(listener: Arc<Listener>, clock: RunClock) -> Inbox {
    let (to_fleet, fleet) = mpsc::channel(REPLIES_MAX);
    let (to_lines, lines) = mpsc::channel(BATCHES_MAX);
    let accepting = tokio::spawn(async move {
        for id in 0.. {
            match listener.accept().await {
                None => return,
                Some(Incoming::Join(call)) => {
                    if to_fleet.send(FromFleet::Join(Box::new(call))).await.is_err() {
                        return;
                    }
                }
                Some(Incoming::Session(session)) => {
                    let post =
                        Post { id, fleet: to_fleet.clone(), lines: to_lines.clone(), clock: clock.clone() };
                    tokio::spawn(post.greet(session));
                }
            }
        }
    });
    Inbox { fleet, lines, accepting }
}

/// One session's way to the driver.
struct Post {
    id: u64,
    fleet: mpsc::Sender<FromFleet>,
    lines: mpsc::Sender<Batch>,
    clock: RunClock,
}

impl Post {
    async fn greet(self, session: CoordinatorSession) {
        let CoordinatorSession { name, from, orders, mut replies, lines, link } = session;
        let Ok(Ok(Some(FromWorker::Hello(hello)))) = timeout(HELLO_MAX, replies.next()).await else {
            tracing::warn!(%name, %from, "session without hello");
            link.close("no hello within 5 s");
            return;
        };
        let (queue, queued) = mpsc::channel(ORDERS_MAX);
        let welcomed = Arc::new(AtomicBool::new(false));
        let handle = SessionHandle {
            id: self.id,
            name: name.clone(),
            orders: queue.clone(),
            welcomed: Arc::clone(&welcomed),
            link: link.clone(),
        };
        if self.fleet.send(FromFleet::Hello(handle, hello)).await.is_err() {
            return;
        }
        tokio::spawn(send_orders(orders, queued, link.clone()));
        tokio::spawn(take_lines(lines, name, self.lines.clone()));
        self.take_replies(replies, queue, &welcomed, link).await;
    }

    async fn take_replies(
        self,
        mut replies: Receiver<FromWorker>,
        queue: mpsc::Sender<FromCoordinator>,
        welcomed: &AtomicBool,
        link: Link,
    ) {
        loop {
            let said = tokio::select! {
                said = replies.next() => said,
                gone = link.closed() => return self.gone(gone).await,
            };
            match said {
                Ok(Some(said)) => {
                    if let FromWorker::Ping { sent_us, .. } = said
                        && welcomed.load(Ordering::Acquire)
                    {
                        // A full queue loses a pong, and the estimate waits for the next.
                        let _ = queue.try_send(FromCoordinator::Pong { sent_us, run_us: self.clock.now() });
                    }
                    if self.fleet.send(FromFleet::Said(self.id, said)).await.is_err() {
                        return;
                    }
                }
                Ok(None) => {
                    let why = "the worker ended its stream".to_owned();
                    let gone = timeout(GONE_MAX, link.closed()).await.unwrap_or(Gone { by_peer: true, why });
                    return self.gone(gone).await;
                }
                Err(error) => {
                    let why = error.to_string();
                    let gone = timeout(GONE_MAX, link.closed()).await.unwrap_or(Gone { by_peer: false, why });
                    link.close("its stream of replies is broken");
                    return self.gone(gone).await;
                }
            }
        }
    }

    async fn gone(&self, gone: Gone) {
        // Only fails when the driver is gone too.
        let _ = self.fleet.send(FromFleet::Gone(self.id, gone)).await;
    }
}

async fn send_orders(
    mut orders: Sender<FromCoordinator>,
    mut queued: mpsc::Receiver<FromCoordinator>,
    link: Link,
) {
    while let Some(order) = queued.recv().await {
        let is_last = matches!(order, FromCoordinator::Refused { .. });
        if orders.send(&order).await.is_err() {
            link.close("orders do not get through");
            return;
        }
        if is_last {
            // Its closing is the worker's; this one only bounds it.
            let _ = timeout(GONE_MAX, link.closed()).await;
            link.close("refused");
            return;
        }
    }
}

async fn take_lines(mut lines: Receiver<String>, name: HostName, inbox: mpsc::Sender<Batch>) {
    while let Ok(Some(text)) = lines.next().await {
        if inbox.send(Batch { name: name.clone(), text }).await.is_err() {
            return;
        }
    }
}
