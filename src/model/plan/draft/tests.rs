//! What a person meets who writes a scenario.

use super::*;
use crate::model::plan::dose::Rate;

#[test]
fn all_faults_are_told_at_once_each_with_its_line_and_a_way_out() {
    let text = r#"# a bad one
name = "Incast 32:1"
colour = "red"

[[stage]]
pattern = "vortex"
for = "90 ms"
rate = "90 %"

[[stage]]
pattern = "storm"
sources = 2
for = 20
streams = 0
rate = "100"
"#;
    let faults = read("bad.toml", text).expect_err("it is full of faults");
    insta::assert_snapshot!(faults.to_string(), @r#"
    bad.toml has 9 faults
      line 2, name: `Incast 32:1` cannot be part of a folder's name
        help: use 1 to 40 lower-case letters, digits and hyphens
      line 3, colour: is no known key
        help: use name, about, confirm, stage
      line 6, stage.pattern: `vortex` is no pattern
        help: use pairs, ring, incast, fan_out, bisection, storm or idle
      line 7, stage.for: `90 ms` is out of bounds
        help: use 600ms to 24h
      line 8, stage.rate: 90 % is more than a paced flow may take: above 70 % healthy links lose packets too
        help: use at most "70 %", leave rate out to saturate, or use steps for a ramp
      line 12, stage.sources: goes with the pattern fan_out and this is `storm`
        help: leave it out, or use pattern = "fan_out"
      line 13, stage.for: is an integer and should be text
        help: write for example for = "10s"
      line 14, stage.streams: 0 is out of bounds
        help: use 1 to 1000
      line 15, stage.rate: `100` has no unit; write for example "100 Gb/s"
        help: write a rate such as "20 Mb/s", "20 kpps" or a share such as "50 %"
    "#);
}

#[test]
fn a_sound_file_gives_its_stages_and_its_first_comment() {
    let text = "# Who dies?\nname = \"x\"\n[[stage]]\npattern = \"fan_out\"\nsources = 2\nways = \"one\"\nfor = \"1.5s\"\nsteps = [\"20 %\", \"30 Mb/s\"]\n";
    let scenario = read("x.toml", text).expect("sound");
    assert_eq!(scenario.about, "Who dies?");
    let stage = &scenario.stages[0];
    assert_eq!(
        (stage.name.as_str(), stage.for_us, stage.repeat, stage.gap_us),
        ("fan_out", 1_500_000, 1, 200_000)
    );
    assert_eq!(stage.steps.len(), 2);
    assert_eq!(stage.steps[0].rate, Rate::Share(0.2));
    assert_eq!(stage.steps[0].pattern, Pattern::FanOut { sources: 2 });
    assert!(check_fleet("x", &scenario, 3).is_ok());
    let small = check_fleet("x", &scenario, 2).expect_err("two sources and a receiver are three");
    assert!(small.to_string().contains("needs at least 3 hosts and the fleet has 2"), "{small}");
}

#[test]
fn a_count_is_read_in_the_base_it_is_written_in() {
    let streams = |written: &str| {
        let text =
            format!("name = \"x\"\n[[stage]]\npattern = \"storm\"\nfor = \"1s\"\nstreams = {written}\n");
        read("x.toml", &text).map(|scenario| scenario.stages[0].steps[0].carriage.streams).ok()
    };
    assert_eq!(
        ["16", "0x10", "0b1_0000", "0o20", "1_000"].map(streams),
        [Some(16), Some(16), Some(16), Some(16), Some(1000)]
    );
    assert_eq!(["0x3e9", "-1", "1.5", "99999999999999999999"].map(streams), [None; 4]);
}

#[test]
fn stages_have_names_that_can_be_told_apart_and_printed() {
    let text = r#"name = "x"
about = "two\nlines"
[[stage]]
name = "reach"
pattern = "storm"
for = "24h"
[[stage]]
name = "red \u001b[31m"
pattern = "storm"
for = "25h"
[[stage]]
pattern = "ring"
for = "650ms"
[[stage]]
pattern = "ring"
for = "1s"
steps = []
[[stage]]
name = "ring"
pattern = "pairs"
for = "1s"
gap = "2m"
"#;
    let faults = read("x.toml", text).expect_err("it is full of faults");
    insta::assert_snapshot!(faults.to_string(), @r#"
    x.toml has 7 faults
      line 2, about: is more than one line of plain text
        help: write one line, and the rest as comments
      line 4, stage.name: `reach` is what every run calls a stage of its own
        help: take another name
      line 8, stage.name: "red \u{1b}[31m" is no name of a stage
        help: use 1 to 40 lower-case letters, digits, hyphens and underscores
      line 10, stage.for: `25h` is out of bounds
        help: use 600ms to 24h
      line 13, stage.for: `650ms` is no multiple of 100ms, the grid that bytes are counted on
        help: use 600ms
      line 17, stage.steps: is empty
        help: write steps = ["20 %", "40 %"]
      line 22, stage.gap: `2m` is out of bounds
        help: use 0s to 60s
    "#);
}

#[test]
fn two_stages_of_one_name_are_a_fault() {
    let stage = "[[stage]]\npattern = \"storm\"\nfor = \"1s\"\n";
    let faults = read("x.toml", &format!("name = \"x\"\n{stage}{stage}")).expect_err("two storms");
    assert!(faults.to_string().contains("line 5, stage.name: two stages are called `storm`"), "{faults}");
}

#[test]
fn what_is_no_toml_is_said_with_its_line() {
    let faults = read("x.toml", "name = \"x\"\n[[stage]\n").expect_err("no TOML");
    assert_eq!(faults.faults[0].line, Some(2), "{faults}");
}

#[test]
fn the_schema_of_a_scenario_names_its_keys() {
    let schema = schema().to_string();
    for key in ["pattern", "sources", "ways", "for", "gap", "repeat", "streams", "rate", "steps"] {
        assert!(schema.contains(&format!("\"{key}\"")), "{key}");
    }
}
