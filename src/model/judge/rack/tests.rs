use rand::seq::SliceRandom;
use rand_chacha::{ChaCha8Rng, rand_core::SeedableRng};

use super::*;
use crate::model::{
    fleet::units::{BitRate, RunTime},
    judge::{
        detect,
        summary::{Direction, FindingKind},
        tests::field::{CARD_BPS, Field, dose},
    },
    plan::{
        carriage::Carriage,
        dose::{Pattern, Rate},
        layout::StageKind,
    },
    record::{
        carried::VerifiedFlow,
        few::Few,
        line::{Body, CorruptSeen, DatagramFlow, TcpFlow, TcpSeen},
    },
};

fn two_racks() -> Field {
    Field::with_racks(8, |id| Some(if id < 4 { "a" } else { "b" }.to_owned()))
}

fn crosses(a: u16, b: u16) -> bool {
    (a < 4) != (b < 4)
}

fn kinds(field: &Field) -> Vec<(FindingKind, Severity)> {
    let findings = Crossings::of(&field.seen, &Racks::of(&field.seen), &[]).0.findings();
    findings.into_iter().map(|finding| (finding.kind, finding.severity)).collect()
}

#[test]
fn an_uplink_that_loses_is_the_racks_and_no_host_s() {
    let mut field = two_racks();
    field.paced(|a, b| if crosses(a, b) { 0.03 } else { 0.0 });
    assert_eq!(kinds(&field), [(FindingKind::RackUplink, Severity::Fail)], "both ways at once");
    let (crossings, paced) = Crossings::of(&field.seen, &Racks::of(&field.seen), &[]);
    assert!(loss::findings(&field.seen, &paced, &crossings).is_empty());
}

#[test]
fn a_sick_host_behind_a_lossy_uplink_is_found_beside_it() {
    let mut field = two_racks();
    field.paced(|a, b| if crosses(a, b) || a == 5 { 0.03 } else { 0.0 });
    let (crossings, paced) = Crossings::of(&field.seen, &Racks::of(&field.seen), &[]);
    let hosts: Vec<u16> =
        loss::findings(&field.seen, &paced, &crossings).into_iter().map(|(host, _)| host.0).collect();
    assert_eq!(hosts, [5]);
    assert!(!crossings.findings().is_empty());
}

#[test]
fn an_uplink_that_is_narrow_both_ways_is_congested_and_one_way_is_a_fault() {
    let mut field = two_racks();
    field.pairs(|a, b| if crosses(a, b) { 40e6 } else { 78e6 });
    assert_eq!(kinds(&field), [(FindingKind::SharedCongestion, Severity::Info); 2]);
    let mut field = two_racks();
    field.pairs(|a, b| if a < 4 && b >= 4 { 40e6 } else { 78e6 });
    assert_eq!(kinds(&field), [(FindingKind::RackUplink, Severity::Fail)]);
}

/// Answers to what goes the other way stand in the slow way's queue: where many pairs cross at once, both
/// ways carry as little, and where few do, one.
#[test]
fn an_uplink_so_slow_one_way_that_the_other_waits_for_answers_is_a_fault() {
    let mut field = two_racks();
    field.matchings(|a, b, crossing| match (a < 4, b < 4) {
        (true, false) => 45e6 / crossing as f64,
        (false, true) if crossing > 1 => 46e6 / crossing as f64,
        _ => 78e6,
    });
    let told = [(FindingKind::RackUplink, Severity::Fail), (FindingKind::SharedCongestion, Severity::Info)];
    assert_eq!(kinds(&field), told);
}

/// What a flow carries where `n` of them share 100 Mb/s.
fn share(n: usize) -> f64 {
    (100e6 / n as f64).min(78e6)
}

