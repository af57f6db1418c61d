//! One worker a card: carries the bytes that `nicburn` plans, and counts them.

use std::process::ExitCode;

use clap::{CommandFactory as _, Parser, Subcommand, error::ErrorKind};
use nicburn::{
    cli,
    worker::{WorkerArgs, bench::BenchArgs},
};

/// Carry the load of one network card, as the coordinator of a join file plans it
///
/// It sends only to hosts of its own run, only while the coordinator's lease and the
/// receiver's consent last, and ends by itself with the run.
#[derive(Debug, Parser)]
#[command(name = "nicburn-worker", version, after_help = EXIT_CODES)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
#[command(disable_help_subcommand = true)]
struct Args {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    worker: Option<WorkerArgs>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Measure the engines on this machine, alone and against the loaders that are installed
    ///
    /// Runs in network namespaces of its own, which are gone afterwards; takes all cores.
    #[command(after_help = BENCH_HELP)]
    Bench(BenchArgs),
    /// One end of a measured transfer, as `bench` starts it
    #[command(hide = true)]
    BenchEnd,
}

const EXIT_CODES: &str = "\
Exit codes:
   0  the run is over and everything is delivered
   1  it could not go on
   2  it was refused, or must not work; nothing was sent
  13  its coordinator was gone to the end; the spool is on disk";

const BENCH_HELP: &str = "\
Examples:
  nicburn-worker bench --list
  nicburn-worker bench --case copy-iperf3 --case discard-bare
  nicburn-worker bench --quick

Exit codes:
   0  every bound is met; a peer that is not installed is named, and misses none
   1  a run failed
   2  there is no such case
  11  a bound is missed";

fn main() -> ExitCode {
    cli::log_to_stderr();
    let args = Args::parse();
    ExitCode::from(match (args.command, args.worker) {
        (Some(Command::Bench(args)), _) => cli::bench(&args),
        (Some(Command::BenchEnd), _) => cli::bench_end(),
        (None, Some(worker)) => cli::worker(worker),
        (None, None) => {
            let what = "give the join file of a run with --join";
            Args::command().error(ErrorKind::MissingRequiredArgument, what).exit()
        }
    })
}
