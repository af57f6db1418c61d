//! What others sent and received over a host's card while the run lasted: backups, storage,
//! whatever a run was allowed to share its links with.
//!
//! # Rule
//!
//! What a card's own counters hold beyond the run's bytes is, of most hosts, headers, probes and
//! acknowledgements; what one holds beyond that, less what it sent again, is others'. A side that
//! together with it carries what its class carries is not slow: its link is shared.
//!
//! # Source
//!
//! `rtnl_link_stats64` against receivers' bytes: in a lab of eight hosts what healthy hosts hold
//! beyond the run's bytes differs by 0.2 of 57 Mb/s.

use std::collections::BTreeMap;

use super::{
    cause::{self, rate_text},
    robust,
    seen::{Seen, Way},
    summary::{Finding, FindingKind, Severity},
};
use crate::model::fleet::host::HostId;

/// Share of a class from which on others are worth telling (the contract's figure for a link
/// that others use).
const SHARE_MIN: f64 = 0.05;

/// A segment that is sent again, on the wire, bytes.
const SEGMENT_BYTES: f64 = 1514.0;

/// What others carried over a host's card one way, bits per second; `None` where its counters say
/// nothing.
pub fn carried_bps(seen: &Seen, host: HostId, way: Way) -> Option<f64> {
    let mut own: BTreeMap<HostId, f64> = BTreeMap::new();
    for (id, flow) in &seen.flows {
        let again = seen.tcp.get(id).map_or(0, |tcp| tcp.retr);
        *own.entry(way.of(flow.from, flow.to)).or_default() +=
            flow.bytes() as f64 + again as f64 * SEGMENT_BYTES;
    }
    let beyond = |host: HostId| beyond_bps(seen, host, way, own.get(&host).copied().unwrap_or(0.0));
    let usual = robust::median(&seen.hosts.iter().filter_map(|host| beyond(host.id)).collect::<Vec<_>>())?;
    Some((beyond(host)? - usual).max(0.0))
}

/// What a card's counters hold beyond the run's `own` bytes, with what of them was sent again.
fn beyond_bps(seen: &Seen, host: HostId, way: Way, own: f64) -> Option<f64> {
    let mut links = seen.links(host);
    let (from, first) = links.next()?;
    let (to, last) = links.last()?;
    let held = match way {
        Way::Tx => last.tx_bytes.checked_sub(first.tx_bytes),
        Way::Rx => last.rx_bytes.checked_sub(first.rx_bytes),
    }?;
    let seconds = (to.0 - from.0) as f64 / 1e6;
    (seconds > 0.0).then(|| (held as f64 - own) * 8.0 / seconds)
}

/// Whether a side that carried `bps` of its class is as fast as that together with others, no
/// less and not much more: more would be something else than what it lacks.
pub fn make_up(bps: f64, others_bps: f64, class_bps: f64, deficit: f64) -> bool {
    others_bps >= SHARE_MIN * class_bps && ((bps + others_bps) / class_bps - 1.0).abs() <= deficit
}

/// The note on a host whose link others share.
pub fn finding(seen: &Seen, host: HostId, way: Way, others_bps: f64) -> Finding {
    let text = format!(
        "others {} {} over the card of {} all along, and with that it carries what its class carries: it is not slow, its link is shared; stop them to test it alone",
        if way == Way::Tx { "sent" } else { "received" },
        rate_text(Some(others_bps)),
        seen.name(host),
    );
    let mut finding = cause::bare(FindingKind::SharedCongestion, Severity::Info, &[], text);
    finding.direction = Some(Way::together([way]));
    finding.numbers.insert("others_bps".to_owned(), Some(others_bps.round()));
    finding
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::model::{
        fleet::units::RunTime,
        judge::{
            slow,
            tests::field::{CARD_BPS, Field},
        },
        record::line::{HostSeen, LinkSeen},
    };

    /// Host 2 sends at 84 % of its class; its card's counters hold `others` as much again.
    fn found(others: f64, retransmits: bool) -> Vec<(u16, FindingKind)> {
        let mut field = Field::of(8);
        field.matchings(|from, _, _| if from == 2 { 0.84 * CARD_BPS } else { CARD_BPS });
        let until = RunTime::of_slot(field.seen.rounds.last().expect("rounds").end);
        for host in 0..8 {
            let bytes = |way: Way| -> f64 {
                let own = field.seen.flows.values().filter(|flow| flow.touches(HostId(host), way));
                own.map(|flow| flow.bytes() as f64).sum::<f64>() * 1.05
            };
            let more = if host == 2 { others * CARD_BPS / 8.0 * until.as_secs_f64() } else { 0.0 };
            let (tx_bytes, rx_bytes) = ((bytes(Way::Tx) + more) as u64, bytes(Way::Rx) as u64);
            let state = |at, link| (at, Arc::new(HostSeen { link: Some(link), ..HostSeen::default() }));
            let last = LinkSeen { rx_bytes, tx_bytes, ..LinkSeen::default() };
            let states = vec![state(RunTime(0), LinkSeen::default()), state(until, last)];
            field.seen.states.insert(HostId(host), states);
        }
        if retransmits {
            let own: Vec<u32> =
                field.seen.flows.iter().filter(|(_, f)| f.from.0 == 2).map(|(id, _)| *id).collect();
            let each = others * CARD_BPS / 8.0 * until.as_secs_f64() / SEGMENT_BYTES / own.len() as f64;
            for id in own {
                field.seen.tcp.entry(id).or_default().retr = each as u64;
            }
        }
        slow::findings(&field.seen, &[])
            .hosts
            .into_iter()
            .map(|(host, finding)| (host.0, finding.kind))
            .collect()
    }

    #[test]
    fn a_card_that_others_share_is_not_slow_and_one_that_lacks_more_or_sends_again_is() {
        assert_eq!(found(0.0, false), [(2, FindingKind::FailSlow)]);
        assert_eq!(found(0.16, false), [(2, FindingKind::SharedCongestion)]);
        assert_eq!(found(0.02, false), [(2, FindingKind::FailSlow)], "too little to make up for it");
        assert_eq!(found(0.6, false), [(2, FindingKind::FailSlow)], "far more than it lacks");
        assert_eq!(found(0.16, true), [(2, FindingKind::FailSlow)], "its own, sent again");
    }
}