#[test]
fn an_uplink_that_is_wide_enough_for_one_pair_is_seen_by_what_several_carry_together() {
    let mut field = two_racks();
    field.matchings(|a, b, crossing| if a < 4 && b >= 4 { share(crossing) } else { 78e6 });
    assert_eq!(kinds(&field), [(FindingKind::RackUplink, Severity::Fail)]);
    let mut field = two_racks();
    field.matchings(|a, b, crossing| if crosses(a, b) { share(crossing) } else { 78e6 });
    assert_eq!(kinds(&field), [(FindingKind::SharedCongestion, Severity::Info); 2]);
}

#[test]
fn two_rounds_of_many_pairs_are_enough_for_a_fault() {
    // Of the matchings two send three pairs or more from rack a to rack b at once, the rest two at most.
    let carried = |limit: f64| {
        let mut field = two_racks();
        field.matchings(|a, b, n| if a < 4 && b >= 4 { (limit / n as f64).min(78e6) } else { 78e6 });
        kinds(&field)
    };
    assert_eq!(carried(160e6), [(FindingKind::RackUplink, Severity::Fail)]);
    assert_eq!(carried(300e6), []);
}

/// An uplink that four pairs fill either way, and two hosts that fell while theirs sent all the same.
#[test]
fn what_those_carry_that_fell_takes_of_an_uplinks_room() {
    let mut field = two_racks();
    let pairs = |swap: bool| -> Vec<(u16, u16)> {
        (0..4).map(|id| if swap { (id + 4, id) } else { (id, id + 4) }).collect()
    };
    let mut falls = Vec::new();
    for swap in [false, true, false, true, false, true] {
        let within = [(0, 1), (2, 3), (4, 5), (6, 7)];
        for (pairs, bps) in [(&within[..], 78e6), (&pairs(swap)[..], 28e6)] {
            let flows = field.round(
                StageKind::Load,
                dose(Pattern::Pairs, Rate::Unpaced, Carriage::tcp(2)),
                1.5,
                pairs,
                None,
            );
            field.carried(&flows, |_, _, _| bps);
        }
        let (round, last) = (field.seen.rounds.len() - 1, field.seen.rounds.last().expect("one"));
        let fall = |host: u16| Fall {
            host: HostId(host),
            direction: Direction::Both,
            since: last.start,
            until: Some(last.start + 1),
            round,
            peers: BTreeSet::new(),
            offered_bps: None,
            depth: 1.0,
        };
        if swap && round > 4 {
            falls.extend([fall(2), fall(3)]);
        }
    }
    let crossings = Crossings::of(&field.seen, &Racks::of(&field.seen), &falls).0;
    let kinds: Vec<FindingKind> = crossings.findings().iter().map(|finding| finding.kind).collect();
    assert_eq!(kinds, [FindingKind::SharedCongestion; 2]);
}

#[test]
fn slow_hosts_of_one_rack_make_no_uplink_slow() {
    for sick in [[1, 1], [1, 2]] {
        let mut field = two_racks();
        field.matchings(|a, b, _| if sick.contains(&a) || sick.contains(&b) { 40e6 } else { 78e6 });
        assert!(kinds(&field).is_empty(), "{sick:?}");
    }
}

#[test]
fn without_racks_or_with_too_small_ones_nothing_is_told() {
    let mut field = Field::of(8);
    field.pairs(|a, b| if crosses(a, b) { 40e6 } else { 78e6 });
    assert!(kinds(&field).is_empty());
    let mut field = Field::with_racks(8, |id| Some(if id < 6 { "a" } else { "b" }.to_owned()));
    field.pairs(|a, b| if (a < 6) == (b < 6) { 78e6 } else { 40e6 });
    assert!(kinds(&field).is_empty());
}

#[test]
fn what_is_lost_in_the_queue_of_a_congested_uplink_is_no_fault_of_it() {
    let mut field = two_racks();
    field.matchings(|a, b, crossing| if crosses(a, b) { 30e6 / crossing as f64 } else { 78e6 });
    field.paced(|a, b| if crosses(a, b) { 0.03 } else { 0.0 });
    assert_eq!(kinds(&field), [(FindingKind::SharedCongestion, Severity::Info); 2]);
    let (crossings, paced) = Crossings::of(&field.seen, &Racks::of(&field.seen), &[]);
    assert!(loss::findings(&field.seen, &paced, &crossings).is_empty());
}

