//! What the faults of the lab do to packets, on real namespaces: each does what its list says,
//! where it says, and is gone when it is taken back. Those that `tests/lab.rs` needs are there.
//!
//! These need root, iproute2 and nftables, and fail without them.

#![expect(clippy::unwrap_used, reason = "what cannot be had fails the test")]
#![allow(dead_code, reason = "of the support each test binary uses its part")]

#[path = "lab/support.rs"]
mod support;
#[path = "lab/trace.rs"]
mod trace;

use std::{
    collections::BTreeSet,
    net::{TcpListener, TcpStream},
    process::Command,
    time::Duration,
};

use nicburn::lab::{client::Lab, spec::LabSpec};
use support::{Pace, alone, break_it, exchange, flow, inside, lab, longest_silence, mbps, wait_until};
use trace::{Arrival, Shots, trace};

const SECOND: Duration = Duration::from_secs(1);
const MS: Duration = Duration::from_millis(1);

/// A hundred full frames in half a second.
const FULL: Shots = Shots { count: 100, size: 1400, gap: Duration::from_millis(5) };

fn four() -> LabSpec {
    LabSpec { hosts: 4, ttl_s: 120, ..LabSpec::default() }
}

fn numbers(arrivals: &[Arrival]) -> BTreeSet<u32> {
    arrivals.iter().map(|arrival| arrival.number).collect()
}

/// What leaves and arrives is whole, once, and in order, as it was before.
fn is_well(lab: &Lab, spec: &LabSpec, from: u16, to: u16) {
    let arrivals = trace(lab, spec, from, to, FULL);
    let order: Vec<u32> = arrivals.iter().map(|arrival| arrival.number).collect();
    assert_eq!(order, (0..100).collect::<Vec<_>>(), "h{from} to h{to} is not well");
    assert!(arrivals.iter().all(|arrival| arrival.intact));
}

/// The error counter of TCP or UDP for bad checksums of a host.
fn bad_checksums(lab: &Lab, host: u16) -> u64 {
    let text = inside(lab, host, || std::fs::read_to_string("/proc/thread-self/net/snmp").unwrap());
    let udp: Vec<&str> = text.lines().filter(|line| line.starts_with("Udp:")).collect();
    let place = udp[0].split_whitespace().position(|name| name == "InCsumErrors").unwrap();
    udp[1].split_whitespace().nth(place).unwrap().parse().unwrap()
}

#[test]
fn both_ways_at_once_kill_and_one_way_does_not() {
    let _alone = alone();
    let (lab, spec) = (lab(&four()), four());
    break_it(&lab, "dies_both_ways@h2,rate=20M,for=1s");
    let one = flow(&lab, &spec, 1, 2, Pace::Full, 4 * SECOND);
    assert!(longest_silence(&one).1 <= 2 && mbps(&one) > 45.0, "one way alone is well: {one:?}");
    let both = std::thread::scope(|scope| {
        let out = scope.spawn(|| flow(&lab, &spec, 2, 3, Pace::Full, 5 * SECOND));
        let back = flow(&lab, &spec, 1, 2, Pace::Full, 5 * SECOND);
        out.join().unwrap();
        back
    });
    assert!(longest_silence(&both).1 >= 9, "both ways at once kill it: {both:?}");
}

#[test]
fn many_streams_kill_and_few_do_not() {
    let _alone = alone();
    let spec = LabSpec { hosts: 8, ..four() };
    let lab = lab(&spec);
    break_it(&lab, "dies_many_streams@h2,streams=5,for=1s");
    let few = flow(&lab, &spec, 1, 2, Pace::Full, 2 * SECOND);
    assert!(longest_silence(&few).1 <= 2 && mbps(&few) > 45.0, "one stream is well: {few:?}");
    // All seven others at once.
    let many = support::storm(&lab, &spec, 2, 4 * SECOND);
    assert!(longest_silence(&many).1 >= 8, "seven streams kill it: {many:?}");
}

