//! The fleet: quantities with their units, hosts, their network cards and racks.

pub mod host;
pub mod units;
