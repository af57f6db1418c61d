//! The binary as a person or a script meets it: help, faults, exit codes. No network here.

use std::{
    fs,
    path::Path,
    process::{Command, Output, Stdio},
};

/// A command line run in `cwd`, with a state folder of its own and no settings from outside.
fn nicburn(cwd: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_nicburn"));
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("NICBURN_")) {
        command.env_remove(name);
    }
    command
        .args(arguments)
        .current_dir(cwd)
        .env("NICBURN_STATE_DIR", cwd.join("state"))
        .env("NO_COLOR", "1")
        .stdin(Stdio::null())
        .output()
        .expect("the binary can be started")
}

fn folder() -> tempfile::TempDir {
    tempfile::tempdir().expect("a folder")
}

fn code(output: &Output) -> i32 {
    output.status.code().expect("it ended by itself")
}

fn out(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn err(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn help_names_every_command_and_every_exit_code() {
    let help = nicburn(folder().path(), &["--help"]);
    assert_eq!(code(&help), 0);
    let text = out(&help);
    for command in [
        "demo", "run", "pair", "judge", "stop", "lab", "report", "show", "scenario", "schema", "man",
        "audit", "doctor",
    ] {
        let named = text.lines().any(|line| line.trim_start().starts_with(command));
        assert!(named, "`{command}` is not in the help:\n{text}");
    }
    for exit in ["130", " 1 ", " 2 ", "10", "12", " 0 "] {
        assert!(text.contains(exit), "exit code {exit} is not explained:\n{text}");
    }
    assert!(!text.contains("lab-holder"), "the hidden entries are for machines");
}

#[test]
fn usage_errors_are_2_and_leave_stdout_clean() {
    let cases: &[&[&str]] = &[
        &[],
        &["frobnicate"],
        &["run"],
        &["run", "storm"],
        &["run", "storm", "--lab", "1"],
        &["run", "storm", "--lab", "4", "-b", "100"],
        &["run", "storm", "--expect-workers", "4"],
        &["run", "storm", "--expect-workers", "4", "--listen", "127.0.0.1:0"],
        &["run", "absent.toml", "--lab", "4"],
        &["judge", "results/absent"],
        &["show", "results/absent"],
        &["report", "results/absent", "--format", "junit"],
        &["lab", "fault", "--explain", "nonsense"],
        &["schema", "nonsense"],
        &["stop"],
    ];
    for arguments in cases {
        let output = nicburn(folder().path(), arguments);
        assert_eq!(code(&output), 2, "{arguments:?}\n{}", err(&output));
        assert!(out(&output).is_empty(), "{arguments:?} printed to stdout: {}", out(&output));
        assert!(!err(&output).is_empty(), "{arguments:?} did not say what was wrong");
    }
}

#[test]
fn an_error_names_the_value_and_the_way_out() {
    let output = nicburn(folder().path(), &["run", "strom", "--lab", "4"]);
    let text = err(&output);
    assert!(text.starts_with("error: "), "{text}");
    assert!(text.contains("`strom`") && text.contains("help: ") && text.contains("storm"), "{text}");
}

#[test]
fn a_worker_without_its_join_file_says_so_and_sends_nothing() {
    let output = nicburn(folder().path(), &["worker", "--join", "absent.json"]);
    assert_eq!(code(&output), 2, "{}", err(&output));
    assert!(err(&output).contains("absent.json"), "{}", err(&output));
}

#[test]
fn a_broken_scenario_is_told_all_its_faults_at_once() {
    let folder = folder();
    let text =
        "# Is it sound?\nname = \"Not Sound\"\n\n[[stage]]\npattern = \"strom\"\nfor = \"20\"\nstraems = 2\n";
    fs::write(folder.path().join("broken.toml"), text).expect("written");
    for arguments in [&["scenario", "check", "broken.toml"][..], &["run", "broken.toml", "--lab", "4"][..]] {
        let output = nicburn(folder.path(), arguments);
        assert_eq!(code(&output), 2, "{arguments:?}");
        let said = err(&output);
        for word in ["broken.toml", "name", "strom", "for", "straems", "line 5", "line 7"] {
            assert!(said.contains(word), "`{word}` is missing in:\n{said}");
        }
    }
}

#[test]
fn a_sound_scenario_is_told_so_and_the_folder_comes_before_what_is_built_in() {
    let folder = folder();
    fs::create_dir(folder.path().join("scenarios")).expect("created");
    let text = "# Is mine taken?\nname = \"storm\"\n[[stage]]\npattern = \"ring\"\nfor = \"1s\"\n";
    fs::write(folder.path().join("scenarios/storm.toml"), text).expect("written");
    let list = nicburn(folder.path(), &["scenario", "list"]);
    assert_eq!(code(&list), 0);
    assert!(out(&list).contains("Is mine taken?"), "{}", out(&list));
    let check = nicburn(folder.path(), &["scenario", "check", "storm"]);
    assert_eq!((code(&check), out(&check).contains("sound, 1 stage")), (0, true), "{}", err(&check));
}

#[test]
fn a_dry_run_prints_the_plan_and_writes_nothing() {
    let folder = folder();
    let output = nicburn(folder.path(), &["run", "storm", "--lab", "4", "--seed", "7", "--dry-run"]);
    assert_eq!(code(&output), 0, "{}", err(&output));
    assert!(out(&output).contains("nothing was sent"), "{}", out(&output));
    let again = nicburn(folder.path(), &["run", "storm", "--lab", "4", "--seed", "7", "--dry-run"]);
    assert_eq!(out(&output), out(&again), "the same seed gives the same plan");
    assert!(!folder.path().join("results").exists());
}

#[test]
fn schemas_are_json_and_name_what_they_describe() {
    for (arguments, word) in [(["schema", "summary"], "hosts"), (["scenario", "schema"], "stage")] {
        let output = nicburn(folder().path(), &arguments);
        assert_eq!(code(&output), 0);
        let schema: serde_json::Value = serde_json::from_slice(&output.stdout).expect("valid JSON");
        assert!(schema["properties"][word].is_object(), "{arguments:?}: {schema:#}");
    }
}

#[test]
fn completions_and_the_manual_page_are_printed() {
    for (arguments, word) in [
        (&["completions", "bash"][..], "complete -F"),
        (&["completions", "zsh"][..], "#compdef"),
        (&["man"][..], ".TH nicburn"),
    ] {
        let output = nicburn(folder().path(), arguments);
        assert_eq!(code(&output), 0);
        assert!(out(&output).contains(word), "{arguments:?} lacks `{word}`");
    }
}

#[test]
fn a_reader_that_goes_away_is_no_failure() {
    let mut child = Command::new(env!("CARGO_BIN_EXE_nicburn"))
        .arg("man")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("started");
    // Closed before anything is read: what is written ends in EPIPE.
    drop(child.stdout.take());
    let output = child.wait_with_output().expect("ended");
    assert_eq!((code(&output), err(&output)), (0, String::new()));
}

#[test]
fn a_folder_that_holds_no_run_is_named() {
    let folder = folder();
    fs::create_dir(folder.path().join("empty")).expect("created");
    let output = nicburn(folder.path(), &["judge", "empty"]);
    assert_eq!(code(&output), 2);
    assert!(err(&output).contains("empty"), "{}", err(&output));
}

#[test]
fn a_pair_that_cannot_be_measured_is_refused_before_anything_is_sent() {
    let cases: &[(&[&str], &str)] = &[
        (&["pair", "h1", "h2"], "no fleet is given"),
        (&["pair", "h1", "h1", "--lab", "2"], "cannot send to itself"),
        (&["pair", "h1", "h2", "--lab", "2", "-u", "--quic"], "cannot be used with"),
        (&["pair", "h1", "h2", "--lab", "2", "-R", "--bidir"], "cannot be used with"),
        (&["pair", "h1", "h2", "--lab", "2", "--layout", "tarball"], "is no buffer layout"),
        (&["pair", "h1", "h2", "--lab", "2", "-u", "--frame-size", "63"], "no size of a frame"),
        (&["pair", "h1", "h2", "--lab", "2", "--frame-size", "512"], "--udp"),
        (&["pair", "h1", "h2", "--lab", "2", "-P", "1001"], "1001"),
        (&["pair", "h1", "h2", "--lab", "2", "-t", "0"], "0"),
        (&["pair", "h1", "../etc", "--lab", "2"], "is no host name"),
    ];
    for (arguments, why) in cases {
        let output = nicburn(folder().path(), arguments);
        assert_eq!(code(&output), 2, "{arguments:?}: {}", err(&output));
        assert_eq!(out(&output), "", "{arguments:?}");
        assert!(err(&output).contains(why), "{arguments:?}: {}", err(&output));
    }
}

/// Two records of the same shape, and what a worker of one of them wrote.
#[test]
fn a_spool_of_another_run_is_refused_by_name_and_one_of_its_own_is_taken() {
    let dir = folder();
    let records = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/records");
    let lines = |name: &str| nicburn::journal::read_lines(&records.join(name)).expect("it is there");
    let of_worker = |lines: &[String]| {
        let own = lines.iter().filter(|line| line.starts_with("{\"i\":3,"));
        own.map(String::as_str).collect::<Vec<_>>().join("\n")
    };
    let (own, other) = (lines("healthy.jsonl.zst"), lines("slow-path.jsonl.zst"));
    fs::create_dir(dir.path().join("run")).unwrap();
    fs::write(dir.path().join("run/record.jsonl"), own.join("\n") + "\n").unwrap();
    fs::write(dir.path().join("own.spool"), of_worker(&own)).unwrap();
    fs::write(dir.path().join("other.spool"), of_worker(&other)).unwrap();
    fs::write(dir.path().join("none.spool"), "what is this?\n").unwrap();
    let judged = |spool: &str| nicburn(dir.path(), &["judge", "run", "--spool", spool]);
    assert_eq!(code(&judged("own.spool")), 0, "{}", err(&judged("own.spool")));
    for (spool, why) in [("other.spool", "another run's"), ("none.spool", "none of its 1 lines")] {
        let told = judged(spool);
        assert_eq!(code(&told), 2, "{}", err(&told));
        assert!(err(&told).contains(spool) && err(&told).contains(why), "{}", err(&told));
    }
}
