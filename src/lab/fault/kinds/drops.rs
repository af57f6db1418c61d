//! Packets that are lost by a rule: all, some at random, the large ones, those above a rate.

use super::{FaultKind, Group, Limit, Row, lasting, span};
use crate::lab::fault::{
    Direction, FaultError,
    parse::{Values, count, frame_bytes, length, one_direction, percent},
    place::Places,
    steps::{Site, Steps, packets},
};

/// Packets are lost.
#[derive(Clone, Debug, PartialEq)]
pub enum Drops {
    /// All, both ways.
    Dead {
        /// Seconds, or until taken back.
        for_s: Option<f64>,
    },
    /// All in one direction.
    OneWayDead {
        /// The direction that is dead.
        direction: Direction,
        /// Seconds, or until taken back.
        for_s: Option<f64>,
    },
    /// Single ones at random.
    Loss {
        /// The lossy directions.
        direction: Direction,
        /// Of a hundred packets, so many.
        percent: f64,
    },
    /// All for a moment, about so often.
    Bursts {
        /// The lossy directions.
        direction: Direction,
        /// Of a hundred packets, so many begin a burst.
        percent: f64,
        /// Seconds that a burst lasts.
        for_s: f64,
    },
    /// Those above a rate.
    Above {
        /// The lossy directions.
        direction: Direction,
        /// What passes.
        limit: Limit,
    },
    /// Those above a size.
    Large {
        /// The directions in which they are lost.
        direction: Direction,
        /// The largest IP packet that passes, bytes.
        over_bytes: u32,
    },
    /// Those of flows that fall to one queue of several.
    Queue {
        /// The directions in which they are lost.
        direction: Direction,
        /// How many queues there are.
        queues: u32,
    },
    /// First packets of TCP connections that no table has room for.
    NewFlows {
        /// The directions in which they are lost.
        direction: Direction,
        /// Connections that the table holds.
        flows: u32,
        /// Seconds that a connection stays in it.
        memory_s: f64,
    },
}

/// A table of connections forgets after as long as Linux does for half-open ones.
const FLOW_MEMORY_S: f64 = 60.0;

pub(super) const ROWS: [Row; 8] = [
    ("dead@hN|hN-hM|uplink[,for=5s]", "silent both ways, carrier up"),
    ("one_way_dead@hN|hN-hM|uplink,direction=tx|rx[,for=5s]", "sends but does not receive, or the reverse"),
    ("loss@hN|hN-hM|uplink,percent=0.5[,direction=tx|rx|both]", "loses single packets at random"),
    (
        "loss_bursts@hN|hN-hM|uplink,percent=0.02[,for=80ms][,direction=…]",
        "now and then loses all packets for a moment",
    ),
    (
        "loss_above@hN|hN-hM|uplink,rate=40M|pps=3000[,direction=…]",
        "loses what is above a rate, and queues nothing",
    ),
    ("frame_hole@hN|hN-hM|uplink,over=1400B[,direction=…]", "loses every larger packet, without a word"),
    ("dead_queue@hN|uplink,queues=4[,direction=…]", "loses all flows that hash to one queue of several"),
    (
        "refuses_flows@hN|uplink,flows=600[,memory=60s][,direction=…]",
        "a table of connections that is full: new ones are lost",
    ),
];

