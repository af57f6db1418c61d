//! Quantities that cross a module boundary, each with its unit in its type.
//!
//! A rate is in bits per second and a volume in bytes, with decimal prefixes, as on every
//! data sheet of a network card. Text without a unit is refused, because `"100"` has meant
//! Mb/s to one reader and Gb/s to the next.

use std::{fmt, str::FromStr, time::Duration};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The length of one slot of the measuring grid: receivers' byte counts are cut here.
pub const SLOT: Duration = Duration::from_millis(100);

/// [`SLOT`] in microseconds, the unit of [`RunTime`].
pub const SLOT_US: u64 = 100_000;

/// Slots in one second.
pub const SLOTS_PER_S: u64 = 1_000_000 / SLOT_US;

/// A rate in bits per second. In JSON an integer, in a scenario file text with its unit.
#[derive(
    Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize, Deserialize, JsonSchema,
)]
#[serde(transparent)]
pub struct BitRate(u64);

impl BitRate {
    /// The rate of `bps` bits per second.
    pub const fn from_bps(bps: u64) -> Self {
        Self(bps)
    }

    /// The rate of `mbps` million bits per second.
    pub const fn from_mbps(mbps: u64) -> Self {
        Self(mbps * 1_000_000)
    }

    /// This rate in bits per second.
    pub const fn bps(self) -> u64 {
        self.0
    }

    /// The rate that carried `bytes` in `elapsed`; `None` when `elapsed` is zero.
    ///
    /// ```
    /// # use nicburn::model::fleet::units::BitRate;
    /// # use std::time::Duration;
    /// let rate = BitRate::over(1_250_000, Duration::from_millis(100));
    /// assert_eq!(rate, Some(BitRate::from_mbps(100)));
    /// ```
    pub fn over(bytes: u64, elapsed: Duration) -> Option<Self> {
        let bits = u128::from(bytes) * 8;
        let bps = (bits * 1_000_000_000).checked_div(elapsed.as_nanos())?;
        Some(Self(u64::try_from(bps).unwrap_or(u64::MAX)))
    }

    /// This rate times `factor`, which is at least zero.
    #[must_use]
    pub fn scaled(self, factor: f64) -> Self {
        Self((self.0 as f64 * factor.max(0.0)) as u64)
    }

    /// Bytes that this rate carries in `elapsed`, rounded down.
    pub fn bytes_in(self, elapsed: Duration) -> u64 {
        (u128::from(self.0) * elapsed.as_nanos() / 8_000_000_000) as u64
    }
}

impl fmt::Display for BitRate {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (value, unit) = match self.0 {
            0..1_000 => return write!(out, "{} b/s", self.0),
            1_000..1_000_000 => (self.0 as f64 / 1e3, "kb/s"),
            1_000_000..1_000_000_000 => (self.0 as f64 / 1e6, "Mb/s"),
            1_000_000_000.. => (self.0 as f64 / 1e9, "Gb/s"),
        };
        let decimals = if value < 10.0 { 2 } else { 1 };
        write!(out, "{value:.decimals$} {unit}")
    }
}

/// Why a piece of text is not a [`BitRate`].
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum BitRateError {
    /// A number with no unit after it.
    #[error("`{0}` has no unit; write for example \"{0} Gb/s\"")]
    NoUnit(String),
    /// A unit that is not one of those known.
    #[error("unknown unit `{0}`; use b/s, kb/s, Mb/s or Gb/s, or k, M or G as iperf3 does")]
    UnknownUnit(String),
    /// What stands before the unit is not a number above 0.
    #[error("`{0}` is not a number of bits above 0")]
    NotANumber(String),
}

impl FromStr for BitRate {
    type Err = BitRateError;

    fn from_str(text: &str) -> Result<Self, BitRateError> {
        let text = text.trim();
        let unit_at = text.find(|c: char| c.is_ascii_alphabetic()).unwrap_or(text.len());
        let (number, unit) = (text[..unit_at].trim(), text[unit_at..].trim());
        let value: f64 = number.parse().map_err(|_| BitRateError::NotANumber(number.to_owned()))?;
        let factor = match unit {
            "" => return Err(BitRateError::NoUnit(number.to_owned())),
            "b/s" | "bit/s" => 1.0,
            "kb/s" | "kbit/s" | "K" | "k" => 1e3,
            "Mb/s" | "Mbit/s" | "M" => 1e6,
            "Gb/s" | "Gbit/s" | "G" => 1e9,
            other => return Err(BitRateError::UnknownUnit(other.to_owned())),
        };
        let bps = value * factor;
        if !(1.0..=1e15).contains(&bps) {
            return Err(BitRateError::NotANumber(number.to_owned()));
        }
        Ok(Self(bps.round() as u64))
    }
}

/// A moment of a run: microseconds since its zero, on the coordinator's monotonic clock.
#[derive(
    Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize, Deserialize, JsonSchema,
)]
#[serde(transparent)]
pub struct RunTime(pub u64);

impl RunTime {
    /// The moment `length` after the run's zero.
    pub fn after_zero(length: Duration) -> Self {
        Self(u64::try_from(length.as_micros()).unwrap_or(u64::MAX))
    }

    /// The start of slot number `slot`.
    pub const fn of_slot(slot: u64) -> Self {
        Self(slot * SLOT_US)
    }

    /// The slot this moment lies in.
    pub const fn slot(self) -> u64 {
        self.0 / SLOT_US
    }

    /// The whole second this moment lies in.
    pub const fn second(self) -> u64 {
        self.0 / 1_000_000
    }

    /// Seconds since the run's zero.
    pub fn as_secs_f64(self) -> f64 {
        self.0 as f64 / 1e6
    }

    /// Length since the run's zero.
    pub const fn since_zero(self) -> Duration {
        Duration::from_micros(self.0)
    }

    /// Length from `earlier` to this moment; zero if `earlier` is later.
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_micros(self.0.saturating_sub(earlier.0))
    }
}

impl std::ops::Add<Duration> for RunTime {
    type Output = Self;

    fn add(self, length: Duration) -> Self {
        Self(self.0.saturating_add(u64::try_from(length.as_micros()).unwrap_or(u64::MAX)))
    }
}

impl fmt::Display for RunTime {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{:.1} s", self.as_secs_f64())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn rates_need_a_unit_and_say_so() {
        assert_eq!("2.5 Gb/s".parse(), Ok(BitRate::from_mbps(2500)));
        assert_eq!("80M".parse(), Ok(BitRate::from_mbps(80)));
        let unitless = "100".parse::<BitRate>().expect_err("no unit");
        assert_eq!(unitless.to_string(), "`100` has no unit; write for example \"100 Gb/s\"");
        assert!("10 MB/s".parse::<BitRate>().is_err(), "bytes are not bits");
        assert!("-1 Mb/s".parse::<BitRate>().is_err());
        assert!("0 Mb/s".parse::<BitRate>().is_err());
    }

    proptest! {
        #[test]
        fn what_a_rate_carries_gives_the_rate_back(bps in 8_000u64..400_000_000_000) {
            let rate = BitRate::from_bps(bps);
            let second = Duration::from_secs(1);
            let back = BitRate::over(rate.bytes_in(second), second).expect("a second is not zero");
            prop_assert!(rate.bps() - back.bps() < 8);
        }
    }
}
