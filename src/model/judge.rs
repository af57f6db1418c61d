//! Record → verdicts: series, drop-offs, what explains them, findings, the summary.
//!
//! The way: `seen` lays the record out, `fall` and `falls` find drop-offs, `explain` says
//! whose they are, `cause` what was the matter, `slow` who is merely slow, `contact` what
//! else is known of a host, `files` what its files told, `evidence` what its own kernel says
//! to that; `verdict` is where they meet. `live` is the same fold, early.

pub mod address;
pub mod audit;
pub mod cause;
pub mod checksums;
pub mod clocks;
pub mod confirm;
pub mod contact;
pub mod coordinator;
pub mod corruption;
pub mod degrading;
pub mod detect;
pub mod evidence;
pub mod explain;
pub mod fall;
pub mod falls;
pub mod files;
pub mod frames;
pub mod interface;
pub mod ladder;
pub mod latency;
pub mod limit;
pub mod live;
pub mod localise;
pub mod loss;
pub mod measured;
pub mod new_flows;
pub mod others;
pub mod outage;
pub mod pair;
pub mod paths;
pub mod poisson;
pub mod ports;
pub mod precedence;
pub mod pressure;
pub mod quiet;
pub mod rack;
pub mod robust;
pub mod seen;
pub mod sequence;
pub mod sight;
pub mod slow;
pub mod stalls;
pub mod starved;
pub mod summary;
#[cfg(test)]
mod tests;
pub mod verdict;
pub mod ways;
pub mod whole;
