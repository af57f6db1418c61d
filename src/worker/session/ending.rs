//! How a worker's part in a run ends: with all delivered, with its coordinator gone, or by a signal.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use tokio::time::{Instant, sleep};

use super::{Ending, REPLIES_MAX, Serving};
use crate::model::run::message::FromWorker;

/// Stopping by a signal takes no longer than this.
const LEAVE_MAX: Duration = Duration::from_millis(800);

impl Serving {
    /// Whether this worker has nothing left to do.
    pub(super) fn is_over(&mut self, welcome_by: Instant) -> Result<bool, Ending> {
        self.end_is_late()?;
        if let Some(by) = self.finish_by {
            if self.outbox.is_delivered() {
                return Ok(true);
            }
            if Instant::now() >= by {
                return Err(self.undelivered());
            }
        }
        let synced = self.is_synced();
        let past = synced && self.over_at.is_some_and(|over| self.parts.shared.run_now() >= over);
        if past {
            self.leased(0)?;
        }
        if past || (self.over_at.is_none() && Instant::now() >= welcome_by) {
            return Err(self.undelivered());
        }
        Ok(false)
    }

    fn undelivered(&self) -> Ending {
        let path = self.outbox.path();
        Ending::LostCoordinator(format!(
            "the run is over and its coordinator is gone; what it did not get is in {}: nicburn judge RUN --spool {}",
            path.display(),
            path.display()
        ))
    }

    /// Stops by a signal: sending ends at once, and the coordinator is told.
    pub(super) async fn leave(&mut self, signal: &str) -> Result<(), Ending> {
        self.stop_sending();
        self.parts.shared.lease_until_us.store(0, Ordering::Relaxed);
        self.reply(FromWorker::Leaving { why: signal.to_owned() });
        let told = async {
            while self.link.as_ref().is_some_and(|link| link.replies.capacity() < REPLIES_MAX) {
                sleep(Duration::from_millis(20)).await;
            }
            sleep(Duration::from_millis(100)).await;
        };
        let _ = tokio::time::timeout(LEAVE_MAX, told).await;
        Err(Ending::Failed(format!("stopped by {signal}")))
    }

    pub(super) async fn end(self, ended: Result<(), Ending>) -> Result<(), Ending> {
        let carriers = self.parts.carriers;
        // Carriers notice within 100 ms; joining them must not hold up the last frames.
        let (hosted, depot) = (self.hosted, Arc::clone(&self.parts.shared.depot));
        let prober = self.prober;
        let joined = tokio::task::spawn_blocking(move || {
            prober.quit();
            hosted.quit();
            depot.clear();
            carriers.quit();
        });
        let _ = tokio::time::timeout(Duration::from_secs(2), joined).await;
        if ended.is_ok()
            && let Err(error) = self.outbox.remove()
        {
            tracing::warn!(%error, "the spool is left behind");
        }
        ended
    }
}
