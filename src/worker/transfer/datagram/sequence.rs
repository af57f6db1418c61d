//! Which numbers arrived: loss, reordering, duplication and bursts of loss of one stream.
//!
//! A ring of bits over the last numbers. What leaves it unset is lost for good; until then
//! it may still come late, and counts as reordered and not as lost.

/// Numbers that are remembered: at a million frames a second 65 ms, more than a path
/// reorders by.
const WINDOW: u64 = 65_536;

const WORDS: usize = (WINDOW / 64) as usize;

/// What arrived of one stream.
#[derive(Clone, Debug)]
pub struct Sequence {
    bits: Box<[u64; WORDS]>,
    /// One more than the highest number that arrived.
    next: u64,
    counts: Counts,
    /// Numbers in a row, up to the last settled one, that never came.
    gap: u64,
}

/// Counts since a stream's beginning.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Counts {
    /// Different numbers that arrived.
    pub unique: u64,
    /// Numbers that arrived again.
    pub duplicates: u64,
    /// Numbers that arrived after a higher one.
    pub reordered: u64,
    /// Arrived when it was no longer known whether they had before.
    pub too_late: u64,
    /// The longest row of numbers that never came, of those that are settled.
    pub longest_gap: u64,
}

impl Default for Sequence {
    fn default() -> Self {
        Self { bits: Box::new([0; WORDS]), next: 0, counts: Counts::default(), gap: 0 }
    }
}

impl Sequence {
    /// Numbers `first` up to, not with, `first + count` arrived, in order.
    pub fn arrived(&mut self, first: u64, count: u64) {
        for number in first..first.saturating_add(count) {
            self.one(number);
        }
    }

    fn one(&mut self, number: u64) {
        if number >= self.next {
            self.advance(number);
            self.set(number);
            self.counts.unique += 1;
        } else if number + WINDOW < self.next {
            self.counts.too_late += 1;
        } else if self.is_set(number) {
            self.counts.duplicates += 1;
        } else {
            self.set(number);
            self.counts.unique += 1;
            self.counts.reordered += 1;
        }
    }

    /// Makes room up to and with `number`: what falls out of the ring is settled.
    fn advance(&mut self, number: u64) {
        let jump = number + 1 - self.next;
        if jump > WINDOW {
            // Everything remembered falls out, and what was never there is one long gap.
            let oldest = self.next.saturating_sub(WINDOW);
            for old in oldest..self.next {
                self.settle(old);
            }
            self.bits.fill(0);
            self.miss(jump - WINDOW);
        } else {
            for new in self.next..=number {
                if let Some(old) = new.checked_sub(WINDOW) {
                    self.settle(old);
                }
                self.clear(new);
            }
        }
        self.next = number + 1;
    }

    fn settle(&mut self, number: u64) {
        if self.is_set(number) {
            self.gap = 0;
        } else {
            self.miss(1);
        }
    }

    fn miss(&mut self, count: u64) {
        self.gap += count;
        self.counts.longest_gap = self.counts.longest_gap.max(self.gap);
    }

    /// Counts so far.
    pub const fn counts(&self) -> Counts {
        self.counts
    }

    /// Numbers up to the highest that have not come, so far.
    pub const fn missing(&self) -> u64 {
        self.next.saturating_sub(self.counts.unique)
    }

    /// One more than the highest number that arrived.
    pub const fn next(&self) -> u64 {
        self.next
    }

    /// Settles what is remembered: nothing comes any more.
    pub fn end(&mut self) -> Counts {
        for number in self.next.saturating_sub(WINDOW)..self.next {
            self.settle(number);
        }
        self.counts
    }

    const fn slot(number: u64) -> (usize, u64) {
        ((number / 64) as usize % WORDS, 1 << (number % 64))
    }

    fn is_set(&self, number: u64) -> bool {
        let (word, bit) = Self::slot(number);
        self.bits[word] & bit != 0
    }

    fn set(&mut self, number: u64) {
        let (word, bit) = Self::slot(number);
        self.bits[word] |= bit;
    }

    fn clear(&mut self, number: u64) {
        let (word, bit) = Self::slot(number);
        self.bits[word] &= !bit;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    #[test]
    fn a_known_loss_is_counted_exactly() {
        let mut sequence = Sequence::default();
        for number in (0..200_000).filter(|number| ![7, 8, 9, 1_000, 199_990].contains(number)) {
            sequence.arrived(number, 1);
        }
        assert_eq!(sequence.missing(), 5);
        assert_eq!(sequence.end().longest_gap, 3);
        assert_eq!(sequence.counts().reordered, 0);
    }

    #[test]
    fn what_comes_late_was_not_lost() {
        let mut sequence = Sequence::default();
        for number in [0, 1, 4, 2, 3, 3, 5] {
            sequence.arrived(number, 1);
        }
        let counts = sequence.end();
        assert_eq!((counts.unique, counts.reordered, counts.duplicates), (6, 2, 1));
        assert_eq!((sequence.missing(), counts.longest_gap), (0, 0));
    }

    #[test]
    fn a_jump_over_everything_remembered_is_one_gap() {
        let mut sequence = Sequence::default();
        sequence.arrived(0, 10);
        sequence.arrived(10 * WINDOW, 1);
        sequence.arrived(3, 1);
        assert_eq!(sequence.missing(), 10 * WINDOW + 1 - 11);
        let counts = sequence.end();
        assert_eq!(counts.too_late, 1);
        assert_eq!(counts.longest_gap, 10 * WINDOW - 10);
    }

    proptest! {
        /// For all arrivals within the window: as a set would count them; and never more
        /// lost than sent, never less than none.
        #[test]
        fn it_counts_like_a_set(numbers in prop::collection::vec(0u64..3_000, 1..2_000)) {
            let mut sequence = Sequence::default();
            for number in &numbers {
                sequence.arrived(*number, 1);
            }
            let set: BTreeSet<u64> = numbers.iter().copied().collect();
            let highest = set.last().copied().unwrap_or(0);
            let counts = sequence.end();
            prop_assert_eq!(counts.unique, set.len() as u64);
            prop_assert_eq!(counts.duplicates, (numbers.len() - set.len()) as u64);
            prop_assert_eq!(sequence.missing(), highest + 1 - set.len() as u64);
            prop_assert!(sequence.missing() <= highest + 1);
        }
    }
}
