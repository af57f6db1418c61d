//! Answers to the classic ethtool ioctl, as linux/ethtool.h lays them out. Each begins with
//! the command's number. Link settings are `link_modes`' work.

use std::collections::BTreeMap;

use super::{
    ReadError,
    bytes::{text, u32_at, u64_at},
};
use crate::model::record::facts::{Channels, DriverInfo, Feature, Pause, Rings};

/// `ETH_GSTRING_LEN`.
pub const STRING_BYTES: usize = 32;

/// Where the list begins in `ethtool_gstrings`: after command, set and length.
const STRINGS_AT: usize = 12;

/// Where the list begins in `ethtool_stats` and `ethtool_gfeatures`: after command and length.
const LIST_AT: usize = 8;

/// Bytes of `ethtool_get_features_block`: available, requested, active, never changed.
const BLOCK_BYTES: usize = 16;

/// `struct ethtool_coalesce` after its command, in order.
const COALESCE: [&str; 22] = [
    "rx_coalesce_usecs",
    "rx_max_coalesced_frames",
    "rx_coalesce_usecs_irq",
    "rx_max_coalesced_frames_irq",
    "tx_coalesce_usecs",
    "tx_max_coalesced_frames",
    "tx_coalesce_usecs_irq",
    "tx_max_coalesced_frames_irq",
    "stats_block_coalesce_usecs",
    "use_adaptive_rx_coalesce",
    "use_adaptive_tx_coalesce",
    "pkt_rate_low",
    "rx_coalesce_usecs_low",
    "rx_max_coalesced_frames_low",
    "tx_coalesce_usecs_low",
    "tx_max_coalesced_frames_low",
    "pkt_rate_high",
    "rx_coalesce_usecs_high",
    "rx_max_coalesced_frames_high",
    "tx_coalesce_usecs_high",
    "tx_max_coalesced_frames_high",
    "rate_sample_interval",
];

/// `struct ethtool_drvinfo`, the answer to `ETHTOOL_GDRVINFO`.
pub fn drvinfo(answer: &[u8]) -> Result<DriverInfo, ReadError> {
    let field = |at: usize, what: &str| {
        answer.get(at..at + 32).map(text).ok_or_else(|| ReadError::lacks("ETHTOOL_GDRVINFO", what))
    };
    let info = DriverInfo {
        name: field(4, "driver")?,
        version: field(36, "version")?,
        firmware: field(68, "fw_version")?,
        bus: field(100, "bus_info")?,
    };
    if info.name.is_empty() { Err(ReadError::lacks("ETHTOOL_GDRVINFO", "driver")) } else { Ok(info) }
}

/// How many strings a set has: `struct ethtool_sset_info` for one set. No bit in the mask
/// means that the set is empty.
pub fn set_size(answer: &[u8]) -> Result<u32, ReadError> {
    let lacks = |what| ReadError::lacks("ETHTOOL_GSSET_INFO", what);
    let mask = u64_at(answer, 8).ok_or_else(|| lacks("sset_mask"))?;
    if mask == 0 { Ok(0) } else { u32_at(answer, 16).ok_or_else(|| lacks("data")) }
}

/// `struct ethtool_gstrings`.
pub fn strings(answer: &[u8]) -> Result<Vec<String>, ReadError> {
    let lacks = |what: &str| ReadError::lacks("ETHTOOL_GSTRINGS", what);
    let count = u32_at(answer, 8).ok_or_else(|| lacks("len"))? as usize;
    let list = answer.get(STRINGS_AT..).ok_or_else(|| lacks("data"))?;
    if list.len() / STRING_BYTES < count {
        return Err(lacks(&format!("{count} strings: it has {}", list.len() / STRING_BYTES)));
    }
    Ok(list.chunks_exact(STRING_BYTES).take(count).map(text).collect())
}

