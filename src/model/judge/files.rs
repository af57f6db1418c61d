//! What flows that move files told of themselves: when they were through, what failed that
//! is no card's fault, and what of a host was slower than its card.
//!
//! A flow that is through is silent with good reason; so is one whose disk or process ended
//! it. Neither is a drop-off.

use std::collections::{BTreeMap, BTreeSet};

use self::starts::Starts;
use super::{
    cause,
    falls::Fall,
    frames,
    seen::{FlowSeen, Seen},
    summary::{Basis, Direction, Finding, FindingKind, Severity},
};
use crate::model::{
    fleet::{
        host::HostId,
        units::{RunTime, SLOT_US},
    },
    plan::layout::FlowId,
    record::file::{FileEnd, FileLimit, FileOutcome, FileSeen},
};

pub mod starts;

/// So long after a fall its connections' state is told at the latest: once a second.
const TOLD_US: u64 = 1_000_000;

/// Share of a host's connections that wait for an answer where the network swallows what they
/// send: all that have anything to send, and files come to their ends.
const WAITED_MIN: f64 = 0.5;

/// The files of a record.
#[derive(Clone, Debug, Default)]
pub struct Files {
    /// What each end last told.
    last: BTreeMap<(FlowId, FileEnd), (HostId, FileSeen)>,
    /// The slot from which on a flow has nothing more to carry.
    ended: BTreeMap<FlowId, u64>,
    /// When flows begin to carry.
    pub starts: Starts,
    /// Flows that waited for a disk: their pace and their gaps are not the network's.
    on_disk: BTreeSet<FlowId>,
}

impl Files {
    /// Takes a line.
    pub fn take(&mut self, by: HostId, seen: &FileSeen) {
        if seen.outcome != FileOutcome::GivenUp {
            let slot = self.ended.entry(seen.flow).or_insert(u64::MAX);
            *slot = (*slot).min(seen.at.slot());
        }
        if seen.limited_by == Some(FileLimit::Disk) {
            self.on_disk.insert(seen.flow);
        }
        self.last.insert((seen.flow, seen.end), (by, seen.clone()));
    }

    /// Whether a flow had something to carry in a slot, and its network alone decided how much.
    pub fn is_active(&self, flow: FlowId, slot: u64) -> bool {
        !self.starts.is_starting(flow, slot) && self.has_more(flow, slot)
    }

    /// Whether a flow moves no file: it has something to carry in every slot.
    pub fn is_endless(&self, flow: FlowId) -> bool {
        !self.starts.knows(flow) && !self.ended.contains_key(&flow) && !self.on_disk.contains(&flow)
    }

    /// Whether a flow is not through yet, nor was ended.
    fn has_more(&self, flow: FlowId, slot: u64) -> bool {
        self.ended.get(&flow).is_none_or(|end| slot < *end) && !self.on_disk.contains(&flow)
    }

    /// Whether an end of this flow was held up by its own host.
    pub fn is_limited(&self, flow: FlowId) -> bool {
        [FileEnd::Source, FileEnd::Sink]
            .into_iter()
            .filter_map(|end| self.last.get(&(flow, end)))
            .any(|(_, seen)| seen.limited_by.is_some())
    }

    /// The share of these flows that had something to carry in a slot.
    pub fn active_share(&self, flows: &[FlowId], slot: u64) -> f64 {
        if flows.is_empty() || self.ended.is_empty() && self.on_disk.is_empty() {
            return 1.0;
        }
        let active = flows.iter().filter(|flow| self.has_more(**flow, slot)).count();
        active as f64 / flows.len() as f64
    }

    fn of(&self, host: HostId) -> impl Iterator<Item = &FileSeen> {
        self.last.values().filter(move |(by, _)| *by == host).map(|(_, seen)| seen)
    }
}

/// Whether a host's bulk data stood nearly still for want of anybody who wrote it: small packets
/// passed, and some bulk data did, or most of its connections waited for no answer (RFC 6298: what
/// the network swallows is sent again, later and later). So do ssh processes that wait for a core.
pub fn claim(seen: &Seen, fall: &Fall) -> Option<FindingKind> {
    (frames::lasts(seen, fall) && stood_still(seen, fall)).then_some(FindingKind::HostLimited)
}

