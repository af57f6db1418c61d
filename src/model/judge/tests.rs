//! Whole records, told as small stories, and the verdicts they must give.

mod bad;
pub(super) mod field;
mod files;
pub(super) mod story;
mod two;

use story::{CAPACITY_BPS, Story, own_kernels};

use super::{
    summary::{Direction, FindingKind, FleetVerdict, Severity, Summary, Verdict},
    verdict::judge,
};
use crate::model::{
    fleet::{host::HostId, units::RunTime},
    record::line::{Body, ContactState, LinkSeen, StreamEvent},
};

fn verdicts(summary: &Summary) -> Vec<Verdict> {
    summary.hosts.iter().map(|host| host.verdict).collect()
}

fn kinds(summary: &Summary, host: usize) -> Vec<FindingKind> {
    summary.hosts[host].findings.iter().map(|finding| finding.kind).collect()
}

/// Everybody but host `sick` passes.
fn only_fails(summary: &Summary, sick: usize) {
    for (index, host) in summary.hosts.iter().enumerate() {
        let want = if index == sick { Verdict::Fail } else { Verdict::Pass };
        assert_eq!(host.verdict, want, "{}: {:?} {:?}", host.host, host.reason, host.findings);
    }
}

#[test]
fn a_healthy_storm_passes() {
    let summary = judge(&Story::storm(8, 200).record());
    assert_eq!(summary.verdict, FleetVerdict::Healthy);
    assert!(summary.passed);
    assert!(summary.hosts.iter().all(|host| host.findings.is_empty() && host.drop_offs.is_empty()));
}

#[test]
fn a_card_that_dies_twice_soon_after_load_dies_under_load() {
    let story = Story::storm(8, 200).dead(3, 20, 50).dead(3, 65, 95);
    let summary = judge(&story.record());
    only_fails(&summary, 3);
    assert_eq!(kinds(&summary, 3), [FindingKind::DiesUnderLoad]);
    let finding = &summary.hosts[3].findings[0];
    assert_eq!(finding.confirmed, Some(true));
    assert_eq!(finding.direction, Some(Direction::Both));
    let killed = finding.numbers["dose_killed_bps"].expect("the load before was measured");
    assert!((killed - CAPACITY_BPS).abs() < CAPACITY_BPS * 0.2, "{killed}");
    assert_eq!(summary.hosts[3].drop_offs.len(), 2);
    assert!((summary.hosts[3].drop_offs[0].for_s.expect("it came back") - 3.0).abs() < 0.3);
}

#[test]
fn a_card_that_dies_for_good_fails_although_control_died_with_it() {
    let story = Story::storm(8, 200).dead(5, 20, 200).unheard(5, 20).contact(5, 45, ContactState::Lost);
    let summary = judge(&story.record());
    only_fails(&summary, 5);
    assert_eq!(kinds(&summary, 5), [FindingKind::DiesUnderLoad]);
    assert!(summary.hosts[5].findings[0].text.contains("only its console can tell"));
}

#[test]
fn a_card_that_dies_while_another_one_reaches_its_host_is_proven_dead() {
    let mut record = Story::storm(8, 200).dead(5, 120, 200).record();
    for line in &mut record.lines {
        if let Body::Joined(joined) = &mut line.body {
            joined.control_in_band = Some(false);
        }
    }
    let summary = judge(&record);
    only_fails(&summary, 5);
    let text = &summary.hosts[5].findings[0].text;
    assert!(text.contains("ran on: its card, its link or its switch port is dead"), "{text}");
}

#[test]
fn silence_that_begins_long_after_the_load_and_ends_by_itself_is_an_outage() {
    let summary = judge(&Story::storm(8, 200).dead(2, 120, 150).record());
    only_fails(&summary, 2);
    assert_eq!(kinds(&summary, 2), [FindingKind::Outage]);
}

#[test]
fn a_silence_of_under_a_second_is_a_warning() {
    let summary = judge(&Story::storm(8, 200).dead(2, 120, 127).record());
    assert_eq!(verdicts(&summary), [Verdict::Pass; 8]);
    assert_eq!(summary.hosts[2].findings[0].severity, Severity::Warn);
}

