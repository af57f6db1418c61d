//! The worker's own clock: monotonic, and counting while the machine sleeps.

use rustix::time::{ClockId, clock_gettime};

/// Microseconds since boot (`CLOCK_BOOTTIME`).
pub fn now_us() -> u64 {
    let now = clock_gettime(ClockId::Boottime);
    now.tv_sec as u64 * 1_000_000 + now.tv_nsec as u64 / 1000
}
