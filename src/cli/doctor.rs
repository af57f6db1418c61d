//! `nicburn doctor`: is this host fit to run a worker or a coordinator, and what to change.

use super::{args::DoctorArgs, exit, failure::Failure, output};
use crate::{model::fleet::fitness, report};

mod read;

pub(super) fn main(args: &DoctorArgs) -> Result<u8, Failure> {
    let checks = fitness::checks(&read::all(args));
    if args.json {
        output::data(&report::doctor::json(&checks))?;
    } else {
        output::data(&report::doctor::text(&checks, output::style()))?;
    }
    Ok(if fitness::is_fit(&checks) { exit::OK } else { exit::FAILED })
}
