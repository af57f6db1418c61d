//! Cards that fall silent, both ways and without a word, at some dose of load.

use std::fmt;

use super::{FaultKind, Group, Row};
use crate::{
    lab::fault::{
        FaultError,
        parse::{Values, count, exact, length, rate, volume},
        steps::{Action, Site, Step, Steps, packets},
    },
    model::fleet::units::BitRate,
};

/// A card that dies under load.
#[derive(Clone, Debug, PartialEq)]
pub enum Dies {
    /// Once either direction has been above the limit for as long as its bucket lasts.
    Above {
        /// What either direction survives for ever.
        limit: Limit,
        /// Bytes more that the bucket of a rate holds.
        burst_bytes: u64,
        /// Seconds it stays dead.
        for_s: f64,
    },
    /// As `Above`, but dead until the host's link is taken down and up again.
    UntilBounce {
        /// What either direction survives for ever.
        limit: Limit,
        /// Bytes more that the bucket of a rate holds.
        burst_bytes: u64,
    },
    /// For good after so many bytes in either direction.
    AfterBytes {
        /// Bytes that still pass.
        bytes: u64,
    },
    /// Only while both directions are above the rate at once.
    BothWays {
        /// What one direction survives for ever, and both do together.
        rate: BitRate,
        /// Seconds it stays dead.
        for_s: f64,
    },
    /// Once more TCP streams than these carry data in a direction at once.
    Streams {
        /// Streams that it survives.
        streams: u32,
        /// Seconds it stays dead.
        for_s: f64,
    },
}

/// How much a direction carries before something happens.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Limit {
    /// So many bits a second, over a bucket of one second.
    Rate(BitRate),
    /// So many packets a second, over a twentieth of a second.
    Pps(u32),
}

/// What stays dead for a while, if nothing else is said: longer than any healthy TCP pauses.
const DEAD_S: f64 = 3.0;

/// A stream counts for as long as it has carried a full segment within this time.
const STREAM_MEMORY_MS: u32 = 1000;

/// The other direction counts as busy for so long after it was.
const BUSY_MEMORY_MS: u32 = 400;

pub(super) const ROWS: [Row; 5] = [
    (
        "dies_above@hN,rate=40M|pps=5000[,burst=1MB][,for=3s]",
        "silent both ways for a while once either direction is above the rate",
    ),
    (
        "dies_until_bounce@hN,rate=40M|pps=5000[,burst=1MB]",
        "the same, until the host's link is taken down and up",
    ),
    ("dies_after_bytes@hN,bytes=50MB", "silent for good after so many bytes in either direction"),
    ("dies_both_ways@hN,rate=30M[,for=3s]", "silent only once both directions are above the rate at once"),
    ("dies_many_streams@hN,streams=16[,for=3s]", "silent once more streams than these carry data one way"),
];

pub(super) fn read(name: &str, values: &mut Values<'_>) -> Option<Result<FaultKind, FaultError>> {
    let kind = match name {
        "dies_above" => above(values),
        "dies_until_bounce" => until_bounce(values),
        "dies_after_bytes" => values.needed("bytes", "50MB", volume).map(|bytes| Dies::AfterBytes { bytes }),
        "dies_both_ways" => values.needed("rate", "30M", rate).and_then(|rate| {
            Ok(Dies::BothWays { rate, for_s: values.optional("for", length)?.unwrap_or(DEAD_S) })
        }),
        "dies_many_streams" => values.needed("streams", "16", count).and_then(|streams| {
            Ok(Dies::Streams { streams, for_s: values.optional("for", length)?.unwrap_or(DEAD_S) })
        }),
        _ => return None,
    };
    Some(kind.map(FaultKind::Dies))
}

fn above(values: &mut Values<'_>) -> Result<Dies, FaultError> {
    Ok(Dies::Above {
        limit: Limit::read(values)?,
        burst_bytes: values.optional("burst", volume)?.unwrap_or(0),
        for_s: values.optional("for", length)?.unwrap_or(DEAD_S),
    })
}

fn until_bounce(values: &mut Values<'_>) -> Result<Dies, FaultError> {
    Ok(Dies::UntilBounce {
        limit: Limit::read(values)?,
        burst_bytes: values.optional("burst", volume)?.unwrap_or(0),
    })
}