#[test]
fn a_killed_worker_is_no_card() {
    let story = Story::storm(8, 200)
        .dead(1, 60, 200)
        .unheard(1, 60)
        .stream(1, 60, StreamEvent::Reset)
        .stream(1, 95, StreamEvent::Refused)
        .contact(1, 85, ContactState::Lost);
    let summary = judge(&story.record());
    assert_eq!(summary.hosts[1].verdict, Verdict::Inconclusive);
    assert_eq!(kinds(&summary, 1), [FindingKind::WorkerLost]);
    assert_eq!(summary.verdict, FleetVerdict::Inconclusive);
    assert!(
        summary.hosts.iter().enumerate().all(|(index, host)| index == 1 || host.verdict == Verdict::Pass)
    );
}

#[test]
fn control_that_was_lost_and_came_back_while_data_flowed_is_a_note() {
    let story = Story::storm(5, 200).contact(1, 60, ContactState::Lost).contact(1, 120, ContactState::Back);
    let summary = judge(&story.record());
    assert_eq!(summary.verdict, FleetVerdict::Healthy);
    assert_eq!(kinds(&summary, 1), [FindingKind::ControlLost]);
    assert_eq!(summary.hosts[1].findings[0].severity, Severity::Info);
}

#[test]
fn a_host_that_sent_nothing_for_want_of_a_lease_is_not_its_card() {
    // Its bulk data stops, and it goes on answering: by its worker's word, or where that never comes
    // by what is known of its control connection.
    let story = || Story::storm(8, 200).dead(1, 145, 180).contact(1, 65, ContactState::Lost);
    for story in [
        story().lapsed(1, 140, 180).contact(1, 180, ContactState::Back),
        story().contact(1, 180, ContactState::Back),
        Story::storm(8, 200).dead(1, 145, 200).contact(1, 65, ContactState::Lost),
    ] {
        let summary = judge(&story.record());
        assert_eq!(summary.hosts[1].verdict, Verdict::Inconclusive);
        assert_eq!(kinds(&summary, 1), [FindingKind::ControlLost]);
        assert!(summary.hosts[1].findings[0].text.contains("sent nothing once"), "{summary:?}");
    }
    // A card that takes its control connection with it is another thing, and so is one that died before
    // its lease ran out.
    let story = Story::storm(8, 200).dead(1, 60, 90).dead(1, 120, 200);
    let story =
        story.contact(1, 85, ContactState::Lost).contact(1, 199, ContactState::Back).lapsed(1, 170, 199);
    assert!(!kinds(&judge(&story.record()), 1).contains(&FindingKind::ControlLost));
    let story = Story::storm(8, 200).dead(1, 60, 200).contact(1, 85, ContactState::Lost);
    assert_eq!(judge(&story.record()).hosts[1].verdict, Verdict::Fail);
}

#[test]
fn a_frozen_worker_says_so_itself_when_it_runs_again() {
    let story = Story::storm(8, 200).dead(4, 60, 112).stalled(4, 60, 110);
    let summary = judge(&story.record());
    assert_eq!(summary.hosts[4].verdict, Verdict::Inconclusive);
    assert_eq!(kinds(&summary, 4), [FindingKind::WorkerFrozen]);
}

#[test]
fn a_worker_that_stops_for_moments_again_and_again_is_no_dying_card() {
    let moments = [20, 60, 100, 140];
    let dead = || moments.into_iter().fold(Story::storm(8, 200), |story, at| story.dead(4, at, at + 6));
    assert_eq!(judge(&dead().record()).hosts[4].verdict, Verdict::Fail);
    let frozen = moments.into_iter().fold(dead(), |story, at| story.stalled(4, at, at + 6));
    let summary = judge(&frozen.record());
    assert_eq!(summary.hosts[4].verdict, Verdict::Inconclusive);
    assert_eq!(kinds(&summary, 4), [FindingKind::WorkerFrozen]);
}

