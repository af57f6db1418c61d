//! Where a run stands, and what is known of each worker. What leads on from it is `course`'s.

use std::time::Duration;

use super::Ending;
use crate::model::fleet::units::RunTime;

/// What the course knows of a worker.
#[derive(Clone, Debug, Default)]
#[expect(clippy::struct_excessive_bools, reason = "independent facts, not states of one thing")]
pub(super) struct Standing {
    pub connected: bool,
    pub left: bool,
    pub collected: bool,
    /// Stages it was told to prepare and to start, on the present session.
    pub told_prepare: Option<u16>,
    pub told_start: Option<u16>,
    pub told_stop: bool,
    pub told_finish: bool,
    /// The stage it confirmed, and the one it cannot do.
    pub ready: Option<u16>,
    pub unfit: Option<(u16, String)>,
}

impl Standing {
    pub fn is_unfit(&self, stage: u16) -> bool {
        self.unfit.as_ref().is_some_and(|(unfit, _)| *unfit == stage)
    }

    pub fn has_answered(&self, stage: u16) -> bool {
        self.ready == Some(stage) || self.is_unfit(stage)
    }
}

#[derive(Clone, Debug)]
pub(super) enum Phase {
    /// This stage is next, or collecting, if there is none.
    Next(u16),
    Rating(u16),
    Preparing {
        stage: u16,
        until: RunTime,
    },
    Running {
        stage: u16,
        zero: RunTime,
        until: RunTime,
    },
    /// All stages were run; who is suspected is asked at this moment, and then awaited.
    Suspecting {
        ask_at: RunTime,
        asked: bool,
        /// How long confirming them may take.
        longest: Duration,
    },
    Collecting {
        ending: Ending,
        until: RunTime,
        lost_until: RunTime,
    },
    Over,
}

impl Phase {
    /// Whether stages are being run.
    pub const fn is_under_way(&self) -> bool {
        !matches!(self, Self::Collecting { .. } | Self::Over)
    }
}
