//! A token bucket without catch-up: what was not sent in time is not sent later.

/// The most that may be sent at once after a pause: 10 ms of the rate. More would be the
/// very burst that a paced stage is to spare the card.
const BURST_US: u64 = 10_000;

/// A pause between refills that is worth waking up for: 2 ms of the rate.
const QUANTUM_US: u64 = 2_000;

/// Allows a rate in bytes; time is told in microseconds.
#[derive(Clone, Debug)]
pub struct Bucket {
    bytes_per_s: u64,
    /// In millionths of a byte, so that no rate is rounded away.
    tokens: u64,
    filled_at_us: u64,
    /// Bytes from which on sending is worth a system call, and the most that is saved up.
    quantum: u64,
    full: u64,
}

impl Bucket {
    /// Empty, from `now_us` on.
    pub fn new(rate_bps: u64, now_us: u64) -> Self {
        Self::of_units(rate_bps, now_us, 1, QUANTUM_US)
    }

    /// Of bytes that go in units which cannot be divided, each `quantum_us` where the rate
    /// gives more than one in that time.
    pub fn of_units(rate_bps: u64, now_us: u64, unit_bytes: u64, quantum_us: u64) -> Self {
        let bytes_per_s = (rate_bps / 8).max(1);
        let quantum = (bytes_per_s * quantum_us / 1_000_000).max(unit_bytes);
        let full = (bytes_per_s * BURST_US / 1_000_000).max(quantum);
        Self { bytes_per_s, tokens: 0, filled_at_us: now_us, quantum, full }
    }

    /// Bytes that may be sent now.
    pub fn allowed(&mut self, now_us: u64) -> u64 {
        let elapsed = u128::from(now_us.saturating_sub(self.filled_at_us));
        self.filled_at_us = now_us.max(self.filled_at_us);
        let earned = (elapsed * u128::from(self.bytes_per_s)).min(u128::from(self.full * 1_000_000));
        self.tokens = (self.tokens + earned as u64).min(self.full * 1_000_000);
        self.tokens / 1_000_000
    }

    /// So many bytes were sent.
    pub fn take(&mut self, bytes: u64) {
        self.tokens = self.tokens.saturating_sub(bytes * 1_000_000);
    }

    /// When the next quantum is there, microseconds.
    pub fn ready_at_us(&self) -> u64 {
        let missing = (self.quantum * 1_000_000).saturating_sub(self.tokens);
        self.filled_at_us + missing.div_ceil(self.bytes_per_s)
    }

    /// Bytes from which on sending is worth a system call.
    pub const fn quantum(&self) -> u64 {
        self.quantum
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// For all rates and wake-up patterns: never more than the rate plus one burst.
        #[test]
        fn no_window_exceeds_the_rate_and_a_burst(
            rate_bps in 8_000u64..10_000_000_000,
            waits in prop::collection::vec(1u64..3_000_000, 1..100),
        ) {
            let mut bucket = Bucket::new(rate_bps, 0);
            let (mut now, mut sent) = (0, 0);
            for wait in waits {
                now += wait;
                let bytes = bucket.allowed(now);
                bucket.take(bytes);
                sent += bytes;
                prop_assert!(bytes <= rate_bps / 8 / 100 + 1, "a burst is at most 10 ms");
            }
            let most = u128::from(rate_bps) * u128::from(now) / 8_000_000 + 1;
            prop_assert!(u128::from(sent) <= most, "{sent} of {most}");
        }
    }

    #[test]
    fn woken_when_it_asked_for_it_reaches_its_rate() {
        let mut bucket = Bucket::new(80_000_000, 0);
        let (mut now, mut sent) = (0, 0);
        while now < 1_000_000 {
            now = bucket.ready_at_us();
            let bytes = bucket.allowed(now);
            bucket.take(bytes);
            sent += bytes;
        }
        assert!((9_900_000..=10_040_000).contains(&sent), "{sent}");
    }
}
