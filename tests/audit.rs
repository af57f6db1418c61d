//! `nicburn audit` and `doctor` as a person or a script meets them: recorded hosts, carried
//! files, policies, and a lab whose workers tell their facts.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};

use serde_json::Value;

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

fn recorded(host: &str) -> String {
    let path: PathBuf = [env!("CARGO_MANIFEST_DIR"), "tests/fixtures/hosts", host].iter().collect();
    path.display().to_string()
}

/// What `audit --local --json` prints of a recorded host; it fits the shipped schema.
fn audited(cwd: &Path, host: &str) -> Value {
    let output = nicburn(cwd, &["audit", "--local", "--sysroot", &recorded(host), "--json"]);
    assert_eq!(code(&output), 0, "{host}: {}", err(&output));
    let value: Value = serde_json::from_slice(&output.stdout).expect("it is JSON");
    let schema = nicburn(cwd, &["schema", "audit"]);
    let schema: Value = serde_json::from_slice(&schema.stdout).expect("the schema is JSON");
    if let Err(fault) = jsonschema::validate(&schema, &value) {
        panic!("{host}: {fault} at {}", fault.instance_path());
    }
    value
}

/// The recorded hosts of the story, carried to one place: seven of one, and the eighth.
fn carried(cwd: &Path) -> Vec<String> {
    let sound = audited(cwd, "ixgbevf-2.16.4");
    let sick = audited(cwd, "xen-netfront");
    let facts = (1..=8).map(|number| if number < 8 { &sound } else { &sick });
    facts
        .zip(1..)
        .map(|(audit, number)| {
            let name = format!("h{number}.json");
            fs::write(cwd.join(&name), audit["hosts"][0]["facts"].to_string()).expect("written");
            name
        })
        .collect()
}

fn audit_files(cwd: &Path, files: &[String], more: &[&str]) -> Output {
    let mut arguments = vec!["audit", "--facts"];
    arguments.extend(files.iter().map(String::as_str));
    arguments.extend(more);
    nicburn(cwd, &arguments)
}

#[test]
fn every_recorded_host_is_audited_and_fits_the_schema() {
    let folder = folder();
    let hosts = fs::read_dir(recorded("")).expect("fixtures").map(|entry| entry.expect("an entry").path());
    let hosts: Vec<PathBuf> = hosts.filter(|path| path.is_dir()).collect();
    assert!(hosts.len() >= 8, "{hosts:?}");
    for host in hosts {
        let name = host.file_name().expect("a name").to_string_lossy().into_owned();
        let audit = audited(folder.path(), &name);
        assert_eq!(audit["hosts"][0]["host"], name.as_str());
        assert!(audit["hosts"][0]["table"]["driver"].is_string(), "{name}: {audit:#}");
    }
}

#[test]
fn the_storys_host_is_named_out_of_eight_files_with_driver_cause_and_command() {
    let folder = folder();
    let files = carried(folder.path());
    let output = audit_files(folder.path(), &files, &["--json"]);
    assert_eq!(code(&output), 0, "{}", err(&output));
    let audit: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let findings = audit["findings"].as_array().expect("a list");
    assert!(findings.iter().all(|finding| finding["host"] == "h8"), "{findings:#?}");
    let first = &findings[0];
    assert_eq!(first["rule"], "fell_back_to_xen_netfront");
    let text = first["text"].as_str().expect("a text");
    for word in ["vif", "7 of 8", "ixgbevf 2.16.4", "headers are not installed"] {
        assert!(text.contains(word), "`{word}` is missing in: {text}");
    }
    assert!(first["mend"].as_str().is_some_and(|mend| mend.contains("dkms autoinstall")), "{first:#}");
    let text = out(&audit_files(folder.path(), &files, &[]));
    assert!(text.contains("h8  fell_back_to_xen_netfront [warn]"), "{text}");
    assert!(!text.contains('\u{1b}'), "not a terminal");
}

#[test]
fn an_audits_own_json_can_be_audited_again() {
    let folder = folder();
    let files = carried(folder.path());
    let whole = audit_files(folder.path(), &files, &["--json"]);
    fs::write(folder.path().join("fleet.json"), &whole.stdout).expect("written");
    let again = nicburn(folder.path(), &["audit", "--facts", "fleet.json", "--json"]);
    assert_eq!(out(&again), out(&whole));
}

#[test]
fn a_policy_decides_the_exit_code() {
    let folder = folder();
    let files = carried(folder.path());
    for (policy, want) in [
        ("driver = \"ixgbevf\"\n", 10),
        ("severity = \"warn\"\ndriver = \"ixgbevf\"\n", 0),
        ("[[for]]\nhost = \"h1\"\nrequire.driver_version_min = \"2.16\"\n", 0),
        ("[[for]]\nhost = \"h1\"\nrequire.firmware_min = \"1\"\n", 12),
    ] {
        fs::write(folder.path().join("policy.toml"), policy).expect("written");
        let output = audit_files(folder.path(), &files, &["--policy", "policy.toml"]);
        assert_eq!(code(&output), want, "{policy}\n{}{}", out(&output), err(&output));
    }
}

