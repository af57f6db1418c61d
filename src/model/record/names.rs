//! Names that a record says over and over, kept once.
//!
//! A hundred hosts tell some forty counters a second, out of a few hundred names: kept as they
//! come they would fill most of the memory that a record takes.

use std::collections::HashSet;

use arcstr::ArcStr;

use super::{
    facts::CountersMoved,
    few::{self, Few},
};

/// The most names kept: cards with thousands of counters for each of their queues have fewer.
/// Names beyond it stay as they came.
const NAMES_MAX: usize = 20_000;

/// All names so far.
#[derive(Debug, Default)]
pub struct Names(HashSet<ArcStr>);

impl Names {
    /// Puts the names that are kept in place of a line's own.
    pub fn share(&mut self, told: &mut CountersMoved) {
        let steps = std::mem::take(&mut told.moved).into_tuple_vec();
        let shared: Vec<_> = steps.into_iter().map(|(name, step)| (self.one(name), step)).collect();
        told.moved = Few::from_sorted_store_unchecked(shared);
        few::tighten(&mut told.moved);
    }

    fn one(&mut self, name: ArcStr) -> ArcStr {
        if let Some(kept) = self.0.get(&name) {
            return ArcStr::clone(kept);
        }
        if self.0.len() < NAMES_MAX {
            self.0.insert(ArcStr::clone(&name));
        }
        name
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_comes_again_is_the_one_that_is_kept() {
        let mut names = Names::default();
        let mut told = |name: &str| {
            let moved = Few::from_iter([(ArcStr::from(name), 1), (ArcStr::from("link.tx_bytes"), 2)]);
            let mut told = CountersMoved { moved, ..CountersMoved::default() };
            let before = told.clone();
            names.share(&mut told);
            assert_eq!(told, before, "what it says is the same");
            told.moved.into_iter().map(|(name, _)| name).collect::<Vec<_>>()
        };
        let (first, second) = (told("driver.rx_drops"), told("driver.rx_drops"));
        assert!(first.iter().zip(&second).all(|(one, other)| ArcStr::ptr_eq(one, other)));
    }
}
