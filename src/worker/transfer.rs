//! Carries the bytes: a few plain threads, each with its own sockets and its own clock.
//!
//! `carrier` is the thread's loop, `source` and `sink` the two ends of a flow, `outlet` and
//! `inlet` those of a stream, `poller` what it waits with; `key`, `bucket` and `slots` are
//! pure. The control plane only leaves
//! commands in a mailbox: a dead peer blocks neither a sampler nor a stop.

use std::{
    collections::BTreeMap,
    io,
    net::IpAddr,
    path::Path,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering},
    },
};

use hdrhistogram::Histogram;

use crate::{
    model::{
        fleet::{host::HostId, units::RunTime},
        plan::layout::FlowId,
        record::line::Body,
    },
    sys::clock,
};

pub mod able;
pub mod alone;
pub mod around;
pub mod bucket;
pub mod carrier;
pub mod compare;
pub mod connects;
pub mod datagram;
pub mod depot;
pub mod door;
pub mod ends;
pub mod file;
pub mod hosted;
pub mod inlet;
pub mod key;
pub mod outcome;
pub mod outlet;
pub mod payload;
pub mod poller;
pub mod quic;
pub mod room;
pub mod scp;
pub mod sink;
pub mod slots;
pub mod socket;
pub mod source;
pub mod stage;
pub mod told;

use stage::Stage;

/// What the worker's own owner allows, whoever gives the orders.
#[derive(Clone, Debug)]
pub struct Caps {
    /// The most it may send, all flows together, bits per second.
    pub rate_bps: Option<u64>,
    /// The most it may send in its life, bytes.
    pub bytes: u64,
    /// The longest it may send after its first byte, microseconds.
    pub duration_us: u64,
}

/// Where data sockets live.
#[derive(Clone, Debug)]
pub struct Binding {
    /// The address of the card under test.
    pub addr: IpAddr,
    /// Its interface.
    pub iface: String,
    /// The largest packet that the interface carries, bytes.
    pub mtu: u32,
    /// The port of both its listener and its datagrams.
    pub port: u16,
    /// The ports that it may listen on, the first and the last; any unless given.
    pub data_ports: Option<(u16, u16)>,
    /// The congestion control that this kernel permits.
    pub congestion_control: String,
}

/// How often connections are asked for their state unless the worker's owner says otherwise.
pub const ASK_EVERY_US: u64 = 1_000_000;

/// What control plane and carriers share.
#[derive(Debug)]
pub struct Shared {
    /// Run time minus own clock, microseconds.
    pub offset_us: AtomicI64,
    /// Whether the offset is known.
    pub synced: AtomicBool,
    /// Own clock until which sending is permitted, microseconds.
    pub lease_until_us: AtomicU64,
    /// Bytes handed to the kernel so far.
    pub sent_bytes: AtomicU64,
    /// Own clock of the first byte, microseconds; 0 before.
    pub first_sent_us: AtomicU64,
    /// Own caps.
    pub caps: Caps,
    /// Where data sockets live.
    pub binding: Binding,
    /// How often connections are asked for their state, microseconds.
    pub ask_every_us: u64,
    /// Lines for the record.
    pub out: tokio::sync::mpsc::Sender<(RunTime, Body)>,
    /// How late slots were closed, microseconds.
    pub lateness: Mutex<Histogram<u64>>,
    /// Thread ids of the carriers.
    pub threads: Mutex<Vec<u32>>,
    /// Where the files lie that transfers move.
    pub depot: Arc<depot::Depot>,
    /// By flow: where its sink listens, for transports beside the carriers.
    pub offers: Mutex<BTreeMap<FlowId, String>>,
    /// Scheduled probes that were answered here: by whom they were sent, of which tick, and
    /// how long they were held, microseconds.
    pinged: Mutex<Vec<(HostId, u64, u64)>>,
}

/// Answered probes that are kept for the prober: ten seconds' of a large fleet's observers.
const PINGED_MAX: usize = 4096;

/// Lateness is counted up to a minute, to three digits.
const LATENESS_MAX_US: u64 = 60_000_000;

impl Shared {
    /// Of a worker that is not in yet: the run's time is not known, and nothing may be sent.
    pub fn new(
        binding: Binding,
        caps: Caps,
        spool: &Path,
        out: tokio::sync::mpsc::Sender<(RunTime, Body)>,
    ) -> Self {
        let lateness = Histogram::new_with_bounds(1, LATENESS_MAX_US, 3).expect("sound bounds");
        Self {
            offset_us: AtomicI64::new(0),
            synced: AtomicBool::new(false),
            lease_until_us: AtomicU64::new(0),
            sent_bytes: AtomicU64::new(0),
            first_sent_us: AtomicU64::new(0),
            caps,
            binding,
            ask_every_us: ASK_EVERY_US,
            out,
            lateness: Mutex::new(lateness),
            threads: Mutex::default(),
            depot: Arc::new(depot::Depot::new(spool)),
            offers: Mutex::default(),
            pinged: Mutex::default(),
        }
    }

