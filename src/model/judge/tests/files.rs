//! Stories of flows that move files: what is silence with good reason, and what is not.

use super::{
    super::{
        summary::{FindingKind, FleetVerdict, Severity, Verdict},
        verdict::judge,
    },
    kinds, only_fails,
    story::{self, Story, ZERO_SLOT},
};
use crate::model::{
    fleet::{
        host::HostId,
        units::{RunTime, SLOT_US},
    },
    plan::{carriage::Transport, layout::PlannedFlow},
    record::{
        book::Record,
        carried::{TcpFlow, TcpSeen},
        few::Few,
        file::{FileEnd, FileFault, FileLimit, FileOutcome, FileSeen},
        line::{Body, Line},
        probe::{Outcomes, ProbesSeen, TICK_US, TICKS_A_LINE},
    },
};

/// The story's stages move files, and the sources of these flows tell this of them.
fn told(story: &Story, slot: u64, such: impl Fn(&PlannedFlow) -> bool, seen: &FileSeen) -> Record {
    let mut record = story.record();
    let mut flows = Vec::new();
    for line in &mut record.lines {
        let Body::Stage(begun) = &mut line.body else { continue };
        for round in &mut begun.stage.rounds {
            round.dose.carriage.transport = Transport::Scp;
            flows.extend(round.flows.iter().copied().filter(&such));
        }
    }
    let at = RunTime::of_slot(ZERO_SLOT + slot);
    for flow in flows {
        let seen = FileSeen { flow: flow.flow, at, ..seen.clone() };
        // By the source, whose instance is its host's number and one.
        let i = flow.from.0 + 1;
        record.lines.push(Line { i, e: 1, q: 0, t: at, body: Body::File(Box::new(seen)) });
    }
    story::number(&mut record);
    record
}

fn seen(outcome: FileOutcome) -> FileSeen {
    FileSeen {
        flow: 0,
        end: FileEnd::Source,
        at: RunTime::default(),
        outcome,
        bytes: 1,
        fault: None,
        why: String::new(),
        matches: None,
        limited_by: None,
        disk_share: None,
        cpu_share: None,
        congestion_control: None,
    }
}

#[test]
fn the_silence_after_a_complete_file_is_no_drop_off() {
    let quiet = (0..6).fold(Story::storm(6, 200), |story, host| story.dead(host, 90, 200));
    let told = told(&quiet, 90, |_| true, &seen(FileOutcome::Complete));
    let summary = judge(&told);
    assert_eq!(summary.verdict, FleetVerdict::Healthy, "{:?}", summary.fleet.findings);
    assert!(summary.hosts.iter().all(|host| host.drop_offs.is_empty()));
    assert!(story::live(&told).is_empty(), "nor for whoever watches");
    assert_ne!(judge(&quiet.record()).verdict, FleetVerdict::Healthy, "without a word it is one");
}

#[test]
fn a_card_that_dies_before_its_files_are_through_fails() {
    let story = Story::storm(8, 200).dead(3, 20, 50).dead(3, 65, 95);
    let summary = judge(&told(&story, 180, |_| true, &seen(FileOutcome::Complete)));
    only_fails(&summary, 3);
    assert_eq!(kinds(&summary, 3), [FindingKind::DiesUnderLoad]);
}

/// All echoes and handshakes between hosts are answered, all along.
fn answered(story: Story, hosts: u16, slots: u64) -> Story {
    let ticks = RunTime::of_slot(ZERO_SLOT + slots).0 / TICK_US;
    (0..hosts).fold(story, |story, own| {
        (0..ticks).step_by(TICKS_A_LINE as usize).fold(story, |story, first| {
            let others = (0..hosts).filter(|other| *other != own).map(HostId);
            let udp: Few<HostId, Outcomes> =
                others.map(|other| (other, (0..TICKS_A_LINE).map(|_| Some(300)).collect())).collect();
            let seen = ProbesSeen { first, tcp: udp.clone(), udp, ..ProbesSeen::default() };
            let slot = (first * TICK_US / SLOT_US).saturating_sub(ZERO_SLOT);
            story.tells(own.into(), slot, Body::Probes(Box::new(seen)))
        })
    })
}

/// The connections of the first `of` flows that a host sends had so many timeouts in a row when it told of them.
fn timed_out(story: Story, (hosts, of): (u32, u32), host: u32, slot: u64, backoff: u8) -> Story {
    // A storm's flows are numbered from 1, by sender.
    let first = 1 + host * (hosts - 1);
    let flow = TcpFlow { segs: 3, retr: 3, backoff, ..TcpFlow::default() };
    let flows = (first..first + of).map(|id| (id, flow)).collect();
    story.tells(host as usize, slot, Body::Tcp(TcpSeen { flows }))
}

