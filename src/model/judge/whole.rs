//! What of a run its record lacks, and what therefore nothing may rest on.
//!
//! # Rule
//!
//! A verdict of `pass` needs the whole record: every stage of the scenario, every line of the coordinator,
//! nearly every line of the host's own worker, and every kind of evidence that the plan calls for. A silence
//! accuses nobody where a line of the coordinator that could explain it is missing, where the record ends
//! in the midst of it, or where nothing tells who the host's worker was.
//!
//! # What does not belong here
//!
//! Slots that were not measured, of lines that are there: `measured`. Lines that are damaged: `record::book`.

use std::collections::BTreeMap;

use super::{
    explain,
    falls::Fall,
    seen::{FlowSeen, Seen},
};
use crate::model::{
    fleet::{host::HostId, units::SLOTS_PER_S},
    plan::{
        carriage::{ReceiveMode, Transport},
        layout::{FlowId, StageKind},
    },
    record::{
        book::Record,
        gaps::{self, Gaps},
        line::{Body, COORDINATOR, Ended},
    },
};

/// Share of a worker's own lines that may be missing for its host to pass: single ones are some slots or
/// probes of thousands.
const LINES_MISSING_MAX: f64 = 0.02;

/// Share of its flows of which a host must have told a kind of evidence.
const TOLD_MIN: f64 = 0.5;

/// A silence that is this long before a record breaks off is none of lines that were on their way.
const SURE_SLOTS: u64 = 10 * SLOTS_PER_S;

/// What is missing.
#[derive(Clone, Debug, Default)]
pub struct Missing {
    /// Stages of the scenario, by name.
    pub stages: Vec<String>,
    /// Lines of each instance.
    lines: BTreeMap<u16, Gaps>,
}

impl Missing {
    /// Of a record.
    pub fn of(record: &Record) -> Self {
        let lines: BTreeMap<u16, Gaps> = gaps::of(&record.lines).map(|own| (own.instance, own)).collect();
        Self { stages: stages(record), lines }
    }
}

/// Stages of the scenario of which a run that came to its end holds no line.
fn stages(record: &Record) -> Vec<String> {
    let begun = |name: &str| {
        record.lines.iter().any(|line| matches!(&line.body, Body::Stage(begun) if begun.stage.name == name))
    };
    let complete = record
        .lines
        .iter()
        .any(|line| matches!(&line.body, Body::Closed { ended, .. } if *ended == Ended::Complete));
    let named = record.opened.scenario.stages.iter().map(|stage| stage.name.clone());
    named.filter(|name| complete && !begun(name)).collect()
}

/// Why a host cannot pass although nothing tells against it.
pub fn keeps_from_passing(seen: &Seen, host: HostId) -> Option<String> {
    let missing = &seen.missing;
    if !missing.stages.is_empty() {
        return Some(format!("the record lacks the stage {}", missing.stages.join(", ")));
    }
    if let Some(Gaps { here, missing, .. }) = missing.lines.get(&COORDINATOR).filter(|own| own.missing > 0) {
        let all = here.saturating_add(*missing);
        return Some(format!("of the coordinator's lines {missing} of {all} are missing"));
    }
    let of_host = seen.instances(host).filter_map(|(_, joined)| missing.lines.get(&joined.instance));
    let (here, gone) =
        of_host.fold((0_u64, 0_u64), |sum, own| (sum.0 + own.here, sum.1.saturating_add(own.missing)));
    let all = here.saturating_add(gone);
    if gone as f64 > LINES_MISSING_MAX * all as f64 {
        return Some(format!("of its lines {gone} of {all} are missing"));
    }
    untold(seen, host).map(|kind| format!("it told nothing, or too little, of {kind}"))
}

/// A kind of evidence that a host's worker owed and did not tell.
fn untold(seen: &Seen, host: HostId) -> Option<&'static str> {
    let asking = seen.hosts.iter().filter(|other| seen.probes.asks(other.id)).count();
    if !seen.probes.asks(host) && 2 * asking > seen.hosts.len() {
        return Some("its probes");
    }
    if seen.states.get(&host).is_none_or(Vec::is_empty) && 2 * seen.states.len() > seen.hosts.len() {
        return Some("its interface");
    }
    let mut kinds: BTreeMap<&'static str, (usize, usize)> = BTreeMap::new();
    for (id, flow) in seen.numbered_flows_of(host) {
        for (kind, is_told) in owed(seen, host, (id, flow)) {
            let (told, all) = kinds.entry(kind).or_default();
            (*told, *all) = (*told + usize::from(is_told), *all + 1);
        }
    }
    let too_few = |(told, all): (usize, usize)| (told as f64) < TOLD_MIN * all as f64;
    kinds.into_iter().find(|(_, counted)| too_few(*counted)).map(|(kind, _)| kind)
}

/// What a host owes to tell of one of its flows, and whether it did.
fn owed(seen: &Seen, host: HostId, (id, flow): (FlowId, &FlowSeen)) -> Vec<(&'static str, bool)> {
    let round = &seen.rounds[flow.round];
    let (carriage, sends) = (&round.dose.carriage, flow.from == host);
    if round.kind != StageKind::Load {
        return Vec::new();
    }
    if round.makes_connections() {
        return if sends { vec![("its new connections", seen.connected.contains(&id))] } else { Vec::new() };
    }
    // Of what carried nothing there may be nothing to tell.
    if flow.bytes() == 0 && flow.tail == 0 {
        return Vec::new();
    }
    let counted = match (carriage.transport, sends) {
        (Transport::Tcp, true) => Some(("what its connections lost", seen.tcp.contains_key(&id))),
        (Transport::Udp, true) => Some(("datagrams that it sent", seen.datagrams_sent.contains_key(&id))),
        (Transport::Udp, false) => Some(("datagrams that arrived", seen.datagrams.contains_key(&id))),
        _ => None,
    };
    // Of one block in many a short flow may hold none.
    let compares = carriage.receive == (ReceiveMode::Verify { one_in: 1 }) && !sends;
    let compared = compares.then(|| ("what it compared", seen.verified.contains_key(&id)));
    counted.into_iter().chain(compared).collect()
}

/// Whether what a host's falls seem to say may be the record's own doing.
pub fn are_doubtful(seen: &Seen, host: HostId, falls: &[&Fall]) -> bool {
    seen.instances(host).next().is_none() || falls.iter().all(|fall| is_doubtful(seen, fall))
}

fn is_doubtful(seen: &Seen, fall: &Fall) -> bool {
    let (from, to) = explain::window(fall);
    let mut gaps = seen.missing.lines.get(&COORDINATOR).into_iter().flat_map(|own| &own.each);
    let in_gap = gaps.any(|gap| gap.since < to && from < gap.until);
    let broke_off = seen.ended.is_none()
        && fall.until.is_none()
        && seen.latest.slot().saturating_sub(fall.since) < SURE_SLOTS;
    in_gap || broke_off
}
