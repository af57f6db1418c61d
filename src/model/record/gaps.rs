//! Which lines of a record are missing: each instance numbers its own from 1 without gaps.

use super::line::Line;
use crate::model::fleet::units::RunTime;

/// What is there of an instance, and what is missing below its last line.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Gaps {
    /// Whose.
    pub instance: u16,
    /// Lines that are there.
    pub here: u64,
    /// Lines that are not.
    pub missing: u64,
    /// Where they are missing, in order.
    pub each: Vec<Gap>,
}

/// Lines that are missing one after the other.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Gap {
    /// The number of the first.
    pub first: u64,
    /// The number of the last.
    pub last: u64,
    /// When the line before them was written; the run's zero where there is none.
    pub since: RunTime,
    /// When the line after them was.
    pub until: RunTime,
}

/// Of each instance of these lines, which are sorted and unique.
pub fn of(lines: &[Line]) -> impl Iterator<Item = Gaps> {
    lines.chunk_by(|a, b| a.i == b.i).map(|own| {
        let mut gaps = Gaps { instance: own[0].i, here: own.len() as u64, missing: 0, each: Vec::new() };
        let (mut next, mut since) = (1_u64, RunTime::default());
        for line in own {
            if line.q > next {
                gaps.missing = gaps.missing.saturating_add(line.q - next);
                gaps.each.push(Gap { first: next, last: line.q - 1, since, until: line.t });
            }
            (next, since) = (line.q.saturating_add(1), line.t);
        }
        gaps
    })
}
