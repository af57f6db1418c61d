//! Reads a scenario file: text → draft → checked [`Scenario`].
//!
//! A [`Scenario`] can only be made here, so whoever holds one need not check again. All
//! faults are found in one pass, each with its line and a way out: nobody should have to run
//! the tool five times to learn of five mistakes.

use std::time::Duration;

use super::{
    dose::{Pattern, Ways},
    scenario::{Scenario, Stage},
};

mod carriage;
mod faults;
pub(super) mod reader;
mod stage;

pub use faults::{Fault, Faults};
use reader::Reader;

/// Stages of one scenario at most: what a person can still read.
const STAGES_MAX: usize = 64;

/// What confirming suspects may take unless the file says otherwise (the contract's figure).
const CONFIRM_US: u64 = 40_000_000;

/// … and at most.
const CONFIRM_MAX: Duration = Duration::from_secs(600);

/// Characters of a name: it becomes part of a folder's name.
const NAME_MAX: usize = 40;

/// Reads and checks a scenario file's text; `of` names it in errors.
///
/// # Errors
///
/// With everything that is wrong with it.
pub fn read(of: &str, text: &str) -> Result<Scenario, Faults> {
    let mut reader = Reader::new(of, text);
    let scenario = scenario(&mut reader, text);
    match scenario {
        Some(scenario) if reader.is_sound() => Ok(scenario),
        _ => Err(reader.into_faults()),
    }
}

fn scenario(reader: &mut Reader<'_>, text: &str) -> Option<Scenario> {
    let root = reader.root("see a shipped scenario for the form: nicburn scenario list")?;
    let table = root.get_ref();
    reader.only_keys(table, "", &["name", "about", "confirm", "stage"]);
    let name = reader.text(table, "", "name").and_then(|(name, line)| {
        let sound = !name.is_empty()
            && name.len() <= NAME_MAX
            && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-');
        if !sound {
            let wrong = format!("`{name}` cannot be part of a folder's name");
            reader.fault(
                line,
                "name",
                wrong,
                format!("use 1 to {NAME_MAX} lower-case letters, digits and hyphens"),
            );
        }
        sound.then_some(name)
    });
    if name.is_none() && table.get("name").is_none() {
        reader.missing("name", "name = \"my-question\"");
    }
    let about = match reader.text(table, "", "about") {
        Some((about, line)) => {
            if about.chars().any(char::is_control) {
                let help = "write one line, and the rest as comments".to_owned();
                reader.fault(line, "about", "is more than one line of plain text".to_owned(), help);
            }
            about
        }
        None => first_comment(text),
    };
    let confirm_us = match table.get("confirm") {
        Some(_) => reader.length_us(table, "", "confirm", (Duration::ZERO, CONFIRM_MAX)),
        None => Some(CONFIRM_US),
    };
    let stages = stages(reader, table)?;
    Some(Scenario { name: name?, about, stages, confirm_us: confirm_us?, pair: None })
}

fn stages(reader: &mut Reader<'_>, table: &toml::de::DeTable<'_>) -> Option<Vec<Stage>> {
    let Some(value) = table.get("stage") else {
        reader.missing("stage", "[[stage]] with a pattern and a length, for example:\n          [[stage]]\n          pattern = \"storm\"\n          for = \"20s\"");
        return None;
    };
    let line = reader.line(value.span());
    let Some(array) = value.get_ref().as_array().filter(|array| !array.is_empty()) else {
        reader.fault(line, "stage", "is not a list of tables".to_owned(), "write [[stage]]".to_owned());
        return None;
    };
    if array.len() > STAGES_MAX {
        let wrong = format!("{} stages are more than {STAGES_MAX}", array.len());
        reader.fault(line, "stage", wrong, "split the scenario".to_owned());
    }
    let mut stages: Vec<Stage> = Vec::new();
    for value in array {
        let line = reader.line(value.span());
        let Some(table) = value.get_ref().as_table() else {
            reader.fault(line, "stage", "is not a table".to_owned(), "write [[stage]]".to_owned());
            continue;
        };
        let Some(stage) = stage::read(reader, table, line) else { continue };
        if stages.iter().any(|other| other.name == stage.name) {
            let wrong = format!("two stages are called `{}`", stage.name);
            reader.fault(line, "stage.name", wrong, "give one of them a name of its own".to_owned());
        }
        stages.push(stage);
    }
    Some(stages)
}

/// The first line's comment: the question that the file answers.
fn first_comment(text: &str) -> String {
    text.lines()
        .next()
        .and_then(|line| line.strip_prefix('#'))
        .map_or_else(String::new, |line| line.trim().to_owned())
}

/// Which patterns are impossible for this many hosts.
///
/// # Errors
///
/// With every stage that this fleet is too small for.
pub fn check_fleet(of: &str, scenario: &Scenario, hosts: usize) -> Result<(), Faults> {
    let mut faults = Vec::new();
    if hosts < 2 {
        faults.push(Fault {
            line: None,
            key: "hosts".to_owned(),
            wrong: format!("{hosts} hosts cannot send to each other"),
            help: "name at least 2 hosts".to_owned(),
        });
    }
    for stage in &scenario.stages {
        for dose in &stage.steps {
            let needed = match dose.pattern {
                Pattern::FanOut { sources } => usize::from(sources) + 1,
                Pattern::Incast => 3,
                Pattern::Ring if dose.ways == Ways::BothWays => 3,
                _ => 2,
            };
            if hosts < needed
                && !faults.iter().any(|fault: &Fault| fault.key == format!("{}.pattern", stage.name))
            {
                faults.push(Fault {
                    line: None,
                    key: format!("{}.pattern", stage.name),
                    wrong: format!(
                        "`{}` needs at least {needed} hosts and the fleet has {hosts}",
                        dose.pattern.name()
                    ),
                    help: "name more hosts, or take another pattern".to_owned(),
                });
            }
        }
    }
    if faults.is_empty() { Ok(()) } else { Err(Faults { of: of.to_owned(), faults }) }
}

/// The JSON Schema of a scenario file.
pub fn schema() -> serde_json::Value {
    schemars::schema_for!(stage::ScenarioFile).to_value()
}

#[cfg(test)]
mod tests;
