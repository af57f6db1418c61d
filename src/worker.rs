//! stub of the agreed interface
#![allow(missing_docs, clippy::all, clippy::pedantic, clippy::todo, unused, reason = "stub")]
use std::{net::IpAddr, path::PathBuf};
#[derive(Debug, clap::Args)]
pub struct WorkerArgs {
    #[arg(long)] pub join: PathBuf,
}
/// The whole life of a worker; the process's exit code (0 over, 1 failed, 2 refused, 13 lost its coordinator).
pub fn main(args: WorkerArgs) -> i32 { todo!() }
