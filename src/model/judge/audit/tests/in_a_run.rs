//! The audit as a part of a run: what its record tells, and when it is told again.

use super::*;
use crate::model::{
    fleet::{host::HostId, units::RunTime},
    judge::{
        summary::{Basis, FindingKind, FleetVerdict, Severity, Summary, Verdict},
        tests::story::{self, Story},
        verdict::judge,
    },
    record::{
        book::Record,
        facts::Asked,
        line::{Body, Joined, Line},
    },
};

/// A healthy run of four hosts that tell these facts at its start; each boots a kernel of
/// its own unless they share one.
fn run(facts: Vec<HostFacts>, share: bool, policy: Option<&str>) -> Record {
    let mut record = Story::storm(4, 200).record();
    record.opened.policy = policy.map(|text| Policy::read("p", text).expect("a sound policy"));
    for line in &mut record.lines {
        if let Body::Joined(joined) = &mut line.body
            && !share
        {
            joined.boot_id = format!("boot-{}", joined.instance);
        }
    }
    for (number, facts) in (1..).zip(facts) {
        tell(&mut record, number, 100_000, facts);
    }
    record
}

fn tell(record: &mut Record, instance: u16, at_us: u64, facts: HostFacts) {
    let body = Body::Facts(Box::new(facts));
    record.lines.push(Line { i: instance, e: 1, q: 0, t: RunTime(at_us), body });
    story::number(record);
}

fn audits(summary: &Summary, host: usize) -> Vec<String> {
    let findings = summary.hosts[host].findings.iter();
    findings.filter(|it| it.kind == FindingKind::Audit).map(|it| it.text.clone()).collect()
}

fn three_sound_and(last: HostFacts) -> Vec<HostFacts> {
    vec![sound(), sound(), sound(), last]
}

#[test]
fn a_host_that_fell_back_is_warned_of_and_still_passes() {
    let summary = judge(&run(three_sound_and(fell_back()), false, None));
    assert_eq!(summary.verdict, FleetVerdict::Healthy);
    assert!(audits(&summary, 3)[0].starts_with("fell_back_to_xen_netfront: the card runs under vif"));
    assert!(audits(&summary, 3)[0].contains("Mend: apt-get install linux-headers-3.13.0-101-generic"));
    assert!((0..3).all(|host| audits(&summary, host).is_empty()));
    let finding = &summary.hosts[3].findings[0];
    assert_eq!((finding.severity, finding.evidence), (Severity::Warn, Basis::Corroborated));
    assert_eq!(finding.first_seen_s, Some(0.1));
}

#[test]
fn with_a_policy_the_host_fails_by_its_configuration_alone() {
    let summary = judge(&run(three_sound_and(fell_back()), false, Some("driver = \"ixgbevf\"\n")));
    let verdicts: Vec<Verdict> = summary.hosts.iter().map(|host| host.verdict).collect();
    assert_eq!(verdicts, [Verdict::Pass, Verdict::Pass, Verdict::Pass, Verdict::Fail]);
    assert!(audits(&summary, 3)[0].starts_with("policy.driver: the driver is vif"));
}

#[test]
fn hosts_that_share_a_kernel_are_not_told_of_it_four_times() {
    let facts = || vec![will_fall_back(), will_fall_back(), will_fall_back(), will_fall_back()];
    let shared = judge(&run(facts(), true, None));
    assert!((0..4).all(|host| audits(&shared, host).is_empty()));
    let own = judge(&run(facts(), false, None));
    assert!((0..4).all(|host| audits(&own, host).len() == 1));
}

#[test]
fn a_host_that_is_back_from_another_boot_is_audited_again() {
    let mut record = run(three_sound_and(sound()), false, None);
    let joined = Joined {
        instance: 9,
        host: HostId(3),
        instance_id: "9".repeat(32),
        boot_id: "another".to_owned(),
        kernel: NEW_KERNEL.to_owned(),
        cores: 2,
        congestion_control: "cubic".to_owned(),
        control_in_band: None,
    };
    let body = Body::Joined(Box::new(joined));
    record.lines.push(Line { i: 0, e: 1, q: 900_000, t: RunTime(12_000_000), body });
    let mut back = fell_back();
    (back.asked, back.boot_id) = (Asked::Back, Fact::Known("another".to_owned()));
    tell(&mut record, 9, 12_100_000, back);
    let summary = judge(&record);
    let told = audits(&summary, 3);
    assert!(told[0].starts_with("fell_back_to_xen_netfront: since the reboot seen at 12.1 s: "), "{told:?}");
    let last = subjects(&record).pop().expect("four hosts");
    assert_eq!(last.facts.machine.kernel.known().map(String::as_str), Some(NEW_KERNEL));
}

#[test]
fn a_record_without_facts_has_no_findings_of_an_audit() {
    let summary = judge(&Story::storm(4, 200).record());
    assert!((0..4).all(|host| audits(&summary, host).is_empty()));
}
