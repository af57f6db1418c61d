//! Who knocks: callers that want to be streams, and keyed probes.
//!
//! Whoever does not prove a transfer's key is turned away, and costs no more than a check.

use std::io::{self, Read as _};

use socket2::Socket;

use super::{
    super::{
        key::{HELLO_BYTES, Hello, Purpose, TransferKey, read_hello},
        poller::Letter,
        socket,
    },
    Caller, Carrier, REACH_FLOW,
};
use crate::model::{plan::layout::FlowId, run::message::Role};

/// Callers that have not said who they are; more are turned away.
const CALLERS_MAX: usize = 1024;

impl Carrier {
    pub(super) fn answer_callers(&mut self, now_us: u64) {
        while let Some((_, listener)) = &self.listener {
            let Ok((socket, _)) = listener.accept() else { return };
            if self.callers.len() >= CALLERS_MAX || socket::accepted(&socket).is_err() {
                continue;
            }
            if let Ok(token) = self.poller.watch(&socket) {
                self.callers.insert(token, Caller { socket, since_us: now_us });
                self.greet(token, now_us);
            }
        }
    }

    /// A caller may have said who it is. It says so in one segment; half a hello is none.
    pub(super) fn greet(&mut self, token: u64, now_us: u64) {
        let Some(caller) = self.callers.get(&token) else { return };
        let mut bytes = [0; HELLO_BYTES];
        let mut reader: &Socket = &caller.socket;
        match reader.read(&mut bytes) {
            Ok(HELLO_BYTES) => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
            _ => {
                self.callers.remove(&token);
                return;
            }
        }
        let Some(caller) = self.callers.remove(&token) else { return };
        let Some(hello) = read_hello(&bytes).filter(|hello| hello.purpose == Purpose::Stream) else { return };
        let proven = self.key_of(hello.flow).is_some_and(|key| key.proves(&bytes));
        if !proven {
            tracing::warn!(flow = hello.flow, "a stream without the transfer's key was turned away");
            return;
        }
        if hello.flow == REACH_FLOW {
            self.answer_reach(&caller.socket, &hello);
            return;
        }
        self.poller.forget(&caller.socket);
        let owner = hello.flow as usize % self.place.mailboxes.len();
        if owner == self.place.index {
            self.take_stream(caller.socket, hello, now_us);
        } else {
            self.place.mailboxes[owner].put(Letter::Stream(caller.socket, hello));
        }
    }

    pub(super) fn take_stream(&mut self, socket: Socket, hello: Hello, now_us: u64) {
        if let Some(sink) = self.sinks.get_mut(&hello.flow)
            && let Err(error) = sink.accept(socket, hello, &mut self.poller, now_us)
        {
            tracing::warn!(%error, flow = hello.flow, "a stream could not be watched");
        }
    }

    /// The key of a flow of which this worker is the sink, or the fleet's for reach.
    fn key_of(&self, flow: FlowId) -> Option<&TransferKey> {
        let stage = self.stage.as_ref()?;
        if flow == REACH_FLOW {
            return Some(&stage.fleet_key);
        }
        let flows = stage.rounds.iter().flat_map(|round| &round.flows);
        flows
            .filter(|planned| planned.role == Role::Sink)
            .find(|planned| planned.id == flow)
            .map(|planned| &planned.key)
    }

    fn answer_reach(&self, caller: &Socket, hello: &Hello) {
        if let Some(stage) = &self.stage {
            // Closing must not discard the answer.
            let _ = caller.set_linger(None);
            let _ = caller.send(&stage.fleet_key.consent(&hello.nonce, 0));
        }
    }

    /// Answers keyed probes with as many bytes, and others with silence.
    pub(super) fn answer_probes(&mut self) {
        while let Some((_, udp)) = &self.udp {
            let mut bytes = [0; HELLO_BYTES + 1];
            let Ok((length, from)) = udp.recv_from(&mut bytes) else { return };
            let Some(sealed) = bytes[..length].first_chunk::<HELLO_BYTES>().filter(|_| length == HELLO_BYTES)
            else {
                continue;
            };
            let Some(hello) = read_hello(sealed).filter(|hello| hello.purpose == Purpose::Probe) else {
                continue;
            };
            let Some(key) = self.key_of(hello.flow).filter(|key| key.proves(sealed)) else { continue };
            let answer = key.seal(&Hello { purpose: Purpose::Answer, ..hello });
            if let Err(error) = udp.send_to(&answer, from) {
                tracing::debug!(%error, "a probe could not be answered");
            }
            if hello.flow != REACH_FLOW {
                *self.heard.entry(hello.flow).or_default() += 1;
            }
        }
    }
}
