//! The stretches of time in which evidence on a finding is looked for.

use crate::model::{
    fleet::units::{RunTime, SLOT_US},
    judge::{
        cause,
        falls::Fall,
        seen::Seen,
        summary::{Finding, FindingKind},
    },
};

/// How long before an onset its cause may have been noted: facts are sampled each second,
/// and the first low slot comes up to a second after a card began to fail.
const BEFORE_US: u64 = 2_000_000;

/// … and how long after: a driver's watchdog waits 5 s before it says that a queue stands
/// still (`net/sched/sch_generic.c`).
const AFTER_US: u64 = 5_000_000;

/// Where to look.
#[derive(Clone, Debug, PartialEq)]
pub struct Windows {
    /// The stretches, in the order of time.
    pub spans: Vec<(RunTime, RunTime)>,
    /// The moment whose boot the evidence must be of.
    pub onset: RunTime,
}

impl Windows {
    /// Of a finding, given its host's own falls and all findings on that host.
    pub fn of(seen: &Seen, finding: &Finding, own: &[&Fall], all: &[Finding]) -> Self {
        let onsets: Vec<RunTime> = match finding.kind {
            // These rest on the run as a whole: on its carrier counts, its pair rounds, its
            // seconds of starvation.
            FindingKind::LinkDown
            | FindingKind::LinkFlap
            | FindingKind::FailSlow
            | FindingKind::HostLimited => Vec::new(),
            kind => onsets(seen, kind, own, all),
        };
        if onsets.is_empty() {
            match (finding.first_seen_s, finding.kind) {
                (Some(first_s), FindingKind::WorkerLost | FindingKind::ControlLost) => {
                    return Self::around(&[RunTime((first_s * 1e6).max(0.0) as u64)]);
                }
                _ => return Self::whole(seen),
            }
        }
        Self::around(&onsets)
    }

    fn around(onsets: &[RunTime]) -> Self {
        let span = |at: &RunTime| (RunTime(at.0.saturating_sub(BEFORE_US)), RunTime(at.0 + AFTER_US));
        Self { spans: onsets.iter().map(span).collect(), onset: onsets.first().copied().unwrap_or_default() }
    }

    /// The whole run.
    pub fn whole(seen: &Seen) -> Self {
        Self { spans: vec![(RunTime::default(), seen.latest)], onset: RunTime::default() }
    }

    /// One stretch.
    pub fn span(from: RunTime, to: RunTime) -> Self {
        Self { spans: vec![(from, to)], onset: from }
    }

    /// Whether a moment lies within.
    pub fn holds(&self, at: RunTime) -> bool {
        self.spans.iter().any(|(from, to)| (*from..=*to).contains(&at))
    }

    /// Whether a stretch touches them.
    pub fn touches(&self, since: RunTime, until: RunTime) -> bool {
        self.spans.iter().any(|(from, to)| since <= *to && until >= *from)
    }
}

/// The onsets of the falls that a finding of this kind was made of.
fn onsets(seen: &Seen, kind: FindingKind, own: &[&Fall], all: &[Finding]) -> Vec<RunTime> {
    let has_one_way = all.iter().any(|finding| finding.kind == FindingKind::OneWayDead);
    own.iter()
        .filter(|fall| match cause::claim_of(seen, fall) {
            // A direction that died under load is told as that: see `cause::findings`.
            Some(FindingKind::OneWayDead) if !has_one_way => {
                matches!(kind, FindingKind::DiesUnderLoad | FindingKind::Outage)
            }
            Some(claimed) => claimed == kind,
            None => matches!(kind, FindingKind::DiesUnderLoad | FindingKind::Outage),
        })
        .map(|fall| RunTime(fall.since * SLOT_US))
        .collect()
}
