//! An audit on a terminal and as JSON: facts side by side, differences marked, findings with
//! the commands to see and to mend them.

use std::fmt::Write as _;

use serde_json::Value;

use super::{
    escape, json,
    text::{Style, WIDTH, wrap},
    words,
};
use crate::model::{
    fleet::host::HostName,
    judge::{
        audit::{
            rows::{ROWS, Row},
            shape::{AUDIT_SCHEMA, Audit, AuditFinding, AuditVerdict, AuditedHost, UnreadFact},
        },
        summary::Severity,
    },
};

mod table;

/// Hosts that a list spells out.
const HOSTS_SAID: usize = 8;

/// The audit as JSON: keys sorted, pretty, a line break at the end.
pub fn json(audit: &Audit) -> String {
    let value = serde_json::to_value(audit).expect("an audit has only string keys");
    format!("{value:#}\n")
}

/// The JSON Schema that every [`json`] fits.
pub fn schema() -> Value {
    let mut schema = schemars::schema_for!(Audit).to_value();
    let top = schema.as_object_mut().expect("the schema of a struct is an object");
    top.insert("$id".to_owned(), AUDIT_SCHEMA.into());
    top.insert("title".to_owned(), "What an audit by nicburn came to".into());
    top["properties"]["schema"]["const"] = AUDIT_SCHEMA.into();
    json::require_all(&mut schema);
    schema
}

/// The audit for people; its first line says what it came to.
pub fn text(audit: &Audit, style: Style) -> String {
    let mut out = String::new();
    let _ = writeln!(out, "{}", headline(audit, style));
    out.push('\n');
    out.push_str(&table::table(audit, style));
    for group in groups(audit) {
        out.push('\n');
        finding(&mut out, &group, style);
    }
    if !audit.unread.is_empty() {
        out.push_str("\nNot read, and not judged\n");
        audit.unread.iter().for_each(|fact| unread(&mut out, fact, audit.hosts.len()));
    }
    out
}

fn headline(audit: &Audit, style: Style) -> String {
    let hosts = super::figures::count(audit.hosts.len(), "host");
    let with = |severity: Severity| {
        let mut names: Vec<&HostName> =
            audit.findings.iter().filter(|it| it.severity == severity).map(|it| &it.host).collect();
        names.dedup();
        names
    };
    let (fails, warns) = (with(Severity::Fail), with(Severity::Warn));
    let (word, code) = match audit.verdict {
        AuditVerdict::Clean => ("CLEAN", "1;32"),
        AuditVerdict::Warnings => ("WARNINGS", "1;33"),
        AuditVerdict::Failed => ("FAILED", "1;31"),
        AuditVerdict::Unread => ("UNREAD", "1;33"),
    };
    let mut parts = Vec::new();
    if !fails.is_empty() {
        parts.push(format!("the policy is not met on {}", names(&fails)));
    }
    if !warns.is_empty() {
        parts.push(format!("warnings on {}", names(&warns)));
    }
    if audit.unread.iter().any(|fact| !fact.needed_by.is_empty()) {
        parts.push("facts that the policy needs could not be read".to_owned());
    }
    if parts.is_empty() {
        parts.push("nothing found".to_owned());
    }
    let line = format!("{word}: {hosts} audited, {}", parts.join("; "));
    style.ansi(code, &wrap(&line, WIDTH).join("\n"))
}

/// Findings that say the same of several hosts.
struct Group<'a> {
    finding: &'a AuditFinding,
    hosts: Vec<&'a HostName>,
}

/// Graver ones first, then in the order in which they were found.
fn groups(audit: &Audit) -> Vec<Group<'_>> {
    let mut groups: Vec<Group<'_>> = Vec::new();
    for finding in &audit.findings {
        let same = groups.iter_mut().find(|group| {
            let one = group.finding;
            (&one.rule, one.severity, &one.text, &one.look, &one.mend)
                == (&finding.rule, finding.severity, &finding.text, &finding.look, &finding.mend)
        });
        match same {
            Some(group) => group.hosts.push(&finding.host),
            None => groups.push(Group { finding, hosts: vec![&finding.host] }),
        }
    }
    groups.sort_by_key(|group| group.finding.severity);
    groups
}

fn finding(out: &mut String, group: &Group<'_>, style: Style) {
    let finding = group.finding;
    let code = if finding.severity == Severity::Fail { "1;31" } else { "1;33" };
    let head = format!("{}  {} [{}]", names(&group.hosts), finding.rule, words::severity(finding.severity));
    let _ = writeln!(out, "{}", style.ansi(code, &escape::plain(&head)));
    point(out, "", &finding.text);
    point(out, "look", &finding.look);
    point(out, "mend", &finding.mend);
}

/// A labelled text under a finding, wrapped; commands are not broken but where they must be.
fn point(out: &mut String, label: &str, text: &str) {
    for (number, line) in wrap(&escape::plain(text), WIDTH - 8).into_iter().enumerate() {
        let head = if number == 0 { label } else { "" };
        let _ = writeln!(out, "{}", format!("  {head:<4}  {line}").trim_end());
    }
}

fn unread(out: &mut String, fact: &UnreadFact, all: usize) {
    let hosts: Vec<&HostName> = fact.hosts.iter().collect();
    let whose = if hosts.len() == all && all > 1 { "all hosts".to_owned() } else { names(&hosts) };
    let needed = if fact.needed_by.is_empty() {
        String::new()
    } else {
        format!(" (the policy needs it: {})", fact.needed_by.join(", "))
    };
    let text = format!("{} on {whose}: {}{needed}; by hand: {}", fact.fact, fact.why.join("; "), fact.look);
    for (number, line) in wrap(&escape::plain(&text), WIDTH - 4).into_iter().enumerate() {
        let _ = writeln!(out, "{}{line}", if number == 0 { "  - " } else { "    " });
    }
}

fn names(hosts: &[&HostName]) -> String {
    let mut said: Vec<String> =
        hosts.iter().take(HOSTS_SAID).map(|host| words::middle_cut(host.as_str(), 40)).collect();
    if hosts.len() > HOSTS_SAID {
        said.push(format!("and {} more", hosts.len() - HOSTS_SAID));
    }
    said.join(", ")
}

/// What a cell of the table says, and whether it differs from most.
fn cell(host: &AuditedHost, row: &Row) -> (String, bool) {
    let value = host.table.get(row.name).cloned().flatten();
    let value = value.map_or_else(|| "not read".to_owned(), |value| words::middle_cut(&value, 24));
    (value, host.differs.iter().any(|name| name == row.name))
}

/// The rows that say anything of these hosts.
fn told_rows(audit: &Audit) -> Vec<&'static Row> {
    let says = |row: &&Row| {
        audit
            .hosts
            .iter()
            .any(|host| host.table.get(row.name).is_some_and(|value| value.as_deref() != Some("none")))
    };
    ROWS.iter().filter(says).collect()
}

#[cfg(test)]
mod tests;
