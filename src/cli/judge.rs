//! `nicburn judge`: the verdict of a record, again.

use super::{args::JudgeArgs, failure::Failure, verdict};

pub(super) fn main(args: &JudgeArgs) -> Result<u8, Failure> {
    verdict::conclude(&args.run, &args.spool, args.json)
}
