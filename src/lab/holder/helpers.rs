//! Threads that a fault needs all along: cables, hogs, stopped workers, other people's traffic.
//!
//! Each waits on a pipe that closes when its fault is over; none outlives the holder.

use std::{
    net::UdpSocket,
    os::fd::OwnedFd,
    thread::JoinHandle,
    time::{Duration, Instant},
};

use rustix::{
    event::{PollFd, PollFlags, poll},
    process::{Signal, pidfd_send_signal},
};

use super::workers::Workers;
use crate::{
    lab::{
        LabError,
        cable::Cable,
        fault::steps::{Helper, packets::CABLE_MARK},
        fleet::{Fleet, inside},
        tool::timespec,
    },
    model::fleet::units::BitRate,
    sys::{packet::PacketSocket, xdp::Xdp},
};

/// The largest frame with its header, and all that a GSO frame may be.
const FRAME_BYTES_MAX: usize = 66_000;

/// Frames taken in one go, so that what is due is not kept waiting by what comes.
const TAKEN_AT_ONCE: usize = 32;

/// How long a helper without anything to do waits at once; the end of its fault wakes it.
const IDLE: Duration = Duration::from_secs(1);

/// Of this a starved worker gets its share: the period of the kernel's CPU quotas.
const STARVE_PERIOD: Duration = Duration::from_millis(100);

/// How often a hog looks whether it may go.
const HOG_LOOK: Duration = Duration::from_millis(5);

/// Payload of a datagram of other people's traffic.
const BACKGROUND_BYTES: usize = 1400;

/// How often such datagrams are sent.
const BACKGROUND_TICK: Duration = Duration::from_millis(2);

/// The helpers of all faults.
#[derive(Debug, Default)]
pub(super) struct Helpers {
    threads: Vec<(u32, HelperThread)>,
}

#[derive(Debug)]
struct HelperThread {
    /// Closes when this is dropped, which ends the thread.
    alive: Option<OwnedFd>,
    thread: Option<JoinHandle<()>>,
}

impl Drop for HelperThread {
    fn drop(&mut self) {
        drop(self.alive.take());
        if let Some(thread) = self.thread.take() {
            // One that panicked has ended too.
            let _ = thread.join();
        }
    }
}

impl Helpers {
    /// Begins what a fault needs.
    pub(super) fn begin(
        &mut self,
        number: u32,
        helper: &Helper,
        fleet: &Fleet,
        workers: &Workers,
    ) -> Result<(), LabError> {
        match helper {
            Helper::Cable { takes, sends, marks, treatment } => {
                let doing = || LabError::io(format!("opening a cable from {takes} to {sends}"));
                let from = PacketSocket::taking(takes).map_err(doing())?;
                let to = PacketSocket::sending(sends, marks.then_some(CABLE_MARK)).map_err(doing())?;
                let cable = Cable::new(*treatment, u64::from(number));
                self.spawn(number, move |over| carry(cable, &from, &to, &over))
            }
            Helper::Starve { host, share } => {
                let (worker, runs) = (workers.handle(*host)?, STARVE_PERIOD.mul_f64(*share));
                self.spawn(number, move |over| starve(&worker, runs, &over))
            }
            Helper::Xdp { host, percent } => {
                let program = inside(fleet.host(*host)?, || {
                    Xdp::dropping("eth0", *percent).map_err(LabError::io(
                        "attaching an XDP program, which needs root outside of any user namespace",
                    ))
                })?;
                self.spawn(number, move |over| {
                    while wait(&over, IDLE) {}
                    drop(program);
                })
            }
            Helper::Hog { threads } => (0..*threads).try_for_each(|_| self.spawn(number, |over| hog(&over))),
            Helper::Background { from, to, rate } => {
                let bind = |host: u16| {
                    let addr = fleet.addr(host);
                    inside(fleet.host(host)?, || {
                        UdpSocket::bind((addr, 0)).map_err(LabError::io("binding a socket for other traffic"))
                    })
                };
                let (source, sink, rate) = (bind(*from)?, bind(*to)?, *rate);
                self.spawn(number, move |over| send_background(&source, &sink, rate, &over))
            }
        }
    }

