//! What corroborates, and what only seems to. Host 3 of eight dies twice under load, at 7.0 s
//! and at 12.5 s.

use std::sync::Arc;

use crate::model::{
    fleet::units::RunTime,
    judge::{
        summary::{Basis, Finding, FindingKind, Source, Summary},
        tests::story::{Story, ZERO_SLOT, own_kernels},
        verdict::judge,
    },
    record::{
        book::Record,
        facts::{CountersMoved, KernelLine},
        line::{Body, HostSeen, LinkSeen},
    },
};

const SICK: usize = 3;

fn dying() -> Story {
    Story::storm(8, 200).dead(SICK, 20, 60).dead(SICK, 75, 115)
}

/// Counters that moved in the second before a slot of the stage.
fn moved(slot: u64, steps: &[(&str, i64)]) -> Body {
    Body::Counters(Box::new(CountersMoved {
        since: RunTime::of_slot(ZERO_SLOT + slot - 10),
        moved: steps.iter().map(|(name, by)| ((*name).into(), *by)).collect(),
        ..CountersMoved::default()
    }))
}

fn kernel(slot: u64, text: &str) -> Body {
    Body::Kernel(KernelLine { at: RunTime::of_slot(ZERO_SLOT + slot), level: 3, text: text.to_owned() })
}

/// Every host counts something of no meaning: it is known that their counters were read.
fn all_read(story: Story) -> Story {
    (0..8).fold(story, |story, host| story.tells(host, 25, moved(25, &[("link.rx_bytes", 5)])))
}

fn finding(record: &Record) -> Finding {
    let mut findings = judge(record).hosts.swap_remove(SICK).findings;
    assert_eq!(findings.len(), 1, "{findings:?}");
    findings.swap_remove(0)
}

#[test]
fn a_counter_that_moved_on_the_sick_host_alone_corroborates() {
    let record = all_read(dying()).tells(SICK, 30, moved(30, &[("driver.tx_timeout", 2)])).record();
    let finding = finding(&record);
    assert_eq!((finding.kind, finding.evidence), (FindingKind::DiesUnderLoad, Basis::Corroborated));
    let item = &finding.corroboration[0];
    assert_eq!((item.source, item.at_s), (Source::Counter, Some(8.0)));
    assert_eq!(
        item.text,
        "driver.tx_timeout +2, 0 on the others: a transmit queue stood still, or the driver reset the card"
    );
}

#[test]
fn a_counter_that_moved_on_all_hosts_says_nothing() {
    let all =
        (0..8).fold(dying(), |story, host| story.tells(host, 30, moved(30, &[("driver.tx_timeout", 2)])));
    let finding = finding(&all.record());
    assert_eq!((finding.evidence, finding.corroboration.len()), (Basis::EndToEnd, 0));
}

#[test]
fn a_second_sick_host_does_not_hide_the_first() {
    let story = all_read(dying()).tells(SICK, 30, moved(30, &[("link.rx_crc_errors", 40)])).tells(
        5,
        30,
        moved(30, &[("link.rx_crc_errors", 90)]),
    );
    assert_eq!(finding(&story.record()).evidence, Basis::Corroborated);
}

#[test]
fn where_no_other_host_was_read_nothing_can_be_called_its_own() {
    let record = dying().tells(SICK, 30, moved(30, &[("driver.tx_timeout", 2)])).record();
    assert_eq!(finding(&record).evidence, Basis::EndToEnd);
}

#[test]
fn what_moved_at_another_time_is_no_evidence() {
    // The windows reach from 5.0 to 12.0 s and from 10.5 to 17.5 s.
    let late = all_read(dying()).tells(SICK, 190, moved(190, &[("driver.tx_timeout", 2)]));
    assert!(finding(&late.record()).corroboration.is_empty());
    let after = all_read(dying()).tells(SICK, 120, moved(120, &[("driver.tx_timeout", 2)]));
    assert_eq!(finding(&after.record()).evidence, Basis::Corroborated, "the watchdog takes its 5 s");
}

