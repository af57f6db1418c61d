//! Which finding on a host stands for its cause, and which merely follow from it.
//!
//! One table: what a kernel says outranks what bytes show, a hard symptom outranks a soft one,
//! and what is the host's own and not its card's takes everything with it that it can cause.

use super::{
    cause::load::{ANSWERED, WITH_ROUNDS},
    frames::FRAME_LOST,
    latency::{LATE_PROBES, PROBES},
    new_flows::ATTEMPTS,
    slow::DEFICIT_SHARE,
    summary::{Finding, FindingKind, Severity},
};

use FindingKind::{
    AddressLost, ClockJump, Corruption, DeadQueue, Degrading, DiesUnderLoad, DuplicateAddress, Duplication,
    FailSlow, HostLimited, HostRebooted, Latency, LatencyUnderLoad, LinkDown, LinkFlap, LossAboveRate,
    MtuBlackHole, MtuMismatch, NeighbourFailure, NewFlowsRefused, OneWayDead, Outage, PacketLoss,
    PortsBlocked, Reordering, Stalls, TransferFailed, Withdrawn, WorkerFrozen, WorkerLost, WrongInterface,
};

/// What a kernel's own tables say.
const FACTS: &[FindingKind] = &[LinkDown, LinkFlap, AddressLost, DuplicateAddress];

/// Nothing passes, at least for a while, or of a kind.
const HARD: &[FindingKind] = &[
    LinkDown,
    LinkFlap,
    AddressLost,
    DuplicateAddress,
    NeighbourFailure,
    MtuMismatch,
    MtuBlackHole,
    NewFlowsRefused,
    DiesUnderLoad,
    Outage,
    OneWayDead,
];

/// The host or its process, and not its card: what it does to bytes says nothing of the card.
const OWN: &[FindingKind] = &[
    WorkerLost,
    WorkerFrozen,
    HostRebooted,
    HostLimited,
    ClockJump,
    Withdrawn,
    TransferFailed,
    WrongInterface,
    PortsBlocked,
];

/// Soft symptoms, each the consequence of those before it.
const SOFT: [FindingKind; 11] = [
    Corruption,
    PacketLoss,
    LossAboveRate,
    Duplication,
    // Echoes that a dead queue swallows look like pauses of the others'.
    DeadQueue,
    Stalls,
    Reordering,
    Latency,
    LatencyUnderLoad,
    Degrading,
    FailSlow,
];

/// The deficit from which on a host is so slow that what others send it by the fleet's measure stands
/// in its queues for a second.
const FAR_SLOWER: f64 = 0.8;

/// The deficit from which on a host cannot carry half of its load: what it is late for then is that.
const HALF_AS_FAST: f64 = 0.45;

/// Whether a kind is what a kernel says of its own.
pub fn is_fact(kind: FindingKind) -> bool {
    FACTS.contains(&kind)
}

/// Whether `other` explains `kind` on the same host.
fn outranks(other: FindingKind, kind: FindingKind) -> bool {
    // What a filter takes looks like any of them; what a kernel says of its own does not.
    if other == PortsBlocked {
        return !FACTS.contains(&kind) && (HARD.contains(&kind) || SOFT.contains(&kind));
    }
    match kind {
        // A link that goes down takes addresses with it.
        AddressLost => matches!(other, LinkDown | LinkFlap),
        NeighbourFailure => FACTS.contains(&other),
        MtuBlackHole => FACTS.contains(&other) || other == MtuMismatch,
        DiesUnderLoad | Outage | NewFlowsRefused => {
            FACTS.contains(&other) || matches!(other, NeighbourFailure | MtuMismatch | MtuBlackHole)
        }
        OneWayDead => FACTS.contains(&other) || matches!(other, NeighbourFailure | DiesUnderLoad | Outage),
        // A changed byte is its own proof; only packets that a checksum caught are a loss too.
        Corruption => false,
        _ => {
            let rank = |kind: FindingKind| SOFT.iter().position(|soft| *soft == kind);
            let Some(own) = rank(kind) else { return false };
            HARD.contains(&other) || OWN.contains(&other) || rank(other).is_some_and(|other| other < own)
        }
    }
}

/// Whether a finding rests on falls alone that a dead queue makes: of a few pairs all streams lie
/// in it, and with them some echoes or handshakes.
fn seems_by_few_flows(finding: &Finding) -> bool {
    match finding.kind {
        // Of few hosts whole rounds are such flows; and who dies of load, has had it before.
        Outage | DiesUnderLoad if finding.numbers.contains_key(WITH_ROUNDS) => true,
        Outage => finding.confirmed == Some(false),
        MtuBlackHole => !finding.numbers.contains_key(FRAME_LOST),
        NewFlowsRefused => !finding.numbers.contains_key(ATTEMPTS),
        // Of a dead way nobody's echo comes back.
        OneWayDead => finding.numbers.contains_key(ANSWERED),
        _ => false,
    }
}

