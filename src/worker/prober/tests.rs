//! A prober and real targets, over loopback.

use std::time::Instant;

use super::*;
use crate::{
    model::{
        record::probe::{Outcomes, ProbesSeen},
        run::message::SecretHex,
    },
    worker::transfer::{Binding, Command, alone::Alone, payload::Payload, stage::Stage},
};

fn key(digit: &str) -> TransferKey {
    TransferKey::new(&SecretHex(digit.repeat(64))).expect("64 digits")
}

/// A target that knows the fleet by this key, and where it listens.
fn target(digit: &str) -> (Alone, SocketAddr) {
    let binding = Binding::loopback().expect("reno or cubic");
    let alone = Alone::start(binding, 0, 1, |_| {}).expect("carriers");
    let addr = SocketAddr::new(alone.shared.binding.addr, alone.shared.binding.port);
    let stage = Stage {
        index: 0,
        fleet_key: key(digit),
        payload: Arc::new(Payload::new(&key(digit)).expect("memory")),
        rounds: Vec::new(),
        peers: BTreeMap::new(),
        probes: BTreeMap::new(),
        for_us: 0,
    };
    alone.carriers.tell(&Command::Prepare(Arc::new(stage)));
    (alone, addr)
}

/// The first whole lines of a prober that probes these targets.
fn lines(targets: BTreeMap<HostId, SocketAddr>, count: usize) -> Vec<ProbesSeen> {
    let mut own = Alone::start(Binding::loopback().expect("a binding"), 0, 1, |_| {}).expect("carriers");
    let prober = Prober::start(&own.shared).expect("a thread");
    let from = own.shared.run_now();
    let until = RunTime(from.0 + 20_000_000);
    prober.probe(Task { own: HostId(3), targets, key: key("a"), from, until });
    let limit = Instant::now() + Duration::from_secs(15);
    let mut seen = Vec::new();
    while seen.len() < count {
        assert!(Instant::now() < limit, "{seen:?}");
        match own.lines.try_recv() {
            Ok((_, Body::Probes(line))) => seen.push(*line),
            Ok(_) => {}
            Err(_) => std::thread::sleep(Duration::from_millis(20)),
        }
    }
    prober.quit();
    own.carriers.quit();
    seen
}

#[test]
fn each_tick_is_answered_by_process_and_kernel_and_heard_by_the_target() {
    let (alone, addr) = target("a");
    let seen = lines(BTreeMap::from([(HostId(1), addr)]), 3);
    // The first line began in the middle of its ticks.
    for line in &seen[1..] {
        for outcomes in [&line.udp[&HostId(1)], &line.tcp[&HostId(1)]] {
            assert_eq!(outcomes.iter().count(), 5);
            let answered = |outcome: Option<u32>| outcome.is_some_and(|us| us != 0 && us < 200_000);
            assert!(outcomes.iter().filter(|outcome| answered(*outcome)).count() >= 4, "{line:?}");
        }
    }
    let heard = alone.shared.take_pinged();
    assert!(heard.len() >= 10 && heard.iter().all(|(observer, ..)| *observer == HostId(3)), "{heard:?}");
    alone.carriers.quit();
}

#[test]
fn who_knows_another_key_answers_no_echo_and_who_is_not_there_nothing() {
    let (stranger, strange_addr) = target("b");
    let nobody: SocketAddr = "127.0.0.1:9".parse().expect("an address");
    let seen = lines(BTreeMap::from([(HostId(1), strange_addr), (HostId(2), nobody)]), 2);
    let line = &seen[1];
    let lost = |outcomes: &Outcomes| outcomes.iter().flatten().all(|us| us == 0);
    assert!(lost(&line.udp[&HostId(1)]) && lost(&line.udp[&HostId(2)]), "{line:?}");
    // Kernels answer: that they know nobody there, or in the place of the process.
    for target in [HostId(1), HostId(2)] {
        assert!(line.tcp[&target].iter().flatten().all(|us| us > 0), "{line:?}");
    }
    assert!(stranger.shared.take_pinged().is_empty());
    stranger.carriers.quit();
}
