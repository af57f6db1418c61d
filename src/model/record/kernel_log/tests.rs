//! Lines as kernels and drivers print them, and any bytes at all.

use proptest::prelude::*;

use super::*;

fn ena() -> Card {
    Card { iface: "eth0".into(), driver: Some("ena".into()), bus: Some("0000:00:05.0".into()) }
}

fn card(iface: &str, driver: &str, bus: &str) -> Card {
    Card { iface: iface.into(), driver: Some(driver.into()), bus: Some(bus.into()) }
}

#[test]
fn a_record_is_read_with_its_escapes_and_without_its_keys() {
    let bytes =
        b"30,1234,98765432,-;eth0: caf\\xc3\\xa9 \\x5cx41 a\\x09b\\x1b[31m\n SUBSYSTEM=net\n DEVICE=n2\n";
    let record = parse(bytes).expect("sound");
    assert_eq!((record.facility, record.level, record.seq, record.at_us), (3, 6, 1234, 98_765_432));
    assert_eq!(record.text, "eth0: café \\x41 a b\u{fffd}[31m");
    // Newer kernels add fields before the text.
    assert_eq!(parse(b"3,7,8,-,caller=T12;x").expect("sound").level, 3);
}

#[test]
fn what_is_missing_is_an_error_and_no_zero() {
    assert_eq!(parse(b"6,1,2,-"), Err(KmsgError::NoText));
    assert_eq!(parse(b";x"), Err(KmsgError::Lacks("priority")));
    assert_eq!(parse(b"6;x"), Err(KmsgError::Lacks("sequence number")));
    assert_eq!(parse(b"6,1,now,-;x"), Err(KmsgError::Lacks("time")));
}

#[test]
fn a_long_text_is_cut_between_characters() {
    let text = clean(&"é".repeat(400));
    assert_eq!(text.len(), TEXT_MAX_BYTES);
    assert!(text.chars().all(|c| c == 'é'));
}

