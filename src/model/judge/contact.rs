//! Findings on a host that no drop-off brought up: its contact, its ports, its interface,
//! its own CPU.
//!
//! None of them accuses a card. Which of them keep a host from passing is [`not_the_card`]
//! and [`untests`].

use super::{
    cause::{self, link, process},
    files, interface, ladder, measured, ports, pressure, robust,
    seen::{Seen, WAYS},
    slow, starved,
    summary::{Finding, FindingKind, Severity},
};
use crate::model::{
    fleet::{host::HostId, units::RunTime},
    record::line::ContactState,
};

/// Share of what its CPU carries over loopback from which on a host was near its own limit:
/// to a card it sends and receives at once, where loopback copies twice.
const AT_CEILING_SHARE: f64 = 0.8;

/// Share of its peers' below which a host's own limit can be why it is slower than they are.
const WEAKER_SHARE: f64 = 0.9;

/// How much slower than its CPU is weaker it may be, of what its peers carry, for that to be why.
const WEAKER_ROOM: f64 = 0.1;

/// Kinds that concern the host or its process and not its card: `inconclusive`.
pub const fn not_the_card(kind: FindingKind) -> bool {
    matches!(
        kind,
        FindingKind::WorkerLost
            | FindingKind::WorkerFrozen
            | FindingKind::HostRebooted
            | FindingKind::HostLimited
            | FindingKind::ControlLost
            | FindingKind::ClockJump
            | FindingKind::Withdrawn
            | FindingKind::TransferFailed
    )
}

/// Kinds after which nothing that was measured counts: `not_tested`.
pub const fn untests(kind: FindingKind) -> bool {
    matches!(kind, FindingKind::WrongInterface | FindingKind::PortsBlocked)
}

/// These findings on a host, beyond those it `has`.
pub fn findings(seen: &Seen, host: HostId, has: &[Finding]) -> Vec<Finding> {
    let mut found = Vec::new();
    let explained = |kinds: &[FindingKind]| has.iter().any(|finding| kinds.contains(&finding.kind));
    found.extend(ports::finding(seen, host));
    if let Some((shown, own)) = interface::missed(seen, host) {
        let text = format!(
            "{} carried {own} bytes of which only {shown} show on its interface's counters: another card carried them; name the card with --iface",
            seen.name(host)
        );
        found.push(cause::bare(FindingKind::WrongInterface, Severity::Warn, &[], text));
    }
    if link::carrier_losses(seen, host) > 0 && !explained(&[FindingKind::LinkFlap, FindingKind::LinkDown]) {
        found.push(link::finding(seen, host, &[]));
    }
    if has.is_empty() {
        found.extend(silent_control(seen, host));
    }
    if !explained(&[FindingKind::HostLimited]) {
        found.extend(limited(seen, host, has));
    }
    found.extend(files::findings(seen, host));
    found
}

/// What says that a host and not its card is the limit: the gravest, and the most direct of these.
fn limited(seen: &Seen, host: HostId, has: &[Finding]) -> Option<Finding> {
    let told = [
        starved::finding(seen, host, has),
        pressure::finding(seen, host, has),
        ladder::finding(seen, host, has.is_empty()),
        at_ceiling(seen, host, has),
    ];
    told.into_iter().flatten().min_by_key(|finding| finding.severity)
}

/// A host whose control connection was lost at the end while nothing else tells against it.
fn silent_control(seen: &Seen, host: HostId) -> Option<Finding> {
    if let Some((at, _, why)) = seen.left.iter().find(|(_, who, _)| *who == host) {
        let text = format!("the worker on {} was withdrawn ({why})", seen.name(host));
        let mut finding = cause::bare(FindingKind::Withdrawn, Severity::Warn, &[], text);
        finding.first_seen_s = Some(at.as_secs_f64());
        return Some(finding);
    }
    if let Some(kind) = process::new_instance(seen, host, RunTime::default()) {
        let text = match kind {
            FindingKind::HostRebooted => {
                format!("{} rebooted during the run: its boot id changed", seen.name(host))
            }
            _ => format!("the worker on {} ended and was started again during the run", seen.name(host)),
        };
        return Some(cause::bare(kind, Severity::Warn, &[], text));
    }
    let (at, last) = seen.contacts.iter().rfind(|(_, contact)| contact.host == host)?;
    let kind = match last.state {
        ContactState::Back => return lapse(seen, host, *at),
        ContactState::Closed => FindingKind::WorkerLost,
        ContactState::Lost => FindingKind::ControlLost,
    };
    let text = match kind {
        FindingKind::WorkerLost => {
            format!("the worker on {} ended during the run ({})", seen.name(host), last.why)
        }
        _ => format!(
            "control lost {} at {at} ({}) while its data flowed; judge again with its spool: nicburn judge RUN --spool FILE",
            seen.name(host),
            last.why
        ),
    };
    let mut finding = cause::bare(kind, Severity::Warn, &[], text);
    finding.first_seen_s = Some(at.as_secs_f64());
    Some(finding)
}

