//! Probing while nothing flows: five keyed datagrams a second, one of them a handshake.

use std::{io, net::UdpSocket};

use super::{
    super::{
        around::Around,
        key::{HELLO_BYTES, Hello, Purpose, nonce, read_hello},
        poller::Token,
        socket,
    },
    PROBE_US, Source, State,
};

/// Each so-manieth probe is a handshake.
const HANDSHAKE_EVERY: u32 = 5;

/// The socket of a flow that probes.
#[derive(Debug)]
pub(super) struct Probing {
    udp: UdpSocket,
    pub(super) next_us: u64,
    count: u32,
}

impl Source {
    pub(super) fn probe(&mut self, around: &mut Around<'_>) {
        if self.probing.is_none() {
            let opened = socket::datagrams(&around.shared.binding, 0).and_then(|udp| {
                udp.connect(self.flow.peer)?;
                around.poller.watch(&udp, Token::Probe { flow: self.flow.id })?;
                Ok(Probing { udp, next_us: around.now_us, count: 0 })
            });
            match opened {
                Ok(probing) => self.probing = Some(probing),
                Err(error) => return self.tell(0, socket::meaning(&error), around),
            }
        }
        let Some(probing) = &mut self.probing else { return };
        if around.now_us < probing.next_us || !around.shared.may_send(around.now_us) {
            return;
        }
        probing.next_us = around.now_us + PROBE_US;
        probing.count += 1;
        if probing.count.is_multiple_of(HANDSHAKE_EVERY) {
            if matches!(self.streams[0].state, State::Waiting) {
                self.connect(0, around);
            }
            return;
        }
        let hello = Hello { purpose: Purpose::Probe, flow: self.flow.id, stream: 0, nonce: nonce() };
        match probing.udp.send(&self.flow.key.seal(&hello)) {
            Ok(_) => self.asked.0 += 1,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => self.tell(0, socket::meaning(&error), around),
        }
    }

    /// Something is ready on the socket of its probes.
    pub fn hear_answers(&mut self, around: &mut Around<'_>) {
        let mut answered = false;
        let mut refused = None;
        while let Some(probing) = &self.probing {
            let mut bytes = [0; HELLO_BYTES];
            match probing.udp.recv(&mut bytes) {
                Ok(HELLO_BYTES) => {
                    let ours = read_hello(&bytes)
                        .is_some_and(|hello| hello.purpose == Purpose::Answer && hello.flow == self.flow.id);
                    if ours && self.flow.key.proves(&bytes) {
                        answered = true;
                        self.asked.1 += 1;
                    }
                }
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => refused = Some(socket::meaning(&error)),
            }
            if refused.is_some() {
                break;
            }
        }
        if let Some(event) = refused {
            self.tell(0, event, around);
        }
        if answered {
            self.answered(around);
        }
    }
}
