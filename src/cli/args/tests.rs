use clap::{CommandFactory as _, Parser as _};

use super::Cli;

/// Every line of any help text that begins with `nicburn `, by the command it stands at.
fn examples() -> Vec<String> {
    fn collect(command: &clap::Command, found: &mut Vec<String>) {
        let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
        found.extend(
            help.lines().map(str::trim).filter(|line| line.starts_with("nicburn ")).map(str::to_owned),
        );
        command.get_subcommands().for_each(|sub| collect(sub, found));
    }
    let mut found = vec![];
    collect(&Cli::command(), &mut found);
    found
}

#[test]
fn the_definitions_hold_together() {
    Cli::command().debug_assert();
}

#[test]
fn every_example_in_the_help_is_a_sound_command_line() {
    let examples = examples();
    assert!(examples.len() >= 15, "examples were lost: {examples:?}");
    for example in examples {
        if let Err(error) = Cli::try_parse_from(example.split_whitespace()) {
            panic!("{example}\n{error}");
        }
    }
}

#[test]
fn every_visible_command_has_an_example() {
    for command in Cli::command().get_subcommands().filter(|command| !command.is_hide_set()) {
        let name = command.get_name();
        let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
        assert!(help.contains(&format!("nicburn {name}")), "`nicburn {name}` has no example");
    }
}

#[test]
fn what_cannot_be_meant_is_a_usage_error() {
    let wrong: &[&str] = &[
        "nicburn",
        "nicburn run",
        "nicburn run storm --lab 1",
        "nicburn run storm --lab 8 --listen 0.0.0.0:1 --join-file j --expect-workers 8",
        "nicburn run storm --lab 8 -b 100",
        "nicburn run storm --lab 8 -t 0",
        "nicburn run storm --lab 8 -P 0",
        "nicburn run storm --advertise 192.0.2.1:7",
        "nicburn run storm --min-workers 3",
        "nicburn audit --facts",
        "nicburn audit --local --facts x.json",
        "nicburn audit --iface eth0",
        "nicburn lab fault",
        "nicburn lab exec h1",
        "nicburn schema record",
    ];
    for line in wrong {
        let error = Cli::try_parse_from(line.split_whitespace()).expect_err(line);
        assert_eq!(error.exit_code(), 2, "{line}");
    }
}