/// The same, however short it was.
pub fn stood_still(seen: &Seen, fall: &Fall) -> bool {
    let Some(round) = seen.rounds.get(fall.round) else { return false };
    let (from, to) = (fall.since * SLOT_US, fall.end().saturating_mul(SLOT_US).saturating_add(TOLD_US));
    let waited = || {
        let within = |at: &RunTime| (from..=to).contains(&at.0);
        let own = |flow: &FlowSeen| flow.from == fall.host || flow.to == fall.host;
        let timed_out = seen.timed_out.iter().filter(|(at, _)| within(at)).map(|(_, flow)| *flow);
        let waited: BTreeSet<FlowId> =
            timed_out.filter(|flow| seen.flows.get(flow).is_some_and(own)).collect();
        let all = round.by_host.get(&fall.host).map_or(0, |part| match fall.direction {
            Direction::Tx => part.tx.len(),
            Direction::Rx => part.rx.len(),
            Direction::Both => part.tx.len() + part.rx.len(),
        });
        waited.len() as f64 >= WAITED_MIN * all as f64
    };
    round.dose.carriage.transport.moves_a_file()
        && frames::small_packets_pass(seen, fall)
        && (!frames::swallows_all(fall) || !waited())
}

/// The finding on a host whose bulk data stood still so.
pub fn stood(seen: &Seen, host: HostId, falls: &[&Fall]) -> Finding {
    let text = format!(
        "the files that {} moves stood nearly still {}, while its echoes and handshakes were answered and bulk data passed now and then or few connections waited for an answer: the processes that move them had no time to, so this tells nothing of its card; move fewer at once, or give them cores",
        seen.name(host),
        cause::times(falls),
    );
    let mut finding = cause::bare(FindingKind::HostLimited, Severity::Warn, falls, text);
    finding.direction = Some(cause::direction(falls));
    finding.numbers.insert("stood_still".to_owned(), Some(falls.len() as f64));
    finding
}

/// What a host's own transfers of files told of it.
pub fn findings(seen: &Seen, host: HostId) -> Vec<Finding> {
    failed(seen, host).into_iter().chain(limited(seen, host)).collect()
}

/// Transfers that something on this host ended.
fn failed(seen: &Seen, host: HostId) -> Option<Finding> {
    let failed: Vec<&FileSeen> =
        seen.files.of(host).filter(|file| file.outcome == FileOutcome::Failed).collect();
    let first = failed.iter().min_by_key(|file| file.at)?;
    let what = first.fault.map_or("something ended it", |fault| fault.words());
    let text = format!(
        "{} of the files that {} moves did not get through, and not for want of a network: {what} ({}); no card is accused of it",
        failed.len(),
        seen.name(host),
        first.why
    );
    let mut finding = cause::bare(FindingKind::TransferFailed, Severity::Warn, &[], text);
    finding.first_seen_s = Some(first.at.as_secs_f64());
    finding.evidence = Basis::Corroborated;
    finding.numbers.insert("transfers".to_owned(), Some(failed.len() as f64));
    Some(finding)
}

/// Transfers that this host itself held up.
fn limited(seen: &Seen, host: HostId) -> Option<Finding> {
    let limited: Vec<(&FileSeen, FileLimit)> =
        seen.files.of(host).filter_map(|file| Some((file, file.limited_by?))).collect();
    let (first, limit) = limited.iter().min_by_key(|(file, _)| file.at)?;
    let shared = if seen.shares_kernel(host) {
        "; it shares its machine with other workers of this run, so this says nothing of it alone"
    } else {
        ""
    };
    let text = format!(
        "{} of the files that {} moved went as fast as {} and not as its card{shared}; stages without files tell what its card carries",
        limited.len(),
        seen.name(host),
        limit.words()
    );
    let mut finding = cause::bare(FindingKind::HostLimited, Severity::Info, &[], text);
    finding.first_seen_s = Some(first.at.as_secs_f64());
    finding.evidence = Basis::Corroborated;
    let share = |share: Option<f32>| share.map(f64::from);
    finding.numbers.insert("transfers".to_owned(), Some(limited.len() as f64));
    finding.numbers.insert("disk_share".to_owned(), share(first.disk_share));
    finding.numbers.insert("cpu_share".to_owned(), share(first.cpu_share));
    Some(finding)
}
