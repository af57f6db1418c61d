//! Carriers without a session: for whoever measures this machine against itself.
//!
//! The run's clock is the machine's own, and everything may be sent at once: there is no
//! coordinator whose lease could lapse. Who may listen where is the caller's.

use std::{
    io,
    net::{IpAddr, Ipv4Addr},
    sync::{Arc, atomic::Ordering},
};

use tokio::sync::mpsc;

use super::{Binding, Caps, Carriers, Shared, socket};
use crate::model::{fleet::units::RunTime, record::line::Body};

/// Lines that may wait: those of the longest bench with all its streams' events.
const QUEUE_LINES: usize = 64 * 1024;

/// One worker's carriers and what they tell.
pub struct Alone {
    /// What they share with whoever drives them.
    pub shared: Arc<Shared>,
    /// The threads.
    pub carriers: Carriers,
    /// Lines for the record that nobody keeps.
    pub lines: mpsc::Receiver<(RunTime, Body)>,
}

impl Alone {
    /// Starts `threads` carriers that listen on `port` (0: on any). `adjust` may change what
    /// differs from a worker without caps, before anybody shares it.
    ///
    /// # Errors
    ///
    /// If the port is taken, or the kernel gives no thread or event queue.
    pub fn start(
        mut binding: Binding,
        port: u16,
        threads: usize,
        adjust: impl FnOnce(&mut Shared),
    ) -> io::Result<Self> {
        let (listener, udp, port) = socket::listen_both(&binding, port)?;
        binding.port = port;
        let caps = Caps { rate_bps: None, bytes: u64::MAX, duration_us: u64::MAX };
        let (out, lines) = mpsc::channel(QUEUE_LINES);
        let mut shared = Shared::new(binding, caps, &std::env::temp_dir(), out);
        shared.synced.store(true, Ordering::Relaxed);
        shared.lease_until_us.store(u64::MAX, Ordering::Relaxed);
        adjust(&mut shared);
        let shared = Arc::new(shared);
        let carriers = Carriers::start(&shared, threads, listener, udp)?;
        Ok(Self { shared, carriers, lines })
    }
}

impl Binding {
    /// On IPv4's loopback, with the MTU that most cards have.
    ///
    /// # Errors
    ///
    /// If this kernel permits none of the known congestion controls.
    pub fn loopback() -> io::Result<Self> {
        let addr = IpAddr::from(Ipv4Addr::LOCALHOST);
        let congestion_control = socket::congestion_control(addr)?;
        Ok(Self { addr, iface: "lo".to_owned(), mtu: 1500, port: 0, data_ports: None, congestion_control })
    }
}
