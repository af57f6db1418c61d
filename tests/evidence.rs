//! What real kernels say of real faults, and whether it ends up with the right host at the
//! right moment: carriers that flap, an MTU that differs, an address that vanishes,
//! checksums, programs that drop, lines of the kernel's log.
//!
//! Needs root, iproute2, nftables and ethtool, and fails without them. One fleet at a time.

use std::{
    fs,
    io::{Read as _, Write as _},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use nicburn::{
    journal,
    model::{
        judge::{
            evidence::{gather::Gathered, stages},
            seen::Seen,
            summary::{Basis, FindingKind, HostSummary, Source, Summary, Verdict},
        },
        record::{book::Record, line::Body},
    },
};

static TURN: Mutex<()> = Mutex::new(());

fn turn() -> MutexGuard<'static, ()> {
    assert!(rustix::process::geteuid().is_root(), "these tests need root: run them with sudo");
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

fn nicburn() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_nicburn"));
    command.stdin(Stdio::null()).env("NO_COLOR", "1");
    command
}

fn read(run: &Path) -> (Record, Summary) {
    let path = journal::find_record(run).expect("a record");
    let lines = journal::read_lines(&path).expect("it can be read");
    let record = Record::from_text_lines(lines.iter().map(String::as_str)).expect("it is sound");
    let summary = fs::read_to_string(run.join("summary.json")).expect("a summary");
    (record, serde_json::from_str(&summary).expect("of its own shape"))
}

fn host<'a>(summary: &'a Summary, name: &str) -> &'a HostSummary {
    summary.hosts.iter().find(|host| host.host.as_str() == name).expect("planned")
}

/// Whether a moment is within 2 s before and 5 s after the onset of an own drop-off.
fn in_window(host: &HostSummary, at_s: f64) -> bool {
    host.drop_offs.iter().any(|fall| (fall.at_s - 2.0..=fall.at_s + 5.0).contains(&at_s))
}

/// Six hosts by hand. h2 has another MTU and flaps twice, h4 gets damaged packets for 3 s, h3
/// loses its address for 2.5 s; one after the other.
fn hurt_fleet(out: &Path) -> PathBuf {
    let scenario = out.join("hurt.toml");
    let text = "# what do kernels say?\nname = \"hurt\"\n[[stage]]\nname = \"storm\"\npattern = \"storm\"\nfor = \"24s\"\n";
    fs::write(&scenario, text).expect("written");
    // Checksums are made before the switch damages them, as a card would have made them.
    let early = "for k in $(seq $HOSTS); do ip netns exec h$k ethtool -K eth0 tx off >/dev/null; done; ip -n h2 link set eth0 mtu 1400";
    let late = "
        sw nft -f - <<NFT
table netdev bad4 {
  chain rx { type filter hook egress device p4 priority 0; policy accept;
    ip protocol tcp numgen random mod 100 < 2 tcp checksum set 0xdead
  }
}
NFT
        sleep 3; sw nft delete table netdev bad4; sleep 2
        for n in 1 2; do ip -n sw link set p2 down; sleep 1.2; ip -n sw link set p2 up; sleep 1.5; done
        sleep 3; ip -n h3 addr del 10.77.0.3/16 dev eth0; sleep 2.5; ip -n h3 addr add 10.77.0.3/16 dev eth0";
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let done = Command::new("unshare")
        .args(["-Urnm", "--kill-child", "--fork"])
        .arg(root.join("tests/fleet/by_hand.sh"))
        .env("BIN", Path::new(env!("CARGO_BIN_EXE_nicburn")).parent().expect("a folder"))
        .env("OUT", out)
        .env("HOSTS", "6")
        .env("RATE", "40mbit")
        .env("SCENARIO", &scenario)
        .env("EARLY", early)
        .env("LATE", late)
        .stdin(Stdio::null())
        .output()
        .expect("unshare is installed");
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    let log = |name: &str| fs::read_to_string(out.join(name)).unwrap_or_default();
    out.join("latest").canonicalize().unwrap_or_else(|_| panic!("no run: {}{}", log("stderr"), log("h1.log")))
}

