//! Which fleet a run uses, how a lab is built, and what overrides a scenario.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use clap::{Args, ValueEnum};

use crate::model::fleet::units::BitRate;

/// Which fleet: a lab here, or workers that somebody else starts.
#[derive(Args, Debug)]
#[command(next_help_heading = "Fleet")]
pub struct FleetArgs {
    /// Build a fleet of N network namespaces on this machine and run on it
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(2..=128))]
    #[arg(conflicts_with_all = ["listen", "advertise", "join_file", "expect_workers", "min_workers"])]
    pub lab: Option<u16>,
    /// Wait for workers on this address
    #[arg(long, value_name = "ADDR:PORT", env = "NICBURN_LISTEN")]
    pub listen: Option<SocketAddr>,
    /// The address that the join file names, where workers see another than `--listen`
    #[arg(long, value_name = "ADDR:PORT", requires = "listen", env = "NICBURN_ADVERTISE")]
    pub advertise: Option<SocketAddr>,
    /// Write the join file here once workers can come: it lets its holder join this run
    #[arg(long, value_name = "FILE", env = "NICBURN_JOIN_FILE")]
    pub join_file: Option<PathBuf>,
    /// How many workers are planned; those that stay away are `not_tested`
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(2..=4096))]
    pub expect_workers: Option<u16>,
    /// Begin with as few as this when the wait is over; otherwise all must come
    #[arg(long, value_name = "M", requires = "expect_workers", value_parser = clap::value_parser!(u16).range(2..=4096))]
    pub min_workers: Option<u16>,
    /// How long to wait for workers
    #[arg(long, value_name = "TIME", default_value = "60s", value_parser = humantime::parse_duration, env = "NICBURN_WAIT")]
    pub wait: Duration,
}

/// How a lab is built.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Lab")]
pub struct LabArgs {
    /// The rate of every host's link; beyond 600 Mb/s in all, two cores are the limit
    #[arg(long, value_name = "RATE", default_value = "60M")]
    pub lab_rate: BitRate,
    /// The MTU of every link, bytes
    #[arg(long, value_name = "BYTES", default_value_t = 1500, value_parser = clap::value_parser!(u32).range(1280..=9000))]
    pub lab_mtu: u32,
    /// One switch, or two joined by an uplink
    #[arg(long, value_name = "1|2", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=2))]
    pub racks: u16,
    /// The rate between two racks; as much as all hosts of a rack together if left out
    #[arg(long, value_name = "RATE")]
    pub uplink: Option<BitRate>,
    /// Whether control shares the links under test, as it does on most fleets
    #[arg(long, value_enum, default_value_t = ControlPath::InBand)]
    pub control: ControlPath,
    /// Address the hosts by IPv6
    #[arg(long)]
    pub ipv6: bool,
    /// Break something in the lab as the run begins; see `nicburn lab fault --list`. The
    /// coordinator and the judge are not told
    #[arg(long, value_name = "FAULT")]
    pub fault: Vec<String>,
}

/// The way of the control connection in a lab.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum ControlPath {
    /// Across the link under test
    InBand,
    /// Across a link of its own
    Separate,
}

/// What overrides the scenario, in the letters that iperf3 uses.
#[derive(Args, Clone, Copy, Debug, Default)]
#[command(next_help_heading = "Instead of what the scenario says")]
pub struct Overrides {
    /// How many seconds each round of each stage runs
    #[arg(short = 't', long, value_name = "SECS", value_parser = clap::value_parser!(u32).range(1..=86_400))]
    pub time: Option<u32>,
    /// TCP connections a flow
    #[arg(short = 'P', long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1000))]
    pub parallel: Option<u16>,
    /// The rate of each flow, for example 20M
    #[arg(short = 'b', long, value_name = "RATE")]
    pub bitrate: Option<BitRate>,
}
