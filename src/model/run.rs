//! A run under way: its state machines, and the messages between its two ends.

pub mod event;
pub mod message;
