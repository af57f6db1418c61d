//! `RTM_NEWNEIGH`: who the kernel knows on a link.

use super::{
    ReadError,
    bytes::{ip, mac, u16_at, u32_at},
    route::{NEW_NEIGHBOUR, attributes, bodies},
};
use crate::model::record::facts::Neighbour;

/// `struct ndmsg`.
const HEADER_BYTES: usize = 12;
/// `NDA_DST`.
const ADDRESS: u16 = 1;
/// `NDA_LLADDR`.
const HARDWARE_ADDRESS: u16 = 2;

/// `NUD_NOARP`: multicast and the like, which nobody has to be asked for.
const NOARP: u16 = 0x40;

/// `NUD_…` of linux/neighbour.h.
const STATES: [(u16, &str); 8] = [
    (0x01, "incomplete"),
    (0x02, "reachable"),
    (0x04, "stale"),
    (0x08, "delay"),
    (0x10, "probe"),
    (0x20, "failed"),
    (0x80, "permanent"),
    (0x00, "none"),
];

/// The neighbours on link `index`, sorted by address.
pub fn neighbours(dump: &[u8], index: u32) -> Result<Vec<Neighbour>, ReadError> {
    let lacks = |what| ReadError::lacks("RTM_NEWNEIGH", what);
    let mut found = Vec::new();
    for body in bodies(dump, NEW_NEIGHBOUR)? {
        let state = u16_at(body, 8).ok_or_else(|| lacks("its state"))?;
        if u32_at(body, 4) != Some(index) || state & NOARP != 0 {
            continue;
        }
        let attrs = attributes(body.get(HEADER_BYTES..).ok_or_else(|| lacks("its header"))?)?;
        let addr = attrs.get(&ADDRESS).and_then(|bytes| ip(bytes)).ok_or_else(|| lacks("NDA_DST"))?;
        let name = STATES.iter().find(|(number, _)| *number == state);
        found.push(Neighbour {
            addr: addr.to_string(),
            mac: attrs.get(&HARDWARE_ADDRESS).and_then(|bytes| mac(bytes)),
            state: name.map_or_else(|| format!("state {state:#x}"), |(_, name)| (*name).to_owned()),
        });
    }
    found.sort_by(|a, b| a.addr.cmp(&b.addr));
    Ok(found)
}
