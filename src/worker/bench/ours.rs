//! The bench's glue to this program's own engine: the only file here that runs it.

use std::{
    collections::BTreeMap,
    io,
    net::SocketAddr,
    sync::{Arc, PoisonError},
    time::Duration,
};

use socket2::{Domain, Type};

use super::spec::{EndReport, EndSpec, Lateness, Layout, Receive, Transport};
use crate::{
    model::{
        fleet::{
            host::HostId,
            units::{RunTime, SLOT_US},
        },
        plan::{
            carriage::{self, BufferLayout, Carriage, FrameSize, ReceiveMode},
            layout::FlowId,
        },
        record::{file::FileOutcome, line::Body, slot_bytes::SlotBytes},
        run::message::{Role, SecretHex},
    },
    sys::{clock, link::LinkReader},
    worker::transfer::{
        ASK_EVERY_US, Binding, Command, Shared,
        alone::Alone,
        hosted::Hosted,
        key::TransferKey,
        payload::Payload,
        stage::{Flow, Round, Stage},
    },
};

/// How long after its planned end an end may take to tell everything.
const REST_US: u64 = 3_000_000;

/// How often it is seen whether all has been told.
const LOOK: Duration = Duration::from_millis(50);

/// Counts of datagrams are told once a second, and after the last ones had time to arrive.
const COUNTED_US: u64 = 1_400_000;

/// Ethernet's, IPv4's and UDP's headers.
const UDP_FRAME_BYTES: u16 = 14 + 28;

/// Carries one end out.
///
/// # Errors
///
/// What the kernel refuses.
pub(super) fn carry(spec: &EndSpec) -> io::Result<EndReport> {
    let binding = Binding {
        addr: spec.addr,
        iface: spec.iface.clone(),
        mtu: mtu_of(&spec.iface)?,
        port: 0,
        data_ports: None,
        congestion_control: spec.congestion_control.clone(),
    };
    let port = if spec.role == Role::Sink { spec.sink.port() } else { 0 };
    // The run's clock is the machine's: both ends are here.
    let Alone { shared, carriers, mut lines } = Alone::start(binding, port, spec.threads, |shared| {
        shared.ask_every_us = spec.load.sample_us.unwrap_or(ASK_EVERY_US);
    })?;
    let stage = Arc::new(stage(spec)?);
    if let (Some(bytes), Role::Source) = (spec.load.transport.file_bytes(), spec.role) {
        shared.depot.stock_now(&stage.payload, bytes)?;
    }
    let mut hosted = Hosted::default();
    hosted.start(&shared, &stage, RunTime(spec.start_us));
    carriers.tell(&Command::Prepare(stage));
    carriers.tell(&Command::Start { stage: 1, at: RunTime(spec.start_us) });
    let mut heard = Heard::default();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let last_us = spec.end_us() + REST_US;
    while !heard.complete(spec) {
        let left = Duration::from_micros(last_us.saturating_sub(clock::now_us())).min(LOOK);
        match runtime.block_on(async { tokio::time::timeout(left, lines.recv()).await }) {
            Ok(Some((_, body))) => heard.take(spec, body),
            Err(_) if clock::now_us() < last_us => {}
            Ok(None) | Err(_) => break,
        }
    }
    hosted.quit();
    carriers.quit();
    match heard.failed.take() {
        Some(why) => Err(io::Error::other(why)),
        None => Ok(heard.report(spec, &shared)),
    }
}

fn mtu_of(iface: &str) -> io::Result<u32> {
    let index =
        rustix::net::netdevice::name_to_index(socket2::Socket::new(Domain::IPV4, Type::DGRAM, None)?, iface)?;
    let link = LinkReader::new(index).and_then(|reader| reader.read());
    link.map(|link| link.mtu).map_err(io::Error::other)
}

/// The key of a bench's transfers, and of what they carry.
pub(super) fn key() -> io::Result<TransferKey> {
    TransferKey::new(&SecretHex("5a".repeat(32))).ok_or_else(|| io::Error::other("no key"))
}

fn stage(spec: &EndSpec) -> io::Result<Stage> {
    let key = key()?;
    let rate_bps = spec.load.rate_bps.map(|rate| rate / u64::from(spec.load.flows));
    let flow = |id: u16| Flow {
        id: FlowId::from(id),
        role: spec.role,
        peer: if spec.role == Role::Source { spec.sink } else { SocketAddr::new(spec.source, 0) },
        rate_bps,
        key: key.clone(),
        meter: Arc::default(),
    };
    let round = Round {
        offset_us: 0,
        for_us: spec.for_ms * 1000,
        carriage: carriage(spec),
        flows: (1..=spec.load.flows).map(flow).collect(),
    };
    Ok(Stage {
        index: 1,
        fleet_key: key.clone(),
        payload: Arc::new(Payload::new(&key)?),
        rounds: vec![round],
        peers: BTreeMap::from([(HostId(1), spec.sink)]),
        probes: BTreeMap::new(),
        for_us: 0,
    })
}

