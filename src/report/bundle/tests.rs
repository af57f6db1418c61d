//! What is in a bundle, what must never be, and that it is the same each time.

use std::{collections::BTreeMap, io::Read as _};

use super::*;
use crate::model::{
    fleet::{
        host::{Host, NicFacts},
        units::RunTime,
    },
    judge::summary::SUMMARY_SCHEMA,
    plan::scenario::Scenario,
    record::{
        facts::{CountersMoved, KernelLine},
        line::{Contact, ContactState, Joined, Opened, RECORD_SCHEMA, Samples},
        probe::Moments,
    },
};
use crate::report::fixture;

/// A record of `mixed`'s hosts; each worker tells lines that name it.
fn record() -> Record {
    let names = ["h1", "h2", "h3", "h4"];
    let hosts: Vec<Host> = (0..)
        .zip(names)
        .map(|(id, name)| Host {
            id: HostId(id),
            name: fixture::name(name),
            rack: None,
            nic: NicFacts { iface: "eth0".to_owned(), driver: Some("ena".to_owned()), ..NicFacts::default() },
        })
        .collect();
    let opened = Opened {
        policy: None,
        schema: RECORD_SCHEMA.to_owned(),
        run: "20261123T120000Z-storm-7f3a".to_owned(),
        build: "test".to_owned(),
        started_at: "2026-11-23T12:00:00Z".to_owned(),
        scenario: Scenario { name: "storm".to_owned(), ..Scenario::default() },
        seed: 7,
        planned: 4,
        hosts,
        simulated_links: true,
        moments: Moments::Turning,
    };
    let mut lines = vec![(0, 0.0, Body::Opened(Box::new(opened.clone())))];
    for (host, name) in (0u16..).zip(names) {
        let joined = Joined {
            instance: host + 1,
            host: HostId(host),
            instance_id: format!("drawn-by-{name}"),
            boot_id: format!("boot-of-{name}"),
            kernel: "6.18".to_owned(),
            cores: 2,
            congestion_control: "cubic".to_owned(),
            control_in_band: None,
        };
        let contact = Contact {
            host: HostId(host),
            instance: host + 1,
            state: ContactState::Lost,
            why: format!("lost-{name}"),
        };
        lines.push((0, 0.1, Body::Joined(Box::new(joined))));
        lines.push((0, 45.0, Body::Contact(contact)));
        for at_s in [5.0, 40.0, 58.0] {
            let moved = CountersMoved {
                moved: [(format!("driver.{name}_at_{at_s}").into(), 1)].into_iter().collect(),
                ..CountersMoved::default()
            };
            lines.push((host + 1, at_s, Body::Counters(Box::new(moved))));
            lines.push((
                host + 1,
                at_s,
                Body::Samples(Samples { s: at_s as u64 * 10, ..Samples::default() }),
            ));
        }
        let text = format!(
            "ena 0000:00:05.0 eth0: NETDEV WATCHDOG: CPU: 1: transmit queue 3 timed out 5{host}00 ms"
        );
        let line = KernelLine { at: RunTime(42_000_000), level: 3, text };
        lines.push((host + 1, 42.1, Body::Kernel(line)));
        let unread = Body::Unread { what: "rings".to_owned(), why: format!("not-on-{name}") };
        lines.push((host + 1, 1.0, unread));
    }
    let mut next: BTreeMap<u16, u64> = BTreeMap::new();
    let lines = lines.into_iter().map(|(i, at_s, body)| {
        let q = next.entry(i).or_default();
        *q += 1;
        Line { i, e: 1, q: *q, t: RunTime((at_s * 1e6) as u64), body }
    });
    Record::from_lines(lines.collect()).expect("it has its opening line")
}

fn bundled(record: &Record, summary: &Summary) -> Vec<(HostName, Bundle)> {
    let seen = Seen::of(record);
    bundles(record, &seen, &Gathered::of(record), &Charts::of(&seen), summary)
}