/// A control connection that was lost and came back, with all that was measured meanwhile: a note.
fn lapse(seen: &Seen, host: HostId, back: RunTime) -> Option<Finding> {
    let own = seen.contacts.iter().filter(|(_, contact)| contact.host == host);
    let mut lost = own.filter(|(_, contact)| contact.state == ContactState::Lost);
    let (at, contact) = lost.next()?;
    let text = format!(
        "control lost {} at {at} ({}) and had it back at {back}, while its data flowed; nothing that it measured is missing: look at the way to the coordinator",
        seen.name(host),
        contact.why
    );
    let mut finding = cause::bare(FindingKind::ControlLost, Severity::Info, &[], text);
    finding.first_seen_s = Some(at.as_secs_f64());
    finding.numbers.insert("times".to_owned(), Some(1.0 + lost.count() as f64));
    Some(finding)
}

/// Whether a host is as slow as its CPU is weaker than those of its peers are, over loopback.
fn is_slow_by_cpu(seen: &Seen, host: HostId, ceiling: f64, slow: &Finding) -> bool {
    let others = seen.ceilings.iter().filter(|(other, _)| **other != host);
    let others: Vec<f64> = others.map(|(_, ceiling)| *ceiling as f64).collect();
    let carries = 1.0 - slow.number(slow::DEFICIT_SHARE).unwrap_or(1.0);
    robust::median(&others)
        .map(|usual| ceiling / usual)
        .is_some_and(|share| share < WEAKER_SHARE && carries >= share - WEAKER_ROOM)
}

/// A host that carried nearly as much as its CPU carries at all: its card was not the limit. A note,
/// unless it is slower than its peers and that is why.
fn at_ceiling(seen: &Seen, host: HostId, has: &[Finding]) -> Option<Finding> {
    let ceiling = *seen.ceilings.get(&host).filter(|_| !seen.shares_kernel(host))? as f64;
    let load = measured::Load::of(seen, host);
    let best = WAYS.into_iter().filter_map(|way| load.best_second(way)).reduce(f64::max)?;
    (best >= AT_CEILING_SHARE * ceiling).then(|| {
        let text = format!(
            "{} carried {} of the {} that its own CPU carries over loopback: what it reached may be its CPU's limit and not its card's; give the worker more cores (--threads) or take less work from them",
            seen.name(host),
            cause::rate_text(Some(best)),
            cause::rate_text(Some(ceiling)),
        );
        let mut slow = has.iter().filter(|finding| finding.kind == FindingKind::FailSlow);
        let why = slow.any(|finding| is_slow_by_cpu(seen, host, ceiling, finding));
        let severity = if why { Severity::Warn } else { Severity::Info };
        let mut finding = cause::bare(FindingKind::HostLimited, severity, &[], text);
        finding.numbers.insert("ceiling_bps".to_owned(), Some(ceiling));
        finding.numbers.insert("reached_bps".to_owned(), Some(best.round()));
        finding
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{
        judge::tests::field::{Field, losing},
        record::line::DatagramFlow,
    };

    /// What is said of one of eight that sends and receives so much of what others do, by a CPU that carries
    /// so much of theirs, and whose socket drops some of single frames at the only rate, or none.
    fn said_of((tx, rx): (f64, f64), cpu: f64, drops: bool) -> Option<Severity> {
        let sick = HostId(3);
        let mut field = Field::of(8);
        field.pairs(|from, to| 10e6 * if from == 3 { tx } else { 1.0 } * if to == 3 { rx } else { 1.0 });
        field.frames(82, 6_000, 0.05, |_, to, sent| DatagramFlow {
            socket_drops: if drops && to == 3 { sent / 100 } else { 0 },
            ..losing(0.0)(sent)
        });
        for host in field.seen.hosts.iter().map(|host| host.id) {
            let share = if host == sick { cpu } else { 1.0 };
            field.seen.ceilings.insert(host, (11e6 * share) as u64);
        }
        let mut slow = cause::bare(FindingKind::FailSlow, Severity::Fail, &[], String::new());
        slow.numbers.insert(slow::DEFICIT_SHARE.to_owned(), Some(1.0 - tx.min(rx)));
        limited(&field.seen, sick, &[slow]).map(|finding| finding.severity)
    }

    #[test]
    fn a_weaker_cpu_is_why_a_host_is_as_much_slower_and_no_more() {
        assert_eq!(said_of((0.7, 0.7), 0.7, false), Some(Severity::Warn));
        assert_eq!(said_of((0.8, 0.3), 0.85, false), Some(Severity::Info), "one way is far slower");
        assert_eq!(said_of((0.7, 0.7), 1.0, false), None, "its CPU is as good as theirs");
    }

    #[test]
    fn that_its_ladder_ended_as_well_hides_no_weaker_cpu() {
        assert_eq!(said_of((0.7, 0.7), 0.7, true), Some(Severity::Warn));
        assert_eq!(said_of((0.7, 0.7), 1.0, true), Some(Severity::Info), "the ladder's note");
    }
}
