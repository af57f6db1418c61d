use super::*;

/// A frame with a UDP header after 34 bytes, a payload that counts, and a finished checksum
/// over all from there on.
fn frame(length: usize) -> Vec<u8> {
    let mut frame = vec![0_u8; VNET_BYTES + length];
    for (at, byte) in frame[VNET_BYTES + 42..].iter_mut().enumerate() {
        *byte = at as u8;
    }
    frame[0] = NEEDS_CSUM;
    frame[6..8].copy_from_slice(&34_u16.to_ne_bytes());
    frame[8..10].copy_from_slice(&6_u16.to_ne_bytes());
    frame
}

fn finished(length: usize) -> Vec<u8> {
    let mut frame = frame(length);
    let (header, body) = frame.split_at_mut(VNET_BYTES);
    finish_checksum(header, body);
    frame
}

/// What a receiver sums up; 0xffff where nothing was changed.
fn sum(frame: &[u8]) -> u32 {
    let mut sum: u32 = frame[VNET_BYTES + 34..]
        .chunks(2)
        .map(|pair| u32::from(u16::from_be_bytes([pair[0], pair.get(1).copied().unwrap_or(0)])))
        .sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    sum
}

fn changed(treatment: Treatment, frame: Vec<u8>, seed: u64) -> Vec<u8> {
    let mut cable = Cable::new(Treatment { corrupt_share: 1.0, ..treatment }, seed);
    assert!(cable.take(0, frame));
    cable.due(0).expect("it is due at once")
}

#[test]
fn a_checksum_that_is_finished_here_is_right() {
    assert_eq!(sum(&finished(300)), 0xffff);
    assert_eq!(finished(301)[0], 0, "and nobody finishes it again");
}

#[test]
fn a_silent_change_passes_every_checksum_and_a_caught_one_none() {
    for seed in 0..200 {
        for length in [128, 300, 1514] {
            let before = finished(length);
            let silent = changed(Treatment::default(), before.clone(), seed);
            assert_ne!(silent, before, "seed {seed}: something is changed");
            assert_eq!(sum(&silent), 0xffff, "seed {seed}: and the sum is the same");
            assert_eq!(silent[..VNET_BYTES + 62], before[..VNET_BYTES + 62], "no header is touched");
            let caught = changed(Treatment { caught: true, ..Treatment::default() }, frame(length), seed);
            assert_ne!(sum(&caught), 0xffff, "seed {seed}: a receiver sees it");
        }
    }
}

#[test]
fn what_is_too_short_to_be_data_is_not_changed() {
    let before = finished(100);
    assert_eq!(changed(Treatment::default(), before.clone(), 1), before);
}

#[test]
fn jitter_keeps_the_order_and_its_bounds() {
    let treatment = Treatment { delay_us: 1000, jitter_us: 500, ..Treatment::default() };
    let mut cable = Cable::new(treatment, 7);
    for at in 0..100 {
        assert!(cable.take(at * 10, vec![at as u8; 20]));
    }
    let mut out = Vec::new();
    let mut now = 0;
    while let Some(next) = cable.next_us() {
        assert!(next >= now, "never back in time");
        now = next;
        let frame = cable.due(now).expect("it is due");
        assert!((1000..=2500).contains(&(now - u64::from(frame[0]) * 10)), "{now}");
        out.push(frame[0]);
    }
    assert_eq!(out, (0..100).collect::<Vec<u8>>());
}

#[test]
fn a_stall_holds_all_until_its_end_and_loses_nothing() {
    let treatment = Treatment { stall_every_us: 1_000_000, stall_us: 200_000, ..Treatment::default() };
    let mut cable = Cable::new(treatment, 7);
    for (at, want) in
        [(2_000_000, 2_200_000), (2_150_000, 2_200_000), (2_200_000, 2_200_000), (2_500_000, 2_500_000)]
    {
        assert!(cable.take(at, vec![0; 20]));
        assert_eq!(cable.held.back().expect("held").0, want, "taken at {at}");
    }
}

#[test]
fn a_cable_holds_no_more_than_its_bound() {
    let mut cable = Cable::new(Treatment { delay_us: 1_000_000, ..Treatment::default() }, 7);
    let held = (0..HELD_MAX + 10).filter(|_| cable.take(0, vec![0; 20])).count();
    assert_eq!(held, HELD_MAX);
}
