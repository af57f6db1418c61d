//! What parsers do with answers that are cut, odd or arbitrary; whole answers of real drivers
//! are tested from the recorded hosts of `tests/facts.rs`.

use proptest::prelude::*;

use super::{bytes::mac, *};

/// A message with its header.
fn message(kind: u16, body: &[u8]) -> Vec<u8> {
    let mut bytes = ((16 + body.len()) as u32).to_ne_bytes().to_vec();
    bytes.extend(kind.to_ne_bytes());
    bytes.extend([0; 10]);
    bytes.extend(body);
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    bytes
}

fn attribute(kind: u16, value: &[u8]) -> Vec<u8> {
    let mut bytes = ((4 + value.len()) as u16).to_ne_bytes().to_vec();
    bytes.extend(kind.to_ne_bytes());
    bytes.extend(value);
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    bytes
}

/// Body of an `ifinfomsg` with attributes.
fn link_body(index: u32, attributes: &[(u16, &[u8])]) -> Vec<u8> {
    let mut body = vec![0; 16];
    body[4..8].copy_from_slice(&index.to_ne_bytes());
    body[8..12].copy_from_slice(&1_u32.to_ne_bytes());
    body.extend(attributes.iter().flat_map(|(kind, value)| attribute(*kind, value)));
    body
}

/// A whole link of which one attribute can be left out.
fn a_link(without: Option<u16>, changes: u32, carrier: u8) -> Vec<u8> {
    let (mtu, stats) = (1500_u32.to_ne_bytes(), [1_u8; 23 * 8]);
    let changes = changes.to_ne_bytes();
    let all: [(u16, &[u8]); 7] = [
        (3, b"eth0\0"),
        (4, &mtu),
        (16, &[6]),
        (23, &stats),
        (33, std::slice::from_ref(&carrier)),
        (35, &changes),
        (1, &[2; 6]),
    ];
    let kept: Vec<_> = all.into_iter().filter(|(kind, _)| Some(*kind) != without).collect();
    message(route::NEW_LINK, &link_body(4, &kept))
}

#[test]
fn a_link_without_something_that_it_must_have_is_an_error() {
    let whole = link::link(&a_link(None, 1, 1)).expect("whole");
    assert_eq!((whole.facts.mtu, whole.counters["rx_bytes"]), (1500, 0x0101_0101_0101_0101));
    for (kind, what) in [
        (3, "IFLA_IFNAME"),
        (4, "IFLA_MTU"),
        (16, "IFLA_OPERSTATE"),
        (23, "IFLA_STATS64"),
        (33, "IFLA_CARRIER"),
        (35, "IFLA_CARRIER_DOWN_COUNT"),
    ] {
        let error = link::link(&a_link(Some(kind), 1, 1)).expect_err(what);
        assert_eq!(error, ReadError::lacks("RTM_NEWLINK", what));
    }
    let cut = message(route::NEW_LINK, &link_body(4, &[(23, &[0; 22 * 8]), (3, b"x\0"), (4, &[0; 4])]));
    assert_eq!(link::link(&cut).expect_err("cut"), ReadError::lacks("RTM_NEWLINK", "tx_compressed"));
}

#[test]
fn older_kernels_tell_how_often_the_carrier_changed_and_its_state_tells_the_rest() {
    for (changes, carrier, both) in
        [(0, 1, (0, 0)), (1, 1, (1, 0)), (1, 0, (0, 1)), (4, 1, (2, 2)), (5, 0, (2, 3)), (5, 1, (3, 2))]
    {
        let facts = link::link(&a_link(None, changes, carrier)).expect("whole").facts;
        assert_eq!((facts.carrier_up_count, facts.carrier_down_count), both, "{changes} {carrier}");
    }
}

