//! Measures this program's engines, alone and paired with others, and holds them to gates.
//!
//! `cases` is the table of what must be shown; `place` where, `measure` one run of one side,
//! `paired` and `metric` what follows from the figures, `report` how it reads. Each end is a
//! process of its own (`end`), ours through `ours`, the bare techniques through `bare`.

use std::path::{Path, PathBuf};

mod bare;
mod cases;
mod child;
mod end;
mod error;
mod machine;
mod measure;
mod metric;
mod ours;
mod paired;
mod peers;
mod place;
mod plain;
mod report;
mod results;
mod spec;

use cases::{Against, Case};
use measure::Side;
use metric::Run;
use results::{CaseResult, Failed, Figure};
use spec::Engine;

pub use end::carry;
pub use error::BenchError;
pub(crate) use machine::Machine;
pub use measure::END_COMMAND;
pub use results::{Outcome, Results};

/// `nicburn-worker bench`
#[derive(Clone, Debug, clap::Args)]
pub struct BenchArgs {
    /// Measure only this case; can be given several times
    #[arg(long, value_name = "NAME")]
    pub case: Vec<String>,
    /// Print the cases, with what each is held to, and measure nothing
    #[arg(long)]
    pub list: bool,
    /// How often each pair is run; a verdict takes at least 7
    #[arg(long, value_name = "N", default_value_t = 7, value_parser = clap::value_parser!(u16).range(1..=100))]
    pub reps: u16,
    /// How long each run lasts
    #[arg(long, value_name = "SECONDS", default_value_t = 2, value_parser = clap::value_parser!(u32).range(1..=60))]
    pub seconds: u32,
    /// Two runs of one second each: whether it works, not how fast it is
    #[arg(long)]
    pub quick: bool,
    /// Where `bench-<date>.md` and `bench-<date>.json` go
    #[arg(long, value_name = "DIR", default_value = "results", env = "NICBURN_OUT")]
    pub out: PathBuf,
}

/// The cases and what each is held to, one a line.
pub fn list() -> String {
    let line = |case: &Case| {
        let gates: Vec<String> =
            case.gates.iter().map(|(metric, bound)| format!("{} {bound}", metric.name())).collect();
        format!("{:<20} {:<60} {}\n", case.name, setting(case, 2), gates.join("; "))
    };
    cases::all().iter().map(line).collect()
}