/// Each line with the card it is of, and what it means.
#[rustfmt::skip]
fn golden() -> Vec<(Card, &'static str, Meaning)> {
    use Meaning::*;
    let ixgbe = || card("enp3s0", "ixgbe", "0000:03:00.0");
    let i40e = || card("eth0", "i40e", "0000:03:00.0");
    let ice = || card("ens801f0np0", "ice", "0000:b1:00.0");
    let mlx5 = || card("enp8s0f1", "mlx5_core", "0000:08:00.1");
    let bnxt = || card("eno1np0", "bnxt_en", "0000:18:00.0");
    let igb = || card("eth2", "igb", "0000:09:00.0");
    let virtio = || card("eth0", "virtio_net", "0000:00:03.0");
    let xen = || card("eth0", "vif", "vif-0");
    vec![
        (igb(), "NETDEV WATCHDOG: eth2 (igb): transmit queue 4 timed out", QueueStuck),
        (ena(), "ena 0000:00:05.0 eth0: NETDEV WATCHDOG: CPU: 3: transmit queue 2 timed out 5120 ms", QueueStuck),
        (card("eth0", "8139too", ""), "NETDEV WATCHDOG: eth0: transmit timed out", QueueStuck),
        (ixgbe(), "ixgbe 0000:03:00.0 enp3s0: Detected Tx Unit Hang", QueueStuck),
        (ixgbe(), "ixgbe 0000:03:00.0 enp3s0: initiating reset due to tx timeout", CardReset),
        (ixgbe(), "ixgbe 0000:03:00.0 enp3s0: Reset adapter", CardReset),
        (ixgbe(), "ixgbe 0000:03:00.0 enp3s0: NIC Link is Up 10 Gbps, Flow Control: RX/TX", CarrierUp),
        (ixgbe(), "ixgbe 0000:03:00.0 enp3s0: NIC Link is Down", CarrierDown),
        (i40e(), "i40e 0000:03:00.0 eth0: tx_timeout: VSI_seid: 390, Q 0, NTC: 0x697, HWB: 0x78c, NTU: 0x78c", QueueStuck),
        (i40e(), "i40e 0000:03:00.0 eth0: tx_timeout recovery level 1, txqueue 0", CardReset),
        (ice(), "ice 0000:b1:00.0 ens801f0np0: tx_timeout: VSI_num: 6, Q 14, NTC: 0x0, HW_HEAD: 0x0", QueueStuck),
        (ice(), "ice 0000:b1:00.0: Malicious Driver Detection event 2 on TX queue 5 PF# 0 VF# 0", CardReset),
        (mlx5(), "mlx5_core 0000:08:00.1 enp8s0f1: TX timeout detected", QueueStuck),
        (mlx5(), "mlx5_core 0000:08:00.1 enp8s0f1: TX timeout on queue: 1, SQ: 0x11ec, CQ: 0x146d, SQ Cons: 0x0", QueueStuck),
        (mlx5(), "mlx5_core 0000:08:00.1: poll_health:739:(pid 0): device's health compromised - reached miss count", Firmware),
        (mlx5(), "mlx5_core 0000:08:00.1 enp8s0f1: Link down", CarrierDown),
        (mlx5(), "mlx5_core 0000:08:00.1 enp8s0f1: Link up", CarrierUp),
        (bnxt(), "bnxt_en 0000:18:00.0 eno1np0: TX timeout detected, starting reset task!", QueueStuck),
        (bnxt(), "bnxt_en 0000:18:00.0 eno1np0: Error (timeout: 500015) msg {0x41 0x1e3} len:0", Firmware),
        (bnxt(), "bnxt_en 0000:18:00.0 eno1np0: NIC Link is Up, 25000 Mbps full duplex, Flow control: none", CarrierUp),
        (igb(), "igb 0000:09:00.0 eth2: igb: eth2 NIC Link is Up 1000 Mbps Full Duplex, Flow Control: RX", CarrierUp),
        (igb(), "igb 0000:09:00.0: AER: PCIe Bus Error: severity=Uncorrected (Non-Fatal), type=Transaction Layer, (Requester ID)", BusError),
        (igb(), "pcieport 0000:00:01.1: AER: Uncorrected (Non-Fatal) error received: 0000:09:00.0", BusError),
        (igb(), "pcieport 0000:00:1c.4: AER: Multiple Corrected error received: 0000:09:00.0", BusCorrected),
        (igb(), "igb 0000:09:00.0 eth2: PCIe link lost", BusError),
        (virtio(), "virtio_net virtio0 eth0: TX timeout on queue: 0, sq: output.0, vq: 0x1, name: output.0, 5376000 usecs ago", QueueStuck),
        (ena(), "ena 0000:00:05.0 eth0: Found a Tx that wasn't completed on time, qid 3, index 219. 5300 usecs have passed since last napi execution. Missing Tx timeout value 5000 msecs", CompletionsLate),
        (ena(), "ena 0000:00:05.0 eth0: The number of lost tx completions is above the threshold (129 > 128). Reset the device", CompletionsLate),
        (ena(), "ena 0000:00:05.0 eth0: Keep alive watchdog timeout.", Firmware),
        (xen(), "xen_netfront: xennet: skb rides the rocket: 19 slots", TooManyPieces),
        (xen(), "xennet: skb rides the rocket: 19 slots, 65226 bytes", TooManyPieces),
        (ena(), "eth0: hw csum failure", ChecksumWrong),
        (mlx5(), "mlx5_core 0000:08:00.1: swiotlb buffer is full (sz: 8388608 bytes), total 32768 (slots), used 0 (slots)", NoBuffers),
        (mlx5(), "mlx5_core 0000:08:00.1: AMD-Vi: Event logged [IO_PAGE_FAULT domain=0x0037 address=0x7b657064 flags=0x0000]", BusError),
        (ena(), "neighbour: arp_cache: neighbor table overflow!", NeighboursFull),
        (ena(), "nf_conntrack: nf_conntrack: table full, dropping packet", ConnectionsFull),
        (ena(), "nf_conntrack: table full in netns 4026531840, dropping packet", ConnectionsFull),
        (ena(), "IPv6: eth0: IPv6 duplicate address fe80::1 used by 02:00:00:00:00:01 detected!", AddressTwice),
        (ena(), "IPv4: martian source 10.0.0.1 from 10.0.0.2, on dev eth0", Martian),
        (ena(), "dhclient[812]: No DHCPOFFERS received.", AddressLost),
        (ena(), "watchdog: BUG: soft lockup - CPU#3 stuck for 26s! [ksoftirqd/3:30]", CoreStuck),
        (ena(), "rcu: INFO: rcu_preempt self-detected stall on CPU", CoreStuck),
        (ena(), "rcu: INFO: rcu_sched detected stalls on CPUs/tasks:", CoreStuck),
        (ena(), "Out of memory: Killed process 1234 (nicburn-worker) total-vm:1kB", OutOfMemory),
    ]
}

