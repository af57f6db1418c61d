//! Ctrl-C and its kin, as the run understands them: first stop, then now.

use anyhow::Context as _;
use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    sync::watch,
};

use super::{exit, failure::Failure, output};
use crate::coordinator::StopLevel;

/// Turns SIGINT, SIGTERM and SIGHUP into stop levels for as long as the runtime lives.
///
/// The first asks for a stop with what was measured so far, the second gives up waiting for
/// it, and a third ends the process there and then.
pub(super) fn watch(stop: watch::Sender<StopLevel>) -> Result<(), Failure> {
    let catch = |kind: SignalKind| signal(kind).context("cannot watch for signals").map_err(Failure::failed);
    let signals =
        [catch(SignalKind::interrupt())?, catch(SignalKind::terminate())?, catch(SignalKind::hangup())?];
    tokio::spawn(escalate(signals, stop));
    Ok(())
}

async fn escalate(mut signals: [Signal; 3], stop: watch::Sender<StopLevel>) {
    any(&mut signals).await;
    output::note("stopping: senders first, then what was measured is judged (again to give up on it)");
    stop.send_replace(StopLevel::Stop);
    any(&mut signals).await;
    stop.send_replace(StopLevel::Now);
    any(&mut signals).await;
    std::process::exit(i32::from(exit::INTERRUPTED));
}

async fn any([interrupt, terminate, hangup]: &mut [Signal; 3]) {
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
        _ = hangup.recv() => {}
    }
}
