//! Ctrl-C and its kin, as the run understands them: first stop, then now.

use anyhow::Context as _;
use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    sync::watch,
};

use super::{exit, failure::Failure, output};
use crate::coordinator::StopLevel;

/// What asks a command to stop: SIGINT, SIGTERM and SIGHUP.
pub(super) struct Signals([Signal; 3]);

impl Signals {
    /// Catches them from now on; within a runtime.
    pub(super) fn caught() -> Result<Self, Failure> {
        let catch =
            |kind: SignalKind| signal(kind).context("cannot watch for signals").map_err(Failure::failed);
        Ok(Self([
            catch(SignalKind::interrupt())?,
            catch(SignalKind::terminate())?,
            catch(SignalKind::hangup())?,
        ]))
    }

    /// Waits for one.
    pub(super) async fn any(&mut self) {
        let [interrupt, terminate, hangup] = &mut self.0;
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
            _ = hangup.recv() => {}
        }
    }
}

/// Turns signals into stop levels for as long as the runtime lives.
///
/// The first asks for a stop with what was measured so far, the second gives up waiting for
/// it, and a third ends the process there and then.
pub(super) fn watch(stop: watch::Sender<StopLevel>) -> Result<(), Failure> {
    tokio::spawn(escalate(Signals::caught()?, stop));
    Ok(())
}

async fn escalate(mut signals: Signals, stop: watch::Sender<StopLevel>) {
    signals.any().await;
    output::note("stopping: senders first, then what was measured is judged (again to give up on it)");
    stop.send_replace(StopLevel::Stop);
    signals.any().await;
    stop.send_replace(StopLevel::Now);
    signals.any().await;
    std::process::exit(i32::from(exit::INTERRUPTED));
}
