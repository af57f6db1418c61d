//! Packets that come late, out of order, twice, or changed: what nft cannot do by itself. The
//! switch hands them to a cable of the holder (`lab::cable`), which gives them back.

use super::{FaultKind, Group, Row};
use crate::lab::{
    cable::Treatment,
    fault::{
        Direction, FaultError,
        parse::{Values, length, percent, yes_or_no},
        place::Places,
        steps::{Hand, Site, Steps},
    },
};

/// Packets are treated.
#[derive(Clone, Debug, PartialEq)]
pub struct CableFault {
    /// The directions in which they are.
    pub direction: Direction,
    /// How.
    pub how: How,
}

/// How packets are treated.
#[derive(Clone, Debug, PartialEq)]
pub enum How {
    /// Late, in order.
    Latency {
        /// Seconds that each is late.
        delay_s: f64,
        /// Seconds more at most, drawn anew for each.
        jitter_s: f64,
    },
    /// Some so late that others overtake them.
    Reorder {
        /// Of a hundred packets, so many.
        percent: f64,
        /// Seconds that these are late.
        by_s: f64,
    },
    /// Some twice.
    Duplicate {
        /// Of a hundred packets, so many.
        percent: f64,
    },
    /// Some changed.
    Corrupt {
        /// Of a hundred packets, so many.
        percent: f64,
        /// Whether checksums tell.
        caught: bool,
    },
    /// All held for a moment, again and again, and none lost.
    Stalls {
        /// Seconds from one to the next.
        every_s: f64,
        /// Seconds that each lasts.
        for_s: f64,
    },
}

pub(super) const ROWS: [Row; 5] = [
    ("latency@hN|hN-hM|uplink,delay=5ms[,jitter=2ms][,direction=…]", "answers late, idle and loaded alike"),
    ("reorder@hN|hN-hM|uplink,percent=2[,by=3ms][,direction=…]", "lets packets overtake some others"),
    ("duplicate@hN|hN-hM|uplink,percent=1[,direction=…]", "delivers some packets twice"),
    (
        "corrupt@hN|hN-hM|uplink,percent=0.02[,caught=yes|no][,direction=…]",
        "changes bytes, so that checksums tell or do not",
    ),
    (
        "stalls@hN|hN-hM|uplink,for=200ms[,every=1s][,direction=…]",
        "holds everything for a moment, as PAUSE frames do",
    ),
];

pub(super) fn read(name: &str, values: &mut Values<'_>) -> Option<Result<FaultKind, FaultError>> {
    let how = match name {
        "latency" => latency(values),
        "reorder" => reorder(values),
        "duplicate" => values.needed("percent", "1", percent).map(|percent| How::Duplicate { percent }),
        "corrupt" => corrupt(values),
        "stalls" => stalls(values),
        _ => return None,
    };
    let both = how.and_then(|how| Ok(CableFault { direction: values.direction()?, how }));
    Some(both.map(FaultKind::Cable))
}

fn latency(values: &mut Values<'_>) -> Result<How, FaultError> {
    let delay_s = values.needed("delay", "5ms", held)?;
    Ok(How::Latency { delay_s, jitter_s: values.optional("jitter", held)?.unwrap_or(0.0) })
}

fn reorder(values: &mut Values<'_>) -> Result<How, FaultError> {
    let percent = values.needed("percent", "2", percent)?;
    Ok(How::Reorder { percent, by_s: values.optional("by", held)?.unwrap_or(0.003) })
}

fn corrupt(values: &mut Values<'_>) -> Result<How, FaultError> {
    let percent = values.needed("percent", "0.02", percent)?;
    Ok(How::Corrupt { percent, caught: values.optional("caught", yes_or_no)?.unwrap_or(false) })
}

fn stalls(values: &mut Values<'_>) -> Result<How, FaultError> {
    let for_s = values.needed("for", "200ms", held)?;
    let every_s = values.optional("every", length)?.unwrap_or(1.0);
    if every_s <= for_s {
        let wanted = format!("write more than for={for_s}s: between stalls something must pass");
        return Err(FaultError::Value { key: "every", value: format!("{every_s}s"), wanted });
    }
    Ok(How::Stalls { every_s, for_s })
}

