use super::*;
use crate::model::judge::summary::{
    FleetSummary, Goodput, HostSummary, NicSummary, RunSummary, SUMMARY_SCHEMA, Tested,
};

fn summary(verdict: FleetVerdict, hosts: &[Verdict]) -> Summary {
    let host = |(number, verdict): (usize, &Verdict)| HostSummary {
        host: format!("h{number}").parse().expect("a plain name"),
        verdict: *verdict,
        reason: None,
        nic: NicSummary::default(),
        tested: Tested::default(),
        goodput: Goodput::default(),
        drop_offs: vec![],
        findings: vec![],
    };
    Summary {
        schema: SUMMARY_SCHEMA.to_owned(),
        passed: verdict == FleetVerdict::Healthy,
        verdict,
        run: RunSummary {
            id: "r".to_owned(),
            scenario: "s".to_owned(),
            seed: 1,
            started_at: "2026-01-01T00:00:00Z".to_owned(),
            duration_s: Some(1.0),
            simulated_links: false,
        },
        fleet: FleetSummary { planned: hosts.len() as u32, tested: hosts.len() as u32, findings: vec![] },
        hosts: hosts.iter().enumerate().map(host).collect(),
        record_losses: vec![],
    }
}

#[test]
fn the_first_exit_code_that_applies_wins() {
    use FleetVerdict::{Healthy, Inconclusive, Interrupted, Unhealthy};
    use Verdict as V;
    type Case = (&'static str, FleetVerdict, &'static [Verdict], u8);
    let cases: &[Case] = &[
        ("all passed", Healthy, &[V::Pass, V::Pass], 0),
        ("one failed", Unhealthy, &[V::Pass, V::Fail], 10),
        ("a fleet fault alone", Unhealthy, &[V::Pass, V::Pass], 10),
        ("one failed, one unclear", Unhealthy, &[V::Inconclusive, V::Fail], 10),
        ("one unclear", Inconclusive, &[V::Pass, V::Inconclusive], 12),
        ("one never came", Inconclusive, &[V::Pass, V::NotTested], 12),
        ("interrupted before a failure could count", Interrupted, &[V::Fail, V::Pass], 130),
        ("interrupted while all was well", Interrupted, &[V::Pass, V::Pass], 130),
        ("contradiction: healthy with a failed host", Healthy, &[V::Fail], 10),
        ("contradiction: healthy with an untested host", Healthy, &[V::NotTested], 12),
    ];
    for (name, verdict, hosts, want) in cases {
        assert_eq!(exit_code(&summary(*verdict, hosts)), *want, "{name}");
    }
}

#[test]
fn a_planned_host_missing_from_the_summary_is_never_a_pass() {
    let mut short = summary(FleetVerdict::Healthy, &[Verdict::Pass]);
    short.fleet.planned = 2;
    assert_eq!(exit_code(&short), INCONCLUSIVE);
}

#[test]
fn a_process_code_beyond_a_byte_is_a_failure() {
    assert_eq!((of_process(13), of_process(0), of_process(-1), of_process(256)), (13, 0, 1, 1));
}
