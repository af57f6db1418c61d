//! stub of the agreed interface
#![allow(missing_docs, clippy::all, clippy::pedantic, clippy::todo, unused, reason = "stub")]
use super::line::{Line, Opened};
/// A record read back: every sound line once, and what was lost.
#[derive(Clone, Debug)]
pub struct Record {
    pub opened: Opened,
    /// Sorted by (instance, sequence), each once.
    pub lines: Vec<Line>,
    /// In words for people, e.g. "line 812 is damaged (checksum)", "12 lines of h3 missing (301 to 312)", "the last line is cut off".
    pub losses: Vec<String>,
}
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum RecordError {
    #[error("{0}")]
    NoOpening(String),
}
impl Record {
    pub fn from_text_lines<'a>(lines: impl Iterator<Item = &'a str>) -> Result<Self, RecordError> { todo!() }
    pub fn from_lines(lines: Vec<Line>) -> Result<Self, RecordError> { todo!() }
}
