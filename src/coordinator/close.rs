//! The end of a run: the record's last line, the last acknowledgements, the farewell.

use std::time::Duration;

use tokio::time::timeout;

use super::{Outcome, RunError, StopLevel, driver::Driver, recorder::RecordFailed, sessions::FromFleet};
use crate::model::{
    record::line::{Body, Ended},
    run::course::Ending,
};

/// How long workers have to hang up by themselves after the last acknowledgement.
const FAREWELL_MAX: Duration = Duration::from_secs(1);

impl Driver {
    /// Writes the end of the record and lets the fleet go.
    pub(super) async fn close(mut self, level: StopLevel) -> Result<Outcome, RunError> {
        let ending = self.ending.take().unwrap_or(Ending {
            ended: Ended::Aborted,
            why: "it ended without a reason".to_owned(),
            usage: false,
        });
        if self.teller.dropped() > 0 {
            tracing::warn!(dropped = self.teller.dropped(), "the watcher did not keep up");
        }
        self.write(Body::Closed {
            ended: ending.ended,
            why: Some(ending.why.clone()).filter(|why| !why.is_empty()),
        });
        let written = self.recorder.finish().await;
        if let Ok(durable) = &written {
            self.acknowledge(durable);
        }
        if level != StopLevel::Now {
            self.farewell().await;
        }
        // Bounded: a peer that is gone cannot hold the end up.
        let _ = timeout(FAREWELL_MAX, self.listener.close("the run is over")).await;

        let failed = self.record_failed.take().or(written.err().map(|RecordFailed(why)| why));
        match failed {
            Some(why) => Err(RunError::Failed(format!(
                "record cannot be written: {why}; what was written before is in {}",
                self.folder.display()
            ))),
            None if ending.usage => Err(RunError::Usage(ending.why)),
            None => Ok(Outcome { folder: self.folder.clone(), ended: ending.ended }),
        }
    }

    /// Waits until everybody has hung up; lines that still come are not taken any more.
    async fn farewell(&mut self) {
        let all = async {
            while self.roster.present() > 0 {
                match self.inbox.fleet.recv().await {
                    Some(FromFleet::Gone(session, _)) => {
                        self.roster.unseat(session);
                    }
                    Some(_) => {}
                    None => return,
                }
            }
        };
        let _ = timeout(FAREWELL_MAX, all).await;
    }
}
