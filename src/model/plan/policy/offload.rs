//! Names of offloads: what `ethtool -K` takes, what `ethtool -k` prints, and what the
//! kernel calls the features behind them.

/// An offload under ethtool's names, and the kernel's features behind it: it is on where any
/// of them is. As in ethtool's own `common.c` (`off_flag_def`).
pub struct Offload {
    /// For `ethtool -K`.
    pub short: &'static str,
    /// As `ethtool -k` prints it.
    pub long: &'static str,
    /// The kernel's names (`netdev_features_strings` in `net/ethtool/common.c`).
    pub features: &'static [&'static str],
}

/// The offloads that have short names.
pub const OFFLOADS: &[Offload] = &[
    Offload { short: "rx", long: "rx-checksumming", features: &["rx-checksum"] },
    Offload {
        short: "tx",
        long: "tx-checksumming",
        features: &[
            "tx-checksum-ipv4",
            "tx-checksum-ip-generic",
            "tx-checksum-ipv6",
            "tx-checksum-fcoe-crc",
            "tx-checksum-sctp",
        ],
    },
    Offload {
        short: "sg",
        long: "scatter-gather",
        features: &["tx-scatter-gather", "tx-scatter-gather-fraglist"],
    },
    Offload {
        short: "tso",
        long: "tcp-segmentation-offload",
        features: &[
            "tx-tcp-segmentation",
            "tx-tcp-ecn-segmentation",
            "tx-tcp-mangleid-segmentation",
            "tx-tcp6-segmentation",
        ],
    },
    Offload { short: "gso", long: "generic-segmentation-offload", features: &["tx-generic-segmentation"] },
    Offload { short: "gro", long: "generic-receive-offload", features: &["rx-gro"] },
    Offload { short: "lro", long: "large-receive-offload", features: &["rx-lro"] },
    Offload { short: "rxvlan", long: "rx-vlan-offload", features: &["rx-vlan-hw-parse"] },
    Offload { short: "txvlan", long: "tx-vlan-offload", features: &["tx-vlan-hw-insert"] },
    Offload { short: "ntuple", long: "ntuple-filters", features: &["rx-ntuple-filter"] },
    Offload { short: "rxhash", long: "receive-hashing", features: &["rx-hashing"] },
];

/// The kernel's features behind a name: short, long, or the kernel's own.
pub fn features(name: &str) -> Vec<&str> {
    OFFLOADS
        .iter()
        .find(|offload| offload.short == name || offload.long == name)
        .map_or_else(|| vec![name], |offload| offload.features.to_vec())
}

/// Whether a name can be one: ethtool's, or of the form of the kernel's.
pub fn is_name(name: &str) -> bool {
    let known = OFFLOADS.iter().any(|offload| offload.short == name || offload.long == name);
    let form = ["rx-", "tx-", "hw-", "esp-", "tls-", "hsr-", "macsec-", "l2-"];
    known || form.iter().any(|head| name.starts_with(head)) || name == "highdma" || name == "loopback"
}