#[test]
fn a_sender_that_resets_its_streams_for_lack_of_consent_was_not_killed() {
    let story = Story::storm(8, 200).dead(3, 20, 60).dead(3, 75, 115).stream(3, 50, StreamEvent::Reset);
    assert_eq!(kinds(&judge(&story.record()), 3), [FindingKind::DiesUnderLoad]);
}

#[test]
fn a_lost_carrier_outranks_what_follows_from_it() {
    let down = LinkSeen { up: true, carrier: false, carrier_down: 1, ..LinkSeen::default() };
    let up = LinkSeen { carrier: true, carrier_down: 2, ..down };
    let again = LinkSeen { carrier_down: 2, ..down };
    let flap = Story::storm(8, 200)
        .dead(6, 20, 50)
        .dead(6, 65, 95)
        .link(6, 30, down)
        .link(6, 55, LinkSeen { carrier: true, ..down })
        .link(6, 70, again)
        .link(6, 190, up);
    let summary = judge(&flap.record());
    only_fails(&summary, 6);
    assert_eq!(kinds(&summary, 6), [FindingKind::LinkFlap]);
    assert_eq!(summary.hosts[6].findings[0].evidence, super::summary::Basis::Corroborated);
    let out = Story::storm(8, 200).dead(6, 60, 200).link(6, 70, down);
    assert_eq!(kinds(&judge(&out.record()), 6), [FindingKind::LinkDown]);
}

#[test]
fn a_carrier_that_was_gone_at_the_first_look_was_lost_once() {
    let gone = LinkSeen { up: true, carrier: false, ..LinkSeen::default() };
    let back = LinkSeen { carrier: true, ..gone };
    let later = |carrier_down| LinkSeen { carrier_down, ..back };
    let severity =
        |story: Story| judge(&story.record()).hosts[6].findings.first().map(|it| (it.kind, it.severity));
    let once = Story::storm(8, 200).link(6, 0, gone).link(6, 20, back);
    assert_eq!(severity(once), Some((FindingKind::LinkFlap, Severity::Warn)));
    let twice = Story::storm(8, 200).link(6, 0, gone).link(6, 20, back).link(6, 60, later(1));
    assert_eq!(severity(twice), Some((FindingKind::LinkFlap, Severity::Fail)));
    assert_eq!(severity(Story::storm(8, 200).link(6, 0, back).link(6, 60, back)), None);
}

#[test]
fn probes_tell_which_direction_died() {
    // h2 hears its peers all the while, and nothing of its own arrives.
    let story =
        Story::storm(8, 200).dead(2, 120, 200).probes_to(2, 150, 190, true).probes_from(2, 150, 190, false);
    let summary = judge(&story.record());
    assert_eq!(kinds(&summary, 2), [FindingKind::OneWayDead]);
    assert_eq!(summary.hosts[2].findings[0].direction, Some(Direction::Tx));
    let story =
        Story::storm(8, 200).dead(2, 120, 200).probes_to(2, 150, 190, false).probes_from(2, 150, 190, true);
    assert_eq!(judge(&story.record()).hosts[2].findings[0].direction, Some(Direction::Rx));
}

#[test]
fn a_partner_of_a_dead_host_is_explained_by_it() {
    let story = Story::pairs(8, 10).dead(0, 0, 70);
    let summary = judge(&story.record());
    only_fails(&summary, 0);
    for host in &summary.hosts[1..] {
        for drop_off in &host.drop_offs {
            assert_eq!(drop_off.explained_by.as_ref(), Some(&summary.hosts[0].host), "{}", host.host);
        }
    }
}

#[test]
fn one_silent_pair_is_a_path_and_nobody_s_card() {
    let story = Story::pairs(8, 30).dead_pair(1, 4);
    let summary = judge(&story.record());
    assert!(summary.hosts.iter().all(|host| host.verdict == Verdict::Pass), "{:?}", verdicts(&summary));
    assert_eq!(
        summary.fleet.findings.iter().map(|finding| finding.kind).collect::<Vec<_>>(),
        [FindingKind::Path]
    );
    assert_eq!(summary.verdict, FleetVerdict::Unhealthy);
}

