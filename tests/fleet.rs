//! Whole fleets: real processes, real namespaces, real faults, and the verdicts they give.
//!
//! Needs iproute2, nftables and user namespaces (or root); a test that cannot have them
//! fails and says so. One fleet at a time: they share the machine's cores.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    sync::{Mutex, MutexGuard},
    time::{Duration, Instant},
};

use nicburn::model::judge::summary::{FindingKind, Summary, Verdict};

/// One fleet at a time, also after a failed test.
static TURN: Mutex<()> = Mutex::new(());

fn turn() -> MutexGuard<'static, ()> {
    TURN.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

fn nicburn() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_nicburn"));
    command.stdin(Stdio::null()).env("NO_COLOR", "1");
    command
}

fn summary(run: &Path) -> Summary {
    let text = fs::read_to_string(run.join("summary.json")).expect("a run writes its summary");
    fits_schema(&text);
    serde_json::from_str(&text).expect("a summary is of its own shape")
}

/// Every summary written anywhere in these tests fits the shipped schema.
fn fits_schema(text: &str) {
    let schema = nicburn().args(["schema", "summary"]).output().expect("the schema is printed");
    let schema: serde_json::Value = serde_json::from_slice(&schema.stdout).expect("the schema is JSON");
    let value: serde_json::Value = serde_json::from_str(text).expect("a summary is JSON");
    let validator = jsonschema::validator_for(&schema).expect("the schema is one");
    let errors: Vec<String> = validator.iter_errors(&value).map(|error| error.to_string()).collect();
    assert!(errors.is_empty(), "{errors:?}");
}

