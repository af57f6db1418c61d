use super::*;
use crate::model::{
    judge::{summary::Direction, tests::field::Field},
    record::line::DatagramFlow,
};

const SIZES: [u16; 5] = [82, 512, 1024, 1280, 1514];

/// What is found where these frames do not pass.
fn found(
    lost: impl Fn(u16, u16, u16) -> bool,
    odd_mtu: Option<(usize, u32)>,
) -> Vec<(u16, FindingKind, Option<Direction>, f64)> {
    let mut field = Field::of(8);
    if let Some((host, mtu)) = odd_mtu {
        field.seen.hosts[host].nic.mtu = Some(mtu);
    }
    for size in SIZES {
        field.frames(size, 3_000, 0.05, |from, to, sent| {
            let received = if lost(from, to, size) { 0 } else { sent };
            DatagramFlow { received, ..DatagramFlow::default() }
        });
    }
    findings(&field.seen, &Racks::of(&field.seen))
        .hosts
        .into_iter()
        .map(|(host, finding)| {
            let number = ["frame_lost_bytes", "mtu_bytes"].iter().find_map(|name| finding.number(name));
            (host.0, finding.kind, finding.direction, number.unwrap_or(0.0))
        })
        .collect()
}

#[test]
fn a_hole_is_found_with_its_side_and_the_size_from_which_on_it_swallows() {
    use FindingKind::{MtuBlackHole, MtuMismatch};
    assert_eq!(found(|_, _, _| false, None), []);
    assert_eq!(
        found(|from, _, size| from == 2 && size > 1100, None),
        [(2, MtuBlackHole, Some(Direction::Tx), 1280.0)]
    );
    assert_eq!(
        found(|from, to, size| (from == 2 || to == 2) && size > 1400, None),
        [(2, MtuBlackHole, Some(Direction::Both), 1514.0)]
    );
    assert_eq!(
        found(|_, to, size| to == 6 && size > 1400, Some((6, 1400))),
        [(6, MtuMismatch, Some(Direction::Rx), 1400.0)]
    );
}

#[test]
fn silence_of_every_size_or_of_one_in_the_middle_is_no_hole() {
    assert_eq!(found(|from, _, _| from == 2, None), [], "nothing passes: it is dead, not a hole");
    assert_eq!(found(|from, _, size| from == 2 && size == 512, None), [], "larger ones pass");
    assert_eq!(found(|from, to, size| (from, to) == (1, 2) && size > 1400, None), [], "a single pair");
    assert_eq!(found(|_, _, size| size > 1400, None), [], "nobody's frames pass: the switch's limit");
}

#[test]
fn a_fall_that_outlasts_the_silence_that_began_it_is_no_hole() {
    for (name, silent, want) in [
        ("echoes pass all along", 0..0, Some(FindingKind::MtuBlackHole)),
        ("silent for a second", 12..17, None),
    ] {
        let mut field = Field::of(5);
        field.idle(StageKind::Load, 10, |a, b, tick| {
            (![a, b].contains(&1) || !silent.contains(&tick)).then_some(100)
        });
        let round = &field.seen.rounds[0];
        let fall = Fall {
            host: HostId(1),
            direction: Direction::Both,
            since: round.start,
            until: Some(round.end),
            round: 0,
            peers: [0, 2, 3, 4].map(HostId).into(),
            offered_bps: None,
            depth: 1.0,
        };
        assert_eq!(claim(&field.seen, &fall), want, "{name}");
    }
}
