//! `nicburn schema`: the shape of a file, for those who read it by machine.

use super::{
    args::{SchemaArgs, SchemaOf},
    exit,
    failure::Failure,
    output,
};
use crate::report;

pub(super) fn main(args: &SchemaArgs) -> Result<u8, Failure> {
    let schema = match args.of {
        SchemaOf::Summary => report::summary_schema(),
        SchemaOf::Audit => report::audit::schema(),
        SchemaOf::Pair => report::pair::pair_schema(),
    };
    output::data(&format!("{schema:#}\n"))?;
    Ok(exit::OK)
}
