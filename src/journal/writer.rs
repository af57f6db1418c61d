//! The writer of a record: append only, and honest about what has reached the disk.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, BufWriter, Write},
    path::{Path, PathBuf},
};

use super::{JournalError, sync_folder_of};

/// A record longer than this is packed when it is finished: 64 hosts over an hour come to
/// about this much, and beyond it a record no longer passes through mail and tickets.
const PACK_ABOVE_BYTES: u64 = 256 * 1_000_000;

/// The packer's level: its default; higher ones take a minute for a few per cent.
const PACK_LEVEL: i32 = 3;

/// Bytes gathered before a write: one group commit of a small fleet.
const BUFFER_BYTES: usize = 64 * 1024;

/// Appends lines to a record; nothing is acknowledged before `sync`.
///
/// After the first failure every later call errs. A kernel that failed to write a page
/// may drop it and report the next sync as good, so trying again would acknowledge
/// lines that are gone.
pub struct Writer {
    path: PathBuf,
    file: BufWriter<File>,
    failed: Option<String>,
}

impl Writer {
    /// Creates the file, which must not exist, and makes its name lasting.
    pub fn create(path: &Path) -> Result<Self, JournalError> {
        let file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .open(path)
            .map_err(JournalError::io("create", path))?;
        sync_folder_of(path)?;
        Ok(Self { path: path.to_owned(), file: BufWriter::with_capacity(BUFFER_BYTES, file), failed: None })
    }

    /// Adds one line, without its newline. It may still be in memory until [`Self::sync`].
    pub fn append(&mut self, line: &str) -> Result<(), JournalError> {
        if line.contains('\n') {
            return Err(JournalError::NotOneLine { path: self.path.clone() });
        }
        self.attempt("append to", |file| {
            file.write_all(line.as_bytes())?;
            file.write_all(b"\n")
        })
    }

    /// Flush and fdatasync; after one failure the writer is dead and says so for ever.
    pub fn sync(&mut self) -> Result<(), JournalError> {
        self.attempt("sync", |file| {
            file.flush()?;
            file.get_ref().sync_data()
        })
    }

    /// Sync, close, and compress to `.zst` above 256 MB; the final path.
    ///
    /// A record that cannot be packed stays as it is, whole and readable.
    pub fn finish(self) -> Result<PathBuf, JournalError> {
        self.finish_packing_above(PACK_ABOVE_BYTES)
    }

    fn finish_packing_above(mut self, limit_bytes: u64) -> Result<PathBuf, JournalError> {
        self.sync()?;
        let bytes = self.file.get_ref().metadata().map_err(JournalError::io("look at", &self.path))?.len();
        if bytes <= limit_bytes {
            return Ok(self.path.clone());
        }
        Ok(match pack(&self.path) {
            Ok(packed) => packed,
            Err(why) => {
                tracing::warn!("the record stays unpacked: {why}");
                self.path.clone()
            }
        })
    }

    /// Runs one operation on the file, unless one has failed before.
    fn attempt(
        &mut self,
        doing: &'static str,
        operation: impl FnOnce(&mut BufWriter<File>) -> io::Result<()>,
    ) -> Result<(), JournalError> {
        if let Some(why) = &self.failed {
            return Err(JournalError::Failed { path: self.path.clone(), why: why.clone() });
        }
        operation(&mut self.file).map_err(|source| {
            self.failed = Some(format!("cannot {doing} it: {source}"));
            JournalError::Io { doing, path: self.path.clone(), source }
        })
    }
}

/// Packs a file beside itself and removes it. The packed file gets its name only when it is
/// whole and on disk, so that at every moment one of the two is complete.
fn pack(path: &Path) -> Result<PathBuf, JournalError> {
    let mut name = path.as_os_str().to_owned();
    name.push(".zst");
    let packed = PathBuf::from(&name);
    name.push(".part");
    let part = PathBuf::from(name);

    let written = write_packed(path, &part).and_then(|()| fs::rename(&part, &packed));
    if let Err(source) = written {
        // The part is worthless; if it cannot be removed either, the cause is the same.
        let _ = fs::remove_file(&part);
        return Err(JournalError::Io { doing: "pack", path: path.to_owned(), source });
    }
    sync_folder_of(&packed)?;
    fs::remove_file(path).map_err(JournalError::io("remove", path))?;
    Ok(packed)
}

fn write_packed(path: &Path, part: &Path) -> io::Result<()> {
    let mut plain = File::open(path)?;
    let mut encoder = zstd::Encoder::new(File::create(part)?, PACK_LEVEL)?;
    encoder.include_checksum(true)?;
    io::copy(&mut plain, &mut encoder)?;
    encoder.finish()?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::{find_record, read_lines};

    #[test]
    fn what_is_synced_can_be_read_while_the_writer_lives() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("record.jsonl");
        let mut writer = Writer::create(&path).unwrap();
        writer.append("one").unwrap();
        assert_eq!(read_lines(&path).unwrap(), Vec::<String>::new());
        writer.sync().unwrap();
        writer.append("two").unwrap();
        assert_eq!(read_lines(&path).unwrap(), ["one"]);
        assert_eq!(writer.finish().unwrap(), path);
        assert_eq!(read_lines(&path).unwrap(), ["one", "two"]);
    }

    #[test]
    fn a_long_record_is_packed_and_found_and_read_the_same() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("record.jsonl");
        let mut writer = Writer::create(&path).unwrap();
        let lines: Vec<String> = (0..1000).map(|number| format!("line {number}")).collect();
        for line in &lines {
            writer.append(line).unwrap();
        }
        let packed = writer.finish_packing_above(4096).unwrap();
        assert_eq!(packed, dir.path().join("record.jsonl.zst"));
        assert_eq!(find_record(dir.path()).unwrap(), packed);
        assert_eq!(read_lines(&packed).unwrap(), lines);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn an_existing_record_is_never_written_over() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("record.jsonl");
        fs::write(&path, "old\n").unwrap();
        assert!(matches!(Writer::create(&path), Err(JournalError::Io { doing: "create", .. })));
        assert_eq!(fs::read_to_string(&path).unwrap(), "old\n");
    }

    #[test]
    fn after_one_failure_nothing_is_acknowledged_again() {
        // /dev/full takes no byte: the buffer fills in memory and the flush fails.
        let file = OpenOptions::new().write(true).open("/dev/full").unwrap();
        let mut writer = Writer { path: "/dev/full".into(), file: BufWriter::new(file), failed: None };
        writer.append("one").unwrap();
        assert!(matches!(writer.sync(), Err(JournalError::Io { doing: "sync", .. })));
        assert!(matches!(writer.append("two"), Err(JournalError::Failed { .. })));
        assert!(matches!(writer.sync(), Err(JournalError::Failed { .. })));
        assert!(matches!(writer.finish(), Err(JournalError::Failed { .. })));
    }

    #[test]
    fn a_line_with_a_newline_is_refused_and_the_writer_lives_on() {
        let dir = tempfile::tempdir().unwrap();
        let mut writer = Writer::create(&dir.path().join("r")).unwrap();
        assert!(matches!(writer.append("a\nb"), Err(JournalError::NotOneLine { .. })));
        writer.append("ab").unwrap();
        writer.sync().unwrap();
    }
}
