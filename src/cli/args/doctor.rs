//! `nicburn doctor`.

use std::{net::SocketAddr, path::PathBuf};

use clap::{Args, builder::FalseyValueParser};

pub(super) const EXAMPLES: &str = "\
Examples:
  nicburn doctor
  nicburn doctor --listen 0.0.0.0:7440 --out results

Exit codes: 0 fit, with or without warnings; 1 unfit.";

/// `nicburn doctor`
#[derive(Args, Debug)]
pub struct DoctorArgs {
    /// Try whether this address is free for a coordinator, UDP, and for data, TCP
    #[arg(long, value_name = "ADDR:PORT", env = "NICBURN_LISTEN")]
    pub listen: Option<SocketAddr>,
    /// Look at the room for results here
    #[arg(long, value_name = "DIR", default_value = "results", env = "NICBURN_OUT")]
    pub out: PathBuf,
    /// Print everything as JSON
    #[arg(short = 'J', long, env = "NICBURN_JSON", value_parser = FalseyValueParser::new())]
    pub json: bool,
}
