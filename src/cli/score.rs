//! `nicburn lab score`: runs the scoreboard's cases as a person would, and keeps the tally.
//!
//! What is right is `lab::score`'s. A run learns nothing of it: it gets a scenario and flags.

use std::{
    fs,
    io::Write as _,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, anyhow};

use super::{args::ScoreArgs, exit, failure::Failure, files, lab, output, scenarios};
use crate::{
    lab::score::{self, Case, Load, Outcome, cases},
    model::judge::summary::{FleetVerdict, Summary},
    worker::bench::Machine,
};

mod child;
mod kept;

use child::{Runner, Said};

/// The file that outcomes are appended to, and the two that are made of it.
const LINES: &str = "scoreboard.jsonl";
const PAGE: &str = "scoreboard.md";
const TALLY: &str = "scoreboard.json";

/// One case with one seed.
#[derive(Clone, Copy)]
struct Turn {
    case: &'static Case,
    seed: u64,
}

pub(super) fn main(args: &ScoreArgs) -> Result<u8, Failure> {
    let turns = turns(args)?;
    if args.list {
        let lines: Vec<String> = turns.iter().map(listed).collect();
        output::data(&lines.concat())?;
        return Ok(exit::OK);
    }
    let out = files::absolute(&args.out)?;
    fs::create_dir_all(&out)
        .with_context(|| format!("cannot make the folder {}", out.display()))
        .map_err(Failure::failed)?;
    let mut outcomes = known(&out.join(LINES))?;
    if let Some(keep) = args.keep.as_deref().filter(|_| args.again) {
        return again(&turns, &out, keep, outcomes);
    }
    let done = |turn: &Turn, outcomes: &[Outcome]| {
        outcomes.iter().any(|own| own.case == turn.case.name && own.seed == turn.seed)
    };
    let left: Vec<Turn> = turns.iter().copied().filter(|turn| !done(turn, &outcomes)).collect();
    if !left.is_empty() {
        // Else each run would fail, and be written down as a wrong verdict.
        lab::can_be_built()?;
    }
    output::note(&format!("{} runs, {} of them done", turns.len(), turns.len() - left.len()));
    let mut runner = Runner::new()?;
    for (at, turn) in left.iter().enumerate() {
        let outcome = run(turn, &mut runner, &out, args.keep.as_deref())?;
        output::note(&format!("{:>3} of {}  {}", at + 1, left.len(), told(&outcome)));
        append(&out.join(LINES), &outcome)?;
        outcomes.push(outcome);
        write(&out, &outcomes)?;
    }
    write(&out, &outcomes)?;
    output::note(&format!("scoreboard: {}", out.join(PAGE).display()));
    Ok(if outcomes.iter().all(Outcome::is_right) { exit::OK } else { exit::UNHEALTHY })
}

/// Judges runs that were kept, and writes the scoreboard as this version sees them.
fn again(turns: &[Turn], out: &Path, keep: &Path, mut outcomes: Vec<Outcome>) -> Result<u8, Failure> {
    let mut judged = 0;
    for own in &mut outcomes {
        let Some(turn) = turns.iter().find(|turn| own.case == turn.case.name && own.seed == turn.seed) else {
            continue;
        };
        if let Some(now) = kept::judged_again(keep, turn, own)? {
            if now.said != own.said {
                output::note(&told(&now));
            }
            (*own, judged) = (now, judged + 1);
        }
    }
    let lines = outcomes.iter().map(|own| serde_json::to_string(own).expect("plain data") + "\n");
    files::write_whole(&out.join(LINES), lines.collect::<Vec<_>>().concat())?;
    write(out, &outcomes)?;
    output::note(&format!("{judged} of {} runs judged again: {}", outcomes.len(), out.join(PAGE).display()));
    Ok(if outcomes.iter().all(Outcome::is_right) { exit::OK } else { exit::UNHEALTHY })
}

/// The turns of this call: those of its cases and seeds, of its shard.
fn turns(args: &ScoreArgs) -> Result<Vec<Turn>, Failure> {
    for name in &args.only {
        if !cases().any(|case| case.name == name) {
            let error = anyhow!("there is no case `{name}`");
            return Err(Failure::usage(error).help("`nicburn lab score --list` shows all"));
        }
    }
    let wanted = |case: &&Case| args.only.is_empty() || args.only.iter().any(|name| name == case.name);
    let (first, count) = args.shard.unwrap_or((1, 1));
    let all = args
        .seeds
        .clone()
        .flat_map(|seed| cases().filter(wanted).map(move |case| Turn { case, seed }))
        .enumerate()
        .filter(|(at, _)| at % count == first - 1);
    Ok(all.map(|(_, turn)| turn).collect())
}

fn listed(turn: &Turn) -> String {
    let drawn = score::drawn(turn.case, turn.seed);
    let broken = if drawn.faults.is_empty() { "nothing".to_owned() } else { drawn.faults.join("; ") };
    format!("{:<40} seed {}  {} hosts  broken: {broken}\n", turn.case.name, turn.seed, turn.case.hosts)
}

