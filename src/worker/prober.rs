//! Probes the other hosts five times a second, idle and under load, on a thread of its own.
//!
//! An echo goes to the target's data port, where a carrier answers it and says how long it was
//! held; the kernel's own stamps take this process's delays out too. A handshake is completed
//! by the target's kernel alone and then dropped. `book` keeps schedule and outcomes. No probe
//! is sent without the coordinator's lease, none is longer than 42 bytes, and only members of
//! the fleet are probed.

use std::{
    collections::BTreeMap,
    io,
    net::{SocketAddr, UdpSocket},
    os::fd::{AsFd, OwnedFd},
    sync::{Arc, Mutex, PoisonError},
    thread::JoinHandle,
    time::Duration,
};

use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec, eventfd, poll};
use socket2::Socket;

use super::transfer::{
    Shared,
    carrier::REACH_FLOW,
    key::{HELLO_BYTES, Hello, Purpose, TransferKey, nonce, read_hello},
    socket,
};
use crate::{
    model::{
        fleet::{host::HostId, units::RunTime},
        record::{
            line::Body,
            probe::{ANSWER_US, Asked},
        },
    },
    sys::{clock, socket::tcp_info, stamp},
};

mod book;

use book::Book;

/// Handshakes under way at most: those of a second to every target, and as many that hang.
const HANDSHAKES_MAX: usize = 512;

/// The thread looks around at least this often.
const LOOK: Duration = Duration::from_millis(200);

/// A round trip longer than this is a clock that was set, and no round trip.
const CREDIBLE_NS: i64 = 60_000_000_000;

/// Whom to probe, and while what.
#[derive(Clone, Debug)]
pub struct Task {
    /// This worker's host.
    pub own: HostId,
    /// The targets.
    pub targets: BTreeMap<HostId, SocketAddr>,
    /// The fleet's key.
    pub key: TransferKey,
    /// From when on.
    pub from: RunTime,
    /// To when.
    pub until: RunTime,
}

#[derive(Debug)]
enum Order {
    Probe(Arc<Task>),
    Stop,
    Quit,
}

#[derive(Debug)]
struct Mailbox {
    orders: Mutex<Vec<Order>>,
    bell: OwnedFd,
}

/// The thread that probes.
#[derive(Debug)]
pub struct Prober {
    mailbox: Arc<Mailbox>,
    thread: Option<JoinHandle<()>>,
}

impl Prober {
    /// Starts it.
    ///
    /// # Errors
    ///
    /// If the kernel gives no thread or event.
    pub fn start(shared: &Arc<Shared>) -> io::Result<Self> {
        let bell = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        let mailbox = Arc::new(Mailbox { orders: Mutex::default(), bell });
        let round = Round::new(Arc::clone(shared), Arc::clone(&mailbox));
        let thread = std::thread::Builder::new().name("prober".to_owned()).spawn(move || round.run())?;
        Ok(Self { mailbox, thread: Some(thread) })
    }

    /// Probes for this task, and no more for the one before.
    pub fn probe(&self, task: Task) {
        self.mailbox.put(Order::Probe(Arc::new(task)));
    }

    /// Sends no more; answers are still awaited and told.
    pub fn stop(&self) {
        self.mailbox.put(Order::Stop);
    }

    /// Ends the thread.
    pub fn quit(mut self) {
        self.mailbox.put(Order::Quit);
        if self.thread.take().is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("the prober panicked");
        }
    }
}

impl Mailbox {
    fn put(&self, order: Order) {
        self.orders.lock().unwrap_or_else(PoisonError::into_inner).push(order);
        // A full counter is a bell that rings already.
        let _ = rustix::io::write(&self.bell, &1u64.to_ne_bytes());
    }

