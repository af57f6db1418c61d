//! What a file system is asked for: private files and folders, room, and that they are gone again.

use std::{
    fs::{self, DirBuilder, File},
    io,
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::Path,
    thread,
    time::Duration,
};

use rustix::fs::{FallocateFlags, FlockOperation, fallocate, flock, statvfs};

use crate::model::record::file::FileFault;

/// A folder that something still writes to is tried again so often.
const REMOVE_TRIES: u32 = 10;
const REMOVE_AGAIN: Duration = Duration::from_millis(20);

/// A file that only its owner can read, empty.
pub fn create(path: &Path) -> io::Result<File> {
    File::options().read(true).write(true).create(true).truncate(true).mode(0o600).open(path)
}

/// Takes the space of a file before it is written, where the file system can.
pub fn reserve(file: &File, bytes: u64) -> io::Result<()> {
    match fallocate(file, FallocateFlags::empty(), 0, bytes) {
        Err(rustix::io::Errno::OPNOTSUPP | rustix::io::Errno::NOSYS) => Ok(()),
        other => Ok(other?),
    }
}

/// What a file system's refusal means.
pub fn fault_of(error: &io::Error) -> FileFault {
    match error.raw_os_error() {
        Some(libc::ENOSPC | libc::EDQUOT) => FileFault::DiskFull,
        _ => FileFault::Disk,
    }
}

/// Bytes that this user may still write in the file system of `path`.
pub fn free_bytes(path: &Path) -> io::Result<u64> {
    let seen = statvfs(path)?;
    Ok(seen.f_bavail.saturating_mul(seen.f_frsize))
}

pub(super) fn private(path: &Path) -> io::Result<()> {
    DirBuilder::new().mode(0o700).create(path)
}

/// Removes a folder with all that is in it. A process that was just killed may still add to
/// it for a moment.
pub(super) fn remove(path: &Path) {
    for attempt in 1..=REMOVE_TRIES {
        match fs::remove_dir_all(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                if attempt == REMOVE_TRIES {
                    tracing::warn!(%error, path = %path.display(), "files are left for the next worker to remove");
                }
                thread::sleep(REMOVE_AGAIN);
            }
            _ => return,
        }
    }
}

/// Removes the folders of processes that are gone: nobody holds their lock.
pub(super) fn remove_stale(spool: &Path) {
    let Ok(entries) = fs::read_dir(spool) else { return };
    for entry in entries.flatten() {
        let is_ours = entry.file_name().to_str().is_some_and(|name| name.starts_with(super::PREFIX));
        if !is_ours || !entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            continue;
        }
        let free = File::open(entry.path())
            .is_ok_and(|folder| flock(&folder, FlockOperation::NonBlockingLockExclusive).is_ok());
        if free {
            tracing::info!(path = %entry.path().display(), "removing what a killed worker has left");
            remove(&entry.path());
        }
    }
}