/// The driver's statistics (`ethtool -S`), from its strings and `struct ethtool_stats`.
///
/// Drivers give one name twice now and then: the later ones get `#2`, `#3`. A name that is
/// empty is an unused place and left out.
pub fn stats(strings_answer: &[u8], answer: &[u8]) -> Result<BTreeMap<String, u64>, ReadError> {
    let names = strings(strings_answer)?;
    let count = u32_at(answer, 4).ok_or_else(|| ReadError::lacks("ETHTOOL_GSTATS", "n_stats"))? as usize;
    if count != names.len() {
        return Err(ReadError::lacks(
            "ETHTOOL_GSTATS",
            format!("as many values as names: {count} and {}", names.len()),
        ));
    }
    let mut stats = BTreeMap::new();
    for (place, name) in names.into_iter().enumerate() {
        let value = u64_at(answer, LIST_AT + place * 8)
            .ok_or_else(|| ReadError::lacks("ETHTOOL_GSTATS", name.clone()))?;
        if name.is_empty() {
            continue;
        }
        let again = (2..).map(|turn| format!("{name}#{turn}"));
        let free = std::iter::once(name.clone()).chain(again).find(|name| !stats.contains_key(name));
        stats.insert(free.unwrap_or(name), value);
    }
    Ok(stats)
}

/// Offloads, from the kernel's feature strings and `struct ethtool_gfeatures`. One is fixed
/// where it is not available for change or never changes, as `ethtool -k` tells it.
pub fn features(strings_answer: &[u8], answer: &[u8]) -> Result<BTreeMap<String, Feature>, ReadError> {
    let mut features = BTreeMap::new();
    for (place, name) in strings(strings_answer)?.into_iter().enumerate() {
        let at = LIST_AT + place / 32 * BLOCK_BYTES;
        let bit = |field: usize| {
            u32_at(answer, at + field * 4)
                .map(|word| word >> (place % 32) & 1 == 1)
                .ok_or_else(|| ReadError::lacks("ETHTOOL_GFEATURES", name.clone()))
        };
        let feature = Feature { on: bit(2)?, fixed: !bit(0)? || bit(3)? };
        if !name.is_empty() {
            features.insert(name, feature);
        }
    }
    Ok(features)
}

/// `struct ethtool_ringparam`.
pub fn rings(answer: &[u8]) -> Result<Rings, ReadError> {
    let field = |place, what| word("ETHTOOL_GRINGPARAM", answer, place, what);
    Ok(Rings {
        rx_max: field(1, "rx_max_pending")?,
        tx_max: field(4, "tx_max_pending")?,
        rx: field(5, "rx_pending")?,
        tx: field(8, "tx_pending")?,
    })
}

/// `struct ethtool_channels`.
pub fn channels(answer: &[u8]) -> Result<Channels, ReadError> {
    let field = |place, what| word("ETHTOOL_GCHANNELS", answer, place, what);
    Ok(Channels {
        combined_max: field(4, "max_combined")?,
        rx: field(5, "rx_count")?,
        tx: field(6, "tx_count")?,
        combined: field(8, "combined_count")?,
    })
}

/// `struct ethtool_coalesce`, by its field names.
pub fn coalesce(answer: &[u8]) -> Result<BTreeMap<String, u32>, ReadError> {
    let field = |(place, name)| Ok((String::from(name), word("ETHTOOL_GCOALESCE", answer, place, name)?));
    (1..).zip(COALESCE).map(field).collect()
}

/// `struct ethtool_pauseparam`.
pub fn pause(answer: &[u8]) -> Result<Pause, ReadError> {
    let field = |place, what| word("ETHTOOL_GPAUSEPARAM", answer, place, what).map(|value| value != 0);
    Ok(Pause { autoneg: field(1, "autoneg")?, rx: field(2, "rx_pause")?, tx: field(3, "tx_pause")? })
}

/// The 32-bit field number `place`.
fn word(of: &'static str, answer: &[u8], place: usize, what: &str) -> Result<u32, ReadError> {
    u32_at(answer, place * 4).ok_or_else(|| ReadError::lacks(of, what))
}
