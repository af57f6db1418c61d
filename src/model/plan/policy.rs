//! A policy: what the owner of a fleet demands of every host's card, driver and kernel.
//!
//! The shape, and which demands hold for which host. Reading one from text is `reader`'s
//! work; whether a host meets it is judged in `judge::audit`.

use serde::{Deserialize, Serialize};

use super::draft::Faults;
use crate::model::fleet::units::BitRate;

pub mod offload;
mod reader;

/// What is demanded, checked. It stands in the record's first line, so that judging a record
/// again needs no file.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Policy {
    /// Its clauses, as written; of two with the same key that fit a host the later one holds.
    pub clauses: Vec<Clause>,
}

/// One demand.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Clause {
    /// Of which hosts.
    #[serde(default, skip_serializing_if = "Scope::is_all")]
    pub scope: Scope,
    /// What.
    pub demand: Demand,
    /// What it means where it is not met.
    pub severity: Gravity,
}

/// What a demand that is not met means.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Gravity {
    /// The host fails. The default: who writes a demand down means it.
    #[default]
    Fail,
    /// It is told.
    Warn,
}

/// Hosts that a section speaks of: all patterns that are given must fit; `*` stands for any
/// characters.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
pub struct Scope {
    /// The host's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    /// The driver that runs its card.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub driver: Option<String>,
    /// Its product name or instance type.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub product: Option<String>,
}

/// What is demanded of one fact.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Demand {
    /// The driver's name.
    Driver(String),
    /// Its version, at least.
    DriverVersionMin(String),
    /// The firmware's version, at least.
    FirmwareMin(String),
    /// The kernel's release, at least.
    KernelMin(String),
    /// The maximum transmission unit, bytes.
    Mtu(u32),
    /// The link's speed, at least.
    LinkSpeedMin(BitRate),
    /// Descriptors of a receive ring, at least.
    RingRxMin(u32),
    /// Descriptors of a transmit ring, at least.
    RingTxMin(u32),
    /// Combined queues, at least.
    CombinedMin(u32),
    /// An offload, by the name it was written with, on or off.
    Offload(String, bool),
}

impl Demand {
    /// Its key in a policy file.
    pub fn key(&self) -> String {
        match self {
            Self::Driver(_) => "driver".to_owned(),
            Self::DriverVersionMin(_) => "driver_version_min".to_owned(),
            Self::FirmwareMin(_) => "firmware_min".to_owned(),
            Self::KernelMin(_) => "kernel_min".to_owned(),
            Self::Mtu(_) => "mtu".to_owned(),
            Self::LinkSpeedMin(_) => "link_speed_min".to_owned(),
            Self::RingRxMin(_) => "rings.rx_min".to_owned(),
            Self::RingTxMin(_) => "rings.tx_min".to_owned(),
            Self::CombinedMin(_) => "channels.combined_min".to_owned(),
            Self::Offload(name, _) => format!("offloads.{name}"),
        }
    }
}

impl Scope {
    fn is_all(&self) -> bool {
        *self == Self::default()
    }

    /// Whether it speaks of a host. What is not known of a host fits no pattern of it.
    pub fn fits(&self, host: &str, driver: Option<&str>, product: Option<&str>) -> bool {
        let fits = |pattern: &Option<String>, text: Option<&str>| {
            pattern.as_ref().is_none_or(|pattern| text.is_some_and(|text| matches(pattern, text)))
        };
        fits(&self.host, Some(host)) && fits(&self.driver, driver) && fits(&self.product, product)
    }
}

impl Policy {
    /// Reads and checks a policy file's text; `of` names it in errors.
    ///
    /// # Errors
    ///
    /// With everything that is wrong with it.
    pub fn read(of: &str, text: &str) -> Result<Self, Faults> {
        reader::read(of, text)
    }

    /// The clauses that hold for a host, each key once, in the order of the file.
    pub fn clauses_for(&self, host: &str, driver: Option<&str>, product: Option<&str>) -> Vec<&Clause> {
        let fitting: Vec<&Clause> =
            self.clauses.iter().filter(|clause| clause.scope.fits(host, driver, product)).collect();
        let is_last = |at: usize, clause: &Clause| {
            fitting[at + 1..].iter().all(|later| later.demand.key() != clause.demand.key())
        };
        let last = fitting.iter().enumerate().filter(|(at, clause)| is_last(*at, clause));
        last.map(|(_, clause)| *clause).collect()
    }
}

/// Whether `text` fits `pattern`, in which `*` stands for any characters.
fn matches(pattern: &str, text: &str) -> bool {
    let mut parts = pattern.split('*');
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = text.strip_prefix(first) else { return false };
    let parts: Vec<&str> = parts.collect();
    let Some((last, middle)) = parts.split_last() else { return rest.is_empty() };
    for part in middle {
        let Some(at) = rest.find(part) else { return false };
        rest = &rest[at + part.len()..];
    }
    rest.ends_with(last)
}

#[cfg(test)]
mod tests;
