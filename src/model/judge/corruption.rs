//! Verified payload that differed from what was sent: whose card changed it.
//!
//! # Rule
//!
//! Every flow with a difference has two suspects: its sender's sending side and its
//! receiver's receiving side. The side that explains most corrupted flows is taken, its
//! flows are removed, and so on. A side that explains flows with at least two partners is
//! its host's fault; what is left between two hosts alone is told of both and of neither.
//!
//! Any difference is a failure: a checksum that lets it pass is no excuse.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    cause,
    localise::Trial,
    rack::{Racks, Symptom},
    seen::{Seen, Way},
    summary::{Direction, Finding, FindingKind, Severity},
    ways::Found,
};
use crate::model::{fleet::host::HostId, plan::layout::FlowId, record::line::CorruptSeen};

/// Partners whose flows must be corrupted for a host's side to be at fault.
const PARTNERS_MIN: usize = 2;

/// All corruption of a record.
pub fn findings(seen: &Seen, racks: &Racks) -> Found {
    let counted = seen.verified.iter().filter(|(_, all)| all.differing_bytes > 0).map(|(flow, _)| *flow);
    let mut left: BTreeSet<FlowId> = seen.corrupt.iter().map(|corrupt| corrupt.flow).chain(counted).collect();
    left.retain(|flow| seen.flows.contains_key(flow));
    if left.is_empty() {
        return Found::default();
    }
    let crossings = racks.ever_bad(&compared(seen, &left));
    left.retain(|flow| !racks.lie_on(&crossings, seen.flows[flow].from, seen.flows[flow].to));
    let mut hosts = BTreeMap::new();
    while let Some((host, way, flows)) = best(seen, &left) {
        left.retain(|flow| !flows.contains(flow));
        let (side, direction) = match way {
            Way::Tx => ("sent", Direction::Tx),
            Way::Rx => ("received", Direction::Rx),
        };
        let what = format!("{} {side} payload that differs from what was sent", seen.name(host));
        let mut finding = finding(seen, &flows, &what);
        finding.direction = Some(match hosts.remove(&host) {
            Some(Finding { direction: Some(other), .. }) if other != direction => Direction::Both,
            _ => direction,
        });
        hosts.insert(host, finding);
    }
    let mut pairs: BTreeMap<(HostId, HostId), BTreeSet<FlowId>> = BTreeMap::new();
    for flow in left {
        if let Some(ends) = seen.flows.get(&flow) {
            let pair = (ends.from.min(ends.to), ends.from.max(ends.to));
            pairs.entry(pair).or_default().insert(flow);
        }
    }
    let pairs = pairs.into_iter().map(|((a, b), flows)| {
        let what = format!(
            "payload between {} and {} differs from what was sent, and which end changed it cannot be told from one pair",
            seen.name(a),
            seen.name(b)
        );
        ((a, b), finding(seen, &flows, &what))
    });
    let found = Found { pairs: pairs.collect(), ..Found::on_hosts(hosts.into_iter().collect()) };
    found.with(Symptom::Damage, crossings)
}

/// Every pair whose payload was compared.
fn compared(seen: &Seen, differing: &BTreeSet<FlowId>) -> Vec<Trial> {
    let mut pairs: BTreeMap<(HostId, HostId), bool> = BTreeMap::new();
    for id in seen.verified.keys().chain(differing) {
        if let Some(flow) = seen.flows.get(id) {
            *pairs.entry((flow.from, flow.to)).or_default() |= differing.contains(id);
        }
    }
    pairs.into_iter().map(|((from, to), bad)| Trial { from, to, bad, weight: 1.0 }).collect()
}

/// The side that explains most corrupted flows, if it has partners enough; ties go to the
/// host with the lower number, so that the same record gives the same verdict.
fn best(seen: &Seen, left: &BTreeSet<FlowId>) -> Option<(HostId, Way, BTreeSet<FlowId>)> {
    let mut sides: BTreeMap<(HostId, bool), (BTreeSet<FlowId>, BTreeSet<HostId>)> = BTreeMap::new();
    for id in left {
        let Some(flow) = seen.flows.get(id) else { continue };
        for (host, sends, partner) in [(flow.from, true, flow.to), (flow.to, false, flow.from)] {
            let side = sides.entry((host, sends)).or_default();
            side.0.insert(*id);
            side.1.insert(partner);
        }
    }
    sides
        .into_iter()
        .filter(|(_, (_, partners))| partners.len() >= PARTNERS_MIN)
        .max_by_key(|((host, _), (flows, partners))| (partners.len(), flows.len(), std::cmp::Reverse(*host)))
        .map(|((host, sends), (flows, _))| (host, if sends { Way::Tx } else { Way::Rx }, flows))
}

fn finding(seen: &Seen, flows: &BTreeSet<FlowId>, what: &str) -> Finding {
    let told: Vec<&CorruptSeen> =
        seen.corrupt.iter().filter(|corrupt| flows.contains(&corrupt.flow)).collect();
    let first = told.iter().min_by_key(|corrupt| corrupt.at);
    let counted: u64 =
        flows.iter().filter_map(|flow| seen.verified.get(flow)).map(|all| all.differing_bytes).sum();
    let differing = counted.max(told.iter().map(|corrupt| corrupt.bytes).sum());
    let compared: u64 = flows.iter().filter_map(|flow| seen.verified.get(flow)).map(|all| all.bytes).sum();
    let place = first.map_or_else(String::new, |first| {
        format!(
            "; first at byte {} of stream {} of flow {}: {:#04x} arrived as {:#04x}",
            first.offset, first.stream, first.flow, first.sent, first.received
        )
    });
    let text = format!(
        "{what}: {differing} bytes in {} flows{place}. No checksum caught it: take the host out of service, then look at its memory, its card's checksum offload and its driver",
        flows.len()
    );
    let mut finding = cause::bare(FindingKind::Corruption, Severity::Fail, &[], text);
    // A byte that differs cannot be a measuring error: it needs no second look.
    finding.confirmed = Some(true);
    finding.first_seen_s = first.map(|first| first.at.as_secs_f64());
    finding.numbers.insert("differing_bytes".to_owned(), Some(differing as f64));
    finding.numbers.insert("verified_bytes".to_owned(), (compared > 0).then_some(compared as f64));
    finding.numbers.insert("flows".to_owned(), Some(flows.len() as f64));
    finding.numbers.insert("first_flow".to_owned(), first.map(|first| f64::from(first.flow)));
    finding.numbers.insert("first_offset_bytes".to_owned(), first.map(|first| first.offset as f64));
    finding
}
