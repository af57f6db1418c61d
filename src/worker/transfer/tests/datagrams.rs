//! Datagrams and new connections over loopback, between two sets of carriers.

use super::*;
use crate::model::{
    plan::carriage::{FrameSize, Transport},
    record::line::{ConnectsFlow, DatagramFlow, DatagramsSent},
};

fn udp(streams: u16) -> Carriage {
    Carriage { transport: Transport::Udp, ..Carriage::tcp(streams) }
}

fn arrived(seen: &[Body]) -> DatagramFlow {
    let mut all = DatagramFlow::default();
    for body in seen {
        if let Body::Datagrams { flows } = body {
            flows.get(&FLOW).iter().for_each(|part| all.add(part));
        }
    }
    all
}

fn left(seen: &[Body]) -> DatagramsSent {
    let mut all = DatagramsSent::default();
    for body in seen {
        if let Body::DatagramsSent { flows } = body {
            flows.get(&FLOW).iter().for_each(|part| all.add(part));
        }
    }
    all
}

/// Runs a flow on two threads at each end. What its receiver and its source counted.
fn run(carriage: Carriage, rate_bps: Option<u64>, slots: u64) -> (End, End, DatagramFlow, DatagramsSent) {
    let (mut source, mut sink) = (End::with(no_caps(), 2), End::with(no_caps(), 2));
    let wanted = Wanted { carriage, rate_bps, slots, ..Wanted::default() };
    let zero = wanted.start(&source, &sink);
    wanted.finish(zero, &mut source, &mut sink);
    // The last second's counts come with the next beat.
    let second = Duration::from_millis(2_500);
    source.until(second, |seen| left(seen).sent > 0 && told_after_end(seen));
    sink.until(second, |seen| arrived(seen).received == left(&source.seen).sent || seen.len() > 4_000);
    let (arrived, left) = (arrived(&sink.seen), left(&source.seen));
    (source, sink, arrived, left)
}

/// Whether counts of datagrams were told after the flow had ended.
fn told_after_end(seen: &[Body]) -> bool {
    let ended = seen.iter().position(|body| matches!(body, Body::Sent { .. }));
    let told = seen.iter().rposition(|body| matches!(body, Body::DatagramsSent { .. }));
    ended.zip(told).is_some_and(|(ended, told)| told > ended)
}

#[test]
fn a_source_without_a_rate_is_held_by_its_receiver_and_loses_nothing() {
    let _turn = turn();
    let (_source, sink, arrived, left) = run(udp(2), None, 15);
    assert_eq!(arrived.received, left.sent, "{arrived:?} of {left:?}");
    assert_eq!((arrived.missing, arrived.duplicates, arrived.socket_drops), (0, 0, 0));
    assert!(received(&sink.seen) > 50_000_000, "{}", received(&sink.seen));
}

#[test]
fn a_paced_flow_of_datagrams_keeps_its_rate_and_loses_nothing() {
    let _turn = turn();
    let (_source, sink, arrived, left) = run(udp(1), Some(100_000_000), 30);
    assert_eq!(arrived.received, left.sent, "{arrived:?} of {left:?}");
    let slots: Vec<u64> = slots(&sink.seen).into_values().flatten().skip(5).take(20).collect();
    let share = slots.iter().sum::<u64>() as f64 / slots.len() as f64 / 1_250_000.0;
    assert!((0.90..=1.03).contains(&share), "{share} of the rate; {slots:?}");
}

#[test]
fn single_frames_of_the_smallest_size_leave_one_by_one_and_are_counted_whole() {
    let _turn = turn();
    let carriage = Carriage { frame_size_bytes: Some(FrameSize::Bytes(64)), ..udp(1) };
    // 20,000 frames a second.
    let (_source, sink, arrived, left) = run(carriage, Some(20_000 * 64 * 8), 20);
    assert_eq!(arrived.received, left.sent, "{arrived:?} of {left:?}");
    assert!((36_000..=41_000).contains(&left.sent), "{left:?}");
    assert_eq!(received(&sink.seen), arrived.received * 64);
}

#[test]
fn datagrams_are_verified_too() {
    let _turn = turn();
    for frame_size_bytes in [None, Some(FrameSize::Bytes(1514))] {
        let carriage = Carriage { frame_size_bytes, receive: ReceiveMode::Verify { one_in: 1 }, ..udp(1) };
        let (_source, mut sink, arrived, _) = run(carriage, Some(80_000_000), 10);
        sink.quit();
        let verified = verifying::verified(&sink.seen);
        assert_eq!(verified.bytes, arrived.received * 1452, "{arrived:?}");
        assert_eq!(verified.differing_bytes, 0);
    }
}

