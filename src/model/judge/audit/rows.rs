//! The facts that are compared and shown, each as a text with a name: one table.

use std::collections::BTreeMap;

use crate::model::{
    fleet::units::BitRate,
    record::facts::{Fact, HostFacts},
};

/// A fact that is compared between hosts.
pub struct Row {
    /// Its key in JSON.
    pub name: &'static str,
    /// Its name in tables.
    pub title: &'static str,
    /// What it is on a host.
    pub read: fn(&HostFacts) -> Fact<String>,
    /// Whether it means the same only under the same driver.
    pub of_driver: bool,
    /// What shows it on the host.
    pub look: &'static str,
    /// What brings it to `{want}`.
    pub mend: &'static str,
}

/// The rows, in the order of tables.
pub const ROWS: &[Row] = &[
    Row {
        name: "driver",
        title: "driver",
        read: |facts| facts.card.driver.of(|driver| text(&driver.name)),
        of_driver: false,
        look: "ethtool -i {iface}",
        mend: "install and load the driver {want}: modprobe {want}, then look again with ethtool -i {iface}",
    },
    Row {
        name: "driver_version",
        title: "driver version",
        read: driver_version,
        of_driver: true,
        look: "ethtool -i {iface}",
        mend: "install {driver} {want} as the others have it, then reboot (reloading it cuts the link)",
    },
    Row {
        name: "firmware",
        title: "firmware",
        read: |facts| facts.card.driver.of(|driver| text(&driver.firmware)),
        of_driver: true,
        look: "ethtool -i {iface}",
        mend: "bring the card's firmware to {want} with its vendor's tool, then power-cycle the host",
    },
    Row {
        name: "kernel",
        title: "kernel",
        read: |facts| facts.machine.kernel.of(|kernel| text(kernel)),
        of_driver: false,
        look: "uname -r",
        mend: "install the kernel {want} with its headers, then reboot into it",
    },
    Row {
        name: "mtu",
        title: "MTU",
        read: |facts| facts.card.link.of(|link| Fact::Known(link.mtu.to_string())),
        of_driver: false,
        look: "ip link show dev {iface}",
        mend: "ip link set dev {iface} mtu {want}  # and in the network's configuration, for the next boot",
    },
    Row {
        name: "speed",
        title: "speed",
        read: |facts| {
            facts.card.settings.of(|settings| {
                settings.speed_bps.map_or(Fact::Absent, |bps| Fact::Known(BitRate::from_bps(bps).to_string()))
            })
        },
        of_driver: true,
        look: "ethtool {iface}",
        mend: "look at cable, transceiver and switch port; negotiate anew with ethtool -r {iface}",
    },
    Row {
        name: "duplex",
        title: "duplex",
        read: |facts| {
            facts.card.settings.of(|settings| settings.duplex.as_deref().map_or(Fact::Absent, text))
        },
        of_driver: true,
        look: "ethtool {iface}",
        mend: "let both ends negotiate: ethtool -s {iface} autoneg on",
    },
    Row {
        name: "ring_rx",
        title: "ring rx",
        read: |facts| facts.card.rings.of(|rings| Fact::Known(rings.rx.to_string())),
        of_driver: true,
        look: "ethtool -g {iface}",
        mend: "ethtool -G {iface} rx {want}",
    },
    Row {
        name: "ring_tx",
        title: "ring tx",
        read: |facts| facts.card.rings.of(|rings| Fact::Known(rings.tx.to_string())),
        of_driver: true,
        look: "ethtool -g {iface}",
        mend: "ethtool -G {iface} tx {want}",
    },
    Row {
        name: "channels",
        title: "queues",
        read: |facts| {
            facts.card.channels.of(|channels| {
                // Drivers have either combined queues or some of each kind.
                let parts = [(channels.combined, "combined"), (channels.rx, "rx"), (channels.tx, "tx")];
                let parts: Vec<String> = parts
                    .iter()
                    .filter(|(count, _)| *count > 0)
                    .map(|(count, of)| format!("{count} {of}"))
                    .collect();
                if parts.is_empty() { Fact::Absent } else { Fact::Known(parts.join(", ")) }
            })
        },
        of_driver: true,
        look: "ethtool -l {iface}",
        mend: "ethtool -L {iface} with the counts of the others: {want}",
    },
];

impl<T> Fact<T> {
    /// A part of it, where it is known; else why not.
    fn of(&self, part: impl Fn(&T) -> Fact<String>) -> Fact<String> {
        match self {
            Self::Known(value) => part(value),
            Self::Absent => Fact::Absent,
            Self::Unread(why) => Fact::Unread(why.clone()),
        }
    }
}

/// A text that the driver left empty says that there is none.
fn text(text: &str) -> Fact<String> {
    if text.trim().is_empty() || text == "N/A" { Fact::Absent } else { Fact::Known(text.trim().to_owned()) }
}

/// The driver's own version. Drivers of the kernel's tree without one tell the kernel's
/// release instead (`ethtool_get_drvinfo` since 5.6), which is no version of the driver.
pub fn driver_version(facts: &HostFacts) -> Fact<String> {
    facts.card.driver.of(|driver| {
        let is_kernels = facts.machine.kernel.known().is_some_and(|kernel| *kernel == driver.version);
        if is_kernels { Fact::Absent } else { text(&driver.version) }
    })
}

/// The table of a host: `none` where there is no such thing, `None` where it is unread.
pub fn table(facts: &HostFacts) -> BTreeMap<String, Option<String>> {
    ROWS.iter().map(|row| (row.name.to_owned(), shown(&(row.read)(facts)))).collect()
}

/// A fact as it is compared and shown.
pub fn shown(fact: &Fact<String>) -> Option<String> {
    match fact {
        Fact::Known(value) => Some(value.clone()),
        Fact::Absent => Some("none".to_owned()),
        Fact::Unread(_) => None,
    }
}
