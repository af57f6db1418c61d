//! What arrives is what was sent, by every layout; and one flipped bit is found.

use super::*;

pub(in super::super) fn verified(seen: &[Body]) -> VerifiedFlow {
    let mut all = VerifiedFlow::default();
    for body in seen {
        if let Body::Verified { flows } = body {
            flows.get(&FLOW).iter().for_each(|part| all.add(part));
        }
    }
    all
}

#[test]
fn every_layout_arrives_as_it_was_sent_on_any_number_of_threads() {
    let _turn = turn();
    for layout in BufferLayout::ALL {
        let (mut source, mut sink) = (End::with(no_caps(), 2), End::with(no_caps(), 2));
        let receive = ReceiveMode::Verify { one_in: 1 };
        let carriage = Carriage { layout, receive, ..Carriage::tcp(3) };
        let wanted = Wanted { rate_bps: None, carriage, slots: 15, ..Wanted::default() };
        let zero = wanted.start(&source, &sink);
        wanted.finish(zero, &mut source, &mut sink);
        let (sent, received) = (sent(&source.seen).unwrap(), received(&sink.seen));
        assert!(received <= sent, "{layout:?}: {received} received of {sent}");
        assert!(received > 10_000_000, "{layout:?}: {received}");
        let verified = verified(&sink.seen);
        assert!(verified.bytes > received / 4, "{layout:?}: {verified:?} of {received}");
        assert_eq!(verified.differing_bytes, 0, "{layout:?}");
        assert!(!sink.seen.iter().any(|body| matches!(body, Body::Corrupt(_))), "{layout:?}");
    }
}

/// Passes one connection on and flips a bit of the byte at `position` of what its caller
/// sends after the hello.
fn flip(listener: &TcpListener, to: SocketAddr, position: usize) {
    let mut from = listener.accept().unwrap().0;
    let mut to = TcpStream::connect(to).unwrap();
    let (mut back, mut answers) = (from.try_clone().unwrap(), to.try_clone().unwrap());
    std::thread::spawn(move || std::io::copy(&mut answers, &mut back));
    let mut hello = [0; HELLO_BYTES];
    from.read_exact(&mut hello).unwrap();
    to.write_all(&hello).unwrap();
    let (mut seen, mut room) = (0, vec![0; 65_536]);
    while let Ok(length @ 1..) = from.read(&mut room) {
        if (seen..seen + length).contains(&position) {
            room[position - seen] ^= 0x10;
        }
        seen += length;
        if to.write_all(&room[..length]).is_err() {
            return;
        }
    }
}

#[test]
fn one_flipped_byte_is_told_with_its_offset_and_its_flow() {
    let _turn = turn();
    let (mut source, mut sink) = (End::new(), End::new());
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let (between, to) = (listener.local_addr().unwrap(), sink.addr);
    let carriage = Carriage { receive: ReceiveMode::Verify { one_in: 1 }, ..Carriage::tcp(1) };
    let wanted = Wanted { carriage, ..Wanted::default() };
    let proxy = std::thread::spawn(move || flip(&listener, to, 1_234_567));
    let zero = RunTime::of_slot(source.shared.run_now().slot() + 7);
    sink.begin(wanted.stage(Role::Sink, source.addr), zero);
    source.begin(wanted.stage(Role::Source, between), zero);
    wanted.finish(zero, &mut source, &mut sink);
    let told: Vec<&CorruptSeen> = sink
        .seen
        .iter()
        .filter_map(|body| if let Body::Corrupt(seen) = body { Some(seen) } else { None })
        .collect();
    let [corrupt] = told[..] else { panic!("{told:?}") };
    assert_eq!((corrupt.flow, corrupt.stream, corrupt.offset, corrupt.bytes), (FLOW, 0, 1_234_567, 1));
    assert_eq!(corrupt.sent ^ corrupt.received, 0x10);
    assert_eq!(verified(&sink.seen).differing_bytes, 1);
    drop((source, sink));
    proxy.join().unwrap();
}
