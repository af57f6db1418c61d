//! What the readers tell of a host: of recorded hosts the golden texts, of this machine's own
//! card what `ethtool` and `ip` tell, line by line.
//!
//! The recorded hosts lie in `fixtures/hosts`, made by `make.py` there. The live half needs
//! `ethtool` and `ip`, which `.ci/run` installs, and a card with a driver: it fails without.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    process::Command,
};

use nicburn::{
    model::record::{
        facts::{Asked, HostFacts},
        moved::fit,
    },
    worker::host::{HostReader, asking::FACTS_BYTES_MAX},
};

fn recorded(name: &str) -> HostFacts {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/hosts").join(name);
    HostReader::recorded(&root).expect("a recorded host").facts(Asked::Start)
}

/// The facts as JSON, with short objects and lists on one line: a golden text to be read.
fn golden(facts: &HostFacts) -> String {
    fn write(value: &serde_json::Value, indent: usize, out: &mut String) {
        let short = value.to_string();
        let nested = match value {
            serde_json::Value::Object(map) if short.len() > 100 => {
                map.iter().map(|(key, value)| (format!("{key:?}: "), value)).collect::<Vec<_>>()
            }
            serde_json::Value::Array(list) if short.len() > 100 => {
                list.iter().map(|value| (String::new(), value)).collect()
            }
            _ => return out.push_str(&short),
        };
        let (open, close) = if value.is_array() { ("[\n", ']') } else { ("{\n", '}') };
        out.push_str(open);
        for (key, value) in nested {
            out.push_str(&" ".repeat(indent + 1));
            out.push_str(&key);
            write(value, indent + 1, out);
            out.push('\n');
        }
        out.push_str(&" ".repeat(indent));
        out.push(close);
    }
    let mut text = String::new();
    write(&serde_json::to_value(facts).expect("facts are JSON"), 0, &mut text);
    text
}

macro_rules! golden_tests {
    ($($test:ident: $host:literal,)*) => {
        $(
            #[test]
            fn $test() {
                insta::assert_snapshot!($host, golden(&recorded($host)));
            }
        )*

        #[test]
        fn every_recorded_host_fits_on_a_line_and_reads_back() {
            for name in [$($host),*] {
                let mut facts = recorded(name);
                // Told where they change, and whole with the card.
                facts.counters.neighbours.clear();
                let whole = facts.clone();
                fit(&mut facts, FACTS_BYTES_MAX);
                assert_eq!(facts, whole, "{name} is cut");
                let text = serde_json::to_string(&facts).expect("JSON");
                assert_eq!(serde_json::from_str::<HostFacts>(&text).expect("reads back"), facts, "{name}");
            }
        }
    };
}

golden_tests! {
    an_ena_of_before_its_version_was_dropped: "ena-1.0.2",
    an_ena_of_today: "ena-5.15",
    an_ixgbevf_from_dkms: "ixgbevf-2.16.4",
    a_host_that_fell_back_to_xen_netfront: "xen-netfront",
    a_mlx5_on_half_its_pcie_lanes: "mlx5_core",
    a_bnxt_that_advertises_less_than_it_can: "bnxt_en",
    an_ice: "ice",
    a_virtio_net_built_into_the_kernel: "virtio_net",
}

#[test]
fn another_namespace_s_card_of_the_same_name_is_not_taken_for_ours() {
    // The same name under another index, as sysfs of the outer namespace shows it in a lab.
    let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/hosts/ixgbevf-2.16.4");
    let root = tempfile::tempdir().expect("a folder");
    copy(&from, root.path());
    std::fs::write(root.path().join("sys/class/net/eth0/ifindex"), "7\n").expect("written");
    // A bus of which sysfs shows no such device.
    std::fs::remove_dir_all(root.path().join("sys/bus/pci/devices/0000:00:03.0")).expect("removed");
    let facts = HostReader::recorded(root.path()).expect("a recorded host").facts(Asked::Start);
    let why = Some("sysfs shows another network namespace");
    assert_eq!((facts.card.pcie.unread(), facts.card.interrupts.unread()), (why, why));
    assert_eq!(facts.counters.unread.get("pcie").map(String::as_str), why);
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("a folder");
    for entry in std::fs::read_dir(from).expect("readable") {
        let entry = entry.expect("an entry");
        let target = to.join(entry.file_name());
        if entry.path().is_symlink() {
            let link = std::fs::read_link(entry.path()).expect("a link");
            std::os::unix::fs::symlink(link, target).expect("linked");
        } else if entry.path().is_dir() {
            copy(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).expect("copied");
        }
    }
}

// -- this machine's own card