fn said(output: &Output) -> String {
    format!("{}\n{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

fn failed_hosts(summary: &Summary) -> Vec<(&str, Vec<FindingKind>)> {
    summary
        .hosts
        .iter()
        .filter(|host| host.verdict == Verdict::Fail)
        .map(|host| (host.host.as_str(), host.findings.iter().map(|finding| finding.kind).collect()))
        .collect()
}

fn not_passing(summary: &Summary) -> Vec<(&str, Verdict, Option<&str>)> {
    summary
        .hosts
        .iter()
        .filter(|host| host.verdict != Verdict::Pass)
        .map(|host| (host.host.as_str(), host.verdict, host.reason.as_deref()))
        .collect()
}

/// A fleet made by hand, and what came of it.
struct ByHand {
    out: tempfile::TempDir,
    code: Option<i32>,
}

impl ByHand {
    fn run(hosts: usize, scenario: &str, settings: &[(&str, &str)]) -> Self {
        let out = tempfile::tempdir().expect("a folder for the run");
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let bin = Path::new(env!("CARGO_BIN_EXE_nicburn")).parent().expect("binaries lie in a folder");
        let mut script = Command::new("unshare");
        script
            .args(["-Urnm", "--kill-child", "--fork"])
            .arg(root.join("tests/fleet/by_hand.sh"))
            .env("BIN", bin)
            .env("OUT", out.path())
            .env("HOSTS", hosts.to_string())
            .env("RATE", "60mbit")
            .env("SCENARIO", root.join(scenario))
            .envs(settings.iter().copied())
            .stdin(Stdio::null());
        let done = script.output().expect("unshare is installed");
        assert!(done.status.success(), "the hand-made fleet could not be built: {}", said(&done));
        let code = fs::read_to_string(out.path().join("exit")).ok().and_then(|code| code.trim().parse().ok());
        Self { out, code }
    }

    fn folder(&self) -> PathBuf {
        self.out
            .path()
            .join("latest")
            .canonicalize()
            .unwrap_or_else(|_| panic!("no run folder; the coordinator said: {}", self.log()))
    }

    fn log(&self) -> String {
        let read = |name: &str| fs::read_to_string(self.out.path().join(name)).unwrap_or_default();
        format!("{}\n{}\n{}", read("stdout"), read("stderr"), read("h1.log"))
    }

    fn summary(&self) -> Summary {
        summary(&self.folder())
    }
}

#[test]
fn a_demo_names_the_sick_host_and_no_other() {
    let _turn = turn();
    let out = tempfile::tempdir().expect("a folder");
    let done = nicburn().args(["demo", "--seed", "1", "--out"]).arg(out.path()).output().expect("it runs");
    assert_eq!(done.status.code(), Some(10), "{}", said(&done));
    let summary = summary(&out.path().join("latest"));
    let failed = failed_hosts(&summary);
    assert_eq!(failed.len(), 1, "{}", said(&done));
    assert_eq!(failed[0].1, [FindingKind::DiesUnderLoad], "{}", said(&done));
    assert_eq!(not_passing(&summary).len(), 1, "{}", said(&done));
    assert!(said(&done).contains(failed[0].0));
    for file in ["run.json", "record.jsonl", "report.html", "summary.md", "junit.xml"] {
        assert!(out.path().join("latest").join(file).exists(), "{file}");
    }
}

#[test]
fn a_healthy_demo_passes_everybody() {
    let _turn = turn();
    let out = tempfile::tempdir().expect("a folder");
    let done = nicburn()
        .args(["demo", "--fault", "none", "--seed", "2", "--out"])
        .arg(out.path())
        .output()
        .expect("it runs");
    assert_eq!(done.status.code(), Some(0), "{}", said(&done));
    let summary = summary(&out.path().join("latest"));
    assert!(summary.hosts.iter().all(|host| host.findings.is_empty()), "{}", said(&done));
}

#[test]
fn judging_a_moved_folder_again_gives_the_same_summary_to_the_byte() {
    let _turn = turn();
    let out = tempfile::tempdir().expect("a folder");
    let done = nicburn()
        .args(["demo", "--seed", "3", "--hosts", "4", "--out"])
        .arg(out.path())
        .output()
        .expect("it runs");
    assert_eq!(done.status.code(), Some(10), "{}", said(&done));
    let moved = out.path().join("moved");
    fs::rename(out.path().join("latest").canonicalize().expect("a run"), &moved).expect("it can be moved");
    let before = fs::read(moved.join("summary.json")).expect("a summary");
    fs::remove_file(moved.join("summary.json")).expect("it can be removed");
    let again = nicburn().arg("judge").arg(&moved).output().expect("it runs");
    assert_eq!(again.status.code(), Some(10), "{}", said(&again));
    assert_eq!(before, fs::read(moved.join("summary.json")).expect("written again"));

    // Cut in the middle of a line, or with a block overwritten, it is judged as far as it goes.
    let record = fs::read(moved.join("record.jsonl")).expect("a record");
    fs::write(moved.join("record.jsonl"), &record[..record.len() * 3 / 4]).expect("cut");
    let cut = nicburn().arg("judge").arg(&moved).output().expect("it runs");
    assert!(matches!(cut.status.code(), Some(10 | 12)), "{}", said(&cut));
    assert!(!summary(&moved).record_losses.is_empty());
    let mut damaged = record;
    let middle = damaged.len() / 2;
    damaged[middle..middle + 4096].fill(b'\0');
    fs::write(moved.join("record.jsonl"), damaged).expect("damaged");
    let judged = nicburn().arg("judge").arg(&moved).output().expect("it runs");
    assert!(matches!(judged.status.code(), Some(10 | 12)), "{}", said(&judged));
    assert!(!summary(&moved).record_losses.is_empty());
}

#[test]
fn a_fleet_started_by_hand_with_a_stranger_s_fault_gives_the_same_verdict() {
    let _turn = turn();
    let fault = "dies_above 3 '5 mbytes/second burst 1 mbytes' 3s";
    let run = ByHand::run(8, "scenarios/quick.toml", &[("EARLY", fault)]);
    assert_eq!(run.code, Some(10), "{}", run.log());
    let summary = run.summary();
    assert_eq!(failed_hosts(&summary), [("h3", vec![FindingKind::DiesUnderLoad])], "{}", run.log());
    assert_eq!(not_passing(&summary).len(), 1, "{}", run.log());
}

#[test]
fn a_card_that_never_comes_back_fails_and_its_partners_pass() {
    let _turn = turn();
    let run = ByHand::run(6, "scenarios/storm.toml", &[("LATE", "sleep 2; dead 2")]);
    assert_eq!(run.code, Some(10), "{}", run.log());
    let summary = run.summary();
    let failed = failed_hosts(&summary);
    assert_eq!(failed.iter().map(|(host, _)| *host).collect::<Vec<_>>(), ["h2"], "{}", run.log());
    assert!(matches!(failed[0].1[..], [FindingKind::DiesUnderLoad | FindingKind::Outage]), "{failed:?}");
    assert_eq!(not_passing(&summary).len(), 1, "{}", run.log());
}

#[test]
fn a_killed_worker_accuses_no_card() {
    let _turn = turn();
    let run = ByHand::run(5, "scenarios/storm.toml", &[("LATE", "sleep 5; kill -9 $(worker 2)")]);
    assert_eq!(run.code, Some(12), "{}", run.log());
    let summary = run.summary();
    assert_eq!(not_passing(&summary).len(), 1, "{}", run.log());
    let host = &summary.hosts[1];
    assert_eq!(host.verdict, Verdict::Inconclusive);
    assert_eq!(host.findings[0].kind, FindingKind::WorkerLost, "{}", run.log());
}

#[test]
fn a_frozen_worker_accuses_no_card() {
    let _turn = turn();
    let late = "sleep 5; kill -STOP $(worker 4); sleep 5; kill -CONT $(worker 4)";
    let run = ByHand::run(5, "scenarios/storm.toml", &[("LATE", late)]);
    assert_eq!(run.code, Some(12), "{}", run.log());
    let summary = run.summary();
    assert_eq!(not_passing(&summary).len(), 1, "{}", run.log());
    assert_eq!(summary.hosts[3].findings[0].kind, FindingKind::WorkerFrozen, "{}", run.log());
}

#[test]
fn small_fleets_give_useful_verdicts() {
    let _turn = turn();
    for hosts in ["2", "3", "5"] {
        let out = tempfile::tempdir().expect("a folder");
        let done = nicburn()
            .args(["demo", "--seed", "4", "--hosts", hosts, "--out"])
            .arg(out.path())
            .output()
            .expect("it runs");
        assert_eq!(done.status.code(), Some(10), "{hosts} hosts: {}", said(&done));
        let summary = summary(&out.path().join("latest"));
        let failed = failed_hosts(&summary);
        match hosts {
            // Of two, the lost contact of one end may tell; otherwise the pair is a path.
            "2" => assert!(failed.len() == 1 || !summary.fleet.findings.is_empty(), "{}", said(&done)),
            _ => assert_eq!(failed.len(), 1, "{hosts} hosts: {}", said(&done)),
        }
    }
}

#[test]
fn after_the_coordinator_is_killed_load_stops_and_workers_end() {
    let _turn = turn();
    let begun = Instant::now();
    // The switch counts what the hosts still send from 12 s after the kill on: lease and 2 s.
    let late = "sleep 2; kill -9 $(cat $OUT/coordinator.pid); sleep 12.5; a=$(sent 1); sleep 2; b=$(sent 1); \
        echo $((b-a)) >$OUT/late_bytes";
    let run = ByHand::run(4, "scenarios/storm.toml", &[("LATE", late)]);
    assert_eq!(fs::read_to_string(run.out.path().join("left")).expect("told").trim(), "", "workers are left");
    assert!(begun.elapsed() < Duration::from_secs(120));
    let late_bytes: i64 = fs::read_to_string(run.out.path().join("late_bytes"))
        .expect("counted")
        .trim()
        .parse()
        .expect("a number");
    // Probing and reconnecting goes on at a few datagrams a second; a transfer would be 15 MB.
    assert!((0..100_000).contains(&late_bytes), "{late_bytes} bytes were sent after the lease");
    let spools = fs::read_dir(run.out.path().join("spool")).expect("spools").count();
    assert!(spools >= 4, "every worker leaves its spool");
}
