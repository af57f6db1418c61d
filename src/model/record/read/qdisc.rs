//! `RTM_NEWQDISC`: what the queueing discipline at the root of a link has counted.

use std::collections::BTreeMap;

use super::{
    ReadError,
    bytes::u32_at,
    route::{NEW_QDISC, attributes, bodies},
};

/// `struct tcmsg`.
const HEADER_BYTES: usize = 20;
/// `TC_H_ROOT`.
const ROOT: u32 = u32::MAX;
/// `TCA_STATS`: `struct tc_stats`.
const STATS: u16 = 3;
/// `TCA_STATS2`, and `TCA_STATS_QUEUE` within it: `struct gnet_stats_queue`.
const STATS2: u16 = 7;
const QUEUE: u16 = 3;

/// Counters of the root discipline of link `index`: `drops`, `overlimits`, `requeues`,
/// `backlog` (bytes) and `qlen` (packets). Only the root: disciplines with classes add up
/// what lies below them. Empty where the link has none.
pub fn qdisc(dump: &[u8], index: u32) -> Result<BTreeMap<String, u64>, ReadError> {
    let lacks = |what| ReadError::lacks("RTM_NEWQDISC", what);
    for body in bodies(dump, NEW_QDISC)? {
        let parent = u32_at(body, 12).ok_or_else(|| lacks("its parent"))?;
        if u32_at(body, 4) != Some(index) || parent != ROOT {
            continue;
        }
        let attrs = attributes(body.get(HEADER_BYTES..).ok_or_else(|| lacks("its header"))?)?;
        let nested = attrs.get(&STATS2).map(|nested| attributes(nested)).transpose()?.unwrap_or_default();
        return match (nested.get(&QUEUE), attrs.get(&STATS)) {
            (Some(queue), _) => fields(
                queue,
                &[(0, "qlen"), (4, "backlog"), (8, "drops"), (12, "requeues"), (16, "overlimits")],
            ),
            // Without `requeues`, which this older form does not have.
            (None, Some(stats)) => {
                fields(stats, &[(12, "drops"), (16, "overlimits"), (28, "qlen"), (32, "backlog")])
            }
            (None, None) => Err(lacks("TCA_STATS2 and TCA_STATS")),
        };
    }
    Ok(BTreeMap::new())
}

fn fields(bytes: &[u8], fields: &[(usize, &'static str)]) -> Result<BTreeMap<String, u64>, ReadError> {
    let field = |(at, name): &(usize, &'static str)| {
        let value = u32_at(bytes, *at).ok_or_else(|| ReadError::lacks("RTM_NEWQDISC", *name))?;
        Ok(((*name).to_owned(), u64::from(value)))
    };
    fields.iter().map(field).collect()
}
