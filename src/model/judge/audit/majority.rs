//! What a host has differently from most hosts of its machine type.

use std::collections::BTreeMap;

use super::{
    Subject, command,
    fleet::{Fleet, Majority},
    rows::{ROWS, Row, shown},
    shape::AuditFinding,
};
use crate::model::{judge::summary::Severity, record::facts::HostFacts};

/// The rule that speaks of drivers.
pub const DRIVER: &str = "majority.driver";

/// Offloads that one finding spells out; more say little more.
const OFFLOADS_SAID: usize = 6;

/// The findings on one host.
pub fn findings(fleet: &Fleet<'_>, subject: &Subject) -> Vec<AuditFinding> {
    let mut found: Vec<AuditFinding> = ROWS
        .iter()
        // Frames that do not fit concern the whole fleet: `mtu_mismatch` is about them.
        .filter(|row| row.name != "mtu")
        .filter_map(|row| difference(fleet, subject, row).map(|(own, most)| finding(subject, row, own, most)))
        .collect();
    found.extend(offloads_finding(subject, &offloads(fleet, subject)));
    found
}

/// Names of rows and offloads in which a host differs.
pub fn differs(fleet: &Fleet<'_>, subject: &Subject) -> Vec<String> {
    let rows = ROWS.iter().filter(|row| difference(fleet, subject, row).is_some());
    let rows = rows.map(|row| row.name.to_owned());
    rows.chain(offloads(fleet, subject).into_iter().map(|(name, ..)| name)).collect()
}

/// What a host has and what most have, where that differs.
fn difference(fleet: &Fleet<'_>, subject: &Subject, row: &Row) -> Option<(String, Majority)> {
    let read = |facts: &HostFacts| shown(&(row.read)(facts));
    let own = read(&subject.facts)?;
    let most = fleet.majority(subject, row.of_driver, read)?;
    (most.value != own).then_some((own, most))
}

fn finding(subject: &Subject, row: &Row, own: String, most: Majority) -> AuditFinding {
    let Majority { value, agree, of } = most;
    let text = format!("the {} is {own}; {agree} of {of} hosts of its kind have {value}", row.title);
    let mut values = fills(subject);
    values.extend([("own".to_owned(), own), ("want".to_owned(), value)]);
    AuditFinding {
        host: subject.host.clone(),
        rule: format!("majority.{}", row.name),
        severity: Severity::Warn,
        text,
        look: command::fill(row.look, &values),
        mend: command::fill(row.mend, &values),
        values,
    }
}

/// What templates of commands are filled with: the interface and its driver.
pub fn fills(subject: &Subject) -> BTreeMap<String, String> {
    let driver = super::fleet::driver(&subject.facts).unwrap_or_default();
    let known = [("iface", subject.facts.card.iface.as_str()), ("driver", driver)];
    let known = known.into_iter().filter(|(_, value)| !value.is_empty());
    known.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

/// Offloads that differ: name, own state, what most have.
fn offloads(fleet: &Fleet<'_>, subject: &Subject) -> Vec<(String, bool, Majority)> {
    let Some(own) = subject.facts.card.features.known() else { return Vec::new() };
    own.iter()
        .filter_map(|(name, feature)| {
            let state = |facts: &HostFacts| Some(word(facts.card.features.known()?.get(name)?.on).to_owned());
            let most = fleet.majority(subject, true, state)?;
            (most.value != word(feature.on)).then(|| (name.clone(), feature.on, most))
        })
        .collect()
}

const fn word(on: bool) -> &'static str {
    if on { "on" } else { "off" }
}

/// One finding for all offloads of a host: they were most likely set together.
fn offloads_finding(subject: &Subject, differing: &[(String, bool, Majority)]) -> Option<AuditFinding> {
    let (_, _, first) = differing.first()?;
    let said: Vec<String> =
        differing.iter().take(OFFLOADS_SAID).map(|(name, on, _)| format!("{name} {}", word(*on))).collect();
    let more = differing.len().saturating_sub(OFFLOADS_SAID);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    let mut values = fills(subject);
    let settings: Vec<String> =
        differing.iter().map(|(name, _, most)| format!("{} {}", command::word(name), most.value)).collect();
    let look = command::fill("ethtool -k {iface}", &values);
    let mend = format!("{} {}", command::fill("ethtool -K {iface}", &values), settings.join(" "));
    values.extend(differing.iter().map(|(name, on, _)| (name.clone(), word(*on).to_owned())));
    Some(AuditFinding {
        host: subject.host.clone(),
        rule: "majority.offloads".to_owned(),
        severity: Severity::Warn,
        text: format!(
            "offloads differ from {} of {} hosts of its kind: {}{more}",
            first.agree,
            first.of,
            said.join(", "),
        ),
        values,
        look,
        mend,
    })
}
