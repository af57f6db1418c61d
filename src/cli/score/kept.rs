//! Runs of the scoreboard that were kept, and judging them again.

use std::{
    fs,
    path::{Path, PathBuf},
};

use super::{Turn, score};
use crate::{
    cli::{failure::Failure, record},
    journal,
    lab::score::{Heard, Outcome},
    model::judge::verdict::judge,
};

/// Where the run of a turn is kept.
pub(super) fn folder(keep: &Path, turn: &Turn) -> PathBuf {
    keep.join(format!("{}-{}", turn.case.name, turn.seed))
}

/// Keeps a run's folder.
pub(super) fn keep(run: &Path, to: &Path) -> Result<(), Failure> {
    let failed = |error: std::io::Error| {
        Failure::failed(
            anyhow::Error::from(error).context(format!("cannot keep the run as {}", to.display())),
        )
    };
    fs::create_dir_all(to).map_err(failed)?;
    for entry in fs::read_dir(run).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        if entry.path().is_file() {
            fs::copy(entry.path(), to.join(entry.file_name())).map_err(failed)?;
        }
    }
    Ok(())
}

/// What this version makes of a kept run; when its drop-offs were told stays as it was. `None`
/// where it was not kept.
pub(super) fn judged_again(keep: &Path, turn: &Turn, before: &Outcome) -> Result<Option<Outcome>, Failure> {
    let folder = folder(keep, turn);
    if journal::find_record(&folder).is_err() {
        return Ok(None);
    }
    let record = record::read(&folder, &[])?;
    let drawn = score::drawn(turn.case, turn.seed);
    let mut outcome = score::outcome(turn.case, &drawn, turn.seed, &judge(&record), &Heard::default());
    for (now, then) in outcome.sick.iter_mut().zip(&before.sick) {
        now.told_after_s = then.told_after_s;
    }
    Ok(Some(outcome))
}
