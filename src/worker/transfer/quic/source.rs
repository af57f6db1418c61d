//! The sending end of a flow: finds its sink, proves the key, sends while the sink consents.
//!
//! What is not yet sent lies in quinn, up to the send window: closing the connection, which
//! the end of consent or of the lease does at once, throws it away. Where the congestion
//! window is full, quinn holds the word of the close back too: the sink then learns of it
//! by silence.

use std::{
    io,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use bytes::Bytes;
use quinn::{Connection, RecvStream, SendStream, VarInt};
use tokio::{
    task::JoinSet,
    time::{Instant, sleep, timeout},
};

use super::{
    super::{
        hosted::HostedFlow,
        key::{CONSENT_BYTES, Hello, Purpose, nonce},
        payload::{Lot, Payload},
        socket,
    },
    Offer, SILENCE_MAX,
    pace::Pace,
    room::{Room, way_datagram_bytes},
    telling::{Teller, Told, keep_telling, meaning},
    transport,
    trust::{self, SINK_NAME},
};
use crate::{
    model::{plan::carriage::BufferLayout, record::line::StreamEvent},
    sys::clock,
};

/// A sink that is away is asked for again after this: the pace of probes.
const AGAIN: Duration = Duration::from_millis(200);

/// For a handshake, whose first packets may be lost.
const CONNECT_MAX: Duration = Duration::from_secs(2);

/// A far process that says nothing for so long after the handshake does not run.
const GREETING_MAX: Duration = Duration::from_secs(2);

/// How often lease and consent are looked at while the streams wait for room.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// Pieces of payload in one write at most: 1 MiB in blocks of 64 KiB that begin anywhere.
const PIECES_MAX: usize = 17;

/// Sends until it is dropped, and connects again as often as that takes.
pub async fn source(hosted: HostedFlow) {
    let _part = Part::begin(&hosted);
    let pace = Pace::new(hosted.flow.rate_bps);
    let mut teller = Teller::default();
    loop {
        while !hosted.may_send() {
            sleep(LOOK_EVERY).await;
        }
        if let Err(event) = attempt(&hosted, &pace, &mut teller).await {
            teller.tell(&hosted, event);
        }
        sleep(AGAIN).await;
    }
}

/// Its end tells what was sent, however it ends.
struct Part<'a>(&'a HostedFlow);

impl<'a> Part<'a> {
    fn begin(hosted: &'a HostedFlow) -> Self {
        hosted.flow.meter.part_begins();
        Self(hosted)
    }
}

impl Drop for Part<'_> {
    fn drop(&mut self) {
        self.0.flow.meter.part_ends(self.0.flow.id, &self.0.shared);
    }
}

/// One connection, from the question where its sink is to its end.
async fn attempt(hosted: &HostedFlow, pace: &Pace, teller: &mut Teller) -> Result<(), StreamEvent> {
    // Its deadline is now: one question, and the pace is this module's.
    let text = hosted.ask(Instant::now()).await.map_err(|error| no_answer(&error))?;
    let offer = Offer::read(&text).ok_or(StreamEvent::Refused)?;
    let unusable = |error: io::Error| {
        tracing::warn!(%error, flow = hosted.flow.id, "QUIC cannot be used on this way");
        StreamEvent::Unreachable
    };
    let binding = &hosted.shared.binding;
    let datagram_bytes = way_datagram_bytes(binding, hosted.flow.peer).map_err(unusable)?;
    let mut room = Room::open(binding, datagram_bytes, None).map_err(unusable)?;
    let client = trust::client(offer.fingerprint, transport(hosted, datagram_bytes)).map_err(unusable)?;
    let mut to = hosted.flow.peer;
    to.set_port(offer.port);
    let connecting =
        room.endpoint.connect_with(client, to, SINK_NAME).map_err(|_| StreamEvent::Unreachable)?;
    let connection = timeout(CONNECT_MAX, connecting)
        .await
        .map_err(|_| StreamEvent::TimedOut)?
        .map_err(|error| meaning(&error))?;
    let connection = Closing(connection);
    let mut consents = greet(hosted, &connection.0).await?;
    teller.tell(hosted, StreamEvent::Flowing);

    let mut streams = JoinSet::new();
    for place in 0..hosted.carriage.streams {
        let stream = connection.0.open_uni().await.map_err(|error| meaning(&error))?;
        streams.spawn_local(carry(hosted.clone(), stream, place, pace.clone()));
    }
    let mut told = Told::default();
    tokio::select! {
        event = consents.watch(hosted) => Err(event),
        error = connection.0.closed() => Err(meaning(&error)),
        () = keep_telling(hosted, &mut room, &connection.0, &mut told) => Ok(()),
        () = without_lease(hosted) => Ok(()),
    }
}

