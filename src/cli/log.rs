//! What the tool itself does, to stderr. The run's events are not logs: see `screen`.

use tracing_subscriber::EnvFilter;

/// Names the filter, for example `NICBURN_LOG=nicburn=debug`.
const VARIABLE: &str = "NICBURN_LOG";

/// Starts logging to stderr; `warn` unless `NICBURN_LOG` says otherwise. Starts no thread.
pub(super) fn start() {
    let filter = EnvFilter::try_from_env(VARIABLE).unwrap_or_else(|_| EnvFilter::new("warn"));
    // A second start (two commands within one test process) keeps the first.
    let _ = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(super::output::watched())
        .try_init();
}