#[test]
fn packets_are_lost_by_size_by_rate_and_in_bursts() {
    let _alone = alone();
    let (lab, spec) = (lab(&four()), four());
    let hole = break_it(&lab, "frame_hole@h2,over=1000B,direction=rx");
    let of_size = |size: usize, from: u16, to: u16| {
        trace(&lab, &spec, from, to, Shots { size, count: 40, ..FULL }).len()
    };
    // 28 bytes of IP and UDP stand before the payload.
    assert_eq!((of_size(972, 1, 2), of_size(973, 1, 2), of_size(1400, 2, 1)), (40, 0, 40));
    lab.unfault(hole).unwrap();
    let above = break_it(&lab, "loss_above@h2,pps=400,direction=tx");
    let fast = Shots { count: 600, size: 100, gap: MS };
    let (slow_came, fast_came) =
        (trace(&lab, &spec, 2, 1, Shots { gap: 5 * MS, ..fast }).len(), trace(&lab, &spec, 2, 1, fast).len());
    assert_eq!(slow_came, 600, "200 a second are below 400");
    assert!((200..=400).contains(&fast_came), "of 1000 a second 400 should come: {fast_came} of 600");
    lab.unfault(above).unwrap();
    break_it(&lab, "loss_bursts@h2,percent=0.5,for=50ms,direction=tx");
    let arrived = numbers(&trace(&lab, &spec, 2, 1, Shots { count: 2000, size: 100, gap: MS }));
    let lost: Vec<u32> = (0..2000).filter(|number| !arrived.contains(number)).collect();
    // The first packet after a burst begins the next one in one case of 200: the median tells.
    let mut bursts: Vec<usize> = lost.chunk_by(|a, b| a + 1 == *b).map(<[u32]>::len).collect();
    bursts.sort_unstable();
    let usual = bursts.get(bursts.len() / 2).copied().unwrap_or(0);
    assert!((30..=70).contains(&usual), "bursts of 50 ms: they lasted {bursts:?} ms");
}

#[test]
fn a_dead_queue_and_a_full_table_take_some_flows_whole() {
    let _alone = alone();
    let (lab, spec) = (lab(&four()), four());
    let queue = break_it(&lab, "dead_queue@h2,queues=2,direction=tx");
    let few = Shots { count: 5, size: 100, gap: MS };
    let came: Vec<usize> = (0..24).map(|_| trace(&lab, &spec, 2, 1, few).len()).collect();
    assert!(came.iter().all(|arrived| [0, 5].contains(arrived)), "a flow passes whole or not: {came:?}");
    let dead = came.iter().filter(|arrived| **arrived == 0).count();
    assert!((4..=20).contains(&dead), "about half of the flows: {came:?}");
    lab.unfault(queue).unwrap();
    break_it(&lab, "refuses_flows@h2,flows=4,memory=2s,direction=rx");
    let listener = inside(&lab, 2, || TcpListener::bind((spec.host_addr(2), 0)).unwrap());
    let addr = listener.local_addr().unwrap();
    let connect = || inside(&lab, 1, || TcpStream::connect_timeout(&addr, 300 * MS));
    let first: Vec<_> = (0..4).map(|_| connect()).collect();
    assert!(first.iter().all(Result::is_ok), "the table has room for four");
    assert!(connect().is_err(), "and for no fifth");
    wait_until("the table forgets", 4 * SECOND, || connect().is_ok());
}

