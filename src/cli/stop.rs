//! `nicburn stop`: ends a run on this machine as Ctrl-C at its terminal would.

use super::{args::StopArgs, exit, failure::Failure, files, output};
use crate::coordinator::stop::{self, StopError};

pub(super) fn main(args: &StopArgs) -> Result<u8, Failure> {
    let run = stop::stop(&files::state_dir()?, args.run.as_deref()).map_err(whose_mistake)?;
    output::note(&format!("told {run} to stop; it writes its partial verdict and ends"));
    Ok(exit::OK)
}

/// A run that is not there is the caller's mistake; one that does not answer is not.
fn whose_mistake(error: StopError) -> Failure {
    match error {
        StopError::None(_) | StopError::Unknown(..) | StopError::Several(..) => Failure::usage(error),
        StopError::Failed { .. } => Failure::failed(error),
    }
}
