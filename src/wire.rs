//! The line between the two ends: identity, joining, frames, the QUIC endpoint.
//!
//! Knows how messages travel, not what they mean.

pub mod endpoint;
pub mod identity;
pub mod join;