/// What it says of the far end that it did not tell where it listens.
fn no_answer(error: &io::Error) -> StreamEvent {
    match error.kind() {
        io::ErrorKind::TimedOut => StreamEvent::TimedOut,
        // Its kernel lives and its threads answer, but nothing listens there.
        io::ErrorKind::Other => StreamEvent::Silent,
        _ => socket::meaning(error),
    }
}

/// A connection that is closed, and throws away what was not sent, when it is dropped.
struct Closing(Connection);

impl Drop for Closing {
    fn drop(&mut self) {
        self.0.close(VarInt::from_u32(0), b"over");
    }
}

/// Says who it is, and waits for the first consent.
async fn greet(hosted: &HostedFlow, connection: &Connection) -> Result<Consents, StreamEvent> {
    let nonce = nonce();
    let hello = Hello { purpose: Purpose::Stream, flow: hosted.flow.id, stream: 0, nonce };
    let greeting = async {
        let (mut send, receive) = connection.open_bi().await.map_err(|error| meaning(&error))?;
        send.write_all(&hosted.flow.key.seal(&hello)).await.map_err(|_| StreamEvent::Reset)?;
        let mut consents = Consents { receive, _send: send, nonce };
        consents.next(hosted).await?;
        Ok(consents)
    };
    timeout(GREETING_MAX, greeting).await.map_err(|_| StreamEvent::Silent)?
}

/// The sink's consents, which come on the way back of the control stream.
struct Consents {
    receive: RecvStream,
    /// Kept, since dropping it would end the control stream.
    _send: SendStream,
    nonce: [u8; 16],
}

impl Consents {
    /// Waits for the next one that holds.
    async fn next(&mut self, hosted: &HostedFlow) -> Result<(), StreamEvent> {
        let mut bytes = [0; CONSENT_BYTES];
        self.receive.read_exact(&mut bytes).await.map_err(|_| StreamEvent::Reset)?;
        let holds = hosted.flow.key.consents(&self.nonce, &bytes).is_some();
        if holds { Ok(()) } else { Err(StreamEvent::Reset) }
    }

    /// Ends when the last one is too old.
    async fn watch(&mut self, hosted: &HostedFlow) -> StreamEvent {
        loop {
            match timeout(SILENCE_MAX, self.next(hosted)).await {
                Ok(Ok(())) => {}
                Ok(Err(event)) => return event,
                Err(_) => return StreamEvent::Paused,
            }
        }
    }
}

/// Ends when nothing may be sent any more.
async fn without_lease(hosted: &HostedFlow) {
    while hosted.may_send() {
        sleep(LOOK_EVERY).await;
    }
}

/// Sends one stream: its place, then its payload from its first byte on.
async fn carry(hosted: HostedFlow, mut stream: SendStream, place: u16, pace: Pace) {
    let lot = Lot::new(&hosted.flow.key, place, BufferLayout::Write);
    let payload = Bytes::from_owner(Whole(Arc::clone(&hosted.payload)));
    let mut position = 0;
    if stream.write_all(&place.to_be_bytes()).await.is_err() {
        return;
    }
    loop {
        let most = pace.take().await;
        if !hosted.may_send() {
            return;
        }
        let mut pieces = pieces(&payload, lot, position, most);
        let mut rest = &mut pieces[..];
        while !rest.is_empty() {
            // Where it fails the connection is over; whoever awaits its end tells why.
            let Ok(written) = stream.write_chunks(rest).await else { return };
            position += written.bytes as u64;
            hosted.flow.meter.sent.fetch_add(written.bytes as u64, Ordering::Relaxed);
            hosted.shared.note_sent(clock::now_us(), written.bytes as u64);
            rest = &mut rest[written.chunks..];
        }
    }
}

/// What a stream carries from `position` on, at most `most` bytes, without copying.
fn pieces(whole: &Bytes, lot: Lot, position: u64, most: usize) -> Vec<Bytes> {
    let (mut pieces, mut bytes) = (Vec::with_capacity(PIECES_MAX), 0);
    while pieces.len() < PIECES_MAX && bytes < most {
        let (start, length) = Payload::in_file(lot, position + bytes as u64);
        let length = length.min(most - bytes);
        pieces.push(whole.slice(start as usize..start as usize + length));
        bytes += length;
    }
    pieces
}

/// The payload as an owner of bytes.
struct Whole(Arc<Payload>);

impl AsRef<[u8]> for Whole {
    fn as_ref(&self) -> &[u8] {
        self.0.bytes()
    }
}