#[test]
fn of_two_hosts_neither_is_blamed_without_a_sign_of_its_own() {
    let summary = judge(&Story::storm(2, 200).dead(0, 20, 60).dead(0, 80, 120).record());
    assert!(summary.hosts.iter().all(|host| host.verdict == Verdict::Inconclusive));
    assert_eq!(summary.fleet.findings[0].kind, FindingKind::Path);
    let told = Story::storm(2, 200).dead(0, 20, 60).dead(0, 75, 120).contact(0, 46, ContactState::Lost);
    only_fails(&judge(&told.contact(0, 62, ContactState::Back).record()), 0);
}

#[test]
fn fleets_of_three_to_five_name_the_host_that_lost_all_its_peers() {
    for hosts in 3..=5 {
        only_fails(&judge(&Story::storm(hosts, 200).dead(1, 20, 50).dead(1, 65, 95).record()), 1);
    }
}

#[test]
fn many_at_once_are_nobody_s_card() {
    let story = (0..6).fold(Story::storm(8, 200), |story, host| story.dead(host, 100, 120));
    let summary = judge(&story.record());
    assert!(summary.hosts.iter().all(|host| host.verdict != Verdict::Fail));
    assert!(summary.fleet.findings.iter().any(|finding| finding.kind == FindingKind::SharedCongestion));
}

#[test]
fn a_slow_card_is_found_by_pair_rounds_with_its_direction() {
    for hosts in [4, 5, 8] {
        let summary = judge(&Story::pairs_one_way(hosts, 10).slow(2, true, true, 0.5).record());
        only_fails(&summary, 2);
        assert_eq!(kinds(&summary, 2), [FindingKind::FailSlow], "{hosts} hosts");
        let summary = judge(&Story::pairs_one_way(hosts, 10).slow(2, true, false, 0.7).record());
        assert_eq!(summary.hosts[2].findings[0].direction, Some(Direction::Tx), "{hosts} hosts");
        let summary = judge(&Story::pairs_one_way(hosts, 10).slow(2, false, true, 0.7).record());
        assert_eq!(summary.hosts[2].findings[0].direction, Some(Direction::Rx), "{hosts} hosts");
    }
}

#[test]
fn cards_spread_over_ten_per_cent_are_all_healthy() {
    let story = (0..8).fold(Story::pairs_one_way(8, 10), |story, host| {
        story.slow(host, true, true, 0.95 + 0.0125 * f64::from(u16::try_from(host).expect("small")))
    });
    assert_eq!(judge(&story.record()).verdict, FleetVerdict::Healthy);
}

#[test]
fn what_was_not_measured_does_not_pass() {
    let summary = judge(&Story::storm(4, 200).unheard(2, 50).record());
    assert_eq!(summary.hosts[2].verdict, Verdict::Inconclusive);
    assert!(summary.hosts[2].reason.as_ref().is_some_and(|reason| reason.contains("measured")));
}

#[test]
fn a_host_that_never_came_is_in_the_summary() {
    let mut record = Story::storm(4, 50).record();
    record.opened.planned = 5;
    let summary = judge(&record);
    assert_eq!(
        summary.hosts.last().map(|host| (host.host.as_str(), host.verdict)),
        Some(("expected-1", Verdict::NotTested))
    );
    assert_eq!(summary.verdict, FleetVerdict::Inconclusive);
}

#[test]
fn the_live_fold_sees_what_the_judge_sees_within_a_second() {
    let record = Story::storm(8, 200).dead(3, 40, 70).record();
    let seen = story::live(&record);
    let fell_at = RunTime::of_slot(story::ZERO_SLOT + 40);
    let (told_at, host) = seen.first().copied().expect("a drop-off is told");
    assert_eq!(host, HostId(3));
    assert!(told_at.since(fell_at).as_millis() <= 1000, "{told_at} after {fell_at}");
}

#[test]
fn a_host_that_came_late_to_a_stage_is_judged_from_then_on() {
    let story = Story::storm(8, 200).dead(3, 0, 30).dead(3, 50, 80).dead(3, 100, 130).late(3);
    let summary = judge(&story.record());
    only_fails(&summary, 3);
    assert_eq!(summary.hosts[3].drop_offs.len(), 2, "what came before it was there is not its fall");
}

