//! A run under way: its state machines, and the messages between its two ends.

pub mod course;
pub mod event;
pub mod liveness;
pub mod message;

/// The build of this program, for example `0.1.0+dev`; both ends of a run must be of the
/// same one. `NICBURN_BUILD`, set while compiling, replaces it as a whole.
pub const BUILD: &str = match option_env!("NICBURN_BUILD") {
    Some(build) => build,
    None => concat!(env!("CARGO_PKG_VERSION"), "+dev"),
};
