//! Why a measurement could not be made.

use std::{io, time::Duration};

use crate::sys::namespace::NamespaceError;

/// What went wrong, and with what.
#[derive(Debug, thiserror::Error)]
pub enum BenchError {
    /// A namespace could not be made.
    #[error(transparent)]
    Namespace(#[from] NamespaceError),
    /// The kernel or a file refused.
    #[error("{doing}: {source}")]
    Io {
        /// What was being done to what.
        doing: String,
        /// The answer.
        #[source]
        source: io::Error,
    },
    /// A program ended badly.
    #[error("`{program}` ended with {status}{complaint}")]
    Ended {
        /// Which.
        program: String,
        /// How.
        status: String,
        /// What it said, after a colon; empty when nothing.
        complaint: String,
    },
    /// A program did not end, or not listen, in time.
    #[error("`{program}` did not {what} within {limit:?}")]
    Late {
        /// Which.
        program: String,
        /// What was waited for.
        what: &'static str,
        /// How long.
        limit: Duration,
    },
    /// A program's output is not as known.
    #[error("the output of {program} has no {missing}: {output:?}")]
    Output {
        /// Which.
        program: &'static str,
        /// What was looked for.
        missing: String,
        /// What there was, shortened.
        output: String,
    },
    /// An end of ours said why it could not.
    #[error("{0}")]
    End(String),
    /// The engine lacks what the case asks for.
    #[error("not available in this build: {0}")]
    Unavailable(String),
    /// A peer is not installed, or too old.
    #[error("{0}")]
    Absent(String),
    /// Nothing of that name.
    #[error("there is no case {name:?}; the cases are: {known}")]
    NoCase {
        /// What was asked for.
        name: String,
        /// What there is.
        known: String,
    },
}

impl BenchError {
    /// Adds what was being done to an error of the kernel.
    pub(super) fn io(doing: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let doing = doing.into();
        move |source| Self::Io { doing, source }
    }
}
