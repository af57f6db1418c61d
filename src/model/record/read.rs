//! What a host's kernel answers, understood: bytes and texts in, facts out.
//!
//! One file a source. Fields are found by name or by the kernel's own layout; one that is
//! missing is an error and never a zero, and no input makes a parser panic. Asking is the
//! worker's work. Numbers in binary answers are in this machine's byte order, as the kernel
//! writes them.

pub mod bytes;
pub mod cpu;
pub mod dkms;
pub mod ethtool;
pub mod interrupts;
pub mod link;
pub mod link_modes;
pub mod machine;
pub mod modinfo;
pub mod neighbour;
pub mod pcie;
pub mod proc_net;
pub mod qdisc;
pub mod route;

/// Why an answer was not understood.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum ReadError {
    /// Something that it must have is not there.
    #[error("{of} lacks {what}")]
    Lacks {
        /// Which answer.
        of: &'static str,
        /// What.
        what: String,
    },
    /// Something is there, but not what it should be.
    #[error("{of} has {text:?}, which is no {what}")]
    Unfit {
        /// Which answer.
        of: &'static str,
        /// What it should be.
        what: &'static str,
        /// What it is, cut to 80 letters.
        text: String,
    },
}

impl ReadError {
    /// `of` lacks `what`.
    pub fn lacks(of: &'static str, what: impl Into<String>) -> Self {
        Self::Lacks { of, what: what.into() }
    }

    /// `of` has `text` where `what` should be.
    pub fn unfit(of: &'static str, what: &'static str, text: &str) -> Self {
        Self::Unfit { of, what, text: text.chars().take(80).collect() }
    }
}

/// `text` as a number, or why not.
fn number<T: std::str::FromStr>(of: &'static str, text: &str) -> Result<T, ReadError> {
    text.parse().map_err(|_| ReadError::unfit(of, "number", text))
}

/// A text from a driver or device: what could upset a terminal or a table is replaced.
fn printable(text: &str) -> String {
    text.chars().map(|letter| if letter.is_control() { '?' } else { letter }).collect()
}

#[cfg(test)]
mod tests;