    /// A probe was answered here.
    pub fn note_pinged(&self, observer: HostId, tick: u64, held_us: u64) {
        let mut pinged = self.pinged.lock().unwrap_or_else(PoisonError::into_inner);
        if pinged.len() < PINGED_MAX {
            pinged.push((observer, tick, held_us));
        }
    }

    /// Probes that were answered since the last call.
    pub fn take_pinged(&self) -> Vec<(HostId, u64, u64)> {
        std::mem::take(&mut self.pinged.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The run's time now, as far as this worker knows.
    pub fn run_now(&self) -> RunTime {
        self.run_at(clock::now_us())
    }

    /// The run's time at a moment of this worker's clock; zero for what was before the run.
    pub fn run_at(&self, at_us: u64) -> RunTime {
        let at = at_us as i64 + self.offset_us.load(Ordering::Relaxed);
        RunTime(u64::try_from(at).unwrap_or(0))
    }

    /// Whether a batch may be sent now: checked before every one.
    pub fn may_send(&self, now_us: u64) -> bool {
        let first = self.first_sent_us.load(Ordering::Relaxed);
        now_us < self.lease_until_us.load(Ordering::Relaxed)
            && self.sent_bytes.load(Ordering::Relaxed) < self.caps.bytes
            && (first == 0 || now_us.saturating_sub(first) < self.caps.duration_us)
    }

    /// Counts what was handed to the kernel against the owner's caps.
    pub fn note_sent(&self, now_us: u64, bytes: u64) {
        self.sent_bytes.fetch_add(bytes, Ordering::Relaxed);
        // Only the first byte of a worker's life sets the moment; a later one finds it set.
        let _ = self.first_sent_us.compare_exchange(0, now_us, Ordering::Relaxed, Ordering::Relaxed);
    }

    /// Hands a line to the record's writer. A full queue drops it, and the gap in the grid
    /// shows that: waiting here would stop the bytes.
    pub fn tell(&self, body: Body) {
        if self.out.try_send((self.run_now(), body)).is_err() {
            tracing::warn!("a record line was dropped: the queue to the control plane is full");
        }
    }

    /// Notes how late a slot was closed.
    pub fn note_lateness(&self, late_us: u64) {
        let mut histogram = self.lateness.lock().unwrap_or_else(PoisonError::into_inner);
        histogram.saturating_record(late_us);
    }
}

/// What a carrier is told.
#[derive(Clone, Debug)]
pub enum Command {
    /// Know this stage; forget the one before.
    Prepare(Arc<Stage>),
    /// Its zero.
    Start {
        /// Which stage.
        stage: u16,
        /// When.
        at: RunTime,
    },
    /// Send no more in this stage.
    Stop,
    /// End the thread.
    Quit,
}

/// The carriers of a worker.
pub struct Carriers {
    mailboxes: Vec<Arc<poller::Mailbox>>,
    threads: Vec<std::thread::JoinHandle<()>>,
}

impl Carriers {
    /// Starts `count` threads; the first one listens on `listener` and `udp`.
    ///
    /// # Errors
    ///
    /// If the kernel gives no event queue or thread.
    pub fn start(
        shared: &Arc<Shared>,
        count: usize,
        listener: socket2::Socket,
        udp: std::net::UdpSocket,
    ) -> io::Result<Self> {
        let mailboxes: Vec<Arc<poller::Mailbox>> =
            (0..count).map(|_| poller::Mailbox::new().map(Arc::new)).collect::<io::Result<_>>()?;
        let mut ends = Some((listener, udp));
        let mut threads = Vec::new();
        for index in 0..count {
            let carrier = carrier::Carrier::new(
                around::Place { index, mailboxes: mailboxes.clone() },
                Arc::clone(shared),
                ends.take(),
            )?;
            let name = format!("carrier-{index}");
            threads.push(std::thread::Builder::new().name(name).spawn(move || carrier.run())?);
        }
        Ok(Self { mailboxes, threads })
    }

    /// Tells all of them.
    pub fn tell(&self, command: &Command) {
        for mailbox in &self.mailboxes {
            mailbox.put(poller::Letter::Command(command.clone()));
        }
    }

    /// Ends them; each one wakes at least every 100 ms.
    pub fn quit(self) {
        self.tell(&Command::Quit);
        for thread in self.threads {
            if thread.join().is_err() {
                tracing::error!("a carrier thread panicked");
            }
        }
    }
}

#[cfg(test)]
mod tests;
