//! Numbered datagrams from one host to another, and what arrived of them.

use std::{
    net::UdpSocket,
    thread,
    time::{Duration, Instant},
};

use nicburn::lab::{client::Lab, spec::LabSpec};

use crate::support::inside;

/// Bytes of a datagram before its filling: its number.
const NUMBER_BYTES: usize = 4;

/// What is sent.
#[derive(Clone, Copy)]
pub struct Shots {
    pub count: u32,
    /// Payload, bytes.
    pub size: usize,
    pub gap: Duration,
}

/// A datagram that arrived.
#[derive(Clone, Copy, Debug)]
pub struct Arrival {
    pub number: u32,
    pub intact: bool,
    /// Since the first was sent.
    pub at: Duration,
}

/// After so long without an arrival nothing more is awaited; longer than any fault here holds
/// a packet.
const QUIET: Duration = Duration::from_millis(450);

/// Sends from `from` to `to`, and tells what arrives.
pub fn trace(lab: &Lab, spec: &LabSpec, from: u16, to: u16, shots: Shots) -> Vec<Arrival> {
    let bind = |host: u16| inside(lab, host, || UdpSocket::bind((spec.host_addr(host), 0)).unwrap());
    let (near, far) = (bind(from), bind(to));
    let addr = far.local_addr().unwrap();
    far.set_read_timeout(Some(QUIET)).unwrap();
    let begin = Instant::now();
    let receiver = thread::spawn(move || {
        let mut room = [0; 2048];
        let mut arrivals = Vec::new();
        while let Ok(length) = far.recv(&mut room) {
            let (number, filling) = room[..length].split_at(NUMBER_BYTES);
            let number = u32::from_be_bytes(number.try_into().unwrap());
            let intact = length == shots.size && filling.iter().all(|byte| *byte == number as u8);
            arrivals.push(Arrival { number, intact, at: begin.elapsed() });
        }
        arrivals
    });
    for number in 0..shots.count {
        let mut shot = vec![number as u8; shots.size];
        shot[..NUMBER_BYTES].copy_from_slice(&number.to_be_bytes());
        // Refused by the host's own interface is lost too.
        let _ = near.send_to(&shot, addr);
        let next = shots.gap * (number + 1);
        thread::sleep(next.saturating_sub(begin.elapsed()));
    }
    receiver.join().unwrap()
}
