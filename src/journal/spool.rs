//! A worker's own lines, kept on disk until the coordinator has them.
//!
//! The control connection dies with the card under test, so the seconds that matter most
//! are the ones that only the spool holds. The process may die and the file stays; it is
//! not synced, because a host that loses power loses its testimony about its card anyway.

use std::{
    fs::{self, DirBuilder, File, OpenOptions},
    io,
    os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use super::JournalError;

/// How many earlier spools of one name may lie in a folder; nobody's testimony is written
/// over, and a worker restarted this often is not going to run.
const NAMESAKES_MAX: u32 = 100;

/// A worker's own file of lines, kept until they are acknowledged.
pub struct Spool {
    path: PathBuf,
    file: File,
    /// Each line's number and where it begins; ascending in both.
    index: Vec<(u64, u64)>,
    /// Where the next line will begin.
    end: u64,
    bytes_max: u64,
    failed: Option<String>,
}

impl Spool {
    /// `dir` is created 0700; bounded by `bytes_max` (beyond it the oldest *unsent* are never dropped: append errs).
    ///
    /// The file is `NAME.jsonl`, mode 0600, with `/` in the name as `_`; where one is there
    /// already, `NAME.2.jsonl` and so on.
    pub fn create(dir: &Path, name: &str, bytes_max: u64) -> Result<Self, JournalError> {
        DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(JournalError::io("create", dir))?;
        let stem = name.replace('/', "_");
        let mut path = dir.join(format!("{stem}.jsonl"));
        for number in 2..=NAMESAKES_MAX {
            match OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(&path) {
                Ok(file) => {
                    return Ok(Self { path, file, index: Vec::new(), end: 0, bytes_max, failed: None });
                }
                Err(there) if there.kind() == io::ErrorKind::AlreadyExists => {
                    path = dir.join(format!("{stem}.{number}.jsonl"));
                }
                Err(source) => return Err(JournalError::Io { doing: "create", path, source }),
            }
        }
        let source = io::ErrorKind::AlreadyExists.into();
        Err(JournalError::Io { doing: "create (too many spools of this name; remove some)", path, source })
    }

    /// Where it lies.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Adds one line, without its newline, under a number above all before it.
    ///
    /// A write that fails leaves no half line behind, so a full disk costs the lines that
    /// did not fit and no others.
    pub fn append(&mut self, seq: u64, line: &str) -> Result<(), JournalError> {
        if let Some(why) = &self.failed {
            return Err(JournalError::Failed { path: self.path.clone(), why: why.clone() });
        }
        if line.contains('\n') {
            return Err(JournalError::NotOneLine { path: self.path.clone() });
        }
        if seq <= self.last_seq() {
            return Err(JournalError::OutOfOrder { path: self.path.clone(), seq, last: self.last_seq() });
        }
        let length = line.len() as u64 + 1;
        if self.end + length > self.bytes_max {
            return Err(JournalError::Full { path: self.path.clone(), bytes: self.end, max: self.bytes_max });
        }
        let text = format!("{line}\n");
        if let Err(source) = self.file.write_all_at(text.as_bytes(), self.end) {
            if let Err(why) = self.file.set_len(self.end) {
                self.failed = Some(format!("half a line could not be taken back: {why}"));
            }
            return Err(JournalError::Io { doing: "append to", path: self.path.clone(), source });
        }
        self.index.push((seq, self.end));
        self.end += length;
        Ok(())
    }

    /// Lines after `seq`, at most `bytes_max` of text (a newline each included), in order.
    ///
    /// One line comes even if it is longer, lest the caller wait for ever for it to fit.
    pub fn after(&self, seq: u64, bytes_max: usize) -> Result<Vec<(u64, String)>, JournalError> {
        let first = self.index.partition_point(|(number, _)| *number <= seq);
        let Some(&(_, begin)) = self.index.get(first) else { return Ok(Vec::new()) };
        // Each line ends where the next begins.
        let ends = self.index[first + 1..].iter().map(|(_, offset)| *offset).chain([self.end]);
        let fitting = ends.take_while(|end| end - begin <= bytes_max as u64).count().max(1);
        let lines = &self.index[first..first + fitting];
        let end = self.index.get(first + fitting).map_or(self.end, |(_, offset)| *offset);

        let mut bytes = vec![0; usize::try_from(end - begin).unwrap_or(usize::MAX)];
        self.file.read_exact_at(&mut bytes, begin).map_err(JournalError::io("read", &self.path))?;
        let text = String::from_utf8_lossy(&bytes);
        Ok(lines.iter().map(|(number, _)| *number).zip(text.lines().map(str::to_owned)).collect())
    }

    /// The highest number so far; 0 before the first line.
    pub fn last_seq(&self) -> u64 {
        self.index.last().map_or(0, |(seq, _)| *seq)
    }

    /// Removes the file, once the coordinator has it all.
    pub fn remove(self) -> Result<(), JournalError> {
        fs::remove_file(&self.path).map_err(JournalError::io("remove", &self.path))
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::journal::read_lines;

    fn spool(dir: &Path) -> Spool {
        let mut spool = Spool::create(dir, "h3/eth1", 1000).unwrap();
        for seq in [1, 2, 5, 6] {
            spool.append(seq, &format!("line {seq}")).unwrap();
        }
        spool
    }

    #[test]
    fn lines_after_a_number_come_in_order_and_within_the_bound() {
        let dir = tempfile::tempdir().unwrap();
        let spool = spool(dir.path());
        let after = |seq, bytes| -> Vec<u64> {
            let lines = spool.after(seq, bytes).unwrap();
            assert!(lines.iter().all(|(seq, line)| *line == format!("line {seq}")));
            lines.into_iter().map(|(seq, _)| seq).collect()
        };
        assert_eq!(after(0, 1000), [1, 2, 5, 6]);
        assert_eq!(after(2, 1000), [5, 6]);
        assert_eq!(after(3, 1000), [5, 6]);
        assert_eq!(after(6, 1000), [0_u64; 0]);
        assert_eq!(after(0, 14), [1, 2]);
        assert_eq!(after(0, 13), [1]);
        assert_eq!(after(0, 1), [1], "a long line is not waited for");
    }

    #[test]
    fn the_file_outlives_the_spool_and_is_nobody_elses() {
        let dir = tempfile::tempdir().unwrap();
        let inner = dir.path().join("a/spools");
        let path = spool(&inner).path().to_owned();
        assert_eq!(read_lines(&path).unwrap(), ["line 1", "line 2", "line 5", "line 6"]);
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::metadata(&inner).unwrap().permissions().mode() & 0o777, 0o700);
        let second = spool(&inner);
        assert!(second.path().ends_with("h3_eth1.2.jsonl"));
        second.remove().unwrap();
        assert_eq!(fs::read_dir(&inner).unwrap().count(), 1);
    }

    #[test]
    fn a_full_spool_refuses_the_new_and_keeps_the_old() {
        let dir = tempfile::tempdir().unwrap();
        let mut spool = Spool::create(dir.path(), "h1", 16).unwrap();
        spool.append(1, "0123456").unwrap();
        assert!(matches!(spool.append(2, "01234567"), Err(JournalError::Full { bytes: 8, max: 16, .. })));
        spool.append(2, "0123456").unwrap();
        assert_eq!(spool.after(0, 100).unwrap().len(), 2);
    }

    #[test]
    fn numbers_must_ascend() {
        let dir = tempfile::tempdir().unwrap();
        let mut spool = spool(dir.path());
        assert!(matches!(spool.append(6, "x"), Err(JournalError::OutOfOrder { seq: 6, last: 6, .. })));
        assert_eq!(spool.last_seq(), 6);
    }
}
