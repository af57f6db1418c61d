//! The tally over many outcomes, and the page that shows it.

use std::{collections::BTreeMap, fmt::Write};

use serde::Serialize;

use super::{Class, Outcome, SickSeen, bounds};
use crate::model::judge::summary::Direction;

/// Counts over some outcomes.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Board {
    /// Runs.
    pub runs: u32,
    /// Things that should have been found.
    pub sick: u32,
    /// Of these, found at their place.
    pub place_right: u32,
    /// And named by their kind.
    pub kind_right: u32,
    /// Things with a direction.
    pub directed: u32,
    /// Of these, told with it.
    pub direction_right: u32,
    /// Hosts that were well, over all runs.
    pub well: u32,
    /// Of these, passed.
    pub well_passed: u32,
    /// Of these, failed.
    pub accused: u32,
    /// The most that the share of accused hosts may be, at 95 %.
    pub accused_share_max: Option<f64>,
    /// Fleet findings that nothing broken explains.
    pub accused_ways: u32,
    /// Findings for each thing that should have been found, on average.
    pub findings_per_fault: Option<f64>,
    /// Of things that were found, how many of all that fail: right ones by right and wrong ones.
    pub precision: Option<f64>,
    /// Seconds until a drop-off was told: the median over hard faults.
    pub told_after_median_s: Option<f64>,
    /// And their 95th percentile.
    pub told_after_p95_s: Option<f64>,
}

impl Board {
    /// Over some outcomes.
    pub fn of<'a>(outcomes: impl IntoIterator<Item = &'a Outcome>) -> Self {
        let mut board = Self::default();
        let (mut delays, mut findings) = (Vec::new(), 0);
        for outcome in outcomes {
            board.runs += 1;
            board.well += outcome.well;
            board.well_passed += outcome.well_passed;
            board.accused += outcome.accused.len() as u32;
            board.accused_ways += outcome.accused_ways.len() as u32;
            if !outcome.sick.is_empty() {
                findings += outcome.findings;
            }
            for sick in &outcome.sick {
                board.add(sick);
                if outcome.class == Class::Hard {
                    delays.extend(sick.told_after_s);
                }
            }
        }
        delays.sort_by(f64::total_cmp);
        let at = |share: f64| {
            let last = delays.len().checked_sub(1)?;
            delays.get((share * last as f64).ceil() as usize).copied()
        };
        (board.told_after_median_s, board.told_after_p95_s) = (at(0.5), at(0.95));
        board.findings_per_fault = (board.sick > 0).then(|| f64::from(findings) / f64::from(board.sick));
        board.accused_share_max = bounds::upper(board.accused, board.well);
        let told = board.place_right + board.accused + board.accused_ways;
        board.precision = (told > 0).then(|| f64::from(board.place_right) / f64::from(told));
        board
    }

    fn add(&mut self, sick: &SickSeen) {
        self.sick += 1;
        self.place_right += u32::from(sick.place_right);
        self.kind_right += u32::from(sick.kind_right);
        self.directed += u32::from(sick.direction_right.is_some());
        self.direction_right += u32::from(sick.direction_right == Some(true));
    }
}

/// The scoreboard as a page; `about` is a paragraph that says what was run, and where.
pub fn page(outcomes: &[Outcome], about: &str) -> String {
    let mut text = format!("# Scoreboard\n\n{about}\n\n");
    summary(&mut text, outcomes);
    classes(&mut text, outcomes);
    cases(&mut text, outcomes);
    misses(&mut text, outcomes);
    text
}

fn line(text: &mut String, words: std::fmt::Arguments<'_>) {
    writeln!(text, "{words}").expect("writing to a String cannot fail");
}

fn share(hits: u32, of: u32) -> String {
    if of == 0 {
        return "–".to_owned();
    }
    format!("{:.1} % ({hits} of {of})", f64::from(hits) * 100.0 / f64::from(of))
}

fn number(value: Option<f64>, unit: &str) -> String {
    value.map_or_else(|| "–".to_owned(), |value| format!("{value:.2}{unit}"))
}

