//! Stages that move files: what they need is looked for before the stage, and said.

use std::{collections::BTreeSet, sync::Arc};

use super::super::transfer::{
    Shared,
    scp::{settings, tools},
    stage::{Flow, Stage},
};
use crate::model::{plan::carriage::Transport, run::message::Role};

/// What a stage needs for its files.
#[derive(Debug, Default, Eq, PartialEq)]
struct Needs {
    /// Whether it sends, and receives, through OpenSSH.
    scp: (bool, bool),
    /// Whether it moves files at all.
    files: bool,
    /// Sizes of the files that it sends.
    sent: BTreeSet<u64>,
    /// Bytes that it receives in the round in which it receives most.
    received: u64,
    /// Flows that it receives at once, at most.
    doors: u64,
}

fn needs(stage: &Stage) -> Needs {
    let mut needs = Needs::default();
    for round in stage.rounds.iter().filter(|round| round.carriage.transport.moves_a_file()) {
        let (sinks, sources): (Vec<&Flow>, Vec<&Flow>) =
            round.flows.iter().partition(|flow| flow.role == Role::Sink);
        let bytes = round.carriage.file_bytes.unwrap_or(0);
        needs.files = true;
        if round.carriage.transport == Transport::Scp {
            needs.scp.0 |= !sources.is_empty();
            needs.scp.1 |= !sinks.is_empty();
        }
        if !sources.is_empty() {
            needs.sent.insert(bytes);
        }
        needs.received = needs.received.max(bytes.saturating_mul(sinks.len() as u64));
        needs.doors = needs.doors.max(sinks.len() as u64);
    }
    needs
}

/// Checks that a stage's files can be moved here, and begins to write what is to be sent.
///
/// # Errors
///
/// What is missing, for whoever started the run.
pub(super) fn ready(shared: &Arc<Shared>, stage: &Stage) -> Result<(), String> {
    let needs = needs(stage);
    let sent: Vec<u64> = needs.sent.iter().copied().collect();
    shared.depot.keep_only(&sent);
    if !needs.files {
        return Ok(());
    }
    tools::check(needs.scp.0, needs.scp.1)?;
    shared.depot.fits(needs.received, &sent)?;
    if needs.scp != (false, false) {
        let folder = shared.depot.folder().map_err(|error| error.to_string())?;
        settings::plain(&folder)?;
    }
    if let Some((first, last)) = shared.binding.data_ports {
        // One of them is the worker's own.
        let free = u64::from(last - first);
        if free < needs.doors {
            return Err(format!(
                "{} files are received at once and --data-ports {first}-{last} leaves {free} ports for them; name at least {}",
                needs.doors,
                needs.doors + 1
            ));
        }
    }
    for bytes in sent {
        shared.depot.stock(&stage.payload, bytes);
    }
    Ok(())
}
