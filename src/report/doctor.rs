//! The doctor's lines on a terminal and as JSON.

use std::fmt::Write as _;

use serde::Serialize;

use super::{
    escape,
    text::{Style, WIDTH, wrap},
};
use crate::model::fleet::fitness::{self, Check, Level};

/// The name of the JSON form.
pub const DOCTOR_SCHEMA: &str = "nicburn.doctor/1";

#[derive(Serialize)]
struct Told<'a> {
    schema: &'static str,
    fit: bool,
    checks: &'a [Check],
}

/// All checks as JSON, a line break at the end.
pub fn json(checks: &[Check]) -> String {
    let told = Told { schema: DOCTOR_SCHEMA, fit: fitness::is_fit(checks), checks };
    let value = serde_json::to_value(told).expect("checks have only string keys");
    format!("{value:#}\n")
}

/// A line a check, the remedy under what is not ok, and the outcome last.
pub fn text(checks: &[Check], style: Style) -> String {
    let width = checks.iter().map(|check| check.name.chars().count()).max().unwrap_or(0);
    let mut out = String::new();
    for check in checks {
        let (word, code) = match check.level {
            Level::Ok => ("ok  ", "32"),
            Level::Warn => ("warn", "1;33"),
            Level::Bad => ("BAD ", "1;31"),
        };
        let mark = style.ansi(code, word);
        let said = format!("{} ({})", check.value, check.limit);
        let indent = " ".repeat(width + 8);
        let mut lines = wrap(&escape::plain(&said), WIDTH - indent.len());
        if !check.remedy.is_empty() {
            lines.extend(wrap(&format!("-> {}", check.remedy), WIDTH - indent.len()));
        }
        for (number, line) in lines.into_iter().enumerate() {
            // Writing to a String cannot fail.
            let _ = match number {
                0 => writeln!(out, "{mark}  {:<width$}  {line}", check.name),
                _ => writeln!(out, "{indent}{line}"),
            };
        }
    }
    let count = |level: Level| checks.iter().filter(|check| check.level == level).count();
    let (warn, bad) = (count(Level::Warn), count(Level::Bad));
    let outcome = match (bad, warn) {
        (0, 0) => "fit".to_owned(),
        (0, _) => format!("fit, with {}", super::figures::count(warn, "warning")),
        _ => format!("UNFIT: {bad} bad, {}", super::figures::count(warn, "warning")),
    };
    out + &outcome + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(level: Level) -> Check {
        let remedy = if level == Level::Ok { "" } else { "do it" };
        Check {
            name: "disk".to_owned(),
            level,
            value: "1 MiB free".to_owned(),
            limit: "64 MiB".to_owned(),
            remedy: remedy.to_owned(),
        }
    }

    #[test]
    fn each_line_has_value_limit_and_remedy_and_the_outcome_stands_last() {
        let checks = [check(Level::Ok), check(Level::Warn), check(Level::Bad)];
        insta::assert_snapshot!(text(&checks, Style::default()), @r"
        ok    disk  1 MiB free (64 MiB)
        warn  disk  1 MiB free (64 MiB)
                    -> do it
        BAD   disk  1 MiB free (64 MiB)
                    -> do it
        UNFIT: 1 bad, 1 warning
        ");
        assert!(text(&checks[..2], Style::default()).ends_with("fit, with 1 warning\n"));
        assert!(text(&checks[..1], Style::default()).ends_with("\nfit\n"));
    }

    #[test]
    fn scripts_find_the_outcome_by_name() {
        let value: serde_json::Value = serde_json::from_str(&json(&[check(Level::Warn)])).expect("JSON");
        assert_eq!(value["fit"], true);
        assert_eq!(value["checks"][0]["level"], "warn");
    }
}
