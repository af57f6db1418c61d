//! All kinds of faults, by what they do.

mod beside;
mod cable;
mod dies;
mod drops;
mod link;
mod rates;
mod tables;

use beside::Beside;
use cable::CableFault;
pub use dies::{Dies, Limit};
use drops::Drops;
use link::LinkFault;
use rates::Rates;
use tables::Tables;

use super::{
    FaultError,
    parse::Values,
    place::Places,
    steps::{Site, Steps},
};

/// What breaks, with its numbers. TX is what the host sends, RX what it receives; where no
/// direction is named it is both. What lasts without a length lasts until it is taken back.
#[derive(Clone, Debug, PartialEq)]
pub enum FaultKind {
    /// Silent under some load.
    Dies(Dies),
    /// Loses what fits a rule.
    Drops(Drops),
    /// Delays, disorders, repeats or changes what passes.
    Cable(CableFault),
    /// Carries less.
    Rates(Rates),
    /// Carrier and settings of the link.
    Link(LinkFault),
    /// Addresses and neighbours.
    Tables(Tables),
    /// Not the card at all.
    Beside(Beside),
}

/// A line of `lab fault --list`: how it is written, and what it does.
pub(super) type Row = (&'static str, &'static str);

/// All there is to say about a fault of a group.
pub(crate) trait Group {
    /// The name that a person types.
    fn name(&self) -> &'static str;
    /// Its keys and values as a person types them.
    fn keys(&self) -> Vec<String>;
    /// Where it may be.
    fn places(&self) -> Places {
        Places::Hosts
    }
    /// What of a host it breaks.
    fn subject(&self) -> &'static str {
        "NIC"
    }
    /// What it does, to follow its subject.
    fn does(&self) -> String;
    /// What a healthy observer should find.
    fn sight(&self) -> &'static str;
    /// What is done to the lab.
    fn steps(&self, site: &Site<'_>) -> Steps;
}

/// How a group reads itself: `None` for a name that is not of it.
type Read = fn(&str, &mut Values<'_>) -> Option<Result<FaultKind, FaultError>>;

/// Every group with its reader and its rows.
const GROUPS: [(Read, &[Row]); 7] = [
    (dies::read, &dies::ROWS),
    (drops::read, &drops::ROWS),
    (cable::read, &cable::ROWS),
    (rates::read, &rates::ROWS),
    (link::read, &link::ROWS),
    (tables::read, &tables::ROWS),
    (beside::read, &beside::ROWS),
];

impl FaultKind {
    /// The fault called `name` with `values`.
    pub(super) fn read(name: &str, values: &mut Values<'_>) -> Result<Self, FaultError> {
        let found = GROUPS.iter().find_map(|(read, _)| read(name, values));
        found.unwrap_or_else(|| Err(FaultError::Name { name: name.to_owned(), all: names() }))
    }

    pub(crate) fn group(&self) -> &dyn Group {
        match self {
            Self::Dies(kind) => kind,
            Self::Drops(kind) => kind,
            Self::Cable(kind) => kind,
            Self::Rates(kind) => kind,
            Self::Link(kind) => kind,
            Self::Tables(kind) => kind,
            Self::Beside(kind) => kind,
        }
    }
}

/// Every fault with its keys, in the order of the help text. Keys in brackets may be left out.
pub(super) fn rows() -> impl Iterator<Item = Row> {
    GROUPS.iter().flat_map(|(_, rows)| rows.iter().copied())
}

/// The name at the beginning of how a fault is written.
pub(super) fn name_of(syntax: &str) -> &str {
    syntax.split('@').next().unwrap_or(syntax)
}

/// All names, for whoever typed another.
fn names() -> String {
    let names: Vec<&str> = rows().map(|(syntax, _)| name_of(syntax)).collect();
    names.join(", ")
}

/// `for=3s`, or nothing for what lasts until it is taken back.
fn lasting(for_s: Option<f64>) -> Vec<String> {
    for_s.map(|s| format!("for={s}s")).into_iter().collect()
}

/// How long something lasts, to follow what it does.
fn span(for_s: Option<f64>) -> String {
    for_s.map_or_else(|| "until it is taken back".to_owned(), |s| format!("for {s} s"))
}
