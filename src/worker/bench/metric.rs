//! What is read out of a repetition's raw figures, and the bound it is held to. Pure.

use serde::{Deserialize, Serialize};

use super::spec::Lateness;

/// Slots in one second.
const SECOND_SLOTS: usize = 10;

/// A flow's first second is not judged for its pace: TCP still finds its window.
const BEGIN_SLOTS: usize = 10;

/// One run of one side, raw.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Run {
    /// Payload at the receiver, bytes.
    pub bytes: u64,
    /// During this long, seconds.
    pub for_s: f64,
    /// Datagrams that arrived; `None` of TCP and QUIC.
    pub datagrams: Option<u64>,
    /// Share of the payload sent that did not arrive; `None` where it means nothing.
    pub lost_share: Option<f64>,
    /// Time on a core of the sending process, seconds.
    pub source_cpu_s: f64,
    /// Time on a core of the receiving process, seconds.
    pub sink_cpu_s: f64,
    /// Bytes by slot of 100 ms; `None` was not measured. Empty where nobody counted slots.
    pub slots: Vec<Option<u64>>,
    /// How late the slots were closed.
    pub lateness: Option<Lateness>,
    /// How long after the plan its source ended, seconds.
    pub ended_late_s: Option<f64>,
    /// From core to core, nanoseconds, just before.
    pub core_to_core_ns: Option<f64>,
    /// Share of all cores that others used meanwhile.
    pub foreign_cpu_share: f64,
    /// How often it was run until others left it enough of the machine.
    pub tries: u32,
}

impl Run {
    /// Bytes a second, in units of 10^9.
    pub fn gigabytes_per_s(&self) -> f64 {
        self.bytes as f64 / self.for_s / 1e9
    }

    /// Both ends' time on a core for 10^9 bytes, seconds.
    pub fn cpu_s_per_gigabyte(&self) -> f64 {
        (self.source_cpu_s + self.sink_cpu_s) * 1e9 / self.bytes as f64
    }
}

/// A figure of a repetition.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Metric {
    /// Our bytes a second over the other side's.
    RateRatio,
    /// Our datagrams a second over the other side's.
    PacketRatio,
    /// The other side's time on a core for a byte over ours.
    CpuRatio,
    /// Our bytes a second, 10^9.
    GigabytesPerS,
    /// Share of the payload that was lost.
    LostShare,
    /// 99 of 100 slots were closed no later, milliseconds.
    LateP99Ms,
    /// Worst deviation of a second's bytes from the planned rate, share.
    SecondOff {
        /// Planned, bits per second.
        rate_bps: u64,
    },
    /// Worst deviation of a slot's bytes from the planned rate, share.
    SlotOff {
        /// Planned, bits per second.
        rate_bps: u64,
    },
    /// The fullest slot after a moment over what the planned rate would fill.
    PeakAfter {
        /// Planned, bits per second.
        rate_bps: u64,
        /// From this slot on.
        slot: usize,
    },
    /// Bytes of the last second over the planned ones: whether a transfer came back.
    LastSecond {
        /// Planned, bits per second.
        rate_bps: u64,
    },
    /// Slots that were not measured.
    MissingSlots,
    /// How long after the plan the source ended, seconds.
    EndedLateS,
    /// What our side used of a core beyond the other side, share.
    CoreShareAbove,
}

impl Metric {
    /// Its name in tables and results.
    pub const fn name(self) -> &'static str {
        match self {
            Self::RateRatio => "rate ratio",
            Self::PacketRatio => "packet rate ratio",
            Self::CpuRatio => "CPU-s/GB ratio (other / ours)",
            Self::GigabytesPerS => "GB/s",
            Self::LostShare => "lost share",
            Self::LateP99Ms => "slots late, p99, ms",
            Self::SecondOff { .. } => "worst 1 s window, share off",
            Self::SlotOff { .. } => "worst 100 ms window, share off",
            Self::PeakAfter { .. } => "fullest 100 ms after the blackout / planned",
            Self::LastSecond { .. } => "last second / planned",
            Self::MissingSlots => "slots not measured",
            Self::EndedLateS => "source ended late, s",
            Self::CoreShareAbove => "share of a core above the other",
        }
    }

    /// Out of one repetition; `None` where it was not measured.
    pub fn of(self, ours: &Run, other: Option<&Run>) -> Option<f64> {
        let value = match self {
            Self::RateRatio => ours.gigabytes_per_s() / other?.gigabytes_per_s(),
            Self::PacketRatio => {
                let rate = |run: &Run| Some(run.datagrams? as f64 / run.for_s);
                rate(ours)? / rate(other?)?
            }
            Self::CpuRatio => other?.cpu_s_per_gigabyte() / ours.cpu_s_per_gigabyte(),
            Self::GigabytesPerS => ours.gigabytes_per_s(),
            Self::LostShare => ours.lost_share?,
            Self::LateP99Ms => ours.lateness?.p99_us as f64 / 1000.0,
            Self::SecondOff { rate_bps } => worst(&ours.slots, rate_bps, SECOND_SLOTS)?,
            Self::SlotOff { rate_bps } => worst(&ours.slots, rate_bps, 1)?,
            Self::PeakAfter { rate_bps, slot } => {
                let after = ours.slots.get(slot..)?;
                after.iter().flatten().max().map(|most| *most as f64 / planned(rate_bps, 1))?
            }
            Self::LastSecond { rate_bps } => {
                let from = ours.slots.len().checked_sub(SECOND_SLOTS)?;
                let bytes: u64 = ours.slots[from..].iter().copied().sum::<Option<u64>>()?;
                bytes as f64 / planned(rate_bps, SECOND_SLOTS)
            }
            Self::MissingSlots if ours.slots.is_empty() => return None,
            Self::MissingSlots => ours.slots.iter().filter(|slot| slot.is_none()).count() as f64,
            Self::EndedLateS => ours.ended_late_s?,
            Self::CoreShareAbove => {
                let share = |run: &Run| (run.source_cpu_s + run.sink_cpu_s) / run.for_s;
                share(ours) - share(other?)
            }
        };
        value.is_finite().then_some(value)
    }
}

