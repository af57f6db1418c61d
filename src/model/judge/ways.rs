//! What a detector finds: on hosts, and on the ways between them that no host explains.
//!
//! # What does not belong here
//!
//! When a way is bad: its detector's. What else is said of pairs: `paths`; of uplinks: `rack`.

use std::collections::BTreeMap;

use super::{
    paths::Pair,
    rack::{Crossing, Symptom, Symptoms},
    summary::Finding,
};
use crate::model::fleet::host::HostId;

/// What a detector found.
#[derive(Clone, Debug, Default)]
pub struct Found {
    /// On hosts.
    pub hosts: Vec<(HostId, Finding)>,
    /// On crossings from one rack to another.
    pub crossings: Symptoms,
    /// On two hosts with each other, whatever else is said of either.
    pub pairs: Vec<(Pair, Finding)>,
}

impl Found {
    /// On hosts alone.
    pub fn on_hosts(hosts: Vec<(HostId, Finding)>) -> Self {
        Self { hosts, ..Self::default() }
    }

    /// With crossings that show a symptom.
    #[must_use]
    pub fn with(mut self, symptom: Symptom, crossings: BTreeMap<Crossing, f64>) -> Self {
        self.crossings.extend(crossings.into_iter().map(|(crossing, share)| ((crossing, symptom), share)));
        self
    }

    /// With what another found.
    #[must_use]
    pub fn and(mut self, other: Self) -> Self {
        self.hosts.extend(other.hosts);
        self.crossings.extend(other.crossings);
        self.pairs.extend(other.pairs);
        self
    }
}
