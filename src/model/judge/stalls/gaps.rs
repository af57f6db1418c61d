//! Gaps as echoes show them: rows of late ones, of a host or of whatever else many echoes share.
//!
//! # Rule
//!
//! Echoes in the order of their sending, with the handshakes between
//! them; those of the one in question that were late by [`LATE_US`] or lost, at least [`ROW_MIN`]
//! in a row, over [`ROW_US`] and of enough partners, are a gap where the others' meanwhile were not. Most of
//! its late ones must lie in gaps: delays that come one by one are `latency`'s. Two hosts of which next to
//! nothing is in time show no gap either: their way is dead to these flows, or long.
//!
//! # What does not belong here
//!
//! How many gaps make a finding: `stalls`, `uplink`.

use std::collections::BTreeSet;

use super::GAP_MAX_US;
use crate::model::{
    fleet::host::HostId,
    judge::{
        quiet::Calm,
        seen::{
            Seen,
            probes::{Asked, Outcome},
        },
    },
    record::probe::Moments,
};

/// A probe is in a gap from this round trip on, microseconds: of a gap of 50 ms four in five are. Of 44,000
/// echoes in idle or half loaded rounds of eleven healthy labs none took as long.
pub(super) const LATE_US: u32 = 10_000;

/// Late probes in a row that make a gap.
pub(super) const ROW_MIN: usize = 3;

/// How far the first and the last of them lie apart at least, microseconds: with the [`LATE_US`] that the last
/// one waited a gap was 20 ms long. A machine that its hypervisor holds for 15 ms three times in a run is no
/// card; of the contract's 50 ms less than a third may go by between two probes.
pub(super) const ROW_US: u64 = 10_000;

/// Partners in a row, so that it is no path's.
pub(super) const PARTNERS_MIN: usize = 2;

/// Share of a pair's probes that are late as a rule: a gap is no rule, see [`LATE_MAX`].
const AS_A_RULE: f64 = 0.8;

/// Share of the late probes that must lie in gaps.
const IN_GAPS_MIN: f64 = 0.6;

/// Share of the probes that may be late: more is not a gap, but how it is.
const LATE_MAX: f64 = 0.4;

/// Share of the others' probes that may be late in the same gap: more is the machine's, or the
/// switch's.
const OTHERS_MAX: f64 = 0.2;

/// A gap: when it began and how long it was, microseconds.
pub(super) type Gap = (u64, u64);

/// One probe: when it was sent, how, between whom, and whether it was late or lost.
#[derive(Clone, Copy, Debug)]
pub(super) struct Probe {
    at_us: u64,
    asked: Asked,
    pub from: HostId,
    pub to: HostId,
    pub late: bool,
    /// What the network carried then.
    pub calm: Calm,
}

impl Probe {
    /// All probes of quiet and of gentle ticks, in the order of their sending.
    pub fn all(seen: &Seen, ticks: &[Option<Calm>]) -> Vec<Self> {
        let mut probes: Vec<Self> = Vec::new();
        for asked in kinds_of(seen.moments) {
            for (from, to) in seen.probes.pairs(*asked) {
                let outcomes = seen.probes.outcomes(from, to, *asked);
                let first = probes.len();
                for (tick, calm) in (0..).zip(ticks) {
                    let Some((calm, outcome)) = calm.zip(outcomes(tick)) else { continue };
                    let at_us = seen.moments.leaves_at(*asked, from, to, tick).0;
                    probes.push(Self { at_us, asked: *asked, from, to, late: is_late(outcome), calm });
                }
                let own = &probes[first..];
                if own.iter().filter(|probe| probe.late).count() as f64 > AS_A_RULE * own.len() as f64 {
                    probes.truncate(first);
                }
            }
        }
        probes.sort_by_key(|probe| (probe.at_us, probe.from, probe.to));
        probes
    }

    pub fn touches(&self, host: HostId) -> bool {
        self.from == host || self.to == host
    }
}

/// The probes that are looked at. Handshakes sent together with their echoes would tell the same twice.
pub(super) const fn kinds_of(moments: Moments) -> &'static [Asked] {
    match moments {
        Moments::Still => &[Asked::Echo],
        Moments::Turning => &[Asked::Echo, Asked::Handshake],
    }
}

const fn is_late(outcome: Outcome) -> bool {
    match outcome {
        Outcome::Lost => true,
        Outcome::Answered(us) => us >= LATE_US,
    }
}

/// The gaps of one host, but for those in which it `fell`.
pub(super) fn of_host(probes: &[Probe], host: HostId, fell: impl Fn(u64) -> bool) -> Vec<Gap> {
    let partner = |probe: &&Probe| if probe.from == host { probe.to } else { probe.from };
    let met: BTreeSet<HostId> =
        probes.iter().filter(|probe| probe.touches(host)).map(|it| partner(&it)).collect();
    let enough = PARTNERS_MIN.min(met.len());
    let is_its = |row: &[&Probe]| {
        row.iter().map(partner).collect::<BTreeSet<_>>().len() >= enough && !fell(row[0].at_us)
    };
    of(probes, |probe| probe.touches(host), is_its)
}

/// The gaps of the echoes in question, of the rows that `is_its`; none where late ones come one by one.
pub(super) fn of(
    probes: &[Probe],
    in_question: impl Fn(&Probe) -> bool,
    is_its: impl Fn(&[&Probe]) -> bool,
) -> Vec<Gap> {
    let own: Vec<&Probe> = probes.iter().filter(|probe| in_question(probe)).collect();
    // Late in the same moments as the others: the machine's, or the switch's.
    let is_shared = |from: u64, to: u64| {
        let first = probes.partition_point(|probe| probe.at_us < from);
        let end = probes.partition_point(|probe| probe.at_us <= to);
        let others: Vec<&Probe> = probes[first..end].iter().filter(|probe| !in_question(probe)).collect();
        others.iter().filter(|probe| probe.late).count() as f64 > OTHERS_MAX * others.len() as f64
    };
    // New connections alone that wait are no card that stands still.
    let has_echo = |row: &[&Probe]| row.iter().any(|probe| probe.asked == Asked::Echo);
    let late = own.iter().filter(|probe| probe.late).count();
    let (mut gaps, mut in_gaps) = (Vec::new(), 0);
    for row in own.chunk_by(|a, b| a.late && b.late).filter(|row| row[0].late && row.len() >= ROW_MIN) {
        let (from, to) = (row[0].at_us, row[row.len() - 1].at_us);
        if (ROW_US..GAP_MAX_US).contains(&(to - from)) && !is_shared(from, to) && has_echo(row) && is_its(row)
        {
            gaps.push((from, to - from));
            in_gaps += row.len();
        }
    }
    let mostly = in_gaps as f64 >= IN_GAPS_MIN * late as f64;
    let rarely = late as f64 <= LATE_MAX * own.len() as f64;
    if mostly && rarely { gaps } else { Vec::new() }
}
