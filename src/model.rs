//! Decides: what a run is, what was seen, and which host is at fault.
//!
//! Time is an argument, randomness a seeded generator; nothing here waits, reads a file or
//! opens a socket. `fleet ← plan ← run, record ← judge`, never backwards.

#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

pub mod fleet;
pub mod judge;
pub mod plan;
pub mod record;
pub mod run;
