//! stub
#![allow(missing_docs, unused, clippy::all, clippy::pedantic, reason = "stub")]
use std::{net::IpAddr, path::PathBuf};
pub mod transfer;
#[derive(Debug, clap::Args)]
pub struct WorkerArgs {
    #[arg(long)] pub join: PathBuf,
}
pub fn main(args: WorkerArgs) -> i32 { todo!() }