/// What a program prints; that it is missing is a failure.
fn printed(program: &str, args: &[&str]) -> String {
    let hint = || format!("{program} is needed here: apt-get install ethtool iproute2");
    let paths = ["/usr/sbin", "/sbin", "/usr/bin", "/bin"];
    let path = paths.iter().map(|dir| PathBuf::from(dir).join(program)).find(|path| path.exists());
    let output = Command::new(path.unwrap_or_else(|| panic!("{}", hint()))).args(args).output();
    let output = output.unwrap_or_else(|error| panic!("{}: {error}", hint()));
    assert!(output.status.success(), "{program} {args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("text")
}

/// The first interface that is up and has a device behind it.
fn own_card() -> (String, u32) {
    let entries = std::fs::read_dir("/sys/class/net").expect("sysfs");
    let mut names: Vec<String> = entries.flatten().filter_map(|e| e.file_name().into_string().ok()).collect();
    names.sort();
    let is_card = |name: &String| {
        let file = |file: &str| format!("/sys/class/net/{name}/{file}");
        Path::new(&file("device")).exists()
            && std::fs::read_to_string(file("operstate")).is_ok_and(|state| state.trim() == "up")
    };
    let name = names.into_iter().find(is_card).expect("a card that is up and has a driver is needed here");
    let index = std::fs::read_to_string(format!("/sys/class/net/{name}/ifindex")).expect("its index");
    (name, index.trim().parse().expect("a number"))
}

fn own_facts() -> (String, HostReader, HostFacts) {
    let (name, index) = own_card();
    let reader = HostReader::live(&name, index).expect("sockets");
    let facts = reader.facts(Asked::Start);
    (name, reader, facts)
}

/// `name: value` lines, indented ones too.
fn pairs(text: &str) -> BTreeMap<String, String> {
    let pair = |line: &str| {
        let (name, value) = line.rsplit_once(": ").or_else(|| line.rsplit_once(':'))?;
        Some((name.trim().to_owned(), value.trim().to_owned()))
    };
    text.lines().filter_map(pair).collect()
}

#[test]
fn the_driver_is_as_ethtool_i_tells_it() {
    let (name, _, facts) = own_facts();
    let told = pairs(&printed("ethtool", &["-i", &name]));
    let driver = facts.card.driver.known().expect("a driver");
    let ours = [&driver.name, &driver.version, &driver.firmware, &driver.bus];
    let theirs = ["driver", "version", "firmware-version", "bus-info"].map(|field| &told[field]);
    assert_eq!(ours, theirs);
}

#[test]
fn offloads_are_as_ethtool_k_tells_them() {
    /// What `ethtool -k` calls otherwise than the kernel.
    const OTHER: [(&str, &str); 8] = [
        ("rx-checksumming", "rx-checksum"),
        ("generic-segmentation-offload", "tx-generic-segmentation"),
        ("generic-receive-offload", "rx-gro"),
        ("large-receive-offload", "rx-lro"),
        ("rx-vlan-offload", "rx-vlan-hw-parse"),
        ("tx-vlan-offload", "tx-vlan-hw-insert"),
        ("ntuple-filters", "rx-ntuple-filter"),
        ("receive-hashing", "rx-hashing"),
    ];
    /// Sums of several offloads.
    const SUMS: [&str; 3] = ["tx-checksumming", "scatter-gather", "tcp-segmentation-offload"];
    let (name, _, facts) = own_facts();
    let features = facts.card.features.known().expect("offloads");
    let mut compared = 0;
    for line in printed("ethtool", &["-k", &name]).lines().skip(1) {
        let (what, state) = line.trim().split_once(": ").expect("a pair");
        if SUMS.contains(&what) {
            continue;
        }
        let kernel = OTHER.iter().find(|(other, _)| *other == what).map_or(what, |(_, kernel)| kernel);
        let feature = features.get(kernel).unwrap_or_else(|| panic!("{kernel} is missing in {features:?}"));
        let ours = (if feature.on { "on" } else { "off" }, feature.fixed);
        assert_eq!(ours, (state.split(' ').next().expect("a state"), state.contains("[fixed]")), "{what}");
        compared += 1;
    }
    assert!(compared > 30, "only {compared} offloads were compared");
}

#[test]
fn driver_counters_are_as_ethtool_s_tells_them() {
    let (name, reader, _) = own_facts();
    let before = reader.counters().driver;
    let told = pairs(&printed("ethtool", &["-S", &name]));
    let after = reader.counters().driver;
    let told: BTreeMap<_, _> =
        told.into_iter().filter_map(|(name, value)| Some((name, value.parse::<u64>().ok()?))).collect();
    assert!(!told.is_empty() && told.keys().eq(before.keys()), "{told:?}\n{before:?}");
    for (name, value) in told {
        // Traffic goes on between the three looks.
        assert!((before[&name]..=after[&name]).contains(&value), "{name}: {value}");
    }
}

/// The numbers of one half of `ethtool -g` or `-l`, by their names.
fn numbers(text: &str, half: &str) -> BTreeMap<String, u32> {
    let half = text.split_once(half).map_or("", |(_, half)| half);
    let half = half.split_once("Current").map_or(half, |(half, _)| half);
    pairs(half).into_iter().filter_map(|(name, value)| Some((name, value.parse().ok()?))).collect()
}

#[test]
fn rings_and_channels_are_as_ethtool_g_and_l_tell_them() {
    let (name, _, facts) = own_facts();
    let told = printed("ethtool", &["-g", &name]);
    let rings = facts.card.rings.known().expect("rings");
    let (most, now) = (numbers(&told, "Pre-set maximums:"), numbers(&told, "Current hardware settings:"));
    assert_eq!(
        (rings.rx_max, rings.tx_max, rings.rx, rings.tx),
        (most["RX"], most["TX"], now["RX"], now["TX"])
    );
    let told = printed("ethtool", &["-l", &name]);
    let channels = facts.card.channels.known().expect("channels");
    let (most, now) = (numbers(&told, "Pre-set maximums:"), numbers(&told, "Current hardware settings:"));
    let or_zero = |name: &str| now.get(name).copied().unwrap_or(0);
    assert_eq!((channels.combined_max, channels.combined), (most["Combined"], now["Combined"]));
    assert_eq!((channels.rx, channels.tx), (or_zero("RX"), or_zero("TX")));
}

#[test]
fn the_link_is_as_ip_s_link_tells_it() {
    let (name, reader, facts) = own_facts();
    let before = reader.counters().link;
    let told: serde_json::Value =
        serde_json::from_str(&printed("ip", &["-j", "-s", "-s", "-d", "link", "show", "dev", &name]))
            .expect("JSON");
    let after = reader.counters().link;
    let told = &told[0];
    let link = facts.card.link.known().expect("a link");
    assert_eq!(u64::from(link.mtu), told["mtu"]);
    assert_eq!(link.operstate.to_uppercase(), told["operstate"]);
    assert_eq!(link.mac.as_deref(), told["address"].as_str());
    assert_eq!(link.qdisc.as_deref(), told["qdisc"].as_str());
    assert_eq!(link.tx_queues.map(u64::from), told["num_tx_queues"].as_u64());
    assert_eq!(link.rx_queues.map(u64::from), told["num_rx_queues"].as_u64());
    assert_eq!(link.gso_max_bytes.map(u64::from), told["gso_max_size"].as_u64());
    // `ip` puts the errors' kinds under names of its own.
    let fields = [
        ("rx", "bytes", "rx_bytes"),
        ("rx", "packets", "rx_packets"),
        ("rx", "errors", "rx_errors"),
        ("rx", "dropped", "rx_dropped"),
        ("rx", "multicast", "multicast"),
        ("rx", "length_errors", "rx_length_errors"),
        ("rx", "crc_errors", "rx_crc_errors"),
        ("rx", "frame_errors", "rx_frame_errors"),
        ("rx", "fifo_errors", "rx_fifo_errors"),
        ("rx", "missed_errors", "rx_missed_errors"),
        ("tx", "bytes", "tx_bytes"),
        ("tx", "packets", "tx_packets"),
        ("tx", "errors", "tx_errors"),
        ("tx", "dropped", "tx_dropped"),
        ("tx", "collisions", "collisions"),
        ("tx", "aborted_errors", "tx_aborted_errors"),
        ("tx", "fifo_errors", "tx_fifo_errors"),
        ("tx", "window_errors", "tx_window_errors"),
        ("tx", "heartbeat_errors", "tx_heartbeat_errors"),
    ];
    for (way, theirs, ours) in fields {
        let value = told["stats64"][way][theirs].as_u64();
        let value = value.unwrap_or_else(|| panic!("ip tells no {way} {theirs}: {}", told["stats64"]));
        assert!((before[ours]..=after[ours]).contains(&value), "{ours}: {value} of {}", before[ours]);
    }
    let addresses: serde_json::Value =
        serde_json::from_str(&printed("ip", &["-j", "addr", "show", "dev", &name])).expect("JSON");
    let theirs = addresses[0]["addr_info"].as_array().expect("addresses");
    let theirs: Vec<String> = theirs
        .iter()
        .map(|addr| format!("{}/{}", addr["local"].as_str().expect("an address"), addr["prefixlen"]))
        .collect();
    assert_eq!(facts.card.addresses.known().expect("addresses"), &theirs);
}

#[test]
fn a_second_s_counters_cost_less_than_a_hundredth_of_a_core() {
    const ROUNDS: u32 = 50;
    let (_, reader, _) = own_facts();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a listener");
    let to = listener.local_addr().expect("an address");
    let open: Vec<_> = (0..64)
        .map(|_| (std::net::TcpStream::connect(to).expect("connected"), listener.accept().expect("accepted")))
        .collect();
    let cpu_us = || {
        let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
        time.tv_sec * 1_000_000 + time.tv_nsec / 1000
    };
    let before = cpu_us();
    for _ in 0..ROUNDS {
        assert!(!reader.counters().protocols.is_empty());
    }
    let each_us = (cpu_us() - before) / i64::from(ROUNDS);
    assert_eq!(open.len(), 64);
    assert!(each_us < 10_000, "{each_us} us of CPU for one look, above 1 % of a core at one a second");
}