/// Whether a finding rests on falls alone that lost packets or refused connections make: throughput
/// collapses, and echoes are answered all the while.
fn only_collapses(finding: &Finding) -> bool {
    matches!(finding.kind, Outage | DiesUnderLoad) && finding.numbers.contains_key(ANSWERED)
}

/// Whether a finding rests on what a host this slow makes of its own accord: what is more than it
/// carries stands in its queues for a while. Who is always late is slow for that, and not late for this.
fn stood_in_queues(finding: &Finding) -> bool {
    let number = |name| finding.number(name).unwrap_or(0.0);
    match finding.kind {
        Stalls => true,
        Latency | LatencyUnderLoad => number(LATE_PROBES) * 2.0 < number(PROBES),
        _ => false,
    }
}

/// Leaves one finding for each cause: what a finding at least as grave explains is taken out, and
/// returned.
pub fn keep_causes(findings: &mut Vec<Finding>) -> Vec<Finding> {
    if findings.iter().any(|finding| finding.kind == DeadQueue && finding.numbers.contains_key(ATTEMPTS)) {
        findings.retain(|finding| !seems_by_few_flows(finding));
    }
    let makes_collapse = |finding: &Finding| {
        let kinds = matches!(finding.kind, PacketLoss | LossAboveRate | NewFlowsRefused | DeadQueue);
        kinds && finding.severity == Severity::Fail
    };
    if findings.iter().any(makes_collapse) {
        findings.retain(|finding| !only_collapses(finding));
    }
    let slower = findings.iter().filter(|finding| finding.kind == FailSlow);
    let deficit = slower.filter_map(|finding| finding.number(DEFICIT_SHARE)).fold(0.0, f64::max);
    if deficit >= FAR_SLOWER {
        findings.retain(|finding| !stood_in_queues(finding));
    }
    if deficit >= HALF_AS_FAST {
        findings.retain(|finding| finding.kind != LatencyUnderLoad);
    }
    let others: Vec<(FindingKind, Severity)> =
        findings.iter().map(|finding| (finding.kind, finding.severity)).collect();
    let follows = |finding: &mut Finding| {
        let explained = |(other, severity): &(FindingKind, Severity)| {
            let own = OWN.contains(other) && *severity != Severity::Info;
            (*severity <= finding.severity || own) && outranks(*other, finding.kind)
        };
        others.iter().any(explained)
    };
    findings.extract_if(.., follows).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::judge::cause;

    fn kept(kinds: &[(FindingKind, Severity)]) -> Vec<FindingKind> {
        let mut findings: Vec<Finding> =
            kinds.iter().map(|(kind, severity)| cause::bare(*kind, *severity, &[], String::new())).collect();
        keep_causes(&mut findings);
        findings.into_iter().map(|finding| finding.kind).collect()
    }

    #[test]
    fn loss_explains_a_collapse_that_echoes_lived_through_and_no_silence() {
        for (kind, answered, (other, severity), want) in [
            (Outage, true, (PacketLoss, Severity::Fail), &[PacketLoss][..]),
            (DiesUnderLoad, true, (PacketLoss, Severity::Fail), &[PacketLoss]),
            (DiesUnderLoad, true, (NewFlowsRefused, Severity::Fail), &[NewFlowsRefused]),
            (Outage, false, (PacketLoss, Severity::Fail), &[Outage]),
            (Outage, true, (PacketLoss, Severity::Warn), &[Outage]),
        ] {
            let mut findings = vec![
                cause::bare(kind, Severity::Fail, &[], String::new()),
                cause::bare(other, severity, &[], String::new()),
            ];
            if answered {
                findings[0].numbers.insert(ANSWERED.to_owned(), Some(2.0));
            }
            keep_causes(&mut findings);
            let kept: Vec<FindingKind> = findings.iter().map(|finding| finding.kind).collect();
            assert_eq!(kept, want, "{kind:?}, answered {answered}, {other:?} {severity:?}");
        }
    }

    #[test]
    fn who_is_far_slower_is_late_for_that_at_times_and_slow_for_it_where_always_late() {
        for (kind, deficit, late, want) in [
            (Latency, 0.9, 16.0, FailSlow),
            (Latency, 0.9, 400.0, Latency),
            (Latency, 0.3, 16.0, Latency),
            (LatencyUnderLoad, 0.6, 400.0, FailSlow),
            (LatencyUnderLoad, 0.3, 400.0, LatencyUnderLoad),
            (Stalls, 0.9, 0.0, FailSlow),
            (Stalls, 0.3, 0.0, Stalls),
        ] {
            let mut findings =
                [kind, FailSlow].map(|kind| cause::bare(kind, Severity::Fail, &[], String::new())).to_vec();
            let numbers = [(LATE_PROBES, late), (PROBES, 514.0)];
            findings[0].numbers.extend(numbers.map(|(name, value)| (name.to_owned(), Some(value))));
            findings[1].numbers.insert(DEFICIT_SHARE.to_owned(), Some(deficit));
            keep_causes(&mut findings);
            let kinds: Vec<FindingKind> = findings.iter().map(|finding| finding.kind).collect();
            assert_eq!(kinds, [want], "{kind:?}, {deficit} slower, {late} late");
        }
    }

    #[test]
    fn a_dead_queue_explains_falls_that_all_began_with_rounds_and_no_others() {
        for (with_rounds, want) in [(true, &[DeadQueue][..]), (false, &[DiesUnderLoad])] {
            let mut findings = [DiesUnderLoad, DeadQueue]
                .map(|kind| cause::bare(kind, Severity::Fail, &[], String::new()))
                .to_vec();
            findings[1].numbers.insert(ATTEMPTS.to_owned(), Some(240.0));
            if with_rounds {
                findings[0].numbers.insert(WITH_ROUNDS.to_owned(), Some(6.0));
            }
            keep_causes(&mut findings);
            let kinds: Vec<FindingKind> = findings.iter().map(|finding| finding.kind).collect();
            assert_eq!(kinds, want);
        }
    }

    #[test]
    fn a_dead_queue_explains_what_few_flows_make_it_seem_and_follows_from_what_is_sure() {
        for (other, sure, want) in [
            (Outage, false, DeadQueue),
            (Outage, true, Outage),
            (MtuBlackHole, false, DeadQueue),
            (MtuBlackHole, true, MtuBlackHole),
            (NewFlowsRefused, false, DeadQueue),
            (NewFlowsRefused, true, NewFlowsRefused),
            (OneWayDead, false, DeadQueue),
        ] {
            let mut findings =
                [other, DeadQueue].map(|kind| cause::bare(kind, Severity::Fail, &[], String::new())).to_vec();
            findings[1].numbers.insert(ATTEMPTS.to_owned(), Some(800.0));
            findings[0].confirmed = Some(sure);
            if other == OneWayDead {
                findings[0].numbers.insert(ANSWERED.to_owned(), Some(1.0));
            }
            if sure {
                let numbers = [ATTEMPTS, FRAME_LOST].map(|name| (name.to_owned(), Some(900.0)));
                findings[0].numbers.extend(numbers);
            }
            keep_causes(&mut findings);
            let kinds: Vec<FindingKind> = findings.iter().map(|finding| finding.kind).collect();
            assert_eq!(kinds, [want], "{other:?}, sure: {sure}");
        }
    }

    #[test]
    fn of_a_cause_and_what_follows_from_it_the_cause_is_kept() {
        use Severity::{Fail, Info, Warn};
        type Case = (&'static str, &'static [(FindingKind, Severity)], &'static [FindingKind]);
        let cases: &[Case] = &[
            ("loss makes a host slow", &[(FailSlow, Fail), (PacketLoss, Fail)], &[PacketLoss]),
            ("carrier first", &[(Outage, Fail), (LinkFlap, Fail)], &[LinkFlap]),
            (
                "a single flap hides nothing graver",
                &[(FailSlow, Fail), (LinkFlap, Warn)],
                &[FailSlow, LinkFlap],
            ),
            ("a starved host is no slow card", &[(FailSlow, Fail), (HostLimited, Warn)], &[HostLimited]),
            (
                "a note on a slow disk hides no loss",
                &[(PacketLoss, Fail), (HostLimited, Info)],
                &[PacketLoss, HostLimited],
            ),
            (
                "two causes stay two",
                &[(Corruption, Fail), (DiesUnderLoad, Fail)],
                &[Corruption, DiesUnderLoad],
            ),
            ("an MTU explains a hole", &[(MtuBlackHole, Fail), (MtuMismatch, Fail)], &[MtuMismatch]),
            ("a dead queue swallows echoes", &[(Stalls, Fail), (DeadQueue, Fail)], &[DeadQueue]),
            ("gaps explain late answers", &[(Latency, Fail), (Stalls, Fail)], &[Stalls]),
        ];
        for (name, kinds, want) in cases {
            assert_eq!(kept(kinds), *want, "{name}");
        }
    }

    #[test]
    fn nothing_outranks_what_outranks_it() {
        for a in SOFT.iter().chain(HARD).chain(OWN) {
            for b in SOFT.iter().chain(HARD).chain(OWN) {
                assert!(!(outranks(*a, *b) && outranks(*b, *a)), "{} and {}", a.name(), b.name());
            }
        }
    }
}
