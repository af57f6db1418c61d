//! `nicburn audit`: which hosts, and what they are held against.

use std::path::PathBuf;

use clap::{Args, builder::FalseyValueParser};

use super::{FleetArgs, LabArgs};

pub(super) const EXAMPLES: &str = "\
Examples:
  nicburn audit --local
  nicburn audit --local --iface eth1 --json
  nicburn audit --facts db-01.json db-02.json db-03.json --policy policy.toml
  nicburn audit --listen 0.0.0.0:7600 --advertise 192.0.2.1:7600 --join-file join.json --expect-workers 8

Without agents: run `nicburn audit --local --json > $(hostname).json` on each host, carry the
files to one place, and name them there with `--facts`.

Exit codes: 0 clean or warnings only, 10 a demand of the policy is not met, 12 a fact that the
policy needs could not be read, 2 usage, 1 the tool failed.";

/// `nicburn audit`
#[derive(Args, Debug)]
pub struct AuditArgs {
    /// Audit this host alone
    #[arg(long, conflicts_with_all = ["facts", "lab", "listen", "expect_workers"])]
    pub local: bool,
    /// The interface on this host; the only one that is up unless given
    #[arg(long, value_name = "NAME", requires = "local")]
    pub iface: Option<String>,
    /// Read a recorded host from this folder instead of this machine
    #[arg(long, value_name = "DIR", requires = "local")]
    pub sysroot: Option<PathBuf>,
    /// Audit the hosts in these files, each written by `nicburn audit --local --json`
    #[arg(long, value_name = "FILE", num_args = 1.., conflicts_with_all = ["lab", "listen", "expect_workers"])]
    pub facts: Option<Vec<PathBuf>>,
    /// Gather the facts of a fleet.
    #[command(flatten)]
    pub fleet: FleetArgs,
    /// How the lab is built.
    #[command(flatten)]
    pub lab: LabArgs,
    /// What every host must meet; see docs/audit.md for its form
    #[arg(long, value_name = "FILE", env = "NICBURN_POLICY")]
    pub policy: Option<PathBuf>,
    /// Print everything as JSON (`nicburn schema audit`), facts included
    #[arg(short = 'J', long, env = "NICBURN_JSON", value_parser = FalseyValueParser::new())]
    pub json: bool,
    /// Print nothing while workers are awaited, only the outcome
    #[arg(short, long, env = "NICBURN_QUIET", value_parser = FalseyValueParser::new())]
    pub quiet: bool,
}
