use super::*;
use crate::model::fleet::host::NicFacts;
use std::net::SocketAddr;

const BUILD: &str = "0.1.0+a";
const EXPIRES: u64 = 1000;

fn name(name: &str) -> HostName {
    name.parse().expect("a name")
}

fn token(digit: char) -> SecretHex {
    SecretHex(digit.to_string().repeat(64))
}

fn request(who: &str) -> JoinRequest {
    JoinRequest { token: token('7'), name: name(who), public_key: String::new(), build: BUILD.to_owned() }
}

fn gate(expect: usize) -> Gate {
    Gate::new(token('7'), EXPIRES, expect, BUILD)
}

fn hello(who: &str, boot: &str, iface: &str, addr: &str) -> Hello {
    let data_addr: SocketAddr = addr.parse().expect("an address");
    Hello {
        versions: (1, 1),
        build: BUILD.to_owned(),
        name: name(who),
        instance: String::new(),
        boot_id: boot.to_owned(),
        nic: NicFacts { iface: iface.to_owned(), addr: Some(data_addr.ip()), ..NicFacts::default() },
        data_addr,
        labels: std::collections::BTreeMap::new(),
        kernel: String::new(),
        cores: 1,
        congestion_control: String::new(),
        control_in_band: None,
    }
}

/// A gate through which `names` have joined.
fn joined(names: &[&str]) -> Gate {
    let mut gate = gate(names.len());
    for who in names {
        gate.join(&request(who), 0).expect("joins");
    }
    gate
}

#[test]
fn each_reason_to_refuse_a_join_is_named_with_its_way_out() {
    type Change = fn(&mut Gate, &mut JoinRequest);
    let cases: &[(&str, Change, u64, &str)] = &[
        ("wrong token", |_, request| request.token = token('8'), 0, "not this run's"),
        ("token cut short", |_, request| request.token.0.truncate(63), 0, "not this run's"),
        ("no token", |_, request| request.token.0.clear(), 0, "not this run's"),
        ("expired", |_, _| {}, EXPIRES + 5, "expired 5 s ago"),
        ("started", |gate, _| gate.start(), 0, "its token is void"),
        (
            "other build",
            |_, request| request.build = "0.2.0+b".to_owned(),
            0,
            "0.2.0+b, the coordinator 0.1.0+a",
        ),
        ("name taken", |_, request| request.name = name("h1"), 0, "--name"),
        ("full", |gate, _| gate.expect = 1, 0, "--expect-workers"),
    ];
    for (case, change, at, says) in cases {
        let (mut gate, mut request) = (gate(3), request("h2"));
        gate.join(&self::request("h1"), 0).expect("the first joins");
        change(&mut gate, &mut request);
        let why = gate.join(&request, *at).expect_err(case);
        assert!(why.contains(says), "{case}: {why}");
    }
}

#[test]
fn the_token_is_good_for_as_many_as_are_expected_up_to_its_last_second() {
    let mut gate = gate(2);
    assert_eq!(gate.join(&request("h1"), EXPIRES), Ok(()));
    assert_eq!(gate.join(&request("h2"), EXPIRES), Ok(()));
    assert!(gate.join(&request("h3"), EXPIRES).is_err());
}

#[test]
fn a_refused_workers_place_is_free_for_another() {
    let mut gate = joined(&["h1"]);
    gate.release(&name("h1"));
    assert_eq!(gate.join(&request("h2"), 0), Ok(()));
    let stray = hello("h1", "b", "eth0", "10.0.0.1:7000");
    assert!(gate.hello(&stray, &name("h1"), [].into_iter()).is_err(), "its certificate is worth nothing now");
}

#[test]
fn a_stranger_without_the_token_does_not_learn_which_names_are_taken() {
    let mut gate = joined(&["h1"]);
    let mut request = request("h1");
    request.token = token('0');
    let why = gate.join(&request, 0).expect_err("wrong token");
    assert!(!why.contains("h1"), "{why}");
}

#[test]
fn two_workers_never_share_a_card() {
    /// (name, second worker's boot, interface, address, whether it is let in)
    type Case = (&'static str, &'static str, &'static str, &'static str, bool);
    let first = hello("h1", "boot-a", "eth0", "10.0.0.1:7000");
    let cases: &[Case] = &[
        ("another host", "boot-b", "eth0", "10.0.0.2:7000", true),
        ("another namespace of the same kernel", "boot-a", "eth0", "10.0.0.2:7000", true),
        ("the same card, another port", "boot-a", "eth0", "10.0.0.1:7001", false),
        ("another host that claims the same socket", "boot-b", "eth0", "10.0.0.1:7000", false),
        ("another card of the same host", "boot-a", "eth1", "10.0.1.1:7000", true),
    ];
    let gate = joined(&["h1", "h2"]);
    for (case, boot, iface, addr, let_in) in cases {
        let second = hello("h2", boot, iface, addr);
        let answer = gate.hello(&second, &name("h2"), [&first].into_iter());
        assert_eq!(answer.is_ok(), *let_in, "{case}: {answer:?}");
    }
}

#[test]
fn a_hello_must_fit_its_certificate_the_protocol_and_the_build() {
    type Change = fn(&mut Hello);
    let cases: &[(&str, Change, &str)] = &[
        ("another's name", |hello| hello.name = name("h2"), "its certificate is h1's"),
        ("later protocol", |hello| hello.versions = (2, 3), "versions 2 to 3"),
        ("other build", |hello| hello.build = "0.2.0+b".to_owned(), "0.2.0+b"),
        (
            "a build that would colour the terminal",
            |hello| hello.build = "\u{1b}[31mx".to_owned(),
            "build [31mx,",
        ),
    ];
    let gate = joined(&["h1"]);
    let sound = hello("h1", "b", "eth0", "10.0.0.1:7000");
    assert_eq!(
        gate.hello(&sound, &name("h1"), [&sound].into_iter()),
        Ok(()),
        "it does not stand in its own way"
    );
    for (case, change, says) in cases {
        let mut hello = sound.clone();
        change(&mut hello);
        let why = gate.hello(&hello, &name("h1"), [].into_iter()).expect_err(case);
        assert!(why.contains(says), "{case}: {why}");
    }
}