impl Limit {
    /// `rate=` or `pps=`.
    pub(super) fn read(values: &mut Values<'_>) -> Result<Self, FaultError> {
        match values.optional("pps", packets_per_s)? {
            Some(pps) => Ok(Self::Pps(pps)),
            None => values.needed("rate", "40M", rate).map(Self::Rate),
        }
    }

    /// As a person types it.
    pub(super) fn key(self) -> String {
        match self {
            Self::Rate(rate) => format!("rate={}", exact(rate)),
            Self::Pps(pps) => format!("pps={pps}"),
        }
    }

    /// nft's words for more than this. Of a rate it keeps a bucket of one second, and the burst
    /// beside it: a load of `actual` trips it after (rate + burst) / (actual - rate) seconds.
    pub(super) fn over(self, burst_bytes: u64) -> String {
        match self {
            Self::Rate(rate) => {
                let burst =
                    if burst_bytes == 0 { String::new() } else { format!(" burst {burst_bytes} bytes") };
                format!("limit rate over {} bytes/second{burst}", (rate.bps() / 8).max(1))
            }
            // Of packets it keeps the burst only.
            Self::Pps(pps) => format!("limit rate over {pps}/second burst {} packets", (pps / 20).max(5)),
        }
    }
}

impl fmt::Display for Limit {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rate(rate) => write!(out, "{rate}"),
            Self::Pps(pps) => write!(out, "{pps} packets a second"),
        }
    }
}

fn packets_per_s(text: &str) -> Result<u32, String> {
    text.parse().ok().filter(|pps| (1..=10_000_000).contains(pps)).ok_or_else(|| "write 1 to 10000000".into())
}

impl Group for Dies {
    fn name(&self) -> &'static str {
        match self {
            Self::Above { .. } => "dies_above",
            Self::UntilBounce { .. } => "dies_until_bounce",
            Self::AfterBytes { .. } => "dies_after_bytes",
            Self::BothWays { .. } => "dies_both_ways",
            Self::Streams { .. } => "dies_many_streams",
        }
    }

    fn keys(&self) -> Vec<String> {
        let burst = |bytes: u64| (bytes > 0).then(|| format!("burst={bytes}B"));
        match self {
            Self::Above { limit, burst_bytes, for_s } => {
                [Some(limit.key()), burst(*burst_bytes), Some(format!("for={for_s}s"))]
                    .into_iter()
                    .flatten()
                    .collect()
            }
            Self::UntilBounce { limit, burst_bytes } => {
                [Some(limit.key()), burst(*burst_bytes)].into_iter().flatten().collect()
            }
            Self::AfterBytes { bytes } => vec![format!("bytes={bytes}B")],
            Self::BothWays { rate, for_s } => vec![format!("rate={}", exact(*rate)), format!("for={for_s}s")],
            Self::Streams { streams, for_s } => vec![format!("streams={streams}"), format!("for={for_s}s")],
        }
    }

    fn does(&self) -> String {
        match self {
            Self::Above { limit, for_s, .. } => {
                format!("dies for {for_s} s once it carries more than {limit} for a while")
            }
            Self::UntilBounce { limit, .. } => {
                format!("dies once it carries more than {limit} for a while, until its link is bounced")
            }
            Self::AfterBytes { bytes } => format!("dies for good after {bytes} bytes"),
            Self::BothWays { rate, for_s } => {
                format!("dies for {for_s} s once it carries more than {rate} both ways at once")
            }
            Self::Streams { streams, for_s } => {
                format!("dies for {for_s} s once it carries more than {streams} streams at once")
            }
        }
    }

    fn sight(&self) -> &'static str {
        match self {
            Self::Above { .. } => {
                "goodput of all flows of the host falls to 0 under load and returns; senders time out, the NIC's TX \
                 counter goes on, its RX counter stands still, carrier stays up; below the rate nothing at all"
            }
            Self::UntilBounce { .. } => {
                "goodput falls to 0 under load and stays there until the link is set down and up on the host"
            }
            Self::AfterBytes { .. } => "goodput falls to 0 for good once the bytes are through, at any rate",
            Self::BothWays { .. } => {
                "each direction alone carries its full rate; with both busy the host falls silent and returns"
            }
            Self::Streams { .. } => {
                "few streams carry the full rate; with more of them the host falls silent and returns"
            }
        }
    }

    fn steps(&self, site: &Site<'_>) -> Steps {
        match self {
            Self::Above { limit, burst_bytes, for_s } => {
                let rules = tripping(&limit.over(*burst_bytes), Some(*for_s));
                site.table_with(&dead_set(Some(*for_s)), &rules, &rules, None)
            }
            Self::UntilBounce { limit, burst_bytes } => {
                let rules = tripping(&limit.over(*burst_bytes), None);
                let mut steps = site.table_with(&dead_set(None), &rules, &rules, None);
                let revive = format!("flush set netdev {} dead\n", site.table());
                let action = Action::OnCarrierChange { port: site.port(), text: revive };
                steps.planned.push(Step { at_s: 0.0, action });
                steps.undo.insert(0, Action::ForgetCarrier);
                steps
            }
            Self::AfterBytes { bytes } => {
                let rules = tripping(&format!("quota over {bytes} bytes"), None);
                site.table_with(&dead_set(None), &rules, &rules, None)
            }
            Self::BothWays { rate, for_s } => both_ways(site, *rate, *for_s),
            Self::Streams { streams, for_s } => many_streams(site, *streams, *for_s),
        }
    }
}

