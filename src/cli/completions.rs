//! `nicburn completions`: what a shell needs to complete our command line.

use clap::CommandFactory as _;

use super::{
    args::{Cli, CompletionsArgs},
    exit,
    failure::Failure,
    output,
};

pub(super) fn main(args: &CompletionsArgs) -> Result<u8, Failure> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "nicburn", &mut script);
    output::data(&String::from_utf8_lossy(&script))?;
    Ok(exit::OK)
}