#[test]
fn cables_delay_disorder_double_and_stall() {
    let _alone = alone();
    let (lab, spec) = (lab(&four()), four());
    let median = |arrivals: &[Arrival]| {
        let mut late: Vec<Duration> =
            arrivals.iter().map(|arrival| arrival.at.saturating_sub(FULL.gap * arrival.number)).collect();
        late.sort_unstable();
        late[late.len() / 2]
    };
    for (from, to) in [(2, 1), (1, 2)] {
        let late = break_it(&lab, "latency@h2,delay=8ms,jitter=2ms");
        let arrivals = trace(&lab, &spec, from, to, FULL);
        assert!((8 * MS..14 * MS).contains(&median(&arrivals)), "h{from} to h{to}: {:?}", median(&arrivals));
        assert_eq!(numbers(&arrivals).len(), 100);
        lab.unfault(late).unwrap();
        is_well(&lab, &spec, from, to);
        let direction = if from == 2 { "tx" } else { "rx" };

        let twice = break_it(&lab, &format!("duplicate@h2,percent=100,direction={direction}"));
        assert_eq!(trace(&lab, &spec, from, to, FULL).len(), 200, "h{from} to h{to}: each comes twice");
        lab.unfault(twice).unwrap();

        let disorder = break_it(&lab, &format!("reorder@h2,percent=20,by=12ms,direction={direction}"));
        let arrivals = trace(&lab, &spec, from, to, FULL);
        let overtaken = arrivals.windows(2).filter(|pair| pair[1].number < pair[0].number).count();
        assert_eq!(arrivals.len(), 100);
        assert!((5..=40).contains(&overtaken), "h{from} to h{to}: {overtaken} of 100 overtaken");
        lab.unfault(disorder).unwrap();

        let stalls = break_it(&lab, &format!("stalls@h2,for=200ms,every=1s,direction={direction}"));
        let arrivals = trace(&lab, &spec, from, to, Shots { count: 400, ..FULL });
        let gap = arrivals.windows(2).map(|pair| pair[1].at.saturating_sub(pair[0].at)).max().unwrap();
        assert_eq!(numbers(&arrivals).len(), 400, "nothing is lost");
        assert!((150 * MS..300 * MS).contains(&gap), "h{from} to h{to}: the longest gap is {gap:?}");
        lab.unfault(stalls).unwrap();
        is_well(&lab, &spec, from, to);
    }
    let carried = flow(&lab, &spec, 2, 1, Pace::Full, SECOND);
    break_it(&lab, "latency@h2,delay=2ms");
    let slots = flow(&lab, &spec, 2, 1, Pace::Full, 3 * SECOND);
    assert!(mbps(&slots[5..]) > 0.8 * mbps(&carried), "a cable carries what the card does: {slots:?}");
}

#[test]
fn changed_bytes_pass_silently_or_are_caught() {
    let _alone = alone();
    let (lab, spec) = (lab(&four()), four());
    for (from, to, direction) in [(2, 1, "tx"), (1, 2, "rx")] {
        let silent = break_it(&lab, &format!("corrupt@h2,percent=30,direction={direction}"));
        let before = bad_checksums(&lab, to);
        let arrivals = trace(&lab, &spec, from, to, FULL);
        let changed = arrivals.iter().filter(|arrival| !arrival.intact).count();
        assert_eq!((arrivals.len(), bad_checksums(&lab, to) - before), (100, 0), "nothing is noticed");
        assert!((10..=60).contains(&changed), "{direction}: {changed} of 100 are changed");
        lab.unfault(silent).unwrap();
        let caught = break_it(&lab, &format!("corrupt@h2,percent=30,caught=yes,direction={direction}"));
        let arrivals = trace(&lab, &spec, from, to, FULL);
        let lost = 100 - arrivals.len();
        assert!((10..=60).contains(&lost), "{direction}: {lost} of 100 are caught");
        assert!(arrivals.iter().all(|arrival| arrival.intact), "what arrives is whole");
        assert_eq!(bad_checksums(&lab, to) - before, lost as u64, "and each was counted");
        lab.unfault(caught).unwrap();
    }
}

