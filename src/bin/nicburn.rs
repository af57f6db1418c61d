//! The coordinator and all that a person types. What it does lies in [`nicburn::cli`].

use std::process::ExitCode;

use clap::Parser as _;
use nicburn::cli::{self, args::Cli};

/// A record of a hundred hosts is five million small pieces of memory: the C library's allocator asks
/// the kernel for each page of them.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    // Usage errors, `--help` and `--version` end here, with clap's 2 and 0.
    let cli = Cli::parse();
    // Nothing may start a thread before this: a lab moves the process into its namespace.
    ExitCode::from(cli::main(cli))
}