/// What is told of two racks, and of hosts in them.
fn told(field: &Field) -> (Vec<u16>, Vec<(FindingKind, String)>) {
    let detected = detect::detect(&field.seen);
    let sick = detected.hosts.into_iter().filter(|(_, own)| !own.is_empty()).map(|(host, _)| host.0);
    (sick.collect(), detected.fleet.into_iter().map(|finding| (finding.kind, finding.text)).collect())
}

/// Two racks of which something is the matter with what crosses, as `make` has it.
fn across(make: impl Fn(&mut Field, &dyn Fn(u16, u16) -> bool)) -> (Vec<u16>, Vec<(FindingKind, String)>) {
    let mut field = two_racks();
    make(&mut field, &crosses);
    told(&field)
}

/// The same of one host.
fn of_host(make: impl Fn(&mut Field, &dyn Fn(u16, u16) -> bool)) -> Vec<u16> {
    let mut field = two_racks();
    make(&mut field, &|a, b| a == 5 || b == 5);
    told(&field).0
}

#[test]
fn what_all_that_crosses_shows_is_the_uplink_s_and_no_host_s() {
    type Make = fn(&mut Field, &dyn Fn(u16, u16) -> bool);
    let cases: [(&str, Make); 6] = [
        ("answers late", |field, bad| {
            field.idle(StageKind::Load, 6, |a, b, _| Some(if bad(a, b) { 4_000 } else { 90 }));
        }),
        ("again and again", |field, bad| {
            field.idle(StageKind::Load, 6, |a, b, tick| {
                Some(if bad(a, b) && tick % 5 == 0 { 150_000 } else { 90 })
            });
        }),
        ("large frames", |field, bad| {
            for size in [82, 512, 1024, 1514] {
                field.frames(size, 3_000, 0.05, |a, b, sent| {
                    let received = if bad(a, b) && size > 1000 { 0 } else { sent };
                    DatagramFlow { received, ..DatagramFlow::default() }
                });
            }
        }),
        ("packets twice", |field, bad| {
            field.frames(512, 3_000, 0.05, |a, b, sent| DatagramFlow {
                received: sent,
                duplicates: if bad(a, b) { sent / 50 } else { 0 },
                ..DatagramFlow::default()
            });
        }),
        ("out of order", |field, bad| {
            field.frames(512, 3_000, 0.05, |a, b, sent| DatagramFlow {
                received: sent,
                reordered: if bad(a, b) { sent / 50 } else { 0 },
                ..DatagramFlow::default()
            });
        }),
        ("new connections", |field, bad| {
            field.connections(3, |a, b, _| if bad(a, b) { 0.75 } else { 1.0 });
        }),
    ];
    for (words, make) in cases {
        let (hosts, fleet) = across(make);
        assert!(hosts.is_empty(), "{words}: {hosts:?} are well");
        assert_eq!(fleet.len(), 1, "{words}: {fleet:?}");
        assert!(fleet[0].0 == FindingKind::RackUplink && fleet[0].1.contains(words), "{words}: {fleet:?}");
        assert_eq!(of_host(make), [5], "{words}: one host's is that host's");
    }
}

#[test]
fn data_that_does_not_cross_while_echoes_do_is_the_uplink_s() {
    let storm = |field: &mut Field, echo: &dyn Fn(u16, u16) -> bool| {
        field.idle(StageKind::Load, 6, |a, b, _| echo(a, b).then_some(90));
        field.storm(6, |a, b, _| if crosses(a, b) { 1e4 } else { CARD_BPS / 8.0 });
    };
    let (hosts, fleet) = across(|field, _| storm(field, &|_, _| true));
    assert!(hosts.is_empty(), "{hosts:?} are well");
    assert_eq!(fleet.len(), 1, "{fleet:?}");
    assert!(fleet[0].0 == FindingKind::RackUplink && fleet[0].1.contains("hardly anything"), "{fleet:?}");
    let (_, fleet) = across(|field, _| storm(field, &|a, b| !crosses(a, b)));
    assert!(!fleet.iter().any(|(_, text)| text.contains("hardly anything")), "it is cut: {fleet:?}");
}