/// Measures what was asked for; `tell` hears a line before each case and after it.
///
/// Must be called while the process has one thread: without root it moves into a user
/// namespace of its own.
///
/// # Errors
///
/// If there is no place to measure in, no such case, or the results cannot be written.
pub fn run(
    args: &BenchArgs,
    command: &str,
    tell: &mut dyn FnMut(&str),
) -> Result<(Results, PathBuf), BenchError> {
    let chosen = choose(args)?;
    std::fs::create_dir_all(&args.out).map_err(BenchError::io(format!("creating {}", args.out.display())))?;
    place::prepare()?;
    super::raise_file_limit();
    let place = place::Place::new()?;
    let peers = peers::PEERS.iter().map(|peer| {
        let version = peer.version().unwrap_or_else(|error| format!("absent: {error}"));
        (peer.name().to_owned(), version)
    });
    let mut results = Results {
        schema: "nicburn.bench/1".to_owned(),
        command: command.to_owned(),
        date: humantime::format_rfc3339_seconds(std::time::SystemTime::now()).to_string(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        optimised: !cfg!(debug_assertions),
        machine: Machine::read(),
        congestion_control: place.congestion_control.clone(),
        peers: peers.chain([("openssh".to_owned(), plain::version())]).collect(),
        cases: vec![],
    };
    for case in &chosen {
        tell(&format!("{} ({}) …", case.name, setting(case, args.length(case))));
        let result = measure(&place, case, args);
        tell(&format!("{}: {}", case.name, said(&result)));
        results.cases.push(result);
    }
    let written = write(&results, &args.out)?;
    Ok((results, written))
}

/// The results as a table for the terminal.
pub fn table(results: &Results) -> String {
    report::table(results)
}

impl BenchArgs {
    fn length(&self, case: &Case) -> u32 {
        case.for_s.unwrap_or(if self.quick { 1 } else { self.seconds })
    }

    fn count(&self, case: &Case) -> usize {
        let asked = if self.quick { 2 } else { usize::from(self.reps) };
        case.reps.map_or(asked, |reps| reps.min(asked))
    }
}

fn choose(args: &BenchArgs) -> Result<Vec<Case>, BenchError> {
    let all = cases::all();
    if let Some(name) = args.case.iter().find(|name| all.iter().all(|case| case.name != **name)) {
        let known: Vec<&str> = all.iter().map(|case| case.name).collect();
        return Err(BenchError::NoCase { name: name.clone(), known: known.join(", ") });
    }
    let wanted = |case: &Case| args.case.is_empty() || args.case.iter().any(|name| name == case.name);
    Ok(all.into_iter().filter(wanted).collect())
}

/// Where a case runs and against what, in words.
fn setting(case: &Case, for_s: u32) -> String {
    let against = match &case.against {
        Against::Nothing => "alone".to_owned(),
        Against::Peer(run) => {
            let server = std::net::SocketAddr::from(([10, 201, 1, 2], run.peer.port()));
            format!("against `{}`", run.told(server, for_s))
        }
        Against::Scp(_) => format!("against `{}`", plain::told([10, 201, 1, 2].into())),
        Against::Bare(_) => "against the bare loop".to_owned(),
        Against::Ours(other) if other.transport.file_bytes().is_some() => "against our scp".to_owned(),
        Against::Ours(_) => "against ours without".to_owned(),
    };
    format!("{}, {}, {against}", case.path.name(), case.pinning.name())
}

fn measure(place: &place::Place, case: &Case, args: &BenchArgs) -> CaseResult {
    let for_s = args.length(case);
    let mut reps = vec![];
    let failed = repeat(place, case, for_s, args.count(case), &mut reps).err().map(|error| match error {
        BenchError::Absent(why) => Failed::Absent(why),
        BenchError::Unavailable(_) => Failed::Unavailable(error.to_string()),
        _ => Failed::Error(told(&error)),
    });
    let figures = case.gates.iter().map(|(metric, bound)| Figure::of(*metric, *bound, &reps)).collect();
    CaseResult { name: case.name.to_owned(), setting: setting(case, for_s), reps, figures, failed }
}

fn repeat(
    place: &place::Place,
    case: &Case,
    for_s: u32,
    count: usize,
    reps: &mut Vec<(Run, Option<Run>)>,
) -> Result<(), BenchError> {
    let ours = Side::Ends(Engine::Ours, case.ours.clone());
    let other = match &case.against {
        Against::Nothing => None,
        Against::Peer(run) => {
            run.check()?;
            Some(Side::Peer(*run))
        }
        Against::Scp(bytes) => Some(Side::Scp(*bytes)),
        Against::Bare(load) => Some(Side::Ends(Engine::Bare, load.clone())),
        Against::Ours(load) => Some(Side::Ends(Engine::Ours, load.clone())),
    };
    let once = |side: &Side| measure::quiet_run(place, case, side, for_s);
    for index in 0..count {
        reps.push(match &other {
            None => (once(&ours)?, None),
            Some(other) if paired::a_first(index) => {
                let ours = once(&ours)?;
                (ours, Some(once(other)?))
            }
            Some(other) => {
                let other = once(other)?;
                (once(&ours)?, Some(other))
            }
        });
    }
    Ok(())
}

fn told(error: &BenchError) -> String {
    let source = std::error::Error::source(error).map_or_else(String::new, |source| format!(": {source}"));
    // A transparent error words its source itself.
    let text = error.to_string();
    if text.ends_with(&source) { text } else { format!("{text}{source}") }
}

/// One line of a case's end.
fn said(result: &CaseResult) -> String {
    match &result.failed {
        Some(Failed::Absent(why)) => format!("absent: {why}"),
        Some(Failed::Unavailable(why)) => format!("missed: {why}"),
        Some(Failed::Error(why)) => format!("failed: {why}"),
        None => {
            let figures = result.figures.iter().map(|figure| {
                let median = figure
                    .spread
                    .map_or_else(|| "unread".to_owned(), |spread| format!("{:.3}", spread.median));
                format!("{} {median} ({})", figure.metric.name(), figure.bound)
            });
            let met = if result.met() { "met" } else { "missed" };
            format!("{met}: {}", figures.collect::<Vec<_>>().join(", "))
        }
    }
}

/// Writes both files; one of the same day is never overwritten.
fn write(results: &Results, out: &Path) -> Result<PathBuf, BenchError> {
    const A_DAY_MAX: u32 = 1000;
    let day = results.date.split('T').next().unwrap_or_default();
    let names = (1..A_DAY_MAX).map(|count| match count {
        1 => format!("bench-{day}"),
        count => format!("bench-{day}-{count}"),
    });
    let json = serde_json::to_string_pretty(results)
        .map_err(|error| BenchError::End(format!("cannot word the results: {error}")))?;
    for name in names {
        let (page, data) = (out.join(format!("{name}.md")), out.join(format!("{name}.json")));
        let file = std::fs::OpenOptions::new().write(true).create_new(true).open(&page);
        let mut file = match file {
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => continue,
            file => file.map_err(BenchError::io(format!("creating {}", page.display())))?,
        };
        let written = std::io::Write::write_all(&mut file, report::markdown(results).as_bytes())
            .and_then(|()| std::fs::write(&data, json));
        written.map_err(BenchError::io(format!("writing {}", page.display())))?;
        return Ok(page);
    }
    Err(BenchError::End(format!("{} holds {A_DAY_MAX} results of {day}: move them away", out.display())))
}
