//! Transports that run beside the carriers, because a library or a process carries their
//! bytes: QUIC, scp, file. Here is what they share: their threads, their hours, their end,
//! and how a source learns where its sink listens.
//!
//! Their bytes are added to the flow's meter; the carriers cut the meter's slots.

use std::{
    future::Future,
    io,
    pin::Pin,
    sync::{Arc, PoisonError},
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    sync::watch,
    time::{Instant, sleep, timeout},
};

use super::{
    Shared, file,
    key::{Hello, OFFER_MAX_BYTES, Purpose, nonce},
    payload::Payload,
    quic, scp, socket,
    stage::{Flow, Stage},
};
use crate::model::{
    fleet::units::RunTime,
    plan::carriage::{Carriage, Transport},
    run::message::Role,
};

/// Sinks make ready this long before their round: an sshd and its keys take time.
const EARLY: Duration = Duration::from_millis(1500);

/// Sinks go on this long after their round, to read what is under way.
const DRAIN: Duration = Duration::from_millis(300);

/// What one question for an offer may take, and how soon it is asked again.
const ASK_MAX: Duration = Duration::from_millis(1500);
const ASK_AGAIN: Duration = Duration::from_millis(150);

/// A thread stays for so long after its last flow.
const GOODBYE: Duration = Duration::from_millis(10);

/// One end of a flow whose bytes something else carries.
#[derive(Clone, Debug)]
pub struct HostedFlow {
    /// The flow.
    pub flow: Flow,
    /// How it is carried.
    pub carriage: Carriage,
    /// When it begins and ends, on the run's clock.
    pub hours: (RunTime, RunTime),
    /// What is sent.
    pub payload: Arc<Payload>,
    /// Shared with the control plane.
    pub shared: Arc<Shared>,
}

/// Carries one end of a flow until its end; dropping it ends it at once, with all that it
/// has made.
type Carrying = Pin<Box<dyn Future<Output = ()>>>;

/// The threads of one stage.
#[derive(Debug, Default)]
pub struct Hosted {
    stop: Option<watch::Sender<bool>>,
    threads: Vec<std::thread::JoinHandle<()>>,
}

impl Hosted {
    /// Begins everything of a stage that something else carries, and forgets the one before.
    pub fn start(&mut self, shared: &Arc<Shared>, stage: &Stage, zero: RunTime) {
        self.stop();
        let mut flows = Vec::new();
        for round in stage.rounds.iter().filter(|round| !round.carriage.transport.by_carriers()) {
            let start = zero.0 + round.offset_us;
            let sending = round.flows.iter().filter(|flow| flow.role == Role::Source).count();
            let own_cap = shared.caps.rate_bps.map(|rate| rate / sending.max(1) as u64);
            // The owner's cap is above the plan's rate.
            let rate_bps = |flow: &Flow| own_cap.into_iter().chain(flow.rate_bps).min();
            flows.extend(round.flows.iter().map(|flow| HostedFlow {
                flow: Flow { rate_bps: rate_bps(flow), ..flow.clone() },
                carriage: round.carriage.clone(),
                hours: (RunTime(start), RunTime(start + round.for_us)),
                payload: Arc::clone(&stage.payload),
                shared: Arc::clone(shared),
            }));
        }
        if flows.is_empty() {
            return;
        }
        let (stop, stopped) = watch::channel(false);
        self.stop = Some(stop);
        self.threads.retain(|thread| !thread.is_finished());
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        for index in 0..cores {
            let own: Vec<HostedFlow> =
                flows.iter().filter(|hosted| hosted.flow.id as usize % cores == index).cloned().collect();
            if !own.is_empty() {
                self.threads.extend(begin_thread(index, shared, own, stopped.clone()));
            }
        }
    }

    /// Ends everything that is under way.
    pub fn stop(&mut self) {
        if let Some(stop) = self.stop.take() {
            // Nobody listens where all of it is over.
            let _ = stop.send(true);
        }
    }

    /// Ends everything and waits until it has removed what it made.
    pub fn quit(mut self) {
        self.stop();
        for thread in self.threads {
            if thread.join().is_err() {
                tracing::error!("a thread of the transports beside the carriers panicked");
            }
        }
    }
}

fn begin_thread(
    index: usize,
    shared: &Arc<Shared>,
    flows: Vec<HostedFlow>,
    stopped: watch::Receiver<bool>,
) -> Option<std::thread::JoinHandle<()>> {
    let shared = Arc::clone(shared);
    let run = move || {
        let _counted = Counted::new(&shared);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        match runtime {
            Ok(runtime) => {
                let local = tokio::task::LocalSet::new();
                for hosted in flows {
                    local.spawn_local(keep_hours(hosted, stopped.clone()));
                }
                runtime.block_on(local);
                // What libraries still want to say to the far end, for example that this is the end.
                runtime.block_on(async { sleep(GOODBYE).await });
            }
            Err(error) => tracing::error!(%error, "no runtime for the transports beside the carriers"),
        }
    };
    match std::thread::Builder::new().name(format!("hosted-{index}")).spawn(run) {
        Ok(thread) => Some(thread),
        Err(error) => {
            tracing::error!(%error, "no thread for the transports beside the carriers");
            None
        }
    }
}

