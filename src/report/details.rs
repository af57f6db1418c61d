//! What lies behind a host's row and behind a finding, as labels with one text each.
//!
//! Terminal, Markdown and HTML show the same points in the same order; only their marks differ.
//! The texts are not escaped for any of them.

use crate::model::judge::summary::{Corroboration, DropOff, Finding, FindingKind, HostSummary, Verdict};

use super::{advice, escape, figures, words};

/// Drop-offs of one host that are listed; the rest is counted.
const DROP_OFFS_SHOWN: usize = 8;

/// The label of what to do next. Its texts are this room's own: they need no escape from markup.
pub const NEXT: &str = "Next";

/// The label of what a host's own kernel says to a finding.
pub const KERNEL_SAYS: &str = "Its kernel";

/// A label and what is said under it, in one line.
pub type Point = (&'static str, String);

/// A finding's first line: `dies_under_load tx+rx [fail], confirmed, first at 41.3 s`.
pub fn finding_head(finding: &Finding) -> String {
    let direction = finding.direction.map_or_else(String::new, |d| format!(" {}", words::direction(d)));
    let since = finding
        .first_seen_s
        .map_or_else(String::new, |s| format!(", first at {}", figures::seconds(Some(s))));
    format!(
        "{}{direction} [{}], {}{since}",
        finding.kind.name(),
        words::severity(finding.severity),
        words::confirmed(finding.confirmed),
    )
}

/// What happened, at what dose, on what evidence, and what to do next.
pub fn finding_points(finding: &Finding) -> Vec<Point> {
    let mut points = vec![("What", finding.text.clone())];
    points.extend(dose(finding).map(|dose| ("Dose", dose)));
    let others: Vec<String> = finding
        .numbers
        .iter()
        .filter(|(name, value)| value.is_some() && !name.starts_with("dose_"))
        .map(|(name, value)| format!("{name} {}", figures::named(name, *value)))
        .collect();
    if !others.is_empty() {
        points.push(("Numbers", others.join(", ")));
    }
    let evidence = match finding.kind {
        FindingKind::Audit => words::OWN_FACTS,
        _ => words::basis(finding.evidence),
    };
    points.push(("Evidence", evidence.to_owned()));
    points.extend(finding.corroboration.iter().map(|item| (KERNEL_SAYS, corroboration(item))));
    points.push((NEXT, advice::next_step(finding.kind).to_owned()));
    points
}

/// One item: `at 41.2 s, counter: …`, or without a moment where it holds all the time.
fn corroboration(item: &Corroboration) -> String {
    let at = item.at_s.map_or_else(String::new, |at_s| format!("at {}, ", figures::seconds(Some(at_s))));
    format!("{at}{}: {}", words::source(item.source), item.text)
}

/// Why a host has its verdict, as far as its findings do not say it.
pub fn reason(host: &HostSummary) -> Option<Point> {
    host.reason.as_ref().map(|reason| ("Why", reason.clone()))
}

/// Who saw it, when it fell off, and what to do where no finding tells.
pub fn host_points(host: &HostSummary) -> Vec<Point> {
    let mut points = Vec::new();
    let seen_by = witnesses(host);
    if !seen_by.is_empty() {
        points.push(("Seen by", seen_by.join(", ")));
    }
    points.extend(host.drop_offs.iter().take(DROP_OFFS_SHOWN).map(|it| ("Drop-off", drop_off(it))));
    if let Some(more) = host.drop_offs.len().checked_sub(DROP_OFFS_SHOWN).filter(|more| *more > 0) {
        points.push(("Drop-off", format!("and {more} more; all are in summary.json")));
    }
    if host.findings.is_empty() && matches!(host.verdict, Verdict::Inconclusive | Verdict::NotTested) {
        points.push((NEXT, advice::NOT_MEASURED.to_owned()));
    }
    points
}

/// The card in one line: `eth0, veth, MTU 1500`; empty where nothing is known.
pub fn card(host: &HostSummary) -> String {
    let nic = &host.nic;
    let facts = [nic.iface.clone(), nic.driver.clone(), nic.mtu.map(|mtu| format!("MTU {mtu}"))];
    let facts: Vec<String> = facts.into_iter().flatten().map(|fact| words::middle_cut(&fact, 24)).collect();
    facts.join(", ")
}

/// The dose of a finding, where it has one: what was survived and what was not.
pub fn dose(finding: &Finding) -> Option<String> {
    let survived = finding.number("dose_survived_bps");
    let killed = finding.number("dose_killed_bps")?;
    let killed = figures::named("dose_killed_bps", Some(killed));
    Some(match survived {
        Some(bps) => format!("survived {}, died at {killed}", figures::named("dose_survived_bps", Some(bps))),
        None => format!("died at {killed}; no lower dose was held for 8 s"),
    })
}

/// The peers that saw a host's own drop-offs, each once, sorted; empty where none was of its own.
pub fn witnesses(host: &HostSummary) -> Vec<String> {
    let mut peers: Vec<String> = host
        .drop_offs
        .iter()
        .filter(|drop_off| drop_off.explained_by.is_none())
        .flat_map(|drop_off| drop_off.peers.iter())
        .map(|peer| peer.as_str().to_owned())
        .collect();
    peers.sort();
    peers.dedup();
    peers
}

/// One drop-off as a sentence's part: `tx+rx at 41.3 s for 3.1 s in storm, from 88.0 Mb/s, 100 % missing`.
pub fn drop_off(drop_off: &DropOff) -> String {
    let length = match drop_off.for_s {
        Some(for_s) => format!("for {}", figures::seconds(Some(for_s))),
        None => "(end not seen)".to_owned(),
    };
    let from =
        drop_off.offered_bps.map_or_else(String::new, |bps| format!(", from {}", figures::rate(Some(bps))));
    let owner =
        drop_off.explained_by.as_ref().map_or_else(String::new, |host| format!(", explained by {host}"));
    escape::plain(&format!(
        "{} at {} {length} in {}{from}, {} missing{owner}",
        words::direction(drop_off.direction),
        figures::seconds(Some(drop_off.at_s)),
        drop_off.stage,
        figures::share(Some(drop_off.depth)),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::fixture;

    #[test]
    fn only_the_peers_of_own_drop_offs_are_witnesses() {
        let summary = fixture::mixed();
        let host =
            |name: &str| summary.hosts.iter().find(|host| host.host.as_str() == name).expect("planned");
        assert_eq!(witnesses(host("h3")), ["h1", "h2", "h4"]);
        assert!(witnesses(host("h1")).is_empty(), "what it shared with h3 is not its own");
    }

    #[test]
    fn a_dose_without_a_lower_one_that_held_says_so() {
        let mut finding = fixture::mixed().hosts[2].findings[0].clone();
        assert_eq!(dose(&finding).as_deref(), Some("survived 60.0 Mb/s, died at 88.0 Mb/s"));
        finding.numbers.insert("dose_survived_bps".to_owned(), None);
        assert_eq!(dose(&finding).as_deref(), Some("died at 88.0 Mb/s; no lower dose was held for 8 s"));
        finding.numbers.insert("dose_killed_bps".to_owned(), None);
        assert_eq!(dose(&finding), None);
    }

    #[test]
    fn a_host_with_many_drop_offs_lists_some_and_counts_the_rest() {
        let mut host = fixture::mixed().hosts[2].clone();
        host.drop_offs = vec![host.drop_offs[0].clone(); 11];
        let points = host_points(&host);
        assert_eq!(points.len(), 1 + DROP_OFFS_SHOWN + 1);
        assert!(points.last().is_some_and(|(_, text)| text.starts_with("and 3 more")));
    }
}
