//! Numbers that a few outliers cannot move: medians, quantiles, a one-sided spread.
//!
//! Knows numbers only; what they measure is the caller's.

use std::collections::VecDeque;

/// Scales a median absolute deviation to the standard deviation of a normal distribution
/// with that spread: 1 / Φ⁻¹(3/4).
pub const MAD_TO_SIGMA: f64 = 1.4826;

/// The `q` quantile (0 to 1) by the nearest rank; `None` of nothing.
///
/// # Panics
///
/// If a sample is NaN: that is a bug where it was measured.
pub fn quantile(samples: &[f64], q: f64) -> Option<f64> {
    let mut sorted = samples.to_vec();
    sorted.sort_by(|a, b| a.partial_cmp(b).expect("samples are numbers"));
    of_sorted(&sorted, q)
}

fn of_sorted(sorted: &[f64], q: f64) -> Option<f64> {
    let last = sorted.len().checked_sub(1)?;
    Some(sorted[(last as f64 * q.clamp(0.0, 1.0)).round() as usize])
}

/// The last `MOST` samples, kept in order: a quantile after each costs no sorting.
#[derive(Clone, Debug, Default)]
pub struct Sliding<const MOST: usize> {
    arrived: VecDeque<f64>,
    sorted: Vec<f64>,
}

impl<const MOST: usize> Sliding<MOST> {
    /// Takes a sample, and forgets the oldest where there are too many.
    pub fn push(&mut self, sample: f64) {
        self.arrived.push_back(sample);
        self.sorted.insert(self.sorted.partition_point(|known| *known < sample), sample);
        if self.arrived.len() > MOST
            && let Some(oldest) = self.arrived.pop_front()
        {
            self.sorted.remove(self.sorted.partition_point(|known| *known < oldest));
        }
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.arrived.len()
    }

    /// Their `q` quantile, as [`quantile`] gives it.
    pub fn quantile(&self, q: f64) -> Option<f64> {
        of_sorted(&self.sorted, q)
    }
}

/// The median; of an even count the mean of the middle two. `None` of nothing.
pub fn median(samples: &[f64]) -> Option<f64> {
    let mut sorted = samples.to_vec();
    sorted.sort_by(|a, b| a.partial_cmp(b).expect("samples are numbers"));
    let middle = sorted.len() / 2;
    match sorted.len() {
        0 => None,
        n if n % 2 == 1 => Some(sorted[middle]),
        _ => Some(f64::midpoint(sorted[middle - 1], sorted[middle])),
    }
}

/// What ordered pairs of so many hosts show where no single host is in it: one host touches 2 of n of
/// them, which of few hosts are most. The median of the rest, if those that it touches are the highest;
/// of all, where two hosts leave no rest.
pub fn typical_of_pairs(samples: &[f64], hosts: usize) -> Option<f64> {
    let rest = 1.0 - 2.0 / hosts.max(2) as f64;
    if rest > 0.0 { quantile(samples, rest / 2.0) } else { median(samples) }
}

/// The standard deviation of the undisturbed part: from the samples at or above the median
/// alone, because faults only push throughput down.
///
/// Never less than `floor`; `floor` itself of fewer than two samples above the median.
pub fn sigma_above(samples: &[f64], floor: f64) -> f64 {
    let Some(center) = median(samples) else { return floor };
    let above: Vec<f64> = samples.iter().filter(|x| **x >= center).map(|x| x - center).collect();
    match median(&above) {
        Some(spread) if above.len() >= 2 => (spread * MAD_TO_SIGMA).max(floor),
        _ => floor,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// For all samples: the sliding quantile is that of the last ones.
        #[test]
        fn sliding_quantiles_are_those_of_the_last_samples(
            samples in prop::collection::vec(0.0f64..10.0, 1..40), q in 0.0f64..1.0
        ) {
            let mut sliding = Sliding::<8>::default();
            for (place, sample) in samples.iter().enumerate() {
                sliding.push(*sample);
                let last = &samples[(place + 1).saturating_sub(8)..=place];
                prop_assert_eq!(sliding.quantile(q), quantile(last, q));
                prop_assert_eq!(sliding.count(), last.len());
            }
        }
    }

    #[test]
    fn quantiles_and_medians_of_small_sets() {
        assert_eq!(median(&[]), None);
        assert_eq!(median(&[3.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(&[4.0, 1.0, 2.0, 3.0]), Some(2.5));
        assert_eq!(quantile(&[5.0], 0.95), Some(5.0));
        let hundred: Vec<f64> = (0..=100).map(f64::from).collect();
        assert_eq!(quantile(&hundred, 0.95), Some(95.0));
    }

    #[test]
    fn one_host_of_few_is_not_what_is_typical() {
        for hosts in 3..12 {
            let pairs = (0..hosts).flat_map(|a| (0..hosts).filter(move |b| *b != a).map(move |b| (a, b)));
            let samples: Vec<f64> = pairs.map(|(a, b)| if a == 1 || b == 1 { 9.0 } else { 1.0 }).collect();
            assert_eq!(typical_of_pairs(&samples, hosts), Some(1.0), "{hosts} hosts");
        }
        assert_eq!(typical_of_pairs(&[1.0, 3.0], 2), Some(2.0));
        assert_eq!(typical_of_pairs(&[], 5), None);
    }

    #[test]
    fn a_spread_is_not_widened_by_what_fell() {
        let healthy = [0.99, 1.0, 1.01, 1.0, 1.0, 1.02, 0.98];
        let mut faulty = healthy.to_vec();
        faulty.extend([0.1, 0.2]);
        assert!(sigma_above(&faulty, 0.001) < 0.05);
    }
}