#[test]
fn what_another_boot_counted_is_no_evidence() {
    let mut record =
        own_kernels(all_read(dying()).tells(SICK, 30, moved(30, &[("driver.tx_timeout", 2)])).record());
    // The line is told by an instance that joined before, under another boot.
    let instance = record.lines.iter().find_map(|line| match &line.body {
        Body::Joined(joined) if joined.host.index() == SICK => Some((line.clone(), joined.clone())),
        _ => None,
    });
    let (mut line, mut joined) = instance.expect("it joined");
    (joined.instance, joined.boot_id) = (90, "the boot before".to_owned());
    line.body = Body::Joined(joined);
    let at = record.lines.iter().position(|line| matches!(line.body, Body::Joined(_))).expect("some");
    record.lines.insert(at, line);
    for line in &mut record.lines {
        if let Body::Counters(moved) = &line.body
            && moved.moved.contains_key("driver.tx_timeout")
        {
            line.i = 90;
        }
    }
    let summary = judge(&record);
    let told = summary.hosts[SICK].findings.iter().flat_map(|finding| &finding.corroboration);
    assert_eq!(told.filter(|item| item.text.contains("tx_timeout")).count(), 0);
}

#[test]
fn a_kernel_line_corroborates_its_own_host_and_a_shared_log_nobody() {
    let text = "NETDEV WATCHDOG: eth0 (ena): transmit queue 4 timed out";
    let story = || all_read(dying()).tells(SICK, 70, kernel(70, text));
    let own = finding(&own_kernels(story().record()));
    assert_eq!((own.evidence, own.corroboration[0].source), (Basis::Corroborated, Source::Kernel));
    assert_eq!(own.corroboration[0].at_s, Some(12.0));
    assert!(own.corroboration[0].text.starts_with(&format!("“{text}”: a transmit queue stood still")));
    let shared = finding(&story().record());
    assert_eq!(shared.evidence, Basis::EndToEnd, "eight workers under one kernel");
    assert!(shared.corroboration[0].text.contains("proves nothing"), "shown all the same");
}

#[test]
fn a_line_about_another_card_of_the_host_is_not_even_shown() {
    let text = "NETDEV WATCHDOG: eth1 (ena): transmit queue 4 timed out";
    let record = own_kernels(all_read(dying()).tells(SICK, 30, kernel(30, text)).record());
    assert_eq!(finding(&record).corroboration, []);
}

#[test]
fn an_unknown_error_of_the_card_is_shown_and_proves_nothing() {
    let record =
        own_kernels(all_read(dying()).tells(SICK, 30, kernel(30, "ena 0000:00:05.0 eth0: oh dear")).record());
    let finding = finding(&record);
    assert_eq!(finding.evidence, Basis::EndToEnd);
    assert_eq!(finding.corroboration[0].text, "“ena 0000:00:05.0 eth0: oh dear”: not classified");
}

#[test]
fn an_allowance_of_the_instance_is_told_and_accuses_no_card() {
    let step = [("driver.pps_allowance_exceeded", 900)];
    let finding = finding(&all_read(dying()).tells(SICK, 30, moved(30, &step)).record());
    assert_eq!(finding.evidence, Basis::EndToEnd);
    assert!(finding.corroboration[0].text.contains("not of the card"), "{finding:?}");
}

#[test]
fn late_completions_prove_nothing_where_the_host_was_starved() {
    let text = "ena 0000:00:05.0 eth0: Found a Tx that wasn't completed on time, qid 3, index 219.";
    let story = || all_read(dying()).tells(SICK, 30, kernel(30, text));
    assert_eq!(finding(&own_kernels(story().record())).evidence, Basis::Corroborated);
    let starved = (1..=4).fold(story(), |story, second| {
        let state = HostSeen { threads: Some((0.5, 0.6)), ..HostSeen::default() };
        story.tells(SICK, second * 10, Body::Host(Arc::new(state)))
    });
    let summary = judge(&own_kernels(starved.record()));
    let of = |kind| {
        let found = summary.hosts[SICK].findings.iter().find(|finding| finding.kind == kind);
        found.unwrap_or_else(|| panic!("no {kind:?}"))
    };
    assert_eq!(of(FindingKind::DiesUnderLoad).evidence, Basis::EndToEnd);
    assert_eq!(of(FindingKind::HostLimited).evidence, Basis::Corroborated, "by its own threads");
}