#[test]
fn paths_and_uplinks_are_broken_alone() {
    let _alone = alone();
    let spec = LabSpec { racks: 2, ..four() };
    let lab = lab(&spec);
    let path = break_it(&lab, "dead@h1-h3");
    assert_eq!(exchange(&lab, &spec, 1, 3, 3), 0);
    assert_eq!((exchange(&lab, &spec, 1, 4, 3), exchange(&lab, &spec, 2, 3, 3)), (3, 3));
    lab.unfault(path).unwrap();
    wait_until("the path is found again", 5 * SECOND, || exchange(&lab, &spec, 1, 3, 1) == 1);
    let late = break_it(&lab, "latency@uplink,delay=8ms,direction=tx");
    let arrivals = trace(&lab, &spec, 1, 3, FULL);
    assert!(arrivals.len() == 100 && arrivals[50].at >= FULL.gap * 50 + 8 * MS, "{:?}", arrivals[50]);
    lab.unfault(late).unwrap();
    let slow = break_it(&lab, "slow@uplink,rate=20M,direction=rx");
    let (out, back) =
        (flow(&lab, &spec, 1, 3, Pace::Full, SECOND), flow(&lab, &spec, 3, 1, Pace::Full, SECOND));
    assert!(mbps(&out) > 40.0 && mbps(&back) < 22.0, "out {out:?}, back {back:?}");
    lab.unfault(slow).unwrap();
    // A hardware address that is asked for and lost is asked for again only after a second.
    assert_eq!(exchange(&lab, &spec, 2, 4, 1), 1);
    let lossy = break_it(&lab, "loss@uplink,percent=40,direction=tx");
    let came = numbers(&trace(&lab, &spec, 2, 4, FULL)).len();
    assert!((40..=80).contains(&came) && numbers(&trace(&lab, &spec, 1, 2, FULL)).len() == 100, "{came}");
    lab.unfault(lossy).unwrap();
    is_well(&lab, &spec, 2, 4);
}

#[test]
fn addresses_and_neighbours_are_lost_and_found() {
    let _alone = alone();
    for ipv6 in [false, true] {
        let spec = LabSpec { ipv6, ..four() };
        let lab = lab(&spec);
        assert_eq!(exchange(&lab, &spec, 1, 2, 2), 2);
        let ip = |host: u16, args: &str| {
            let listed = inside(&lab, host, || {
                Command::new("ip").args(args.split(' ').chain(["dev", "eth0"])).output().unwrap()
            });
            String::from_utf8(listed.stdout).unwrap()
        };
        let addresses = |host: u16| ip(host, "-o addr show");
        let own = spec.host_addr(2).to_string();
        let lost = break_it(&lab, "address_lost@h2");
        assert!(!addresses(2).contains(&own));
        lab.unfault(lost).unwrap();
        wait_until("the address is back", 3 * SECOND, || exchange(&lab, &spec, 1, 2, 1) == 1);

        let fails = break_it(&lab, "neighbour_fails@h2");
        assert_eq!(exchange(&lab, &spec, 1, 2, 2), 0);
        assert_eq!(exchange(&lab, &spec, 1, 3, 2), 2);
        lab.unfault(fails).unwrap();
        wait_until("the neighbour is found", 5 * SECOND, || exchange(&lab, &spec, 1, 2, 1) == 1);

        let wrong = break_it(&lab, "wrong_entry@h1-h2");
        assert_eq!((exchange(&lab, &spec, 1, 2, 2), exchange(&lab, &spec, 3, 2, 2)), (0, 2));
        lab.unfault(wrong).unwrap();
        wait_until("the entry is right", 5 * SECOND, || exchange(&lab, &spec, 1, 2, 1) == 1);

        assert_eq!((exchange(&lab, &spec, 1, 2, 1), exchange(&lab, &spec, 4, 2, 1)), (1, 1));
        let twice = break_it(&lab, "duplicate_address@h2-h3");
        assert!(addresses(2).contains(&own) && addresses(3).contains(&own));
        let link = ip(3, "-o link show");
        let impostor = link.split("link/ether ").nth(1).unwrap().split(' ').next().unwrap();
        for other in [1, 4] {
            let entry = || ip(other, &format!("neigh show {own}"));
            wait_until("the others believe h3", 5 * SECOND, || entry().contains(impostor));
        }
        lab.unfault(twice).unwrap();
        assert!(!addresses(3).contains(&own));
    }
}

