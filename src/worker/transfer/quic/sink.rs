//! The receiving end of a flow: offers itself, counts what a proven source sends, renews its
//! consent.

use std::{io, sync::atomic::Ordering, time::Duration};

use quinn::{Connection, ConnectionError, Incoming, RecvStream, SendStream, VarInt};
use tokio::{
    task::JoinSet,
    time::{MissedTickBehavior, interval, sleep, timeout},
};

use super::{
    super::{
        hosted::HostedFlow,
        inlet::Inlet,
        key::{HELLO_BYTES, Hello, Purpose, read_hello},
        payload::Lot,
        told::Differences,
    },
    Offer,
    room::{Room, way_datagram_bytes},
    telling::{Teller, Told, keep_telling, meaning},
    transport, trust,
};
use crate::model::plan::carriage::{BufferLayout, ReceiveMode};

/// Consent is renewed this often: six times within the 3 s that it holds.
const CONSENT_EVERY: Duration = Duration::from_millis(500);

/// For a caller to shake hands and say who it is.
const GREETING_MAX: Duration = Duration::from_secs(2);

/// Callers that have not said who they are; more are turned away.
const CALLERS_MAX: usize = 16;

/// An endpoint that failed is made anew after this.
const AGAIN: Duration = Duration::from_millis(200);

/// Read in one call at most.
const READ_BYTES: usize = 1024 * 1024;

/// The code of a connection that is not, or no more, wanted.
const OVER: VarInt = VarInt::from_u32(0);

/// Receives until it is dropped.
pub async fn sink(hosted: HostedFlow) {
    loop {
        if let Err(error) = serve(&hosted).await {
            tracing::warn!(%error, flow = hosted.flow.id, "this flow's QUIC sink failed; it is made anew");
        }
        sleep(AGAIN).await;
    }
}

/// One endpoint, until it fails.
async fn serve(hosted: &HostedFlow) -> io::Result<()> {
    let datagram_bytes = way_datagram_bytes(&hosted.shared.binding, hosted.flow.peer)?;
    let (server, fingerprint) = trust::server(transport(hosted, datagram_bytes))?;
    let mut room = Room::open(&hosted.shared.binding, datagram_bytes, Some(server))?;
    let endpoint = room.endpoint.clone();
    hosted.offer(Offer { port: endpoint.local_addr()?.port(), fingerprint }.text());
    let mut teller = Teller::default();
    let mut callers = JoinSet::new();
    let mut caller: Option<Proven> = None;
    loop {
        // A new proven connection replaces the one before: its source has given that up.
        let ended = tokio::select! {
            incoming = endpoint.accept() => {
                let incoming = incoming.ok_or_else(|| io::Error::other("its endpoint ended"))?;
                if callers.len() < CALLERS_MAX {
                    callers.spawn_local(greet(hosted.clone(), incoming));
                } else {
                    incoming.refuse();
                }
                None
            }
            Some(greeted) = callers.join_next() => {
                if let Ok(Some(proven)) = greeted {
                    caller = Some(proven);
                }
                None
            }
            error = receive(hosted, &mut room, &mut caller) => Some(error),
        };
        if let Some(error) = ended {
            caller = None;
            teller.tell_early(hosted, meaning(&error));
        }
    }
}

/// A source that has proven the flow's key, and all that it has under way.
struct Proven {
    connection: Connection,
    /// Kept, since dropping it would end the control stream.
    _hellos: RecvStream,
    /// Consents, new streams and streams; ended with this value.
    tasks: JoinSet<()>,
    told: Told,
}

impl Drop for Proven {
    fn drop(&mut self) {
        self.connection.close(OVER, b"over");
    }
}

/// Lets a caller shake hands and say who it is; `None` where it is not this flow's source.
async fn greet(hosted: HostedFlow, incoming: Incoming) -> Option<Proven> {
    let greeting = async {
        let connection = incoming.await.ok()?;
        let (send, mut receive) = connection.accept_bi().await.ok()?;
        let mut bytes = [0; HELLO_BYTES];
        receive.read_exact(&mut bytes).await.ok()?;
        let hello = read_hello(&bytes)?;
        let proven = hosted.flow.key.proves(&bytes)
            && hello.flow == hosted.flow.id
            && hello.purpose == Purpose::Stream;
        if !proven {
            tracing::warn!(flow = hosted.flow.id, "a caller without the transfer's key was turned away");
            connection.close(OVER, b"");
            return None;
        }
        Some((connection, send, receive, hello))
    };
    let (connection, send, hellos, hello) = timeout(GREETING_MAX, greeting).await.ok()??;
    let mut tasks = JoinSet::new();
    tasks.spawn_local(consent(hosted.clone(), send, hello));
    tasks.spawn_local(take_streams(hosted, connection.clone()));
    Some(Proven { connection, _hellos: hellos, tasks, told: Told::default() })
}

/// Watches over the present source, and returns why it ended; pends while there is none.
async fn receive(hosted: &HostedFlow, room: &mut Room, caller: &mut Option<Proven>) -> ConnectionError {
    let Some(proven) = caller else { return std::future::pending().await };
    tokio::select! {
        error = proven.connection.closed() => error,
        () = keep_telling(hosted, room, &proven.connection, &mut proven.told) => ConnectionError::LocallyClosed,
        _ = proven.tasks.join_next() => proven.connection.close_reason().unwrap_or(ConnectionError::Reset),
    }
}

/// Renews its consent until the connection is over.
async fn consent(hosted: HostedFlow, mut send: SendStream, hello: Hello) {
    let mut ticks = interval(CONSENT_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    for counter in 0.. {
        ticks.tick().await;
        if send.write_all(&hosted.flow.key.consent(&hello.nonce, counter)).await.is_err() {
            return;
        }
    }
}

/// Takes the streams of a proven source.
async fn take_streams(hosted: HostedFlow, connection: Connection) {
    let mut streams = JoinSet::new();
    while let Ok(stream) = connection.accept_uni().await {
        streams.spawn_local(take(hosted.clone(), stream));
        // What has ended is forgotten.
        while streams.try_join_next().is_some() {}
    }
}

/// Counts one stream to its end, and compares it where that is asked for.
async fn take(hosted: HostedFlow, mut stream: RecvStream) {
    let mut place = [0; 2];
    if stream.read_exact(&mut place).await.is_err() {
        return;
    }
    let place = u16::from_be_bytes(place);
    if place >= hosted.carriage.streams {
        tracing::warn!(flow = hosted.flow.id, place, "a stream that was never planned was turned away");
        return;
    }
    let lot = Lot::new(&hosted.flow.key, place, BufferLayout::Write);
    let mut inlet = Inlet::new(hosted.payload.clone(), &hosted.carriage, lot);
    // Where nothing is compared, what comes early need not wait for what is late.
    let ordered = matches!(hosted.carriage.receive, ReceiveMode::Verify { .. });
    let mut differences = Differences::default();
    while let Ok(Some(chunk)) = stream.read_chunk(READ_BYTES, ordered).await {
        let received = inlet.take(&chunk.bytes);
        hosted.flow.meter.received.fetch_add(received.bytes as u64, Ordering::Relaxed);
        hosted.flow.meter.add_verified(&received.verified);
        if let Some(found) = received.differs {
            differences.tell(found, hosted.flow.id, place, &hosted.shared);
        }
    }
}
