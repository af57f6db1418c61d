//! Falls that the worker's own process explains: withdrawn, killed, frozen, rebooted.
//!
//! None of these is a card's fault. The signs: a kernel that answers for a process that is
//! gone (RST, ICMP, a refused handshake), a handshake without a process behind it, a new
//! instance or boot id, or the worker's own word that it did not run.

use super::super::{
    explain::{self, AFTER_US},
    falls::Fall,
    seen::Seen,
    summary::{Finding, FindingKind, Severity},
};
use crate::model::{
    fleet::{
        host::HostId,
        units::{RunTime, SLOT_US, SLOTS_PER_S},
    },
    record::line::{ContactState, StreamEvent},
};

/// How long after a fall's onset a reset can be its cause: a sender that lost its receiver's
/// consent resets its streams too, but only 3 s later.
const RESET_AFTER_US: u64 = 1_500_000;

/// … and how long before: the first low slot may have begun before its streams ended.
const RESET_BEFORE_US: u64 = 200_000;

/// A process that wrote a line later than this after the onset was alive.
const ALIVE_AFTER_US: u64 = 300_000;

/// Whole seconds without a line after which a worker did not run: it looks at its host each second.
const UNWRITTEN_S: u64 = 2;

/// Share of the peers that must have seen the resets of a process that ended: its kernel
/// ends all of its streams at once.
const RESET_PEERS: f64 = 0.5;

/// The kind of process trouble behind a fall, if it was one.
pub fn claim(seen: &Seen, fall: &Fall) -> Option<FindingKind> {
    let onset = fall.since * SLOT_US;
    let (from, to) = explain::window(fall);
    if seen.left.iter().any(|(at, host, _)| *host == fall.host && at.0 <= onset + AFTER_US) {
        return Some(FindingKind::Withdrawn);
    }
    if let Some(kind) = new_instance(seen, fall.host, from) {
        return Some(kind);
    }
    if explain::stalled_during(seen, fall.host, fall) || wrote_nothing(seen, fall) {
        return Some(FindingKind::WorkerFrozen);
    }
    let alive = seen.last_wrote.get(&fall.host).is_some_and(|wrote| wrote.0 > onset + ALIVE_AFTER_US);
    if alive {
        return None;
    }
    let closed = seen.contacts.iter().any(|(at, contact)| {
        contact.host == fall.host && contact.state == ContactState::Closed && (from..=to).contains(at)
    });
    if closed || kernel_answered(seen, fall) {
        return Some(FindingKind::WorkerLost);
    }
    let silent =
        peers_saw(seen, fall.host, |what, at| what == StreamEvent::Silent && at.0 >= onset && at <= to);
    (silent > 0).then_some(FindingKind::WorkerFrozen)
}

/// Whether a worker wrote nothing at all, not even for itself, while its host was silent for some whole
/// seconds: then its own timeline does not show that it ran.
fn wrote_nothing(seen: &Seen, fall: &Fall) -> bool {
    let Some(until) = fall.until else { return false };
    let seconds = fall.since.div_ceil(SLOTS_PER_S)..until / SLOTS_PER_S;
    seconds.end >= seconds.start + UNWRITTEN_S && !seen.wrote_in(fall.host, seconds)
}

/// A second worker process on the host, after `from`: of the same boot, or of another.
pub fn new_instance(seen: &Seen, host: HostId, from: RunTime) -> Option<FindingKind> {
    let all: Vec<_> = seen.instances(host).collect();
    let (at, latest) = all.last()?;
    let (_, first) = all.first()?;
    if all.len() < 2 || *at < from {
        return None;
    }
    let kind =
        if latest.boot_id == first.boot_id { FindingKind::WorkerLost } else { FindingKind::HostRebooted };
    Some(kind)
}

/// Whether peers were told by the host's kernel that its process is gone.
fn kernel_answered(seen: &Seen, fall: &Fall) -> bool {
    let onset = fall.since * SLOT_US;
    let (from, to) = explain::window(fall);
    let refused =
        peers_saw(seen, fall.host, |what, at| what == StreamEvent::Refused && (from..=to).contains(&at));
    let reset = peers_saw(seen, fall.host, |what, at| {
        what == StreamEvent::Reset && at.0 + RESET_BEFORE_US >= onset && at.0 <= onset + RESET_AFTER_US
    });
    refused > 0 || (reset > 0 && reset as f64 >= RESET_PEERS * fall.peers.len() as f64)
}

/// How many peers saw such an event on a stream that they share with `host`.
fn peers_saw(seen: &Seen, host: HostId, such: impl Fn(StreamEvent, RunTime) -> bool) -> usize {
    let mut peers: Vec<HostId> = seen
        .streams
        .iter()
        .filter(|(by, stream)| {
            *by != host
                && such(stream.what, stream.at)
                && seen.flows.get(&stream.flow).is_some_and(|flow| flow.peer_of(*by) == host)
        })
        .map(|(by, _)| *by)
        .collect();
    peers.sort_unstable();
    peers.dedup();
    peers.len()
}

/// The finding on a host whose process was the trouble.
pub fn finding(seen: &Seen, host: HostId, kind: FindingKind, falls: &[&Fall]) -> Finding {
    let name = seen.name(host);
    let times = super::times(falls);
    let text = match kind {
        FindingKind::Withdrawn => {
            let why = seen.left.iter().find(|(_, who, _)| *who == host).map_or("", |(.., why)| why.as_str());
            format!(
                "the worker on {name} was withdrawn during the run ({why}); its card was not tested to the end"
            )
        }
        FindingKind::HostRebooted => {
            format!(
                "{name} rebooted during the run: its boot id changed; read its console and logs before trusting its card"
            )
        }
        FindingKind::WorkerLost => format!(
            "the worker on {name} ended while its kernel went on answering its peers; look for who killed it (out of memory, a service manager), then run again"
        ),
        _ => format!(
            "the worker on {name} did not run for a while, {times}, while its kernel went on answering; look for what stopped it (a debugger, a frozen group, a paused virtual machine), then run again"
        ),
    };
    super::bare(kind, Severity::Warn, falls, text)
}