#[test]
fn faults_of_links_and_addresses_stand_with_the_right_host_at_the_right_moment() {
    let _turn = turn();
    let out = tempfile::tempdir().expect("a folder");
    let run = hurt_fleet(out.path());
    let (record, summary) = read(&run);
    let told =
        |name: &str| format!("{:#?}\n{:#?}", host(&summary, name).findings, host(&summary, name).drop_offs);

    // Carrier and MTU.
    let h2 = host(&summary, "h2");
    let flap = h2.findings.iter().find(|finding| finding.kind == FindingKind::LinkFlap);
    let flap = flap.unwrap_or_else(|| panic!("h2 flapped: {}", told("h2")));
    assert_eq!(flap.evidence, Basis::Corroborated, "{}", told("h2"));
    let carrier: Vec<f64> = flap
        .corroboration
        .iter()
        .filter(|item| item.source == Source::Link && item.text.starts_with("carrier lost"))
        .filter_map(|item| item.at_s)
        .collect();
    assert_eq!(carrier.len(), 2, "{}", told("h2"));
    assert!(carrier.iter().all(|at_s| in_window(h2, *at_s)), "{}", told("h2"));
    assert!(
        flap.corroboration.iter().any(|item| item.text == "its MTU is 1400, that of 5 of 5 others 1500"),
        "{}",
        told("h2")
    );
    assert!(
        flap.corroboration.iter().any(|item| item.text.contains("link.carrier_down_count +")),
        "{}",
        told("h2")
    );

    // The address.
    let h3 = host(&summary, "h3");
    let item = h3.findings.iter().flat_map(|finding| &finding.corroboration);
    let gone = item.clone().find(|item| item.source == Source::Address);
    let gone = gone.unwrap_or_else(|| panic!("h3 lost its address: {}", told("h3")));
    assert_eq!(gone.text, "its interface lost the address 10.77.0.3/16");
    assert!(gone.at_s.is_some_and(|at_s| in_window(h3, at_s)), "{}", told("h3"));
    let lost = h3.findings.iter().find(|finding| finding.kind == FindingKind::AddressLost);
    assert_eq!(lost.map(|finding| finding.evidence), Some(Basis::Corroborated), "{}", told("h3"));

    // Nobody else lost a carrier or an address.
    for other in summary.hosts.iter().filter(|host| !["h2", "h3"].contains(&host.host.as_str())) {
        let items = other.findings.iter().flat_map(|finding| &finding.corroboration);
        let foreign = items.filter(|item| item.source != Source::Counter).count();
        assert_eq!(foreign, 0, "{}: {:#?}", other.host, other.findings);
    }
    checksums_show_on_h4(&record);
    bundles_are_the_same_again(&run, &summary);
    a_log_that_may_not_be_read_is_told_once(&record);
}

fn checksums_show_on_h4(record: &Record) {
    let (seen, gathered) = (Seen::of(record), Gathered::of(record));
    for known in &seen.hosts {
        let all = stages::moved(&seen, &gathered, known.id);
        let storm = all.iter().find(|stage| stage.stage == "storm").expect("it was run");
        let bad = storm.moved.get("protocols.Tcp.InCsumErrors").map(|step| (step.step, step.others_median));
        if known.name.as_str() == "h4" {
            assert!(bad.is_some_and(|(step, others)| step > 10 && others == Some(0.0)), "{bad:?}");
        } else {
            assert_eq!(bad, None, "{}", known.name);
        }
    }
}

fn bundles_are_the_same_again(run: &Path, summary: &Summary) {
    let failed: Vec<&HostSummary> =
        summary.hosts.iter().filter(|host| host.verdict == Verdict::Fail).collect();
    assert!(failed.iter().any(|host| host.host.as_str() == "h2"), "two flaps fail their host");
    let path = |host: &HostSummary| run.join("evidence").join(format!("{}.tar.zst", host.host));
    let before: Vec<Vec<u8>> = failed.iter().map(|host| fs::read(path(host)).expect("its bundle")).collect();
    let again = nicburn().arg("judge").arg(run).output().expect("it runs");
    let said = String::from_utf8_lossy(&again.stdout);
    for (host, bytes) in failed.iter().zip(before) {
        assert!(said.contains(&format!("evidence on {}: {}", host.host, path(host).display())), "{said}");
        assert_eq!(fs::read(path(host)).expect("its bundle"), bytes, "judged again, the same bytes");
        let tar = zstd::decode_all(bytes.as_slice()).expect("zstd");
        let mut facts = String::new();
        for entry in tar::Archive::new(tar.as_slice()).entries().expect("tar") {
            let mut entry = entry.expect("an entry");
            if entry.path().expect("a name").ends_with("facts-before.json") {
                entry.read_to_string(&mut facts).expect("text");
            }
        }
        assert!(facts.contains("\"iface\": \"eth0\""), "{facts}");
    }
}

