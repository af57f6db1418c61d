//! Says what was measured and judged: text, live lines, JSON, Markdown, `JUnit`, HTML.
//!
//! Every function here takes values of [`model`](crate::model) and gives back text, or the
//! bytes of an archive of texts. Where
//! that text goes (a terminal, a file) and whether it may be coloured is the caller's. No
//! verdict is formed here: what a summary does not say, no rendering may say.
//!
//! All strings that another machine supplied pass [`escape`] on their way out.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

pub mod advice;
pub mod audit;
pub mod bundle;
pub mod details;
pub mod doctor;
pub mod escape;
pub mod figures;
pub mod html;
pub mod json;
pub mod junit;
pub mod live;
pub mod markdown;
pub mod pair;
pub mod series;
pub mod text;
pub mod words;

#[cfg(test)]
pub(crate) mod fixture;

pub use json::{summary_json, summary_schema};
