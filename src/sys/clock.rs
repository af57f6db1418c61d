//! The worker's own clock: monotonic, and counting while the machine sleeps; and whether
//! the wall clock is synchronised.

use std::io;

use rustix::time::{ClockId, clock_gettime};

/// Microseconds since boot (`CLOCK_BOOTTIME`).
pub fn now_us() -> u64 {
    let now = clock_gettime(ClockId::Boottime);
    now.tv_sec as u64 * 1_000_000 + now.tv_nsec as u64 / 1000
}

/// Whether the kernel takes the wall clock for synchronised (`adjtimex`, which changes
/// nothing when no mode is given).
///
/// # Errors
///
/// If the kernel refuses to tell.
pub fn is_synchronised() -> io::Result<bool> {
    // SAFETY: all-zero bytes are a valid timex that asks for no change.
    let mut timex: libc::timex = unsafe { std::mem::zeroed() };
    // SAFETY: the kernel fills `timex`, which outlives the call.
    let state = unsafe { libc::adjtimex(&raw mut timex) };
    if state < 0 { Err(io::Error::last_os_error()) } else { Ok(state != libc::TIME_ERROR) }
}
