//! The facts of all hosts side by side: a column a host where that fits, else what most have
//! and who differs.

use std::{collections::BTreeMap, fmt::Write as _};

use super::{WIDTH, cell, names, told_rows};
use crate::{
    model::{fleet::host::HostName, judge::audit::shape::Audit},
    report::{
        escape,
        text::{Style, wrap},
        words,
    },
};

/// Between two columns.
const GAP: &str = "  ";

/// What differs from most hosts of its kind is marked with this.
const MARK: &str = "*";

pub(super) fn table(audit: &Audit, style: Style) -> String {
    side_by_side(audit, style).unwrap_or_else(|| by_value(audit))
}

/// A column a host; `None` where that is too wide.
fn side_by_side(audit: &Audit, style: Style) -> Option<String> {
    let mut columns: Vec<Vec<(String, bool)>> = vec![vec![("host".to_owned(), false)]];
    columns[0].extend(told_rows(audit).iter().map(|row| (row.title.to_owned(), false)));
    for host in &audit.hosts {
        let mut column = vec![(words::middle_cut(host.host.as_str(), 24), false)];
        column.extend(told_rows(audit).into_iter().map(|row| {
            let (value, differs) = cell(host, row);
            (if differs { format!("{value} {MARK}") } else { value }, differs)
        }));
        columns.push(column);
    }
    let widths: Vec<usize> = columns
        .iter()
        .map(|column| column.iter().map(|(cell, _)| cell.chars().count()).max().unwrap_or(0))
        .collect();
    if widths.iter().sum::<usize>() + GAP.len() * (widths.len() - 1) > WIDTH {
        return None;
    }
    let mut out = String::new();
    for line in 0..columns[0].len() {
        let cells = columns.iter().zip(&widths).map(|(column, width)| {
            let (cell, differs) = &column[line];
            let padded = format!("{cell}{}", " ".repeat(width - cell.chars().count()));
            if *differs { style.ansi("1;33", &padded) } else { padded }
        });
        let _ = writeln!(out, "{}", cells.collect::<Vec<_>>().join(GAP).trim_end());
    }
    if audit.hosts.iter().any(|host| !host.differs.is_empty()) {
        let _ = writeln!(out, "{MARK} differs from most hosts of its kind");
    }
    Some(out)
}

/// A line a value: the fact, the value, who has it; the most frequent value first.
fn by_value(audit: &Audit) -> String {
    let mut out = String::new();
    for row in told_rows(audit) {
        let mut hosts: BTreeMap<String, (bool, Vec<&HostName>)> = BTreeMap::new();
        for host in &audit.hosts {
            let (value, differs) = cell(host, row);
            let entry = hosts.entry(value).or_default();
            entry.0 |= differs;
            entry.1.push(&host.host);
        }
        let mut values: Vec<_> = hosts.into_iter().collect();
        values.sort_by_key(|(_, (_, hosts))| std::cmp::Reverse(hosts.len()));
        for (number, (value, (differs, hosts))) in values.into_iter().enumerate() {
            let title = if number == 0 { row.title } else { "" };
            let mark = if differs { MARK } else { " " };
            let whose = if hosts.len() == audit.hosts.len() { "all".to_owned() } else { names(&hosts) };
            let whose = wrap(&escape::plain(&format!("{}: {whose}", hosts.len())), WIDTH - 44);
            for (part, whose) in whose.into_iter().enumerate() {
                let (title, value) = if part == 0 { (title, value.as_str()) } else { ("", "") };
                let _ = writeln!(out, "{}", format!("{title:<14}  {value:<24} {mark} {whose}").trim_end());
            }
        }
    }
    let _ = writeln!(out, "{MARK} differs from most hosts of its kind");
    out
}
