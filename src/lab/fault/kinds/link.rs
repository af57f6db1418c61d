//! The link itself: its carrier, and settings that differ from the others'.

use super::{FaultKind, Group, Row, lasting, span};
use crate::lab::fault::{
    FaultError,
    parse::{Values, frame_bytes, length, times},
    place::Places,
    steps::{Action, At, Site, Step, Steps},
};

/// What is the matter with a link.
#[derive(Clone, Debug, PartialEq)]
pub enum LinkFault {
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
    /// Its interface has another MTU.
    Mtu {
        /// The MTU, bytes.
        bytes: u32,
    },
    /// Segmentation offloads are on, as on no other host: healthy, and different.
    Offloads,
}

pub(super) const ROWS: [Row; 4] = [
    ("cable_out@hN|uplink[,for=5s]", "no carrier"),
    (
        "flap@hN|uplink[,times=3][,down=1s][,up=2.5s]",
        "carrier goes and comes; below 1 s the kernel merges flaps",
    ),
    ("mtu@hN,bytes=1400B", "another MTU than the others have"),
    ("offloads@hN", "segmentation offloads on, unlike the others; the NIC is well"),
];

pub(super) fn read(name: &str, values: &mut Values<'_>) -> Option<Result<FaultKind, FaultError>> {
    let kind = match name {
        "cable_out" => values.optional("for", length).map(|for_s| LinkFault::CableOut { for_s }),
        "flap" => flap(values),
        "mtu" => values.needed("bytes", "1400B", frame_bytes).map(|bytes| LinkFault::Mtu { bytes }),
        "offloads" => Ok(LinkFault::Offloads),
        _ => return None,
    };
    Some(kind.map(FaultKind::Link))
}

fn flap(values: &mut Values<'_>) -> Result<LinkFault, FaultError> {
    Ok(LinkFault::Flap {
        times: values.optional("times", times)?.unwrap_or(3),
        // The kernel acts on carrier changes once a second: faster flaps merge into one.
        down_s: values.optional("down", length)?.unwrap_or(1.0),
        up_s: values.optional("up", length)?.unwrap_or(2.5),
    })
}

impl Group for LinkFault {
    fn name(&self) -> &'static str {
        match self {
            Self::CableOut { .. } => "cable_out",
            Self::Flap { .. } => "flap",
            Self::Mtu { .. } => "mtu",
            Self::Offloads => "offloads",
        }
    }

    fn keys(&self) -> Vec<String> {
        match self {
            Self::CableOut { for_s } => lasting(*for_s),
            Self::Flap { times, down_s, up_s } => {
                vec![format!("times={times}"), format!("down={down_s}s"), format!("up={up_s}s")]
            }
            Self::Mtu { bytes } => vec![format!("bytes={bytes}B")],
            Self::Offloads => Vec::new(),
        }
    }

    fn places(&self) -> Places {
        match self {
            Self::CableOut { .. } | Self::Flap { .. } => Places::HostsAndUplink,
            Self::Mtu { .. } | Self::Offloads => Places::Hosts,
        }
    }

    fn subject(&self) -> &'static str {
        match self {
            Self::CableOut { .. } => "cable",
            Self::Flap { .. } => "link",
            Self::Mtu { .. } | Self::Offloads => "interface",
        }
    }

    fn does(&self) -> String {
        match self {
            Self::CableOut { for_s } => format!("is out {}", span(*for_s)),
            Self::Flap { times, down_s, .. } => format!("goes down {times} times for {down_s} s each"),
            Self::Mtu { bytes } => format!("has an MTU of {bytes} bytes"),
            Self::Offloads => "has its offloads on, and is well".to_owned(),
        }
    }

    fn sight(&self) -> &'static str {
        match self {
            Self::CableOut { .. } => "nothing gets through, and the host's own carrier is down",
            Self::Flap { .. } => {
                "outages of about a second each, and the host's carrier_changes counts two for each"
            }
            Self::Mtu { .. } => {
                "TCP adapts; full single frames to the host do not arrive, its rx_dropped moves with them"
            }
            Self::Offloads => "nothing but another line in the audit",
        }
    }

    fn steps(&self, site: &Site<'_>) -> Steps {
        let link =
            |state: &str| Action::Ip { at: At::Switch, text: format!("link set {} {state}\n", site.port()) };
        match self {
            Self::CableOut { for_s } => Steps::lasting(link("down"), *for_s, link("up")),
            Self::Flap { times, down_s, up_s } => {
                let round = down_s + up_s;
                let planned = (0..*times).flat_map(|time| {
                    let at_s = f64::from(time) * round;
                    [Step { at_s, action: link("down") }, Step { at_s: at_s + down_s, action: link("up") }]
                });
                Steps {
                    planned: planned.collect(),
                    over_s: Some(f64::from(*times) * round),
                    undo: vec![link("up")],
                }
            }
            Self::Mtu { bytes } => {
                let mtu = |bytes: u32| Action::Ip {
                    at: At::Host(site.place.first_host()),
                    text: format!("link set eth0 mtu {bytes}\n"),
                };
                Steps::lasting(mtu(*bytes), None, mtu(site.spec.mtu))
            }
            Self::Offloads => {
                let host = site.place.first_host();
                Steps::lasting(
                    Action::Offloads { host, on: true },
                    None,
                    Action::Offloads { host, on: false },
                )
            }
        }
    }
}
