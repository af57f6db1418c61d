//! What hosts say of their cards, drivers and kernels, against each other, against hard
//! rules, and against a policy.
//!
//! ```text
//!   rules      what is wrong whatever the others have: the table, one small function a rule
//!   majority   what differs from most hosts of the same machine type
//!   demands    what the policy asks for
//!   unread     what could not be read: listed once a fact, never judged
//! ```
//!
//! [`audit`] is where they meet; `told` makes findings of a run's summary of it. Pure: facts
//! in, findings out. How they look is the report's.

use crate::model::{fleet::host::HostName, plan::policy::Policy, record::facts::HostFacts};

pub mod command;
mod demands;
mod fleet;
mod majority;
pub mod rows;
pub mod rules;
pub mod shape;
mod told;
mod unread;
pub mod version;

use fleet::Fleet;
use shape::{AUDIT_SCHEMA, Audit, AuditFinding, AuditVerdict, AuditedHost};
pub use told::{findings, subjects};

use super::summary::Severity;

/// A host and what it said.
#[derive(Clone, Debug, PartialEq)]
pub struct Subject {
    /// Its name.
    pub host: HostName,
    /// Its facts.
    pub facts: HostFacts,
}

/// Audits hosts: findings in the order of hosts, on each host in the order of the rules.
pub fn audit(subjects: &[Subject], policy: Option<&Policy>) -> Audit {
    let fleet = Fleet::of(subjects);
    let Found { findings, needed } = found(&fleet, subjects, policy);
    let unread = unread::facts(subjects, &needed);
    let verdict = if findings.iter().any(|finding| finding.severity == Severity::Fail) {
        AuditVerdict::Failed
    } else if !needed.is_empty() {
        AuditVerdict::Unread
    } else if findings.is_empty() {
        AuditVerdict::Clean
    } else {
        AuditVerdict::Warnings
    };
    let hosts = subjects.iter().map(|subject| host(&fleet, subject)).collect();
    Audit { schema: AUDIT_SCHEMA.to_owned(), verdict, hosts, findings, unread }
}

/// What an audit finds, without what it shows.
struct Found {
    findings: Vec<AuditFinding>,
    /// Facts that the policy asks for and that could not be read.
    needed: Vec<unread::Needed>,
}

fn found(fleet: &Fleet<'_>, subjects: &[Subject], policy: Option<&Policy>) -> Found {
    let mut findings: Vec<AuditFinding> = Vec::new();
    let mut needed: Vec<unread::Needed> = Vec::new();
    for subject in subjects {
        let own = rules::findings(fleet, subject);
        let differing = majority::findings(fleet, subject);
        let fell_back = own.iter().any(|finding| finding.rule == rules::FELL_BACK);
        findings.extend(own);
        // The fallback names the other driver already: one finding a cause.
        findings.extend(differing.into_iter().filter(|it| !(fell_back && it.rule == majority::DRIVER)));
        if let Some(policy) = policy {
            let (unmet, unknown) = demands::check(subject, policy);
            findings.extend(unmet);
            needed.extend(unknown);
        }
    }
    Found { findings, needed }
}

fn host(fleet: &Fleet<'_>, subject: &Subject) -> AuditedHost {
    AuditedHost {
        host: subject.host.clone(),
        machine: fleet::machine_type(&subject.facts),
        table: rows::table(&subject.facts),
        differs: majority::differs(fleet, subject),
        facts: subject.facts.clone(),
    }
}

#[cfg(test)]
pub(crate) mod fixture;
#[cfg(test)]
mod tests;
