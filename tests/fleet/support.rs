//! Fleets of real processes, made by the lab or by hand, and what came of them.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    sync::{Mutex, MutexGuard},
};

use nicburn::model::judge::summary::{FindingKind, Summary, Verdict};

/// One fleet at a time, also after a failed test.
static TURN: Mutex<()> = Mutex::new(());

pub fn turn() -> MutexGuard<'static, ()> {
    TURN.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

pub fn nicburn() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_nicburn"));
    command.stdin(Stdio::null()).env("NO_COLOR", "1");
    command
}

pub fn summary(run: &Path) -> Summary {
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

pub fn said(output: &Output) -> String {
    format!("{}\n{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

pub fn failed_hosts(summary: &Summary) -> Vec<(&str, Vec<FindingKind>)> {
    summary
        .hosts
        .iter()
        .filter(|host| host.verdict == Verdict::Fail)
        .map(|host| (host.host.as_str(), host.findings.iter().map(|finding| finding.kind).collect()))
        .collect()
}

pub fn not_passing(summary: &Summary) -> Vec<(&str, Verdict, Option<&str>)> {
    summary
        .hosts
        .iter()
        .filter(|host| host.verdict != Verdict::Pass)
        .map(|host| (host.host.as_str(), host.verdict, host.reason.as_deref()))
        .collect()
}

/// A fleet made by hand, and what came of it.
pub struct ByHand {
    pub out: tempfile::TempDir,
    pub code: Option<i32>,
}

impl ByHand {
    pub fn run(hosts: usize, scenario: &str, settings: &[(&str, &str)]) -> Self {
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

    pub fn folder(&self) -> PathBuf {
        self.out
            .path()
            .join("latest")
            .canonicalize()
            .unwrap_or_else(|_| panic!("no run folder; the coordinator said: {}", self.log()))
    }

    pub fn log(&self) -> String {
        let read = |name: &str| fs::read_to_string(self.out.path().join(name)).unwrap_or_default();
        format!("{}\n{}\n{}", read("stdout"), read("stderr"), read("h1.log"))
    }

    pub fn summary(&self) -> Summary {
        summary(&self.folder())
    }
}
