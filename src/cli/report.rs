//! `nicburn report`: a run in another form, to stdout.

use super::{
    args::{Format, ReportArgs},
    charts, exit,
    failure::Failure,
    output, verdict,
};
use crate::report;

pub(super) fn main(args: &ReportArgs) -> Result<u8, Failure> {
    let summary = verdict::read_summary(&args.run)?;
    let text = match args.format {
        Format::Text => report::text::text(&summary, &output::style()),
        Format::Md => report::markdown::markdown(&summary),
        Format::Junit => report::junit::junit(&summary),
        Format::Json => report::summary_json(&summary),
        Format::Html => {
            let record = verdict::read_record(&args.run, &[])?;
            report::html::html(&summary, &charts::of(&record))
        }
    };
    output::data(&text)?;
    Ok(exit::OK)
}
