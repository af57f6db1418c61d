//! What flows that move files told of themselves: when they were through, what failed that
//! is no card's fault, and what of a host was slower than its card.
//!
//! A flow that is through is silent with good reason; so is one whose disk or process ended
//! it. Neither is a drop-off.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    cause,
    seen::Seen,
    summary::{Basis, Finding, FindingKind, Severity},
};
use crate::model::{
    fleet::host::HostId,
    plan::layout::FlowId,
    record::file::{FileEnd, FileLimit, FileOutcome, FileSeen},
};

/// So long a transfer may take to begin before its silence counts: the file is read, sshd and
/// ssh are started and agree on keys, which on a loaded machine takes a second.
const STARTING_SLOTS: usize = 30;

/// The files of a record.
#[derive(Clone, Debug, Default)]
pub struct Files {
    /// What each end last told.
    last: BTreeMap<(FlowId, FileEnd), (HostId, FileSeen)>,
    /// The slot from which on a flow has nothing more to carry.
    ended: BTreeMap<FlowId, u64>,
    /// The slot in which a flow begins.
    begins: BTreeMap<FlowId, u64>,
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

    /// A flow that is to move a file begins in this slot.
    pub fn begins(&mut self, flow: FlowId, slot: u64) {
        self.begins.insert(flow, slot);
    }

    /// Whether a flow whose receiver counted these bytes had something to carry in a slot, and
    /// its network alone decided how much.
    pub fn is_active(&self, flow: FlowId, slots: &[Option<u64>], slot: u64) -> bool {
        let starting = self.begins.get(&flow).is_some_and(|begins| {
            let since = slot.saturating_sub(*begins) as usize;
            since < STARTING_SLOTS && slots.iter().take(since + 1).flatten().all(|bytes| *bytes == 0)
        });
        !starting && self.has_more(flow, slot)
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
        let active = flows.iter().filter(|flow| self.has_more(**flow, slot)).count();
        if flows.is_empty() { 1.0 } else { active as f64 / flows.len() as f64 }
    }

    fn of(&self, host: HostId) -> impl Iterator<Item = &FileSeen> {
        self.last.values().filter(move |(by, _)| *by == host).map(|(_, seen)| seen)
    }
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
