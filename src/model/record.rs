//! What was seen: the lines of a record, and the record read back as a whole.

pub mod book;
pub mod carried;
pub mod facts;
pub mod few;
pub mod file;
pub mod gaps;
pub mod host_state;
pub mod kernel_log;
pub mod line;
pub mod moved;
pub mod names;
pub mod placed;
pub mod probe;
pub mod read;
pub mod slot_bytes;
pub mod text;
