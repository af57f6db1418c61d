//! What became of one end of a file's transfer, and what of its host held it up.
//!
//! Told to the record when something is known, and at the latest when the transfer is
//! dropped: then it was given up.

use std::{
    collections::BTreeMap,
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant},
};

use super::{depot::Fault, hosted::HostedFlow, inlet::Difference, told::Differences};
use crate::{
    model::{
        fleet::units::RunTime,
        record::{
            file::{FileEnd, FileFault, FileLimit, FileOutcome, FileSeen},
            line::Body,
        },
        run::message::Role,
    },
    sys::family::{Spent, family},
};

/// Share of the time waited for the disk from which on the disk and not the card set the
/// pace: then the network was idle for most of the time.
const DISK_SHARE: f32 = 0.5;

/// Share of a core from which on a process is the limit itself: ssh encrypts on one.
const CPU_SHARE: f32 = 0.9;

/// A transfer that was shorter says nothing of what held it up.
const TELLING: Duration = Duration::from_millis(500);

/// How an end of a transfer spent its time.
#[derive(Debug)]
pub struct Load {
    began: Instant,
    /// Looks at the processes, and those that found one waiting for the disk.
    looks: (u32, u32),
    before: BTreeMap<u32, Spent>,
    busy_ns: BTreeMap<u32, u64>,
}

impl Default for Load {
    fn default() -> Self {
        Self { began: Instant::now(), looks: (0, 0), before: BTreeMap::new(), busy_ns: BTreeMap::new() }
    }
}

impl Load {
    /// Looks at a process and its children.
    pub fn look(&mut self, pid: u32) {
        let family = family(pid);
        self.looks.0 += 1;
        self.looks.1 += u32::from(family.iter().any(|spent| spent.on_disk));
        for now in family {
            let before =
                self.before.insert(now.pid, now).unwrap_or(Spent { pid: now.pid, ..Spent::default() });
            // Waiting for a core counts: a machine that is short of cores is a limit as well.
            let busy =
                now.ran_ns.saturating_sub(before.ran_ns) + now.waited_ns.saturating_sub(before.waited_ns);
            *self.busy_ns.entry(now.pid).or_default() += busy;
        }
    }

    /// Shares of the time: waiting for the disk, and of the busiest process on a core.
    fn shares(&self) -> Option<(f32, f32)> {
        let elapsed = self.began.elapsed();
        if elapsed < TELLING || self.looks.0 == 0 {
            return None;
        }
        let busiest = self.busy_ns.values().copied().max().unwrap_or(0);
        let disk = self.looks.1 as f32 / self.looks.0 as f32;
        Some((disk, busiest as f32 / elapsed.as_nanos() as f32))
    }
}

/// What held up an end that spent these shares of its time on its disk and on a core.
pub fn limit(disk: f32, cpu: f32, of_core: FileLimit) -> Option<FileLimit> {
    if disk >= DISK_SHARE {
        return Some(FileLimit::Disk);
    }
    (cpu >= CPU_SHARE).then_some(of_core)
}

/// One end of a file's transfer.
pub struct Telling {
    hosted: HostedFlow,
    seen: FileSeen,
    /// How its processes spent their time.
    pub load: Load,
    /// When its last byte passed.
    through: Option<RunTime>,
    told: bool,
}

impl Telling {
    /// Of a transfer that begins.
    pub fn new(hosted: &HostedFlow) -> Self {
        let end = match hosted.flow.role {
            Role::Source => FileEnd::Source,
            Role::Sink => FileEnd::Sink,
        };
        if end == FileEnd::Source {
            hosted.flow.meter.part_begins();
        }
        let seen = FileSeen {
            flow: hosted.flow.id,
            end,
            at: RunTime::default(),
            outcome: FileOutcome::GivenUp,
            bytes: 0,
            fault: None,
            why: String::new(),
            matches: None,
            limited_by: None,
            disk_share: None,
            cpu_share: None,
            congestion_control: None,
        };
        Self { hosted: hosted.clone(), seen, load: Load::default(), through: None, told: false }
    }

    /// What hinders it right now; told if nothing better is known at its end.
    pub fn note(&mut self, why: String) {
        self.seen.why = why;
    }

    /// What the kernel told of its connection.
    pub fn note_congestion_control(&mut self, name: Option<String>) {
        self.seen.congestion_control = name.or_else(|| self.seen.congestion_control.take());
    }

    /// How its thread spent its time, where no process carries it.
    pub fn spent(&mut self, disk: f32, cpu: f32) {
        (self.seen.disk_share, self.seen.cpu_share) = (Some(disk), Some(cpu));
        self.seen.limited_by = limit(disk, cpu, FileLimit::Cpu);
    }

