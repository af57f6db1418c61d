//! What is to be run: the scenario as written and as checked, traffic patterns, and the
//! plan they come to for a fleet and a seed; and what a policy demands of its hosts.

pub mod carriage;
pub mod confirm;
pub mod dose;
pub mod draft;
pub mod layout;
pub mod pattern;
pub mod policy;
pub mod scenario;
pub mod schedule;
