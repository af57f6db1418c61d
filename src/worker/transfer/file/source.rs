//! The sending end: the file goes from the page cache to the socket.

use std::{
    fs::File,
    io::{self, Read as _, Write as _},
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use rustix::event::PollFlags;
use socket2::Socket;

use super::{
    super::{
        bucket::Bucket,
        depot::{self, Fault, fault_of},
        hosted::HostedFlow,
        key::{CONSENT_BYTES, Hello, Purpose, nonce},
        outcome::{StopOnDrop, Telling, fault},
        socket::{self, Dress},
    },
    CONSENT_HOLDS, End, GREETING, STEP, Spending, WRITTEN, read_all, wait,
};
use crate::{
    model::record::file::FileFault,
    sys::{
        clock,
        socket::{TcpInfo, tcp_info},
    },
};

/// Handed over in one call.
const CHUNK_BYTES: u64 = 1024 * 1024;

/// After a lost connection it is tried again this soon.
const AGAIN: Duration = Duration::from_millis(300);

/// How often the state of the connection is read for the record.
const STATE_EVERY: Duration = Duration::from_secs(1);

/// Sends the file of a flow, until it is there or the flow's hours are over.
pub async fn source(hosted: HostedFlow) {
    let mut telling = Telling::new(&hosted);
    match send(&hosted, &mut telling).await {
        Ok(()) => telling.complete(),
        Err(fault) => telling.failed(fault),
    }
}

async fn send(hosted: &HostedFlow, telling: &mut Telling) -> Result<(), Fault> {
    telling.note("the file to send was not written in time".to_owned());
    telling.note_congestion_control(Some(hosted.shared.binding.congestion_control.clone()));
    let path = depot::awaited(hosted).await?;
    telling.note("the sink did not say where it listens".to_owned());
    loop {
        let offer = match hosted.ask(tokio::time::Instant::now() + Duration::from_secs(2)).await {
            Ok(offer) => offer,
            Err(error) => {
                telling.note(format!("the sink did not say where it listens: {error}"));
                continue;
            }
        };
        let port = offer.strip_prefix("file ").and_then(|port| port.parse::<u16>().ok());
        let port = port
            .ok_or_else(|| fault(FileFault::NotStarted, format!("the sink's offer {offer:?} is no port")))?;
        let to = SocketAddr::new(hosted.flow.peer.ip(), port);
        let (end, (disk, cpu)) = one(hosted, path.clone(), to).await;
        telling.spent(disk, cpu);
        match end {
            End::Complete => return Ok(()),
            End::Failed(fault) => return Err(fault),
            End::Lost(error) => telling.note(format!("the connection was lost: {error}")),
        }
        tokio::time::sleep(AGAIN).await;
    }
}

/// One connection, on a thread of its own.
async fn one(hosted: &HostedFlow, path: PathBuf, to: SocketAddr) -> (End, (f32, f32)) {
    let stop = StopOnDrop::default();
    let (stopped, hosted) = (Arc::clone(&stop.0), hosted.clone());
    let pushed = tokio::task::spawn_blocking(move || {
        let mut spending = Spending::begin();
        let end = push(&hosted, &path, to, &stopped, &mut spending);
        (end.unwrap_or_else(|end| end), spending.shares())
    });
    pushed.await.unwrap_or_else(|error| (End::Lost(io::Error::other(error)), (0.0, 0.0)))
}

fn push(
    hosted: &HostedFlow,
    path: &Path,
    to: SocketAddr,
    stop: &Arc<AtomicBool>,
    spending: &mut Spending,
) -> Result<End, End> {
    let disk = |error: io::Error| End::Failed(fault(fault_of(&error), format!("reading the file: {error}")));
    let file = File::open(path).map_err(disk)?;
    let bytes = hosted.carriage.file_bytes.unwrap_or(0);
    let mut line = Line::open(hosted, to, stop)?;
    let mut bucket = hosted.flow.rate_bps.map(|rate| Bucket::new(rate, clock::now_us()));
    let mut position = 0u64;
    while position < bytes || !line.written {
        line.listen(hosted)?;
        line.tell_state(hosted);
        if stop.load(Ordering::Relaxed) {
            return Err(io::Error::from(io::ErrorKind::Interrupted).into());
        }
        if position == bytes {
            wait(&line.socket, PollFlags::IN)?;
            continue;
        }
        let now_us = clock::now_us();
        let most = bucket.as_mut().map_or(CHUNK_BYTES, |bucket| bucket.allowed(now_us)).min(CHUNK_BYTES);
        let worth = bucket.as_ref().map_or(1, Bucket::quantum).min(bytes - position);
        if most < worth || !line.consented() || !hosted.may_send() {
            let ready_us = bucket.as_ref().map_or(u64::MAX, Bucket::ready_at_us).saturating_sub(now_us);
            std::thread::sleep(Duration::from_micros(ready_us.max(100)).min(STEP));
            continue;
        }
        let most = usize::try_from(most.min(bytes - position)).unwrap_or(usize::MAX);
        let mut offset = position;
        match spending.disk(|| rustix::fs::sendfile(&line.socket, &file, Some(&mut offset), most)) {
            Ok(0) => return Err(disk(io::ErrorKind::UnexpectedEof.into())),
            Ok(sent) => {
                position += sent as u64;
                if let Some(bucket) = &mut bucket {
                    bucket.take(sent as u64);
                }
                hosted.flow.meter.sent.fetch_add(sent as u64, Ordering::Relaxed);
                hosted.shared.note_sent(now_us, sent as u64);
            }
            Err(rustix::io::Errno::AGAIN) => {
                wait(&line.socket, PollFlags::OUT)?;
            }
            Err(rustix::io::Errno::IO) => return Err(disk(rustix::io::Errno::IO.into())),
            Err(error) => return Err(io::Error::from(error).into()),
        }
    }
    line.told_at = None;
    line.tell_state(hosted);
    Ok(End::Complete)
}

/// A connection whose far end has proven that it is this flow's sink.
struct Line {
    socket: Socket,
    nonce: [u8; 16],
    consent_at: Instant,
    /// Part of a consent that came in pieces.
    partial: Vec<u8>,
    /// The sink has said that all of the file lies on its disk.
    written: bool,
    told: TcpInfo,
    told_at: Option<Instant>,
}

impl Line {
    fn open(hosted: &HostedFlow, to: SocketAddr, stop: &Arc<AtomicBool>) -> io::Result<Self> {
        if !hosted.may_send() {
            return Err(io::Error::other("there is no permission to send"));
        }
        let dress = Dress {
            pacing_bps: hosted.flow.rate_bps,
            congestion_control: hosted.carriage.congestion_control.as_deref(),
        };
        let socket = socket::connect(&hosted.shared.binding, to, &dress)?;
        let deadline = Instant::now() + GREETING;
        while !wait(&socket, PollFlags::OUT)?.contains(PollFlags::OUT) {
            if stop.load(Ordering::Relaxed) || Instant::now() >= deadline {
                return Err(io::ErrorKind::TimedOut.into());
            }
        }
        if let Some(error) = socket.take_error()? {
            return Err(error);
        }
        let hello = Hello { purpose: Purpose::Stream, flow: hosted.flow.id, stream: 0, nonce: nonce() };
        let mut writer = &socket;
        writer.write_all(&hosted.flow.key.seal(&hello))?;
        let mut consent = [0; CONSENT_BYTES];
        read_all(&socket, &mut consent, stop)?;
        let refused = || io::Error::other("the far end does not hold this transfer's key");
        hosted.flow.key.consents(&hello.nonce, &consent).ok_or_else(refused)?;
        Ok(Self {
            socket,
            nonce: hello.nonce,
            consent_at: Instant::now(),
            partial: Vec::new(),
            written: false,
            told: TcpInfo::default(),
            told_at: Some(Instant::now()),
        })
    }

    fn consented(&self) -> bool {
        self.consent_at.elapsed() < CONSENT_HOLDS
    }

    /// Takes the consents that have come.
    fn listen(&mut self, hosted: &HostedFlow) -> io::Result<()> {
        let mut room = [0; 4 * CONSENT_BYTES];
        match (&self.socket).read(&mut room) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(length) => self.partial.extend(&room[..length]),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
            Err(error) => return Err(error),
        }
        while let Some(consent) = self.partial.first_chunk::<CONSENT_BYTES>() {
            if let Some(number) = hosted.flow.key.consents(&self.nonce, consent) {
                (self.consent_at, self.written) = (Instant::now(), self.written || number == WRITTEN);
            }
            self.partial.drain(..CONSENT_BYTES);
        }
        Ok(())
    }

    /// The state of the connection, once a second; at once where `told_at` is none.
    fn tell_state(&mut self, hosted: &HostedFlow) {
        if self.told_at.is_some_and(|at| at.elapsed() < STATE_EVERY) {
            return;
        }
        self.told_at = Some(Instant::now());
        let Ok(now) = tcp_info(&self.socket) else { return };
        let before = std::mem::replace(&mut self.told, now);
        hosted.flow.meter.tcp.add(|all| all.add(&now.since(&before)));
    }
}
