//! The only place that writes to the terminal: data to stdout, the rest to stderr.

use std::io::{self, IsTerminal as _, Write as _};

use anyhow::Context as _;

use super::failure::Failure;
use crate::report::text::Style;

/// Prints data. A reader that went away (`| head`) is no failure.
pub(super) fn data(text: &str) -> Result<(), Failure> {
    let mut stdout = io::stdout().lock();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(error).context("cannot write to standard output").map_err(Failure::failed)
        }
        _ => Ok(()),
    }
}

/// Prints a line for whoever watches; where nobody can be told, nobody is.
pub(super) fn note(line: &str) {
    let _ = writeln!(io::stderr().lock(), "{line}");
}

/// Prints a failure.
pub(super) fn error(failure: &Failure) {
    note(&failure.to_string());
}

/// How text on stdout may look: in colour on a terminal that wants it.
pub(super) fn style() -> Style {
    // https://no-color.org: any non-empty value switches colour off.
    let unwanted = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    Style { colour: io::stdout().is_terminal() && !unwanted }
}

/// Whether somebody watches stderr live.
pub(super) fn watched() -> bool {
    io::stderr().is_terminal()
}