fn unpacked(bytes: &[u8]) -> BTreeMap<String, String> {
    let tar = zstd::decode_all(bytes).expect("zstd");
    let mut archive = tar::Archive::new(tar.as_slice());
    let entries = archive.entries().expect("tar").map(|entry| {
        let mut entry = entry.expect("an entry");
        let header = entry.header();
        assert_eq!((header.mtime().ok(), header.uid().ok(), header.gid().ok()), (Some(0), Some(0), Some(0)));
        let name = entry.path().expect("a name").display().to_string();
        let mut text = String::new();
        entry.read_to_string(&mut text).expect("text");
        (name, text)
    });
    entries.collect()
}

fn of_h3() -> BTreeMap<String, String> {
    let all = bundled(&record(), &fixture::mixed());
    let [(host, (name, bytes))] = &all[..] else { panic!("only h3 failed: {}", all.len()) };
    assert_eq!((host.as_str(), name.as_str()), ("h3", "h3.tar.zst"));
    unpacked(bytes)
}

#[test]
fn a_bundle_holds_what_a_support_case_needs() {
    let files = of_h3();
    let names: Vec<&str> = files.keys().map(String::as_str).collect();
    assert_eq!(
        names,
        [
            "README.txt",
            "facts-after.json",
            "facts-before.json",
            "kernel.txt",
            "record.jsonl",
            "series.csv",
            "stages.json",
            "verdict.json"
        ]
    );
    for name in &names[1..] {
        assert!(files["README.txt"].contains(name), "{name} is not explained");
    }
    assert!(files["README.txt"].contains("dies_under_load"));
    assert!(files["kernel.txt"].contains("42.000 <3> ena 0000:00:05.0 eth0: NETDEV WATCHDOG"));
    assert!(files["kernel.txt"].contains("net/sched/sch_generic.c"), "what is known of it");
    assert!(files["kernel.txt"].contains("unread: rings: not-on-h3"));
    assert_eq!(files["facts-before.json"], "null\n", "not read, and no facts made up");
    let verdict: serde_json::Value = serde_json::from_str(&files["verdict.json"]).expect("JSON");
    assert_eq!(verdict["host"]["findings"][0]["kind"], "dies_under_load");
    assert_eq!(verdict["instances"][0]["boot_id"], "boot-of-h3");
}

#[test]
fn its_record_lines_are_those_around_the_drop_offs_and_read_back() {
    let files = of_h3();
    let lines: Vec<Line> =
        files["record.jsonl"].lines().map(|line| text::decode(line).expect("its checksum holds")).collect();
    let told = |what: &str| files["record.jsonl"].contains(what);
    // Drop-offs at 41.3 s for 3.1 s, and at 52.0 s.
    assert!(told("h3_at_40") && told("h3_at_58") && !told("h3_at_5\""), "{}", files["record.jsonl"]);
    assert!(lines.iter().any(|line| matches!(line.body, Body::Kernel(_))));
    assert!(lines.iter().any(|line| matches!(line.body, Body::Contact(_))));
}

#[test]
fn nothing_of_other_hosts_and_no_secret_is_in_it() {
    for (name, text) in of_h3() {
        for other in ["h1", "h2", "h4"] {
            for said in [
                format!("{other}_at_"),
                format!("lost-{other}"),
                format!("boot-of-{other}"),
                format!("not-on-{other}"),
            ] {
                assert!(!text.contains(&said), "{name} holds {said}");
            }
        }
        for said in
            ["5000 ms", "5100 ms", "5300 ms", "drawn-by", "PRIVATE KEY", "BEGIN CERT", "token\"", "secret"]
        {
            assert!(!text.contains(said), "{name} holds {said}");
        }
    }
}

#[test]
fn the_same_record_gives_the_same_bytes() {
    assert_eq!(bundled(&record(), &fixture::mixed()), bundled(&record(), &fixture::mixed()));
}

#[test]
fn a_healthy_fleet_has_no_bundle() {
    let summary = fixture::healthy();
    assert_eq!(summary.schema, SUMMARY_SCHEMA);
    assert!(bundled(&record(), &summary).is_empty());
}

#[test]
fn the_card_of_a_host_makes_a_file_name_and_no_folder() {
    assert_eq!(file_name(&fixture::name("h3/eth1")), "h3%2Feth1.tar.zst");
}
