//! stub of the agreed interface
#![allow(missing_docs, clippy::all, clippy::pedantic, clippy::todo, unused, reason = "stub")]
use std::path::{Path, PathBuf};
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct JournalError(pub String);
/// Appends lines to a record; nothing is acknowledged before `sync`.
pub struct Writer;
impl Writer {
    pub fn create(path: &Path) -> Result<Self, JournalError> { todo!() }
    pub fn append(&mut self, line: &str) -> Result<(), JournalError> { todo!() }
    /// fdatasync; after one failure the writer is dead and says so for ever.
    pub fn sync(&mut self) -> Result<(), JournalError> { todo!() }
    /// sync, close, and compress to `.zst` above 256 MB; the final path.
    pub fn finish(self) -> Result<PathBuf, JournalError> { todo!() }
}
/// A worker's own file of lines, kept until they are acknowledged.
pub struct Spool;
impl Spool {
    /// `dir` is created 0700; bounded by `bytes_max` (beyond it the oldest *unsent* are never dropped: append errs).
    pub fn create(dir: &Path, name: &str, bytes_max: u64) -> Result<Self, JournalError> { todo!() }
    pub fn path(&self) -> &Path { todo!() }
    pub fn append(&mut self, seq: u64, line: &str) -> Result<(), JournalError> { todo!() }
    /// Lines after `seq`, at most `bytes_max` of text, in order.
    pub fn after(&self, seq: u64, bytes_max: usize) -> Result<Vec<(u64, String)>, JournalError> { todo!() }
    pub fn last_seq(&self) -> u64 { todo!() }
    pub fn remove(self) -> Result<(), JournalError> { todo!() }
}
/// All text lines of a record or spool, plain or `.zst`; bytes that are no UTF-8 come as replacement characters.
pub fn read_lines(path: &Path) -> Result<Vec<String>, JournalError> { todo!() }
/// `record.jsonl` or `record.jsonl.zst` in a run's folder.
pub fn find_record(run: &Path) -> Result<PathBuf, JournalError> { todo!() }
