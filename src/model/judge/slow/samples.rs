//! What pair flows carried against the class of flows that should carry the same.

use std::collections::{BTreeMap, BTreeSet};

use crate::model::{
    fleet::{host::HostId, units::SLOT_US},
    judge::{
        falls::{self, Fall},
        robust,
        seen::{FlowSeen, Seen},
    },
    plan::{dose::Pattern, layout::StageKind},
    record::slot_bytes::SlotBytes,
};

/// Slots at a round's start that are slow start and not the card's rate.
const WARM_UP_SLOTS: usize = 2;

/// Fleets this small hold so many flows that touch the slow host that their median is slow
/// too; the upper quantile below is then taken for the class.
pub const SMALL_FLEET: usize = 4;

/// What a small fleet's class carries: of three hosts, one sick, a third of flows is healthy.
const SMALL_FLEET_QUANTILE: f64 = 0.8;

/// Senders, and receivers, of a crossing of racks from which on its flows are a class of their own: of fewer one
/// sick host is what is usual.
const ENDS_MIN: usize = 3;

/// Flows that should carry the same: of one stage, one way alone or both, and within racks or from one
/// to another.
type Class<'a> = (u16, bool, Option<(&'a str, &'a str)>);

/// One pair flow.
#[derive(Clone, Copy, Debug)]
pub struct Sample {
    /// Who sent.
    pub from: HostId,
    /// Who received.
    pub to: HostId,
    /// When its round began, seconds.
    pub at_s: f64,
    /// Its hosts carried nothing the other way.
    pub one_way: bool,
    /// The logarithm of its share of what its class carries.
    pub x: f64,
    /// Bits per second.
    pub bps: f64,
    /// The same of its class.
    pub class_bps: f64,
}

/// Every measured pair flow against its class.
pub fn samples(seen: &Seen, falls: &[Fall]) -> Vec<Sample> {
    let mut by_class = ByClass::new();
    for (id, flow, round) in falls::undisturbed(seen, falls, StageKind::Load) {
        let one_way = round.by_host.values().all(|part| part.tx.is_empty() || part.rx.is_empty());
        let fits = round.dose.pattern == Pattern::Pairs && round.saturates();
        // What a host's own disk or cores held up says nothing of cards.
        if !fits || seen.files.is_limited(id) {
            continue;
        }
        let rack = |host: HostId| seen.hosts.get(host.index()).and_then(|host| host.rack.as_deref());
        let crossing = rack(flow.from).zip(rack(flow.to)).filter(|(from, to)| from != to);
        if let Some(bps) = steady_bps(&flow.slots) {
            let class = (round.stage, one_way, crossing);
            by_class.entry(class).or_default().push((flow, round.start_s(), bps));
        }
    }
    let by_class = with_few_joined(by_class);
    by_class
        .into_iter()
        .flat_map(|((_, one_way, _), flows)| {
            let rates: Vec<f64> = flows.iter().map(|(.., bps)| *bps).collect();
            let class_bps = if seen.hosts.len() <= SMALL_FLEET {
                robust::quantile(&rates, SMALL_FLEET_QUANTILE)
            } else {
                robust::median(&rates)
            }
            .unwrap_or(0.0)
            .max(1.0);
            flows.into_iter().map(move |(flow, at_s, bps)| Sample {
                from: flow.from,
                to: flow.to,
                at_s,
                one_way,
                x: (bps.max(1.0) / class_bps).ln(),
                bps,
                class_bps,
            })
        })
        .collect()
}

/// Flows by their class.
type ByClass<'a> = BTreeMap<Class<'a>, Vec<(&'a FlowSeen, f64, f64)>>;

/// Crossings on which few hosts met count as what they would be without racks.
fn with_few_joined(by_class: ByClass<'_>) -> ByClass<'_> {
    let mut joined = ByClass::new();
    for ((stage, one_way, crossing), flows) in by_class {
        let ends = |of: fn(&FlowSeen) -> HostId| {
            flows.iter().map(|(flow, ..)| of(flow)).collect::<BTreeSet<_>>().len() >= ENDS_MIN
        };
        let crossing = crossing.filter(|_| ends(|flow| flow.from) && ends(|flow| flow.to));
        joined.entry((stage, one_way, crossing)).or_default().extend(flows);
    }
    joined
}

/// The mean rate of a flow after its warm-up; `None` when half of it was not measured.
pub fn steady_bps(slots: &[Option<SlotBytes>]) -> Option<f64> {
    let steady = slots.get(WARM_UP_SLOTS..slots.len().max(WARM_UP_SLOTS))?;
    let known: Vec<u64> = steady.iter().flatten().map(|bytes| bytes.get()).collect();
    (known.len() * 2 > steady.len())
        .then(|| known.iter().sum::<u64>() as f64 * 8e6 / SLOT_US as f64 / known.len() as f64)
}