#[test]
fn payload_that_differs_between_several_of_two_racks_is_the_uplink_s() {
    for (pairs, hosts, fleet) in [
        (&[(0, 4), (1, 6)][..], &[][..], Some(FindingKind::RackUplink)),
        (&[(0, 4), (0, 6)], &[0], None),
        (&[(0, 4), (1, 4)], &[4], None),
    ] {
        let mut field = two_racks();
        field.storm(4, |_, _, _| CARD_BPS / 8.0);
        let flows: Vec<_> = field.seen.flows.iter().map(|(id, flow)| (*id, flow.from.0, flow.to.0)).collect();
        for (id, from, to) in flows {
            let differing_bytes = u64::from(pairs.contains(&(from, to)));
            let verified = VerifiedFlow { bytes: 100_000, differing_bytes, compare_ns: 0 };
            field.seen.verified.insert(id, verified);
            if differing_bytes > 0 {
                let at = RunTime(5_000_000);
                let seen = CorruptSeen { flow: id, stream: 0, at, offset: 7, bytes: 1, sent: 1, received: 2 };
                field.take(to + 1, at, Body::Corrupt(seen));
            }
        }
        let (sick, told) = told(&field);
        assert_eq!(sick, hosts, "{pairs:?}: {told:?}");
        assert_eq!(told.first().map(|(kind, _)| *kind), fleet, "{pairs:?}: {told:?}");
    }
}

/// Twelve racks of eight, in which each host meets seven others: most crossings are measured once or never.
fn many_racks(make: impl Fn(&mut Field, &[(u16, u16)])) -> Field {
    let mut field = Field::with_racks(96, |id| Some(format!("r{}", id / 8)));
    for turn in 1..8_u64 {
        let mut hosts: Vec<u16> = (0..96).collect();
        hosts.shuffle(&mut ChaCha8Rng::seed_from_u64(turn));
        let pairs: Vec<(u16, u16)> = hosts.chunks(2).map(|two| (two[0], two[1])).collect();
        make(&mut field, &pairs);
        make(&mut field, &pairs.iter().map(|(a, b)| (*b, *a)).collect::<Vec<_>>());
    }
    field
}

#[test]
fn a_sick_host_among_many_racks_is_found_and_no_uplink() {
    let slow = many_racks(|field, pairs| {
        let one_way = dose(Pattern::Pairs, Rate::Unpaced, Carriage::tcp(2));
        let flows = field.round(StageKind::Load, one_way, 2.0, pairs, None);
        field.carried(&flows, |from, to, _| if from == 21 || to == 21 { 40e6 } else { 78e6 });
    });
    let lossy = many_racks(|field, pairs| {
        let half = dose(Pattern::Pairs, Rate::Share(0.5), Carriage::tcp(2));
        let rate = BitRate::from_bps((CARD_BPS / 2.0) as u64);
        let flows = field.round(StageKind::Load, half, 1.5, pairs, Some(rate));
        field.carried(&flows, |_, _, _| CARD_BPS / 2.0);
        for (flow, from, to) in flows {
            let retr = if from == 21 || to == 21 { 100 } else { 0 };
            let tcp = TcpFlow { segs: 5_000, retr, ..TcpFlow::default() };
            let at = RunTime::of_slot(field.seen.rounds.last().expect("one").end);
            field.take(from + 1, at, Body::Tcp(TcpSeen { flows: Few::from_iter([(flow, tcp)]) }));
        }
    });
    for (name, field) in [("slow", slow), ("lossy", lossy)] {
        let (hosts, fleet) = told(&field);
        assert_eq!(hosts, [21], "{name}: {fleet:?}");
        assert!(fleet.is_empty(), "{name}: {fleet:?}");
    }
}
