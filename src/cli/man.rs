//! `nicburn man`: the manual page, as roff.

use anyhow::Context as _;
use clap::CommandFactory as _;

use super::{args::Cli, exit, failure::Failure, output};

pub(super) fn main() -> Result<u8, Failure> {
    let mut page = Vec::new();
    clap_mangen::Man::new(Cli::command())
        .render(&mut page)
        .context("cannot render the manual page")
        .map_err(Failure::failed)?;
    output::data(&String::from_utf8_lossy(&page))?;
    Ok(exit::OK)
}