/// Passes datagrams on both ways, and does `meddle` to those of the caller.
fn relay(between: &UdpSocket, to: SocketAddr, meddle: impl Fn(u64, &mut [u8]) -> u32) {
    let onward = UdpSocket::bind("127.0.0.1:0").unwrap();
    onward.connect(to).unwrap();
    between.set_read_timeout(Some(Duration::from_millis(700))).unwrap();
    let mut room = vec![0; 65_536];
    let (length, caller) = between.recv_from(&mut room).unwrap();
    onward.send(&room[..length]).unwrap();
    let (back, answers) = (between.try_clone().unwrap(), onward.try_clone().unwrap());
    answers.set_read_timeout(Some(Duration::from_millis(700))).unwrap();
    let returning = std::thread::spawn(move || {
        let mut room = vec![0; 2_048];
        while let Ok(length) = answers.recv(&mut room) {
            back.send_to(&room[..length], caller).unwrap();
        }
    });
    let mut count = 0;
    while let Ok((length, _)) = between.recv_from(&mut room) {
        if length > HELLO_BYTES {
            count += 1;
            for _ in 0..meddle(count, &mut room[..length]) {
                onward.send(&room[..length]).unwrap();
            }
        } else {
            onward.send(&room[..length]).unwrap();
        }
    }
    returning.join().unwrap();
}

/// Runs single frames through a relay.
fn through(
    receive: ReceiveMode,
    meddle: impl Fn(u64, &mut [u8]) -> u32 + Send + 'static,
) -> (End, DatagramFlow) {
    let (mut source, mut sink) = (End::new(), End::new());
    let between = UdpSocket::bind("127.0.0.1:0").unwrap();
    let (at, to) = (between.local_addr().unwrap(), sink.addr);
    let relay = std::thread::spawn(move || relay(&between, to, meddle));
    let carriage = Carriage { frame_size_bytes: Some(FrameSize::Bytes(514)), receive, ..udp(1) };
    let wanted = Wanted { carriage, rate_bps: Some(514 * 8 * 5_000), slots: 10, ..Wanted::default() };
    let zero = RunTime::of_slot(source.shared.run_now().slot() + 7);
    sink.begin(wanted.stage(Role::Sink, source.addr), zero);
    source.begin(wanted.stage(Role::Source, at), zero);
    wanted.finish(zero, &mut source, &mut sink);
    relay.join().unwrap();
    sink.quit();
    source.until(Duration::from_secs(2), told_after_end);
    let mut all = arrived(&sink.seen);
    // What the thread had not told when it was quit is in the meter's last line.
    all.longest_gap = all.longest_gap.max(arrived(&sink.seen).longest_gap);
    (sink, all)
}

#[test]
fn exactly_the_datagrams_that_were_dropped_are_missing() {
    let _turn = turn();
    let (_sink, arrived) = through(ReceiveMode::Discard, |count, _| u32::from(!(100..107).contains(&count)));
    assert_eq!((arrived.missing, arrived.longest_gap, arrived.duplicates), (7, 7, 0), "{arrived:?}");
}

#[test]
fn what_comes_twice_is_counted_once_and_told() {
    let _turn = turn();
    let (_sink, arrived) = through(ReceiveMode::Discard, |count, _| if count % 100 == 0 { 2 } else { 1 });
    assert_eq!(arrived.missing, 0, "{arrived:?}");
    assert!((40..=50).contains(&arrived.duplicates), "{arrived:?}");
}

#[test]
fn one_flipped_byte_of_a_datagram_is_found() {
    let _turn = turn();
    let flip = |count: u64, bytes: &mut [u8]| {
        if count == 1_000 {
            bytes[300] ^= 4;
        }
        1
    };
    let (sink, _) = through(ReceiveMode::Verify { one_in: 1 }, flip);
    let corrupt = sink.seen.iter().find_map(|body| match body {
        Body::Corrupt(seen) => Some(seen.clone()),
        _ => None,
    });
    let corrupt = corrupt.expect("told");
    assert_eq!((corrupt.flow, corrupt.sent ^ corrupt.received), (FLOW, 4));
    assert_eq!(corrupt.offset % 472, 300);
}

#[test]
fn new_connections_are_made_at_their_rate_and_timed() {
    let _turn = turn();
    let (mut source, mut sink) = (End::with(no_caps(), 2), End::with(no_caps(), 2));
    let carriage = Carriage { connections_per_s: Some(200), ..Carriage::tcp(1) };
    let wanted = Wanted { carriage, rate_bps: None, slots: 25, ..Wanted::default() };
    let zero = wanted.start(&source, &sink);
    wanted.finish(zero, &mut source, &mut sink);
    source.quit();
    let mut all = ConnectsFlow::default();
    for body in &source.seen {
        let Body::Connects { flows } = body else { continue };
        let part = &flows[&FLOW];
        all.tried += part.tried;
        all.done += part.done;
        assert_eq!((part.refused, part.timed_out, part.unreachable, part.held), (0, 0, 0, 0), "{part:?}");
        assert!(part.took_us.is_none_or(|took| took[0] > 0 && took[0] <= took[2]), "{part:?}");
    }
    assert!((380..=505).contains(&all.done), "{all:?}");
    assert_eq!(events(&sink.seen), [], "connections that end are as planned");
    assert!(received(&sink.seen) >= 380 * HELLO_BYTES as u64);
}
