//! One worker a card: carries the bytes that `nicburn` plans, and counts them.

use std::process::ExitCode;

use clap::Parser;
use nicburn::{cli, worker::WorkerArgs};

/// Carry the load of one network card, as the coordinator of a join file plans it
///
/// It sends only to hosts of its own run, only while the coordinator's lease and the
/// receiver's consent last, and ends by itself with the run.
#[derive(Debug, Parser)]
#[command(name = "nicburn-worker", version, after_help = EXIT_CODES)]
struct Args {
    #[command(flatten)]
    worker: WorkerArgs,
}

const EXIT_CODES: &str = "\
Exit codes:
   0  the run is over and everything is delivered
   1  it could not go on
   2  it was refused, or must not work; nothing was sent
  13  its coordinator was gone to the end; the spool is on disk";

fn main() -> ExitCode {
    cli::log_to_stderr();
    ExitCode::from(cli::worker(Args::parse().worker))
}
