use super::*;
use crate::model::{
    judge::tests::field::Field,
    record::{
        facts::{Asked, CardFacts, CountersMoved, Fact, HostFacts, LinkFacts, MachineFacts, ModuleFacts},
        line::Body,
    },
};

fn mac(host: u16) -> String {
    format!("02:00:00:00:00:{host:02x}")
}

fn entry(host: u16, mac: Option<String>, state: &str) -> Neighbour {
    Neighbour { addr: format!("10.0.0.{}", host + 1), mac, state: state.to_owned() }
}

/// A fleet of five in which everybody knows everybody, except for what `odd` says of an
/// observer's entry.
fn fleet(odd: impl Fn(u16, u16) -> Option<String>) -> Field {
    let mut field = Field::of(5);
    for own in 0..5 {
        let neighbours: Vec<Neighbour> = (0..5)
            .filter(|other| *other != own)
            .map(|other| entry(other, odd(own, other).or_else(|| Some(mac(other))), "reachable"))
            .collect();
        let link = LinkFacts { mac: Some(mac(own)), ..LinkFacts::default() };
        let card = CardFacts {
            link: Fact::Known(link),
            neighbours: Fact::Known(neighbours),
            ..CardFacts::default()
        };
        let facts = HostFacts {
            asked: Asked::Start,
            boot_id: Fact::default(),
            machine: MachineFacts::default(),
            card,
            module: ModuleFacts::default(),
            kernels: Fact::default(),
            dkms: Fact::default(),
            counters: crate::model::record::facts::Counters::default(),
        };
        field.take(own + 1, RunTime(1_000_000), Body::Facts(Box::new(facts)));
    }
    field
}

fn kinds(field: &Field) -> Vec<(u16, FindingKind)> {
    findings(&field.seen).into_iter().map(|(host, finding)| (host.0, finding.kind)).collect()
}

fn fall(host: u16, since: u64) -> Fall {
    Fall {
        host: HostId(host),
        direction: super::super::summary::Direction::Both,
        since,
        until: None,
        round: 0,
        peers: BTreeSet::new(),
        offered_bps: None,
        depth: 1.0,
    }
}

#[test]
fn an_address_that_goes_claims_the_falls_of_its_absence() {
    let mut field = fleet(|_, _| None);
    let gone = CountersMoved { addresses_gone: vec!["10.0.0.3/16".to_owned()], ..CountersMoved::default() };
    field.take(3, RunTime(20_000_000), Body::Counters(Box::new(gone)));
    let came = CountersMoved { addresses_came: vec!["10.0.0.3/16".to_owned()], ..CountersMoved::default() };
    field.take(3, RunTime(25_000_000), Body::Counters(Box::new(came)));
    assert_eq!(kinds(&field), [(2, FindingKind::AddressLost)]);
    assert_eq!(claim(&field.seen, &fall(2, 195)), Some(FindingKind::AddressLost));
    assert_eq!(claim(&field.seen, &fall(2, 400)), None, "it was back long before");
    assert_eq!(claim(&field.seen, &fall(1, 195)), None, "another host's");
}

#[test]
fn an_address_that_others_know_under_another_card_is_in_use_twice() {
    let twice = fleet(|observer, host| (host == 1 && observer > 2).then(|| mac(9)));
    assert_eq!(kinds(&twice), [(1, FindingKind::DuplicateAddress)]);
    let single = fleet(|observer, host| (host == 1 && observer == 4).then(|| mac(9)));
    assert_eq!(kinds(&single), [(4, FindingKind::NeighbourFailure)], "one table is wrong");
    assert_eq!(kinds(&fleet(|_, _| None)), []);
}

#[test]
fn entries_that_fail_as_a_host_falls_silent_are_why_and_later_ones_follow_from_it() {
    let failing = |at_s: u64| {
        let mut field = fleet(|_, _| None);
        for observer in [0u16, 2, 3, 4] {
            let moved =
                CountersMoved { neighbours: vec![entry(1, None, "failed")], ..CountersMoved::default() };
            field.take(observer + 1, RunTime(at_s * 1_000_000), Body::Counters(Box::new(moved)));
        }
        field
    };
    assert_eq!(claim(&failing(21).seen, &fall(1, 200)), Some(FindingKind::NeighbourFailure));
    assert_eq!(claim(&failing(32).seen, &fall(1, 200)), None, "a dead card's entries fail later");
}
