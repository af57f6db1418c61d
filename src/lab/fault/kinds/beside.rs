//! What is not the card: a worker that stops, starves or dies, orders that do not come, traffic of
//! others, a program that drops. None of these may ever accuse a NIC, unless with the counter that
//! says who did it.

use super::{FaultKind, Group, Row, lasting, span};
use crate::{
    lab::{
        fault::{
            Direction, FaultError,
            parse::{Values, count, exact, factor, length, percent, rate},
            place::{Place, Places},
            steps::{Action, At, Helper, Site, Step, Steps},
        },
        fleet::link::{COORDINATOR, data_mac},
        spec::Control,
    },
    model::fleet::units::BitRate,
};

/// What happens beside the card.
#[derive(Clone, Debug, PartialEq)]
pub enum Beside {
    /// The worker is stopped (SIGSTOP).
    Freeze {
        /// Seconds, or until taken back.
        for_s: Option<f64>,
    },
    /// The worker is killed (SIGKILL).
    Kill,
    /// The worker gets only a share of its time, as under a CPU quota.
    Starve {
        /// The share, above 0 and below 1.
        share: f64,
        /// Seconds, or until taken back.
        for_s: Option<f64>,
    },
    /// So many threads that do nothing but run.
    Hog {
        /// Threads.
        threads: u32,
        /// Seconds, or until taken back.
        for_s: Option<f64>,
    },
    /// The host and the coordinator do not reach each other.
    ControlLost {
        /// Seconds, or until taken back.
        for_s: Option<f64>,
    },
    /// A program at the host's interface drops what arrives, as a firewall would.
    XdpDrops {
        /// Of a hundred packets, so many.
        percent: f64,
        /// Seconds, or until taken back.
        for_s: Option<f64>,
    },
    /// Somebody else's datagrams from the first host to the second.
    Background {
        /// How many.
        rate: BitRate,
        /// Seconds, or until taken back.
        for_s: Option<f64>,
    },
}

pub(super) const ROWS: [Row; 7] = [
    ("freeze@hN[,for=5s]", "the worker is stopped; the NIC is well"),
    ("kill@hN", "the worker is killed; the NIC is well"),
    ("starve@hN,share=0.2[,for=20s]", "the worker runs for a share of each 100 ms; the NIC is well"),
    ("hog@hN[,threads=2][,for=20s]", "threads that only burn CPU; the NIC is well"),
    ("control_lost@hN[,for=20s]", "host and coordinator do not reach each other; the NIC is well"),
    (
        "xdp_drops@hN,percent=1[,for=20s]",
        "an XDP program of the host drops what arrives; the driver counts it (root only)",
    ),
    ("background@hN-hM,rate=10M[,for=20s]", "other people's datagrams from hN to hM; the NICs are well"),
];

pub(super) fn read(name: &str, values: &mut Values<'_>) -> Option<Result<FaultKind, FaultError>> {
    let kind = match name {
        "freeze" => values.optional("for", length).map(|for_s| Beside::Freeze { for_s }),
        "kill" => Ok(Beside::Kill),
        "starve" => values
            .needed("share", "0.2", factor)
            .and_then(|share| Ok(Beside::Starve { share, for_s: values.optional("for", length)? })),
        "hog" => hog(values),
        "control_lost" => values.optional("for", length).map(|for_s| Beside::ControlLost { for_s }),
        "xdp_drops" => values
            .needed("percent", "1", percent)
            .and_then(|percent| Ok(Beside::XdpDrops { percent, for_s: values.optional("for", length)? })),
        "background" => values
            .needed("rate", "10M", rate)
            .and_then(|rate| Ok(Beside::Background { rate, for_s: values.optional("for", length)? })),
        _ => return None,
    };
    Some(kind.map(FaultKind::Beside))
}

fn hog(values: &mut Values<'_>) -> Result<Beside, FaultError> {
    let threads = values.optional("threads", count)?.unwrap_or(2).min(64);
    Ok(Beside::Hog { threads, for_s: values.optional("for", length)? })
}

