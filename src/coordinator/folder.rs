//! The folder of a run: its name, `run.json`, and the link `latest`.

use std::{
    fs, io,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    time::SystemTime,
};

use serde::Serialize;

use super::{RunError, roster::Roster};
use crate::model::{
    fleet::host::Host,
    plan::{layout::Plan, scenario::Scenario},
    run::message::{Hello, SecretHex},
};

/// The schema of `run.json`.
const RUN_SCHEMA: &str = "nicburn.run/1";

/// What `run.json` says, for people and scripts; the judge needs only the record.
#[derive(Serialize)]
pub(super) struct RunFile<'a> {
    pub(super) schema: &'static str,
    pub(super) run: &'a str,
    pub(super) build: &'a str,
    pub(super) started_at: &'a str,
    pub(super) seed: u64,
    pub(super) expected: usize,
    pub(super) simulated_links: bool,
    pub(super) shared: bool,
    pub(super) scenario: &'a Scenario,
    pub(super) plan: &'a Plan,
    pub(super) hosts: Vec<HostFile<'a>>,
}

/// A host as `run.json` tells of it.
#[derive(Serialize)]
pub(super) struct HostFile<'a> {
    #[serde(flatten)]
    host: Host,
    build: &'a str,
    instance: &'a str,
    boot_id: &'a str,
    kernel: &'a str,
    cores: u32,
    congestion_control: &'a str,
    data_addr: std::net::SocketAddr,
    labels: &'a std::collections::BTreeMap<String, String>,
}

impl<'a> RunFile<'a> {
    pub(super) fn new(
        run: &'a str,
        build: &'a str,
        scenario: &'a Scenario,
        plan: &'a Plan,
        roster: &'a Roster,
    ) -> Self {
        let names = roster.names().iter();
        let members = names.filter_map(|name| roster.by_name(name));
        Self {
            schema: RUN_SCHEMA,
            run,
            build,
            started_at: "",
            seed: plan.seed,
            expected: 0,
            simulated_links: false,
            shared: false,
            scenario,
            plan,
            hosts: members
                .map(|member| HostFile::new(member.hello.host(member.host), &member.hello))
                .collect(),
        }
    }
}

impl<'a> HostFile<'a> {
    fn new(host: Host, hello: &'a Hello) -> Self {
        Self {
            host,
            build: &hello.build,
            instance: &hello.instance,
            boot_id: &hello.boot_id,
            kernel: &hello.kernel,
            cores: hello.cores,
            congestion_control: &hello.congestion_control,
            data_addr: hello.data_addr,
            labels: &hello.labels,
        }
    }
}

/// `20260114T093000Z-accept-3fa1`: sorts by time, says what was run, and two runs of one
/// second still differ.
pub(super) fn run_name(scenario: &str, at: SystemTime, drawn: &SecretHex) -> String {
    let mut stamp = humantime::format_rfc3339_seconds(at).to_string();
    stamp.retain(|c| c != '-' && c != ':');
    let id: String = drawn.0.chars().take(4).collect();
    format!("{stamp}-{scenario}-{id}")
}

/// Makes the folder of a run with its `run.json`, and points `latest` to it.
pub(super) fn open(out: &Path, run: &str, file: &RunFile<'_>) -> Result<PathBuf, RunError> {
    let folder = out.join(run);
    let made = (|| -> io::Result<()> {
        fs::create_dir(&folder)?;
        let text = serde_json::to_string_pretty(file)?;
        replace(&folder.join("run.json"), |draft| {
            fs::write(draft, text.as_bytes())?;
            fs::File::open(draft)?.sync_all()
        })
    })();
    made.map_err(|error| {
        RunError::Failed(format!("cannot open the run's folder {}: {error}", folder.display()))
    })?;
    // A convenience, and no reason to lose a run: `latest` may be somebody's folder.
    if let Err(error) = replace(&out.join("latest"), |draft| symlink(run, draft)) {
        tracing::warn!(%error, "cannot point results/latest to the run");
    }
    Ok(folder)
}

/// Makes something under another name, then moves it into its place in one step.
fn replace(path: &Path, make: impl FnOnce(&Path) -> io::Result<()>) -> io::Result<()> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let draft = path.with_file_name(format!(".{name}-{}", std::process::id()));
    make(&draft).and_then(|()| fs::rename(&draft, path)).inspect_err(|_| {
        let _ = fs::remove_file(&draft);
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::{Duration, UNIX_EPOCH};

    fn drawn() -> SecretHex {
        SecretHex("3fa1".repeat(16))
    }

    #[test]
    fn a_run_is_named_after_its_moment_and_its_scenario() {
        let at = UNIX_EPOCH + Duration::from_secs(1_768_383_000);
        assert_eq!(run_name("accept", at, &drawn()), "20260114T093000Z-accept-3fa1");
    }

    #[test]
    fn latest_moves_on_to_each_new_run_and_nothing_else_is_left() {
        let out = tempfile::tempdir().expect("a folder");
        let (scenario, plan) = (
            Scenario { name: "accept".to_owned(), ..Scenario::default() },
            Plan { seed: 7, stages: Vec::new(), confirm_us: 0 },
        );
        let roster = Roster::default();
        for run in ["one", "two"] {
            let file = RunFile::new(run, "0.1.0", &scenario, &plan, &roster);
            let folder = open(out.path(), run, &file).expect("opened");
            let text = fs::read_to_string(folder.join("run.json")).expect("written");
            assert!(text.contains("\"nicburn.run/1\"") && text.contains(run), "{text}");
            assert_eq!(fs::read_link(out.path().join("latest")).expect("a link"), Path::new(run));
        }
        let mut left: Vec<_> = fs::read_dir(out.path())
            .expect("it is there")
            .map(|entry| entry.expect("readable").file_name().into_string().expect("UTF-8"))
            .collect();
        left.sort();
        assert_eq!(left, ["latest", "one", "two"]);
    }

    #[test]
    fn a_folder_called_latest_is_left_alone() {
        let out = tempfile::tempdir().expect("a folder");
        fs::create_dir_all(out.path().join("latest/mine")).expect("a folder");
        assert!(replace(&out.path().join("latest"), |draft| symlink("x", draft)).is_err());
        assert!(out.path().join("latest/mine").is_dir());
        assert_eq!(fs::read_dir(out.path()).expect("it is there").count(), 1, "the draft is gone");
    }
}
