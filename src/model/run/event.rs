//! What happens during a run, for whoever watches: the terminal today, other views later.
//!
//! Events are for people. A verdict never rests on them: it rests on the record.

use crate::model::{
    fleet::{
        host::{HostId, HostName},
        units::{BitRate, RunTime},
    },
    judge::summary::{Direction, Summary},
    record::line::Line,
};

/// One thing worth telling.
#[derive(Clone, Debug)]
pub enum RunEvent {
    /// The coordinator listens.
    Listening {
        /// On which address.
        addr: String,
        /// Where the join file lies.
        join_file: String,
        /// How many workers are awaited.
        expected: usize,
    },
    /// A worker is in.
    Joined {
        /// Its name.
        name: HostName,
        /// How many are in now.
        have: usize,
        /// How many are awaited.
        expected: usize,
    },
    /// Everybody is in; the run's folder is open.
    Opened {
        /// The run's name.
        run: String,
        /// Its folder.
        folder: String,
        /// Names by host number.
        names: Vec<HostName>,
        /// The plan's length in seconds.
        planned_s: f64,
    },
    /// A stage begins.
    StageStarted {
        /// Its name.
        stage: String,
        /// Its place, from 1.
        number: usize,
        /// Of how many.
        of: usize,
        /// When.
        at: RunTime,
        /// Its length in seconds.
        length_s: f64,
    },
    /// The capacity of each host, as calibration measured it.
    Calibrated {
        /// By host number: to send and to receive.
        capacity: Vec<(HostId, BitRate, BitRate)>,
    },
    /// Goodput of every host over the last second.
    Rates {
        /// When.
        at: RunTime,
        /// By host number: sent (as others received it) and received.
        rates: Vec<(HostId, BitRate, BitRate)>,
    },
    /// A host's traffic fell off; provisional.
    DropOff {
        /// Whose.
        host: HostId,
        /// In which direction.
        direction: Direction,
        /// Since when.
        at: RunTime,
        /// In which stage.
        stage: String,
        /// What it carried in the second before.
        offered: BitRate,
    },
    /// It is over.
    DropOffOver {
        /// Whose.
        host: HostId,
        /// In which direction.
        direction: Direction,
        /// Since when it had lasted.
        at: RunTime,
        /// For how long, in seconds.
        for_s: f64,
    },
    /// All stages were run, and these hosts are tried once more; provisional.
    Suspected {
        /// When.
        at: RunTime,
        /// Whose, and of what kinds.
        hosts: Vec<(HostId, Vec<String>)>,
    },
    /// A host cannot do what a stage asks of it, and takes no part in it.
    CannotDo {
        /// Whose.
        host: HostId,
        /// When.
        at: RunTime,
        /// In which stage.
        stage: String,
        /// What its worker said.
        why: String,
    },
    /// A worker's control connection is lost.
    ContactLost {
        /// Whose.
        host: HostId,
        /// When.
        at: RunTime,
        /// What the transport said.
        why: String,
    },
    /// It is back.
    ContactBack {
        /// Whose.
        host: HostId,
        /// When.
        at: RunTime,
    },
    /// Anything else worth a line.
    Note {
        /// The line.
        text: String,
    },
    /// A line of the record, in a quick measurement.
    Recorded(Box<Line>),
    /// The run is over and judged.
    Over(Box<Summary>),
}
