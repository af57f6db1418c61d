//! The words that all renderings share: names of verdicts, and in which order hosts stand.

use crate::model::judge::summary::{
    Basis, Direction, FleetVerdict, HostSummary, Severity, Source, Summary, Verdict,
};

use super::{escape, figures};

/// Said at the top of everything that a lab's run yields.
pub const SIMULATED: &str =
    "SIMULATED LINKS: namespaces of one machine, not network cards. Faults and limits are the lab's.";

/// The fleet's verdict, one word.
pub const fn fleet_verdict(verdict: FleetVerdict) -> &'static str {
    match verdict {
        FleetVerdict::Healthy => "HEALTHY",
        FleetVerdict::Unhealthy => "UNHEALTHY",
        FleetVerdict::Inconclusive => "INCONCLUSIVE",
        FleetVerdict::Interrupted => "INTERRUPTED",
    }
}

/// A host's verdict as in tables.
pub const fn verdict(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Fail => "FAIL",
        Verdict::Inconclusive => "INCONCLUSIVE",
        Verdict::NotTested => "NOT TESTED",
        Verdict::Pass => "pass",
    }
}

/// A direction, short.
pub const fn direction(direction: Direction) -> &'static str {
    match direction {
        Direction::Tx => "tx",
        Direction::Rx => "rx",
        Direction::Both => "tx+rx",
    }
}

/// A severity as in files.
pub const fn severity(severity: Severity) -> &'static str {
    match severity {
        Severity::Fail => "fail",
        Severity::Warn => "warn",
        Severity::Info => "info",
    }
}

/// What a finding rests on, as a sentence's part.
pub const fn basis(basis: Basis) -> &'static str {
    match basis {
        Basis::EndToEnd => {
            "end-to-end: receivers' counts alone; no counter or kernel line of the host says so too"
        }
        Basis::Corroborated => {
            "corroborated: receivers' counts, and a counter or kernel line of that host alone"
        }
    }
}

/// What a finding of an audit rests on.
pub const OWN_FACTS: &str = "the host's own facts, as its driver and its kernel tell them";

/// Where a host's kernel was asked, as a label.
pub const fn source(source: Source) -> &'static str {
    match source {
        Source::Kernel => "kernel log",
        Source::Counter => "counter",
        Source::Link => "link",
        Source::Address => "address",
    }
}

/// Whether a finding reproduced.
pub const fn confirmed(confirmed: Option<bool>) -> &'static str {
    match confirmed {
        Some(true) => "confirmed",
        Some(false) => "did not reproduce",
        None => "not tried again",
    }
}

/// The first line of every rendering: `UNHEALTHY: 1 of 8 hosts failed (h3)`.
pub fn headline(summary: &Summary) -> String {
    let planned = summary.fleet.planned;
    let named = |verdict: Verdict| -> Vec<&HostSummary> {
        summary.hosts.iter().filter(|host| host.verdict == verdict).collect()
    };
    let parts: Vec<String> = [
        (Verdict::Fail, "failed"),
        (Verdict::Inconclusive, "inconclusive"),
        (Verdict::NotTested, "not tested"),
    ]
    .into_iter()
    .map(|(verdict, word)| (named(verdict), word))
    .filter(|(hosts, _)| !hosts.is_empty())
    .map(|(hosts, word)| format!("{} {word} ({})", hosts.len(), some_names(&hosts)))
    .collect();
    let what = if parts.is_empty() {
        let passed = named(Verdict::Pass).len();
        format!("{passed} of {} passed", figures::count(planned as usize, "planned host"))
    } else {
        format!("of {}: {}", figures::count(planned as usize, "planned host"), parts.join(", "))
    };
    format!("{}: {what}", fleet_verdict(summary.verdict))
}

/// The first few names; a headline is one line.
fn some_names(hosts: &[&HostSummary]) -> String {
    const SHOWN: usize = 4;
    let mut names: Vec<String> =
        hosts.iter().take(SHOWN).map(|host| middle_cut(host.host.as_str(), 40)).collect();
    if hosts.len() > SHOWN {
        names.push(format!("and {} more", hosts.len() - SHOWN));
    }
    names.join(", ")
}

