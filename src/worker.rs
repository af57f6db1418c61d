//! One worker: carries the bytes of one card and tells what it received.
//!
//! `session` is its control loop, on a runtime of its own; `transfer` its carrying threads,
//! outside of any runtime. What it may do is `limits`; which card it tests is `nic`; what it
//! tells goes through `outbox`. `bench` measures the carrying threads.

use std::{
    net::{IpAddr, SocketAddr},
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use crate::{
    model::fleet::{
        host::HostName,
        units::{BitRate, RunTime},
    },
    sys::{
        link::{Address, LinkReader},
        stamp,
    },
    wire::{endpoint::WireError, join::JoinFile},
};

pub mod bench;
mod ceiling;
mod facts;
pub mod host;
mod kernel_log;
mod limits;
mod nic;
mod offset;
mod outbox;
mod prober;
mod reach;
mod session;
mod transfer;

use limits::{Cidr, Limits};
use transfer::{Binding, Carriers, Shared};

/// Carrying threads unless told otherwise: more than cores only costs (half the throughput
/// at 16 threads on 2 cores), and four saturate what one card of today carries.
const THREADS_MAX: usize = 4;

/// Lines that may wait for the control plane: a minute of a busy worker's.
const QUEUE_LINES: usize = 16 * 1024;

/// Command line of a worker.
#[derive(Clone, Debug, clap::Args)]
pub struct WorkerArgs {
    /// The join file that `nicburn run` has written
    #[arg(long, value_name = "FILE", env = "NICBURN_JOIN")]
    pub join: PathBuf,
    /// Wait so long for the join file to appear
    #[arg(long, value_name = "TIME", default_value = "0s", value_parser = humantime::parse_duration)]
    pub wait_join: Duration,
    /// This host's name in the run; its host name unless given
    #[arg(long, value_name = "NAME")]
    pub name: Option<HostName>,
    /// The interface under test; that of the route to the coordinator unless given
    #[arg(long, value_name = "NAME")]
    pub iface: Option<String>,
    /// The address under test, where the interface has several
    #[arg(long, value_name = "IP")]
    pub addr: Option<IpAddr>,
    /// Listen on a port of this range, TCP and UDP, for example 7441-7450; any port unless given
    #[arg(long, value_name = "A-B", value_parser = port_range)]
    pub data_ports: Option<(u16, u16)>,
    /// Tell the coordinator about this host; `rack=NAME` is understood
    #[arg(long, value_name = "K=V", value_parser = label)]
    pub label: Vec<(String, String)>,
    /// Carrying threads; one a core, at most 4, unless given
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=64))]
    pub threads: Option<u16>,
    /// Never send more than this, whoever orders it
    #[arg(long, value_name = "RATE")]
    pub max_rate: Option<BitRate>,
    /// Never send more bytes than this in this worker's life
    #[arg(long, value_name = "BYTES")]
    pub max_bytes: Option<u64>,
    /// Never send for longer than this
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration)]
    pub max_duration: Option<Duration>,
    /// Send only to addresses in this range; can be given several times
    #[arg(long, value_name = "CIDR")]
    pub allow: Vec<Cidr>,
    /// Ask connections for their state this often, from 10ms on; each look costs under 1 us a stream
    #[arg(long, value_name = "TIME", default_value = "1s", value_parser = ask_every)]
    pub ask_every: Duration,
    /// Do not measure over loopback what this host's CPU carries, a second once a boot
    #[arg(long)]
    pub no_ceiling: bool,
    /// Keep undelivered lines in this folder
    #[arg(long, value_name = "DIR")]
    pub spool: Option<PathBuf>,
}

fn ask_every(text: &str) -> Result<Duration, String> {
    let bounds = Duration::from_millis(10)..=Duration::from_secs(10);
    let asked = humantime::parse_duration(text).map_err(|error| error.to_string())?;
    if bounds.contains(&asked) { Ok(asked) } else { Err(format!("{text} is out of bounds; use 10ms to 10s")) }
}

fn port_range(text: &str) -> Result<(u16, u16), String> {
    let wrong = || format!("{text:?} is no range of ports; write for example 7441-7450");
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let range: (u16, u16) = (first.parse().map_err(|_| wrong())?, last.parse().map_err(|_| wrong())?);
    if range.0 == 0 || range.0 > range.1 { Err(wrong()) } else { Ok(range) }
}