/// A thread whose time on a core counts as the carriers' does: where it is the limit, that
/// is to be seen.
struct Counted<'a> {
    shared: &'a Shared,
    id: u32,
}

impl<'a> Counted<'a> {
    fn new(shared: &'a Shared) -> Self {
        let id = rustix::thread::gettid().as_raw_nonzero().get().cast_unsigned();
        shared.threads.lock().unwrap_or_else(PoisonError::into_inner).push(id);
        Self { shared, id }
    }
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        let mut threads = self.shared.threads.lock().unwrap_or_else(PoisonError::into_inner);
        threads.retain(|id| *id != self.id);
    }
}

/// Carries one end of a flow within its hours, and no longer than nobody stops it.
async fn keep_hours(hosted: HostedFlow, mut stopped: watch::Receiver<bool>) {
    let sinks = hosted.flow.role == Role::Sink;
    let from = RunTime(hosted.hours.0.0.saturating_sub(if sinks { EARLY.as_micros() as u64 } else { 0 }));
    let until = hosted.hours.1 + if sinks { DRAIN } else { Duration::ZERO };
    let (shared, id) = (Arc::clone(&hosted.shared), hosted.flow.id);
    let stopping = async move {
        // The sender is gone with the session: that is a stop too.
        let _ = stopped.wait_for(|stop| *stop).await;
    };
    let carrying = async {
        sleep(from.since(shared.run_now())).await;
        let length = until.since(shared.run_now());
        // Its end is not an error: what is under way then is given up.
        let _ = timeout(length, carry(hosted)).await;
    };
    tokio::select! {
        () = stopping => {}
        () = carrying => {}
    }
    shared.offers.lock().unwrap_or_else(PoisonError::into_inner).remove(&id);
}

/// Which engine carries a flow.
fn carry(hosted: HostedFlow) -> Carrying {
    match hosted.carriage.transport {
        Transport::Quic => match hosted.flow.role {
            Role::Source => Box::pin(quic::source(hosted)),
            Role::Sink => Box::pin(quic::sink(hosted)),
        },
        Transport::Scp => match hosted.flow.role {
            Role::Source => Box::pin(scp::source(hosted)),
            Role::Sink => Box::pin(scp::sink(hosted)),
        },
        Transport::File => match hosted.flow.role {
            Role::Source => Box::pin(file::source(hosted)),
            Role::Sink => Box::pin(file::sink(hosted)),
        },
        // Carriers have these.
        Transport::Tcp | Transport::Udp => Box::pin(std::future::ready(())),
    }
}

impl HostedFlow {
    /// Tells sources where to go: a text that only they can read and that they can trust.
    pub fn offer(&self, text: String) {
        self.shared.offers.lock().unwrap_or_else(PoisonError::into_inner).insert(self.flow.id, text);
    }

    /// Asks the sink where to go, until it knows.
    ///
    /// # Errors
    ///
    /// If it does not know by `deadline`: what went wrong last.
    pub async fn ask(&self, deadline: Instant) -> io::Result<String> {
        loop {
            let asked = timeout(ASK_MAX, self.ask_once()).await;
            let error = match asked {
                Ok(Ok(text)) if !text.is_empty() => return Ok(text),
                Ok(Ok(_)) => io::Error::other("the far end is not ready"),
                Ok(Err(error)) => error,
                Err(_) => io::ErrorKind::TimedOut.into(),
            };
            if Instant::now() + ASK_AGAIN >= deadline {
                return Err(error);
            }
            sleep(ASK_AGAIN).await;
        }
    }

    async fn ask_once(&self) -> io::Result<String> {
        let socket = socket::connect(&self.shared.binding, self.flow.peer, &socket::Dress::default())?;
        let mut stream = TcpStream::from_std(socket.into())?;
        stream.writable().await?;
        let hello = Hello { purpose: Purpose::Ask, flow: self.flow.id, stream: 0, nonce: nonce() };
        stream.write_all(&self.flow.key.seal(&hello)).await?;
        let mut bytes = Vec::new();
        stream.take(OFFER_MAX_BYTES as u64 + 64).read_to_end(&mut bytes).await?;
        let refused = || io::Error::other("the far end does not hold this transfer's key");
        self.flow.key.opens(&hello.nonce, &bytes).ok_or_else(refused)
    }

    /// Whether bytes may be sent now: the lease, and the owner's caps.
    pub fn may_send(&self) -> bool {
        self.shared.may_send(crate::sys::clock::now_us())
    }
}
