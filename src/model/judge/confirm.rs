//! Confirms suspicions: what was seen once must be seen again, with cleared partners.
//!
//! # Rule
//!
//! A finding that rests on bytes alone and says that something is worse than elsewhere accuses
//! nobody by itself. Its host is tried once more (`plan::confirm`). It is confirmed when at least
//! two of three partners see it again and the control pairs do not; seen with none it was
//! passing, and is told as a warning; seen by the controls too, or not tried, it stays open.
//! Findings that the run has repeated by itself, or that a kernel states, need no second look.
//!
//! # Source
//!
//! Google's cluster health scanner re-pairs suspects with a node that passed; the control arm is
//! what tells a sick host from a network that changed meanwhile. In simulations of 100 hosts at
//! 10 % noise: no false accusation in 60 runs, where one pass alone had two a run.

use std::collections::BTreeSet;

use super::{
    checksums::DAMAGED_PAIRS,
    detect::{self, Detected},
    loss, new_flows,
    seen::Seen,
    slow, stalls,
    summary::{Direction, Finding, FindingKind, Severity},
};
use crate::model::{
    fleet::host::{Host, HostId},
    plan::{
        carriage::{Carriage, FrameSize, Transport},
        confirm::{Tries, Wish},
        dose::{Dose, Pattern, Rate, Ways},
        layout::StageKind,
        schedule,
    },
    record::line::SuspectsSeen,
};

mod again;

use again::reproduced;

/// Share of the partners that must see it again.
const AGAIN_MIN: f64 = 0.6;

/// Share of the control pairs that may show it too.
const CONTROLS_MAX: f64 = 0.34;

/// Suspects tried at most: more than these are no matter of single cards.
const SUSPECTS_MAX: usize = 8;

/// Kinds that need a second look.
pub const fn needs_second_look(kind: FindingKind) -> bool {
    matches!(
        kind,
        // What was compared is its own proof; what a checksum caught shows as loss.
        FindingKind::Corruption
            | FindingKind::PacketLoss
            | FindingKind::LossAboveRate
            | FindingKind::MtuBlackHole
            | FindingKind::Duplication
            | FindingKind::Reordering
            | FindingKind::Stalls
            | FindingKind::DeadQueue
            | FindingKind::NewFlowsRefused
            | FindingKind::Latency
            | FindingKind::LatencyUnderLoad
            | FindingKind::Degrading
            | FindingKind::FailSlow
    )
}

fn is_open(finding: &Finding) -> bool {
    needs_second_look(finding.kind) && finding.severity == Severity::Fail && finding.confirmed.is_none()
}

/// Who is suspected now, and with which doses each is to be tried.
#[derive(Clone, Debug, Default)]
pub struct Suspects {
    /// As it goes into the record.
    pub seen: SuspectsSeen,
    /// By host, the gravest first.
    pub wishes: Vec<(HostId, Vec<Wish>)>,
}

/// Looks for suspects in what was seen so far.
pub fn suspects(seen: &Seen) -> Suspects {
    let detected = detect::detect(seen);
    let mut suspects = Suspects::default();
    let mut open: Vec<(HostId, Vec<&Finding>)> = detected
        .hosts
        .iter()
        .map(|(host, own)| (*host, own.iter().filter(|finding| is_open(finding)).collect::<Vec<_>>()))
        .filter(|(_, own)| !own.is_empty())
        .collect();
    open.sort_by_key(|(host, own)| (own.iter().map(|finding| finding.kind).min(), *host));
    for (place, (host, own)) in open.iter().enumerate() {
        suspects.seen.hosts.insert(*host, own.iter().map(|finding| finding.kind.name().to_owned()).collect());
        if place < SUSPECTS_MAX {
            let wishes = own.iter().flat_map(|finding| wishes(seen, finding)).collect();
            suspects.wishes.push((*host, wishes));
        } else {
            let why = format!("more than {SUSPECTS_MAX} hosts are suspected");
            suspects.seen.untried.insert(*host, why);
        }
    }
    let told = |host: &Host| {
        let own = detected.hosts.get(&host.id);
        own.is_some_and(|own| own.iter().any(|finding| finding.severity != Severity::Info))
    };
    let here = |host: &Host| seen.instances(host.id).next().is_some();
    let cleared = seen.hosts.iter().filter(|host| !told(host) && here(host)).map(|host| host.id);
    suspects.seen.cleared = cleared.collect();
    suspects
}

