//! The record's series in the shape that the report draws.

use crate::{model::record::book::Record, report::series::Charts};

/// Goodput per host over time, with the stages.
pub(super) fn of(_record: &Record) -> Charts {
    // merge: fill from `model::judge::charts::charts(record)`.
    Charts { stages: vec![], hosts: vec![] }
}
