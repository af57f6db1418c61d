//! `cargo bench`: the same as `nicburn-worker bench`, of the library as it is built here.
//!
//! `cargo bench --bench engines -- --case discard-bare --reps 3`

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use nicburn::{cli, worker::bench::BenchArgs};

#[derive(Debug, Parser)]
#[command(args_conflicts_with_subcommands = true)]
struct Args {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    bench: BenchArgs,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// One end of a measured transfer
    #[command(hide = true)]
    BenchEnd,
}

fn main() -> ExitCode {
    cli::log_to_stderr();
    // `cargo bench` adds `--bench`, `cargo test --benches` nothing at all.
    let words = std::env::args_os().filter(|word| word != "--bench");
    let args = Args::parse_from(words);
    ExitCode::from(match args.command {
        Some(Command::BenchEnd) => cli::bench_end(),
        None => cli::bench(&args.bench),
    })
}
