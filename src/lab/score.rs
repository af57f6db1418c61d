//! How well verdicts match what was broken: cases with their truth, and the tally over many.
//!
//! Pure. The truth of a case stays here: a run is started like any other, from a scenario's
//! text and flags, and only what it says in the end is held against the truth. Starting runs
//! and keeping outcomes is `cli::score`'s.

mod board;
mod bounds;
mod cases;
mod draw;
mod live;
mod outcome;
mod scenario;

pub use board::{Board, page};
pub use cases::cases;
pub use draw::{Drawn, drawn};
pub use live::Heard;
pub use outcome::{Outcome, SickSeen, lost, outcome};
pub use scenario::text as scenario_text;

use serde::{Deserialize, Serialize};

use crate::model::judge::summary::{Direction, FindingKind};

/// What is broken and what should be found, with places and numbers left to a seed.
///
/// In all texts `{a}`, `{b}` and `{c}` are three different hosts that the seed draws, and
/// `[x|y|z]` is one of these, seed by seed.
#[derive(Clone, Copy, Debug)]
pub struct Case {
    /// Its name, of letters, digits and dashes.
    pub name: &'static str,
    /// What it belongs to, for the tally.
    pub class: Class,
    /// How many hosts.
    pub hosts: u16,
    /// More flags of `nicburn run`, as a person types them.
    pub flags: &'static str,
    /// What is broken.
    pub faults: &'static [&'static str],
    /// What should be found; empty where all is well.
    pub sick: &'static [Sick],
    /// Which load shows it.
    pub load: Load,
}

/// Which load a case is put under.
#[derive(Clone, Copy, Debug)]
pub enum Load {
    /// The whole of `accept`.
    Accept,
    /// These stages of `accept` only.
    Stages(&'static [&'static str]),
    /// The whole of it with another congestion control.
    Congestion(&'static str),
    /// Another scenario that is built in.
    Other(&'static str),
}

/// Groups of cases.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Class {
    /// A card or link falls silent, under load or by itself.
    Hard,
    /// Packets of some kind never pass.
    Holes,
    /// Packets are lost, changed, doubled or late, or fewer pass.
    Soft,
    /// Addresses and settings.
    Settings,
    /// A path or an uplink.
    Ways,
    /// Several at once.
    Several,
    /// A host that cannot be measured, and whose card is well.
    Beside,
    /// Nothing is broken, however it looks.
    Well,
}

/// One thing that should be found.
#[derive(Clone, Copy, Debug)]
pub struct Sick {
    /// Where.
    pub at: At,
    /// The kinds that name it rightly.
    pub kinds: &'static [FindingKind],
    /// The direction, where it has one.
    pub direction: Option<Direction>,
}

/// Where something should be found.
#[derive(Clone, Copy, Debug)]
pub enum At {
    /// At a host, which fails by it.
    Host(&'static str),
    /// At a host, which is told as not measured or warned of, and must not fail.
    Beside(&'static str),
    /// Between two hosts, told of the fleet.
    Path(&'static str, &'static str),
    /// Between the racks, told of the fleet.
    Uplink,
}
