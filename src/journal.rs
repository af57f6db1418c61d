//! Files of lines: appended, synced, spooled, read back after any kind of end.
//!
//! Knows lines, not what they say: a line's text and checksum are `model::record`'s. Whoever
//! acknowledges a line must have seen [`Writer::sync`] succeed after it was appended.

mod reader;
mod spool;
mod writer;

use std::{
    fs::File,
    io,
    path::{Path, PathBuf},
};

pub use reader::{each_line, find_record, read_lines};
pub use spool::Spool;
pub use writer::Writer;

/// Why a file of lines could not be written or read.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// The system refused.
    #[error("cannot {doing} {}: {source}{}", path.display(), way_out(source))]
    Io {
        /// What was being done, for example `create`.
        doing: &'static str,
        /// To which file or folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// An earlier write or sync failed; what is on disk since then is unknown.
    #[error("{} has failed before ({why}); nothing after that is safe, so nothing more is written", path.display())]
    Failed {
        /// Which file.
        path: PathBuf,
        /// The first failure.
        why: String,
    },
    /// A line with a newline inside would be two.
    #[error("a line for {} holds a newline", path.display())]
    NotOneLine {
        /// Which file.
        path: PathBuf,
    },
    /// A spool is at its limit.
    #[error(
        "the spool {} holds {bytes} bytes and may hold {max}; nothing unacknowledged is dropped for a newer line",
        path.display()
    )]
    Full {
        /// Which file.
        path: PathBuf,
        /// How much it holds.
        bytes: u64,
        /// How much it may hold.
        max: u64,
    },
    /// Lines of a spool come in order.
    #[error("line {seq} for the spool {} comes after line {last}", path.display())]
    OutOfOrder {
        /// Which file.
        path: PathBuf,
        /// The number that came.
        seq: u64,
        /// The highest before it.
        last: u64,
    },
    /// A file too large to be read whole.
    #[error("{} unpacks to more than {max} bytes; it is no record of this program", path.display())]
    TooLarge {
        /// Which file.
        path: PathBuf,
        /// The limit.
        max: u64,
    },
    /// A run's folder without a record.
    #[error("{} holds neither record.jsonl nor record.jsonl.zst; give the folder of a run", path.display())]
    NoRecord {
        /// Which folder.
        path: PathBuf,
    },
}

impl JournalError {
    /// For `map_err`: what was being done to what.
    fn io<'a>(doing: &'static str, path: &'a Path) -> impl FnOnce(io::Error) -> Self + use<'a> {
        move |source| Self::Io { doing, path: path.to_owned(), source }
    }
}

/// What a person can do about the common refusals.
fn way_out(source: &io::Error) -> &'static str {
    match source.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            "; free some space or give another folder"
        }
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
            "; give a folder that can be written"
        }
        _ => "",
    }
}

/// Makes a file's name as lasting as its content: a new file whose folder is not synced may
/// be gone after a power loss, synced bytes and all.
fn sync_folder_of(path: &Path) -> Result<(), JournalError> {
    let folder = match path.parent() {
        Some(folder) if folder != Path::new("") => folder,
        _ => Path::new("."),
    };
    File::open(folder).and_then(|open| open.sync_all()).map_err(JournalError::io("sync the folder", folder))
}
