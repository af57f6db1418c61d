//! Child processes that are reaped with what they cost, and the cores that threads may use.

use std::{
    io,
    os::unix::process::ExitStatusExt as _,
    process::{Child, ExitStatus},
    time::{Duration, Instant},
};

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    process::{Pid, PidfdFlags, pidfd_open},
    thread::{CpuSet, sched_getaffinity, sched_setaffinity},
};

/// How a process ended, and what it cost.
#[derive(Clone, Copy, Debug)]
pub struct Reaped {
    /// How it ended.
    pub status: ExitStatus,
    /// Time on a core, its own and in the kernel, of it and of the children that it reaped.
    pub cpu: Duration,
}

/// Waits until `child` ends, at most until `deadline`; `None` when it still runs then.
///
/// Reaps it: `child` must not be waited for again.
pub fn reap_until(child: &Child, deadline: Instant) -> io::Result<Option<Reaped>> {
    let pid = Pid::from_child(child);
    let pidfd = pidfd_open(pid, PidfdFlags::empty())?;
    loop {
        if let Some(reaped) = reap(pid)? {
            return Ok(Some(reaped));
        }
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(None);
        }
        let left = Timespec { tv_sec: left.as_secs() as i64, tv_nsec: i64::from(left.subsec_nanos()) };
        match poll(&mut [PollFd::new(&pidfd, PollFlags::IN)], Some(&left)) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

fn reap(pid: Pid) -> io::Result<Option<Reaped>> {
    let mut status = 0;
    let mut usage = std::mem::MaybeUninit::<libc::rusage>::zeroed();
    // SAFETY: both places are of the types that `wait4` fills and outlive the call.
    let answer = unsafe {
        libc::wait4(pid.as_raw_nonzero().get(), &raw mut status, libc::WNOHANG, usage.as_mut_ptr())
    };
    match answer {
        0 => Ok(None),
        -1 => Err(io::Error::last_os_error()),
        _ => {
            // SAFETY: all zero is a valid `rusage`, and the kernel has filled it.
            let usage = unsafe { usage.assume_init() };
            let cpu = length(usage.ru_utime) + length(usage.ru_stime);
            Ok(Some(Reaped { status: ExitStatus::from_raw(status), cpu }))
        }
    }
}

fn length(time: libc::timeval) -> Duration {
    Duration::from_secs(time.tv_sec as u64) + Duration::from_micros(time.tv_usec as u64)
}

/// The cores that the calling thread may use.
pub fn cores() -> io::Result<Vec<usize>> {
    let set = sched_getaffinity(None)?;
    Ok((0..CpuSet::MAX_CPU).filter(|core| set.is_set(*core)).collect())
}

/// Confines a thread (the calling one where none is named) to `cores`; threads and processes
/// that it then makes inherit that.
pub fn confine(thread: Option<u32>, cores: &[usize]) -> io::Result<()> {
    let mut set = CpuSet::new();
    for core in cores.iter().filter(|core| **core < CpuSet::MAX_CPU) {
        set.set(*core);
    }
    let thread = thread.and_then(|id| Pid::from_raw(id.cast_signed()));
    Ok(sched_setaffinity(thread, &set)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    #[test]
    fn a_child_is_reaped_with_its_cost() {
        let count = "i=0; while [ $i -lt 200000 ]; do i=$((i+1)); done; exit 3";
        let mut child = Command::new("sh").args(["-c", count]).spawn().expect("sh is there");
        let deadline = Instant::now() + Duration::from_secs(60);
        let reaped = reap_until(&child, deadline).expect("waited").expect("it ended");
        assert_eq!(reaped.status.code(), Some(3));
        assert!(child.wait().is_err(), "there is nothing left to wait for");
        assert!(reaped.cpu > Duration::ZERO);
    }

    #[test]
    fn a_child_that_runs_on_is_told_at_the_deadline() {
        let mut child = Command::new("sleep").arg("60").spawn().expect("sleep is there");
        let deadline = Instant::now() + Duration::from_millis(20);
        assert!(reap_until(&child, deadline).expect("waited").is_none());
        child.kill().expect("it is ours");
        child.wait().expect("it ended");
    }
}
