//! Where something is broken: a host's card, the path between two hosts, or the uplink.

use std::fmt;

use super::FaultError;
use crate::lab::spec::{host_name, host_number};

/// Where something is broken.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Place {
    /// At a host, by its number from 1.
    Host(u16),
    /// Between two hosts and no others.
    Path(u16, u16),
    /// Between the racks of a lab that has two.
    Uplink,
}

impl Place {
    /// What stands after the `@` of a fault.
    pub(super) fn read(text: &str) -> Result<Self, FaultError> {
        let host = |name: &str| host_number(name).ok_or_else(|| FaultError::Host(name.to_owned()));
        match text.split_once('-') {
            _ if text == "uplink" => Ok(Self::Uplink),
            None => Ok(Self::Host(host(text)?)),
            Some((a, b)) if a == b => Err(FaultError::Host(text.to_owned())),
            Some((a, b)) => Ok(Self::Path(host(a)?, host(b)?)),
        }
    }

    /// The hosts that it names.
    pub fn hosts(self) -> impl Iterator<Item = u16> {
        let (a, b) = match self {
            Self::Host(a) => (Some(a), None),
            Self::Path(a, b) => (Some(a), Some(b)),
            Self::Uplink => (None, None),
        };
        a.into_iter().chain(b)
    }

    /// The host at which its steps are done; the first of the lab for the uplink.
    pub(crate) const fn first_host(self) -> u16 {
        match self {
            Self::Host(host) | Self::Path(host, _) => host,
            Self::Uplink => 1,
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Host(host) => out.write_str(&host_name(*host)),
            Self::Path(a, b) => write!(out, "{}-{}", host_name(*a), host_name(*b)),
            Self::Uplink => out.write_str("uplink"),
        }
    }
}

/// Places at which a kind of fault can be.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Places {
    /// At a host only.
    Hosts,
    /// Between two hosts only.
    Paths,
    /// At a host or on the uplink.
    HostsAndUplink,
    /// Everywhere.
    All,
}

impl Places {
    pub(super) const fn allow(self, place: Place) -> bool {
        match place {
            Place::Host(_) => !matches!(self, Self::Paths),
            Place::Path(..) => matches!(self, Self::Paths | Self::All),
            Place::Uplink => matches!(self, Self::HostsAndUplink | Self::All),
        }
    }

    /// What to write after the `@` instead.
    pub(super) const fn wanted(self) -> &'static str {
        match self {
            Self::Hosts => "a host, as h3",
            Self::Paths => "two hosts, as h3-h5",
            Self::HostsAndUplink => "a host, as h3, or uplink",
            Self::All => "a host, as h3, two hosts, as h3-h5, or uplink",
        }
    }
}