#[test]
fn lower_links_are_those_of_a_bond_and_that_of_a_vlan_but_not_a_veth_s_far_end() {
    let three = 3_u32.to_ne_bytes();
    let nine = 9_u32.to_ne_bytes();
    let veth = attribute(1, b"veth\0");
    let mut dump = message(route::NEW_LINK, &link_body(3, &[(3, b"bond0\0")]));
    dump.extend(message(route::NEW_LINK, &link_body(5, &[(3, b"eth1\0"), (10, &three)])));
    dump.extend(message(route::NEW_LINK, &link_body(4, &[(3, b"eth0\0"), (10, &three)])));
    dump.extend(message(route::NEW_LINK, &link_body(7, &[(3, b"bond0.12\0"), (5, &three)])));
    dump.extend(message(route::NEW_LINK, &link_body(8, &[(3, b"v0\0"), (5, &nine), (18, &veth)])));
    dump.extend(message(route::NEW_LINK, &link_body(9, &[(3, b"v1\0"), (5, &three), (37, &three)])));
    let lower = |index| link::lower(&dump, index).expect("sound");
    assert_eq!(lower(3), ["eth0", "eth1"]);
    assert_eq!(lower(7), ["bond0"]);
    assert!(lower(8).is_empty() && lower(9).is_empty() && lower(77).is_empty());
}

#[test]
fn a_qdisc_s_older_form_is_read_too_and_one_without_counters_is_an_error() {
    let mut body = vec![0; 20];
    body[4] = 2;
    body[12..16].fill(0xff);
    let none = message(route::NEW_QDISC, &body);
    assert!(qdisc::qdisc(&none, 2).is_err());
    assert!(qdisc::qdisc(&none, 3).expect("another link's").is_empty());
    let stats: Vec<u8> =
        [0_u32, 0, 0, 17, 5, 0, 0, 3, 42].iter().flat_map(|word| word.to_ne_bytes()).collect();
    body.extend(attribute(3, &stats));
    let found = qdisc::qdisc(&message(route::NEW_QDISC, &body), 2).expect("sound");
    assert_eq!((found["drops"], found["overlimits"], found["qlen"], found["backlog"]), (17, 5, 3, 42));
    assert!(!found.contains_key("requeues"));
}

#[test]
fn statistics_need_as_many_values_as_names_and_names_given_twice_are_kept_apart() {
    let strings = |names: &[&str]| {
        let mut bytes: Vec<u8> =
            [0x1b_u32, 1, names.len() as u32].iter().flat_map(|word| word.to_ne_bytes()).collect();
        for name in names {
            let mut field = name.as_bytes().to_vec();
            field.resize(32, 0);
            bytes.extend(field);
        }
        bytes
    };
    let values = |values: &[u64]| {
        let mut bytes: Vec<u8> =
            [0x1d_u32, values.len() as u32].iter().flat_map(|word| word.to_ne_bytes()).collect();
        bytes.extend(values.iter().flat_map(|value| value.to_ne_bytes()));
        bytes
    };
    let stats =
        ethtool::stats(&strings(&["drops", "", "drops", "a\u{7}b"]), &values(&[1, 2, 3, 4])).expect("sound");
    assert_eq!(
        stats.iter().map(|(n, v)| (n.as_str(), *v)).collect::<Vec<_>>(),
        [("a?b", 4), ("drops", 1), ("drops#2", 3)]
    );
    assert!(ethtool::stats(&strings(&["drops"]), &values(&[1, 2])).is_err());
    let mut cut = values(&[1, 2]);
    cut.truncate(20);
    assert!(ethtool::stats(&strings(&["a", "b"]), &cut).is_err());
    assert!(ethtool::strings(&strings(&["a", "b"])[..60]).is_err());
}

#[test]
fn the_greatest_speed_is_unknown_where_a_link_mode_is_newer_than_the_table() {
    let answer = |mode: usize| {
        let mut bytes = vec![0; 48 + 3 * 4 * 4];
        bytes[15] = 4;
        bytes[48 + mode / 8] |= 1 << (mode % 8);
        bytes[48] |= 1 << 5;
        link_modes::link_settings(&bytes).expect("sound")
    };
    assert_eq!(answer(93).supported_max_bps, Some(800_000_000_000));
    assert_eq!(answer(6).supported_max_bps, Some(1_000_000_000));
    assert_eq!(answer(110).supported_max_bps, None);
    assert_eq!((answer(6).speed_bps, answer(6).advertised_max_bps), (None, None));
}

