//! What the ends of a QUIC flow say to the record: events of their streams, and once a
//! second the connection's state and what the socket dropped.

use std::time::Duration;

use quinn::{Connection, ConnectionError};
use tokio::time::{MissedTickBehavior, interval};

use super::{
    super::{hosted::HostedFlow, sink::END_US, told},
    room::Room,
};
use crate::{
    model::record::line::{Body, QuicSeen, StreamEvent, StreamSeen},
    sys::clock,
};

const TELL_EVERY: Duration = Duration::from_secs(1);

/// Tells events of a flow's streams. They share a connection, and so their fate.
#[derive(Debug, Default)]
pub(super) struct Teller(told::Told);

impl Teller {
    /// An event of all streams, unless the same one was told a moment ago.
    pub(super) fn tell(&mut self, hosted: &HostedFlow, what: StreamEvent) {
        if !self.0.is_news(what, clock::now_us()) {
            return;
        }
        let (flow, at) = (hosted.flow.id, hosted.shared.run_now());
        for stream in 0..hosted.carriage.streams {
            hosted.shared.tell(Body::Stream(StreamSeen { flow, stream, what, at }));
        }
    }

    /// The end of a connection, where that is before the flow's.
    pub(super) fn tell_early(&mut self, hosted: &HostedFlow, what: StreamEvent) {
        if hosted.shared.run_now().0 + END_US < hosted.hours.1.0 {
            self.tell(hosted, what);
        }
    }
}

/// What the end of a connection says of the far end.
pub(super) const fn meaning(error: &ConnectionError) -> StreamEvent {
    match error {
        ConnectionError::TimedOut => StreamEvent::TimedOut,
        ConnectionError::ConnectionClosed(_)
        | ConnectionError::ApplicationClosed(_)
        | ConnectionError::Reset
        | ConnectionError::VersionMismatch
        | ConnectionError::TransportError(_) => StreamEvent::Reset,
        ConnectionError::LocallyClosed | ConnectionError::CidsExhausted => StreamEvent::Paused,
    }
}

/// Counts of a connection as they were last told.
#[derive(Debug, Default)]
pub(super) struct Told {
    packets: u64,
    lost: u64,
}

/// Tells a connection's state each second, until it is dropped.
pub(super) async fn keep_telling(
    hosted: &HostedFlow,
    room: &mut Room,
    connection: &Connection,
    told: &mut Told,
) {
    let mut ticks = interval(TELL_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let path = connection.stats().path;
        let since = |now: u64, before: &mut u64| now.saturating_sub(std::mem::replace(before, now));
        hosted.shared.tell(Body::Quic(Box::new(QuicSeen {
            flow: hosted.flow.id,
            packets: since(path.sent_packets, &mut told.packets),
            lost: since(path.lost_packets, &mut told.lost),
            rtt_us: u32::try_from(path.rtt.as_micros()).unwrap_or(u32::MAX),
            cwnd_bytes: path.cwnd,
            datagram_bytes: path.current_mtu,
            socket_drops: room.take_drops(),
            receive_buffer_bytes: room.receive_buffer_bytes,
            send_buffer_bytes: room.send_buffer_bytes,
        })));
    }
}
