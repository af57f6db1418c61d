//! Can every other host be reached at all, by TCP and by UDP? Carries no load.

use std::{collections::BTreeMap, io, net::SocketAddr, sync::Arc, time::Duration};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpStream, UdpSocket},
    time::{Instant, timeout},
};

use super::transfer::{
    Shared,
    carrier::REACH_FLOW,
    key::{CONSENT_BYTES, HELLO_BYTES, Hello, Purpose, TransferKey, read_hello},
    socket,
    stage::Stage,
};
use crate::model::{
    fleet::host::HostId,
    record::line::{Body, ReachPeer, ReachSeen},
};

/// For a handshake and an answer: the kernel's second attempt comes after 1 s.
const TCP_MAX: Duration = Duration::from_millis(1500);

/// For one echo; three are tried.
const UDP_MAX: Duration = Duration::from_millis(400);

/// Echoes tried.
const UDP_TRIES: usize = 3;

/// Reaches for all peers of a stage at once, and tells what came of it.
pub async fn reach(shared: Arc<Shared>, stage: Arc<Stage>, own: HostId) {
    let mut tasks = tokio::task::JoinSet::new();
    for (host, addr) in stage.peers.iter().filter(|(host, _)| **host != own) {
        let (shared, key, host, addr) = (Arc::clone(&shared), stage.fleet_key.clone(), *host, *addr);
        tasks.spawn(async move { (host, peer(&shared, &key, addr).await) });
    }
    let mut peers: BTreeMap<HostId, ReachPeer> = BTreeMap::new();
    while let Some(done) = tasks.join_next().await {
        match done {
            Ok((host, seen)) => {
                peers.insert(host, seen);
            }
            Err(error) => tracing::error!(%error, "a reach task broke"),
        }
    }
    shared.tell(Body::Reach(ReachSeen { peers }));
}

async fn peer(shared: &Shared, key: &TransferKey, addr: SocketAddr) -> ReachPeer {
    let (tcp, udp) = tokio::join!(timeout(TCP_MAX, tcp(shared, key, addr)), udp(shared, key, addr));
    let tcp = tcp.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()));
    let mut why = Vec::new();
    if let Err(error) = &tcp {
        why.push(format!("TCP to {addr}: {error}"));
    }
    if let Err(error) = &udp {
        why.push(format!("UDP to {addr}: {error}"));
    }
    ReachPeer { tcp_us: tcp.ok(), udp_us: udp.ok(), why: why.join("; ") }
}

fn hello(purpose: Purpose) -> io::Result<Hello> {
    let mut nonce = [0; 16];
    ring::rand::SecureRandom::fill(&ring::rand::SystemRandom::new(), &mut nonce)
        .map_err(|_| io::Error::other("no random bytes"))?;
    Ok(Hello { purpose, flow: REACH_FLOW, stream: 0, nonce })
}

/// Handshake and key exchange; how long it took, microseconds.
async fn tcp(shared: &Shared, key: &TransferKey, addr: SocketAddr) -> io::Result<u64> {
    let begun = Instant::now();
    let hello = hello(Purpose::Stream)?;
    let mut stream =
        TcpStream::from_std(socket::connect(&shared.binding, addr, &socket::Dress::default())?.into())?;
    stream.writable().await?;
    if let Some(error) = stream.take_error()? {
        return Err(error);
    }
    stream.write_all(&key.seal(&hello)).await?;
    let mut consent = [0; CONSENT_BYTES];
    stream.read_exact(&mut consent).await?;
    match key.consents(&hello.nonce, &consent) {
        Some(_) => Ok(begun.elapsed().as_micros() as u64),
        None => Err(io::Error::other("somebody else answers there")),
    }
}

/// A keyed echo; how long it took, microseconds.
async fn udp(shared: &Shared, key: &TransferKey, addr: SocketAddr) -> io::Result<u64> {
    let socket = UdpSocket::from_std(socket::datagrams(&shared.binding, 0)?)?;
    socket.connect(addr).await?;
    let mut failed = io::Error::from(io::ErrorKind::TimedOut);
    for _ in 0..UDP_TRIES {
        let begun = Instant::now();
        let hello = hello(Purpose::Probe)?;
        socket.send(&key.seal(&hello)).await?;
        let mut bytes = [0; HELLO_BYTES];
        match timeout(UDP_MAX, socket.recv(&mut bytes)).await {
            Ok(Ok(HELLO_BYTES)) if key.proves(&bytes) && read_hello(&bytes).is_some() => {
                return Ok(begun.elapsed().as_micros() as u64);
            }
            Ok(Err(error)) => failed = error,
            Ok(Ok(_)) | Err(_) => {}
        }
    }
    Err(failed)
}
