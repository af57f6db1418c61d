//! How long each part of a run may take, and why.

use std::time::Duration;

/// How long workers have to confirm a stage: a slice is set up in milliseconds, and a host
/// that needs longer is told apart by a `not_ready` line.
pub const READY_MAX: Duration = Duration::from_secs(3);

/// From the order to start to the start itself: several round trips of any fleet, so that
/// all workers know the moment before it comes.
pub const START_LEAD: Duration = Duration::from_millis(200);

/// From a stage's end to the next thing: receivers read on for 200 ms.
pub const DRAIN: Duration = Duration::from_millis(300);

/// The same after calibration, whose samples the next stages' rates need: workers send a
/// line each 250 ms, and the last must have arrived.
pub const DRAIN_CALIBRATE: Duration = Duration::from_millis(800);

/// The same after suspects were tried once more: nothing follows, and what is told once a second
/// must have been told.
pub const DRAIN_CONFIRM: Duration = Duration::from_millis(1300);

/// From the last stage's end to the question who is suspected: what is told once a second must
/// have come, and answers to the last probes.
pub const DRAIN_SUSPECTS: Duration = Duration::from_millis(2200);

/// How long the last lines of connected workers are awaited.
pub const COLLECT_MAX: Duration = Duration::from_secs(10);

/// How long, after the last stage, lost workers may come back with their lines.
pub const LOST_MAX: Duration = Duration::from_secs(8);

/// What a worker that came back while lines are collected gets at least, to hand them over.
pub const RETURNED_MIN: Duration = Duration::from_secs(5);

/// On top of the plan's length with its slack, everything is over. The promise to people is
/// 30 s; the rest is for writing the end of the record.
pub const OVERTIME: Duration = Duration::from_secs(25);
