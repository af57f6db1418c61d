//! Statistics of paired repetitions: the order, a ratio for each pair, its spread. Pure.
//!
//! The two sides of a pair run one after the other, so that what the machine does meanwhile
//! (its host may move its cores apart, for one) meets both; only ratios within a pair count.

use serde::{Deserialize, Serialize};

/// Whether side A goes first in repetition `index`: A B, B A, A B, … so that a drift of the
/// machine favours neither.
pub fn a_first(index: usize) -> bool {
    index.is_multiple_of(2)
}

/// Median, least and most of some figures.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Spread {
    /// Half of them are no larger.
    pub median: f64,
    /// The least.
    pub min: f64,
    /// The most.
    pub max: f64,
}

impl Spread {
    /// Of all `figures`; `None` of none, or where one is no number.
    pub fn of(figures: &[f64]) -> Option<Self> {
        if figures.iter().any(|figure| !figure.is_finite()) {
            return None;
        }
        let mut sorted = figures.to_vec();
        sorted.sort_by(f64::total_cmp);
        let (min, max) = (*sorted.first()?, *sorted.last()?);
        let middle = sorted.len() / 2;
        let median = if sorted.len().is_multiple_of(2) {
            f64::midpoint(sorted[middle - 1], sorted[middle])
        } else {
            sorted[middle]
        };
        Some(Self { median, min, max })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_order_is_a_b_b_a() {
        let order: Vec<bool> = (0..4).map(a_first).collect();
        assert_eq!(order, [true, false, true, false]);
    }

    #[test]
    fn the_median_is_the_middle_or_between_the_two() {
        assert_eq!(Spread::of(&[3.0, 1.0, 2.0]), Some(Spread { median: 2.0, min: 1.0, max: 3.0 }));
        assert_eq!(Spread::of(&[4.0, 1.0, 2.0, 3.0]).map(|spread| spread.median), Some(2.5));
        assert_eq!(Spread::of(&[]), None);
        assert_eq!(Spread::of(&[1.0, f64::NAN]), None);
    }

    proptest! {
        #[test]
        fn the_median_lies_between_and_order_does_not_matter(
            mut figures in prop::collection::vec(-1e12f64..1e12, 1..30)
        ) {
            let spread = Spread::of(&figures).unwrap();
            prop_assert!(spread.min <= spread.median && spread.median <= spread.max);
            figures.reverse();
            prop_assert_eq!(Spread::of(&figures), Some(spread));
        }
    }
}
