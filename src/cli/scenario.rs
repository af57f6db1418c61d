//! `nicburn scenario`: what can be run, whether it is sound, and how a file is written.

use super::{
    args::{ScenarioArgs, ScenarioCommand},
    exit,
    failure::Failure,
    output, scenarios,
};
use crate::model::plan::draft;

pub(super) fn main(args: &ScenarioArgs) -> Result<u8, Failure> {
    match &args.command {
        ScenarioCommand::List => list(),
        ScenarioCommand::Check { scenarios } => check(scenarios),
        ScenarioCommand::Schema => {
            output::data(&format!("{:#}\n", draft::schema()))?;
            Ok(exit::OK)
        }
    }
}

fn list() -> Result<u8, Failure> {
    let table: Vec<String> = scenarios::list()
        .iter()
        .map(|(name, found)| {
            let question = found.text.lines().next().unwrap_or_default().trim_start_matches(['#', ' ']);
            format!("{name:<20} {question}  ({})\n", found.called)
        })
        .collect();
    output::data(&table.concat())?;
    Ok(exit::OK)
}

/// Checks them all before it gives up, so that one round of mending is enough.
fn check(asked: &[String]) -> Result<u8, Failure> {
    let mut code = exit::OK;
    for name in asked {
        match scenarios::load(name) {
            Ok(scenario) => {
                let stages = scenario.stages.len();
                let noun = if stages == 1 { "stage" } else { "stages" };
                output::data(&format!("{name}: sound, {stages} {noun}\n"))?;
            }
            Err(failure) => {
                output::error(&failure);
                code = failure.code();
            }
        }
    }
    Ok(code)
}
