//! All that a person types and sees: command line, drawing, logging, exit codes.
//!
//! One file a command. What a command *means* is decided elsewhere: the coordinator runs,
//! the model judges, the report words it; here things are loaded, called, shown, and their
//! outcome becomes an exit code. The only room that prints.

pub mod args;
pub mod exit;

mod audit;
mod bench;
mod completions;
mod demo;
mod doctor;
mod drive;
mod dry_run;
mod failure;
mod files;
mod judge;
mod lab;
mod log;
mod man;
mod output;
mod overrides;
mod pair;
mod record;
mod report;
mod run;
mod scenario;
mod scenarios;
mod schema;
mod score;
mod screen;
mod show;
mod signals;
mod stop;
mod verdict;

use args::{Cli, Command};

/// Carries out one parsed command line and says what the process's exit code is.
///
/// All failures are printed here, to stderr, once.
pub fn main(cli: Cli) -> u8 {
    log::start();
    // A panic has printed itself; left alone it would end as 101, which no script expects.
    match std::panic::catch_unwind(|| dispatch(cli.command)) {
        Ok(Ok(code)) => code,
        Ok(Err(failure)) => {
            output::error(&failure);
            failure.code()
        }
        Err(_) => exit::FAILED,
    }
}

/// Starts logging, for binaries that have no command line of this room.
pub fn log_to_stderr() {
    log::start();
}

/// A worker's life, for both binaries.
pub fn worker(args: crate::worker::WorkerArgs) -> u8 {
    match crate::worker::main(args) {
        Ok(()) => exit::OK,
        Err(ending) => {
            output::note(&format!("error: {ending}"));
            exit::of_process(ending.code())
        }
    }
}

/// The bench of the engines, for the worker's binary and `cargo bench`.
pub fn bench(args: &crate::worker::bench::BenchArgs) -> u8 {
    ended(bench::main(args))
}

/// One end of a bench's transfer, for the same.
pub fn bench_end() -> u8 {
    ended(bench::end())
}

fn ended(result: Result<u8, failure::Failure>) -> u8 {
    result.unwrap_or_else(|failure| {
        output::error(&failure);
        failure.code()
    })
}

fn dispatch(command: Command) -> Result<u8, failure::Failure> {
    match command {
        Command::Demo(args) => demo::main(&args),
        Command::Run(args) => run::main(&args),
        Command::Pair(args) => pair::main(&args),
        Command::Judge(args) => judge::main(&args),
        Command::Audit(args) => audit::main(&args),
        Command::Doctor(args) => doctor::main(&args),
        Command::Stop(args) => stop::main(&args),
        Command::Lab(args) => lab::main(args),
        Command::Report(args) => report::main(&args),
        Command::Show(args) => show::main(&args),
        Command::Scenario(args) => scenario::main(&args),
        Command::Schema(args) => schema::main(&args),
        Command::Completions(args) => completions::main(&args),
        Command::Man => man::main(),
        Command::Worker(args) => Ok(worker(args)),
        Command::LabHolder => Ok(exit::of_process(crate::lab::holder::main())),
    }
}
