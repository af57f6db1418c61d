//! A worker's spool beside its run's record: whether it is of that run at all.
//!
//! A spool does not name its run. It holds all that its worker wrote, so where the record has lines of the
//! same instance most of them must be there under their own numbers.

use std::collections::HashMap;

use super::{Reading, RecordError};
use crate::model::record::{line::Line, text::LineError};

impl Reading {
    /// Takes the lines of a spool.
    ///
    /// # Errors
    ///
    /// If no line of it is sound, or most of those that the record has as well say something else in it.
    pub fn take_spool(&mut self, lines: Vec<Result<Line, LineError>>) -> Result<(), RecordError> {
        if !lines.iter().any(Result::is_ok) {
            return Err(RecordError::NoSpool { lines: lines.len() });
        }
        let known: HashMap<(u16, u64), &Line> =
            self.sound.values().flatten().map(|line| ((line.i, line.q), line)).collect();
        let twice = || lines.iter().flatten().filter_map(|line| Some((line, *known.get(&(line.i, line.q))?)));
        let both = twice().count();
        let differ = twice().filter(|(line, known)| line != known).count();
        if 2 * differ > both {
            return Err(RecordError::ForeignSpool { both, differ });
        }
        for line in lines {
            self.take(line);
        }
        Ok(())
    }
}
