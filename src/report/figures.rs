//! Numbers as people read them: a unit on each, a dash for what was not measured.

use crate::model::judge::summary::HostSummary;

/// Stands for what was not measured; never `0`, which is a measurement.
pub const UNMEASURED: &str = "–";

/// From this peak on a fleet's table is in Gb/s: below, Mb/s has at most four digits
/// before its point, which reads faster than a fraction of a gigabit.
const GIGABITS_FROM_BPS: u64 = 10_000_000_000;

/// The unit of all rates of one table, so that its columns can be compared by eye.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Scale {
    /// Million bits per second.
    Mbps,
    /// Thousand million bits per second.
    Gbps,
}

impl Scale {
    /// The scale for a table whose highest rate is `peak_bps`.
    pub const fn for_peak(peak_bps: u64) -> Self {
        if peak_bps >= GIGABITS_FROM_BPS { Self::Gbps } else { Self::Mbps }
    }

    /// The scale for a table of these hosts.
    pub fn for_hosts(hosts: &[&HostSummary]) -> Self {
        let peaks = hosts.iter().flat_map(|host| [host.goodput.tx_peak_bps, host.goodput.rx_peak_bps]);
        Self::for_peak(peaks.flatten().max().unwrap_or(0))
    }

    /// The unit's name.
    pub const fn unit(self) -> &'static str {
        match self {
            Self::Mbps => "Mb/s",
            Self::Gbps => "Gb/s",
        }
    }

    /// The unit in bits per second.
    pub const fn factor(self) -> f64 {
        match self {
            Self::Mbps => 1e6,
            Self::Gbps => 1e9,
        }
    }

    /// A rate in this scale, without its unit.
    pub fn rate(self, bps: Option<u64>) -> String {
        bps.map_or_else(|| UNMEASURED.to_owned(), |bps| format!("{:.1}", bps as f64 / self.factor()))
    }
}

/// A rate with its unit: `56.1 Mb/s`, from 10 Gb/s on `12.3 Gb/s`.
pub fn rate(bps: Option<u64>) -> String {
    let scale = Scale::for_peak(bps.unwrap_or(0));
    match bps {
        Some(_) => format!("{} {}", scale.rate(bps), scale.unit()),
        None => UNMEASURED.to_owned(),
    }
}

/// Seconds with one decimal: `12.3 s`; a dash where not known or not finite.
pub fn seconds(s: Option<f64>) -> String {
    s.filter(|s| s.is_finite()).map_or_else(|| UNMEASURED.to_owned(), |s| format!("{s:.1} s"))
}

/// A share of 0 to 1 in per cent: `97 %`, `6.9 %`, `0.35 %`. Below all, nothing reads `100 %`, and above
/// nothing `0 %`.
pub fn share(share: Option<f64>) -> String {
    let Some(percent) = share.filter(|share| share.is_finite()).map(|share| share * 100.0) else {
        return UNMEASURED.to_owned();
    };
    match percent {
        ..=0.0 | 100.0.. => format!("{percent:.0} %"),
        ..0.01 => "under 0.01 %".to_owned(),
        // Bounds lie where rounding would carry: 0.996 reads 1.0, and not 1.00.
        ..0.995 => format!("{percent:.2} %"),
        ..9.95 => format!("{percent:.1} %"),
        _ => format!("{:.0} %", percent.min(99.0)),
    }
}

/// A volume with a decimal prefix: `7.5 GB`.
pub fn bytes(bytes: Option<u64>) -> String {
    let Some(bytes) = bytes else { return UNMEASURED.to_owned() };
    let (value, unit) = match bytes {
        0..1_000 => return format!("{bytes} B"),
        1_000..1_000_000 => (bytes as f64 / 1e3, "kB"),
        1_000_000..1_000_000_000 => (bytes as f64 / 1e6, "MB"),
        1_000_000_000..1_000_000_000_000 => (bytes as f64 / 1e9, "GB"),
        _ => (bytes as f64 / 1e12, "TB"),
    };
    format!("{value:.1} {unit}")
}

/// A count with its noun: `1 drop-off`, `3 drop-offs`.
pub fn count(n: usize, noun: &str) -> String {
    if n == 1 { format!("1 {noun}") } else { format!("{n} {noun}s") }
}

/// A number of a finding, with the unit that ends its name: `dose_killed_bps` of 88e6 reads
/// `88.0 Mb/s`.
pub fn named(name: &str, value: Option<f64>) -> String {
    let Some(value) = value.filter(|value| value.is_finite()) else { return UNMEASURED.to_owned() };
    let whole = (value >= 0.0).then_some(value.round() as u64);
    match name.rsplit('_').next() {
        Some("bps") if whole.is_some() => rate(whole),
        Some("bytes") if whole.is_some() => bytes(whole),
        Some("s") => seconds(Some(value)),
        Some("us") => format!("{value:.0} µs"),
        Some("share") => share(Some(value)),
        _ if value.fract() == 0.0 => format!("{value:.0}"),
        _ => format!("{value:.3}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_not_measured_is_a_dash_and_never_a_zero() {
        assert_eq!(rate(None), UNMEASURED);
        assert_eq!(rate(Some(0)), "0.0 Mb/s");
        assert_eq!(seconds(Some(f64::NAN)), UNMEASURED);
        assert_eq!(share(None), UNMEASURED);
        assert_eq!(bytes(None), UNMEASURED);
    }

    #[test]
    fn nearly_all_is_not_all_and_hardly_any_not_none() {
        for (of, want) in [
            (1.0, "100 %"),
            (0.999, "99 %"),
            (0.1198, "12 %"),
            (0.069, "6.9 %"),
            (0.009_96, "1.0 %"),
            (0.0035, "0.35 %"),
            (0.000_01, "under 0.01 %"),
            (0.0, "0 %"),
        ] {
            assert_eq!(share(Some(of)), want);
        }
    }

    #[test]
    fn a_name_says_its_unit() {
        assert_eq!(named("dose_killed_bps", Some(88_000_000.0)), "88.0 Mb/s");
        assert_eq!(named("dose_killed_bps", Some(12_300_000_000.0)), "12.3 Gb/s");
        assert_eq!(named("moved_bytes", Some(7_500_000_000.0)), "7.5 GB");
        assert_eq!(named("tries", Some(3.0)), "3");
        assert_eq!(named("score", Some(0.25)), "0.250");
    }
}
