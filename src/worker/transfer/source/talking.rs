//! What a source says and hears on its streams: its hello, and the receiver's consents.

use std::io::{self, Read as _};

use socket2::Socket;

use super::{Flowing, Source, State};
use crate::{
    model::record::line::StreamEvent,
    sys::socket::tcp_info,
    worker::transfer::{
        around::Around,
        key::{CONSENT_BYTES, Hello, Purpose, nonce},
        outlet::Outlet,
        payload::Lot,
        poller::Letter,
        room::Room,
        socket,
    },
};

impl Source {
    /// The handshake is over: says who it is.
    pub(super) fn greet(&mut self, index: usize, around: &mut Around<'_>) {
        let stream = &mut self.streams[index];
        stream.nonce = nonce();
        stream.heard.clear();
        let State::Connecting { socket, .. } = std::mem::replace(&mut stream.state, State::Waiting) else {
            return;
        };
        let hello =
            Hello { purpose: Purpose::Stream, flow: self.flow.id, stream: stream.place, nonce: stream.nonce };
        let said = match socket.take_error() {
            Ok(None) => socket.send_with_flags(&self.flow.key.seal(&hello), libc::MSG_NOSIGNAL),
            Ok(Some(error)) | Err(error) => Err(error),
        };
        match said {
            Ok(_) => stream.state = State::Greeting { socket, since_us: around.now_us },
            Err(error) => self.fail(index, socket::meaning(&error), around),
        }
    }

    /// Reads the receiver's consents.
    pub(super) fn hear(&mut self, index: usize, around: &mut Around<'_>) {
        let stream = &mut self.streams[index];
        let socket = match &stream.state {
            State::Greeting { socket, .. } => socket,
            State::Flowing(flowing) => &flowing.socket,
            State::Waiting | State::Connecting { .. } => return,
        };
        let mut ended = None;
        loop {
            let mut bytes = [0; 8 * CONSENT_BYTES];
            let mut reader: &Socket = socket;
            match reader.read(&mut bytes) {
                Ok(0) => ended = Some(StreamEvent::Reset),
                Ok(count) => {
                    stream.heard.extend(&bytes[..count]);
                    continue;
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => ended = Some(socket::meaning(&error)),
            }
            break;
        }
        let mut consented = false;
        while let Some((consent, _)) = stream.heard.split_first_chunk::<CONSENT_BYTES>() {
            consented |= self.flow.key.consents(&stream.nonce, consent).is_some();
            stream.heard.drain(..CONSENT_BYTES);
        }
        if consented {
            self.consented(index, around);
        }
        if let Some(event) = ended {
            self.fail(index, event, around);
        }
    }

    fn consented(&mut self, index: usize, around: &mut Around<'_>) {
        let stream = &mut self.streams[index];
        match std::mem::replace(&mut stream.state, State::Waiting) {
            State::Greeting { socket, .. } => {
                let lot = Lot::new(&self.flow.key, stream.place, self.carriage.layout);
                let mut outlet = Outlet::new(around.payload.clone(), &self.carriage, lot, around.place.index);
                if let Err(error) = outlet.prepare(&socket) {
                    tracing::warn!(%error, layout = self.carriage.layout.name(), "this buffer layout is refused");
                    return self.fail(index, StreamEvent::Unreachable, around);
                }
                let info = tcp_info(&socket).unwrap_or_default();
                let consent_us = around.now_us;
                let room = Room::fit(&socket, info.rtt_us, self.carriage.layout, consent_us);
                let flowing = Flowing { socket, outlet, room, consent_us, queued: false, info };
                stream.state = State::Flowing(Box::new(flowing));
                self.probing = None;
                self.tell(index, StreamEvent::Flowing, around);
                self.queue(index, around);
                self.answered(around);
            }
            State::Flowing(mut flowing) => {
                flowing.consent_us = around.now_us;
                stream.state = State::Flowing(flowing);
            }
            other => stream.state = other,
        }
    }

    /// The far end lives: all streams connect that wait, on every thread.
    pub(super) fn answered(&mut self, around: &mut Around<'_>) {
        self.connect_all(around);
        around.tell_others(&Letter::Answered(self.flow.id));
    }
}