#[test]
fn mistakes_are_named_with_the_way_out_and_end_with_2() {
    let folder = folder();
    fs::write(folder.path().join("policy.toml"), "drivr = \"ena\"\n").expect("written");
    fs::write(folder.path().join("empty.json"), "{}").expect("written");
    fs::write(folder.path().join("other.json"), "{\"schema\": \"nicburn.summary/1\"}").expect("written");
    fs::write(folder.path().join("broken.json"), "[1,").expect("written");
    let nobody = r#"{"schema":"nicburn.audit/1","verdict":"clean","hosts":[],"findings":[],"unread":[]}"#;
    fs::write(folder.path().join("nobody.json"), nobody).expect("written");
    let cases: &[(&[&str], &[&str])] = &[
        (&["audit"], &["no fleet is given", "--local", "--facts"]),
        (&["audit", "--facts"], &["--facts"]),
        (&["audit", "--facts", "absent.json"], &["absent.json"]),
        (&["audit", "--facts", "empty.json"], &["empty.json", "missing field"]),
        (&["audit", "--facts", "other.json"], &["other.json", "no facts of a host"]),
        (&["audit", "--facts", "broken.json"], &["broken.json"]),
        (&["audit", "--facts", "nobody.json"], &["no host"]),
        (&["audit", "--local", "--policy", "policy.toml"], &["line 1", "drivr", "did you mean driver?"]),
        (&["audit", "--local", "--policy", "absent.toml"], &["absent.toml"]),
        (&["audit", "--local", "--iface", "absent0"], &["absent0"]),
        (&["audit", "--local", "--sysroot", "absent"], &["absent"]),
        (&["audit", "--sysroot", "x"], &["--local"]),
        (&["audit", "--local", "--lab", "3"], &["--lab"]),
        (&["run", "storm", "--lab", "3", "--policy", "policy.toml"], &["drivr"]),
    ];
    for (arguments, words) in cases {
        let output = nicburn(folder.path(), arguments);
        let said = err(&output);
        assert_eq!(code(&output), 2, "{arguments:?}\n{said}");
        assert!(out(&output).is_empty(), "{arguments:?} printed to stdout");
        for word in *words {
            assert!(said.contains(word), "{arguments:?}: `{word}` is missing in:\n{said}");
        }
    }
}

#[test]
fn the_same_host_twice_is_a_mistake() {
    let folder = folder();
    let files = carried(folder.path());
    let output = nicburn(folder.path(), &["audit", "--facts", &files[0], &files[0]]);
    assert_eq!(code(&output), 2);
    assert!(err(&output).contains("h1"), "{}", err(&output));
}

#[test]
fn this_hosts_own_loopback_is_told_truly() {
    let folder = folder();
    let output = nicburn(folder.path(), &["audit", "--local", "--iface", "lo", "--json"]);
    let audit: Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{}", err(&output)));
    let mtu = fs::read_to_string("/sys/class/net/lo/mtu").expect("every machine has one");
    assert_eq!(audit["hosts"][0]["table"]["mtu"], mtu.trim());
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").expect("readable");
    assert_eq!(audit["hosts"][0]["table"]["kernel"], release.trim());
}

#[test]
fn the_doctor_tells_value_limit_and_remedy_and_a_taken_port_is_unfit() {
    let folder = folder();
    let output = nicburn(folder.path(), &["doctor", "--json"]);
    let told: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(told["fit"], code(&output) == 0);
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").expect("readable");
    assert_eq!(told["checks"][0]["value"], release.trim());

    let taken = std::net::UdpSocket::bind("127.0.0.1:0").expect("a port");
    let port = taken.local_addr().expect("its address").to_string();
    let output = nicburn(folder.path(), &["doctor", "--listen", &port]);
    assert_eq!(code(&output), 1, "{}", out(&output));
    assert!(out(&output).contains("BAD") && out(&output).contains("UNFIT"), "{}", out(&output));
}

/// Needs namespaces, as `tests/fleet.rs` does.
#[test]
fn a_labs_workers_tell_their_facts_and_a_run_holds_them_against_a_policy() {
    let folder = folder();
    let audit = nicburn(folder.path(), &["audit", "--lab", "3", "--json", "--quiet"]);
    assert_eq!(code(&audit), 0, "{}", err(&audit));
    let told: Value = serde_json::from_slice(&audit.stdout).expect("JSON");
    let hosts: Vec<&str> =
        told["hosts"].as_array().expect("a list").iter().filter_map(|host| host["host"].as_str()).collect();
    assert_eq!(hosts, ["h1", "h2", "h3"]);
    assert_eq!(told["hosts"][0]["table"]["driver"], "veth");
    assert_eq!(told["hosts"][0]["table"]["mtu"], "1500");
    assert!(!folder.path().join("results").exists(), "an audit is no run");

    fs::write(folder.path().join("policy.toml"), "driver = \"ena\"\n").expect("written");
    let arguments = ["run", "storm", "--lab", "3", "-t", "2", "--policy", "policy.toml", "--quiet", "--json"];
    let run = nicburn(folder.path(), &arguments);
    assert_eq!(code(&run), 10, "{}{}", out(&run), err(&run));
    let summary: Value = serde_json::from_slice(&run.stdout).expect("JSON");
    for host in summary["hosts"].as_array().expect("a list") {
        let findings = host["findings"].as_array().expect("a list");
        let text = findings.iter().find(|it| it["kind"] == "audit").and_then(|it| it["text"].as_str());
        assert!(text.is_some_and(|text| text.starts_with("policy.driver: the driver is veth")), "{host:#}");
    }
    // The policy stands in the record: judging again needs no file.
    fs::remove_file(folder.path().join("policy.toml")).expect("it was there");
    let judged = nicburn(folder.path(), &["judge", "results/latest", "--json"]);
    assert_eq!((code(&judged), out(&judged)), (10, out(&run)));
}
