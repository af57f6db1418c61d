//! `nicburn show`: the verdict table of a run, or the names of its bad hosts.

use super::{args::ShowArgs, exit, failure::Failure, output, verdict};
use crate::{
    model::judge::summary::{FindingKind, HostSummary, Verdict},
    report,
};

pub(super) fn main(args: &ShowArgs) -> Result<u8, Failure> {
    let summary = verdict::read_summary(&args.run)?;
    if args.bad_hosts {
        let names: Vec<String> =
            summary.hosts.iter().filter(|host| is_bad(host)).map(|host| format!("{}\n", host.host)).collect();
        output::data(&names.concat())?;
    } else {
        output::data(&report::text::text(&summary, &output::style()))?;
    }
    Ok(exit::OK)
}

/// A host to take out of service: it failed, or it came back with another boot id.
fn is_bad(host: &HostSummary) -> bool {
    host.verdict == Verdict::Fail
        || host.findings.iter().any(|finding| finding.kind == FindingKind::HostRebooted)
}
