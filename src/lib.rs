//! Pushes large transfers across a fleet and says which host's network card fails, at what
//! dose, with what evidence, and what is not the card.
//!
//! Two halves, and one rule between them:
//!
//! - [`model`] decides and [`report`] says. Neither has a clock, a socket, a file or an
//!   unseeded random number: a verdict is a pure function of the scenario and the record.
//! - the other rooms act: they carry bytes, sample hosts, speak the control plane, build
//!   labs, write files, and take no decision that a test could not take without a network.
//!
//! **The rule:** `model` names no other room; `report` names only `model`. Who else may
//! use whom stands in ARCHITECTURE.md and is held by `tests/boundary.rs`.

pub mod cli;
pub mod coordinator;
pub mod journal;
pub mod lab;
pub mod model;
pub mod report;
pub mod sys;
pub mod wire;
pub mod worker;
