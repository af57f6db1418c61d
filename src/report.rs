//! merge: a stub of the report room; the report branch replaces this file whole.
#![allow(missing_docs, clippy::all, clippy::pedantic, clippy::todo, unused, reason = "stub")]
use crate::model::judge::summary::Summary;
pub fn summary_json(summary: &Summary) -> String { todo!() }
pub fn summary_schema() -> serde_json::Value { serde_json::json!({}) }
pub mod series { #[derive(Debug, Default)] pub struct Charts { pub stages: Vec<(String, f64, f64)>, pub hosts: Vec<()> } }
pub mod text {
    pub struct Style { pub colour: bool }
    pub fn text(summary: &super::Summary, style: &Style) -> String { todo!() }
}
pub mod markdown { pub fn markdown(summary: &super::Summary) -> String { todo!() } }
pub mod junit { pub fn junit(summary: &super::Summary) -> String { todo!() } }
pub mod html { pub fn html(summary: &super::Summary, charts: &super::series::Charts) -> String { todo!() } }
pub mod live {
    use crate::model::{fleet::{host::{HostId, HostName}, units::BitRate}, run::event::RunEvent};
    pub fn line(event: &RunEvent, names: &[HostName]) -> Option<String> { todo!() }
    pub fn progress_line(rates: &[(HostId, BitRate, BitRate)]) -> String { todo!() }
}
