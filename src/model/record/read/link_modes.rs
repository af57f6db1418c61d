//! Speed, duplex and link modes: `struct ethtool_link_settings` with its three bitmaps.

use super::{ReadError, bytes::u32_at};
use crate::model::record::facts::LinkSettings;

/// Where the bitmaps begin: supported, advertised, and what the partner advertises.
const MASKS_AT: usize = 48;

/// `SPEED_UNKNOWN`, and what drivers of before it say.
const UNKNOWN_MBPS: [u32; 3] = [0, 0xffff, u32::MAX];

/// Link modes by number (`enum ethtool_link_mode_bit_indices`), as speed in Mb/s and the
/// numbers that have it. Numbers that are missing are no speeds (ports, pause, FEC).
const MODES: &[(u64, &[std::ops::RangeInclusive<usize>])] = &[
    (10, &[0..=1, 92..=92, 99..=102]),
    (100, &[2..=3, 67..=67, 90..=91]),
    (1_000, &[4..=5, 17..=17, 41..=41, 68..=68]),
    (2_500, &[15..=15, 47..=47]),
    (5_000, &[48..=48]),
    (10_000, &[12..=12, 18..=20, 42..=46]),
    (20_000, &[21..=22]),
    (25_000, &[31..=33]),
    (40_000, &[23..=26]),
    (50_000, &[34..=35, 40..=40, 52..=56]),
    (56_000, &[27..=30]),
    (100_000, &[36..=39, 57..=61, 75..=79]),
    (200_000, &[62..=66, 80..=84]),
    (400_000, &[69..=73, 85..=89]),
    (800_000, &[93..=98]),
];

/// The answer to `ETHTOOL_GLINKSETTINGS`, asked with the number of words the kernel wants.
///
/// The greatest speeds are those among the modes that this table knows; a mode that is newer
/// than the table leaves the greatest speed unknown rather than too low.
pub fn link_settings(answer: &[u8]) -> Result<LinkSettings, ReadError> {
    let lacks = |what: &str| ReadError::lacks("ETHTOOL_GLINKSETTINGS", what);
    let speed_mbps = u32_at(answer, 4).ok_or_else(|| lacks("speed"))?;
    let duplex = *answer.get(8).ok_or_else(|| lacks("duplex"))?;
    let autoneg = *answer.get(11).ok_or_else(|| lacks("autoneg"))?;
    let words = answer.get(15).ok_or_else(|| lacks("link_mode_masks_nwords"))?.cast_signed();
    let words = usize::try_from(words).map_err(|_| lacks("link mode masks: it is a first answer"))?;
    let mask = |number: usize, what: &str| -> Result<Vec<u32>, ReadError> {
        let from = MASKS_AT + number * words * 4;
        (0..words).map(|word| u32_at(answer, from + word * 4).ok_or_else(|| lacks(what))).collect()
    };
    Ok(LinkSettings {
        speed_bps: (!UNKNOWN_MBPS.contains(&speed_mbps)).then(|| u64::from(speed_mbps) * 1_000_000),
        supported_max_bps: greatest_bps(&mask(0, "supported")?),
        advertised_max_bps: greatest_bps(&mask(1, "advertising")?),
        duplex: match duplex {
            0 => Some("half".to_owned()),
            1 => Some("full".to_owned()),
            _ => None,
        },
        autoneg: match autoneg {
            0 => Some(false),
            1 => Some(true),
            _ => None,
        },
    })
}

/// The greatest speed of a bitmap; `None` where it has none, or a mode of unknown speed.
fn greatest_bps(mask: &[u32]) -> Option<u64> {
    /// The first mode that this table does not know.
    const KNOWN: usize = 103;
    let set = |mode: usize| mask.get(mode / 32).is_some_and(|word| word >> (mode % 32) & 1 == 1);
    if (KNOWN..mask.len() * 32).any(set) {
        return None;
    }
    let has = |ranges: &[std::ops::RangeInclusive<usize>]| ranges.iter().cloned().flatten().any(set);
    MODES.iter().rev().find(|(_, ranges)| has(ranges)).map(|(mbps, _)| mbps * 1_000_000)
}
