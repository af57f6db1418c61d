//! The verdict on a terminal: one line for the fleet, a table, and what lies behind it.
//!
//! At most [`WIDTH`] columns, except for words that are longer by themselves. Colour marks
//! only what the words say already, so nothing is lost without it.

mod table;

use std::fmt::Write as _;

use super::{details, escape, words};
use crate::model::judge::summary::{Finding, FleetVerdict, HostSummary, Summary, Verdict};

/// The widest line, in columns: what fits beside another window, and into most mails.
pub const WIDTH: usize = 100;

/// Width of the labels before what is said of a finding.
const LABEL: usize = 12;

/// How the text may look.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Style {
    /// Whether ANSI colours may be used.
    pub colour: bool,
}

impl Style {
    /// `text` in the colour of `verdict`, or as it is.
    fn verdict(self, verdict: Verdict, text: &str) -> String {
        let code = match verdict {
            Verdict::Fail => "1;31",
            Verdict::Inconclusive | Verdict::NotTested => "1;33",
            Verdict::Pass => "32",
        };
        self.ansi(code, text)
    }

    fn fleet(self, verdict: FleetVerdict, text: &str) -> String {
        let code = match verdict {
            FleetVerdict::Healthy => "1;32",
            FleetVerdict::Unhealthy => "1;31",
            FleetVerdict::Inconclusive | FleetVerdict::Interrupted => "1;33",
        };
        self.ansi(code, text)
    }

    pub(super) fn ansi(self, code: &str, text: &str) -> String {
        if self.colour { format!("\u{1b}[{code}m{text}\u{1b}[0m") } else { text.to_owned() }
    }
}

/// The whole text, lines ended by `\n`; its first line is the fleet's verdict.
pub fn text(summary: &Summary, style: &Style) -> String {
    let style = *style;
    let mut out = String::new();
    let headline = wrap(&words::headline(summary), WIDTH).join("\n");
    push(&mut out, &style.fleet(summary.verdict, &headline));
    if summary.run.simulated_links {
        push(&mut out, &style.ansi("1;35", words::SIMULATED));
    }
    push(&mut out, &wrap(&words::run_line(summary), WIDTH).join("\n"));
    if let Some(compared) = words::compared(summary) {
        push(&mut out, &compared);
    }
    push(&mut out, "");
    out.push_str(&table::table(summary, style));
    for host in words::in_order(summary).into_iter().filter(|host| words::needs_detail(host)) {
        push(&mut out, "");
        detail(&mut out, host, style);
    }
    fleet(&mut out, summary);
    losses(&mut out, summary);
    out
}

fn push(out: &mut String, line: &str) {
    out.push_str(line);
    out.push('\n');
}

/// What lies behind one host's row.
fn detail(out: &mut String, host: &HostSummary, style: Style) {
    let name = escape::plain(host.host.as_str());
    let verdict = words::verdict(host.verdict);
    let card = details::card(host);
    let coloured = style.verdict(host.verdict, verdict);
    if name.len() + verdict.len() + card.chars().count() + 4 <= WIDTH {
        push(out, format!("{name}  {coloured}  {card}").trim_end());
    } else {
        push(out, &wrap(&name, WIDTH).join("\n"));
        push(out, format!("  {coloured}  {card}").trim_end());
    }
    if let Some((label, text)) = details::reason(host) {
        labelled(out, label, &text);
    }
    for finding in &host.findings {
        self::finding(out, finding);
    }
    for (label, text) in details::host_points(host) {
        labelled(out, label, &text);
    }
}

fn finding(out: &mut String, finding: &Finding) {
    push(out, &format!("  {}", details::finding_head(finding)));
    for (label, text) in details::finding_points(finding) {
        labelled(out, label, &text);
    }
}

fn fleet(out: &mut String, summary: &Summary) {
    if summary.fleet.findings.is_empty() {
        return;
    }
    push(out, "\nFleet");
    for finding in &summary.fleet.findings {
        self::finding(out, finding);
    }
}

fn losses(out: &mut String, summary: &Summary) {
    if summary.record_losses.is_empty() {
        return;
    }
    push(out, "\nLost of the record: verdicts rest on what remained");
    for loss in &summary.record_losses {
        labelled(out, "-", loss);
    }
}

/// `    Label      text`, wrapped under its own first column.
fn labelled(out: &mut String, label: &str, text: &str) {
    let label = if label == "-" { "  -".to_owned() } else { format!("    {label}") };
    let indent = if label == "  -" { 4 } else { 4 + LABEL };
    for (number, line) in wrap(&escape::plain(text), WIDTH - indent).into_iter().enumerate() {
        let head = if number == 0 { label.as_str() } else { "" };
        // Writing to a String cannot fail.
        let _ = writeln!(out, "{head:<indent$}{line}");
    }
}

/// Lines of at most `width` characters, broken at spaces; a longer word is cut.
pub(super) fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    let mut line = String::new();
    let mut used = 0;
    for word in text.split_whitespace() {
        let mut word: Vec<char> = word.chars().collect();
        if used > 0 && used + 1 + word.len() > width {
            lines.push(std::mem::take(&mut line));
            used = 0;
        }
        while word.len() > width {
            let rest = word.split_off(width);
            lines.push(word.into_iter().collect());
            word = rest;
        }
        if used > 0 {
            line.push(' ');
            used += 1;
        }
        used += word.len();
        line.extend(word);
    }
    if !line.is_empty() || lines.is_empty() {
        lines.push(line);
    }
    lines
}

#[cfg(test)]
mod tests;