/// The doses under which a finding's symptom shows.
fn wishes(seen: &Seen, finding: &Finding) -> Vec<Wish> {
    let dose = |rate: Rate, carriage: Carriage| Dose {
        pattern: Pattern::Pairs,
        ways: Ways::BothWays,
        rate,
        carriage,
    };
    let bulk = Carriage::tcp(2);
    let frames = |size: u16| Carriage {
        transport: Transport::Udp,
        frame_size_bytes: Some(FrameSize::Bytes(size)),
        ..Carriage::tcp(1)
    };
    let wish = |dose: Dose, for_ms: u64, tries: Tries| Wish { dose, for_us: for_ms * 1000, tries };
    let small = smallest_frame(seen);
    match finding.kind {
        FindingKind::FailSlow | FindingKind::Degrading => {
            let one = |tries| wish(dose(Rate::Unpaced, bulk.clone()), 1500, tries);
            match finding.direction {
                Some(Direction::Tx) => vec![one(Tries::From)],
                Some(Direction::Rx) => vec![one(Tries::To)],
                _ => vec![one(Tries::From), one(Tries::To)],
            }
        }
        FindingKind::LossAboveRate if finding.numbers.contains_key("lossy_pps") => {
            vec![wish(dose(Rate::PpsShare(LADDER_TOP), frames(small)), 1000, Tries::Both)]
        }
        // As long as an allowance of a second's worth may cover what is above it.
        FindingKind::LossAboveRate => vec![wish(dose(Rate::Unpaced, bulk), 3000, Tries::Both)],
        // Few of its packets are damaged: it takes many.
        FindingKind::Corruption if finding.numbers.contains_key(DAMAGED_PAIRS) => {
            vec![wish(dose(Rate::Unpaced, bulk), 3000, Tries::Both)]
        }
        FindingKind::PacketLoss | FindingKind::Corruption => {
            let mut wishes = vec![wish(dose(Rate::Share(0.5), bulk), 2500, Tries::Both)];
            // Frames showed it, and bulk data may not: what drops by protocol or size.
            if finding.numbers.contains_key(loss::NUMBERED) {
                wishes.push(wish(dose(Rate::PpsShare(0.05), frames(small.max(512))), 1500, Tries::Both));
            }
            wishes
        }
        FindingKind::MtuBlackHole => {
            let lost = finding.number("frame_lost_bytes").unwrap_or(1514.0) as u16;
            vec![wish(dose(Rate::Pps(200), frames(lost)), 600, Tries::Both)]
        }
        FindingKind::Duplication | FindingKind::Reordering => {
            vec![wish(dose(Rate::PpsShare(0.05), frames(small.max(512))), 1500, Tries::Both)]
        }
        FindingKind::DeadQueue => {
            let carriage = Carriage { connections_per_s: Some(40), ..Carriage::tcp(1) };
            vec![wish(dose(Rate::Unpaced, carriage), 2000, Tries::Both)]
        }
        FindingKind::NewFlowsRefused => {
            // A table fills as it did, but now by one partner.
            let per_s = new_flows::attempts_per_s(seen, finding).mul_add(1.25, 0.5) as u16;
            let carriage = Carriage { connections_per_s: Some(per_s.clamp(40, 400)), ..Carriage::tcp(1) };
            vec![wish(dose(Rate::Unpaced, carriage), 3000, Tries::Both)]
        }
        FindingKind::LatencyUnderLoad => vec![wish(dose(Rate::Share(0.5), bulk), 3000, Tries::Both)],
        FindingKind::Latency | FindingKind::Stalls => {
            let idle = Dose { pattern: Pattern::Idle, ..dose(Rate::Unpaced, bulk) };
            // Time for two of its gaps.
            let every_s = finding.number(stalls::EVERY_S).unwrap_or(0.0);
            vec![wish(idle, (2000.0 * every_s).clamp(4000.0, IDLE_MAX_MS) as u64, Tries::Probes)]
        }
        _ => Vec::new(),
    }
}

/// What a second look may take of idle time, milliseconds.
const IDLE_MAX_MS: f64 = 10_000.0;

/// The rate of small frames at which a host is tried again, of what calibration found.
const LADDER_TOP: f64 = 0.6;

fn smallest_frame(seen: &Seen) -> u16 {
    schedule::least_frame(&seen.hosts)
}

/// Settles every open finding by what the trying showed.
pub fn settle(seen: &Seen, detected: &mut Detected) {
    let Detected { hosts, outranked, .. } = detected;
    let suspects: BTreeSet<HostId> = hosts
        .iter()
        .filter(|(_, own)| own.iter().any(|finding| finding.severity != Severity::Info))
        .map(|(host, _)| *host)
        .collect();
    for (host, own) in hosts.iter_mut() {
        for finding in own.iter_mut().filter(|finding| is_open(finding)) {
            let shown = if is_untried(seen, *host) { None } else { verdict(seen, *host, finding, &suspects) };
            match shown {
                Some(Shown::Again { of, times }) => {
                    finding.confirmed = Some(true);
                    finding.numbers.insert("confirmed_with".to_owned(), Some(times as f64));
                    finding.numbers.insert("tried_with".to_owned(), Some(of as f64));
                }
                Some(Shown::NotAgain) => {
                    finding.confirmed = Some(false);
                    finding.severity = Severity::Warn;
                    finding.text.push_str("; tried again, it did not show: it was passing");
                }
                Some(Shown::Unclear) => finding.confirmed = Some(false),
                None => stands_alone(seen, *host, finding),
            }
        }
        if own.iter().any(|finding| finding.confirmed == Some(false) && finding.severity == Severity::Warn) {
            own.extend(slow_all_the_same(outranked.get(host)));
        }
    }
}

