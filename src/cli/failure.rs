//! Why a command ended without a verdict: whose mistake it was, what was wrong, the way out.

use super::exit;

/// A command's failure, ready to be printed once.
#[derive(Debug)]
pub(super) struct Failure {
    kind: Kind,
    error: anyhow::Error,
    help: Vec<String>,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Kind {
    Usage,
    Failed,
    Interrupted,
}

impl Failure {
    /// What was typed, or a file that was named, is wrong; nothing was sent.
    pub(super) fn usage(error: impl Into<anyhow::Error>) -> Self {
        Self { kind: Kind::Usage, error: error.into(), help: vec![] }
    }

    /// The tool could not do it.
    pub(super) fn failed(error: impl Into<anyhow::Error>) -> Self {
        Self { kind: Kind::Failed, error: error.into(), help: vec![] }
    }

    /// A signal came before there was anything to judge.
    pub(super) fn interrupted(error: impl Into<anyhow::Error>) -> Self {
        Self { kind: Kind::Interrupted, error: error.into(), help: vec![] }
    }

    /// With a way out, printed as a `help:` line of its own.
    pub(super) fn help(mut self, way_out: impl Into<String>) -> Self {
        self.help.push(way_out.into());
        self
    }

    /// The exit code it stands for.
    pub(super) fn code(&self) -> u8 {
        match self.kind {
            Kind::Usage => exit::USAGE,
            Kind::Failed => exit::FAILED,
            Kind::Interrupted => exit::INTERRUPTED,
        }
    }
}

impl std::fmt::Display for Failure {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // As `{:#}`, but an error that words its own source already is not told twice.
        let mut told = String::new();
        for cause in self.error.chain().map(ToString::to_string) {
            if told.is_empty() {
                told = cause;
            } else if !told.contains(&cause) {
                told = format!("{told}: {cause}");
            }
        }
        write!(out, "error: {told}")?;
        self.help.iter().try_for_each(|line| write!(out, "\n  help: {line}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::anyhow;

    #[test]
    fn a_failure_prints_its_causes_once_and_its_way_out() {
        let cause = anyhow!("permission denied").context("cannot create results/");
        let failure = Failure::failed(cause).help("name another folder with --out");
        assert_eq!(
            failure.to_string(),
            "error: cannot create results/: permission denied\n  help: name another folder with --out"
        );
        assert_eq!(failure.code(), 1);
        let wordy = anyhow!("no such file").context("cannot open x: no such file");
        assert_eq!(Failure::usage(wordy).to_string(), "error: cannot open x: no such file");
        assert_eq!(Failure::usage(anyhow!("x")).code(), 2);
        assert_eq!(Failure::interrupted(anyhow!("x")).code(), 130);
    }
}