/// The flag that says dead: a set with the one key that every packet has, a mark of zero.
fn dead_set(dead_s: Option<f64>) -> String {
    let flags = if dead_s.is_some() { "dynamic,timeout" } else { "dynamic" };
    format!("  set dead {{\n    typeof meta mark; flags {flags}; size 4;\n  }}\n")
}

fn timeout(dead_s: Option<f64>) -> String {
    dead_s.map(|s| format!(" timeout {}ms", (s * 1000.0).round() as u64)).unwrap_or_default()
}

/// Drops everything while the flag is set, and sets it when the direction is `over`: for
/// `dead_s`, or until it is flushed.
fn tripping(over: &str, dead_s: Option<f64>) -> Vec<String> {
    let timeout = timeout(dead_s);
    vec!["meta mark @dead drop".to_owned(), format!("{over} add @dead {{ meta mark{timeout} }} drop")]
}

/// What is sent raises a second flag while it is above the rate, and what is received sets the
/// first only while that one is up.
fn both_ways(site: &Site<'_>, rate: BitRate, for_s: f64) -> Steps {
    let over = Limit::Rate(rate).over(0);
    let sets = format!(
        "{}  set busy {{\n    typeof meta mark; flags dynamic,timeout; size 4;\n  }}\n",
        dead_set(Some(for_s))
    );
    let tx = vec![
        "meta mark @dead drop".to_owned(),
        format!("{over} update @busy {{ meta mark timeout {BUSY_MEMORY_MS}ms }}"),
    ];
    let rx = vec![
        "meta mark @dead drop".to_owned(),
        format!("{over} meta mark @busy add @dead {{ meta mark{} }} drop", timeout(Some(for_s))),
    ];
    site.table_with(&sets, &tx, &rx, None)
}

/// Streams with full segments are remembered in a set of the given size: when it is full, one
/// more cannot be added, and the rule after it is reached.
fn many_streams(site: &Site<'_>, streams: u32, for_s: f64) -> Steps {
    let (ip, full) = (site.ip(), packets::full_segment());
    let set = |name: &str| {
        format!(
            "  set {name} {{\n    typeof {ip} saddr . {ip} daddr . tcp sport . tcp dport; flags dynamic,timeout; size {streams};\n  }}\n"
        )
    };
    let rules = |name: &str| {
        let key = format!("{ip} saddr . {ip} daddr . tcp sport . tcp dport timeout {STREAM_MEMORY_MS}ms");
        vec![
            "meta mark @dead drop".to_owned(),
            format!("{full} update @{name} {{ {key} }} accept"),
            format!("{full} add @dead {{ meta mark{} }} drop", timeout(Some(for_s))),
        ]
    };
    let sets = format!("{}{}{}", dead_set(Some(for_s)), set("sends"), set("receives"));
    site.table_with(&sets, &rules("sends"), &rules("receives"), None)
}