#[test]
fn every_known_form_is_understood_on_its_own_card() {
    for (card, text, meaning) in golden() {
        let known = known_of(text, &card);
        assert_eq!(known.map(|known| known.meaning), Some(meaning), "{text}: {:?}", concerns(text, &card));
    }
}

#[test]
fn a_line_about_another_card_is_not_this_card_s() {
    for text in [
        "ena 0000:00:06.0 eth1: Keep alive watchdog timeout.",
        "ena 0000:00:06.0: Trigger reset is on",
        "NETDEV WATCHDOG: eth1 (igb): transmit queue 4 timed out",
        "mlx5_core 0000:08:00.1 enp8s0f1: Link down",
        "eth01: hw csum failure",
        "eth0.100: hw csum failure",
        "xennet: skb rides the rocket: 19 slots",
        "pcieport 0000:00:1c.4: AER: Corrected error received: 0000:09:00.0",
    ] {
        assert!(known_of(text, &ena()).is_none(), "{text}: {:?}", concerns(text, &ena()));
        assert!(!is_relevant(ERROR, text, &ena()), "{text}");
    }
    // A card whose place on the bus could not be read claims no line by place.
    let unread = Card { bus: None, ..ena() };
    assert_eq!(concerns("ena 0000:00:05.0: Trigger reset is on", &unread), Concerns::AnotherCard);
}

#[test]
fn an_unknown_error_of_the_card_s_driver_is_shown_and_a_notice_is_not() {
    let text = "ena 0000:00:05.0 eth0: something never seen before";
    assert!(classify(text).is_none());
    assert!(is_relevant(ERROR, text, &ena()) && !is_relevant(6, text, &ena()));
    assert!(!is_relevant(0, "EXT4-fs (sda1): error count: 5", &ena()));
}

#[test]
fn a_link_s_speed_is_read_where_the_line_tells_it() {
    for (text, bps) in [
        ("NIC Link is Up 10 Gbps, Flow Control: RX/TX", Some(10_000_000_000)),
        ("NIC Link is Up, 25Gbps Full Duplex, Requested FEC: None", Some(25_000_000_000)),
        ("Link is Up - 1Gbps/Full - flow control off", Some(1_000_000_000)),
        ("Link is Up - 2.5Gbps/Full - flow control rx/tx", Some(2_500_000_000)),
        ("Link is up at 100 Mbps, full duplex", Some(100_000_000)),
        ("NIC Link is Down", None),
        ("Gbps", None),
        ("99999999999999999999 Gbps", None),
    ] {
        assert_eq!(speed_bps(text), bps, "{text}");
    }
}

#[test]
fn the_table_is_in_lower_case_sourced_and_has_no_dead_row() {
    for (place, known) in KNOWN.iter().enumerate() {
        assert_eq!(known.pattern, known.pattern.to_ascii_lowercase());
        assert!(!known.source.is_empty() && !known.says.is_empty(), "{}", known.pattern);
        let typical = known.pattern.replace('*', "x");
        let taken = KNOWN.iter().position(|other| fits(other.pattern, &typical));
        assert_eq!(taken, Some(place), "`{}` is swallowed by an earlier row", known.pattern);
    }
}

proptest! {
    #[test]
    fn any_bytes_are_a_record_or_an_error(bytes in proptest::collection::vec(any::<u8>(), 0..700)) {
        if let Ok(record) = parse(&bytes) {
            prop_assert!(record.text.len() <= TEXT_MAX_BYTES && record.level <= 7);
            prop_assert!(!record.text.chars().any(char::is_control));
        }
    }

    #[test]
    fn any_text_has_a_prefix_that_reads_back(text in "\\PC{0,200}", level in 0u8..8) {
        let record = parse(format!("{level},1,2,-;{}", text.replace('\\', "\\x5c")).as_bytes()).expect("sound");
        prop_assert_eq!(record.text, clean(&text));
    }

    #[test]
    fn any_text_is_classified_without_a_panic(text in any::<String>(), iface in any::<String>(), bus in any::<String>()) {
        let card = Card { iface, driver: Some("ena".into()), bus: Some(bus) };
        let _ = (is_relevant(3, &text, &card), concerns(&text, &card), speed_bps(&text));
    }
}
