//! The fleet: quantities with their units, hosts, their network cards and racks;
//! and whether a host is fit to take part.

pub mod fitness;
pub mod host;
pub mod units;