/// Slowness beyond all scatter that was taken for the consequence of what did not show again.
fn slow_all_the_same(outranked: Option<&Vec<Finding>>) -> Option<Finding> {
    let slow = outranked?.iter().find(|finding| {
        slow::is_of_pairs(finding) && finding.severity == Severity::Fail && slow::is_far_beyond(finding)
    })?;
    Some(Finding { confirmed: Some(true), ..slow.clone() })
}

/// Without any trying: slowness far beyond all scatter stands alone, by the older rule.
fn stands_alone(seen: &Seen, host: HostId, finding: &mut Finding) {
    // Where suspects were to be tried, and the record breaks off before that, nothing is settled.
    let nobody_was = seen.suspects.is_none() && !seen.confirms;
    if !(nobody_was || is_untried(seen, host)) || !slow::is_of_pairs(finding) {
        return;
    }
    if slow::is_far_beyond(finding) {
        finding.confirmed = Some(true);
    } else if nobody_was {
        finding.severity = Severity::Warn;
    }
}

/// Whether there was no room to try a suspect.
fn is_untried(seen: &Seen, host: HostId) -> bool {
    seen.suspects.as_ref().is_some_and(|suspects| suspects.untried.contains_key(&host))
}

/// What the trying showed.
enum Shown {
    Again { of: usize, times: usize },
    NotAgain,
    Unclear,
}

fn verdict(seen: &Seen, host: HostId, finding: &Finding, suspects: &BTreeSet<HostId>) -> Option<Shown> {
    let rounds = || seen.rounds.iter().filter(|round| round.kind == StageKind::Confirm);
    rounds().next()?;
    let others: Vec<HostId> = seen.others(host).collect();
    let again = reproduced(seen, finding);
    let own: Vec<bool> = others
        .iter()
        .filter(|partner| !suspects.contains(partner))
        .filter_map(|partner| again(host, *partner))
        .collect();
    let times = own.iter().filter(|again| **again).count();
    // The same question of pairs that nothing tells against.
    let cleared: Vec<HostId> = others.iter().copied().filter(|host| !suspects.contains(host)).collect();
    let controls: Vec<bool> = cleared
        .iter()
        .enumerate()
        .flat_map(|(place, a)| cleared[place + 1..].iter().map(move |b| (*a, *b)))
        .filter_map(|(a, b)| again(a, b))
        .collect();
    let dirty = controls.iter().filter(|again| **again).count() as f64 > CONTROLS_MAX * controls.len() as f64;
    if own.is_empty() {
        return Some(Shown::Unclear);
    }
    Some(match times {
        0 => Shown::NotAgain,
        _ if dirty => Shown::Unclear,
        _ if times as f64 >= AGAIN_MIN * own.len() as f64 => Shown::Again { of: own.len(), times },
        _ => Shown::Unclear,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::judge::cause;

    /// Loss that made a host slow, as it seemed, and passed: what is slow beyond all scatter stays.
    #[test]
    fn who_is_far_too_slow_stays_so_when_its_seeming_cause_has_passed() {
        let of_kind = |kind: FindingKind, z: f64, severity: Severity| {
            let mut finding = cause::bare(kind, severity, &[], String::new());
            finding.numbers.insert("z".to_owned(), Some(z));
            vec![finding]
        };
        let slow = |z: f64, severity: Severity| of_kind(FindingKind::FailSlow, z, severity);
        let kept = |outranked: Vec<Finding>| {
            slow_all_the_same(Some(&outranked)).map(|finding| (finding.kind, finding.confirmed))
        };
        assert_eq!(kept(slow(-12.0, Severity::Fail)), Some((FindingKind::FailSlow, Some(true))));
        assert_eq!(kept(slow(-3.0, Severity::Fail)), None, "within what chance does");
        assert_eq!(kept(slow(-12.0, Severity::Warn)), None, "a note accuses nobody");
        let slower = of_kind(FindingKind::Degrading, -12.0, Severity::Fail);
        assert_eq!(kept(slower), Some((FindingKind::Degrading, Some(true))));
        let stalls = cause::bare(FindingKind::Stalls, Severity::Fail, &[], String::new());
        assert_eq!(kept(vec![stalls]), None);
        assert!(slow_all_the_same(None).is_none());
    }
}
