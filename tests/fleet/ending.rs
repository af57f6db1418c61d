//! Runs that do not end by their plan: what is killed or stopped leaves nothing behind, and goes on sending
//! nothing.

use std::{
    fs,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use nicburn::model::judge::summary::FleetVerdict;

use super::support::{ByHand, nicburn, said, summary, turn};

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

/// Processes that carry this text in their environment.
fn processes_with(mark: &str) -> Vec<(u32, String)> {
    let pids = fs::read_dir("/proc").expect("Linux").flatten().filter_map(|entry| {
        let pid: u32 = entry.file_name().to_str()?.parse().ok()?;
        let environ = fs::read(entry.path().join("environ")).ok()?;
        let command = fs::read(entry.path().join("cmdline")).ok()?;
        let marked = String::from_utf8_lossy(&environ).contains(mark) && !command.is_empty();
        marked.then(|| (pid, String::from_utf8_lossy(&command).replace('\0', " ")))
    });
    pids.collect()
}

/// Waits until `done` holds, or for `at_most`; whether it came to hold.
pub fn within(at_most: Duration, mut done: impl FnMut() -> bool) -> bool {
    let deadline = Instant::now() + at_most;
    loop {
        if done() {
            return true;
        }
        if Instant::now() >= deadline {
            return false;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn a_killed_demo_leaves_no_process_behind() {
    let _turn = turn();
    let out = tempfile::tempdir().expect("a folder");
    let state = tempfile::tempdir().expect("a folder");
    let mark = format!("NICBURN_STATE_DIR={}", state.path().display());
    let mut demo = nicburn()
        .args(["demo", "--seed", "5", "--hosts", "4", "--out"])
        .arg(out.path())
        .env("NICBURN_STATE_DIR", state.path())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("it starts");
    let record = || fs::read_to_string(out.path().join("latest/record.jsonl")).unwrap_or_default();
    let begun = within(Duration::from_secs(30), || record().contains("\"storm\",\"kind\":\"load\""));
    let before = processes_with(&mark).len();
    demo.kill().expect("it runs");
    demo.wait().expect("it was ours");
    assert!(begun, "the storm never began");
    assert!(before >= 6, "demo, holder and four workers: {before}");
    let gone = within(Duration::from_secs(2), || processes_with(&mark).is_empty());
    assert!(gone, "left behind: {:?}", processes_with(&mark));
}

#[test]
fn an_interrupted_run_ends_with_130_and_a_partial_verdict() {
    let _turn = turn();
    let out = tempfile::tempdir().expect("a folder");
    let demo = nicburn()
        .args(["demo", "--fault", "none", "--seed", "6", "--hosts", "3", "--out"])
        .arg(out.path())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("it starts");
    let record = || fs::read_to_string(out.path().join("latest/record.jsonl")).unwrap_or_default();
    let begun = within(Duration::from_secs(30), || record().contains("\"storm\",\"kind\":\"load\""));
    let asked = Instant::now();
    let kill =
        Command::new("kill").args(["-INT", &demo.id().to_string()]).status().expect("kill is installed");
    let done = demo.wait_with_output().expect("it was ours");
    assert!(begun && kill.success());
    assert_eq!(done.status.code(), Some(130), "{}", said(&done));
    assert!(asked.elapsed() < Duration::from_secs(13), "{:?}", asked.elapsed());
    let summary = summary(&out.path().join("latest"));
    assert_eq!(summary.verdict, FleetVerdict::Interrupted);
}

/// Somebody ends the scoreboard: so does its run, of which nothing is left, nor is it counted.
#[test]
fn a_stopped_scoreboard_leaves_nothing_behind() {
    let _turn = turn();
    let out = tempfile::tempdir().expect("a folder");
    let state = tempfile::tempdir().expect("a folder");
    let mark = format!("NICBURN_STATE_DIR={}", state.path().display());
    let score = nicburn()
        .args(["lab", "score", "--seeds", "0", "--only", "late-answers", "--out"])
        .arg(out.path())
        .env("NICBURN_STATE_DIR", state.path())
        .stderr(Stdio::piped())
        .spawn()
        .expect("it starts");
    let scratch = out.path().join(format!("score-{}", score.id()));
    let record = || fs::read_to_string(scratch.join("latest/record.jsonl")).unwrap_or_default();
    let begun = within(Duration::from_secs(30), || record().contains("\"kind\":\"load\""));
    let kill =
        Command::new("kill").args(["-TERM", &score.id().to_string()]).status().expect("kill is installed");
    let done = score.wait_with_output().expect("it was ours");
    assert!(begun && kill.success(), "{}", said(&done));
    assert_eq!(done.status.code(), Some(130), "{}", said(&done));
    let left: Vec<_> = fs::read_dir(out.path()).expect("a folder").flatten().collect();
    assert!(left.is_empty(), "{left:?}");
    let gone = within(Duration::from_secs(2), || processes_with(&mark).is_empty());
    assert!(gone, "left behind: {:?}", processes_with(&mark));
}