    /// Ends what a fault needed.
    pub(super) fn end(&mut self, number: u32) {
        self.threads.retain(|(own, _)| *own != number);
    }

    fn spawn(&mut self, number: u32, task: impl FnOnce(OwnedFd) + Send + 'static) -> Result<(), LabError> {
        let doing = || LabError::io("starting a thread of a fault");
        let (over, alive) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC)
            .map_err(|error| doing()(error.into()))?;
        let thread = std::thread::Builder::new()
            .name(format!("fault {number}"))
            .spawn(move || task(over))
            .map_err(doing())?;
        self.threads.push((number, HelperThread { alive: Some(alive), thread: Some(thread) }));
        Ok(())
    }
}

/// Waits for `limit`; `false` once the fault is over.
fn wait(over: &OwnedFd, limit: Duration) -> bool {
    let mut fds = [PollFd::new(over, PollFlags::IN)];
    // A signal only makes this wait shorter.
    let _ = poll(&mut fds, Some(&timespec(limit)));
    fds[0].revents().is_empty()
}

/// Carries frames until the fault is over or an end is gone.
fn carry(mut cable: Cable, from: &PacketSocket, to: &PacketSocket, over: &OwnedFd) {
    let begin = Instant::now();
    let now_us = || begin.elapsed().as_micros() as u64;
    let mut room = vec![0_u8; FRAME_BYTES_MAX];
    loop {
        while let Some(frame) = cable.due(now_us()) {
            // What the port has no room for is lost, as in any full queue.
            if to.send(&frame).is_err() {
                return;
            }
        }
        let due = |at: u64| Duration::from_micros(at.saturating_sub(now_us()));
        let limit = cable.next_us().map_or(IDLE, due).min(IDLE);
        let mut fds = [PollFd::new(over, PollFlags::IN), PollFd::new(from, PollFlags::IN)];
        let _ = poll(&mut fds, Some(&timespec(limit)));
        if !fds[0].revents().is_empty() {
            return;
        }
        for _ in 0..TAKEN_AT_ONCE {
            match from.take(&mut room) {
                Ok(Some(length)) => {
                    cable.take(now_us(), room[..length].to_vec());
                }
                Ok(None) => break,
                Err(_) => return,
            }
        }
    }
}

/// Stops the worker for the rest of each period.
fn starve(worker: &OwnedFd, runs: Duration, over: &OwnedFd) {
    // One that has ended cannot be signalled, and needs not.
    while wait(over, runs) && pidfd_send_signal(worker, Signal::STOP).is_ok() {
        let go_on = wait(over, STARVE_PERIOD.saturating_sub(runs));
        if pidfd_send_signal(worker, Signal::CONT).is_err() || !go_on {
            return;
        }
    }
}

fn hog(over: &OwnedFd) {
    while wait(over, Duration::ZERO) {
        let until = Instant::now() + HOG_LOOK;
        while Instant::now() < until {
            std::hint::spin_loop();
        }
    }
}

/// Sends at a rate and reads away what arrives; nothing is caught up on.
fn send_background(source: &UdpSocket, sink: &UdpSocket, rate: BitRate, over: &OwnedFd) {
    let Ok(to) = sink.local_addr() else { return };
    if source.connect(to).and_then(|()| sink.set_nonblocking(true)).is_err() {
        return;
    }
    let per_tick = rate.bps() as f64 / 8.0 * BACKGROUND_TICK.as_secs_f64();
    let (mut owed, mut room) = (0.0, [0_u8; 2048]);
    while wait(over, BACKGROUND_TICK) {
        owed = (owed + per_tick).min(4.0 * per_tick.max(BACKGROUND_BYTES as f64));
        while owed >= BACKGROUND_BYTES as f64 {
            owed -= BACKGROUND_BYTES as f64;
            // A full queue loses it.
            let _ = source.send(&room[..BACKGROUND_BYTES]);
        }
        while sink.recv(&mut room).is_ok() {}
    }
}
