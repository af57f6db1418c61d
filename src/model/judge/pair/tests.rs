//! Records of a few lines, and what they come to.

use std::sync::Arc;

use super::*;
use crate::model::{
    fleet::units::BitRate,
    plan::{
        dose::{Dose, Pattern, Ways},
        layout::{PlannedFlow, PlannedStage},
    },
    record::{
        few::Few,
        line::{HostSeen, Joined, Samples, SlotCounts, StageBegun, TcpSeen},
        slot_bytes::SlotBytes,
    },
};

const CUT: Cut = Cut { interval_s: 1, omit_s: 1 };

fn line(i: u16, t_us: u64, body: Body) -> Line {
    Line { i, e: 1, q: 0, t: RunTime(t_us), body }
}

/// A flow from host 0 to host 1 that begins at 10 s and runs 3 s, one of them omitted.
fn fold(rate: Rate) -> Fold {
    let carriage = Carriage::tcp(2);
    let dose = Dose { pattern: Pattern::Pairs, ways: Ways::OneWay, rate, carriage };
    let flows = vec![PlannedFlow { flow: 1, from: HostId(0), to: HostId(1) }];
    let round = PlannedRound { offset_us: 0, for_us: 3_000_000, dose, flows };
    let stage =
        PlannedStage { index: 1, name: "pair".to_owned(), rounds: vec![round], ..PlannedStage::default() };
    let begun = StageBegun { stage, at: RunTime(10_000_000), rates: BTreeMap::new() };
    let mut fold = Fold::new(CUT);
    for host in [0, 1] {
        fold.feed(&line(0, 0, joined(host)));
    }
    fold.feed(&line(0, 9_000_000, Body::Stage(Box::new(begun))));
    fold
}

fn joined(host: u16) -> Body {
    Body::Joined(Box::new(Joined {
        instance: host + 1,
        host: HostId(host),
        instance_id: String::new(),
        boot_id: String::new(),
        kernel: String::new(),
        cores: 2,
        congestion_control: String::new(),
        control_in_band: None,
    }))
}

/// `count` slots from `s` on, of `bytes` each.
fn samples(fold: &mut Fold, s: u64, count: usize, bytes: Option<u64>) {
    let samples = Samples {
        s,
        rx: Few::from_iter([(1, SlotCounts::from_elem(bytes.map(SlotBytes::new), count))]),
        ..Samples::default()
    };
    fold.feed(&line(2, (s + count as u64) * SLOT_US, Body::Samples(samples)));
}

fn tcp(fold: &mut Fold, second: u64, part: TcpFlow) {
    let body = Body::Tcp(TcpSeen { flows: Few::from_iter([(1, part)]) });
    fold.feed(&line(1, second * 1_000_000 + 1_000_000, body));
}

fn cpu(fold: &mut Fold, host: u16, second: u64, share: f32) {
    let body = Body::Host(Arc::new(HostSeen { threads: Some((share, 0.0)), ..HostSeen::default() }));
    fold.feed(&line(host + 1, second * 1_000_000 + 1_000_000, body));
}

#[test]
fn intervals_come_once_when_complete_and_without_what_is_omitted() {
    let mut fold = fold(Rate::Unpaced);
    samples(&mut fold, 100, 20, Some(1_000_000));
    assert_eq!(fold.ready(false), [], "the lines of its last second may still come");
    samples(&mut fold, 120, 15, Some(2_000_000));
    let ready = fold.ready(false);
    let [(0, first)] = &ready[..] else { panic!("{ready:?}") };
    assert_eq!((first.from_s, first.to_s), (0, 1), "counted from the end of what is omitted");
    assert_eq!((first.bytes, first.goodput_bps), (Some(10_000_000), Some(80_000_000)));
    assert_eq!((first.retransmits, first.sender_cpu_share, first.limited_by), (None, None, None));
    assert_eq!(fold.ready(false), []);
    samples(&mut fold, 135, 2, Some(2_000_000));
    assert_eq!(fold.ready(false), []);
    assert_eq!(fold.ready(true).len(), 1, "the last one, and nothing beyond the round");
    let report = fold.report().expect("it was begun");
    assert_eq!(report.ways[0].intervals.len(), 2);
    assert_eq!(report.ways[0].total.bytes, Some(30_000_000));
}

#[test]
fn slots_that_were_not_measured_are_no_zeros() {
    let mut fold = fold(Rate::Unpaced);
    samples(&mut fold, 110, 10, None);
    samples(&mut fold, 120, 10, Some(1_000_000));
    let report = fold.report().expect("it was begun");
    let way = &report.ways[0];
    assert_eq!(way.intervals[0].goodput_bps, None);
    assert_eq!((way.total.bytes, way.total.goodput_bps), (None, Some(80_000_000)));
}

#[test]
fn the_host_is_named_before_the_way() {
    let retransmits = TcpFlow { segs: 1000, retr: 50, busy_us: 1_000_000, ..TcpFlow::default() };
    let limited = |rate: Rate, share: (f32, f32), part: TcpFlow| {
        let mut fold = fold(rate);
        samples(&mut fold, 110, 20, Some(1_000_000));
        for second in [11, 12] {
            tcp(&mut fold, second, part);
            cpu(&mut fold, 0, second, share.0);
            cpu(&mut fold, 1, second, share.1);
        }
        fold.report().expect("it was begun").ways[0].total.limited_by
    };
    let rate = Rate::Bps(BitRate::from_mbps(80));
    assert_eq!(limited(rate, (0.99, 0.0), retransmits), Some(Limit::Rate));
    assert_eq!(limited(Rate::Unpaced, (0.99, 0.99), retransmits), Some(Limit::SenderCpu));
    assert_eq!(limited(Rate::Unpaced, (0.3, 0.99), retransmits), Some(Limit::ReceiverCpu));
    assert_eq!(limited(Rate::Unpaced, (0.3, 0.3), retransmits), Some(Limit::Loss));
    let window = TcpFlow { rwnd_us: 900_000, busy_us: 1_000_000, ..TcpFlow::default() };
    assert_eq!(limited(Rate::Unpaced, (0.3, 0.3), window), Some(Limit::ReceiveWindow));
    let buffer = TcpFlow { sndbuf_us: 900_000, busy_us: 1_000_000, ..TcpFlow::default() };
    assert_eq!(limited(Rate::Unpaced, (0.3, 0.3), buffer), Some(Limit::SendBuffer));
    assert_eq!(limited(Rate::Unpaced, (0.3, 0.3), TcpFlow::default()), None);
}
