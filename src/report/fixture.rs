//! Summaries and charts for the tests of this room.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::{
    advice::ALL_KINDS,
    series::{Charts, HostSeries},
};
use crate::model::{fleet::host::HostName, judge::summary::*};

/// Texts that another machine might send to be obeyed rather than read.
pub(crate) const HOSTILE: [&str; 12] = [
    "<script>alert(1)</script>",
    "\"><img src=x onerror=alert(1)>",
    "'><svg/onload=alert(1)>",
    "</style><script>alert(1)</script>",
    "]]><x>",
    "--><script>",
    "<a href=javascript:alert(1)>x</a>",
    "&lt;script&gt;",
    "a\u{1b}]0;owned\u{7}b",
    "gnp.\u{202e}exe",
    "line\r\nFAIL  h9 | x | y",
    "@channel [x](javascript:alert(1)) `code` **bold**",
];

pub(crate) fn name(text: &str) -> HostName {
    text.parse().expect("a sound name")
}

pub(crate) fn finding(kind: FindingKind, text: &str) -> Finding {
    Finding {
        kind,
        direction: None,
        severity: Severity::Fail,
        confirmed: None,
        evidence: Basis::EndToEnd,
        first_seen_s: None,
        text: text.to_owned(),
        numbers: BTreeMap::new(),
        corroboration: Vec::new(),
    }
}

fn corroboration(source: Source, at_s: Option<f64>, text: &str) -> Corroboration {
    Corroboration { source, at_s, text: text.to_owned() }
}

fn drop_off(at_s: f64, for_s: Option<f64>, peers: &[&str]) -> DropOff {
    DropOff {
        stage: "storm".to_owned(),
        direction: Direction::Both,
        at_s,
        for_s,
        depth: 1.0,
        offered_bps: Some(88_000_000),
        peers: peers.iter().map(|peer| name(peer)).collect(),
        explained_by: None,
    }
}

fn passing(host: &str) -> HostSummary {
    HostSummary {
        host: name(host),
        verdict: Verdict::Pass,
        reason: None,
        nic: NicSummary {
            iface: Some("eth0".to_owned()),
            addr: Some("10.0.0.1".to_owned()),
            driver: Some("veth".to_owned()),
            speed_bps: None,
            mtu: Some(1500),
        },
        tested: Tested {
            rate_tx_max_bps: Some(91_200_000),
            rate_rx_max_bps: Some(90_100_000),
            packet_rate_max_pps: Some(8_100),
            frame_size_max_bytes: Some(1514),
            streams_max: Some(8),
            bytes_tx: Some(750_000_000),
            bytes_rx: Some(748_000_000),
            verified_bytes: None,
            verify_cpu_s: None,
            planned_share: Some(0.998),
        },
        goodput: Goodput {
            tx_median_bps: Some(88_400_000),
            rx_median_bps: Some(87_900_000),
            tx_peak_bps: Some(91_200_000),
            rx_peak_bps: Some(90_100_000),
            longest_stall_s: Some(0.2),
        },
        drop_offs: vec![],
        findings: vec![],
    }
}

