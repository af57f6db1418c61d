//! Addresses and neighbours: a card that is well and cannot be found.

use super::{FaultKind, Group, Row, lasting, span};
use crate::lab::fault::{
    Direction, FaultError,
    parse::{Values, length},
    place::{Place, Places},
    steps::{Action, At, Site, Step, Steps},
};

/// What is the matter with addresses.
#[derive(Clone, Debug, PartialEq)]
pub enum Tables {
    /// The address is taken off the interface.
    AddressLost {
        /// Seconds, or until taken back.
        for_s: Option<f64>,
    },
    /// Nobody's question for the host's hardware address is answered, and known ones are
    /// forgotten.
    NeighbourFails {
        /// Seconds, or until taken back.
        for_s: Option<f64>,
    },
    /// The first host has a wrong hardware address for the second.
    WrongEntry,
    /// The second host answers for the first one's address too.
    DuplicateAddress,
}

pub(super) const ROWS: [Row; 4] = [
    ("address_lost@hN[,for=5s]", "the address is taken off the interface"),
    ("neighbour_fails@hN[,for=5s]", "its hardware address is forgotten and cannot be asked for"),
    ("wrong_entry@hN-hM", "hN has a wrong hardware address for hM"),
    ("duplicate_address@hN-hM", "hM answers for hN's address too"),
];

pub(super) fn read(name: &str, values: &mut Values<'_>) -> Option<Result<FaultKind, FaultError>> {
    let kind = match name {
        "address_lost" => values.optional("for", length).map(|for_s| Tables::AddressLost { for_s }),
        "neighbour_fails" => values.optional("for", length).map(|for_s| Tables::NeighbourFails { for_s }),
        "wrong_entry" => Ok(Tables::WrongEntry),
        "duplicate_address" => Ok(Tables::DuplicateAddress),
        _ => return None,
    };
    Some(kind.map(FaultKind::Tables))
}

impl Group for Tables {
    fn name(&self) -> &'static str {
        match self {
            Self::AddressLost { .. } => "address_lost",
            Self::NeighbourFails { .. } => "neighbour_fails",
            Self::WrongEntry => "wrong_entry",
            Self::DuplicateAddress => "duplicate_address",
        }
    }

    fn keys(&self) -> Vec<String> {
        match self {
            Self::AddressLost { for_s } | Self::NeighbourFails { for_s } => lasting(*for_s),
            Self::WrongEntry | Self::DuplicateAddress => Vec::new(),
        }
    }

    fn places(&self) -> Places {
        match self {
            Self::AddressLost { .. } | Self::NeighbourFails { .. } => Places::Hosts,
            Self::WrongEntry | Self::DuplicateAddress => Places::Paths,
        }
    }

    fn subject(&self) -> &'static str {
        match self {
            Self::AddressLost { .. } | Self::DuplicateAddress => "address",
            Self::NeighbourFails { .. } => "hardware address",
            Self::WrongEntry => "table of neighbours",
        }
    }

    fn does(&self) -> String {
        match self {
            Self::AddressLost { for_s } => format!("is off the interface {}", span(*for_s)),
            Self::NeighbourFails { for_s } => format!("cannot be asked for {}", span(*for_s)),
            Self::WrongEntry => "is wrong".to_owned(),
            Self::DuplicateAddress => "is in use twice".to_owned(),
        }
    }

    fn sight(&self) -> &'static str {
        match self {
            Self::AddressLost { .. } => {
                "network unreachable on the host, nothing arrives; its list of addresses says so"
            }
            Self::NeighbourFails { .. } => {
                "all its traffic stands still; the others' entries for it are incomplete or failed"
            }
            Self::WrongEntry => "only this pair is silent, and the entry differs from what the others have",
            Self::DuplicateAddress => "others have two hardware addresses for it, and connections are reset",
        }
    }

    fn steps(&self, site: &Site<'_>) -> Steps {
        let host = site.place.first_host();
        let address = |verb: &str, at: u16| Action::Ip {
            at: At::Host(at),
            text: format!(
                "addr {verb} {}/{} dev eth0{}\n",
                site.spec.host_addr(host),
                site.spec.prefix_bits(),
                if site.spec.ipv6 && verb == "add" { " nodad" } else { "" }
            ),
        };
        let forget = || Action::Ip { at: At::Others(host), text: "neigh flush dev eth0\n".to_owned() };
        match (self, site.place) {
            (Self::AddressLost { for_s }, _) => {
                Steps::lasting(address("del", host), *for_s, address("add", host))
            }
            (Self::NeighbourFails { for_s }, _) => {
                let rule = if site.spec.ipv6 {
                    "icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert } drop"
                } else {
                    "meta protocol arp drop"
                };
                let mut steps = site.rules(Direction::Both, &[rule.to_owned()], *for_s);
                steps.planned.push(Step { at_s: 0.0, action: forget() });
                steps
            }
            (Self::WrongEntry, Place::Path(_, other)) => {
                let entry = |verb: &str| Action::Ip {
                    at: At::Host(host),
                    text: format!("neigh {verb} {} lladdr {NOBODY} dev eth0\n", site.spec.host_addr(other)),
                };
                Steps::lasting(entry("replace"), None, entry("del"))
            }
            (_, Place::Path(_, other)) => {
                let mut steps = Steps::lasting(address("add", other), None, address("del", other));
                steps.planned.push(Step { at_s: 0.0, action: Action::Announce { host: other } });
                steps.undo.push(Action::Announce { host });
                steps
            }
            // Refused when it was read.
            (_, Place::Host(_) | Place::Uplink) => Steps::default(),
        }
    }
}

/// A hardware address that nobody has.
const NOBODY: &str = "02:ca:ff:ff:ff:fe";