fn label(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() && !value.is_empty() && text.len() <= 200 => {
            Ok((key.to_owned(), value.to_owned()))
        }
        _ => Err(format!("{text:?} is no label; write for example rack=r1")),
    }
}

/// How a worker ended, other than well.
#[derive(Debug, thiserror::Error)]
pub enum Ending {
    /// It was not let in, or must not work: exit code 2.
    #[error("{0}")]
    Refused(String),
    /// It could not go on: exit code 1.
    #[error("{0}")]
    Failed(String),
    /// Its coordinator was gone to the end: exit code 13.
    #[error("{0}")]
    LostCoordinator(String),
}

impl Ending {
    /// The process's exit code.
    pub const fn code(&self) -> i32 {
        match self {
            Self::Refused(_) => 2,
            Self::Failed(_) => 1,
            Self::LostCoordinator(_) => 13,
        }
    }
}

/// The whole life of a worker.
///
/// # Errors
///
/// How it ended, where the run did not end it.
pub fn main(args: WorkerArgs) -> Result<(), Ending> {
    let limits = limits_of(&args)?;
    let join = join_file(&args.join, args.wait_join)?;
    let coordinator = *join.addrs.first().ok_or_else(|| {
        Ending::Refused(format!("{} names no address of the coordinator: make it anew", args.join.display()))
    })?;
    let name = name_of(&args)?;
    let card = nic::choose(args.iface.as_deref(), args.addr, coordinator).map_err(|e| refused(&e))?;
    let since = humantime::format_rfc3339_seconds(std::time::SystemTime::now());
    let _claim = nic::claim(&card.iface, format!("run {}, host {name}, since {since}", join.run))
        .map_err(|e| refused(&e))?;
    raise_file_limit();
    let (parts, lines) = Parts::make(args, join, name, card, limits)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Ending::Failed(format!("cannot start the control loop: {error}")))?;
    runtime.block_on(session::run(parts, lines))
}

fn refused(error: &dyn std::error::Error) -> Ending {
    let source = error.source().map_or_else(String::new, |source| format!(": {source}"));
    Ending::Refused(format!("{error}{source}"))
}

/// Everything a session works with.
struct Parts {
    join: JoinFile,
    name: HostName,
    labels: Vec<(String, String)>,
    card: Address,
    limits: Limits,
    shared: Arc<Shared>,
    carriers: Carriers,
    data_addr: SocketAddr,
    spool_dir: PathBuf,
    /// What the host's CPU carries over loopback, bits per second, or why that is not known.
    ceiling_bps: Option<Result<u64, String>>,
}

/// Lines from the carriers, on their way to the record.
type Lines = tokio::sync::mpsc::Receiver<(RunTime, crate::model::record::line::Body)>;

impl Parts {
    fn make(
        args: WorkerArgs,
        join: JoinFile,
        name: HostName,
        card: Address,
        limits: Limits,
    ) -> Result<(Self, Lines), Ending> {
        let failed = |what: &str, error: &dyn std::fmt::Display| Ending::Failed(format!("{what}: {error}"));
        let congestion_control = transfer::socket::congestion_control(card.addr)
            .map_err(|error| failed("cannot choose a congestion control", &error))?;
        let link = LinkReader::new(card.index).and_then(|reader| reader.read());
        let link = link.map_err(|error| failed("cannot ask for the interface's MTU", &error))?;
        let mut binding = Binding {
            addr: card.addr,
            iface: card.iface.clone(),
            mtu: link.mtu,
            port: 0,
            data_ports: args.data_ports,
            congestion_control,
        };
        let (listener, udp, data_addr) = listen(&binding, args.data_ports)?;
        if let Err(error) = stamp::ask_for_stamps(&udp) {
            tracing::debug!(%error, "probes count the time that this host holds them");
        }
        binding.port = data_addr.port();
        let (out, lines) = tokio::sync::mpsc::channel(QUEUE_LINES);
        let spool_dir = args.spool.unwrap_or_else(default_spool);
        let mut shared = Shared::new(binding, limits.caps.clone(), &spool_dir, out);
        shared.ask_every_us = args.ask_every.as_micros() as u64;
        let shared = Arc::new(shared);
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let threads = args.threads.map_or(cores.min(THREADS_MAX), usize::from);
        // Before its own carriers, which would take part of the cores.
        let ceiling_bps = (!args.no_ceiling)
            .then(|| ceiling::ceiling_bps(&spool_dir, threads).map_err(|error| error.to_string()));
        let carriers = Carriers::start(&shared, threads, listener, udp)
            .map_err(|error| failed("cannot start the carrying threads", &error))?;
        let labels = args.label;
        let parts =
            Self { join, name, labels, card, limits, shared, carriers, data_addr, spool_dir, ceiling_bps };
        Ok((parts, lines))
    }

