use super::*;
use crate::model::{
    fleet::units::BitRate,
    judge::tests::field::{Field, dose},
    plan::{
        carriage::{Carriage, FrameSize, Transport},
        dose::{Pattern, Rate},
    },
};

/// A card that carries this in bulk, and a fiftieth of it in the smallest frames.
const FAST_BPS: f64 = 25e9;

/// Who falls where six fast hosts send small frames as fast as they go, and one of them stops in
/// the middle; with or without having counted before how many they carry.
fn fallen(counted: bool, stops: Option<u16>) -> BTreeSet<u16> {
    let mut field = Field::of(6);
    let capacity = Some(BitRate::from_bps(FAST_BPS as u64));
    let frames = Some((FAST_BPS / 50.0 / 8.0 / 64.0) as u32);
    field.seen.calibrated((0..6).map(|id| (HostId(id), (capacity, capacity))).collect());
    if counted {
        field.seen.frames_calibrated((0..6).map(|id| (HostId(id), (frames, frames))).collect());
    }
    let pairs = [(0, 1), (2, 3), (4, 5), (1, 0), (3, 2), (5, 4)];
    let bulk = dose(Pattern::Pairs, Rate::Unpaced, Carriage::tcp(2));
    let small = Carriage {
        transport: Transport::Udp,
        frame_size_bytes: Some(FrameSize::Bytes(64)),
        ..Carriage::tcp(1)
    };
    let small = dose(Pattern::Pairs, Rate::Unpaced, small);
    let flows = field.round(StageKind::Load, bulk, 3.0, &pairs, None);
    field.carried(&flows, |_, _, _| FAST_BPS);
    let flows = field.round(StageKind::Calibrate, small, 3.0, &pairs, None);
    field.carried(&flows, |from, to, slot| {
        if slot >= 10 && [Some(from), Some(to)].contains(&stops) { 0.0 } else { FAST_BPS / 50.0 }
    });
    all(&field.seen).into_iter().map(|fall| fall.host.0).collect()
}

#[test]
fn small_frames_are_held_against_small_frames() {
    assert_eq!(fallen(true, None), BTreeSet::new(), "a fiftieth of its bulk rate is what a card carries");
    assert_eq!(fallen(true, Some(2)), BTreeSet::from([2, 3]), "who stops falls, and its partner");
    assert_eq!(fallen(false, None), BTreeSet::new(), "not counted before: no level, no fall");
}

#[test]
fn what_a_process_carries_is_no_fall_of_a_fast_card() {
    let told = |bps: f64| {
        let mut field = Field::of(6);
        let capacity = Some(BitRate::from_bps(100_000_000_000));
        field.seen.calibrated((0..6).map(|id| (HostId(id), (capacity, capacity))).collect());
        let quic = Carriage { transport: Transport::Quic, ..Carriage::tcp(1) };
        let mesh = field.mesh();
        let storm = |carriage: Carriage| dose(Pattern::Storm, Rate::Unpaced, carriage);
        let flows = field.round(StageKind::Load, storm(Carriage::tcp(2)), 3.0, &mesh, None);
        field.carried(&flows, |_, _, _| 20e9);
        let flows = field.round(StageKind::Load, storm(quic), 3.0, &mesh, None);
        field.carried(&flows, |from, _, slot| if from == 4 && slot >= 10 { bps } else { 500e6 });
        all(&field.seen).into_iter().map(|fall| (fall.host.0, fall.direction)).collect::<Vec<_>>()
    };
    assert!(told(500e6).is_empty(), "a fortieth of what it carried before");
    assert_eq!(told(0.0), [(4, Direction::Tx)], "silence is one");
}

/// A sick one met the same partner in the last two rounds of pairs, and all meet all in the next.
#[test]
fn who_is_met_only_as_a_fall_ends_had_no_part_in_it() {
    let peers = |slow_to_begin: u64| {
        let mut field = Field::of(6);
        let mesh = field.mesh();
        let of = |pattern| dose(pattern, Rate::Unpaced, Carriage::tcp(2));
        let flows = field.round(StageKind::Load, of(Pattern::Storm), 3.0, &mesh, None);
        field.carried(&flows, |_, _, _| 16e6);
        for pairs in [[(2, 5), (0, 1), (3, 4)], [(5, 2), (1, 0), (4, 3)]] {
            let flows = field.round(StageKind::Load, of(Pattern::Pairs), 1.5, &pairs, None);
            field.carried(&flows, |from, to, _| if from == 5 || to == 5 { 0.0 } else { 80e6 });
        }
        let flows = field.round(StageKind::Load, of(Pattern::Storm), 3.0, &mesh, None);
        field.carried(&flows, |_, _, slot| if slot < slow_to_begin { 0.0 } else { 16e6 });
        let falls = of_host(&field.seen, HostId(2));
        falls.into_iter().flat_map(|fall| fall.peers).map(|peer| peer.0).collect::<BTreeSet<u16>>()
    };
    assert_eq!(peers(2), BTreeSet::from([5]), "connections of the next round take a moment");
    assert_eq!(peers(10), BTreeSet::from([0, 1, 3, 4, 5]), "for a second nothing came of anybody");
}
