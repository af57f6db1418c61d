//! Traffic between hosts of a lab, with the standard library's sockets.

use std::{
    io::{ErrorKind, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream, UdpSocket},
    path::Path,
    process::Command,
    sync::{Mutex, MutexGuard, PoisonError},
    thread,
    time::{Duration, Instant},
};

use nicburn::{
    lab::{client::Lab, spec::LabSpec},
    sys::carrier::{CarrierWatch, index_of},
};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

pub const BUILD_EXE: &str = env!("CARGO_BIN_EXE_nicburn");

/// Bytes are counted in slots of this length.
const SLOT: Duration = Duration::from_millis(100);

static ALONE: Mutex<()> = Mutex::new(());

pub fn alone() -> MutexGuard<'static, ()> {
    assert!(rustix::process::geteuid().is_root(), "the tests of the lab need root: run them with sudo");
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

pub fn lab(spec: &LabSpec) -> Lab {
    Lab::start(Path::new(BUILD_EXE), spec).unwrap_or_else(|error| panic!("the lab must stand: {error:?}"))
}

pub fn break_it(lab: &Lab, fault: &str) -> u32 {
    lab.fault(&fault.parse().expect(fault)).unwrap_or_else(|error| panic!("{fault}: {error}"))
}

/// Runs `task` on a thread inside host number `host`. Sockets it makes stay there.
pub fn inside<T: Send>(lab: &Lab, host: u16, task: impl FnOnce() -> T + Send) -> T {
    in_namespace(lab, &format!("h{host}"), task)
}

pub fn in_coordinator<T: Send>(lab: &Lab, task: impl FnOnce() -> T + Send) -> T {
    in_namespace(lab, "coordinator", task)
}

