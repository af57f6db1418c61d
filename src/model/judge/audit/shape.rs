//! What an audit comes to, as scripts read it: `nicburn audit --json`.
//!
//! A contract as `summary.json` is: names stay, keys are always present, what is not known
//! is null. The facts of every host are in it whole, so that the output of one host can be
//! carried to another machine and audited there with others.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::model::{fleet::host::HostName, judge::summary::Severity, record::facts::HostFacts};

/// The schema's name.
pub const AUDIT_SCHEMA: &str = "nicburn.audit/1";

/// What an audit came to.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Audit {
    /// `nicburn.audit/1`.
    pub schema: String,
    /// In a word; the exit code follows from it.
    pub verdict: AuditVerdict,
    /// The hosts, in the order in which they were given.
    pub hosts: Vec<AuditedHost>,
    /// What is wrong, in the order of the hosts.
    pub findings: Vec<AuditFinding>,
    /// What could not be read: not judged.
    pub unread: Vec<UnreadFact>,
}

/// An audit in a word.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum AuditVerdict {
    /// Nothing was found.
    Clean,
    /// There are findings, none of severity `fail`.
    Warnings,
    /// A policy's demand of severity `fail` is not met.
    Failed,
    /// None is known to be unmet, but facts that the policy asks for could not be read.
    Unread,
}

/// One host.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AuditedHost {
    /// Its name.
    pub host: HostName,
    /// What it is compared with: its product and the family of drivers its card can have.
    pub machine: String,
    /// Facts that are compared, as text; null where unread, `none` where there is no such thing.
    pub table: BTreeMap<String, Option<String>>,
    /// Keys of `table`, and offloads, in which it differs from most hosts of its machine type.
    pub differs: Vec<String>,
    /// All facts, as in a record's `facts` lines.
    #[schemars(with = "serde_json::Value")]
    pub facts: HostFacts,
}

/// Something that is wrong with a host's configuration.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AuditFinding {
    /// On which host.
    pub host: HostName,
    /// Which rule: a hard rule's name, `majority.…` or `policy.…`.
    pub rule: String,
    /// `fail` only where a policy says so.
    pub severity: Severity,
    /// What is wrong and what follows from it, for people; the host is not named in it.
    pub text: String,
    /// The values it rests on.
    pub values: BTreeMap<String, String>,
    /// What to type on the host to see it.
    pub look: String,
    /// What to do, or to type there, to mend it.
    pub mend: String,
}

/// A fact that could not be read.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct UnreadFact {
    /// Which.
    pub fact: String,
    /// On which hosts.
    pub hosts: Vec<HostName>,
    /// The reasons they gave, each once.
    pub why: Vec<String>,
    /// What to type to read it by hand.
    pub look: String,
    /// The policy's keys that cannot be checked without it.
    pub needed_by: Vec<String>,
}
