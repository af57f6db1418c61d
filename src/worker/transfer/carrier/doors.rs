//! Who knocks: callers that want to be streams, and keyed probes.
//!
//! Whoever does not prove a transfer's key is turned away, and costs no more than a check.

use std::{
    io::{self, Read as _},
    net::SocketAddr,
    sync::PoisonError,
};

use socket2::Socket;

use super::{
    super::{
        key::{HELLO_BYTES, Hello, Purpose, TransferKey, read_hello},
        poller::{Letter, Token},
        socket,
    },
    Caller, Carrier, REACH_FLOW, Sink,
};
use crate::{
    model::{fleet::host::HostId, plan::layout::FlowId},
    sys::stamp,
    worker::prober,
};

/// Callers that have not said who they are; more are turned away.
const CALLERS_MAX: usize = 1024;

impl Carrier {
    pub(super) fn answer_callers(&mut self, now_us: u64) {
        while let Some(listener) = &self.listener {
            let Ok((socket, _)) = listener.accept() else { return };
            if self.callers.len() >= CALLERS_MAX || socket::accepted(&socket).is_err() {
                continue;
            }
            self.called = self.called.wrapping_add(1);
            let number = self.called;
            if self.poller.watch(&socket, Token::Caller { number }).is_ok() {
                self.callers.insert(number, Caller { socket, since_us: now_us });
                self.greet(number, now_us);
            }
        }
    }

    /// A caller may have said who it is. It says so in one segment; half a hello is none.
    pub(super) fn greet(&mut self, number: u32, now_us: u64) {
        let Some(caller) = self.callers.get(&number) else { return };
        let mut bytes = [0; HELLO_BYTES];
        let mut reader: &Socket = &caller.socket;
        match reader.read(&mut bytes) {
            Ok(HELLO_BYTES) => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
            _ => {
                self.callers.remove(&number);
                return;
            }
        }
        let Some(caller) = self.callers.remove(&number) else { return };
        let Some(hello) = read_hello(&bytes) else { return };
        let proven = self.key_of(hello.flow).is_some_and(|key| key.proves(&bytes));
        if !proven {
            tracing::warn!(flow = hello.flow, "a stream without the transfer's key was turned away");
            return;
        }
        match hello.purpose {
            Purpose::Stream if hello.flow == REACH_FLOW => return self.answer_reach(&caller.socket, &hello),
            Purpose::Stream => {}
            Purpose::Ask => return self.answer_ask(&caller.socket, &hello),
            Purpose::Probe | Purpose::Answer | Purpose::Ping | Purpose::Pong => return,
        }
        let owner = self.place.owner(hello.flow, hello.stream);
        if owner == self.place.index {
            self.take_stream(caller.socket, hello, now_us);
        } else {
            self.poller.forget(&caller.socket);
            self.place.mailboxes[owner].put(Letter::Stream(caller.socket, hello));
        }
    }

    pub(super) fn take_stream(&mut self, socket: Socket, hello: Hello, now_us: u64) {
        self.with(now_us, |_, sinks, around| {
            if let Some(Sink::Streams(sink)) = sinks.get_mut(&hello.flow)
                && let Err(error) = sink.accept(socket, hello, around)
            {
                tracing::warn!(%error, flow = hello.flow, "a stream could not be taken");
            }
        });
    }

    /// A stream of datagrams gets a socket of its own on the port of this worker.
    pub(super) fn take_datagrams(&mut self, from: SocketAddr, hello: Hello, now_us: u64) {
        let port = self.shared.binding.port;
        self.with(now_us, |_, sinks, around| {
            if let Some(Sink::Datagrams(sink)) = sinks.get_mut(&hello.flow)
                && let Err(error) = sink.accept(from, hello, port, around)
            {
                tracing::warn!(%error, flow = hello.flow, "a stream of datagrams could not be taken");
            }
        });
    }

    /// The key of a flow of which this worker is the sink, or the fleet's for reach.
    fn key_of(&self, flow: FlowId) -> Option<&TransferKey> {
        let stage = self.stage.as_ref()?;
        if flow == REACH_FLOW {
            return Some(&stage.fleet_key);
        }
        stage.sink_key(flow)
    }

    fn answer_reach(&self, caller: &Socket, hello: &Hello) {
        if let Some(stage) = &self.stage {
            // Closing must not discard the answer.
            let _ = caller.set_linger(None);
            let _ = caller.send(&stage.fleet_key.consent(&hello.nonce, 0));
        }
    }

    /// Says where a transport beside the carriers listens, or that it does not yet.
    fn answer_ask(&self, caller: &Socket, hello: &Hello) {
        let offers = self.shared.offers.lock().unwrap_or_else(PoisonError::into_inner);
        let text = offers.get(&hello.flow).map_or("", String::as_str);
        if let Some(key) = self.key_of(hello.flow) {
            let _ = caller.set_linger(None);
            let _ = caller.send(&key.offer(&hello.nonce, text));
        }
    }

    /// Answers keyed probes with as many bytes, takes keyed hellos of datagrams, and answers
    /// others with silence.
    pub(super) fn answer_datagrams(&mut self, now_us: u64) {
        while let Some(udp) = &self.udp {
            let mut bytes = [0; HELLO_BYTES + 1];
            let Ok((length, from, stamped)) = stamp::receive(udp, &mut bytes) else { return };
            let Some(sealed) = bytes[..length].first_chunk::<HELLO_BYTES>().filter(|_| length == HELLO_BYTES)
            else {
                continue;
            };
            let Some(hello) = read_hello(sealed) else { continue };
            let Some(key) = self.key_of(hello.flow).filter(|key| key.proves(sealed)) else { continue };
            match hello.purpose {
                Purpose::Probe => {}
                Purpose::Stream => {
                    let owner = self.place.owner(hello.flow, hello.stream);
                    if owner == self.place.index {
                        self.take_datagrams(from, hello, now_us);
                    } else {
                        self.place.mailboxes[owner].put(Letter::Datagrams(from, hello));
                    }
                    continue;
                }
                Purpose::Ping => {
                    let (pong, tick, held_us) = prober::answer(key, &hello, stamped);
                    if udp.send_to(&pong, from).is_ok() {
                        self.shared.note_pinged(HostId(hello.stream), tick, held_us);
                    }
                    continue;
                }
                Purpose::Answer | Purpose::Ask | Purpose::Pong => continue,
            }
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