    fn link_reader(&self) -> Result<LinkReader, Ending> {
        LinkReader::new(self.card.index).map_err(|error| Ending::Failed(error.to_string()))
    }
}

fn limits_of(args: &WorkerArgs) -> Result<Limits, Ending> {
    let mut limits = limits::read(Path::new(limits::LIMITS_FILE)).map_err(|error| refused(&error))?;
    // The command line narrows what the file allows, never widens it.
    let caps = &mut limits.caps;
    let rate = args.max_rate.map(BitRate::bps);
    caps.rate_bps = match (caps.rate_bps, rate) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (a, b) => a.or(b),
    };
    caps.bytes = caps.bytes.min(args.max_bytes.unwrap_or(u64::MAX));
    let duration_us = args.max_duration.map_or(u64::MAX, |duration| duration.as_micros() as u64);
    caps.duration_us = caps.duration_us.min(duration_us);
    limits.allow_here.clone_from(&args.allow);
    Ok(limits)
}

/// Reads the join file, waiting for it to appear where that was asked for.
fn join_file(path: &Path, wait: Duration) -> Result<JoinFile, Ending> {
    let deadline = Instant::now() + wait;
    while !path.exists() && Instant::now() < deadline {
        // A file on another machine's share tells nobody when it appears.
        std::thread::sleep(Duration::from_millis(100));
    }
    JoinFile::load(path).map_err(|error: WireError| refused(&error))
}

fn name_of(args: &WorkerArgs) -> Result<HostName, Ending> {
    if let Some(name) = &args.name {
        return Ok(name.clone());
    }
    let own = rustix::system::uname().nodename().to_string_lossy().into_owned();
    own.parse().map_err(|error| Ending::Refused(format!("{error}; give one with --name")))
}

/// A listener and a datagram socket on the same port.
fn listen(
    binding: &Binding,
    ports: Option<(u16, u16)>,
) -> Result<(socket2::Socket, std::net::UdpSocket, SocketAddr), Ending> {
    let (first, last) = ports.unwrap_or((0, 0));
    let mut last_error = None;
    // An ephemeral TCP port may be taken for UDP: a few tries find one that is free for both.
    let tries = if ports.is_some() { 1 } else { 16 };
    for port in (first..=last).cycle().take(usize::from(last - first + 1) * tries) {
        match transfer::socket::listen_both(binding, port) {
            Ok((listener, udp, port)) => return Ok((listener, udp, SocketAddr::new(binding.addr, port))),
            Err(error) => last_error = Some(error),
        }
    }
    let which = if ports.is_some() { format!("ports {first} to {last}") } else { "any port".to_owned() };
    let why = last_error.map_or_else(String::new, |error| format!(": {error}"));
    Err(Ending::Failed(format!(
        "cannot listen on {which} of {}{why}; free one, or name others with --data-ports",
        binding.addr
    )))
}

/// Streams are files: as many as the owner of the machine permits.
fn raise_file_limit() {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    if let Err(error) = setrlimit(Resource::Nofile, limit) {
        tracing::debug!(%error, "the limit of open files stays as it is");
    }
}

/// Where undelivered lines are kept: the user's state folder, else a private one in /tmp.
fn default_spool() -> PathBuf {
    let state = std::env::var_os("XDG_STATE_HOME").map(PathBuf::from);
    let home = std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".local/state"));
    let writable = |dir: &PathBuf| std::fs::create_dir_all(dir.join("nicburn/spool")).is_ok();
    let found = state.into_iter().chain(home).find(writable);
    let fallback = || PathBuf::from(format!("/tmp/nicburn-{}", rustix::process::getuid().as_raw()));
    found.map_or_else(fallback, |dir| dir.join("nicburn")).join("spool")
}
