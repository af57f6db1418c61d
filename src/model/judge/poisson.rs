//! What a count of rare events says of their rate: bounds, not points.
//!
//! Knows counts only; what was counted is the caller's.
//!
//! # Source
//!
//! The exact bounds are quantiles of χ² (Garwood 1936); here by Wilson and Hilferty's cube root,
//! which is off by less than 2 % from one event on.

/// The normal quantile of both bounds: one in 40 lies beyond each.
const Z: f64 = 1.96;

/// Below this mean so many events are unlikely (2.5 %).
pub fn lower(events: u64) -> f64 {
    let k = events as f64;
    if events == 0 { 0.0 } else { k * (1.0 - 1.0 / (9.0 * k) - Z / (3.0 * k.sqrt())).max(0.0).powi(3) }
}

/// Above this mean so few events are unlikely (2.5 %).
pub fn upper(events: u64) -> f64 {
    let k = events as f64 + 1.0;
    k * (1.0 - 1.0 / (9.0 * k) + Z / (3.0 * k.sqrt())).powi(3)
}

/// Events out of so many tries.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Share {
    /// Events.
    pub events: u64,
    /// Tries.
    pub of: u64,
}

impl Share {
    /// Adds others.
    pub fn add(&mut self, other: Self) {
        self.events += other.events;
        self.of += other.of;
    }

    /// The share as it was seen; 0 of nothing.
    pub fn rate(self) -> f64 {
        if self.of == 0 { 0.0 } else { self.events as f64 / self.of as f64 }
    }

    /// The share that it lies above, for all that chance does.
    pub fn at_least(self) -> f64 {
        if self.of == 0 { 0.0 } else { lower(self.events) / self.of as f64 }
    }

    /// The share that it lies below, for all that chance does; 1 of nothing.
    pub fn at_most(self) -> f64 {
        if self.of == 0 { 1.0 } else { (upper(self.events) / self.of as f64).min(1.0) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn bounds_are_those_of_the_tables() {
        // Garwood's exact bounds for 0, 1, 4, 10 and 100 events.
        for (events, low, high) in
            [(0, 0.0, 3.69), (1, 0.025, 5.57), (4, 1.09, 10.24), (10, 4.80, 18.39), (100, 81.4, 121.6)]
        {
            assert!((lower(events) - low).abs() < 0.02 * low + 0.02, "{events}: {}", lower(events));
            assert!((upper(events) - high).abs() < 0.02 * high, "{events}: {}", upper(events));
        }
    }

    proptest! {
        /// For all counts: what was seen lies between its bounds.
        #[test]
        fn what_was_seen_lies_between_its_bounds(events in 0u64..1_000_000, more in 0u64..1_000_000) {
            let share = Share { events, of: events + more };
            prop_assert!(share.at_least() <= share.rate() && share.rate() <= share.at_most());
        }
    }
}