#[test]
fn an_address_that_vanished_corroborates_an_outage() {
    let gone = Body::Counters(Box::new(CountersMoved {
        since: RunTime::of_slot(ZERO_SLOT + 95),
        addresses_gone: vec!["10.0.0.4/24".to_owned()],
        ..CountersMoved::default()
    }));
    let finding =
        finding(&all_read(Story::storm(8, 200).dead(SICK, 100, 140)).tells(SICK, 105, gone).record());
    assert_eq!((finding.kind, finding.evidence), (FindingKind::Outage, Basis::Corroborated));
    assert_eq!(finding.corroboration[0].source, Source::Address);
    assert_eq!(finding.corroboration[0].text, "its interface lost the address 10.0.0.4/24");
}

#[test]
fn an_mtu_that_differs_is_shown_at_a_finding_and_proves_nothing() {
    let link = |mtu| LinkSeen { up: true, carrier: true, mtu, ..LinkSeen::default() };
    let story = (0..8)
        .fold(dying(), |story, host| story.link(host, 10, link(if host == SICK { 1400 } else { 1500 })));
    let finding = finding(&story.record());
    assert_eq!(finding.evidence, Basis::EndToEnd);
    let item = &finding.corroboration[0];
    assert_eq!((item.source, item.at_s), (Source::Link, None));
    assert_eq!(item.text, "its MTU is 1400, that of 7 of 7 others 1500");
}

#[test]
fn a_lost_carrier_is_told_with_its_moment() {
    let up = LinkSeen { up: true, carrier: true, carrier_down: 4, ..LinkSeen::default() };
    let down = LinkSeen { carrier: false, carrier_down: 5, ..up };
    let story = Story::storm(8, 200).dead(SICK, 20, 50).link(SICK, 10, up).link(SICK, 24, down).link(
        SICK,
        48,
        LinkSeen { carrier: true, ..down },
    );
    let finding = finding(&story.record());
    assert_eq!((finding.kind, finding.evidence), (FindingKind::LinkFlap, Basis::Corroborated));
    let item = finding.corroboration.iter().find(|item| item.at_s == Some(7.4)).expect("when it was lost");
    assert_eq!(item.text, "carrier lost: the interface counts 5 losses, 4 before");
}

#[test]
fn a_finding_carries_no_more_than_eight_items_and_the_strongest_first() {
    let story = (0..30_u64).fold(all_read(dying()), |story, slot| {
        let gone = Body::Counters(Box::new(CountersMoved {
            since: RunTime::of_slot(ZERO_SLOT + 20 + slot),
            addresses_gone: vec![format!("10.0.0.{slot}/24")],
            ..CountersMoved::default()
        }));
        story.tells(SICK, 21 + slot, gone)
    });
    let finding = finding(&story.tells(SICK, 55, moved(55, &[("driver.tx_timeout", 1)])).record());
    assert_eq!(finding.corroboration.len(), super::ITEMS_MAX);
    assert_eq!(finding.corroboration[0].source, Source::Counter, "the one that corroborates");
}

#[test]
fn evidence_changes_no_verdict() {
    let with = all_read(dying())
        .tells(SICK, 30, moved(30, &[("driver.tx_timeout", 2), ("link.rx_crc_errors", 9)]))
        .tells(2, 30, moved(30, &[("driver.tx_timeout", 9)]))
        .tells(2, 31, kernel(31, "eth0: hw csum failure"));
    let bare = |record: &Record| {
        let mut summary: Summary = judge(record);
        for finding in summary.hosts.iter_mut().flat_map(|host| &mut host.findings) {
            (finding.evidence, finding.corroboration) = (Basis::EndToEnd, vec![]);
        }
        summary
    };
    assert_eq!(bare(&own_kernels(with.record())), bare(&own_kernels(dying().record())));
}