/// In a user namespace nobody may read the kernel's log.
fn a_log_that_may_not_be_read_is_told_once(record: &Record) {
    let unread: Vec<(u16, &str)> = record
        .lines
        .iter()
        .filter_map(|line| match &line.body {
            Body::Unread { what, why } if what == "kernel log" => Some((line.i, why.as_str())),
            _ => None,
        })
        .collect();
    assert_eq!(unread.iter().map(|(i, _)| *i).collect::<Vec<_>>(), [1, 2, 3, 4, 5, 6], "once a worker");
    assert!(unread.iter().all(|(_, why)| why.contains("dmesg_restrict=0")), "{unread:?}");
}

#[test]
fn what_an_xdp_program_drops_is_told_with_the_host_that_runs_it() {
    let _turn = turn();
    let out = tempfile::tempdir().expect("a folder");
    let scenario = out.path().join("paced.toml");
    let text = "# who loses?\nname = \"paced\"\n[[stage]]\nname = \"paced\"\npattern = \"pairs\"\nrate = \"50 %\"\nmatchings = 3\nfor = \"3s\"\n";
    fs::write(&scenario, text).expect("written");
    let done = nicburn()
        .arg("run")
        .arg(&scenario)
        .args(["--lab", "4", "--seed", "7", "--fault", "xdp_drops@h3,percent=2", "--quiet", "--out"])
        .arg(out.path())
        .output()
        .expect("it runs");
    assert_eq!(done.status.code(), Some(10), "{}", String::from_utf8_lossy(&done.stderr));
    let (_, summary) = read(&out.path().join("latest"));
    for known in &summary.hosts {
        let items = known.findings.iter().flat_map(|finding| &finding.corroboration);
        let own: Vec<&str> =
            items.map(|item| item.text.as_str()).filter(|text| text.contains("xdp_drops")).collect();
        if known.host.as_str() == "h3" {
            assert_eq!(known.findings[0].kind, FindingKind::PacketLoss, "{:#?}", known.findings);
            assert_eq!(known.findings[0].evidence, Basis::Corroborated, "{:#?}", known.findings);
            assert!(own[0].contains("dropped by an XDP program"), "{own:?}");
        } else {
            assert_eq!((known.verdict, own), (Verdict::Pass, vec![]), "{:#?}", known.findings);
        }
    }
}

#[test]
fn a_line_of_a_shared_kernel_is_told_by_all_and_proves_nothing() {
    let _turn = turn();
    let out = tempfile::tempdir().expect("a folder");
    let mut run = nicburn()
        .args([
            "run",
            "storm",
            "--lab",
            "4",
            "-t",
            "10",
            "--seed",
            "7",
            "--fault",
            "dead@h2,after=9s",
            "--quiet",
        ])
        .arg("--out")
        .arg(out.path())
        .stdout(Stdio::null())
        .spawn()
        .expect("it starts");
    let folder = out.path().join("latest");
    let lost = || {
        let text = fs::read_to_string(folder.join("record.jsonl")).unwrap_or_default();
        text.contains("\"contact\":{\"host\":1,")
    };
    let deadline = Instant::now() + Duration::from_secs(60);
    while !lost() && run.try_wait().expect("it was ours").is_none() {
        assert!(Instant::now() < deadline, "h2 was not lost");
        std::thread::sleep(Duration::from_millis(50));
    }
    for line in ["<3>eth0: hw csum failure", "<3>eth7: hw csum failure", "<6>eth0: nothing of note"] {
        let mut kmsg = fs::OpenOptions::new().write(true).open("/dev/kmsg").expect("root writes to the log");
        kmsg.write_all(line.as_bytes()).expect("a line");
    }
    assert_eq!(run.wait().expect("it was ours").code(), Some(10));
    let (record, summary) = read(&folder);
    let told: Vec<_> = record
        .lines
        .iter()
        .filter_map(|line| match &line.body {
            Body::Kernel(kernel) => Some((line, kernel)),
            _ => None,
        })
        .filter(|(_, kernel)| kernel.text.contains("eth"))
        .collect();
    let texts: Vec<&str> = told.iter().map(|(_, kernel)| kernel.text.as_str()).collect();
    // h2 is dead to the end: what it told lies in its spool.
    assert_eq!(texts, ["eth0: hw csum failure"; 3], "by all that can be heard, and no other line");
    let at: Vec<u64> = told.iter().map(|(_, kernel)| kernel.at.0).collect();
    let spread = at.iter().max().expect("some") - at.iter().min().expect("some");
    assert!(spread < 300_000, "their clocks agree on when it came: {at:?}");
    assert!(told.iter().all(|(line, kernel)| line.t.since(kernel.at) < Duration::from_millis(500)));
    assert!(summary.hosts.iter().all(|host| host.findings.iter().all(|f| f.evidence == Basis::EndToEnd)));
    assert_eq!(host(&summary, "h2").verdict, Verdict::Fail);
}
