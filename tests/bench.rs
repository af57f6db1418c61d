//! The bench as a person starts it: real transfers in namespaces, and nothing left behind.
//!
//! Needs what the bench needs: root (or user namespaces), `ip`. Says nothing about speed.

use std::{
    fs,
    process::{Child, Command, Stdio},
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use serde_json::Value;

/// Both tests load all cores; one at a time.
static TURN: Mutex<()> = Mutex::new(());

fn bench(folder: &std::path::Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_nicburn-worker"));
    command.arg("bench").args(arguments).arg("--out").arg(folder).stdin(Stdio::null());
    command
}

/// Processes whose parent is `parent`, with their command lines.
fn children_of(parent: u32) -> Vec<(u32, String)> {
    let mut found = vec![];
    for entry in fs::read_dir("/proc").expect("/proc is there").flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
        let status = fs::read_to_string(entry.path().join("status")).unwrap_or_default();
        if status.lines().any(|line| line == format!("PPid:\t{parent}")) {
            let line = fs::read_to_string(entry.path().join("cmdline")).unwrap_or_default();
            found.push((pid, line.replace('\0', " ")));
        }
    }
    found
}

fn until(what: &str, enough: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while !enough() {
        assert!(Instant::now() < deadline, "waited in vain until {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn a_quick_case_runs_both_sides_twice_and_writes_what_it_saw() {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let folder = tempfile::tempdir().expect("a folder");
    let output =
        bench(folder.path(), &["--quick", "--case", "discard-bare", "--case", "udp-1gbyte"]).output();
    let output = output.expect("the binary can be started");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    // How fast it is depends on the machine; 1 would be a run that failed.
    assert!([Some(0), Some(11)].contains(&output.status.code()), "{:?}: {said}", output.status);
    let files: Vec<_> = fs::read_dir(folder.path()).expect("written").flatten().map(|it| it.path()).collect();
    let of = |end: &str| files.iter().find(|path| path.extension().is_some_and(|it| it == end)).expect(end);
    let json: Value =
        serde_json::from_str(&fs::read_to_string(of("json")).expect("readable")).expect("it is JSON");
    let case = &json["cases"][0];
    assert_eq!(case["name"], "discard-bare");
    assert_eq!(case["reps"].as_array().map(Vec::len), Some(2), "{case}");
    for side in
        case["reps"].as_array().expect("checked").iter().flat_map(|rep| rep.as_array().expect("a pair"))
    {
        assert!(side["bytes"].as_u64().is_some_and(|bytes| bytes > 10_000_000), "{side}");
        for end in ["source_cpu_s", "sink_cpu_s"] {
            assert!(side[end].as_f64().is_some_and(|cpu| cpu > 0.0 && cpu < 60.0), "{end}: {side}");
        }
    }
    for peer in ["iperf3", "iperf2", "nuttcp"] {
        let named = json["peers"].as_array().expect("a list").iter().any(|row| row[0] == peer);
        assert!(named, "{peer} is neither there nor named as absent: {}", json["peers"]);
    }
    let page = fs::read_to_string(of("md")).expect("readable");
    assert!(page.contains("discard-bare") && page.contains("nicburn-worker bench --quick"), "{page}");
}

#[test]
fn a_killed_bench_leaves_no_process_behind() {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let folder = tempfile::tempdir().expect("a folder");
    let mut command = bench(folder.path(), &["--quick", "--case", "discard-bare"]);
    let mut parent: Child = command.stderr(Stdio::null()).spawn().expect("the binary can be started");
    let ends = || {
        let children = children_of(parent.id()).into_iter();
        children.filter(|(_, line)| line.contains("bench-end")).map(|(pid, _)| pid).collect::<Vec<_>>()
    };
    until("both ends run", || ends().len() == 2);
    let pids = ends();
    parent.kill().expect("it is ours");
    parent.wait().expect("it ended");
    // An orphan's name stays until its new parent has reaped it; a zombie has no command line.
    let gone = |pid: &u32| fs::read(format!("/proc/{pid}/cmdline")).map_or(true, |line| line.is_empty());
    until("both ends are gone", || pids.iter().all(gone));
    let written = fs::read_dir(folder.path()).expect("the folder is there").count();
    assert_eq!(written, 0, "nothing is claimed of a bench that was cut short");
}
