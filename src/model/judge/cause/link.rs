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
    let boots: Vec<RunTime> = seen.boots(host).collect();
    // A kernel that was booted brings its links up anew, and counts that.
    let of_one_boot =
        links.chunk_by(|(from, _), (to, _)| !boots.iter().any(|boot| from < boot && boot <= to));
    let losses: u32 = of_one_boot.map(|own| rises(own.iter().map(|(_, link)| link.carrier_down))).sum();
    // What was gone when its host was first looked at went before that.
    let was_gone = links.first().is_some_and(|(_, link)| link.up && !link.carrier);
    losses + u32::from(was_gone)
}

/// By how much a counter rose: one that fell was reset with its driver, and one that is another for a
/// single reading was misread.
fn rises(counted: impl Iterator<Item = u32>) -> u32 {
    let counted: Vec<u32> = counted.collect();
    let mut sound = counted.clone();
    for (between, three) in sound.iter_mut().skip(1).zip(counted.windows(3)) {
        let (least, most) = (three[0].min(three[2]), three[0].max(three[2]));
        *between = three[1].clamp(least, most);
    }
    sound.windows(2).map(|pair| pair[1].saturating_sub(pair[0])).sum()
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_counter_s_rises_count_and_no_misreading_or_reset_does() {
        for (counted, want) in [
            (&[1, 1, 1, 2, 2, 3, 3][..], 2),
            (&[1, 1, 0, 1, 1], 0),
            (&[1, 1, 3, 1, 1], 0),
            (&[1, 1, u32::MAX, 1], 0),
            (&[7, 7, 0, 0, 1, 1], 1),
            (&[1, 2], 1),
            (&[1, 1, 2], 1),
            (&[], 0),
        ] {
            assert_eq!(rises(counted.iter().copied()), want, "{counted:?}");
        }
    }
}