pub(super) fn read(name: &str, values: &mut Values<'_>) -> Option<Result<FaultKind, FaultError>> {
    let kind = match name {
        "dead" => values.optional("for", length).map(|for_s| Drops::Dead { for_s }),
        "one_way_dead" => values.needed("direction", "tx", one_direction).and_then(|direction| {
            Ok(Drops::OneWayDead { direction, for_s: values.optional("for", length)? })
        }),
        "loss" => directed(values, |values, direction| {
            Ok(Drops::Loss { direction, percent: values.needed("percent", "0.5", percent)? })
        }),
        "loss_bursts" => directed(values, |values, direction| {
            let percent = values.needed("percent", "0.02", percent)?;
            Ok(Drops::Bursts { direction, percent, for_s: values.optional("for", length)?.unwrap_or(0.08) })
        }),
        "loss_above" => {
            directed(values, |values, direction| Ok(Drops::Above { direction, limit: Limit::read(values)? }))
        }
        "frame_hole" => directed(values, |values, direction| {
            Ok(Drops::Large { direction, over_bytes: values.needed("over", "1400B", frame_bytes)? })
        }),
        "dead_queue" => directed(values, |values, direction| {
            let queues = values.needed("queues", "4", count)?;
            Ok(Drops::Queue { direction, queues: queues.max(2) })
        }),
        "refuses_flows" => directed(values, |values, direction| {
            let flows = values.needed("flows", "600", count)?;
            let memory_s = values.optional("memory", length)?.unwrap_or(FLOW_MEMORY_S);
            Ok(Drops::NewFlows { direction, flows, memory_s })
        }),
        _ => return None,
    };
    Some(kind.map(FaultKind::Drops))
}

