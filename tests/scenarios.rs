//! The shipped scenarios: each is sound, says its question, and can be planned for every small fleet.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use nicburn::model::{
    fleet::host::{Host, HostId, NicFacts},
    plan::{draft, scenario::Scenario, schedule},
};

/// Fewest hosts of the shipped scenarios that need more than two; they say so in their first line.
const HOSTS_MIN: &[(&str, usize)] = &[("incast", 3), ("ramp", 3), ("scp-storm", 3)];

fn shipped() -> BTreeMap<String, (PathBuf, String)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios");
    fs::read_dir(&folder)
        .expect("the folder is part of the project")
        .map(|entry| entry.expect("a readable folder").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "toml"))
        .map(|path| {
            let name = path.file_stem().expect("a file has a name").to_string_lossy().into_owned();
            let text = fs::read_to_string(&path).expect("a readable file");
            (name, (path, text))
        })
        .collect()
}

fn read(path: &Path, text: &str) -> Scenario {
    draft::read(&path.display().to_string(), text).unwrap_or_else(|faults| panic!("{faults}"))
}

fn hosts(n: usize) -> Vec<Host> {
    let host = |id: usize| Host {
        id: HostId(id as u16),
        name: format!("h{}", id + 1).parse().expect("a sound name"),
        rack: Some(format!("r{}", id % 2)),
        nic: NicFacts::default(),
    };
    (0..n).map(host).collect()
}

#[test]
fn all_scenarios_that_the_readme_and_the_demo_name_are_there() {
    let names: Vec<String> = shipped().into_keys().collect();
    for wanted in ["bisection", "file-storm", "incast", "pairs", "quick", "ramp", "scp-storm", "storm"] {
        assert!(names.iter().any(|name| name == wanted), "{wanted} is not among {names:?}");
    }
}

#[test]
fn each_shipped_scenario_is_sound_is_named_as_its_file_and_asks_a_question() {
    for (name, (path, text)) in shipped() {
        let scenario = read(&path, &text);
        assert_eq!(scenario.name, name, "{}", path.display());
        assert!(text.starts_with("# "), "{name} begins with its question");
        assert!(scenario.about.contains('?'), "{name}: {:?} is no question", scenario.about);
    }
}

#[test]
fn each_shipped_scenario_is_planned_for_two_to_nine_hosts_or_says_how_many_it_needs() {
    for (name, (path, text)) in shipped() {
        let scenario = read(&path, &text);
        let needed = HOSTS_MIN.iter().find(|(of, _)| *of == name).map_or(2, |(_, hosts)| *hosts);
        for n in 2..=9 {
            match schedule::plan(&scenario, &hosts(n), 7) {
                Ok(plan) => {
                    assert!(n >= needed, "{name} was planned for {n} hosts and says it needs {needed}");
                    assert_eq!(plan.stages.len(), scenario.stages.len() + 2, "{name} on {n} hosts");
                    let idle = plan.stages[1..]
                        .iter()
                        .flat_map(|stage| &stage.rounds)
                        .zip(
                            plan.stages[1..].iter().flat_map(|stage| stage.rounds.iter().map(move |_| stage)),
                        )
                        .find(|(round, stage)| round.flows.is_empty() && stage.probes.is_empty());
                    assert!(idle.is_none(), "{name} on {n} hosts has a round without flows");
                }
                Err(faults) => {
                    assert!(n < needed, "{name} on {n} hosts: {faults}");
                    assert!(
                        scenario.about.contains(&format!("at least {needed} hosts")),
                        "{:?}",
                        scenario.about
                    );
                }
            }
        }
    }
}

#[test]
fn the_ramp_holds_each_step_long_enough_to_count_as_survived() {
    let (path, text) = shipped().remove("ramp").expect("it is shipped");
    for stage in read(&path, &text).stages {
        assert!(stage.round_length().as_secs() >= 8, "a dose is survived if it is held for 8 s");
    }
}

#[test]
fn the_schema_takes_every_shipped_scenario_and_refuses_a_key_it_does_not_know() {
    let schema = jsonschema::validator_for(&draft::schema()).expect("the schema is one");
    for (name, (_, text)) in shipped() {
        let value: serde_json::Value = toml::from_str(&text).expect("sound TOML");
        let faults: Vec<String> = schema.iter_errors(&value).map(|fault| fault.to_string()).collect();
        assert!(faults.is_empty(), "{name}: {faults:?}");
        let mut strange = value;
        strange["stage"][0]["colour"] = "red".into();
        assert!(!schema.is_valid(&strange), "{name} with an unknown key");
    }
}