    /// All of it has just passed; that it is over is told once its processes have ended.
    pub fn is_through(&mut self) {
        let now = self.hosted.shared.run_now();
        self.through.get_or_insert(now);
    }

    /// All of the file has passed.
    pub fn complete(&mut self) {
        self.seen.why = String::new();
        self.tell(FileOutcome::Complete);
    }

    /// What lies on disk was compared with what was sent.
    pub fn compared(&mut self, difference: Option<Difference>) {
        self.seen.matches = Some(difference.is_none());
        if let Some(found) = difference {
            self.seen.why = format!("{} bytes on disk are not what was sent", found.bytes);
            Differences::default().tell(found, self.seen.flow, 0, &self.hosted.shared);
        }
        self.hosted.shared.tell(Body::File(Box::new(self.seen.clone())));
    }

    /// Something other than the network ended it.
    pub fn failed(&mut self, (fault, why): Fault) {
        tracing::warn!(flow = self.seen.flow, why, "a file's transfer failed");
        (self.seen.fault, self.seen.why) = (Some(fault), why);
        self.tell(FileOutcome::Failed);
    }

    fn tell(&mut self, outcome: FileOutcome) {
        let meter = &self.hosted.flow.meter;
        self.seen.bytes = match self.seen.end {
            FileEnd::Source => meter.sent.load(Ordering::Relaxed),
            FileEnd::Sink => meter.received(),
        };
        if let Some((disk, cpu)) = self.load.shares() {
            (self.seen.disk_share, self.seen.cpu_share) = (Some(disk), Some(cpu));
            self.seen.limited_by = limit(disk, cpu, FileLimit::Cipher);
        }
        (self.seen.outcome, self.seen.at) = (outcome, self.hosted.shared.run_now());
        if let Some(through) = self.through.filter(|_| outcome == FileOutcome::Complete) {
            self.seen.at = through;
        }
        self.hosted.shared.tell(Body::File(Box::new(self.seen.clone())));
        self.told = true;
    }
}

impl Drop for Telling {
    fn drop(&mut self) {
        if !self.told {
            self.tell(FileOutcome::GivenUp);
        }
        if self.seen.end == FileEnd::Source {
            self.hosted.flow.meter.part_ends(self.seen.flow, &self.hosted.shared);
        }
    }
}

/// A stop that reaches threads: set when its owner is dropped.
#[derive(Debug, Default)]
pub struct StopOnDrop(pub Arc<std::sync::atomic::AtomicBool>);

impl Drop for StopOnDrop {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Compares a received file off the runtime's thread, and tells.
pub async fn compare(telling: &mut Telling, path: std::path::PathBuf, bytes: u64) {
    let (stop, payload) = (StopOnDrop::default(), Arc::clone(&telling.hosted.payload));
    let stopped = Arc::clone(&stop.0);
    let compared = tokio::task::spawn_blocking(move || {
        super::compare::first_difference(&path, &payload, bytes, &|| stopped.load(Ordering::Relaxed))
    });
    match compared.await {
        Ok(Ok(difference)) => telling.compared(difference),
        Ok(Err(error)) => tracing::warn!(%error, "a received file was not compared"),
        Err(error) => tracing::error!(%error, "comparing a received file broke"),
    }
}

/// A fault in its own words.
pub fn fault(fault: FileFault, why: impl Into<String>) -> Fault {
    (fault, why.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_disk_comes_before_the_cipher_and_neither_is_made_up() {
        assert_eq!(limit(0.6, 0.95, FileLimit::Cipher), Some(FileLimit::Disk));
        assert_eq!(limit(0.1, 0.95, FileLimit::Cipher), Some(FileLimit::Cipher));
        assert_eq!(limit(0.1, 0.95, FileLimit::Cpu), Some(FileLimit::Cpu));
        assert_eq!(limit(0.1, 0.5, FileLimit::Cipher), None);
    }

    #[test]
    fn a_process_that_spins_is_seen_to_use_a_core() {
        let mut child =
            std::process::Command::new("sh").args(["-c", "while :; do :; done"]).spawn().expect("sh");
        let mut load = Load::default();
        load.look(child.id());
        let limit = Instant::now() + Duration::from_secs(20);
        while load.shares().is_none_or(|(_, cpu)| cpu < CPU_SHARE) && Instant::now() < limit {
            std::thread::sleep(Duration::from_millis(50));
            load.look(child.id());
        }
        child.kill().expect("it can be killed");
        child.wait().expect("it ends");
        let (disk, cpu) = load.shares().expect("long enough");
        assert!(disk < DISK_SHARE && cpu >= CPU_SHARE, "{disk} {cpu}");
    }
}