fn directed(
    values: &mut Values<'_>,
    rest: impl FnOnce(&mut Values<'_>, Direction) -> Result<Drops, FaultError>,
) -> Result<Drops, FaultError> {
    let direction = values.direction()?;
    rest(values, direction)
}

/// More than a limit, over a bucket as small as policers have: nft keeps one of a whole second
/// for bytes, so full frames are counted instead.
fn policing(limit: Limit) -> String {
    match limit {
        Limit::Pps(_) => limit.over(0),
        Limit::Rate(rate) => {
            let frames = (rate.bps() / 8 / packets::FULL_FRAME_BYTES).max(1) as u32;
            format!("meta length > 1000 {}", Limit::Pps(frames).over(0))
        }
    }
}

impl Group for Drops {
    fn name(&self) -> &'static str {
        match self {
            Self::Dead { .. } => "dead",
            Self::OneWayDead { .. } => "one_way_dead",
            Self::Loss { .. } => "loss",
            Self::Bursts { .. } => "loss_bursts",
            Self::Above { .. } => "loss_above",
            Self::Large { .. } => "frame_hole",
            Self::Queue { .. } => "dead_queue",
            Self::NewFlows { .. } => "refuses_flows",
        }
    }

    fn keys(&self) -> Vec<String> {
        let directed = |direction: &Direction, rest: Vec<String>| {
            let mut keys = vec![format!("direction={direction}")];
            keys.extend(rest);
            keys
        };
        match self {
            Self::Dead { for_s } => lasting(*for_s),
            Self::OneWayDead { direction, for_s } => directed(direction, lasting(*for_s)),
            Self::Loss { direction, percent } => directed(direction, vec![format!("percent={percent}")]),
            Self::Bursts { direction, percent, for_s } => {
                directed(direction, vec![format!("percent={percent}"), format!("for={for_s}s")])
            }
            Self::Above { direction, limit } => directed(direction, vec![limit.key()]),
            Self::Large { direction, over_bytes } => directed(direction, vec![format!("over={over_bytes}B")]),
            Self::Queue { direction, queues } => directed(direction, vec![format!("queues={queues}")]),
            Self::NewFlows { direction, flows, memory_s } => {
                directed(direction, vec![format!("flows={flows}"), format!("memory={memory_s}s")])
            }
        }
    }

    fn places(&self) -> Places {
        match self {
            Self::Queue { .. } | Self::NewFlows { .. } => Places::HostsAndUplink,
            _ => Places::All,
        }
    }

    fn does(&self) -> String {
        match self {
            Self::Dead { for_s } => format!("is silent both ways {}", span(*for_s)),
            Self::OneWayDead { direction, for_s } => {
                format!("is dead in direction {direction} {}", span(*for_s))
            }
            Self::Loss { direction, percent } => {
                format!("loses {percent} % of packets in direction {direction}")
            }
            Self::Bursts { direction, percent, for_s } => {
                format!(
                    "loses all packets for {for_s} s after {percent} % of packets in direction {direction}"
                )
            }
            Self::Above { direction, limit } => {
                format!("loses what is above {limit} in direction {direction}")
            }
            Self::Large { direction, over_bytes } => {
                format!("loses packets above {over_bytes} bytes in direction {direction}")
            }
            Self::Queue { direction, queues } => {
                format!("loses the flows of one of {queues} queues in direction {direction}")
            }
            Self::NewFlows { direction, flows, .. } => {
                format!("refuses new connections in direction {direction} once it remembers {flows}")
            }
        }
    }

    fn sight(&self) -> &'static str {
        match self {
            Self::Dead { .. } => "nothing to or from the host gets through, and its carrier is up",
            Self::OneWayDead { .. } => {
                "no connection in either direction; on the dead direction's far end nothing arrives, on the other it does"
            }
            Self::Loss { .. } => {
                "retransmissions on exactly this host's flows at a paced load; goodput may hardly move"
            }
            Self::Bursts { .. } => "time-outs and retransmissions in bunches on this host's flows",
            Self::Above { .. } => {
                "at half load nothing; above the rate retransmissions and less goodput than its class, short queues"
            }
            Self::Large { .. } => {
                "handshakes and small frames pass; bulk data stands still, frames above the size never arrive"
            }
            Self::Queue { .. } => {
                "of its flows a fixed share never gets anything through, on whichever try, and the others all do"
            }
            Self::NewFlows { .. } => {
                "flows that stand go on; new connections time out, more of them the more are asked for"
            }
        }
    }

    fn steps(&self, site: &Site<'_>) -> Steps {
        let drop_all = vec!["drop".to_owned()];
        match self {
            Self::Dead { for_s } => site.rules(Direction::Both, &drop_all, *for_s),
            Self::OneWayDead { direction, for_s } => site.rules(*direction, &drop_all, *for_s),
            Self::Loss { direction, percent } => {
                site.rules(*direction, &[format!("{} drop", packets::share(*percent))], None)
            }
            Self::Bursts { direction, percent, for_s } => {
                let sets = "  set hole {\n    typeof meta mark; flags dynamic,timeout; size 4;\n  }\n";
                let timeout = (for_s * 1000.0).round() as u64;
                let rules = [
                    "meta mark @hole drop".to_owned(),
                    format!(
                        "{} add @hole {{ meta mark timeout {timeout}ms }} drop",
                        packets::share(*percent)
                    ),
                ];
                site.directed(sets, *direction, &rules, &rules, None)
            }
            Self::Above { direction, limit } => {
                site.rules(*direction, &[format!("{} drop", policing(*limit))], None)
            }
            Self::Large { direction, over_bytes } => {
                let rule = |header: u32| vec![format!("meta length > {} drop", over_bytes + header)];
                // Only the egress hook sees the Ethernet header.
                site.directed("", *direction, &rule(0), &rule(packets::ETHERNET_BYTES), None)
            }
            Self::Queue { direction, queues } => {
                let ip = site.ip();
                let key = format!("{ip} saddr . {ip} daddr . th sport . th dport");
                let rule =
                    format!("meta l4proto {{ tcp, udp }} jhash {key} mod {queues} seed 0x6e62 == 0 drop");
                site.rules(*direction, &[rule], None)
            }
            Self::NewFlows { direction, flows, memory_s } => {
                let ip = site.ip();
                let key = format!("{ip} saddr . {ip} daddr . tcp sport . tcp dport");
                let set = |name: &str| {
                    format!("  set {name} {{\n    typeof {key}; flags dynamic,timeout; size {flows};\n  }}\n")
                };
                let timeout = (memory_s * 1000.0).round() as u64;
                // What has no room left cannot be added: then the next rule is reached.
                let rules = |name: &str| {
                    let first = "tcp flags & (syn | ack) == syn";
                    vec![
                        format!("{first} update @{name} {{ {key} timeout {timeout}ms }} accept"),
                        format!("{first} drop"),
                    ]
                };
                let sets = format!("{}{}", set("sends"), set("receives"));
                site.directed(&sets, *direction, &rules("sends"), &rules("receives"), None)
            }
        }
    }
}