/// Bytes that a rate fills so many slots with.
fn planned(rate_bps: u64, slots: usize) -> f64 {
    rate_bps as f64 / 8.0 * slots as f64 / SECOND_SLOTS as f64
}

/// The largest deviation of any window of so many measured slots.
fn worst(slots: &[Option<u64>], rate_bps: u64, length: usize) -> Option<f64> {
    let windows = slots.get(BEGIN_SLOTS..)?.windows(length);
    let bytes = windows.filter_map(|window| window.iter().copied().sum::<Option<u64>>());
    bytes.map(|bytes| (bytes as f64 / planned(rate_bps, length) - 1.0).abs()).max_by(f64::total_cmp)
}

/// What a figure must keep.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Bound {
    /// At least this.
    AtLeast(f64),
    /// At most this.
    AtMost(f64),
    /// Shown only.
    Shown,
}

impl Bound {
    /// Whether a median keeps it.
    pub fn keeps(self, median: f64) -> bool {
        match self {
            Self::AtLeast(least) => median >= least,
            Self::AtMost(most) => median <= most,
            Self::Shown => true,
        }
    }
}

impl std::fmt::Display for Bound {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::AtLeast(least) => write!(out, ">= {least}"),
            Self::AtMost(most) => write!(out, "<= {most}"),
            Self::Shown => out.write_str("-"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(bytes: u64, slots: Vec<Option<u64>>) -> Run {
        Run { bytes, for_s: 2.0, slots, source_cpu_s: 1.0, sink_cpu_s: 0.5, ..Run::default() }
    }

    #[test]
    fn ratios_are_ours_over_theirs_and_their_cost_over_ours() {
        let (ours, other) = (run(4_000_000_000, vec![]), run(2_000_000_000, vec![]));
        assert_eq!(Metric::RateRatio.of(&ours, Some(&other)), Some(2.0));
        assert_eq!(Metric::CpuRatio.of(&ours, Some(&other)), Some(2.0));
        assert_eq!(Metric::GigabytesPerS.of(&ours, None), Some(2.0));
        assert_eq!(Metric::RateRatio.of(&ours, None), None);
        assert_eq!(Metric::RateRatio.of(&ours, Some(&Run::default())), None, "nothing over nothing");
    }

    #[test]
    fn the_worst_window_counts_and_the_first_second_does_not() {
        let mut slots = vec![Some(0); 10];
        slots.extend(vec![Some(100_000); 20]);
        slots[15] = Some(110_000);
        let paced = run(1, slots.clone());
        let off = |metric: Metric| (metric.of(&paced, None).unwrap() * 1000.0).round() as u32;
        assert_eq!(off(Metric::SlotOff { rate_bps: 8_000_000 }), 100);
        assert_eq!(off(Metric::SecondOff { rate_bps: 8_000_000 }), 10);
        assert_eq!(off(Metric::PeakAfter { rate_bps: 8_000_000, slot: 20 }), 1000);
        assert_eq!(off(Metric::LastSecond { rate_bps: 8_000_000 }), 1000);
        slots[29] = None;
        let gap = run(1, slots);
        assert_eq!(Metric::MissingSlots.of(&gap, None), Some(1.0));
        assert_eq!(Metric::LastSecond { rate_bps: 8_000_000 }.of(&gap, None), None, "a gap is no zero");
        assert_eq!(Metric::MissingSlots.of(&run(1, vec![]), None), None);
    }

    #[test]
    fn bounds_include_their_limit() {
        assert!(Bound::AtLeast(1.2).keeps(1.2) && !Bound::AtLeast(1.2).keeps(1.19));
        assert!(Bound::AtMost(0.01).keeps(0.01) && !Bound::AtMost(0.01).keeps(0.02));
        assert!(Bound::Shown.keeps(0.0));
    }
}