/// The load as a scenario would say it.
fn carriage(spec: &EndSpec) -> Carriage {
    let load = &spec.load;
    let (transport, frame_size_bytes) = match load.transport {
        Transport::Tcp => (carriage::Transport::Tcp, None),
        Transport::Udp { single: false, .. } => (carriage::Transport::Udp, None),
        Transport::Udp { datagram_bytes, single: true } => {
            (carriage::Transport::Udp, Some(FrameSize::Bytes(datagram_bytes + UDP_FRAME_BYTES)))
        }
        Transport::Quic => (carriage::Transport::Quic, None),
        Transport::Scp { .. } => (carriage::Transport::Scp, None),
        Transport::File { .. } => (carriage::Transport::File, None),
    };
    Carriage {
        transport,
        frame_size_bytes,
        file_bytes: load.transport.file_bytes(),
        layout: match load.layout {
            Layout::Write => BufferLayout::Write,
            Layout::Vmsplice => BufferLayout::Vmsplice,
        },
        receive: match load.receive {
            Receive::Discard => ReceiveMode::Discard,
            Receive::Read => ReceiveMode::Read,
        },
        ..Carriage::tcp(load.streams)
    }
}

/// What the carriers told.
#[derive(Default)]
struct Heard {
    slots: BTreeMap<FlowId, BTreeMap<u64, Option<u64>>>,
    sent: BTreeMap<FlowId, u64>,
    datagrams: Option<u64>,
    ended_us: u64,
    /// When the file was through, and its size.
    file: Option<(RunTime, u64)>,
    failed: Option<String>,
}

impl Heard {
    fn take(&mut self, spec: &EndSpec, body: Body) {
        match body {
            Body::Samples(samples) => {
                for (flow, counts) in samples.rx {
                    let counts = counts.into_iter().map(|count| count.map(SlotBytes::get));
                    self.slots.entry(flow).or_default().extend((samples.s..).zip(counts));
                }
            }
            Body::Datagrams { flows } => {
                *self.datagrams.get_or_insert(0) += flows.values().map(|flow| flow.received).sum::<u64>();
            }
            Body::DatagramsSent { flows } => {
                *self.datagrams.get_or_insert(0) += flows.values().map(|flow| flow.sent).sum::<u64>();
            }
            Body::File(file) => match file.outcome {
                FileOutcome::Complete => self.file = self.file.or(Some((file.at, file.bytes))),
                _ => self.failed = Some(file.why),
            },
            Body::Sent { flow, bytes } => {
                self.sent.insert(flow, bytes);
                self.ended_us = clock::now_us().saturating_sub(spec.end_us());
            }
            _ => {}
        }
    }

    fn complete(&self, spec: &EndSpec) -> bool {
        let flows = usize::from(spec.load.flows);
        let last = spec.end_us() / SLOT_US - 1;
        if spec.load.transport.file_bytes().is_some() {
            return self.file.is_some() || self.failed.is_some();
        }
        let numbered = matches!(spec.load.transport, Transport::Udp { .. });
        if numbered && clock::now_us() < spec.end_us() + COUNTED_US {
            return false;
        }
        match spec.role {
            Role::Source => self.sent.len() == flows,
            Role::Sink => {
                self.slots.len() == flows && self.slots.values().all(|slots| slots.contains_key(&last))
            }
        }
    }

    fn report(self, spec: &EndSpec, shared: &Shared) -> EndReport {
        if spec.load.transport.file_bytes().is_some() {
            let took = |(at, bytes): (RunTime, u64)| (Some(bytes), (at.0 - spec.start_us) as f64 / 1e6);
            let (bytes, for_s) = self.file.map_or((None, 0.0), took);
            return EndReport { bytes, for_s, ..EndReport::default() };
        }
        if spec.role == Role::Source {
            let ended = self.sent.len() == usize::from(spec.load.flows);
            return EndReport {
                bytes: ended.then(|| self.sent.values().sum()),
                for_s: spec.for_ms as f64 / 1000.0,
                datagrams: self.datagrams,
                ended_late_s: ended.then_some(self.ended_us as f64 / 1e6),
                ..EndReport::default()
            };
        }
        let slots: Vec<Option<u64>> = (spec.start_us / SLOT_US..spec.end_us() / SLOT_US)
            .map(|slot| {
                let of_flows = self.slots.values().map(|slots| slots.get(&slot).copied().flatten());
                of_flows.sum::<Option<u64>>().filter(|_| !self.slots.is_empty())
            })
            .collect();
        let measured: Vec<u64> = slots.iter().flatten().copied().collect();
        let histogram = shared.lateness.lock().unwrap_or_else(PoisonError::into_inner);
        EndReport {
            bytes: (!measured.is_empty()).then(|| measured.iter().sum()),
            // A slot that was not measured counts neither as bytes nor as time.
            for_s: measured.len() as f64 * SLOT_US as f64 / 1e6,
            slots,
            datagrams: self.datagrams,
            lateness: (!histogram.is_empty()).then(|| Lateness {
                p50_us: histogram.value_at_quantile(0.5),
                p99_us: histogram.value_at_quantile(0.99),
                max_us: histogram.max(),
            }),
            ..EndReport::default()
        }
    }
}
