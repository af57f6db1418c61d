//! `nicburn-worker bench`, and the hidden command that is one end of it.

use std::{fmt::Write as _, io::Read as _};

use anyhow::{Context as _, anyhow};

use super::{exit, failure::Failure, output};
use crate::worker::bench::{self, BenchArgs, BenchError, Outcome};

/// An order is short; more is none.
const ORDERS_BYTES_MAX: u64 = 64 * 1024;

pub(super) fn main(args: &BenchArgs) -> Result<u8, Failure> {
    if args.list {
        output::data(&bench::list())?;
        return Ok(exit::OK);
    }
    let command = std::env::args().enumerate().fold(String::new(), |mut text, (at, word)| {
        let word = if at == 0 { word.rsplit('/').next().unwrap_or_default().to_owned() } else { word };
        let space = if at == 0 { "" } else { " " };
        write!(text, "{space}{word}").expect("writing to a String cannot fail");
        text
    });
    let done = bench::run(args, &command, &mut |line| output::note(line));
    let (results, page) = done.map_err(|error| match error {
        BenchError::NoCase { .. } => Failure::usage(error).help("list them: nicburn-worker bench --list"),
        error => Failure::failed(error),
    })?;
    output::data(&bench::table(&results))?;
    output::note(&format!("written to {}", page.display()));
    Ok(match results.outcome() {
        Outcome::Met => exit::OK,
        Outcome::Missed => exit::GATE_MISSED,
        Outcome::Failed => exit::FAILED,
    })
}

/// One end: orders on standard input, its answer on standard output.
pub(super) fn end() -> Result<u8, Failure> {
    let mut orders = String::new();
    let read = std::io::stdin().take(ORDERS_BYTES_MAX).read_to_string(&mut orders);
    read.context("cannot read the orders of this end").map_err(Failure::failed)?;
    let answer = bench::carry(&orders).map_err(|error| Failure::failed(anyhow!(error)))?;
    output::data(&format!("{answer}\n"))?;
    Ok(exit::OK)
}