impl Group for Beside {
    fn name(&self) -> &'static str {
        match self {
            Self::Freeze { .. } => "freeze",
            Self::Kill => "kill",
            Self::Starve { .. } => "starve",
            Self::Hog { .. } => "hog",
            Self::ControlLost { .. } => "control_lost",
            Self::XdpDrops { .. } => "xdp_drops",
            Self::Background { .. } => "background",
        }
    }

    fn keys(&self) -> Vec<String> {
        let with =
            |first: String, for_s: &Option<f64>| std::iter::once(first).chain(lasting(*for_s)).collect();
        match self {
            Self::Freeze { for_s } | Self::ControlLost { for_s } => lasting(*for_s),
            Self::Kill => Vec::new(),
            Self::Starve { share, for_s } => with(format!("share={share}"), for_s),
            Self::Hog { threads, for_s } => with(format!("threads={threads}"), for_s),
            Self::XdpDrops { percent, for_s } => with(format!("percent={percent}"), for_s),
            Self::Background { rate, for_s } => with(format!("rate={}", exact(*rate)), for_s),
        }
    }

    fn places(&self) -> Places {
        if matches!(self, Self::Background { .. }) { Places::Paths } else { Places::Hosts }
    }

    fn subject(&self) -> &'static str {
        match self {
            Self::Freeze { .. } | Self::Kill | Self::Starve { .. } => "worker",
            Self::Hog { .. } => "CPU",
            Self::ControlLost { .. } => "way to the coordinator",
            Self::XdpDrops { .. } => "XDP program",
            Self::Background { .. } => "NIC",
        }
    }

    fn does(&self) -> String {
        match self {
            Self::Freeze { for_s } => format!("is stopped {}", span(*for_s)),
            Self::Kill => "is killed".to_owned(),
            Self::Starve { share, for_s } => format!("gets {share} of its time {}", span(*for_s)),
            Self::Hog { threads, for_s } => format!("runs {threads} threads of others {}", span(*for_s)),
            Self::ControlLost { for_s } => format!("is cut {}", span(*for_s)),
            Self::XdpDrops { percent, for_s } => {
                format!("drops {percent} % of what arrives {}", span(*for_s))
            }
            Self::Background { rate, for_s } => {
                format!("also carries {rate} of others' datagrams {}", span(*for_s))
            }
        }
    }

    fn sight(&self) -> &'static str {
        match self {
            Self::Freeze { .. } => {
                "senders limited by the receiver's window, zero-window notices, no retransmissions; pings answered"
            }
            Self::Kill => "connections reset at once, by a kernel that lives",
            Self::Starve { .. } => {
                "late samples and waves of goodput, zero-window notices, no retransmissions"
            }
            Self::Hog { .. } => {
                "threads wait for a core; goodput hardly moves, on all hosts of one machine alike"
            }
            Self::ControlLost { .. } => "data flows on while contact is lost",
            Self::XdpDrops { .. } => {
                "what it receives is lost as on a bad card, and the driver's own counter of XDP drops says who did it"
            }
            Self::Background { .. } => {
                "the pair carries a little less of ours, and the counters of the card more"
            }
        }
    }

    fn steps(&self, site: &Site<'_>) -> Steps {
        let host = site.place.first_host();
        match self {
            Self::Freeze { for_s } => {
                Steps::lasting(Action::Stop { host }, *for_s, Action::Continue { host })
            }
            Self::Kill => Steps {
                planned: vec![Step { at_s: 0.0, action: Action::Kill { host } }],
                over_s: None,
                undo: Vec::new(),
            },
            Self::Starve { share, for_s } => Steps::helped(Helper::Starve { host, share: *share }, *for_s),
            Self::Hog { threads, for_s } => Steps::helped(Helper::Hog { threads: *threads }, *for_s),
            Self::ControlLost { for_s } => control_lost(site, host, *for_s),
            Self::XdpDrops { percent, for_s } => {
                Steps::helped(Helper::Xdp { host, percent: *percent }, *for_s)
            }
            Self::Background { rate, for_s } => {
                let Place::Path(from, to) = site.place else { return Steps::default() };
                Steps::helped(Helper::Background { from, to, rate: *rate }, *for_s)
            }
        }
    }
}

/// In band only what goes to and comes from the coordinator's card is lost.
fn control_lost(site: &Site<'_>, host: u16, for_s: Option<f64>) -> Steps {
    if site.spec.control == Control::Separate {
        let link = |state: &str| Action::Ip { at: At::Switch, text: format!("link set c{host} {state}\n") };
        return Steps::lasting(link("down"), for_s, link("up"));
    }
    let mac = data_mac(COORDINATOR);
    let (tx, rx) = (vec![format!("ether daddr {mac} drop")], vec![format!("ether saddr {mac} drop")]);
    site.directed("", Direction::Both, &tx, &rx, for_s)
}
