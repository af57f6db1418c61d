//! Facts of hosts for tests: sensible ones, and the story's.

use std::collections::BTreeMap;

use super::Subject;
use crate::model::record::facts::{
    Asked, CardFacts, Channels, Counters, DkmsModule, DriverInfo, Fact, Feature, HostFacts, InstalledKernel,
    LinkFacts, LinkSettings, MachineFacts, ModuleFacts, ModuleOnDisk, Rings,
};

pub const OLD_KERNEL: &str = "3.13.0-24-generic";
pub const NEW_KERNEL: &str = "3.13.0-101-generic";

/// A sound host of the story's fleet: `ixgbevf` 2.16.4 by DKMS, built for its only kernel.
pub fn sound() -> HostFacts {
    HostFacts {
        asked: Asked::Start,
        boot_id: Fact::Known("boot".to_owned()),
        machine: MachineFacts {
            kernel: Fact::Known(OLD_KERNEL.to_owned()),
            distribution: Fact::Known("Ubuntu 14.04.5 LTS".to_owned()),
            architecture: Fact::Known("x86_64".to_owned()),
            product: Fact::Known("c3.8xlarge".to_owned()),
            vendor: Fact::Known("Xen".to_owned()),
            cores: Fact::Known(32),
            memory_bytes: Fact::Known(64_000_000_000),
        },
        card: CardFacts {
            iface: "eth0".to_owned(),
            driver: Fact::Known(DriverInfo {
                name: "ixgbevf".to_owned(),
                version: "2.16.4".to_owned(),
                firmware: "N/A".to_owned(),
                bus: "0000:00:03.0".to_owned(),
            }),
            link: Fact::Known(LinkFacts { up: true, carrier: true, mtu: 9001, ..LinkFacts::default() }),
            settings: Fact::Known(LinkSettings {
                speed_bps: Some(10_000_000_000),
                advertised_max_bps: Some(10_000_000_000),
                supported_max_bps: Some(10_000_000_000),
                duplex: Some("full".to_owned()),
                autoneg: Some(false),
            }),
            features: features(&[
                ("rx-gro", true),
                ("tx-scatter-gather", true),
                ("tx-tcp-segmentation", true),
            ]),
            rings: Fact::Known(Rings { rx: 512, rx_max: 4096, tx: 1024, tx_max: 4096 }),
            channels: Fact::Absent,
            coalesce: Fact::Absent,
            pause: Fact::Absent,
            addresses: Fact::Known(vec!["10.0.0.1/24".to_owned()]),
            neighbours: Fact::Known(vec![]),
            pcie: Fact::Absent,
            interrupts: Fact::Known(vec![]),
            lower: vec![],
        },
        module: ModuleFacts {
            name: Fact::Known("ixgbevf".to_owned()),
            version: Fact::Known("2.16.4".to_owned()),
            srcversion: Fact::Known("AAAA".to_owned()),
        },
        kernels: Fact::Known(vec![kernel(OLD_KERNEL, true, true, Some(("2.16.4", "AAAA", true)))]),
        dkms: Fact::Known(vec![dkms(&[OLD_KERNEL])]),
        counters: Counters::default(),
    }
}

/// A host as the story found it: upgraded without headers, so that the driver was not built
/// and the card fell back to Xen's own.
pub fn fell_back() -> HostFacts {
    let mut facts = sound();
    facts.machine.kernel = Fact::Known(NEW_KERNEL.to_owned());
    facts.card.driver = Fact::Known(DriverInfo {
        name: "vif".to_owned(),
        version: String::new(),
        firmware: String::new(),
        bus: "vif-0".to_owned(),
    });
    facts.card.settings = Fact::Known(LinkSettings::default());
    facts.card.rings = Fact::Absent;
    facts.module = ModuleFacts {
        name: Fact::Known("xen_netfront".to_owned()),
        version: Fact::Absent,
        srcversion: Fact::Known("BBBB".to_owned()),
    };
    facts.kernels =
        Fact::Known(vec![kernel(OLD_KERNEL, false, true, None), kernel(NEW_KERNEL, true, false, None)]);
    facts
}

/// A host to which the same happens at its next boot.
pub fn will_fall_back() -> HostFacts {
    let mut facts = sound();
    facts.kernels = Fact::Known(vec![
        kernel(OLD_KERNEL, true, true, Some(("2.16.4", "AAAA", true))),
        kernel(NEW_KERNEL, false, false, Some(("2.11.3-k", "CCCC", false))),
    ]);
    facts
}

pub fn kernel(
    release: &str,
    running: bool,
    headers: bool,
    module: Option<(&str, &str, bool)>,
) -> InstalledKernel {
    let module = module.map_or(Fact::Absent, |(version, srcversion, out_of_tree)| {
        Fact::Known(ModuleOnDisk {
            path: "updates/dkms/ixgbevf.ko".to_owned(),
            version: Some(version.to_owned()),
            srcversion: Some(srcversion.to_owned()),
            out_of_tree,
        })
    });
    InstalledKernel { release: release.to_owned(), running, headers, module }
}

pub fn dkms(built_for: &[&str]) -> DkmsModule {
    DkmsModule {
        name: "ixgbevf".to_owned(),
        version: "2.16.4".to_owned(),
        builds: vec!["ixgbevf".to_owned()],
        built_for: built_for.iter().map(|kernel| (*kernel).to_owned()).collect(),
    }
}

pub fn features(states: &[(&str, bool)]) -> Fact<BTreeMap<String, Feature>> {
    let states = states.iter().map(|(name, on)| ((*name).to_owned(), Feature { on: *on, fixed: false }));
    Fact::Known(states.collect())
}

/// Channels for tests that need known ones.
pub fn channels(combined: u32) -> Fact<Channels> {
    Fact::Known(Channels { combined, combined_max: 8, ..Channels::default() })
}

/// Hosts `h1` to `hN`, in the order of their facts.
pub fn fleet(facts: impl IntoIterator<Item = HostFacts>) -> Vec<Subject> {
    let hosts = (1..).zip(facts);
    hosts
        .map(|(number, facts)| Subject { host: format!("h{number}").parse().expect("a sound name"), facts })
        .collect()
}

/// `count` sound hosts, and then these.
pub fn sound_and(count: usize, others: impl IntoIterator<Item = HostFacts>) -> Vec<Subject> {
    fleet(std::iter::repeat_n(sound(), count).chain(others))
}
