use super::*;
use crate::model::{
    judge::{
        loss, measured, rack,
        tests::field::{Field, losing},
    },
    record::{
        few::Few,
        line::{Body, DatagramFlow, DatagramsSent},
    },
};

const RATES: [u32; 4] = [3_000, 6_000, 12_000, 24_000];

/// Frames at four rates; what arrives of each pair's at each.
fn climbed(arrived: impl Fn(u16, u16, u32, u64) -> DatagramFlow) -> Field {
    let mut field = Field::of(8);
    for pps in RATES {
        field.frames(82, pps, 0.05, |from, to, sent| arrived(from, to, pps, sent));
    }
    field
}

/// What a socket had no room for, of what was delivered to it.
fn without_room(share: f64) -> impl Fn(u64) -> DatagramFlow {
    move |sent| {
        let told = losing(share)(sent);
        DatagramFlow { socket_drops: u64::try_from(told.missing).expect("some"), ..told }
    }
}

/// The highest rate that is told to be tested, and where the ladder ends.
fn told(field: &Field, host: u16) -> Option<(Option<f64>, f64)> {
    let finding = finding(&field.seen, HostId(host), false)?;
    assert_eq!((finding.kind, finding.severity), (FindingKind::HostLimited, Severity::Info));
    Some((finding.number("tested_pps"), finding.number("ends_at_pps").expect("always told")))
}

fn accused(field: &Field) -> Vec<u16> {
    let (crossings, paced) = rack::Crossings::of(&field.seen, &rack::Racks::of(&field.seen), &[]);
    loss::findings(&field.seen, &paced, &crossings).iter().map(|(host, _)| host.0).collect()
}

#[test]
fn a_socket_without_room_ends_the_ladder_of_its_host_alone() {
    let field = climbed(|_, to, pps, sent| match (to, pps) {
        (3, 12_000..) => without_room(0.02)(sent),
        _ => losing(0.0)(sent),
    });
    let near = |told: Option<(Option<f64>, f64)>, clean: f64, end: f64| {
        let (tested, ends_at) = told.expect("it ended");
        assert!(tested.is_some_and(|pps| (pps / clean - 1.0).abs() < 0.01), "{tested:?}");
        assert!((ends_at / end - 1.0).abs() < 0.01, "{ends_at}");
    };
    near(told(&field, 3), 6_000.0, 12_000.0);
    assert_eq!(told(&field, 2), None);
    let load = measured::Load::of(&field.seen, HostId(3));
    let tested = measured::tested(&field.seen, HostId(3), &load, &BTreeSet::new());
    assert!(tested.packet_rate_max_pps.is_some_and(|pps| pps.abs_diff(6_000) < 60), "{tested:?}");
    assert!(accused(&field).is_empty());
}

#[test]
fn above_the_end_of_its_ladder_no_loss_is_told_of_a_card_and_below_it_is() {
    let of = |ends_from: u32| {
        climbed(move |_, to, pps, sent| match (to, pps) {
            // The socket counts only a part of what is lost there.
            (3, 12_000..) if pps >= ends_from => {
                DatagramFlow { socket_drops: sent / 100, ..losing(0.1)(sent) }
            }
            (3, 12_000..) => losing(0.1)(sent),
            _ => losing(0.0)(sent),
        })
    };
    assert!(accused(&of(12_000)).is_empty(), "all that is lost lies above");
    assert_eq!(accused(&of(24_000)), [3], "12,000 a second lie below");
}

#[test]
fn what_the_sender_s_own_kernel_refuses_ends_its_ladder_and_a_handful_does_not() {
    for (refused, ends) in [(0, false), (1, false), (40, true)] {
        let mut field = climbed(|_, _, _, sent| losing(0.0)(sent));
        let last = field.seen.rounds.last().expect("some").by_host[&HostId(5)].tx.clone();
        let at = field.seen.latest;
        for flow in last {
            let told = DatagramsSent { sent: 0, refused };
            field.take(6, at, Body::DatagramsSent { flows: Few::from_iter([(flow, told)]) });
        }
        assert_eq!(told(&field, 5).is_some(), ends, "{refused} of each partner's");
    }
}

#[test]
fn a_host_that_never_kept_up_was_tested_at_no_rate() {
    let field = climbed(|_, to, _, sent| if to == 3 { without_room(0.1)(sent) } else { losing(0.0)(sent) });
    assert_eq!(told(&field, 3).map(|(tested, _)| tested), Some(None));
    let load = measured::Load::of(&field.seen, HostId(3));
    let tested = measured::tested(&field.seen, HostId(3), &load, &BTreeSet::new());
    assert_eq!(tested.packet_rate_max_pps, None);
}

#[test]
fn a_kernel_that_keeps_up_with_far_less_than_its_peers_keeps_a_host_from_passing() {
    let severity =
        |from_pps: u32, ends: fn(u16) -> bool, alone| {
            let field = climbed(|_, to, pps, sent| {
                if ends(to) && pps >= from_pps { without_room(0.05)(sent) } else { losing(0.0)(sent) }
            });
            finding(&field.seen, HostId(3), alone).expect("it ended").severity
        };
    let one: fn(u16) -> bool = |host| host == 3;
    assert_eq!(severity(12_000, one, true), Severity::Warn, "6,000 a second, and its peers 24,000");
    assert_eq!(severity(6_000, one, false), Severity::Info, "something else tells against it");
    assert_eq!(severity(12_000, |_| true, true), Severity::Info, "all are as slow");
}

#[test]
fn what_fills_a_link_or_comes_and_goes_is_no_end() {
    let mut field = climbed(|_, to, pps, sent| match (to, pps) {
        (3, 6_000 | 12_000) => without_room(0.1)(sent),
        _ => losing(0.0)(sent),
    });
    assert_eq!(told(&field, 3), None, "24,000 a second were no trouble");
    // 12,000 large frames a second are more than a card carries.
    field.frames(
        1514,
        12_000,
        0.05,
        |_, to, sent| {
            if to == 3 { without_room(0.5)(sent) } else { losing(0.0)(sent) }
        },
    );
    assert_eq!(told(&field, 3), None, "of the smallest frames alone");
}