#[test]
fn what_a_host_could_not_do_is_why_it_was_not_measured() {
    let why = "300 files are needed and 256 are permitted";
    let summary = judge(&Story::storm(4, 100).unheard(1, 0).unable(1, why).record());
    let host = &summary.hosts[1];
    assert!(matches!(host.verdict, Verdict::Inconclusive | Verdict::NotTested), "{host:?}");
    assert!(host.reason.as_ref().is_some_and(|reason| reason.ends_with(why)), "{host:?}");
}

#[test]
fn traffic_of_others_before_calibration_is_told_and_little_of_it_is_not() {
    let busy = story::live_fold(&Story::calibration(4, 10).busy_before(2).record());
    let told: Vec<HostId> = busy.traffic_of_others().into_iter().map(|(host, _)| host).collect();
    assert_eq!(told, [HostId(2)]);
    assert!(story::live_fold(&Story::calibration(4, 10).record()).traffic_of_others().is_empty());
}

#[test]
fn whose_payload_is_corrupted_at_several_receivers_fails_in_that_direction() {
    let sends = Story::storm(8, 50).corrupt(3, 1, 20).corrupt(3, 5, 30);
    let summary = judge(&sends.record());
    only_fails(&summary, 3);
    let finding = &summary.hosts[3].findings[0];
    assert_eq!((finding.kind, finding.direction), (FindingKind::Corruption, Some(Direction::Tx)));
    assert!(finding.text.contains("at byte 4711 of stream 0"), "{}", finding.text);
    assert_eq!(summary.hosts[1].tested.verified_bytes, Some(1_000_000));
    let receives = Story::storm(8, 50).corrupt(1, 3, 20).corrupt(5, 3, 30).corrupt(6, 3, 30);
    let summary = judge(&receives.record());
    only_fails(&summary, 3);
    assert_eq!(summary.hosts[3].findings[0].direction, Some(Direction::Rx));
}

#[test]
fn one_changed_byte_between_two_hosts_fails_the_fleet_and_accuses_neither() {
    let summary = judge(&Story::storm(8, 50).corrupt(3, 1, 20).record());
    let [finding] = &summary.fleet.findings[..] else { panic!("{:#?}", summary.fleet.findings) };
    assert_eq!((finding.kind, finding.confirmed), (FindingKind::Corruption, Some(true)));
    assert_eq!(summary.verdict, FleetVerdict::Unhealthy);
    assert!(summary.hosts.iter().all(|host| host.verdict != Verdict::Fail));
}

#[test]
fn a_host_near_its_cpu_s_own_ceiling_is_told_and_passes() {
    let capacity = CAPACITY_BPS as u64;
    let story = Story::storm(8, 50).ceiling(2, capacity * 11 / 10).ceiling(4, capacity * 100);
    let summary = judge(&own_kernels(story.record()));
    assert_eq!(summary.verdict, FleetVerdict::Healthy);
    let kinds =
        |host: usize| summary.hosts[host].findings.iter().map(|f| (f.kind, f.severity)).collect::<Vec<_>>();
    assert_eq!(kinds(2), [(FindingKind::HostLimited, Severity::Info)]);
    assert_eq!(kinds(4), []);
}

#[test]
fn a_host_that_is_slow_for_a_weaker_cpu_is_no_slow_card() {
    let capacity = CAPACITY_BPS as u64;
    for (of_others, want) in [(4, Verdict::Inconclusive), (1, Verdict::Fail)] {
        let story = (0..8).fold(Story::pairs_one_way(8, 10).slow(2, true, true, 0.5), |story, host| {
            story.ceiling(host, if host == 2 { capacity * 11 / 20 } else { capacity / 2 * of_others })
        });
        let summary = judge(&own_kernels(story.record()));
        assert_eq!(summary.hosts[2].verdict, want, "the CPUs of the others carry {of_others} halves");
    }
}
