//! A worker's control loop: joins, obeys, tells, reconnects, and ends by the plan.
//!
//! One task selects over everything that can happen and never waits for a slow line: orders
//! are read here, replies and record lines are written by two small tasks of their own, and
//! connecting goes on beside it. What carries bytes is not touched by any of this.

use std::{
    collections::BTreeMap,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use tokio::{
    signal::unix::{SignalKind, signal},
    sync::mpsc,
    task::JoinHandle,
    time::{Instant, MissedTickBehavior, interval, sleep, sleep_until},
};

use super::{
    Ending, Lines, Parts,
    facts::{self, Sampler},
    kernel_log::KernelLog,
    nic,
    offset::OffsetFilter,
    outbox::Outbox,
    prober::Prober,
    transfer::{Command, hosted::Hosted, stage::Stage},
};
use crate::{
    model::{
        fleet::{host::HostId, units::RunTime},
        record::line::Body,
        run::{
            BUILD,
            message::{FromCoordinator, FromWorker, Hello, PROTOCOL},
        },
    },
    sys::clock,
    wire::{
        endpoint::{JoinError, WireError, WorkerSession, connect, join},
        identity::WorkerIdentity,
    },
};

mod ending;
mod files;
mod line;
mod stages;
mod telling;

use line::{LiveLink, REPLIES_MAX, connected, next_order, reserve};
use telling::Telling;

/// Joining is tried for this long: the coordinator may still be busy with others.
const JOIN_FOR: Duration = Duration::from_secs(20);

/// Between two attempts to reach the coordinator.
const RETRY: Duration = Duration::from_millis(300);

/// The run's time is asked for once a second, and at first in quick succession.
const PING: Duration = Duration::from_secs(1);
const FIRST_PINGS: u32 = 8;
const FIRST_PING: Duration = Duration::from_millis(40);

/// The link is looked at each slot, so that a lost carrier is told at once.
const LOOK: Duration = Duration::from_millis(100);

/// Looks between two full samples of the host.
const LOOKS_PER_SAMPLE: u32 = 10;

/// Without a welcome by then the run is over for this worker.
const WELCOME_MAX: Duration = Duration::from_secs(600);

/// After its last line, a worker waits this long for the coordinator to have written it.
const DELIVER_MAX: Duration = Duration::from_secs(10);

/// Joins and serves until the run is over.
pub async fn run(parts: Parts, lines: Lines) -> Result<(), Ending> {
    let identity = Arc::new(join_run(&parts).await?);
    let outbox = Outbox::create(&parts.spool_dir, parts.name.as_str()).map_err(|error| {
        Ending::Failed(format!("cannot keep a spool: {error}; name a folder with --spool"))
    })?;
    let sampler = Sampler::new(Arc::clone(&parts.shared), parts.link_reader()?);
    let kernel_log = KernelLog::open(&nic::describe(&parts.card));
    let telling = Telling::new(&parts);
    let prober = Prober::start(&parts.shared)
        .map_err(|error| Ending::Failed(format!("cannot start the probing thread: {error}")))?;
    let mut serving = Serving {
        prober,
        identity,
        outbox,
        sampler,
        kernel_log,
        telling,
        link: None,
        filter: OffsetFilter::default(),
        host: None,
        over_at: None,
        finish_by: None,
        stage: None,
        started: None,
        hosted: Hosted::default(),
        looks: 0,
        pings: 0,
        ping_at: Instant::now(),
        unstarted: None,
        parts,
    };
    let ended = serving.serve(lines).await;
    serving.end(ended).await
}

async fn join_run(parts: &Parts) -> Result<WorkerIdentity, Ending> {
    let deadline = Instant::now() + JOIN_FOR;
    loop {
        // Control leaves by whatever way leads there: only data is bound to the card.
        match join(&parts.join, &parts.name, BUILD, None).await {
            Ok(identity) => return Ok(identity),
            Err(JoinError::Refused(why)) => {
                return Err(Ending::Refused(format!("the coordinator refused: {why}")));
            }
            Err(JoinError::Wire(error)) if Instant::now() >= deadline => {
                return Err(Ending::Failed(format!("cannot join run {}: {error}", parts.join.run)));
            }
            Err(JoinError::Wire(error)) => {
                tracing::debug!(%error, "joining failed; trying again");
                sleep(RETRY).await;
            }
        }
    }
}

struct Serving {
    parts: Parts,
    prober: Prober,
    identity: Arc<WorkerIdentity>,
    outbox: Outbox,
    sampler: Sampler,
    kernel_log: KernelLog,
    telling: Telling,
    link: Option<LiveLink>,
    filter: OffsetFilter,
    host: Option<HostId>,
    over_at: Option<RunTime>,
    finish_by: Option<Instant>,
    stage: Option<Arc<Stage>>,
    started: Option<u16>,
    hosted: Hosted,
    looks: u32,
    pings: u32,
    ping_at: Instant,
    /// A start that was ordered before the run's time was known.
    unstarted: Option<(u16, RunTime)>,
}

impl Serving {
    async fn serve(&mut self, mut lines: Lines) -> Result<(), Ending> {
        let failed = |error: std::io::Error| Ending::Failed(format!("cannot watch for signals: {error}"));
        let mut term = signal(SignalKind::terminate()).map_err(failed)?;
        let mut int = signal(SignalKind::interrupt()).map_err(failed)?;
        let mut look = interval(LOOK);
        look.set_missed_tick_behavior(MissedTickBehavior::Skip);
        let mut connecting: Option<JoinHandle<Result<WorkerSession, WireError>>> = None;
        let welcome_by = Instant::now() + WELCOME_MAX;
        loop {
            if self.link.is_none() && connecting.is_none() {
                connecting = Some(self.connect());
            }
            let batches =
                self.link.as_ref().map(|link| link.batches.clone()).filter(|_| self.outbox.has_more());
            tokio::select! {
                biased;
                _ = term.recv() => return self.leave("SIGTERM").await,
                _ = int.recv() => return self.leave("SIGINT").await,
                order = next_order(&mut self.link) => match order {
                    Some(order) => self.obey(order)?,
                    None => self.link = None,
                },
                session = connected(&mut connecting) => {
                    connecting = None;
                    if let Some(session) = session {
                        self.begin(session);
                    }
                }
                () = sleep_until(self.ping_at), if self.link.is_some() => self.ping(),
                Some((at, body)) = lines.recv() => self.keep(at, body)?,
                answer = self.telling.answer() => self.heard_facts(answer)?,
                Some(permit) = reserve(batches) => self.send_batch(permit)?,
                _ = look.tick() => self.look()?,
            }
            if self.is_over(welcome_by)? {
                return Ok(());
            }
        }
    }

    fn connect(&self) -> JoinHandle<Result<WorkerSession, WireError>> {
        let (join, identity) = (self.parts.join.clone(), Arc::clone(&self.identity));
        tokio::spawn(async move {
            let session = connect(&join, &identity, None).await;
            if session.is_err() {
                sleep(RETRY).await;
            }
            session
        })
    }

    fn begin(&mut self, session: WorkerSession) {
        self.link = Some(LiveLink::of(session));
        self.ask_for_time();
        self.reply(FromWorker::Hello(Box::new(self.hello())));
    }

    fn hello(&self) -> Hello {
        Hello {
            versions: (PROTOCOL, PROTOCOL),
            build: BUILD.to_owned(),
            name: self.parts.name.clone(),
            instance: instance_id(),
            boot_id: facts::boot_id(),
            nic: nic::describe(&self.parts.card),
            data_addr: self.parts.data_addr,
            labels: self.parts.labels.iter().cloned().collect::<BTreeMap<_, _>>(),
            kernel: rustix::system::uname().release().to_string_lossy().into_owned(),
            cores: std::thread::available_parallelism().map_or(1, |cores| cores.get() as u32),
            congestion_control: self.parts.shared.binding.congestion_control.clone(),
            control_in_band: {
                let coordinator = self.parts.join.addrs.first();
                coordinator.and_then(|coordinator| nic::carries_control(self.parts.card.addr, *coordinator))
            },
        }
    }

    /// Queues a reply. A full queue means a dead line: its end will be noticed.
    fn reply(&self, reply: FromWorker) {
        if let Some(link) = &self.link
            && link.replies.try_send(reply).is_err()
        {
            tracing::debug!("a reply found no room");
        }
    }

    /// Asks for the run's time in quick succession from now on.
    fn ask_for_time(&mut self) {
        self.pings = 0;
        self.ping_at = Instant::now();
    }

    fn ping(&mut self) {
        self.pings = self.pings.saturating_add(1);
        self.ping_at = Instant::now() + if self.pings < FIRST_PINGS { FIRST_PING } else { PING };
        let best = self.filter.best();
        self.reply(FromWorker::Ping {
            sent_us: clock::now_us(),
            offset_us: best.map(|(offset, _)| offset),
            error_us: best.map(|(_, error)| error),
        });
    }

    fn obey(&mut self, order: FromCoordinator) -> Result<(), Ending> {
        match order {
            FromCoordinator::Welcome { host, instance, epoch, acked_seq, .. } => {
                self.host = Some(host);
                self.outbox.welcome(instance, epoch, acked_seq);
                self.telling.welcomed();
                // The run's clock begins with the welcome: what was asked before has no answer.
                self.ask_for_time();
            }
            FromCoordinator::Refused { why } => {
                return Err(Ending::Refused(format!("the coordinator refused: {why}")));
            }
            FromCoordinator::Pong { sent_us, run_us } => self.heard_pong(sent_us, run_us),
            FromCoordinator::Lease { ttl_ms, over_at } => {
                self.leased(clock::now_us() + u64::from(ttl_ms) * 1000)?;
                self.over_at = Some(over_at);
            }
            FromCoordinator::Prepare(slice) => self.prepare(&slice),
            FromCoordinator::Start { stage, at } => self.start(stage, at),
            FromCoordinator::Stop { why } => {
                tracing::info!(why, "told to stop");
                self.stop_sending();
            }
            FromCoordinator::Acked { seq } => self.outbox.acked(seq),
            FromCoordinator::Finish => {
                self.stop_sending();
                self.finish();
            }
        }
        Ok(())
    }

    /// Nothing is sent from `until_us` on, by this worker's clock, if no lease comes before. Tells of the
    /// time since the last one ran out.
    fn leased(&mut self, until_us: u64) -> Result<(), Ending> {
        let now_us = clock::now_us();
        let ran_out_us = self.parts.shared.lease_until_us.swap(until_us, Ordering::Relaxed);
        if ran_out_us == 0 || ran_out_us >= now_us {
            return Ok(());
        }
        let from = self.parts.shared.run_at(ran_out_us);
        let to = self.parts.shared.run_at(now_us);
        self.keep(to, Body::Lapsed { from, to })
    }

    fn heard_pong(&mut self, sent_us: u64, run_us: RunTime) {
        self.filter.add(sent_us, run_us, clock::now_us());
        if let Some((offset, _)) = self.filter.best() {
            self.parts.shared.offset_us.store(offset, Ordering::Relaxed);
            self.parts.shared.synced.store(true, Ordering::Relaxed);
        }
        if self.is_synced()
            && let Some((stage, at)) = self.unstarted.take()
        {
            self.start(stage, at);
        }
    }

    /// Whether the run's time is known.
    fn is_synced(&self) -> bool {
        self.parts.shared.synced.load(Ordering::Relaxed)
    }

    fn keep(&mut self, at: RunTime, body: Body) -> Result<(), Ending> {
        // Before its welcome lines have no number, before the first answer no moment; after
        // `Done` there are none.
        if !self.outbox.is_welcome() || !self.is_synced() || self.finish_by.is_some() {
            return Ok(());
        }
        self.outbox.add(at, body).map_err(|error| {
            self.stop_sending();
            Ending::Failed(format!("cannot keep record lines: {error}; this worker has stopped sending"))
        })
    }

    fn send_batch(&mut self, permit: mpsc::OwnedPermit<String>) -> Result<(), Ending> {
        let batch = self
            .outbox
            .next_batch()
            .map_err(|error| Ending::Failed(format!("cannot read the spool: {error}")))?;
        permit.send(batch);
        Ok(())
    }

    /// Looks at the link, and once a second at the whole host.
    fn look(&mut self) -> Result<(), Ending> {
        self.looks += 1;
        self.tell_kernel_lines()?;
        let changed = self.sampler.carrier_changed();
        if self.is_synced() {
            self.tell_facts()?;
        }
        if !self.is_synced() || !(changed || self.looks >= LOOKS_PER_SAMPLE) {
            return Ok(());
        }
        if self.looks >= LOOKS_PER_SAMPLE {
            self.looks = 0;
        }
        let seen = self.sampler.sample();
        self.keep(self.parts.shared.run_now(), Body::Host(Arc::new(seen)))
    }

    /// Sends no more in this stage, by whatever transport.
    fn stop_sending(&mut self) {
        self.parts.carriers.tell(&Command::Stop);
        self.hosted.stop();
        self.prober.stop();
    }

    /// Tells what came to the kernel's log; until the run's time is known it stays there.
    fn tell_kernel_lines(&mut self) -> Result<(), Ending> {
        if !self.is_synced() || !self.outbox.is_welcome() {
            return Ok(());
        }
        let shared = Arc::clone(&self.parts.shared);
        let bodies = self.kernel_log.look(clock::now_us(), |at_us| shared.run_at(at_us));
        bodies.into_iter().try_for_each(|body| self.keep(shared.run_now(), body))
    }
}

/// 32 digits drawn once for this process.
fn instance_id() -> String {
    static DRAWN: std::sync::OnceLock<String> = std::sync::OnceLock::new();
    DRAWN.get_or_init(|| crate::wire::identity::random_secret().0[..32].to_owned()).clone()
}