/// Outcomes of earlier calls; a line that is cut short was being written when it was stopped.
fn known(path: &Path) -> Result<Vec<Outcome>, Failure> {
    let text = match fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
        Err(error) => {
            return Err(Failure::failed(
                anyhow::Error::from(error).context(format!("cannot read {}", path.display())),
            ));
        }
    };
    Ok(text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect())
}

fn append(path: &Path, outcome: &Outcome) -> Result<(), Failure> {
    let line = serde_json::to_string(outcome).expect("outcomes are plain data") + "\n";
    fs::OpenOptions::new()
        .create(true)
        .append(true)
        .open(path)
        .and_then(|mut file| file.write_all(line.as_bytes()))
        .with_context(|| format!("cannot append to {}", path.display()))
        .map_err(Failure::failed)
}

/// Writes the page and the tally anew, in the order of the cases.
fn write(out: &Path, outcomes: &[Outcome]) -> Result<(), Failure> {
    let place = |own: &Outcome| cases().position(|case| case.name == own.case);
    let mut sorted = outcomes.to_vec();
    sorted.sort_by_key(|own| (place(own), own.seed));
    let tally = serde_json::json!({ "board": score::Board::of(&sorted), "runs": sorted });
    let tally = serde_json::to_string_pretty(&tally).expect("plain data") + "\n";
    files::write_whole(&out.join(PAGE), score::page(&sorted, &about(sorted.len())))?;
    files::write_whole(&out.join(TALLY), tally)
}

fn about(runs: usize) -> String {
    let Machine { cpu, cores, kernel } = Machine::read();
    format!(
        "Written by `nicburn lab score`, nicburn {}, {cpu} ({cores} cores), Linux {kernel}, {}: {runs} runs, one after the \
         other, in fleets of namespaces with faults injected live. Runs are not told what is broken.",
        env!("CARGO_PKG_VERSION"),
        humantime::format_rfc3339_seconds(std::time::SystemTime::now())
            .to_string()
            .split('T')
            .next()
            .unwrap_or(""),
    )
}

/// A folder for one run, which goes with it.
struct Scratch(PathBuf);

impl Scratch {
    fn new(out: &Path) -> Result<Self, Failure> {
        let path = out.join(format!("score-{}", std::process::id()));
        fs::create_dir(&path)
            .with_context(|| format!("cannot make the folder {}", path.display()))
            .map_err(Failure::failed)?;
        Ok(Self(path))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // What cannot be removed is named by the next run, which finds it there.
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// One run, from its flags to its outcome.
fn run(turn: &Turn, runner: &mut Runner, out: &Path, keep: Option<&Path>) -> Result<Outcome, Failure> {
    let drawn = score::drawn(turn.case, turn.seed);
    let scratch = Scratch::new(out)?;
    let scenario = scenario(turn.case, &scratch.0)?;
    let mut command = Command::new(files::this_executable()?);
    command
        .arg("run")
        .arg(scenario)
        .args(["--lab", &turn.case.hosts.to_string(), "--seed", &turn.seed.to_string(), "--out"])
        .arg(&scratch.0)
        .args(&drawn.flags)
        .args(drawn.faults.iter().flat_map(|fault| ["--fault", fault]));
    let Said { heard, log, stopped } = runner.run(command)?;
    if stopped {
        let error = anyhow!("{}, seed {}: stopped before its end", turn.case.name, turn.seed);
        return Err(Failure::interrupted(error).help("the same command again goes on with it"));
    }
    let folder = scratch.0.join("latest");
    let Ok(text) = fs::read_to_string(folder.join("summary.json")) else {
        output::note(&format!(
            "{}, seed {}: the run left no summary; it said:\n{log}",
            turn.case.name, turn.seed
        ));
        let last = log.lines().last().unwrap_or("nothing");
        return Ok(score::lost(turn.case, &drawn, turn.seed, last));
    };
    let summary: Summary = serde_json::from_str(&text)
        .with_context(|| format!("cannot read the summary of {}", turn.case.name))
        .map_err(Failure::failed)?;
    if summary.verdict == FleetVerdict::Interrupted {
        let error = anyhow!("{}, seed {}: somebody stopped the run", turn.case.name, turn.seed);
        return Err(Failure::failed(error).help("the same command again goes on with it"));
    }
    if let Some(keep) = keep {
        kept::keep(&folder, &kept::folder(keep, turn))?;
    }
    Ok(score::outcome(turn.case, &drawn, turn.seed, &summary, &heard))
}

/// The scenario of a case: a file of its own, or a name.
fn scenario(case: &Case, scratch: &Path) -> Result<PathBuf, Failure> {
    if let Load::Other(name) = case.load {
        return Ok(name.into());
    }
    let accept = scenarios::find("accept")?.text;
    let text = score::scenario_text(case.load, &accept).ok_or_else(|| {
        Failure::failed(anyhow!("the scenario accept lacks a stage that {} needs", case.name))
    })?;
    let path = scratch.join("accept.toml");
    fs::write(&path, text).context("cannot write a scenario").map_err(Failure::failed)?;
    Ok(path)
}

fn told(outcome: &Outcome) -> String {
    let how =
        if outcome.is_right() { "right".to_owned() } else { format!("WRONG: {}", outcome.said.join("; ")) };
    format!("{:<40} seed {}  {:>4.0} s  {how}", outcome.case, outcome.seed, outcome.duration_s)
}