fn in_namespace<T: Send>(lab: &Lab, name: &str, task: impl FnOnce() -> T + Send) -> T {
    let ns = lab.namespace(name).unwrap();
    thread::scope(|scope| {
        let enter = || {
            ns.enter().unwrap();
            task()
        };
        scope.spawn(enter).join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

pub fn run_ip(lab: &Lab, host: u16, args: &[&str]) {
    let status = inside(lab, host, || Command::new("ip").args(args).status().unwrap());
    assert!(status.success(), "ip {args:?} in h{host}");
}

/// Waits for a condition that no descriptor tells of.
pub fn wait_until(what: &str, limit: Duration, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + limit;
    while !holds() {
        assert!(Instant::now() < deadline, "not within {limit:?}: {what}");
        thread::sleep(Duration::from_millis(20));
    }
}

fn socket(lab: &Lab, spec: &LabSpec, host: u16) -> UdpSocket {
    let socket = inside(lab, host, || UdpSocket::bind((spec.host_addr(host), 0)).unwrap());
    socket.set_read_timeout(Some(Duration::from_millis(150))).unwrap();
    socket
}

/// `count` times a datagram there and its echo; how many came back. Ends at three misses.
pub fn exchange(lab: &Lab, spec: &LabSpec, from: u16, to: u16, count: u32) -> u32 {
    let (near, far) = (socket(lab, spec, from), socket(lab, spec, to));
    let addr = far.local_addr().unwrap();
    let (mut came, mut missed) = (0, 0);
    let mut buffer = [0; 64];
    for number in 0..count {
        // A send may fail at once, for want of a carrier or a neighbour: that is a miss.
        let echoed = near.send_to(&number.to_be_bytes(), addr).is_ok()
            && far
                .recv_from(&mut buffer)
                .and_then(|(length, source)| far.send_to(&buffer[..length], source))
                .is_ok()
            && near.recv(&mut buffer).is_ok();
        if echoed {
            came += 1;
        } else {
            missed += 1;
            if missed == 3 {
                break;
            }
        }
    }
    came
}

/// How many of `count` datagrams arrive, sent at 1000 a second.
pub fn one_way(lab: &Lab, spec: &LabSpec, from: u16, to: u16, count: u32) -> u32 {
    let (near, far) = (socket(lab, spec, from), socket(lab, spec, to));
    let addr = far.local_addr().unwrap();
    let receiver = thread::spawn(move || {
        let mut buffer = [0; 64];
        let mut came = 0;
        let mut silent = 0;
        while came < count && silent < 5 {
            match far.recv(&mut buffer) {
                Ok(_) => (came, silent) = (came + 1, 0),
                Err(_) => silent += 1,
            }
        }
        came
    });
    for number in 0..count {
        near.send_to(&number.to_be_bytes(), addr).unwrap();
        if number % 10 == 9 {
            thread::sleep(Duration::from_millis(10));
        }
    }
    receiver.join().unwrap()
}

#[derive(Clone, Copy)]
pub enum Pace {
    Full,
    Mbps(u64),
}

/// One TCP flow for `length`: the receiver's bytes by slots.
pub fn flow(lab: &Lab, spec: &LabSpec, from: u16, to: u16, pace: Pace, length: Duration) -> Vec<u64> {
    let (sender, receiver) = connect(lab, spec, from, to);
    let end = Instant::now() + length;
    let sending = thread::spawn(move || send(sender, pace, end));
    let slots = receive(receiver, length);
    sending.join().unwrap();
    slots
}

/// Every host sends to every other for `length`: what `of` receives from all others.
pub fn storm(lab: &Lab, spec: &LabSpec, of: u16, length: Duration) -> Vec<u64> {
    let pairs = (1..=spec.hosts).flat_map(|from| (1..=spec.hosts).map(move |to| (from, to)));
    let pairs = pairs.filter(|(from, to)| from != to);
    let flows: Vec<_> = pairs.map(|(from, to)| (to, connect(lab, spec, from, to))).collect();
    let end = Instant::now() + length;
    let threads = flows.into_iter().map(|(to, (sender, receiver))| {
        let sending = thread::spawn(move || send(sender, Pace::Full, end));
        (to, sending, thread::spawn(move || receive(receiver, length)))
    });
    let mut sum = vec![0; slots_in(length)];
    for (to, sending, receiving) in threads.collect::<Vec<_>>() {
        let slots = receiving.join().unwrap();
        sending.join().unwrap();
        if to == of {
            sum.iter_mut().zip(slots).for_each(|(sum, bytes)| *sum += bytes);
        }
    }
    sum
}

fn connect(lab: &Lab, spec: &LabSpec, from: u16, to: u16) -> (TcpStream, TcpStream) {
    let listener = inside(lab, to, || TcpListener::bind((spec.host_addr(to), 0)).unwrap());
    let addr: SocketAddr = listener.local_addr().unwrap();
    let sender = inside(lab, from, || TcpStream::connect_timeout(&addr, Duration::from_secs(3)).unwrap());
    (sender, listener.accept().unwrap().0)
}

fn send(mut stream: TcpStream, pace: Pace, end: Instant) {
    // A default of bbr would pace away the load; reno is always there.
    socket2::SockRef::from(&stream).set_tcp_congestion(b"reno").unwrap();
    stream.set_write_timeout(Some(SLOT)).unwrap();
    let chunk = vec![0x5a; 12_500];
    let begin = Instant::now();
    let mut sent = 0_u64;
    while Instant::now() < end {
        match stream.write(&chunk) {
            Ok(length) => sent += length as u64,
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
            // The receiver has seen its time through a moment earlier.
            Err(_) => break,
        }
        if let Pace::Mbps(mbps) = pace {
            let due = begin + Duration::from_micros(sent * 8 / mbps);
            thread::sleep(due.saturating_duration_since(Instant::now()));
        }
    }
    // What the receiver has not seen by now is not to trouble the next flow.
    socket2::SockRef::from(&stream).set_linger(Some(Duration::ZERO)).unwrap();
}

fn receive(mut stream: TcpStream, length: Duration) -> Vec<u64> {
    stream.set_read_timeout(Some(SLOT / 5)).unwrap();
    let begin = Instant::now();
    let mut slots = vec![0; slots_in(length)];
    let mut buffer = vec![0; 65_536];
    while begin.elapsed() < length {
        let Ok(bytes) = stream.read(&mut buffer) else { continue };
        if bytes == 0 {
            break;
        }
        if let Some(slot) = slots.get_mut((begin.elapsed().as_millis() / SLOT.as_millis()) as usize) {
            *slot += bytes as u64;
        }
    }
    slots
}

fn slots_in(length: Duration) -> usize {
    (length.as_millis() / SLOT.as_millis()) as usize
}

/// Mean rate over whole slots.
pub fn mbps(slots: &[u64]) -> f64 {
    slots.iter().sum::<u64>() as f64 * 8.0 / 1e6 / (slots.len() as f64 * SLOT.as_secs_f64())
}

/// First slot and number of slots of the longest run of empty ones.
pub fn longest_silence(slots: &[u64]) -> (usize, usize) {
    let mut longest = (0, 0);
    let mut begin = 0;
    for (at, bytes) in slots.iter().enumerate() {
        if *bytes > 0 {
            begin = at + 1;
        } else if at + 1 - begin > longest.1 {
            longest = (begin, at + 1 - begin);
        }
    }
    longest
}

/// Tells of the carrier of a host's NIC, as that host sees it.
pub fn watch_eth0(lab: &Lab, host: u16) -> (CarrierWatch, u32) {
    inside(lab, host, || (CarrierWatch::open().unwrap(), index_of("eth0").unwrap()))
}

/// Waits for the news that the carrier is there, or gone.
pub fn until_carrier((watch, eth0): &(CarrierWatch, u32), there: bool) {
    let deadline = Instant::now() + Duration::from_secs(5);
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        assert!(
            !left.is_zero(),
            "no news within 5 s that the carrier is {}",
            if there { "there" } else { "gone" }
        );
        let timeout = Timespec { tv_sec: left.as_secs() as i64, tv_nsec: i64::from(left.subsec_nanos()) };
        poll(&mut [PollFd::new(watch, PollFlags::IN)], Some(&timeout)).unwrap();
        if watch.read().unwrap().iter().any(|news| news.index == *eth0 && news.running == there) {
            return;
        }
    }
}

/// The state letter of a process; `None` when there is none.
pub fn process_state(pid: i32) -> Option<char> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat.rsplit_once(')')?.1.trim_start().chars().next()
}
