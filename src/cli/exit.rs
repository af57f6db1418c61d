//! Exit codes: what scripts and gates rely on. The first that applies wins.

use crate::model::judge::summary::{FleetVerdict, Summary, Verdict};

/// All planned hosts passed, or the command did what it was asked.
pub const OK: u8 = 0;
/// The tool failed: a port in use, a folder not writable, too few workers in time.
pub const FAILED: u8 = 1;
/// The command line, scenario, inventory or join file is wrong; nothing was sent.
pub const USAGE: u8 = 2;
/// A host failed, or the fleet has a fault of severity `fail`.
pub const UNHEALTHY: u8 = 10;
/// A measurement misses a bound that it is held to.
pub const GATE_MISSED: u8 = 11;
/// A planned host is `inconclusive` or `not_tested`, and none failed.
pub const INCONCLUSIVE: u8 = 12;
/// Interrupted: partial results and verdict are written. 128 + SIGINT, as shells have it.
pub const INTERRUPTED: u8 = 130;

/// The same in words, for the end of every command's help.
pub const HELP: &str = "\
Exit codes, the first that applies:
  130  interrupted; partial results and verdict are written
    1  the tool failed: a port in use, a folder not writable, too few workers in time
    2  the command line, scenario or join file is wrong; nothing was sent
   10  a host failed, or the fleet has a fault of severity `fail`
   12  inconclusive: a planned host could not be judged, and none failed
    0  every planned host passed";

/// The exit code that a summary stands for.
///
/// Rests on the hosts and findings themselves as well as on the fleet's verdict, so that a
/// summary that contradicts itself never comes out as 0.
pub fn exit_code(summary: &Summary) -> u8 {
    let any = |verdicts: &[Verdict]| summary.hosts.iter().any(|host| verdicts.contains(&host.verdict));
    match summary.verdict {
        FleetVerdict::Interrupted => INTERRUPTED,
        FleetVerdict::Unhealthy => UNHEALTHY,
        _ if any(&[Verdict::Fail]) => UNHEALTHY,
        FleetVerdict::Inconclusive => INCONCLUSIVE,
        _ if any(&[Verdict::Inconclusive, Verdict::NotTested]) => INCONCLUSIVE,
        // Fewer verdicts than hosts: somebody is missing from the list.
        _ if !summary.passed || summary.hosts.len() < summary.fleet.planned as usize => INCONCLUSIVE,
        FleetVerdict::Healthy => OK,
    }
}

/// The exit code of a room that speaks in the operating system's terms.
pub fn of_process(code: i32) -> u8 {
    u8::try_from(code).unwrap_or(FAILED)
}

#[cfg(test)]
mod tests;
