//! What can be broken in a lab, as values and as text.
//!
//! A fault names its host, its kind and its numbers. What it does to the links is `steps`,
//! when each step is done is the holder's. Neither coordinator nor judge ever sees one.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{lab::spec::host_name, model::fleet::units::BitRate};

mod explain;
mod parse;
pub(crate) mod steps;

pub use explain::list;
pub use parse::FaultError;

/// Something broken on one host.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Fault {
    /// Number of the host, from 1.
    pub host: u16,
    /// Seconds from the command until it begins.
    pub after_s: f64,
    /// What breaks.
    pub kind: FaultKind,
}

/// What breaks, with its numbers. TX is what the host sends, RX what it receives; where no
/// direction is named it is both. A `for_s` of `None` lasts until the fault is taken back.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum FaultKind {
    /// Dies, both ways and silently, once either direction has been above `rate` for as long
    /// as the bucket of one second of `rate` and `burst_bytes` lasts; back after `for_s`.
    DiesAbove {
        /// What either direction survives for ever.
        rate: BitRate,
        /// Bytes more that the bucket holds.
        burst_bytes: u64,
        /// Seconds it stays dead.
        for_s: f64,
    },
    /// As `DiesAbove`, but dead until the host's link is taken down and up again.
    DiesUntilBounce {
        /// What either direction survives for ever.
        rate: BitRate,
        /// Bytes more that the bucket holds.
        burst_bytes: u64,
    },
    /// Dies for good after so many bytes in either direction.
    DiesAfterBytes {
        /// Bytes that still pass.
        bytes: u64,
    },
    /// Silent both ways, with its carrier up.
    Dead {
        /// Seconds, or until taken back.
        for_s: Option<f64>,
    },
    /// The cable is out: no carrier.
    CableOut {
        /// Seconds, or until taken back.
        for_s: Option<f64>,
    },
    /// The carrier goes and comes.
    Flap {
        /// How often it goes.
        times: u32,
        /// Seconds without carrier each time.
        down_s: f64,
        /// Seconds with carrier after each.
        up_s: f64,
    },
    /// Silent in one direction only.
    OneWayDead {
        /// The direction that is dead.
        direction: Direction,
        /// Seconds, or until taken back.
        for_s: Option<f64>,
    },
    /// Slower than it says.
    Slow {
        /// The slow directions.
        direction: Direction,
        /// How slow.
        to: SlowTo,
    },
    /// Loses single packets at random.
    Loss {
        /// The lossy directions.
        direction: Direction,
        /// Of a hundred packets, so many.
        percent: f64,
    },
    /// The worker is stopped (SIGSTOP), not the NIC.
    Freeze {
        /// Seconds, or until taken back.
        for_s: Option<f64>,
    },
    /// The worker is killed (SIGKILL), not the NIC.
    Kill,
}

/// A direction as the host sees it.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Direction {
    /// What the host sends.
    Tx,
    /// What the host receives.
    Rx,
    /// Both.
    Both,
}

impl Direction {
    /// Whether sending is meant.
    pub const fn has_tx(self) -> bool {
        matches!(self, Self::Tx | Self::Both)
    }

    /// Whether receiving is meant.
    pub const fn has_rx(self) -> bool {
        matches!(self, Self::Rx | Self::Both)
    }
}

impl fmt::Display for Direction {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::Tx => "tx",
            Self::Rx => "rx",
            Self::Both => "both",
        })
    }
}

/// How slow a slow NIC is.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SlowTo {
    /// So much and no more.
    Rate(BitRate),
    /// This share of the lab's NIC rate, above 0 and below 1.
    Factor(f64),
}

impl SlowTo {
    /// The rate on a NIC of `nic_rate`.
    pub fn rate(self, nic_rate: BitRate) -> BitRate {
        match self {
            Self::Rate(rate) => rate,
            Self::Factor(factor) => nic_rate.scaled(factor),
        }
    }
}

impl Fault {
    /// The truth in a sentence without its full stop, for the end of a demo.
    pub fn truth(&self) -> String {
        let host = host_name(self.host);
        let span =
            |for_s: &Option<f64>| for_s.map_or("until it is taken back".into(), |s| format!("for {s} s"));
        match &self.kind {
            FaultKind::DiesAbove { rate, for_s, .. } => {
                format!("{host}, whose NIC dies for {for_s} s once it carries more than {rate} for a while")
            }
            FaultKind::DiesUntilBounce { rate, .. } => {
                format!(
                    "{host}, whose NIC dies once it carries more than {rate} for a while, until its link is bounced"
                )
            }
            FaultKind::DiesAfterBytes { bytes } => {
                format!("{host}, whose NIC dies for good after {bytes} bytes")
            }
            FaultKind::Dead { for_s } => format!("{host}, whose NIC is silent both ways {}", span(for_s)),
            FaultKind::CableOut { for_s } => format!("{host}, whose cable is out {}", span(for_s)),
            FaultKind::Flap { times, down_s, .. } => {
                format!("{host}, whose link goes down {times} times for {down_s} s each")
            }
            FaultKind::OneWayDead { direction, for_s } => {
                format!("{host}, whose NIC is dead in direction {direction} {}", span(for_s))
            }
            FaultKind::Slow { direction, to: SlowTo::Rate(rate) } => {
                format!("{host}, whose NIC carries only {rate} in direction {direction}")
            }
            FaultKind::Slow { direction, to: SlowTo::Factor(factor) } => {
                format!("{host}, whose NIC carries only {factor} of its rate in direction {direction}")
            }
            FaultKind::Loss { direction, percent } => {
                format!("{host}, whose NIC loses {percent} % of packets in direction {direction}")
            }
            FaultKind::Freeze { for_s } => format!("{host}, whose worker is stopped {}", span(for_s)),
            FaultKind::Kill => format!("{host}, whose worker is killed"),
        }
    }
}

#[cfg(test)]
mod tests;
