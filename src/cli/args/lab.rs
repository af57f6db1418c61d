//! `nicburn lab`.

use std::{ffi::OsString, ops::Range, path::PathBuf, time::Duration};

use clap::{Args, Subcommand};

use super::LabArgs;

pub(super) const EXAMPLES: &str = "\
Examples:
  nicburn lab up 4
  nicburn lab fault --list
  nicburn lab fault --explain dies_above@h3,rate=40M,for=3s
  nicburn lab exec h3 -- ip -s link
  nicburn lab down";

/// `nicburn lab`
#[derive(Args, Debug)]
pub struct LabCommandArgs {
    /// What to do with it.
    #[command(subcommand)]
    pub command: LabCommand,
}

/// What can be done with a lab.
#[derive(Debug, Subcommand)]
pub enum LabCommand {
    /// Build a fleet of namespaces; it lives until `lab down` or its time is over
    Up {
        /// How many hosts it has
        #[arg(value_name = "N", default_value_t = 8, value_parser = clap::value_parser!(u16).range(2..=128))]
        hosts: u16,
        /// Its name, to tell several apart
        #[arg(long, default_value = "lab")]
        name: String,
        /// How it is built.
        #[command(flatten)]
        shape: LabArgs,
        /// Remove it after this long, whatever is going on in it
        #[arg(long, value_name = "TIME", default_value = "1h", value_parser = humantime::parse_duration)]
        ttl: Duration,
    },
    /// Remove a lab and everything in it
    Down {
        /// Its name; may be left out where there is only one
        name: Option<String>,
    },
    /// Break something in a lab, or say what can be broken
    Fault {
        /// What to break, for example `dead@h3,for=5s`
        #[arg(required_unless_present = "list", value_name = "FAULT")]
        faults: Vec<String>,
        /// In which lab; may be left out where there is only one
        #[arg(long)]
        name: Option<String>,
        /// Print the commands behind the fault and what should be seen; break nothing
        #[arg(long)]
        explain: bool,
        /// Print all faults there are
        #[arg(long, conflicts_with_all = ["explain", "faults"])]
        list: bool,
    },
    /// Run a command on a host of a lab (`coordinator` is one too)
    Exec {
        /// The host, for example `h3`
        host: String,
        /// In which lab; may be left out where there is only one
        #[arg(long)]
        name: Option<String>,
        /// The command and its arguments
        #[arg(last = true, required = true)]
        command: Vec<OsString>,
    },
    /// List the labs on this machine and what is broken in them
    List,
    /// Break things in one lab after the other, and count what verdicts make of them
    ///
    /// Appends a line for each run to `scoreboard.jsonl` and goes on where it was stopped; writes
    /// `scoreboard.md` and `scoreboard.json` anew after each. Exits with 10 where a verdict was
    /// wrong. All cases with three seeds take some hours.
    Score(ScoreArgs),
}

/// Which cases of the scoreboard are run.
#[derive(Args, Debug)]
pub struct ScoreArgs {
    /// Only this case; may be given several times
    #[arg(long, value_name = "CASE")]
    pub only: Vec<String>,
    /// The seeds, each of which draws other hosts and numbers
    #[arg(long, value_name = "FROM..TO", default_value = "0..3", value_parser = seeds)]
    pub seeds: Range<u64>,
    /// The first, second and so on of so many parts, for several machines
    #[arg(long, value_name = "I/N", value_parser = shard)]
    pub shard: Option<(usize, usize)>,
    /// The folder for the scoreboard
    #[arg(long, value_name = "DIR", default_value = "results", env = "NICBURN_OUT")]
    pub out: PathBuf,
    /// Keep the folder of each run here
    #[arg(long, value_name = "DIR")]
    pub keep: Option<PathBuf>,
    /// Run none: judge those that were kept (`--keep`) again, with this version
    #[arg(long, requires = "keep")]
    pub again: bool,
    /// Print the runs and what each breaks; run none
    #[arg(long)]
    pub list: bool,
}

fn seeds(text: &str) -> Result<Range<u64>, String> {
    let range = match text.split_once("..") {
        Some((from, to)) => from.parse().ok().zip(to.parse().ok()).map(|(from, to)| from..to),
        None => text.parse().ok().and_then(|seed: u64| Some(seed..seed.checked_add(1)?)),
    };
    let sound = range.filter(|range: &Range<u64>| !range.is_empty() && range.end - range.start <= 1000);
    sound.ok_or_else(|| "write a seed, or up to 1000 as 0..3 (the last is not among them)".to_owned())
}

fn shard(text: &str) -> Result<(usize, usize), String> {
    let parts = text.split_once('/').and_then(|(i, n)| Some((i.parse().ok()?, n.parse().ok()?)));
    let sound = parts.filter(|(i, n): &(usize, usize)| (1..=*n).contains(i));
    sound.ok_or_else(|| "write 1/4 for the first of four parts".to_owned())
}
