//! What can be typed: clap definitions and nothing else.
//!
//! Help texts say what follows from a flag. Every example in them is tried by a test.

mod audit;
mod doctor;
mod fleet;
mod lab;
mod pair;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum, builder::FalseyValueParser};

pub use audit::AuditArgs;
pub use doctor::DoctorArgs;
pub use fleet::{ControlPath, FleetArgs, LabArgs, Overrides};
pub use lab::{LabCommand, LabCommandArgs, ScoreArgs};
pub use pair::{PairArgs, PairLoad};

use super::exit::HELP as EXIT_CODES;

/// Finds the servers whose network card dies under load, and says what is not the card
#[derive(Debug, Parser)]
#[command(name = "nicburn", version, after_help = EXIT_CODES, max_term_width = 100)]
#[command(disable_help_subcommand = true)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run a fleet of network namespaces with one sick card here, and find it
    ///
    /// Needs ip, tc and nft, but no root where user namespaces are allowed. Takes less than
    /// a minute, touches no real interface, and removes everything it made.
    #[command(after_help = DEMO_EXAMPLES)]
    Demo(DemoArgs),
    /// Run a scenario on a fleet and judge every host
    ///
    /// Saturates the cards under test for as long as the scenario says. The record is
    /// written while it runs, so that a run cut short still gives a verdict.
    #[command(after_help = RUN_EXAMPLES)]
    Run(Box<RunArgs>),
    /// Measure between two hosts, as iperf3 is used: a line a second, and no verdict
    ///
    /// The exit code is 0 where anything arrived each way, and 12 where nothing did.
    #[command(after_help = PAIR_EXAMPLES)]
    Pair(Box<PairArgs>),
    /// Judge a run's record again, without a network: same record, same verdict
    #[command(after_help = JUDGE_EXAMPLES)]
    Judge(JudgeArgs),
    /// Compare what hosts say of their cards, drivers and kernels, with each other and a policy
    ///
    /// Sends no load. Finds the driver that fell back after an upgrade, the kernel that will
    /// lose it at the next boot, MTUs and offloads that differ; each with the command to see
    /// it and the command to mend it.
    #[command(after_help = audit::EXAMPLES)]
    Audit(Box<AuditArgs>),
    /// Tell whether this host is fit to run a worker or a coordinator, and what to change
    #[command(after_help = doctor::EXAMPLES)]
    Doctor(DoctorArgs),
    /// Stop a run on this machine; its senders are quiet within two seconds
    #[command(after_help = "Examples:\n  nicburn stop")]
    Stop(StopArgs),
    /// Build, break and enter fleets of network namespaces
    #[command(after_help = lab::EXAMPLES)]
    Lab(LabCommandArgs),
    /// Render a run's summary again, to stdout
    #[command(after_help = "Examples:\n  nicburn report results/latest --format md")]
    Report(ReportArgs),
    /// Show a run's verdict table, or list its bad hosts
    #[command(
        after_help = "Examples:\n  nicburn show results/latest\n  nicburn show results/latest --bad-hosts"
    )]
    Show(ShowArgs),
    /// List and check scenarios, or print the schema of their files
    #[command(
        after_help = "Examples:\n  nicburn scenario list\n  nicburn scenario check storm\n  nicburn scenario schema"
    )]
    Scenario(ScenarioArgs),
    /// Print the JSON Schema of a file that a run writes
    #[command(after_help = "Examples:\n  nicburn schema summary\n  nicburn schema audit")]
    Schema(SchemaArgs),
    /// Print a completion script for a shell
    #[command(after_help = "Examples:\n  nicburn completions bash")]
    Completions(CompletionsArgs),
    /// Print the manual page
    #[command(after_help = "Examples:\n  nicburn man")]
    Man,
    /// The worker, as the lab starts it; elsewhere use `nicburn-worker`
    #[command(hide = true)]
    Worker(crate::worker::WorkerArgs),
    /// The process that holds a lab's namespaces
    #[command(hide = true)]
    LabHolder,
}

const DEMO_EXAMPLES: &str = "\
Examples:
  nicburn demo
  nicburn demo --fault none
  nicburn demo --seed 7 --fault one_way_dead@h2,direction=tx

The exit code is that of `run`: 10 where the sick card was found, 0 with `--fault none`.";

const RUN_EXAMPLES: &str = "\
Examples:
  nicburn run quick --lab 8 --fault dies_above@h3,rate=40M,for=3s
  nicburn run storm --lab 4 --dry-run
  nicburn run storm --expect-workers 8 --dry-run
  nicburn run storm --listen 0.0.0.0:7600 --advertise 192.0.2.1:7600 --join-file join.json --expect-workers 8
and on each host, with a copy of join.json:
  nicburn-worker --join join.json --iface eth1";

const PAIR_EXAMPLES: &str = "\
Examples:
  nicburn pair h1 h2 --lab 2
  nicburn pair h1 h2 --lab 2 -t 5 -P 4 -b 20M --bidir --json
  nicburn pair h1 h2 --lab 2 -u --frame-size 64 -b 5M
  nicburn pair h1 h3 --quic --verify --listen 0.0.0.0:7600 --join-file join.json --expect-workers 3
and on each host, with a copy of join.json:
  nicburn-worker --join join.json --iface eth1";

const JUDGE_EXAMPLES: &str = "\
Examples:
  nicburn judge results/latest
  nicburn judge results/latest --spool h3.spool

Give `--spool` the file that a worker kept because it could not deliver it. Lines that are
already in the record count once.";

