//! One end of a measured transfer, as a process of its own: orders in, one line out.
//!
//! A process, so that the kernel tells what each end cost.

use super::{
    bare, ours,
    spec::{EndReport, EndSpec, Engine},
};

/// Carries out the orders that `text` holds.
///
/// # Errors
///
/// In words: what is wrong with them, or what the kernel refused.
pub fn carry(text: &str) -> Result<String, String> {
    let spec: EndSpec =
        serde_json::from_str(text).map_err(|error| format!("these are no orders: {error}"))?;
    if crate::sys::clock::now_us() > spec.start_us {
        return Err("this end was started too late to begin with the other".to_owned());
    }
    let report: EndReport = match spec.engine {
        Engine::Ours => ours::carry(&spec),
        Engine::Bare => bare::carry(&spec),
    }
    .map_err(|error| error.to_string())?;
    serde_json::to_string(&report).map_err(|error| format!("cannot word the answer: {error}"))
}