#[test]
fn settings_differ_where_they_were_made_to() {
    let _alone = alone();
    let (lab, spec) = (lab(&four()), four());
    let mtu = break_it(&lab, "mtu@h2,bytes=1400B");
    let full = trace(&lab, &spec, 1, 2, Shots { size: 1472, count: 20, ..FULL }).len();
    let small = trace(&lab, &spec, 1, 2, Shots { size: 1372, count: 20, ..FULL }).len();
    assert_eq!((full, small), (0, 20), "what is larger than its MTU does not come in");
    lab.unfault(mtu).unwrap();
    is_well(&lab, &spec, 1, 2);
    break_it(&lab, "offloads@h2");
    let slots = flow(&lab, &spec, 2, 1, Pace::Full, SECOND);
    assert!(mbps(&slots) > 40.0, "it is well: {slots:?}");
}

#[test]
fn what_stands_beside_a_card_leaves_it_alone() {
    let _alone = alone();
    let (lab, spec) = (lab(&four()), four());
    let others = break_it(&lab, "background@h2-h3,rate=20M");
    let counted = |host: u16| {
        let text = inside(&lab, host, || std::fs::read_to_string("/proc/thread-self/net/dev").unwrap());
        let eth0 = text.lines().find(|line| line.trim_start().starts_with("eth0:")).unwrap();
        eth0.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap()
    };
    let before = counted(3);
    let slots = flow(&lab, &spec, 1, 4, Pace::Full, 2 * SECOND);
    let rate = (counted(3) - before) as f64 * 8.0 / 1e6 / 2.0;
    assert!((16.0..=26.0).contains(&rate), "20 Mb/s of others: {rate:.1}");
    assert!(mbps(&slots[5..]) > 50.0, "who has no part in it is well: {slots:?}");
    lab.unfault(others).unwrap();
    let before = counted(3);
    is_well(&lab, &spec, 1, 2);
    assert!(counted(3) - before < 10_000, "it ends when it is taken back");

    let program = break_it(&lab, "xdp_drops@h2,percent=30");
    let came = numbers(&trace(&lab, &spec, 1, 2, FULL)).len();
    let counted = || {
        let listed = inside(&lab, 2, || Command::new("ethtool").args(["-S", "eth0"]).output().unwrap());
        let text = String::from_utf8(listed.stdout).unwrap();
        let own =
            text.lines().filter(|line| line.contains("xdp_drops")).filter_map(|line| line.split(": ").nth(1));
        own.map(|count| count.trim().parse::<usize>().unwrap()).sum::<usize>()
    };
    assert!((50..=88).contains(&came) && counted() >= 100 - came, "{came} came, {} were dropped", counted());
    assert_eq!(numbers(&trace(&lab, &spec, 2, 1, FULL)).len(), 100, "what it sends passes");
    lab.unfault(program).unwrap();
    is_well(&lab, &spec, 1, 2);

    let cut = break_it(&lab, "control_lost@h2");
    let coordinator = lab.coordinator_addr();
    let listener =
        support::in_coordinator(&lab, || TcpListener::bind((coordinator, 0)).unwrap()).local_addr().unwrap();
    let reaches = |host: u16| inside(&lab, host, || TcpStream::connect_timeout(&listener, 300 * MS).is_ok());
    assert!(!reaches(2), "h2 is cut off");
    assert_eq!(exchange(&lab, &spec, 1, 2, 2), 2, "and carries data");
    lab.unfault(cut).unwrap();
}
