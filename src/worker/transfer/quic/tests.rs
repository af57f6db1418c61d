//! QUIC flows over loopback between two ends made by hand, and the offer's text.

use std::{sync::atomic::Ordering, time::Duration};

use proptest::prelude::*;

use super::*;
use crate::{
    model::{
        fleet::units::{RunTime, SLOT_US},
        plan::carriage::{Carriage, ReceiveMode, Transport},
        record::line::{Body, StreamEvent},
        run::message::Role,
    },
    worker::transfer::{
        Command,
        tests::{End, Wanted, events, received, sent, slots, turn, verifying::verified},
    },
};

fn quic(streams: u16) -> Wanted {
    let carriage = Carriage { transport: Transport::Quic, ..Carriage::tcp(streams) };
    Wanted { carriage, slots: 15, ..Wanted::default() }
}

proptest! {
    #[test]
    fn an_offer_reads_as_it_was_written(port: u16, fingerprint: [u8; 32]) {
        let offer = Offer { port, fingerprint };
        prop_assert_eq!(Offer::read(&offer.text()), Some(offer));
    }

    #[test]
    fn what_is_no_offer_is_none(text in ".{0,100}") {
        prop_assert_eq!(Offer::read(&text), None);
        prop_assert_eq!(Offer::read(&format!("quic/1 7441 {text}")), None);
    }
}

#[test]
fn datagrams_fit_the_way_and_keep_quic_s_bounds() {
    assert_eq!(datagram_bytes(1500, true), 1472);
    assert_eq!(datagram_bytes(1500, false), 1452);
    assert_eq!(datagram_bytes(9000, true), DATAGRAM_MAX_BYTES);
    assert_eq!(datagram_bytes(65_536, true), DATAGRAM_MAX_BYTES);
    assert_eq!(datagram_bytes(576, true), DATAGRAM_MIN_BYTES);
}

#[test]
fn a_paced_source_has_little_under_way() {
    assert_eq!(send_window_bytes(None), SEND_WINDOW_BYTES);
    assert_eq!(send_window_bytes(Some(1_000_000)), PACED_WINDOW_MIN_BYTES);
    assert_eq!(send_window_bytes(Some(100_000_000)), 625_000);
    assert_eq!(send_window_bytes(Some(u64::MAX)), SEND_WINDOW_BYTES);
}

#[test]
fn bytes_arrive_as_they_were_sent_and_all_is_told() {
    let _turn = turn();
    let (mut source, mut sink) = (End::new(), End::new());
    let receive = ReceiveMode::Verify { one_in: 1 };
    let carriage = Carriage { receive, ..quic(3).carriage };
    let wanted = Wanted { rate_bps: None, carriage, ..quic(3) };
    let zero = wanted.start(&source, &sink);
    wanted.finish(zero, &mut source, &mut sink);
    let (sent, received) = (sent(&source.seen).unwrap(), received(&sink.seen));
    assert!(received > 5_000_000 && received <= sent, "{received} received of {sent}");
    let verified = verified(&sink.seen);
    assert!(verified.bytes > received / 4, "{verified:?} of {received}");
    assert_eq!(verified.differing_bytes, 0);
    assert!(!sink.seen.iter().any(|body| matches!(body, Body::Corrupt(_))));
    assert_eq!(events(&source.seen), [StreamEvent::Flowing; 3]);
    for end in [&source, &sink] {
        let told = end.seen.iter().find_map(|body| match body {
            Body::Quic(seen) => Some(**seen),
            _ => None,
        });
        let told = told.expect("each end tells its connection");
        assert!(told.socket_drops.is_some() && told.receive_buffer_bytes > 0, "{told:?}");
        assert!(told.datagram_bytes > DATAGRAM_MIN_BYTES, "{told:?}");
    }
}

#[test]
fn a_paced_flow_keeps_its_rate() {
    let _turn = turn();
    let (mut source, mut sink) = (End::new(), End::new());
    let wanted = Wanted { slots: 30, ..quic(2) };
    let zero = wanted.start(&source, &sink);
    wanted.finish(zero, &mut source, &mut sink);
    let slots = slots(&sink.seen);
    let middle: Vec<u64> =
        slots.range(zero.slot() + 10..zero.slot() + 30).filter_map(|(_, bytes)| *bytes).collect();
    assert!(middle.len() >= 15, "{slots:?}");
    let share = middle.iter().sum::<u64>() as f64 / middle.len() as f64 / 500_000.0;
    assert!((0.95..=1.05).contains(&share), "{share} of the rate; {slots:?}");
}