    fn take(&self) -> Vec<Order> {
        let mut count = [0; 8];
        let _ = rustix::io::read(&self.bell, &mut count);
        std::mem::take(&mut *self.orders.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// A handshake under way.
struct Handshake {
    socket: Socket,
    target: HostId,
    tick: u64,
    since_us: u64,
}

/// The thread's state.
struct Round {
    shared: Arc<Shared>,
    mailbox: Arc<Mailbox>,
    book: Book,
    task: Option<Arc<Task>>,
    echoes: Option<UdpSocket>,
    /// When the echo of a target's tick left, by the clock of stamps.
    left_ns: BTreeMap<(HostId, u64), u64>,
    handshakes: Vec<Handshake>,
}

impl Round {
    fn new(shared: Arc<Shared>, mailbox: Arc<Mailbox>) -> Self {
        Self {
            shared,
            mailbox,
            book: Book::default(),
            task: None,
            echoes: None,
            left_ns: BTreeMap::new(),
            handshakes: Vec::new(),
        }
    }

    fn run(mut self) {
        loop {
            self.wait();
            for order in self.mailbox.take() {
                match order {
                    Order::Probe(task) => self.begin(task),
                    Order::Stop => self.book.stop(),
                    Order::Quit => return,
                }
            }
            self.hear_echoes();
            self.hear_handshakes();
            self.take_arrivals();
            self.send_due();
            let now = self.shared.run_now();
            for line in self.book.take_lines(now) {
                self.shared.tell(Body::Probes(Box::new(line)));
            }
        }
    }

    fn begin(&mut self, task: Arc<Task>) {
        if self.echoes.is_none() {
            let opened = socket::datagrams(&self.shared.binding, 0)
                .and_then(|echoes| stamp::ask_for_stamps(&echoes).map(|()| echoes));
            match opened {
                Ok(echoes) => self.echoes = Some(echoes),
                Err(error) => {
                    let why = format!("no socket for echoes: {error}");
                    return self.shared.tell(Body::Unread { what: "probes".to_owned(), why });
                }
            }
        }
        let targets: Vec<HostId> = task.targets.keys().copied().collect();
        let from = task.from.max(self.shared.run_now());
        self.book.schedule(task.own, &targets, from, task.until);
        self.task = Some(task);
    }

    /// Until something is due or came, at most [`LOOK`].
    fn wait(&self) {
        let now = self.shared.run_now();
        let next = self.book.due_at().into_iter().chain(self.book.line_at()).min();
        let most = next.map_or(LOOK, |at| at.since(now).min(LOOK));
        let timeout = Timespec { tv_sec: 0, tv_nsec: i64::from(most.subsec_nanos()) };
        let mut watched = vec![PollFd::new(&self.mailbox.bell, PollFlags::IN)];
        watched.extend(self.echoes.as_ref().map(|echoes| PollFd::new(echoes, PollFlags::IN)));
        watched.extend(
            self.handshakes.iter().map(|one| PollFd::from_borrowed_fd(one.socket.as_fd(), PollFlags::OUT)),
        );
        // An interrupted wait is a wait that was over early.
        let _ = poll(&mut watched, Some(&timeout));
    }

    fn send_due(&mut self) {
        let now = self.shared.run_now();
        if !self.shared.may_send(clock::now_us()) {
            return;
        }
        let Some(task) = self.task.clone() else { return };
        for (asked, target, tick) in self.book.take_due(now) {
            let Some(addr) = task.targets.get(&target) else { continue };
            match asked {
                Asked::Echo => self.send_echo(&task, target, *addr, tick),
                Asked::Handshake => self.begin_handshake(target, *addr, tick),
            }
        }
        let oldest = now.0.saturating_sub(2 * ANSWER_US) / crate::model::record::probe::TICK_US;
        self.left_ns.retain(|(_, tick), _| *tick >= oldest);
    }

    fn send_echo(&mut self, task: &Task, target: HostId, addr: SocketAddr, tick: u64) {
        let Some(echoes) = &self.echoes else { return };
        let mut nonce = nonce();
        nonce[..8].copy_from_slice(&tick.to_be_bytes());
        let hello = Hello { purpose: Purpose::Ping, flow: REACH_FLOW, stream: task.own.0, nonce };
        let left_ns = stamp::now_ns();
        // What does not leave counts as sent: a card or a host without a way answers nobody.
        if let Err(error) = echoes.send_to(&task.key.seal(&hello), addr) {
            tracing::trace!(%error, %addr, "an echo was not sent");
        }
        self.book.sent(Asked::Echo, target, tick);
        self.left_ns.insert((target, tick), left_ns);
    }

    fn begin_handshake(&mut self, target: HostId, addr: SocketAddr, tick: u64) {
        if self.handshakes.len() >= HANDSHAKES_MAX {
            return;
        }
        let since_us = clock::now_us();
        self.book.sent(Asked::Handshake, target, tick);
        match socket::connect(&self.shared.binding, addr, &socket::Dress::default()) {
            Ok(socket) => self.handshakes.push(Handshake { socket, target, tick, since_us }),
            Err(error) => tracing::trace!(%error, %addr, "a handshake could not begin"),
        }
    }

    fn hear_echoes(&mut self) {
        let Some(task) = &self.task else { return };
        while let Some(echoes) = &self.echoes {
            let mut bytes = [0; HELLO_BYTES];
            let (length, from, stamped) = match stamp::receive(echoes, &mut bytes) {
                Ok(received) => received,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                // A notice of an earlier echo that was refused on the way.
                Err(_) => continue,
            };
            let arrived_ns = stamped.unwrap_or_else(stamp::now_ns);
            let Some(pong) = read_hello(&bytes).filter(|hello| hello.purpose == Purpose::Pong) else {
                continue;
            };
            let target = task.targets.iter().find(|(_, addr)| **addr == from).map(|(target, _)| *target);
            if length != HELLO_BYTES || !task.key.proves(&bytes) || pong.stream != task.own.0 {
                continue;
            }
            let Some(target) = target else { continue };
            let (tick, held_ns) = (number(&pong.nonce[..8]), number(&pong.nonce[8..]));
            let Some(left_ns) = self.left_ns.remove(&(target, tick)) else { continue };
            let took_ns = arrived_ns.cast_signed() - left_ns.cast_signed();
            if (0..CREDIBLE_NS).contains(&took_ns) {
                let took_us = took_ns.cast_unsigned().saturating_sub(held_ns) / 1000;
                self.book.answered(Asked::Echo, target, tick, took_us);
            }
        }
    }

    /// Handshakes that are through, refused (a kernel that answers), or given up.
    fn hear_handshakes(&mut self) {
        let now_us = clock::now_us();
        let all = std::mem::take(&mut self.handshakes);
        for one in all {
            let mut look = [PollFd::from_borrowed_fd(one.socket.as_fd(), PollFlags::OUT)];
            let ready = poll(&mut look, Some(&Timespec::default())).is_ok_and(|ready| ready > 0);
            let waited_us = now_us.saturating_sub(one.since_us);
            if !ready {
                if waited_us < ANSWER_US {
                    self.handshakes.push(one);
                }
                continue;
            }
            let refused = |error: &io::Error| error.raw_os_error() == Some(libc::ECONNREFUSED);
            match one.socket.take_error() {
                Ok(None) => {
                    // The kernel's own measure knows nothing of this thread's delays, and
                    // nothing of a first attempt that was lost.
                    let info = tcp_info(&one.socket).unwrap_or_default();
                    let whole = info.total_retrans == 0 && info.rtt_us > 0;
                    let took_us = if whole { u64::from(info.rtt_us) } else { waited_us };
                    self.book.answered(Asked::Handshake, one.target, one.tick, took_us);
                }
                Ok(Some(error)) if refused(&error) => {
                    self.book.answered(Asked::Handshake, one.target, one.tick, waited_us);
                }
                Ok(Some(_)) | Err(_) => {}
            }
        }
    }

    /// Echoes that were asked for here, as the carriers noted them.
    fn take_arrivals(&mut self) {
        let now = self.shared.run_now();
        for (observer, tick, held_us) in self.shared.take_pinged() {
            self.book.heard(observer, tick, held_us, now);
        }
    }
}

/// What a target answers to an echo that arrived at `stamped`, and what it notes: of which
/// tick, and how long it was held, microseconds.
pub fn answer(key: &TransferKey, ping: &Hello, stamped_ns: Option<u64>) -> ([u8; HELLO_BYTES], u64, u64) {
    let held_ns = stamped_ns.map_or(0, |stamped| stamp::now_ns().saturating_sub(stamped));
    let mut nonce = ping.nonce;
    nonce[8..].copy_from_slice(&held_ns.to_be_bytes());
    let pong = Hello { purpose: Purpose::Pong, nonce, ..*ping };
    (key.seal(&pong), number(&ping.nonce[..8]), held_ns / 1000)
}

fn number(bytes: &[u8]) -> u64 {
    bytes.iter().take(8).fold(0, |sum, byte| sum << 8 | u64::from(*byte))
}

#[cfg(test)]
mod tests;
