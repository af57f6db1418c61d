//! What could not be read: once a fact, with the way to read it by hand. Never judged.

use super::{Subject, command, majority, shape::UnreadFact};
use crate::model::{fleet::host::HostName, record::facts::HostFacts};

/// A fact that a policy needs and that is not known of a host.
pub struct Needed {
    /// One of [`SOURCES`].
    pub fact: &'static str,
    /// The policy's key.
    pub key: String,
    /// Of which host.
    pub host: HostName,
    /// Why it is not known.
    pub why: String,
}

/// Something that is read in one piece.
struct Source {
    name: &'static str,
    unread: fn(&HostFacts) -> Option<&str>,
    look: &'static str,
}

/// What the rules, the majority and the policy rest on.
const SOURCES: &[Source] = &[
    Source { name: "driver", unread: |facts| facts.card.driver.unread(), look: "ethtool -i {iface}" },
    Source { name: "link", unread: |facts| facts.card.link.unread(), look: "ip -s link show dev {iface}" },
    Source { name: "settings", unread: |facts| facts.card.settings.unread(), look: "ethtool {iface}" },
    Source { name: "offloads", unread: |facts| facts.card.features.unread(), look: "ethtool -k {iface}" },
    Source { name: "rings", unread: |facts| facts.card.rings.unread(), look: "ethtool -g {iface}" },
    Source { name: "channels", unread: |facts| facts.card.channels.unread(), look: "ethtool -l {iface}" },
    Source { name: "kernel", unread: |facts| facts.machine.kernel.unread(), look: "uname -r" },
    Source {
        name: "product",
        unread: |facts| facts.machine.product.unread(),
        look: "cat /sys/class/dmi/id/product_name",
    },
    Source {
        name: "module",
        unread: |facts| facts.module.name.unread().or(facts.module.version.unread()),
        look: "readlink /sys/class/net/{iface}/device/driver/module; cat /sys/module/*/version",
    },
    Source { name: "kernels", unread: |facts| facts.kernels.unread(), look: "ls /lib/modules" },
    Source { name: "dkms", unread: |facts| facts.dkms.unread(), look: "dkms status" },
];

/// Every fact that is unread on some host, in the order of [`SOURCES`].
pub fn facts(subjects: &[Subject], needed: &[Needed]) -> Vec<UnreadFact> {
    SOURCES.iter().filter_map(|source| of_source(source, subjects, needed)).collect()
}

fn of_source(source: &Source, subjects: &[Subject], needed: &[Needed]) -> Option<UnreadFact> {
    let mut hosts: Vec<HostName> = Vec::new();
    let mut why: Vec<String> = Vec::new();
    let needed: Vec<&Needed> = needed.iter().filter(|needed| needed.fact == source.name).collect();
    for subject in subjects {
        let by_policy = needed.iter().find(|needed| needed.host == subject.host).map(|needed| &*needed.why);
        let Some(reason) = (source.unread)(&subject.facts).or(by_policy) else { continue };
        hosts.push(subject.host.clone());
        if !why.iter().any(|said| said == reason) {
            why.push(reason.to_owned());
        }
    }
    let first = subjects.iter().find(|subject| Some(&subject.host) == hosts.first())?;
    let mut keys: Vec<String> = needed.iter().map(|needed| needed.key.clone()).collect();
    keys.sort();
    keys.dedup();
    let look = command::fill(source.look, &majority::fills(first));
    Some(UnreadFact { fact: source.name.to_owned(), hosts, why, look, needed_by: keys })
}