#[test]
fn tables_that_are_cut_lack_what_is_named() {
    let cut = "Tcp: RtoMin RetransSegs\nTcp: 200\n";
    assert_eq!(
        proc_net::protocols(cut).expect_err("cut").to_string(),
        "the kernel's table of protocol counters lacks Tcp.RetransSegs"
    );
    for text in ["", "Tcp: A\n", "Tcp: A\nUdp: 1\n", "Tcp\n", "Tcp: A\nTcp: -5\n", "Tcp: A\nTcp: x\n"] {
        assert!(proc_net::protocols(text).is_err(), "{text:?}");
    }
    for text in ["", "00000001 00000002\n", "00000001 00000002 zz\n"] {
        assert!(proc_net::softnet(text).is_err(), "{text:?}");
    }
    assert!(cpu::cores("cpu  1 2 3\nbtime 1\n").is_err());
    assert!(cpu::cores("cpu0 1 2 3 4 5 6 7\n").is_err(), "a kernel without steal");
    assert!(cpu::pressure("some avg10=0.00\n").is_err() && cpu::pressure("").is_err());
    assert!(interrupts::rows("no head\n").is_err() && interrupts::rows(" CPU0 CPU1\n 5: 1\n").is_err());
    assert!(pcie::aer_total("RxErr 0\n").is_err());
    assert!(machine::pretty_name("NAME=x\n").is_err() && machine::memory_bytes("MemTotal: 1\n").is_err());
    assert!(machine::one_line("boot id", "\n").is_err());
}

#[test]
fn lists_of_cores_are_counted() {
    assert_eq!(cpu::count("0-3,8\n"), Ok(5));
    assert_eq!(cpu::count("0"), Ok(1));
    for text in ["", "3-1", "a", "0-4294967295", "-"] {
        assert!(cpu::count(text).is_err(), "{text:?}");
    }
}

#[test]
fn interrupts_are_named_on_x86_arm_and_xen() {
    let text = "           CPU0       CPU1       \n 37:   0   5  PCI-MSIX-0000:00:03.0   1-edge      virtio2-input.0\n \
                38:   0   5  GICv3  37 Level     eth0, other\n 72:   0   5  xen-dyn    -event     eth0-q0-tx\n \
                73:   0   5  IO-APIC 9-fasteoi\nNMI:          0          0   Non-maskable interrupts\nERR:          0\n";
    let rows = interrupts::rows(text).expect("sound");
    let names: Vec<(u32, &str)> = rows.iter().map(|row| (row.irq, row.name.as_str())).collect();
    assert_eq!(names, [(37, "virtio2-input.0"), (38, "eth0, other"), (72, "eth0-q0-tx"), (73, "")]);
}

#[test]
fn a_pcie_device_that_does_not_answer_is_not_a_virtual_function() {
    let files = |speed, width| pcie::LinkFiles { speed, speed_max: "8.0 GT/s PCIe", width, width_max: "8" };
    assert_eq!(pcie::link(files("Unknown speed\n", "0\n")), Ok(None));
    assert!(pcie::link(files("Unknown\n", "63\n")).is_err());
    assert_eq!(pcie::link(files("5.0 GT/s PCIe\n", "4\n")).expect("sound").expect("a link").width, 4);
}

#[test]
fn what_dkms_builds_is_read_from_its_script() {
    let conf = "PACKAGE_NAME=\"ena\"\nPACKAGE_VERSION=2.1 # said\nBUILT_MODULE_NAME[0]=\"$PACKAGE_NAME\"\n  BUILT_MODULE_NAME[1]='${PACKAGE_NAME}_x'\nMAKE=\"make KERNEL=$kernelver\"\n";
    assert_eq!(dkms::builds(conf).expect("sound"), ["ena", "ena_x"]);
    assert_eq!(dkms::builds("PACKAGE_NAME=r8168\n").expect("sound"), ["r8168"]);
    assert!(dkms::builds("MAKE=make\n").is_err());
    let doubling: Vec<String> = (0..64).map(|n| format!("A{}=$A{n}$A{n}", n + 1)).collect();
    let doubling = doubling.join("\n");
    assert!(
        dkms::builds(&format!("A0=xxxxxxxx\n{doubling}\nBUILT_MODULE_NAME=$A64\n")).expect("bounded")[0]
            .len()
            < 10_000
    );
}

