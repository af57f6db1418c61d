//! Thin safe wrappers around what only the kernel's own calls can do.
//!
//! Each file is one concept of the kernel. Nothing here decides, retries or knows a fleet:
//! callers in `worker` and `lab` do. All `unsafe` of the package stands in this room, each
//! block with the reason why it is sound.

pub mod carrier;
pub mod namespace;
pub mod offload;
