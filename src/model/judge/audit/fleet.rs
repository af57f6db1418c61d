//! Who is compared with whom, and what most of them have.

use std::collections::BTreeMap;

use super::{Subject, rows};
use crate::model::record::facts::HostFacts;

/// Hosts that must say anything at all before most of them can be right.
const HOSTS_MIN: usize = 3;

/// The share that must agree, in per cent: with less it is a mixed fleet and no stray.
const AGREE_MIN_PERCENT: usize = 75;

/// Drivers that can run the same instance's card, depending on what is installed: a host that
/// fell from one to another is still compared with the others.
const FAMILIES: &[(&str, &[&str])] = &[
    ("Xen or EC2 network", &["ena", "ixgbevf", "igbvf", "vif", "xen_netfront"]),
    ("Google or virtio network", &["gve", "virtio_net"]),
    ("Hyper-V or Azure network", &["hv_netvsc", "mana"]),
];

/// The names under which xen's paravirtual driver goes: its module's and its bus's.
pub fn is_xen_netfront(driver: &str) -> bool {
    matches!(driver, "vif" | "xen_netfront" | "netfront")
}

/// The driver's name, where it is known.
pub fn driver(facts: &HostFacts) -> Option<&str> {
    facts.card.driver.known().map(|driver| driver.name.as_str())
}

/// What a host is compared with: its product and the family of its driver.
pub fn machine_type(facts: &HostFacts) -> String {
    let product = facts.machine.product.known().map_or("unnamed machine", |product| product.trim());
    let family = driver(facts).map_or("unknown card", |driver| {
        FAMILIES.iter().find(|(_, drivers)| drivers.contains(&driver)).map_or(driver, |(name, _)| *name)
    });
    format!("{product}, {family}")
}

/// What most hosts of a group have.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Majority {
    /// The value.
    pub value: String,
    /// How many have it.
    pub agree: usize,
    /// Of how many that said anything.
    pub of: usize,
}

/// All hosts, in groups.
pub struct Fleet<'a> {
    /// As given.
    pub subjects: &'a [Subject],
    by_type: BTreeMap<String, Vec<&'a Subject>>,
}

impl<'a> Fleet<'a> {
    pub fn of(subjects: &'a [Subject]) -> Self {
        let mut by_type: BTreeMap<String, Vec<&Subject>> = BTreeMap::new();
        for subject in subjects {
            by_type.entry(machine_type(&subject.facts)).or_default().push(subject);
        }
        Self { subjects, by_type }
    }

    /// Hosts of the same machine type, itself among them; with `of_driver` only those under
    /// the same driver.
    pub fn peers(&self, subject: &Subject, of_driver: bool) -> Vec<&'a Subject> {
        let own = driver(&subject.facts);
        let all = self.by_type.get(&machine_type(&subject.facts)).into_iter().flatten();
        all.filter(|peer| !of_driver || driver(&peer.facts) == own).copied().collect()
    }

    /// What most peers have of something; `None` where too few say, or too few agree.
    pub fn majority(
        &self,
        subject: &Subject,
        of_driver: bool,
        read: impl Fn(&HostFacts) -> Option<String>,
    ) -> Option<Majority> {
        let peers = self.peers(subject, of_driver);
        let mut counts: BTreeMap<String, usize> = BTreeMap::new();
        for value in peers.iter().filter_map(|peer| read(&peer.facts)) {
            *counts.entry(value).or_default() += 1;
        }
        let of = counts.values().sum();
        let (value, agree) = counts.into_iter().max_by_key(|(_, count)| *count)?;
        (of >= HOSTS_MIN && agree * 100 >= of * AGREE_MIN_PERCENT).then_some(Majority { value, agree, of })
    }

    /// The driver that most peers have.
    pub fn drivers_majority(&self, subject: &Subject) -> Option<Majority> {
        self.majority(subject, false, |facts| rows::shown(&(rows::ROWS[0].read)(facts)))
    }
}
