//! Fleets of network namespaces on this machine, and the faults put on them.
//!
//! A *holder* process keeps every namespace by descriptor and drives the faults; when it
//! goes, in whatever way, the kernel removes the rest. Workers are real processes started
//! inside. The coordinator enters the fleet like any other machine, and neither it nor the
//! judge is ever told what fault there is.
//!
//! Not here: carrying bytes, judging, and what a person types.

use std::{io, path::PathBuf, time::Duration};

use crate::sys::{namespace::NamespaceError, offload::OffloadError};

pub(crate) mod cable;
pub mod client;
pub mod demo;
pub mod fault;
pub mod fleet;
pub mod holder;
pub mod protocol;
pub mod score;
pub mod spec;
mod tool;

pub use demo::demo_fault;

/// Why a lab could not be built, reached or changed.
#[derive(Debug, thiserror::Error)]
pub enum LabError {
    /// The wish for a fleet is not sound.
    #[error(transparent)]
    Spec(#[from] spec::SpecError),
    /// The text of a fault is not sound.
    #[error(transparent)]
    Fault(#[from] fault::FaultError),
    /// A program that builds links is not installed.
    #[error(
        "the lab needs the program `{program}`, which is not on this machine; apt-get install -y iproute2 nftables"
    )]
    ToolMissing {
        /// The program looked for.
        program: &'static str,
    },
    /// A program that builds links refused its text.
    #[error("`{command}` failed: {stderr}")]
    ToolFailed {
        /// The program with its arguments.
        command: String,
        /// What it said, with the line of the batch that it stopped at.
        stderr: String,
    },
    /// A program that builds links did not come back.
    #[error("`{command}` did not end within {limit:?} and was killed")]
    ToolHung {
        /// The program with its arguments.
        command: String,
        /// How long it was given.
        limit: Duration,
    },
    /// Namespaces are not to be had here.
    #[error(transparent)]
    Namespace(#[from] NamespaceError),
    /// A link's offloads could not be switched off.
    #[error(transparent)]
    Offload(#[from] OffloadError),
    /// The holder did not answer in time.
    #[error("the lab's holder gave no answer to `{asked}` within {limit:?}; its own log says more")]
    NoAnswer {
        /// What was asked of it.
        asked: String,
        /// How long it was given.
        limit: Duration,
    },
    /// The holder ended, or its answer could not be read.
    #[error("the lab's holder ended or spoke nonsense while it was asked to {asked}: {answer}")]
    HolderLost {
        /// What was asked of it.
        asked: String,
        /// What came instead of an answer.
        answer: String,
    },
    /// The holder refused, in its own words.
    #[error("{0}")]
    Refused(String),
    /// No lab of that name is up.
    #[error("no lab `{name}` is up (looked in {}); `nicburn lab list` shows those that are", state_dir.display())]
    NoSuchLab {
        /// The name asked for.
        name: String,
        /// Where the labs of this user are noted.
        state_dir: PathBuf,
    },
    /// A host that the fleet does not have.
    #[error("no host `{host}` in this lab: its hosts are h1 to h{last}")]
    NoSuchHost {
        /// The name asked for.
        host: String,
        /// Number of the last host.
        last: u16,
    },
    /// A system call failed.
    #[error("{doing}")]
    Io {
        /// What was being done.
        doing: String,
        /// The kernel's answer.
        #[source]
        source: io::Error,
    },
}

impl LabError {
    /// Makes an [`LabError::Io`] that says what was being done; for `map_err`.
    pub(crate) fn io(doing: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let doing = doing.into();
        move |source| Self::Io { doing, source }
    }

    /// This error with all its sources on one line, as the holder sends it.
    pub(crate) fn whole(&self) -> String {
        let mut text = self.to_string();
        let mut source = std::error::Error::source(self);
        while let Some(inner) = source {
            text.push_str(": ");
            text.push_str(&inner.to_string());
            source = inner.source();
        }
        text
    }
}