#[test]
fn a_module_is_found_by_its_name_whatever_its_packing_and_dashes() {
    let known =
        "updates/dkms/ena.ko.zst:\nkernel/x/xen-netfront.ko.xz: kernel/y.ko\nkernel/x/ena_extra.ko:\n";
    assert_eq!(machine::module_file(known, "xen_netfront").as_deref(), Some("kernel/x/xen-netfront.ko.xz"));
    assert_eq!(machine::module_file(known, "ena").as_deref(), Some("updates/dkms/ena.ko.zst"));
    assert_eq!(machine::module_file(known, "en"), None);
}

#[test]
fn an_address_is_written_as_the_tools_write_it() {
    assert_eq!(mac(&[2, 0xfc, 0, 0, 0, 1]).as_deref(), Some("02:fc:00:00:00:01"));
    assert_eq!(mac(&[]), None);
}

/// Gives everything to every parser: none may panic.
fn read_all(bytes: &[u8], other: &[u8]) {
    let _ = ethtool::drvinfo(bytes);
    let _ = ethtool::set_size(bytes);
    let _ = ethtool::strings(bytes);
    let _ = ethtool::stats(other, bytes);
    let _ = ethtool::features(other, bytes);
    let _ = ethtool::rings(bytes);
    let _ = ethtool::channels(bytes);
    let _ = ethtool::coalesce(bytes);
    let _ = ethtool::pause(bytes);
    let _ = link_modes::link_settings(bytes);
    let _ = link::link(bytes);
    let _ = link::seen(bytes);
    let _ = link::lower(bytes, 1);
    let _ = link::addresses(bytes, 1);
    let _ = neighbour::neighbours(bytes, 1);
    let _ = qdisc::qdisc(bytes, 1);
    let _ = modinfo::modinfo(bytes);
    let text = String::from_utf8_lossy(bytes);
    let _ = proc_net::protocols(&text);
    let _ = proc_net::softnet(&text);
    let _ = cpu::cores(&text);
    let _ = cpu::pressure(&text);
    let _ = cpu::count(&text);
    let _ = interrupts::rows(&text);
    let _ = pcie::aer_total(&text);
    let _ = pcie::link(pcie::LinkFiles { speed: &text, speed_max: &text, width: &text, width_max: &text });
    let _ = machine::pretty_name(&text);
    let _ = machine::memory_bytes(&text);
    let _ = machine::cores_allowed(&text);
    let _ = machine::module_file(&text, "ena");
    let _ = dkms::builds(&text);
}

proptest! {
    #[test]
    fn arbitrary_bytes_upset_no_parser(bytes in prop::collection::vec(any::<u8>(), 0..400), other in prop::collection::vec(any::<u8>(), 0..100)) {
        read_all(&bytes, &other);
    }

    #[test]
    fn arbitrary_text_of_the_kernel_s_letters_upsets_no_parser(text in "[A-Za-z0-9:=\\[\\]$.{}, \"\n-]{0,300}") {
        read_all(text.as_bytes(), text.as_bytes());
    }

    #[test]
    fn arbitrary_bytes_within_sound_messages_upset_no_parser(
        kind in prop::sample::select(vec![16_u16, 20, 28, 36]),
        head in prop::collection::vec(0_u8..3, 8..20),
        attrs in prop::collection::vec((0_u16..60, prop::collection::vec(any::<u8>(), 0..24)), 0..12),
    ) {
        let mut body = head;
        body.resize(20, 0);
        body.extend(attrs.iter().flat_map(|(kind, value)| attribute(*kind, value)));
        read_all(&message(kind, &body), &[]);
    }

    #[test]
    fn a_module_with_arbitrary_tables_upsets_no_parser(tail in prop::collection::vec(any::<u8>(), 58..300)) {
        let mut file = b"\x7fELF\x02\x01".to_vec();
        file.extend(tail);
        let _ = modinfo::modinfo(&file);
        // The table within the file, so that its entries are looked at.
        file[0x28..0x30].copy_from_slice(&64_u64.to_le_bytes());
        file[0x3a..0x3c].copy_from_slice(&64_u16.to_le_bytes());
        let _ = modinfo::modinfo(&file);
    }
}
