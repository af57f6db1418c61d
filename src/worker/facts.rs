//! The host, as its worker samples it: link, carriers' CPU, lateness.
//!
//! What cannot be read is told as unread, with the reason, never as zero.

use std::{
    collections::BTreeMap,
    fs,
    sync::{Arc, PoisonError},
};

use super::transfer::Shared;
use crate::{
    model::record::line::{HostSeen, LinkSeen},
    sys::{clock, link::LinkReader},
};

/// Samples one host.
pub struct Sampler {
    shared: Arc<Shared>,
    reader: LinkReader,
    threads: BTreeMap<u32, (u64, u64)>,
    cpu: Option<(u64, u64, u64)>,
    last_link: Option<LinkSeen>,
    at_us: u64,
}

impl Sampler {
    /// For the interface that this reader asks for.
    pub fn new(shared: Arc<Shared>, reader: LinkReader) -> Self {
        Self { shared, reader, threads: BTreeMap::new(), cpu: None, last_link: None, at_us: clock::now_us() }
    }

    /// Whether the carrier has changed since the last look.
    pub fn carrier_changed(&mut self) -> bool {
        let Ok(link) = self.reader.read() else { return false };
        let changed = self
            .last_link
            .is_some_and(|last| last.carrier != link.carrier || last.carrier_down != link.carrier_down);
        self.last_link = Some(link);
        changed
    }

    /// Everything, over the time since the last call.
    pub fn sample(&mut self) -> HostSeen {
        let mut seen = HostSeen::default();
        let now_us = clock::now_us();
        let elapsed_us = now_us.saturating_sub(std::mem::replace(&mut self.at_us, now_us)).max(1);
        match self.reader.read() {
            Ok(link) => {
                self.last_link = Some(link);
                seen.link = Some(link);
            }
            Err(error) => {
                seen.unread.insert("link".to_owned(), error.to_string());
            }
        }
        let mut lateness = self.shared.lateness.lock().unwrap_or_else(PoisonError::into_inner);
        if !lateness.is_empty() {
            seen.late_us = Some((lateness.value_at_quantile(0.99), lateness.max()));
            lateness.reset();
        }
        drop(lateness);
        match self.threads(elapsed_us) {
            Ok(threads) => seen.threads = threads,
            Err(why) => {
                seen.unread.insert("threads".to_owned(), why);
            }
        }
        match self.cpu() {
            Ok(cpu) => seen.cpu = cpu,
            Err(why) => {
                seen.unread.insert("cpu".to_owned(), why);
            }
        }
        seen
    }

    /// Of the carriers, the largest share of a core used and of time spent waiting for one.
    fn threads(&mut self, elapsed_us: u64) -> Result<Option<(f32, f32)>, String> {
        let ids = self.shared.threads.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let mut most: Option<(f32, f32)> = None;
        for id in ids {
            let path = format!("/proc/self/task/{id}/schedstat");
            let text = fs::read_to_string(&path).map_err(|error| format!("cannot read {path}: {error}"))?;
            let (ran_ns, waited_ns) =
                schedstat(&text).ok_or_else(|| format!("cannot understand {path}: {text:?}"))?;
            if let Some((ran_before, waited_before)) = self.threads.insert(id, (ran_ns, waited_ns)) {
                let share = |ns: u64| ns as f32 / (elapsed_us as f32 * 1000.0);
                let (ran, waited) = (
                    share(ran_ns.saturating_sub(ran_before)),
                    share(waited_ns.saturating_sub(waited_before)),
                );
                most = Some(most.map_or((ran, waited), |(a, b)| (a.max(ran), b.max(waited))));
            }
        }
        Ok(most)
    }

    /// Shares of all cores' time that were busy, and stolen.
    fn cpu(&mut self) -> Result<Option<(f32, f32)>, String> {
        let text =
            fs::read_to_string("/proc/stat").map_err(|error| format!("cannot read /proc/stat: {error}"))?;
        let now = cpu_times(&text).ok_or_else(|| "cannot understand /proc/stat".to_owned())?;
        let before = self.cpu.replace(now);
        Ok(before.and_then(|before| {
            let all = now.0.checked_sub(before.0).filter(|all| *all > 0)? as f32;
            let idle = now.1.saturating_sub(before.1) as f32;
            let stolen = now.2.saturating_sub(before.2) as f32;
            Some(((1.0 - idle / all).clamp(0.0, 1.0), (stolen / all).clamp(0.0, 1.0)))
        }))
    }
}

/// Time run and time waited, nanoseconds (`Documentation/scheduler/sched-stats.rst`).
fn schedstat(text: &str) -> Option<(u64, u64)> {
    let mut fields = text.split_whitespace();
    Some((fields.next()?.parse().ok()?, fields.next()?.parse().ok()?))
}

/// All, idle (with iowait) and stolen ticks of all cores (`proc_stat(5)`).
fn cpu_times(text: &str) -> Option<(u64, u64, u64)> {
    let line = text.lines().find_map(|line| line.strip_prefix("cpu "))?;
    let ticks: Vec<u64> = line.split_whitespace().map(str::parse).collect::<Result<_, _>>().ok()?;
    // user nice system idle iowait irq softirq steal; guest time is within user.
    Some((ticks.get(..8)?.iter().sum(), ticks.get(3)? + ticks.get(4)?, *ticks.get(7)?))
}

/// The kernel's boot id; empty where it cannot be read.
pub fn boot_id() -> String {
    fs::read_to_string("/proc/sys/kernel/random/boot_id").map(|id| id.trim().to_owned()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernel_s_text_is_understood_and_what_is_cut_is_not_zero() {
        let text = "cpu  10 0 5 80 5 0 1 2 0 0\ncpu0 10 0 5 80 5 0 1 2 0 0\n";
        assert_eq!(cpu_times(text), Some((103, 85, 2)));
        assert_eq!(cpu_times("cpu  10 0 5\n"), None);
        assert_eq!(schedstat("123 456 7\n"), Some((123, 456)));
        assert_eq!(schedstat("123\n"), None);
        assert!(cpu_times(&fs::read_to_string("/proc/stat").expect("Linux")).is_some());
    }
}
