//! PCIe: the link's speed and width, and the counters of advanced error reporting.

use super::{ReadError, number, printable};
use crate::model::record::facts::PcieLink;

/// The four files of a PCI device that tell its link.
#[derive(Clone, Copy, Debug)]
pub struct LinkFiles<'a> {
    /// `current_link_speed`.
    pub speed: &'a str,
    /// `max_link_speed`.
    pub speed_max: &'a str,
    /// `current_link_width`.
    pub width: &'a str,
    /// `max_link_width`.
    pub width_max: &'a str,
}

/// The link. A device that is gone from the bus says `Unknown`, which is an error here.
pub fn link(files: LinkFiles<'_>) -> Result<PcieLink, ReadError> {
    let speed = |text: &str, what: &'static str| {
        let text = text.trim();
        let known = text.bytes().next().is_some_and(|byte| byte.is_ascii_digit());
        if known { Ok(printable(text)) } else { Err(ReadError::unfit(what, "speed of a link", text)) }
    };
    Ok(PcieLink {
        speed: speed(files.speed, "current_link_speed")?,
        speed_max: speed(files.speed_max, "max_link_speed")?,
        width: number("current_link_width", files.width.trim())?,
        width_max: number("max_link_width", files.width_max.trim())?,
    })
}

/// The total of `aer_dev_correctable`, `aer_dev_nonfatal` or `aer_dev_fatal`: its last line,
/// for example `TOTAL_ERR_COR 3` (`Documentation/ABI/testing/sysfs-bus-pci-devices-aer_stats`).
pub fn aer_total(text: &str) -> Result<u64, ReadError> {
    const OF: &str = "an AER file";
    let total = text.lines().find_map(|line| {
        let (name, value) = line.trim().split_once(' ')?;
        name.starts_with("TOTAL_ERR_").then_some(value.trim())
    });
    number(OF, total.ok_or_else(|| ReadError::lacks(OF, "TOTAL_ERR"))?)
}