/// A cable holds packets for a bounded time, so that its queue is bounded too.
fn held(text: &str) -> Result<f64, String> {
    let value = length(text)?;
    if value <= 2.0 { Ok(value) } else { Err("write at most 2s: so long a cable can hold".into()) }
}

impl Group for CableFault {
    fn name(&self) -> &'static str {
        match self.how {
            How::Latency { .. } => "latency",
            How::Reorder { .. } => "reorder",
            How::Duplicate { .. } => "duplicate",
            How::Corrupt { .. } => "corrupt",
            How::Stalls { .. } => "stalls",
        }
    }

    fn keys(&self) -> Vec<String> {
        let mut keys = match &self.how {
            How::Latency { delay_s, jitter_s } => {
                let jitter = (*jitter_s > 0.0).then(|| format!("jitter={jitter_s}s"));
                std::iter::once(format!("delay={delay_s}s")).chain(jitter).collect()
            }
            How::Reorder { percent, by_s } => vec![format!("percent={percent}"), format!("by={by_s}s")],
            How::Duplicate { percent } => vec![format!("percent={percent}")],
            How::Corrupt { percent, caught } => {
                vec![format!("percent={percent}"), format!("caught={}", if *caught { "yes" } else { "no" })]
            }
            How::Stalls { every_s, for_s } => vec![format!("for={for_s}s"), format!("every={every_s}s")],
        };
        keys.push(format!("direction={}", self.direction));
        keys
    }

    fn places(&self) -> Places {
        Places::All
    }

    fn does(&self) -> String {
        let direction = self.direction;
        match &self.how {
            How::Latency { delay_s, jitter_s } => format!(
                "delivers {} to {} ms late in direction {direction}",
                delay_s * 1e3,
                (delay_s + jitter_s) * 1e3
            ),
            How::Reorder { percent, by_s } => {
                format!("delivers {percent} % of packets {} ms late in direction {direction}", by_s * 1e3)
            }
            How::Duplicate { percent } => {
                format!("delivers {percent} % of packets twice in direction {direction}")
            }
            How::Corrupt { percent, caught } => format!(
                "changes {percent} % of packets in direction {direction}, which checksums {}",
                if *caught { "catch" } else { "do not catch" }
            ),
            How::Stalls { every_s, for_s } => {
                format!("holds everything for {} ms every {every_s} s in direction {direction}", for_s * 1e3)
            }
        }
    }

    fn sight(&self) -> &'static str {
        match self.how {
            How::Latency { .. } => {
                "echoes and handshakes of this host take longer, in a quiet network too; nothing is lost"
            }
            How::Reorder { .. } => "its receivers see datagrams overtaken, TCP's reordering counters move",
            How::Duplicate { .. } => {
                "its receivers see datagrams twice, TCP's duplicate acknowledgements move"
            }
            How::Corrupt { caught: true, .. } => {
                "retransmissions, and receivers' counters of bad checksums rise as much"
            }
            How::Corrupt { caught: false, .. } => {
                "verified payload differs from what was sent; no counter moves"
            }
            How::Stalls { .. } => "all its traffic pauses together, again and again; nothing is lost",
        }
    }

    fn steps(&self, site: &Site<'_>) -> Steps {
        let mut treatment = Treatment::default();
        let mut hand = Hand::Over(None);
        match &self.how {
            How::Latency { delay_s, jitter_s } => {
                treatment.delay_us = micros(*delay_s);
                treatment.jitter_us = micros(*jitter_s);
            }
            // Only those that are treated leave the switch: the rest passes as ever.
            How::Reorder { percent, by_s } => {
                treatment.delay_us = micros(*by_s);
                hand = Hand::Over(Some(*percent));
            }
            How::Duplicate { percent } => hand = Hand::Copy(*percent),
            How::Corrupt { percent, caught } => {
                treatment.corrupt_share = percent / 100.0;
                treatment.caught = *caught;
            }
            How::Stalls { every_s, for_s } => {
                treatment.stall_every_us = micros(*every_s);
                treatment.stall_us = micros(*for_s);
            }
        }
        site.cables(self.direction, hand, treatment)
    }
}

fn micros(seconds: f64) -> u64 {
    (seconds * 1e6).round() as u64
}