/// What was compared of the payload and at which cost, where anything was.
pub fn compared(summary: &Summary) -> Option<String> {
    let costs = summary.hosts.iter().filter_map(|host| host.tested.verify_cpu_s);
    let cost_s = costs.reduce(|a, b| a + b)?;
    // Each byte stands with both of its ends.
    let bytes: u64 = summary.hosts.iter().filter_map(|host| host.tested.verified_bytes).sum::<u64>() / 2;
    let bytes = figures::bytes(Some(bytes));
    Some(format!("{bytes} of payload were compared with what was sent, for {cost_s:.2} s of a core"))
}

/// The run in one line: name, scenario, seed, when, how long.
pub fn run_line(summary: &Summary) -> String {
    let run = &summary.run;
    escape::plain(&format!(
        "run {}, scenario {}, seed {}, started {}, {} long, {} of {} measured",
        run.id,
        run.scenario,
        run.seed,
        run.started_at,
        figures::seconds(run.duration_s),
        summary.fleet.tested,
        figures::count(summary.fleet.planned as usize, "host"),
    ))
}

/// Failed hosts first, then inconclusive, not tested and passed ones; within each as planned.
pub fn in_order(summary: &Summary) -> Vec<&HostSummary> {
    let mut hosts: Vec<&HostSummary> = summary.hosts.iter().collect();
    hosts.sort_by_key(|host| host.verdict);
    hosts
}

/// Whether a host has more to say than its row: it did not pass, or it passed with findings.
pub fn needs_detail(host: &HostSummary) -> bool {
    host.verdict != Verdict::Pass || host.findings.iter().any(|finding| finding.severity != Severity::Info)
}

/// What the last column of a table says: findings, else the reason, else whose fault it shared.
pub fn what(host: &HostSummary) -> String {
    if !host.findings.is_empty() {
        let mut kinds: Vec<&str> = host.findings.iter().map(|finding| finding.kind.name()).collect();
        kinds.dedup();
        return kinds.join(", ");
    }
    if let Some(reason) = &host.reason {
        return escape::plain(reason);
    }
    let mut culprits: Vec<String> = host
        .drop_offs
        .iter()
        .filter_map(|drop_off| drop_off.explained_by.as_ref())
        .map(|culprit| escape::plain(culprit.as_str()))
        .collect();
    culprits.sort();
    culprits.dedup();
    if culprits.is_empty() { String::new() } else { format!("explained by {}", culprits.join(", ")) }
}

/// At most `width` characters, cut in the middle: both a rack's prefix and a host's number
/// at the end tell names apart.
pub fn middle_cut(text: &str, width: usize) -> String {
    let chars: Vec<char> = escape::plain(text).chars().collect();
    if chars.len() <= width {
        return chars.into_iter().collect();
    }
    let room = width.saturating_sub(1);
    let (head, tail) = (room - room / 2, room / 2);
    chars[..head].iter().chain(&['…']).chain(&chars[chars.len() - tail..]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::fixture;

    #[test]
    fn the_headline_names_who_failed_and_who_is_not_known() {
        assert_eq!(
            headline(&fixture::mixed()),
            "UNHEALTHY: of 5 planned hosts: 1 failed (h3), 1 inconclusive (h4), 1 not tested (expected-1)"
        );
        assert_eq!(headline(&fixture::healthy()), "HEALTHY: 2 of 2 planned hosts passed");
    }

    #[test]
    fn failed_hosts_stand_first_and_passed_ones_last() {
        let summary = fixture::mixed();
        let order: Vec<&str> = in_order(&summary).iter().map(|host| host.host.as_str()).collect();
        assert_eq!(order, ["h3", "h4", "expected-1", "h1", "h2"]);
    }

    #[test]
    fn a_partner_that_shared_a_drop_off_names_the_host_whose_fault_it_was() {
        let summary = fixture::mixed();
        let partner = summary.hosts.iter().find(|host| host.host.as_str() == "h1").expect("in the fixture");
        assert_eq!(what(partner), "explained by h3");
    }

    #[test]
    fn a_long_name_keeps_both_its_ends() {
        assert_eq!(middle_cut("rack7-database-host-0042", 12), "rack7-…-0042");
        assert_eq!(middle_cut("h1", 12), "h1");
    }
}