/// `nicburn demo`
#[derive(Args, Debug)]
pub struct DemoArgs {
    /// Draw the sick host and all traffic from this seed; otherwise from the clock, and printed
    #[arg(long, value_name = "NUMBER", env = "NICBURN_SEED")]
    pub seed: Option<u64>,
    /// The fault to hide in the fleet instead of the drawn one; `none` for a healthy fleet
    #[arg(long, value_name = "FAULT")]
    pub fault: Option<String>,
    /// How many hosts the fleet has
    #[arg(long, value_name = "N", default_value_t = 8, value_parser = clap::value_parser!(u16).range(2..=64))]
    pub hosts: u16,
    /// Where results go
    #[arg(long, value_name = "DIR", default_value = "results", env = "NICBURN_OUT")]
    pub out: PathBuf,
    /// What is printed
    #[command(flatten)]
    pub printing: Printing,
}

/// `nicburn run`
#[derive(Args, Debug)]
pub struct RunArgs {
    /// What to run: a file, or a name out of `nicburn scenario list`
    pub scenario: String,
    /// On what.
    #[command(flatten)]
    pub fleet: FleetArgs,
    /// How the lab is built.
    #[command(flatten)]
    pub lab: LabArgs,
    /// What overrides the scenario.
    #[command(flatten)]
    pub overrides: Overrides,
    /// Where results go: a folder of its own for each run, and the link `latest`
    #[arg(long, value_name = "DIR", default_value = "results", env = "NICBURN_OUT")]
    pub out: PathBuf,
    /// Draw all traffic from this seed; the same seed and fleet give the same plan
    #[arg(long, value_name = "NUMBER", env = "NICBURN_SEED")]
    pub seed: Option<u64>,
    /// Print what would be run, and send nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Hold every host's driver, firmware, kernel and settings against this policy; hosts
    /// that do not meet it fail
    #[arg(long, value_name = "FILE", env = "NICBURN_POLICY")]
    pub policy: Option<PathBuf>,
    /// Run although others use these links; what they take is then not told from a fault
    #[arg(long, env = "NICBURN_SHARED", value_parser = FalseyValueParser::new())]
    pub shared: bool,
    /// What is printed
    #[command(flatten)]
    pub printing: Printing,
}

/// What is printed while a run goes on and at its end.
#[derive(Args, Clone, Copy, Debug)]
pub struct Printing {
    /// Print the summary as JSON instead of the verdict table
    #[arg(short = 'J', long, env = "NICBURN_JSON", value_parser = FalseyValueParser::new())]
    pub json: bool,
    /// Print nothing while the run goes on, only its outcome
    #[arg(short, long, env = "NICBURN_QUIET", value_parser = FalseyValueParser::new())]
    pub quiet: bool,
}

/// `nicburn judge`
#[derive(Args, Debug)]
pub struct JudgeArgs {
    /// The run's folder
    pub run: PathBuf,
    /// A worker's own file of lines that never arrived; can be given several times
    #[arg(long, value_name = "FILE")]
    pub spool: Vec<PathBuf>,
    /// Print the summary as JSON instead of the verdict table
    #[arg(short = 'J', long, env = "NICBURN_JSON", value_parser = FalseyValueParser::new())]
    pub json: bool,
}

/// `nicburn stop`
#[derive(Args, Debug)]
pub struct StopArgs {
    /// The run's name; may be left out where only one is going on
    pub run: Option<String>,
}

/// The forms in which a run can be rendered.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum Format {
    /// As on the terminal
    Text,
    /// One page with graphs, needing nothing from the network
    Html,
    /// For a ticket
    Md,
    /// For a build server: one test case a host
    Junit,
    /// `summary.json`
    Json,
}

/// `nicburn report`
#[derive(Args, Debug)]
pub struct ReportArgs {
    /// The run's folder
    pub run: PathBuf,
    /// In which form
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub format: Format,
}

/// `nicburn show`
#[derive(Args, Debug)]
pub struct ShowArgs {
    /// The run's folder
    pub run: PathBuf,
    /// Print only the names of failed and rebooted hosts, one a line
    #[arg(long)]
    pub bad_hosts: bool,
}

/// `nicburn scenario`
#[derive(Args, Debug)]
pub struct ScenarioArgs {
    /// What to do.
    #[command(subcommand)]
    pub command: ScenarioCommand,
}

/// What can be done with scenarios.
#[derive(Debug, Subcommand)]
pub enum ScenarioCommand {
    /// List the scenarios in ./scenarios and those built in, with the question each answers
    List,
    /// Check scenarios and print all that is wrong with them, with lines and ways out
    Check {
        /// Files, or names out of `nicburn scenario list`
        #[arg(required = true)]
        scenarios: Vec<String>,
    },
    /// Print the JSON Schema of scenario files
    Schema,
}

/// The files that have a schema.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum SchemaOf {
    /// `summary.json`
    Summary,
    /// What `nicburn audit --json` prints
    Audit,
    /// What `nicburn pair --json` prints
    Pair,
}

/// `nicburn schema`
#[derive(Args, Debug)]
pub struct SchemaArgs {
    /// Of which file
    #[arg(value_enum)]
    pub of: SchemaOf,
}

/// `nicburn completions`
#[derive(Args, Debug)]
pub struct CompletionsArgs {
    /// For which shell
    #[arg(value_enum)]
    pub shell: clap_complete::Shell,
}

#[cfg(test)]
mod tests;
