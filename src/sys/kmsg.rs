//! The kernel's log as it grows: `/dev/kmsg`, from now on, without waiting.
//!
//! What its lines mean is `model::record::kernel_log`'s work. The kernel stamps its lines by
//! a clock of its own, which nobody disciplines: over days it is off by seconds. So a stamp
//! only places a line between two readings of the worker's clock, before and after it came.

use std::{io, path::Path};

use rustix::{
    fd::OwnedFd,
    fs::{Mode, OFlags, SeekFrom},
    io::Errno,
};

use super::clock;
use crate::model::record::kernel_log::{self, KmsgRecord};

/// Where the kernel hands out its log.
pub const DEVICE: &str = "/dev/kmsg";

/// The longest record that the kernel writes (`PRINTKRB_RECORD_MAX` and before it
/// `CONSOLE_EXT_LOG_MAX`, 8 KiB); a smaller buffer makes a read fail.
const RECORD_MAX_BYTES: usize = 8192;

/// Records read at one look; the kernel keeps what is left until the next.
const RECORDS_PER_LOOK: usize = 256;

/// Reads what is written to the kernel's log from the moment it is opened.
pub struct Kmsg {
    fd: OwnedFd,
    /// All that was written before this was read, worker's clock.
    read_until_us: u64,
    next_seq: Option<u64>,
    lost: u64,
}

/// Why the log cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum KmsgOpenError {
    /// It needs a right that this process has not.
    #[error(
        "reading {DEVICE} is not permitted; allow it with `sysctl kernel.dmesg_restrict=0`, or give the worker CAP_SYSLOG"
    )]
    NotPermitted,
    /// There is none here, as in most containers.
    #[error("there is no {DEVICE} here; run the worker outside its container, or hand the device in")]
    Absent,
    /// Something else.
    #[error("cannot read {DEVICE}: {0}")]
    Io(#[source] io::Error),
}

impl From<Errno> for KmsgOpenError {
    fn from(error: Errno) -> Self {
        match error {
            Errno::PERM | Errno::ACCESS => Self::NotPermitted,
            Errno::NOENT | Errno::NXIO | Errno::NODEV => Self::Absent,
            other => Self::Io(other.into()),
        }
    }
}

impl Kmsg {
    /// Opens the log and passes over what is in it.
    pub fn open(path: &Path) -> Result<Self, KmsgOpenError> {
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let fd = rustix::fs::open(path, flags, Mode::empty())?;
        // Before the seek: a line in between is then placed too early by no more than that.
        let read_until_us = clock::now_us();
        rustix::fs::seek(&fd, SeekFrom::End(0))?;
        Ok(Self { fd, read_until_us, next_seq: None, lost: 0 })
    }

    /// The records that came since the last look, each with its moment by the worker's clock
    /// (microseconds, [`clock::now_us`]). Never waits.
    pub fn look(&mut self) -> io::Result<Vec<(u64, KmsgRecord)>> {
        let (mut came, mut all) = (Vec::new(), false);
        for _ in 0..RECORDS_PER_LOOK {
            match self.read_one()? {
                Read::Record(record) => came.push(record),
                Read::Passed => {}
                Read::Nothing => {
                    all = true;
                    break;
                }
            }
        }
        let now_us = clock::now_us();
        // Both clocks count microseconds since boot, give or take the kernel's drift.
        let placed = came.into_iter().map(|record| (self.place(record.at_us, now_us), record)).collect();
        if all {
            self.read_until_us = now_us;
        }
        Ok(placed)
    }

    /// Records that the kernel overwrote before they were read, or that were none, since
    /// this was last asked.
    pub fn take_lost(&mut self) -> u64 {
        std::mem::take(&mut self.lost)
    }

    fn place(&self, at_us: u64, now_us: u64) -> u64 {
        at_us.clamp(self.read_until_us.min(now_us), now_us)
    }

    fn read_one(&mut self) -> Result<Read, Errno> {
        let mut buffer = [0; RECORD_MAX_BYTES];
        match rustix::io::read(&self.fd, &mut buffer) {
            Ok(0) | Err(Errno::AGAIN) => Ok(Read::Nothing),
            // Overwritten before it was read: the next read goes on with the oldest there is.
            Err(Errno::PIPE | Errno::INTR) => Ok(Read::Passed),
            Err(Errno::INVAL) => {
                self.lost += 1;
                Ok(Read::Passed)
            }
            Err(error) => Err(error),
            Ok(length) => match kernel_log::parse(&buffer[..length]) {
                Ok(record) => {
                    let expected = self.next_seq.replace(record.seq + 1).unwrap_or(record.seq);
                    self.lost += record.seq.saturating_sub(expected);
                    Ok(Read::Record(record))
                }
                Err(error) => {
                    tracing::debug!(%error, "a record of the kernel's log was not understood");
                    self.lost += 1;
                    Ok(Read::Passed)
                }
            },
        }
    }
}

enum Read {
    Record(KmsgRecord),
    Passed,
    Nothing,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_that_is_not_there_says_so_and_how_to_get_it() {
        let Err(error) = Kmsg::open(Path::new("/nonexistent/kmsg")) else { panic!("there is none") };
        assert!(matches!(error, KmsgOpenError::Absent), "{error}");
        let text = KmsgOpenError::from(Errno::PERM).to_string();
        assert!(text.contains("dmesg_restrict=0") && text.contains("CAP_SYSLOG"), "{text}");
    }

    #[test]
    fn a_stamp_is_held_between_the_looks_around_it() {
        // A log of plain text: its lines are no records, and each is told as lost.
        let file = tempfile::NamedTempFile::new().expect("a file");
        let mut kmsg = Kmsg::open(file.path()).expect("opened");
        kmsg.read_until_us = 1_000;
        assert_eq!(kmsg.place(500, 2_000), 1_000, "the kernel's clock is behind");
        assert_eq!(kmsg.place(1_500, 2_000), 1_500);
        assert_eq!(kmsg.place(9_000, 2_000), 2_000, "the kernel's clock is ahead");
        std::fs::write(file.path(), "no record\n").expect("written");
        assert!(kmsg.look().expect("read").is_empty());
        assert_eq!(kmsg.take_lost(), 1);
        assert_eq!(kmsg.take_lost(), 0);
    }
}
