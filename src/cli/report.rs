//! `nicburn report`: a run in another form, to stdout.

use super::{
    args::{Format, ReportArgs},
    exit,
    failure::Failure,
    output, record, verdict,
};
use crate::{
    model::judge::seen::Seen,
    report::{self, series::Charts},
};

pub(super) fn main(args: &ReportArgs) -> Result<u8, Failure> {
    let summary = verdict::read_summary(&args.run)?;
    let text = match args.format {
        Format::Text => report::text::text(&summary, &output::style()),
        Format::Md => report::markdown::markdown(&summary),
        Format::Junit => report::junit::junit(&summary),
        Format::Json => report::summary_json(&summary),
        Format::Html => {
            let record = record::read(&args.run, &[])?;
            report::html::html(&summary, &Charts::of(&Seen::of(&record)))
        }
    };
    output::data(&text)?;
    Ok(exit::OK)
}
