//! Lines from workers: each checked, and each taken once.

use std::collections::{BTreeMap, BTreeSet};

use crate::model::record::{line::Line, text};

/// How many lines beyond a gap are remembered one by one. A gap that is longer than this is
/// taken for lost lines, not for late ones: workers send in order.
const AHEAD_MAX: usize = 4096;

/// What has been taken, by instance.
#[derive(Debug, Default)]
pub(super) struct Intake {
    taken: BTreeMap<u16, Taken>,
}

/// The lines of one instance that were taken: all up to `upto`, and those `ahead` of it.
#[derive(Debug, Default)]
struct Taken {
    upto: u64,
    ahead: BTreeSet<u64>,
    highest: u64,
}

impl Intake {
    /// Reads a line; `None` if it was taken before. `is_theirs` tells whether an instance is
    /// the sender's to speak for.
    pub(super) fn take(
        &mut self,
        text: &str,
        is_theirs: impl Fn(u16) -> bool,
    ) -> Result<Option<Line>, String> {
        let line = text::decode(text).map_err(|error| error.to_string())?;
        self.admit(line, is_theirs)
    }

    fn admit(&mut self, line: Line, is_theirs: impl Fn(u16) -> bool) -> Result<Option<Line>, String> {
        if !is_theirs(line.i) {
            return Err(format!("a line of instance {}, which is not the sender's", line.i));
        }
        Ok(self.taken.entry(line.i).or_default().take(line.q).then_some(line))
    }

    /// Whether all lines of an instance up to `seq` are in, or were skipped for good.
    pub(super) fn has_all(&self, instance: u16, seq: u64) -> bool {
        seq == 0 || self.taken.get(&instance).is_some_and(|taken| taken.highest >= seq)
    }
}

impl Taken {
    fn take(&mut self, seq: u64) -> bool {
        if seq <= self.upto || !self.ahead.insert(seq) {
            return false;
        }
        self.highest = self.highest.max(seq);
        if self.ahead.len() > AHEAD_MAX
            && let Some(first) = self.ahead.first()
        {
            self.upto = *first - 1;
        }
        while self.ahead.first() == Some(&(self.upto + 1)) {
            self.ahead.pop_first();
            self.upto += 1;
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{fleet::units::RunTime, record::line::Body};
    use proptest::prelude::*;

    fn line(i: u16, q: u64) -> Line {
        Line { i, e: 1, q, t: RunTime(0), body: Body::Sent { flow: 1, bytes: 1 } }
    }

    #[test]
    fn a_line_of_another_instance_is_refused_by_number() {
        let error = Intake::default().admit(line(3, 1), |instance| instance == 2).expect_err("not theirs");
        assert!(error.contains("instance 3"), "{error}");
    }

    #[test]
    fn a_replay_after_a_lost_session_changes_nothing() {
        let mut intake = Intake::default();
        for (seq, new) in [(1, true), (2, true), (3, true), (2, false), (3, false), (4, true)] {
            let taken = intake.admit(line(1, seq), |_| true).expect("theirs");
            assert_eq!(taken.is_some(), new, "line {seq}");
        }
        assert!(intake.has_all(1, 4) && !intake.has_all(1, 5) && !intake.has_all(2, 1));
    }

    proptest! {
        /// For all orders of arrival: each line is taken exactly once.
        #[test]
        fn every_line_is_taken_once(seqs in proptest::collection::vec(1u64..50, 0..200)) {
            let mut intake = Intake::default();
            let mut seen = BTreeSet::new();
            for seq in seqs {
                let taken = intake.admit(line(1, seq), |_| true).expect("theirs").is_some();
                prop_assert_eq!(taken, seen.insert(seq));
            }
        }
    }

    #[test]
    fn what_is_remembered_of_lines_ahead_is_bounded() {
        let mut taken = Taken::default();
        for seq in (2..).take(AHEAD_MAX * 3) {
            assert!(taken.take(seq));
        }
        assert!(taken.ahead.len() <= AHEAD_MAX, "{}", taken.ahead.len());
    }
}
