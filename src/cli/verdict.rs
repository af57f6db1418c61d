//! From a record to verdicts, files and exit code: one path for `run`, `demo` and `judge`.
//!
//! Because it is one path, `judge` on a run's folder writes the same bytes as the run did.

use std::{
    path::{Path, PathBuf},
    thread,
};

use anyhow::{Context as _, anyhow};

use super::{exit, failure::Failure, files, output, record};
use crate::{
    model::{
        fleet::host::HostName,
        judge::{evidence::gather::Gathered, seen::Seen, summary::Summary, verdict},
    },
    report::{self, bundle::Bundle, series::Charts},
};

/// The name of the summary within a run's folder.
pub(super) const SUMMARY_FILE: &str = "summary.json";

/// The folder of evidence bundles within a run's folder.
const EVIDENCE_DIR: &str = "evidence";

/// Judges the record in `folder`, with the lines of `spools` appended, writes the files that
/// follow from it, and prints the outcome. The exit code.
pub(super) fn conclude(folder: &Path, spools: &[PathBuf], json: bool) -> Result<u8, Failure> {
    let record = record::read(folder, spools)?;
    // A large record is laid out on several cores, as it is read; the larger part on this thread, since
    // in the memory of a pool's it takes 10 MB more.
    let (seen, gathered) = thread::scope(|scope| {
        let gathered = scope.spawn(|| Gathered::of(&record));
        (Seen::of(&record), gathered.join().expect("it does not panic"))
    });
    let (summary, charts) = thread::scope(|scope| {
        let charts = scope.spawn(|| Charts::of(&seen));
        (verdict::judge_laid_out(&record, &seen, &gathered), charts.join().expect("it does not panic"))
    });
    let bundles = write_bundles(folder, &summary, || {
        report::bundle::bundles(&record, &seen, &gathered, &charts, &summary)
    })?;
    write_files(folder, &summary, &charts)?;
    show(&summary, json)?;
    if !json {
        bundles.iter().try_for_each(|(host, path)| {
            output::data(&format!("evidence on {host}: {}\n", path.display()))
        })?;
    }
    // The process ends with it: to take a large record apart piece by piece would only take time.
    std::mem::forget(gathered);
    std::mem::forget((record, seen));
    Ok(exit::exit_code(&summary))
}

/// A summary as a run left it.
pub(super) fn read_summary(folder: &Path) -> Result<Summary, Failure> {
    let path = folder.join(SUMMARY_FILE);
    let text = files::read(&path)
        .map_err(|failure| failure.help(format!("`nicburn judge {}` writes it", folder.display())))?;
    let summary: Summary = serde_json::from_str(&text)
        .with_context(|| format!("{} is no summary of this version", path.display()))
        .map_err(|error| {
            Failure::usage(error).help(format!("`nicburn judge {}` writes it anew", folder.display()))
        })?;
    let known = crate::model::judge::summary::SUMMARY_SCHEMA;
    if summary.schema == known {
        return Ok(summary);
    }
    let error = anyhow!("{} has the schema `{}`, not `{known}`", path.display(), summary.schema);
    Err(Failure::usage(error).help(format!("`nicburn judge {}` writes it anew", folder.display())))
}

/// Writes the evidence bundle of each failed host; those of an earlier judgement go. Where
/// each now lies.
fn write_bundles(
    folder: &Path,
    summary: &Summary,
    bundles: impl FnOnce() -> Vec<(HostName, Bundle)>,
) -> Result<Vec<(HostName, PathBuf)>, Failure> {
    let dir = folder.join(EVIDENCE_DIR);
    for host in &summary.hosts {
        // A host that failed by the record alone may pass once its spool is read too.
        let _ = std::fs::remove_file(dir.join(report::bundle::file_name(&host.host)));
    }
    let bundles = bundles();
    if bundles.is_empty() {
        let _ = std::fs::remove_dir(&dir);
        return Ok(Vec::new());
    }
    std::fs::create_dir_all(&dir)
        .with_context(|| format!("cannot create the folder {}", dir.display()))
        .map_err(Failure::failed)?;
    bundles
        .into_iter()
        .map(|(host, (name, bytes))| {
            let path = dir.join(name);
            files::write_whole(&path, &bytes)?;
            Ok((host, path))
        })
        .collect()
}

/// Writes all that is rendered; `summary.json` last, so that it stands for the others.
fn write_files(folder: &Path, summary: &Summary, charts: &Charts) -> Result<(), Failure> {
    let rendered = [
        ("summary.md", report::markdown::markdown(summary)),
        ("junit.xml", report::junit::junit(summary)),
        ("report.html", report::html::html(summary, charts)),
        (SUMMARY_FILE, report::summary_json(summary)),
    ];
    rendered.iter().try_for_each(|(name, text)| files::write_whole(&folder.join(name), text))
}

fn show(summary: &Summary, json: bool) -> Result<(), Failure> {
    if json {
        return output::data(&report::summary_json(summary));
    }
    output::data(&report::text::text(summary, &output::style()))
}