fn summary(text: &mut String, outcomes: &[Outcome]) {
    let broken = Board::of(outcomes.iter().filter(|own| !matches!(own.class, Class::Well | Class::Beside)));
    let all = Board::of(outcomes);
    let well = Board::of(outcomes.iter().filter(|own| own.class == Class::Well));
    let near = Board::of(outcomes.iter().filter(|own| own.class != Class::Well));
    let beside = Board::of(outcomes.iter().filter(|own| own.class == Class::Beside));
    let rows = [
        ("right place, of all that was broken", share(broken.place_right, broken.sick), "at least 95 %"),
        ("right place and kind", share(broken.kind_right, broken.sick), "at least 90 %"),
        ("right direction, of what has one", share(broken.direction_right, broken.directed), "at least 90 %"),
        ("healthy hosts accused", format!("{} of {} host-runs", all.accused, all.well), "0 of at least 600"),
        ("their share is at most (95 %)", number(all.accused_share_max.map(|share| share * 100.0), " %"), ""),
        ("healthy ways accused", format!("{} in {} runs", all.accused_ways, all.runs), "0"),
        ("healthy hosts passed, nothing broken", share(well.well_passed, well.well), "at least 99 %"),
        ("healthy hosts passed beside a sick one", share(near.well_passed, near.well), "at least 97 %"),
        ("findings for each thing broken", number(broken.findings_per_fault, ""), "at most 1.2"),
        (
            "a host that is not measured, told so",
            share(beside.kind_right, beside.sick),
            "never a failed card",
        ),
        ("seconds until a hard fault was told, median", number(broken.told_after_median_s, ""), "at most 2"),
        ("and 95 %", number(broken.told_after_p95_s, ""), "at most 5"),
    ];
    line(text, format_args!("| what | came to | wanted |\n|---|---|---|"));
    for (what, came, wanted) in rows {
        line(text, format_args!("| {what} | {came} | {wanted} |"));
    }
}

fn classes(text: &mut String, outcomes: &[Outcome]) {
    line(text, format_args!("\n## By class\n"));
    line(
        text,
        format_args!(
            "Recall is the share of broken things found at their place; precision the share of right ones of all that were told to fail.\n"
        ),
    );
    line(text, format_args!("| class | runs | recall | kind | direction | precision | healthy passed |"));
    line(text, format_args!("|---|---|---|---|---|---|---|"));
    let mut by_class: BTreeMap<Class, Vec<&Outcome>> = BTreeMap::new();
    for outcome in outcomes {
        by_class.entry(outcome.class).or_default().push(outcome);
    }
    for (class, own) in by_class {
        let board = Board::of(own.iter().copied());
        line(
            text,
            format_args!(
                "| {} | {} | {} | {} | {} | {} | {} |",
                format!("{class:?}").to_lowercase(),
                board.runs,
                share(board.place_right, board.sick),
                share(board.kind_right, board.sick),
                share(board.direction_right, board.directed),
                number(board.precision, ""),
                share(board.well_passed, board.well),
            ),
        );
    }
}

fn cases(text: &mut String, outcomes: &[Outcome]) {
    line(text, format_args!("\n## Case by case\n"));
    line(
        text,
        format_args!("`whole` ran the scenario accept as it is, the others the stages that can show it.\n"),
    );
    line(text, format_args!("| case | seed | broken | found | told after | healthy passed | run |"));
    line(text, format_args!("|---|---|---|---|---|---|---|"));
    for own in outcomes {
        let found: Vec<String> = own.sick.iter().map(verdict).collect();
        let told = own.sick.iter().filter_map(|sick| sick.told_after_s).reduce(f64::max);
        let broken = if own.faults.is_empty() { "nothing".to_owned() } else { own.faults.join("; ") };
        line(
            text,
            format_args!(
                "| {}{} | {} | {broken} | {}{} | {} | {} of {} | {:.0} s |",
                own.case,
                if own.whole { " (whole)" } else { "" },
                own.seed,
                if found.is_empty() { "nothing to find".to_owned() } else { found.join("; ") },
                accused(own),
                number(told, " s"),
                own.well_passed,
                own.well,
                own.duration_s,
            ),
        );
    }
}

fn accused(own: &Outcome) -> String {
    let ways = own.accused_ways.iter().map(|kind| kind.name().to_owned());
    let all: Vec<String> = own.accused.iter().cloned().chain(ways).collect();
    if all.is_empty() { String::new() } else { format!("; **accused: {}**", all.join(", ")) }
}

fn verdict(sick: &SickSeen) -> String {
    let place = &sick.place;
    match (sick.place_right, sick.kind_right, sick.direction_right) {
        (false, ..) => format!("**{place} missed**"),
        (_, false, _) => format!("{place}, **another kind**"),
        (_, _, Some(false)) => format!("{place} {}, **another direction**", sick.kind.name()),
        (_, _, Some(true)) => {
            let direction = sick.direction.map_or("", Direction::name);
            format!("{place} {} {direction}", sick.kind.name())
        }
        (_, _, None) => format!("{place} {}", sick.kind.name()),
    }
}

fn misses(text: &mut String, outcomes: &[Outcome]) {
    line(text, format_args!("\n## What was not as it should be, in the runs' own words\n"));
    let mut any = false;
    for own in outcomes.iter().filter(|own| !own.is_right()) {
        any = true;
        line(text, format_args!("- {}, seed {}: {}", own.case, own.seed, own.said.join("; ")));
    }
    if !any {
        line(text, format_args!("Nothing."));
    }
}

#[cfg(test)]
mod tests;
