//! What is wrong with a scenario, as it is told.

use std::fmt;

/// One thing wrong, where it is, and the way out.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Fault {
    /// The line in the file, from 1; `None` where it concerns the whole, or the fleet.
    pub line: Option<usize>,
    /// The key's path, for example `stage.for`.
    pub key: String,
    /// What is wrong, with the value found.
    pub wrong: String,
    /// A change that would make it right.
    pub help: String,
}

/// All that is wrong with a scenario.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Faults {
    /// The file or scenario.
    pub of: String,
    /// At least one.
    pub faults: Vec<Fault>,
}

impl fmt::Display for Faults {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = match self.faults.len() {
            1 => "1 fault".to_owned(),
            n => format!("{n} faults"),
        };
        write!(out, "{} has {count}", self.of)?;
        for fault in &self.faults {
            match fault.line {
                Some(line) => write!(out, "\n  line {line}, {}: {}", fault.key, fault.wrong)?,
                None => write!(out, "\n  {}: {}", fault.key, fault.wrong)?,
            }
            write!(out, "\n    help: {}", fault.help)?;
        }
        Ok(())
    }
}

impl std::error::Error for Faults {}
