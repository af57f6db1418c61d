//! Numbers a worker's record lines, keeps them on disk, and hands them out for sending.

use std::path::{Path, PathBuf};

use crate::{
    journal::{JournalError, Spool},
    model::{
        fleet::units::RunTime,
        record::{
            line::{Body, Line},
            text,
        },
    },
};

/// A spool's size at most: at a few kilobytes a second this is days.
const SPOOL_MAX_BYTES: u64 = 1024 * 1024 * 1024;

/// Text of one frame, below the 64 KiB that a frame may have.
const BATCH_BYTES: usize = 48 * 1024;

/// The lines of one worker instance.
pub struct Outbox {
    spool: Spool,
    instance: u16,
    epoch: u32,
    sent: u64,
    acked: u64,
}

impl Outbox {
    /// Empty, with its file.
    ///
    /// # Errors
    ///
    /// If the file cannot be made.
    pub fn create(dir: &Path, name: &str) -> Result<Self, JournalError> {
        let spool = Spool::create(dir, name, SPOOL_MAX_BYTES)?;
        Ok(Self { spool, instance: 0, epoch: 0, sent: 0, acked: 0 })
    }

    /// The coordinator has said who this is and what it has already.
    pub fn welcome(&mut self, instance: u16, epoch: u32, acked: u64) {
        (self.instance, self.epoch) = (instance, epoch);
        (self.sent, self.acked) = (acked, acked.max(self.acked));
    }

    /// Whether lines can be numbered yet.
    pub fn is_welcome(&self) -> bool {
        self.instance != 0
    }

    /// Keeps a line.
    ///
    /// # Errors
    ///
    /// If it cannot be written down; then it is not sent either.
    pub fn add(&mut self, at: RunTime, body: Body) -> Result<(), JournalError> {
        let q = self.spool.last_seq() + 1;
        let line = Line { i: self.instance, e: self.epoch, q, t: at, body };
        self.spool.append(q, &text::encode(&line))
    }

    /// Whether something is still to be sent.
    pub fn has_more(&self) -> bool {
        self.sent < self.spool.last_seq()
    }

    /// The next lines to send, as one frame's text.
    ///
    /// # Errors
    ///
    /// If the spool cannot be read back.
    pub fn next_batch(&mut self) -> Result<String, JournalError> {
        let lines = self.spool.after(self.sent, BATCH_BYTES)?;
        let mut text = String::new();
        for (seq, line) in lines {
            text.push_str(&line);
            text.push('\n');
            self.sent = seq;
        }
        Ok(text)
    }

    /// Lines up to this one are on the coordinator's disk.
    pub fn acked(&mut self, seq: u64) {
        self.acked = self.acked.max(seq);
    }

    /// Whether the coordinator has everything.
    pub fn is_delivered(&self) -> bool {
        self.acked >= self.spool.last_seq()
    }

    /// The highest number given out.
    pub fn last_seq(&self) -> u64 {
        self.spool.last_seq()
    }

    /// Where the file lies.
    pub fn path(&self) -> PathBuf {
        self.spool.path().to_owned()
    }

    /// Removes the file: everything is delivered.
    ///
    /// # Errors
    ///
    /// If it cannot be removed.
    pub fn remove(self) -> Result<(), JournalError> {
        self.spool.remove()
    }
}
