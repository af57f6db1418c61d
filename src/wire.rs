//! The line between the two ends: identity, joining, frames, the QUIC endpoint.
//!
//! Knows how messages travel and who sent them, not what they mean: whether a token is good
//! or a name taken is the coordinator's to say.

pub mod endpoint;
pub mod error;
pub mod frame;
pub mod identity;
pub mod join;
mod pieces;
mod socket;
mod tls;
