//! Falls that the host's own link facts explain: carrier lost, and not back or back.

use super::super::{
    explain,
    falls::Fall,
    seen::Seen,
    summary::{Finding, FindingKind, Severity},
};
use crate::model::{
    fleet::{host::HostId, units::RunTime},
    record::line::LinkSeen,
};

/// Lost carriers from which on a link that came back fails its host: once may be a hand on
/// a cable, twice in one run is not (the contract's figures).
const FLAPS_FAIL: u32 = 2;

/// Whether the carrier was lost in a fall's window.
pub fn claim(seen: &Seen, fall: &Fall) -> Option<FindingKind> {
    explain::carrier_lost_during(seen, fall.host, fall).then(|| kind(seen, fall.host))
}

fn kind(seen: &Seen, host: HostId) -> FindingKind {
    match last_link(seen, host) {
        Some(link) if link.carrier => FindingKind::LinkFlap,
        _ => FindingKind::LinkDown,
    }
}

fn last_link(seen: &Seen, host: HostId) -> Option<LinkSeen> {
    seen.links(host).last().map(|(_, link)| link)
}

/// How often the carrier was lost during the run.
pub fn carrier_losses(seen: &Seen, host: HostId) -> u32 {
    let links: Vec<(RunTime, LinkSeen)> = seen.links(host).collect();
    // A kernel that was booted brings its links up anew, and counts that.
    let boots: Vec<RunTime> = seen.boots(host).collect();
    let (mut losses, mut before_fall) = (0, 0);
    for pair in links.windows(2) {
        let [(from, before), (to, after)] = pair else { continue };
        if boots.iter().any(|boot| from < boot && boot <= to) {
            before_fall = 0;
            continue;
        }
        if after.carrier_down < before.carrier_down {
            // Reset with its driver, or misread: then it is back at once.
            before_fall = before.carrier_down;
        }
        let known = if after.carrier_down >= before_fall { before_fall } else { 0 };
        losses += after.carrier_down.saturating_sub(before.carrier_down.max(known));
    }
    // What was gone when its host was first looked at went before that.
    let was_gone = links.first().is_some_and(|(_, link)| link.up && !link.carrier);
    losses + u32::from(was_gone)
}

/// The finding on a host whose carrier was lost; of falls or without any.
pub fn finding(seen: &Seen, host: HostId, falls: &[&Fall]) -> Finding {
    let name = seen.name(host);
    let losses = carrier_losses(seen, host).max(1);
    let kind = kind(seen, host);
    let (severity, text) = match kind {
        FindingKind::LinkFlap => (
            if losses >= FLAPS_FAIL { Severity::Fail } else { Severity::Warn },
            format!(
                "the link of {name} went down and came back, {} by its own carrier count; check cable, transceiver and switch port, then the driver's log",
                super::often(losses as usize)
            ),
        ),
        _ => (
            Severity::Fail,
            format!(
                "the link of {name} went down and did not come back; check cable, transceiver and switch port"
            ),
        ),
    };
    let mut finding = super::bare(kind, severity, falls, text);
    finding.direction = None;
    finding.confirmed = Some(true);
    finding.numbers.insert("carrier_losses".to_owned(), Some(f64::from(losses)));
    finding.numbers.insert("drop_offs".to_owned(), Some(falls.len() as f64));
    finding
}
