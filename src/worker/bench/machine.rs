//! What the machine is, how its cores stand to each other now, and who else used them.

use std::{
    sync::atomic::{AtomicU32, Ordering},
    time::{Duration, Instant},
};

use serde::{Deserialize, Serialize};

use super::error::BenchError;
use crate::sys::process::confine;

/// A virtual machine's host moves its cores between neighbours and strangers (32 and 180 ns
/// as measured), which halves and doubles any copy across them; so long is looked.
const PROBE: Duration = Duration::from_millis(20);

/// Turns between two looks at the clock.
const PROBE_TURNS: u32 = 256;

/// What a result must name to be compared.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Machine {
    /// The processor's name.
    pub cpu: String,
    /// Cores.
    pub cores: usize,
    /// The kernel's release.
    pub kernel: String,
}

impl Machine {
    /// This one.
    pub(crate) fn read() -> Self {
        let info = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let named = info.lines().find_map(|line| Some(line.strip_prefix("model name")?.split_once(':')?.1));
        Self {
            cpu: named.map_or_else(
                || "unread: /proc/cpuinfo names no model".to_owned(),
                |name| name.trim().to_owned(),
            ),
            cores: std::thread::available_parallelism().map_or(1, usize::from),
            kernel: rustix::system::uname().release().to_string_lossy().into_owned(),
        }
    }
}

/// Half a round trip of one cache line between the first two of `cores`, nanoseconds; the
/// best of the probe's batches. `None` where there is one core.
pub(super) fn core_to_core_ns(cores: &[usize]) -> Option<f64> {
    let [first, second, ..] = *cores else { return None };
    let (line, over) = (AtomicU32::new(0), AtomicU32::new(0));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            // Unconfined it measures less exactly; that is all.
            let _ = confine(None, &[second]);
            while over.load(Ordering::Relaxed) == 0 {
                let seen = line.load(Ordering::Acquire);
                if seen % 2 == 1 {
                    line.store(seen.wrapping_add(1), Ordering::Release);
                }
                std::hint::spin_loop();
            }
        });
        let best = scope
            .spawn(|| {
                let _ = confine(None, &[first]);
                let best = best_turn(&line);
                over.store(1, Ordering::Relaxed);
                best
            })
            .join();
        best.ok().filter(|best| best.is_finite())
    })
}

fn best_turn(line: &AtomicU32) -> f64 {
    let (end, mut best) = (Instant::now() + PROBE, f64::INFINITY);
    while Instant::now() < end {
        let began = Instant::now();
        let mut turns = 0;
        // Bounded by the clock also where the other side gets no core.
        while turns < PROBE_TURNS && Instant::now() < end {
            let next = line.load(Ordering::Relaxed).wrapping_add(1);
            line.store(next, Ordering::Release);
            let mut spins = 0;
            while line.load(Ordering::Acquire) == next && (spins < 100_000 || Instant::now() < end) {
                spins += 1;
                std::hint::spin_loop();
            }
            if line.load(Ordering::Acquire) == next {
                return best;
            }
            turns += 1;
        }
        if turns == PROBE_TURNS {
            best = best.min(began.elapsed().as_nanos() as f64 / f64::from(turns) / 2.0);
        }
    }
    best
}

/// Time that all cores were busy since boot, seconds.
pub(super) fn busy_s() -> Result<f64, BenchError> {
    let text = std::fs::read_to_string("/proc/stat").map_err(BenchError::io("reading /proc/stat"))?;
    let ticks = parse_busy(&text).ok_or_else(|| BenchError::Output {
        program: "/proc/stat",
        missing: "line of all cores".to_owned(),
        output: text.chars().take(200).collect(),
    })?;
    Ok(ticks as f64 / rustix::param::clock_ticks_per_second() as f64)
}

/// Ticks of `/proc/stat`'s first line other than idle and waiting; stolen ones count.
fn parse_busy(text: &str) -> Option<u64> {
    let line = text.lines().next()?.strip_prefix("cpu ")?;
    let ticks: Vec<u64> = line.split_whitespace().map_while(|word| word.parse().ok()).collect();
    // user nice system idle iowait irq softirq steal; guests are in user already.
    let busy = [0, 1, 2, 5, 6, 7];
    busy.iter().try_fold(0u64, |sum, at| sum.checked_add(*ticks.get(*at)?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn busy_ticks_leave_out_idle_and_waiting() {
        assert_eq!(parse_busy("cpu  1 2 4 1000 2000 8 16 32 5 5\ncpu0 1\n"), Some(63));
        assert_eq!(parse_busy("cpu  1 2 4"), None);
        assert_eq!(parse_busy(""), None);
    }

    #[test]
    fn two_cores_answer_each_other_within_a_millisecond() {
        let cores = crate::sys::process::cores().unwrap();
        if let [_, _, ..] = cores[..] {
            let latency = core_to_core_ns(&cores).expect("two cores");
            assert!(latency > 1.0 && latency < 1e6, "{latency}");
        }
        assert_eq!(core_to_core_ns(&[0]), None);
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in ".*") {
            let _ = parse_busy(&text);
        }
    }
}
