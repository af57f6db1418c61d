//! What can be broken in a lab, as values and as text.
//!
//! A fault names its place, its kind and its numbers. What it does to the links is `steps`,
//! when each step is done is the holder's. Neither coordinator nor judge ever sees one. Each
//! group of kinds is a file of `kinds` that holds all there is to say about them.

use std::fmt;

use serde::{Deserialize, Serialize};

mod explain;
mod kinds;
mod parse;
mod place;
pub(crate) mod steps;

pub use explain::{example, list};
pub use kinds::{Dies, FaultKind, Limit};
pub use parse::FaultError;
pub use place::Place;

/// Something broken. As text it is `NAME@PLACE,key=value,…`, and so it travels.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Fault {
    /// Where.
    pub place: Place,
    /// Seconds from the command until it begins.
    pub after_s: f64,
    /// What breaks.
    pub kind: FaultKind,
}

impl Fault {
    /// The truth in words without a full stop, for the end of a demo.
    pub fn truth(&self) -> String {
        let does = self.kind.group().does();
        match self.place {
            Place::Host(_) => format!("{}, whose {} {does}", self.place, self.kind.group().subject()),
            Place::Path(a, b) => match self.kind.group().subject() {
                "NIC" | "cable" => format!("the path between h{a} and h{b}, which {does}"),
                subject => format!("h{a}, whose {subject} {does}, as to h{b}"),
            },
            Place::Uplink => format!("the uplink, which {does}"),
        }
    }
}

/// A direction as the host sees it: of a path as its first host sees it, of the uplink as the
/// first rack does.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Direction {
    /// What it sends.
    Tx,
    /// What it receives.
    Rx,
    /// Both.
    Both,
}

impl Direction {
    /// Whether sending is meant.
    pub const fn has_tx(self) -> bool {
        matches!(self, Self::Tx | Self::Both)
    }

    /// Whether receiving is meant.
    pub const fn has_rx(self) -> bool {
        matches!(self, Self::Rx | Self::Both)
    }
}

impl fmt::Display for Direction {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::Tx => "tx",
            Self::Rx => "rx",
            Self::Both => "both",
        })
    }
}

#[cfg(test)]
mod tests;
