//! What was the coordinator's own: it was held up, or lost most of its hosts at once.
//!
//! # Rule
//!
//! Windows in which it did not run it tells itself. Control that most hosts lost within
//! [`AT_ONCE_S`] of each other is one thing that happened on its side: it is told once, and of
//! hosts that had it back without a loss no more.

use std::collections::BTreeMap;

use super::{
    cause,
    seen::Seen,
    summary::{Finding, FindingKind, Severity},
};
use crate::model::fleet::{host::HostId, units::RunTime};

/// A window in which the coordinator was held up: since, until, how.
type Impaired = (RunTime, RunTime, String);

/// Windows no further apart than this have one cause, and are told together.
const IMPAIRED_ONCE_US: u64 = 5_000_000;

/// A silence of control is noticed after 2.5 s and more, by the last sign of life of each host.
const AT_ONCE_S: f64 = 3.0;

/// Findings on the coordinator; what hosts only share of it is taken from theirs.
pub fn findings(seen: &Seen, hosts: &mut BTreeMap<HostId, Vec<Finding>>) -> Vec<Finding> {
    let near = |one: &Impaired, next: &Impaired| next.0.0.saturating_sub(one.1.0) <= IMPAIRED_ONCE_US;
    let mut found: Vec<Finding> = seen.impaired.chunk_by(near).filter_map(held_up).collect();
    found.extend(lost_most(seen, hosts));
    found
}

/// The finding on windows in which the coordinator was held up, one soon after the other.
fn held_up(windows: &[Impaired]) -> Option<Finding> {
    let ((since, _, why), (_, until, _)) = (windows.first()?, windows.last()?);
    let times = if windows.len() > 1 { format!(", {} times", windows.len()) } else { String::new() };
    let text = format!(
        "the coordinator itself was held up from {since} to {until}{times} ({why}); look at its CPU, then run again"
    );
    Some(told(since.as_secs_f64(), text))
}

fn told(since_s: f64, text: String) -> Finding {
    let mut finding = cause::bare(FindingKind::CoordinatorImpaired, Severity::Info, &[], text);
    finding.first_seen_s = Some(since_s);
    finding
}

/// The finding on control that most hosts lost at once.
fn lost_most(seen: &Seen, hosts: &mut BTreeMap<HostId, Vec<Finding>>) -> Option<Finding> {
    let lost = |finding: &Finding| finding.first_seen_s.filter(|_| finding.kind == FindingKind::ControlLost);
    let mut times: Vec<f64> = hosts.values().filter_map(|own| own.iter().find_map(lost)).collect();
    times.sort_by(f64::total_cmp);
    let at_once = |first: f64, at: f64| (first..=first + AT_ONCE_S).contains(&at);
    let together = |first: &f64| times.iter().filter(|at| at_once(*first, **at)).count();
    let since_s = *times.iter().find(|first| 2 * together(first) > seen.hosts.len())?;
    let count = together(&since_s);
    let same = |finding: &Finding| lost(finding).is_some_and(|at| at_once(since_s, at));
    for own in hosts.values_mut() {
        own.retain(|finding| !(finding.severity == Severity::Info && same(finding)));
    }
    let text = format!(
        "control lost {count} of {} hosts at once, at {since_s:.1} s: that was the coordinator's own link, its CPU or its switch port; look there, and run again where a host is inconclusive for it",
        seen.hosts.len()
    );
    let mut finding = told(since_s, text);
    finding.numbers.insert("hosts".to_owned(), Some(count as f64));
    Some(finding)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_of_the_coordinator_that_follow_each_other_are_told_once() {
        let window = |from: u64, to: u64| {
            (RunTime(from * 1_000_000), RunTime(to * 1_000_000), "it did not run".to_owned())
        };
        let mut seen = Seen::default();
        seen.impaired = vec![window(13, 16), window(16, 18), window(22, 24), window(60, 62)];
        let told = findings(&seen, &mut BTreeMap::new());
        let texts: Vec<_> =
            told.iter().map(|finding| (finding.first_seen_s, finding.text.as_str())).collect();
        assert_eq!(texts.len(), 2, "{texts:?}");
        assert_eq!((texts[0].0, texts[1].0), (Some(13.0), Some(60.0)));
        assert!(texts[0].1.contains(", 3 times (it did not run)"), "{texts:?}");
        assert!(!texts[1].1.contains("times"), "{texts:?}");
    }

    /// Of eight hosts these lost control at such a second; how many are told of the coordinator, and how
    /// many hosts are still told of.
    fn shared(lost: &[(u16, f64, Severity)]) -> (usize, usize) {
        let seen = crate::model::judge::tests::field::Field::of(8).seen;
        let finding = |at: f64, severity| {
            let mut finding = cause::bare(FindingKind::ControlLost, severity, &[], String::new());
            finding.first_seen_s = Some(at);
            finding
        };
        let mut hosts =
            lost.iter().map(|(host, at, severity)| (HostId(*host), vec![finding(*at, *severity)])).collect();
        let told = findings(&seen, &mut hosts).len();
        (told, hosts.values().filter(|own| !own.is_empty()).count())
    }

    #[test]
    fn control_that_most_hosts_lose_at_once_is_the_coordinator_s() {
        let of = |count: u16, apart: f64, severity| -> Vec<_> {
            (0..count).map(|host| (host, 70.0 + f64::from(host) * apart, severity)).collect()
        };
        assert_eq!(shared(&of(8, 0.1, Severity::Info)), (1, 0));
        assert_eq!(shared(&of(5, 0.1, Severity::Info)), (1, 0));
        assert_eq!(shared(&of(4, 0.1, Severity::Info)), (0, 4), "half of them may be a rack");
        assert_eq!(shared(&of(8, 5.0, Severity::Info)), (0, 8), "one after the other");
        assert_eq!(shared(&of(8, 0.1, Severity::Warn)), (1, 8), "who is not back stays inconclusive");
    }
}
