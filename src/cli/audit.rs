//! `nicburn audit`: what hosts say of their cards, drivers and kernels, and what is wrong
//! with it. Sends no load.

use std::path::Path;

use anyhow::{Context as _, anyhow};

use super::{
    args::AuditArgs,
    drive::{self, Job},
    exit,
    failure::Failure,
    files, lab, output, record, run,
    screen::Look,
};
use crate::{
    model::{
        judge::audit::{
            self, Subject,
            shape::{AUDIT_SCHEMA, Audit, AuditVerdict},
        },
        plan::{policy::Policy, scenario::Scenario},
        record::facts::HostFacts,
    },
    report,
};

mod local;

pub(super) fn main(args: &AuditArgs) -> Result<u8, Failure> {
    let policy = args.policy.as_deref().map(policy).transpose()?;
    let subjects = match &args.facts {
        Some(paths) => from_files(paths)?,
        None if args.local => vec![local::subject(args)?],
        None => from_fleet(args)?,
    };
    let audit = audit::audit(&subjects, policy.as_ref());
    if args.json {
        output::data(&report::audit::json(&audit))?;
    } else {
        output::data(&report::audit::text(&audit, output::style()))?;
    }
    Ok(exit_code(audit.verdict))
}

const fn exit_code(verdict: AuditVerdict) -> u8 {
    match verdict {
        AuditVerdict::Clean | AuditVerdict::Warnings => exit::OK,
        AuditVerdict::Failed => exit::UNHEALTHY,
        AuditVerdict::Unread => exit::INCONCLUSIVE,
    }
}

/// Reads a policy file that was named on the command line.
pub(super) fn policy(path: &Path) -> Result<Policy, Failure> {
    Policy::read(&path.display().to_string(), &files::read(path)?).map_err(Failure::usage)
}

/// Hosts out of files that `audit --local --json` wrote, or a record's `facts`.
fn from_files(paths: &[impl AsRef<Path>]) -> Result<Vec<Subject>, Failure> {
    let mut subjects: Vec<Subject> = Vec::new();
    for path in paths {
        let path = path.as_ref();
        for subject in from_file(path, &files::read(path)?)? {
            if subjects.iter().any(|other| other.host == subject.host) {
                let error = anyhow!("{} tells of {} a second time", path.display(), subject.host);
                return Err(Failure::usage(error).help("name each host's facts once"));
            }
            subjects.push(subject);
        }
    }
    if subjects.is_empty() {
        return Err(Failure::usage(anyhow!("the files tell of no host"))
            .help("`nicburn audit --local --json > $(hostname).json` on a host writes one"));
    }
    Ok(subjects)
}

fn from_file(path: &Path, text: &str) -> Result<Vec<Subject>, Failure> {
    let wrong = |error: anyhow::Error| {
        Failure::usage(error.context(format!("{} holds no facts of a host", path.display())))
            .help("`nicburn audit --local --json` on the host writes it anew")
    };
    let value: serde_json::Value = serde_json::from_str(text).map_err(|error| wrong(error.into()))?;
    if value.get("schema").is_some() {
        let audit: Audit = serde_json::from_value(value).map_err(|error| wrong(error.into()))?;
        if audit.schema != AUDIT_SCHEMA {
            return Err(wrong(anyhow!("its schema is `{}`, not `{AUDIT_SCHEMA}`", audit.schema)));
        }
        let hosts = audit.hosts.into_iter();
        return Ok(hosts.map(|host| Subject { host: host.host, facts: host.facts }).collect());
    }
    // Facts alone tell no name: the file's is the host's.
    let facts: HostFacts = serde_json::from_value(value).map_err(|error| wrong(error.into()))?;
    let stem = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    let host = stem.parse().map_err(|error| wrong(anyhow::Error::new(error)))?;
    Ok(vec![Subject { host, facts }])
}

/// Gathers workers as `run` does, takes their facts and lets them go.
fn from_fleet(args: &AuditArgs) -> Result<Vec<Subject>, Failure> {
    let hosts = run::fleet_size(&args.fleet).map_err(|failure| {
        failure
            .help("or `--local` for this host alone")
            .help("or `--facts FILE…` for what other hosts have written")
    })?;
    // The record of a survey serves this command alone; no `results/latest` points at it.
    let state = files::state_dir()?;
    files::create_private(&state)?;
    let out = state.join(format!("audit-{}", std::process::id()));
    let removed = RemovedAtEnd(out.clone());
    let job = Job {
        fleet: run::fleet(&args.fleet, &args.lab, hosts)?,
        scenario: Scenario {
            name: "audit".to_owned(),
            about: "what do the hosts say of themselves?".to_owned(),
            ..Scenario::default()
        },
        seed: 0,
        out,
        policy: None,
        survey: true,
        // Nothing is sent, so that nobody is disturbed.
        shared: true,
        look: Look::of(args.quiet),
    };
    let driven = drive::drive(job)?;
    let subjects = told(&driven.folder);
    if let Some(lab) = driven.lab {
        lab::take_down(lab);
    }
    drop(removed);
    subjects
}

/// The facts in the record of a survey.
fn told(folder: &Path) -> Result<Vec<Subject>, Failure> {
    let record = record::read(folder, &[])?;
    let subjects = audit::subjects(&record);
    let silent: Vec<&str> = record
        .opened
        .hosts
        .iter()
        .map(|host| host.name.as_str())
        .filter(|name| subjects.iter().all(|subject| subject.host.as_str() != *name))
        .collect();
    if subjects.is_empty() {
        return Err(Failure::failed(anyhow!("no worker told its facts"))
            .help("look at the workers' logs; `nicburn audit --local` on a host tells what it can read"));
    }
    if !silent.is_empty() {
        output::note(&format!("without facts, and not audited: {}", silent.join(", ")));
    }
    Ok(subjects)
}

/// A folder that is removed however the command ends.
struct RemovedAtEnd(std::path::PathBuf);

impl Drop for RemovedAtEnd {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0).context("left behind");
    }
}