#[test]
fn files_that_stand_still_blame_their_processes_unless_connections_wait_for_an_answer() {
    let complete = seen(FileOutcome::Complete);
    for (name, share, waiting, want, verdict) in [
        ("ssh waits for a core", 0.0, 0, FindingKind::HostLimited, Verdict::Inconclusive),
        ("and one connection for an answer", 0.0, 1, FindingKind::HostLimited, Verdict::Inconclusive),
        ("some bulk data comes", 0.08, 7, FindingKind::HostLimited, Verdict::Inconclusive),
        ("the network swallows", 0.0, 7, FindingKind::MtuBlackHole, Verdict::Fail),
    ] {
        let story = answered(Story::storm(8, 200).trickles(3, 60, 110, share), 8, 200);
        let summary = judge(&told(&timed_out(story, (8, waiting), 3, 90, 4), 199, |_| true, &complete));
        assert_eq!(kinds(&summary, 3), [want], "{name}");
        assert_eq!(summary.hosts[3].verdict, verdict, "{name}");
        let others = summary.hosts.iter().enumerate().filter(|(host, _)| *host != 3);
        assert!(others.into_iter().all(|(_, host)| host.verdict == Verdict::Pass), "{name}");
    }
}

#[test]
fn bulk_data_that_trickles_while_small_packets_pass_is_a_collapse_and_no_black_hole() {
    for (name, trickle, want) in
        [("nothing", 0.0, FindingKind::MtuBlackHole), ("a twelfth", 0.08, FindingKind::Outage)]
    {
        let story = answered(Story::storm(8, 200).trickles(3, 60, 110, trickle), 8, 200);
        let summary = judge(&story.record());
        only_fails(&summary, 3);
        assert_eq!(kinds(&summary, 3), [want], "{name}");
    }
}

#[test]
fn a_transfer_that_takes_a_second_to_begin_has_not_fallen() {
    let late = (0..6).fold(Story::storm(6, 200), |story, host| story.dead(host, 0, 12));
    let summary = judge(&told(&late, 200, |_| false, &seen(FileOutcome::Complete)));
    assert!(summary.hosts.iter().all(|host| host.drop_offs.is_empty()));
    // Six seconds too, where it is the machine that starts so many.
    let busy = (0..6).fold(Story::storm(6, 200), |story, host| story.dead(host, 0, 55 + 5 * host as u64));
    let summary = judge(&told(&busy, 200, |_| false, &seen(FileOutcome::Complete)));
    assert!(summary.hosts.iter().all(|host| host.drop_offs.is_empty()));
    // One that never begins is silent all the same.
    let never = Story::storm(8, 200).dead(2, 0, 200);
    let summary = judge(&told(&never, 200, |_| false, &seen(FileOutcome::Complete)));
    assert_eq!(summary.hosts[2].verdict, Verdict::Fail);
}

#[test]
fn a_full_disk_is_told_and_accuses_no_card() {
    let quiet = Story::storm(6, 200).dead(2, 60, 200);
    let fault = FileSeen {
        fault: Some(FileFault::DiskFull),
        why: "no space left in /spool".to_owned(),
        ..seen(FileOutcome::Failed)
    };
    // Its sources tell of their own end; what it was to receive ends with its senders' word.
    let to_or_from = |flow: &PlannedFlow| flow.from.0 == 2 || flow.to.0 == 2;
    let summary = judge(&told(&quiet, 60, to_or_from, &fault));
    assert!(summary.hosts.iter().all(|host| host.verdict != Verdict::Fail), "{:?}", summary.hosts);
    assert_eq!(summary.hosts[2].verdict, Verdict::Inconclusive);
    assert_eq!(summary.hosts[2].reason.as_deref(), Some("transfer_failed"));
    let finding = &summary.hosts[2].findings[0];
    assert_eq!(finding.kind, FindingKind::TransferFailed);
    assert!(finding.text.contains("its disk is full") && finding.text.contains("/spool"), "{}", finding.text);
}

#[test]
fn a_slow_disk_is_a_note_and_no_slow_card() {
    let slow = Story::pairs_one_way(6, 30).slow(4, true, false, 0.5);
    let limit = FileSeen { limited_by: Some(FileLimit::Disk), ..seen(FileOutcome::GivenUp) };
    let summary = judge(&told(&slow, 29, |flow| flow.from.0 == 4, &limit));
    let notes: Vec<_> =
        summary.hosts[4].findings.iter().map(|finding| (finding.kind, finding.severity)).collect();
    assert_eq!(notes, [(FindingKind::HostLimited, Severity::Info)]);
    assert_eq!(kinds(&judge(&slow.record()), 4), [FindingKind::FailSlow], "without a word it is one");
}