fn failing() -> HostSummary {
    let mut host = passing("h3");
    host.verdict = Verdict::Fail;
    host.goodput.tx_median_bps = Some(12_300_000);
    host.goodput.longest_stall_s = Some(3.2);
    host.drop_offs =
        vec![drop_off(41.3, Some(3.1), &["h1", "h2", "h4"]), drop_off(52.0, None, &["h1", "h2"])];
    host.findings = vec![Finding {
        direction: Some(Direction::Both),
        confirmed: Some(true),
        evidence: Basis::Corroborated,
        first_seen_s: Some(41.3),
        numbers: [
            ("dose_survived_bps", Some(60e6)),
            ("dose_killed_bps", Some(88e6)),
            ("tries", Some(3.0)),
            ("failures", Some(3.0)),
            ("idle_loss", None),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .into(),
        corroboration: vec![
            corroboration(
                Source::Counter,
                Some(42.0),
                "driver.tx_timeout +2, 0 on the others: a transmit queue stood still",
            ),
            corroboration(Source::Link, None, "its MTU is 1500, that of 3 of 3 others 9000"),
        ],
        ..finding(
            FindingKind::DiesUnderLoad,
            "Nothing passed in either direction within 2 s of reaching 88.0 Mb/s, three times of three.",
        )
    }];
    host
}

/// One failed, one inconclusive, one that never came, and two that passed.
pub(crate) fn mixed() -> Summary {
    let mut partner = passing("h1");
    partner.drop_offs =
        vec![DropOff { explained_by: Some(name("h3")), depth: 0.95, ..drop_off(41.3, Some(3.1), &["h3"]) }];
    let mut limited = passing("h4");
    limited.verdict = Verdict::Inconclusive;
    limited.reason = Some("the worker was short of CPU for 61 % of the stage storm".to_owned());
    limited.findings = vec![Finding {
        severity: Severity::Warn,
        numbers: [("runnable_share".to_owned(), Some(0.61))].into(),
        ..finding(FindingKind::HostLimited, "A carrying thread waited for a core 61 % of the time.")
    }];
    let absent = HostSummary {
        verdict: Verdict::NotTested,
        reason: Some("it never joined".to_owned()),
        nic: NicSummary::default(),
        tested: Tested::default(),
        goodput: Goodput::default(),
        ..passing("expected-1")
    };
    Summary {
        schema: SUMMARY_SCHEMA.to_owned(),
        passed: false,
        verdict: FleetVerdict::Unhealthy,
        run: RunSummary {
            id: "20261123T120000Z-storm-7f3a".to_owned(),
            scenario: "storm".to_owned(),
            seed: 7,
            started_at: "2026-11-23T12:00:00Z".to_owned(),
            duration_s: Some(60.0),
            simulated_links: true,
        },
        fleet: FleetSummary {
            planned: 5,
            tested: 3,
            findings: vec![Finding {
                severity: Severity::Info,
                ..finding(FindingKind::SharedCongestion, "Five flows fell together at 20.1 s for 0.8 s.")
            }],
        },
        hosts: vec![partner, passing("h2"), failing(), limited, absent],
        record_losses: vec!["12 lines of h4 missing (301 to 312)".to_owned()],
    }
}

/// Two hosts, both well, on real links.
pub(crate) fn healthy() -> Summary {
    let mut summary = mixed();
    summary.passed = true;
    summary.verdict = FleetVerdict::Healthy;
    summary.run.simulated_links = false;
    summary.fleet = FleetSummary { planned: 2, tested: 2, findings: vec![] };
    summary.hosts = vec![passing("h1"), passing("h2")];
    summary.record_losses.clear();
    summary
}

/// [`HOSTILE`] text in every place that takes text.
pub(crate) fn hostile() -> Summary {
    let mut summary = mixed();
    let all = HOSTILE.join(" ");
    for text in [&mut summary.run.id, &mut summary.run.scenario, &mut summary.run.started_at] {
        text.clone_from(&all);
    }
    summary.record_losses = HOSTILE.map(str::to_owned).to_vec();
    summary.fleet.findings[0].text.clone_from(&all);
    for host in &mut summary.hosts {
        host.reason = Some(all.clone());
        host.nic.iface = Some(all.clone());
        host.nic.driver = Some(all.clone());
        host.nic.addr = Some(all.clone());
        host.drop_offs.iter_mut().for_each(|drop_off| drop_off.stage.clone_from(&all));
        for finding in &mut host.findings {
            finding.text.clone_from(&all);
            finding.numbers.insert(all.clone(), Some(1.0));
            finding.corroboration = vec![corroboration(Source::Kernel, Some(1.0), &all)];
        }
    }
    summary
}

/// Twelve seconds of `summary`'s hosts: steady, then silent; one slot in ten not measured.
pub(crate) fn charts(summary: &Summary, slots: usize) -> Charts {
    let line = |level: u64, dead: bool| -> Vec<Option<u64>> {
        (0..slots)
            .map(|slot| match slot {
                slot if slot % 40 < 4 => None,
                slot if dead && slot > slots * 2 / 3 => Some(0),
                slot => Some(level + (slot as u64 % 7) * 1_300_000),
            })
            .collect()
    };
    let length_s = slots as f64 / 10.0;
    Charts {
        stages: vec![
            ("calibrate".to_owned(), 0.0, length_s / 4.0),
            ("storm".to_owned(), length_s / 4.0, length_s),
        ],
        hosts: summary
            .hosts
            .iter()
            .map(|host| HostSeries {
                host: host.host.clone(),
                first_slot: 0,
                tx_bps: line(80_000_000, host.verdict == Verdict::Fail),
                rx_bps: line(70_000_000, host.verdict == Verdict::Fail),
            })
            .collect(),
    }
}

fn any_finding() -> impl Strategy<Value = Finding> {
    (
        proptest::sample::select(ALL_KINDS.to_vec()),
        any::<String>(),
        proptest::option::of(any::<bool>()),
        proptest::option::of(0.0..1e6f64),
        proptest::collection::btree_map(any::<String>(), proptest::option::of(-1e15..1e15f64), 0..3),
        proptest::collection::vec((proptest::option::of(0.0..1e6f64), any::<String>()), 0..3),
    )
        .prop_map(|(kind, text, confirmed, first_seen_s, numbers, told)| Finding {
            confirmed,
            first_seen_s,
            numbers,
            corroboration: told
                .iter()
                .map(|(at_s, text)| corroboration(Source::Kernel, *at_s, text))
                .collect(),
            ..finding(kind, &text)
        })
}

fn any_host() -> impl Strategy<Value = HostSummary> {
    let verdicts = vec![Verdict::Fail, Verdict::Inconclusive, Verdict::NotTested, Verdict::Pass];
    (
        "[a-z0-9][a-z0-9/_-]{0,60}",
        proptest::sample::select(verdicts),
        proptest::option::of(any::<String>()),
        proptest::option::of(any::<String>()),
        proptest::option::of(any::<u64>()),
        (any::<String>(), 0.0..1e6f64, proptest::option::of(0.0..1e4f64), 0.0..=1.0f64),
        proptest::collection::vec(any_finding(), 0..3),
    )
        .prop_map(|(host, verdict, reason, driver, bps, (stage, at_s, for_s, depth), findings)| {
            let mut host = passing(&host);
            host.verdict = verdict;
            host.reason = reason;
            host.nic.driver = driver;
            host.goodput.tx_median_bps = bps;
            host.goodput.tx_peak_bps = bps;
            host.drop_offs = vec![DropOff { stage, depth, ..drop_off(at_s, for_s, &["h1"]) }];
            host.findings = findings;
            host
        })
}

/// Any summary that the types let through, with any text in it.
pub(crate) fn any_summary() -> impl Strategy<Value = Summary> {
    (
        any::<(String, String, u64, bool)>(),
        proptest::collection::vec(any_host(), 0..4),
        proptest::collection::vec(any_finding(), 0..3),
        proptest::collection::vec(any::<String>(), 0..3),
    )
        .prop_map(|((id, scenario, seed, simulated_links), hosts, findings, record_losses)| {
            let mut summary = mixed();
            summary.run = RunSummary { id, scenario, seed, simulated_links, ..summary.run };
            summary.fleet.findings = findings;
            summary.hosts = hosts;
            summary.record_losses = record_losses;
            summary
        })
}
