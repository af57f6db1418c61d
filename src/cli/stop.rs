//! `nicburn stop`: ends a run on this machine as Ctrl-C at its terminal would.

use anyhow::{Context as _, anyhow};

use super::{args::StopArgs, exit, failure::Failure, files, output};
use crate::coordinator::stop;

pub(super) fn main(args: &StopArgs) -> Result<u8, Failure> {
    let state_dir = files::state_dir()?;
    let runs =
        stop::list(&state_dir).context("cannot list the runs on this machine").map_err(Failure::failed)?;
    let run = choose(args.run.as_deref(), &runs)?;
    stop::stop(&state_dir, run).with_context(|| format!("cannot stop {run}")).map_err(Failure::failed)?;
    output::note(&format!("told {run} to stop; it writes its partial verdict and ends"));
    Ok(exit::OK)
}

/// The run that is meant, if that is clear.
fn choose<'a>(asked: Option<&'a str>, runs: &'a [String]) -> Result<&'a str, Failure> {
    match (asked, runs) {
        (_, []) => Err(Failure::usage(anyhow!("no run is going on here under this user"))),
        (None, [only]) => Ok(only),
        (None, several) => Err(Failure::usage(anyhow!("{} runs are going on", several.len()))
            .help(format!("name one: {}", several.join(", ")))),
        (Some(name), runs) if runs.iter().any(|run| run == name) => Ok(name),
        (Some(name), runs) => Err(Failure::usage(anyhow!("no run `{name}` is going on here"))
            .help(format!("these are: {}", runs.join(", ")))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_run_to_stop_is_never_guessed() {
        let two = ["a".to_owned(), "b".to_owned()];
        assert_eq!(choose(None, &two[..1]).expect("the only one"), "a");
        assert_eq!(choose(Some("b"), &two).expect("named"), "b");
        assert!(choose(None, &two).expect_err("unclear").to_string().contains("a, b"));
        assert_eq!(choose(Some("c"), &two).expect_err("unknown").code(), 2);
        assert_eq!(choose(None, &[]).expect_err("none").code(), 2);
    }
}