#[test]
fn who_holds_another_key_counts_for_nothing() {
    let _turn = turn();
    let (mut source, mut sink) = (End::new(), End::new());
    let wanted = quic(2);
    let zero = RunTime::of_slot(source.shared.run_now().slot() + 7);
    sink.begin(wanted.stage(Role::Sink, source.addr), zero);
    let stranger = Wanted { key: "b", ..quic(2) };
    source.begin(stranger.stage(Role::Source, sink.addr), zero);
    wanted.finish(zero, &mut source, &mut sink);
    assert_eq!((sent(&source.seen), received(&sink.seen)), (Some(0), 0));
    assert!(slots(&sink.seen).values().any(Option::is_some), "it counted, and found nothing");
    let events = events(&source.seen);
    assert!(!events.is_empty() && !events.contains(&StreamEvent::Flowing), "{events:?}");
}

#[test]
fn without_a_lease_nothing_is_sent() {
    let _turn = turn();
    let (mut source, mut sink) = (End::new(), End::new());
    source.shared.lease_until_us.store(0, Ordering::Relaxed);
    let wanted = quic(2);
    let zero = wanted.start(&source, &sink);
    wanted.finish(zero, &mut source, &mut sink);
    assert_eq!((sent(&source.seen), received(&sink.seen)), (Some(0), 0));
    assert!(events(&source.seen).is_empty(), "it did not even ask");
}

#[test]
fn a_stop_ends_the_sending_at_once() {
    let _turn = turn();
    let (mut source, mut sink) = (End::new(), End::new());
    let wanted = Wanted { rate_bps: None, slots: 300, ..quic(2) };
    wanted.start(&source, &sink);
    sink.until(Duration::from_secs(6), |seen| received(seen) > 0);
    source.tell(&Command::Stop);
    let stopped = source.shared.run_now();
    source.until(Duration::from_secs(1), |seen| sent(seen).is_some());
    sink.until(Duration::from_secs(4), |seen| slots(seen).contains_key(&(stopped.slot() + 12)));
    // The first slot that begins 200 ms or more after the stop.
    let quiet = (stopped.0 + 200_000).div_ceil(SLOT_US);
    let slots = slots(&sink.seen);
    let after: Vec<_> = slots.range(quiet..).filter_map(|(_, bytes)| *bytes).collect();
    assert!(after.len() > 3 && after.iter().all(|bytes| *bytes == 0), "from {quiet} on: {slots:?}");
}

#[test]
fn a_sink_that_goes_away_is_told_and_asked_for_again_until_the_end() {
    let _turn = turn();
    let (mut source, mut sink) = (End::new(), End::new());
    let wanted = Wanted { slots: 40, ..quic(1) };
    wanted.start(&source, &sink);
    sink.until(Duration::from_secs(6), |seen| received(seen) > 0);
    sink.quit();
    let gone = |events: &[StreamEvent]| events.contains(&StreamEvent::Refused);
    source.until(Duration::from_secs(5), |seen| gone(&events(seen)));
    source.until(Duration::from_secs(5), |seen| sent(seen).is_some());
    let events = events(&source.seen);
    assert_eq!(events[0], StreamEvent::Flowing);
    assert_eq!(events[1], StreamEvent::Reset, "its process ended the connection: {events:?}");
}

#[test]
fn the_threads_that_carry_it_count_while_they_do() {
    let _turn = turn();
    let (mut source, mut sink) = (End::new(), End::new());
    let threads = |end: &End| end.shared.threads.lock().unwrap().len();
    let wanted = quic(2);
    let zero = wanted.start(&source, &sink);
    sink.until(Duration::from_secs(6), |seen| received(seen) > 0);
    assert_eq!((threads(&source), threads(&sink)), (2, 2), "a carrier and the one beside it");
    wanted.finish(zero, &mut source, &mut sink);
    let limit = std::time::Instant::now() + Duration::from_secs(2);
    while threads(&source) + threads(&sink) > 2 {
        assert!(std::time::Instant::now() < limit, "they are still counted");
        std::thread::yield_now();
    }
}
