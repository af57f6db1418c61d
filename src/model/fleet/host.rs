//! Hosts as the fleet knows them: names, numbers, the card under test, the rack.
//!
//! What a host *reports* about itself (counters, kernel lines) is the record's.

use std::{fmt, net::IpAddr, str::FromStr};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The number of a host within a run: its place in the inventory.
#[derive(
    Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize, Deserialize, JsonSchema,
)]
#[serde(transparent)]
pub struct HostId(pub u16);

impl HostId {
    /// As an index into per-host tables.
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}

/// The name of a host, or of one card of it (`h3/eth1`): 1 to 253 of `a-z A-Z 0-9 . _ - /`.
///
/// Names come from other machines and end in terminals, file names and HTML, so nothing
/// that could be a control character, a path step up or markup is let in.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
pub struct HostName(String);

/// Why a text is no host name.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error(
    "{0:?} is no host name: use 1 to 253 of the characters a-z A-Z 0-9 . _ - /, beginning with a letter or digit"
)]
pub struct HostNameError(String);

impl HostName {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for HostName {
    type Err = HostNameError;

    fn from_str(text: &str) -> Result<Self, HostNameError> {
        let sound = (1..=253).contains(&text.len())
            && text.starts_with(|c: char| c.is_ascii_alphanumeric())
            && text.chars().all(|c| c.is_ascii_alphanumeric() || "._-/".contains(c))
            && !text.contains("..");
        if sound { Ok(Self(text.to_owned())) } else { Err(HostNameError(text.chars().take(60).collect())) }
    }
}

impl TryFrom<String> for HostName {
    type Error = HostNameError;

    fn try_from(text: String) -> Result<Self, HostNameError> {
        text.parse()
    }
}

impl From<HostName> for String {
    fn from(name: HostName) -> Self {
        name.0
    }
}

impl fmt::Display for HostName {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.pad(&self.0)
    }
}

/// What is known of the card under test before any load: facts, not judgements.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
pub struct NicFacts {
    /// The interface's name, for example `eth0`.
    pub iface: String,
    /// The address that data sockets are bound to.
    pub addr: Option<IpAddr>,
    /// The driver's name, where ethtool tells it.
    pub driver: Option<String>,
    /// What the driver declares; a declaration only bounds and classes hosts.
    pub speed_bps: Option<u64>,
    /// The interface's maximum transmission unit, in bytes.
    pub mtu: Option<u32>,
    /// The lower devices of a bond, VLAN or bridge.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub lower: Vec<String>,
}

/// One planned host of a run.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct Host {
    /// Its number in this run.
    pub id: HostId,
    /// Its name.
    pub name: HostName,
    /// The rack it stands in, from the label `rack`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rack: Option<String>,
    /// The card under test.
    pub nic: NicFacts,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_could_leave_a_folder_or_colour_a_terminal_are_refused() {
        for good in ["h1", "db-7.rack2.example.com", "h3/eth1", "A_b"] {
            assert!(good.parse::<HostName>().is_ok(), "{good}");
        }
        for bad in ["", "../x", "a/../b", "-x", "a b", "x\u{1b}[31m", "<b>", "ü", &"x".repeat(254)] {
            assert!(bad.parse::<HostName>().is_err(), "{bad:?}");
        }
    }
}
