//! stub of the agreed interface
#![allow(missing_docs, clippy::all, clippy::pedantic, clippy::todo, unused, reason = "stub")]
use super::scenario::Scenario;
/// One thing wrong, where, and the way out.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Fault { pub line: Option<usize>, pub key: String, pub wrong: String, pub help: String }
/// All that is wrong with a scenario. `Display` prints them all, each with its line and help.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Faults { pub of: String, pub faults: Vec<Fault> }
impl std::fmt::Display for Faults { fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result { todo!() } }
impl std::error::Error for Faults {}
/// Reads and checks a scenario file's text; `of` names it in errors.
pub fn read(of: &str, text: &str) -> Result<Scenario, Faults> { todo!() }
/// Which patterns are impossible for this many hosts.
pub fn check_fleet(of: &str, scenario: &Scenario, hosts: usize) -> Result<(), Faults> { todo!() }
/// The JSON Schema of a scenario file.
pub fn schema() -> serde_json::Value { todo!() }
