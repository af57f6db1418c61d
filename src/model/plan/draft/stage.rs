//! One `[[stage]]` of a scenario file.

use std::time::Duration;

use schemars::JsonSchema;
use toml::de::DeTable;

use super::{NAME_MAX, carriage, reader::Reader};
use crate::model::{
    fleet::units::BitRate,
    plan::{
        carriage::{BufferLayout, FrameSize, Transport},
        dose::{Dose, Pattern, Rate, Ways},
        scenario::Stage,
    },
};

/// A round this short still has four slots behind slow start.
const FOR_MIN: Duration = Duration::from_millis(600);

/// A day: longer soaks are several runs.
const FOR_MAX: Duration = Duration::from_secs(24 * 3600);

/// The pause between rounds unless the file says otherwise: queues drain meanwhile.
const GAP_US: u64 = 200_000;

/// The longest pause.
const GAP_MAX: Duration = Duration::from_secs(60);

/// The most a paced flow takes of the lesser of its ends: above, healthy links queue and
/// retransmit, and loss could not be judged. A ramp exists to go there and is exempt.
const PACED_MAX: f64 = 0.7;

/// Rates of one ramp at most: finer steps than 2 % are below what calibration can tell.
const STEPS_MAX: usize = 50;

/// Names of the stages that every run begins with.
const OWN_STAGES: &[&str] = &["reach", "calibrate", "confirm"];

/// Matchings of one stage of pairs at most: all partners of the largest fleet.
const MATCHINGS_MAX: u16 = 4096;

/// The keys of a stage in which nobody sends.
const IDLE_KEYS: &[&str] = &["name", "pattern", "for", "gap", "repeat"];

/// The keys of a stage that say what is run when; how its bytes go is `carriage`'s.
const KEYS: &[&str] =
    &["name", "pattern", "sources", "matchings", "ways", "for", "gap", "repeat", "rate", "steps"];

/// The shape of a scenario file, for its JSON Schema.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields, title = "nicburn scenario")]
#[expect(dead_code, reason = "only its schema is used; reading gathers all faults and goes its own way")]
pub struct ScenarioFile {
    /// 1 to 40 lower-case letters, digits and hyphens.
    #[schemars(regex(pattern = r"^[a-z0-9-]{1,40}$"))]
    name: String,
    /// The question it answers; otherwise the comment in the file's first line.
    about: Option<String>,
    /// The longest that confirming suspects may take afterwards, 40s unless given; "0s" confirms nobody.
    confirm: Option<String>,
    /// What is run, in this order.
    #[schemars(length(min = 1, max = 64))]
    stage: Vec<StageFile>,
}

/// A `[[stage]]`.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
#[expect(dead_code, reason = "as above")]
struct StageFile {
    /// Unique in the file; otherwise the pattern's name. Not `reach`, `calibrate` or `confirm`.
    #[schemars(regex(pattern = r"^[a-z0-9_-]{1,40}$"))]
    name: Option<String>,
    /// Who sends to whom.
    pattern: PatternName,
    /// How many hosts send: for `fan_out` alone.
    sources: Option<u16>,
    /// How many matchings make the pattern: for `pairs` alone, otherwise until all have met.
    matchings: Option<u16>,
    /// One way, or both ways at once (the default).
    ways: Option<WaysName>,
    /// How long each round runs: "1.5s"; a multiple of 100ms from 600ms to 24h.
    r#for: String,
    /// The pause between rounds, 200ms unless given.
    gap: Option<String>,
    /// How often the whole pattern is run, once unless given.
    repeat: Option<u16>,
    /// What carries the bytes, tcp unless given.
    transport: Option<Transport>,
    /// Connections of a flow, 2 unless given.
    streams: Option<u16>,
    /// How senders hand over their bytes, write unless given.
    layout: Option<BufferLayout>,
    /// How receivers take them: "discard" unless given, or "read".
    receive: Option<String>,
    /// The share of blocks that receivers compare with what was sent: "all", or for example "1/64".
    verify: Option<String>,
    /// Datagrams leave as single frames of each of these sizes in turn, bytes with the Ethernet
    /// header; "mtu" is the largest that the fleet carries.
    #[schemars(length(min = 1, max = 20))]
    frame_sizes: Option<Vec<FrameSize>>,
    /// Each flow makes so many new connections a second.
    connections_per_s: Option<u16>,
    /// TCP's congestion control, otherwise cubic where the host permits it, else reno.
    congestion_control: Option<String>,
    /// The size of the file that scp and file move, "1 GiB" unless given.
    file: Option<String>,
    /// The rate of each flow: "50 %" of what its ends can carry, "20 Mb/s", "20 kpps" of single
    /// frames, or "50 % pps" of the packet rate that its ends can do; absent: as fast as it goes.
    rate: Option<String>,
    /// A ramp: the whole pattern once for each of these rates.
    #[schemars(length(min = 1, max = 50))]
    steps: Option<Vec<String>>,
}

#[derive(JsonSchema)]
#[schemars(rename_all = "snake_case")]
#[expect(dead_code, reason = "as above")]
enum PatternName {
    Pairs,
    Ring,
    Incast,
    FanOut,
    Bisection,
    Storm,
    Idle,
}

#[derive(JsonSchema)]
#[schemars(rename_all = "snake_case")]
#[expect(dead_code, reason = "as above")]
enum WaysName {
    One,
    Both,
}

/// Reads a stage; `None` where a fault keeps it from being one.
pub fn read(reader: &mut Reader<'_>, table: &DeTable<'_>, line: usize) -> Option<Stage> {
    reader.only_keys(table, "stage", &[KEYS, carriage::KEYS].concat());
    let pattern = pattern(reader, table, line);
    if pattern == Some(Pattern::Idle) {
        check_idle(reader, table);
    }
    let ways = ways(reader, table);
    let matchings = matchings(reader, table, pattern);
    let steps = rates(reader, table, line);
    let carriages = carriage::read(reader, table);
    check_packet_rate(reader, table, steps.as_deref(), line);
    let repeat = reader.count(table, "stage", "repeat", 1..1001, 1);
    if table.get("for").is_none() {
        reader.fault(line, "stage.for", "is missing".to_owned(), "add for = \"10s\"".to_owned());
    }
    let for_us = reader.length_us(table, "stage", "for", (FOR_MIN, FOR_MAX));
    let gap_us = match table.get("gap") {
        Some(_) => reader.length_us(table, "stage", "gap", (Duration::ZERO, GAP_MAX)),
        None => Some(GAP_US),
    };
    let name = reader.text(table, "stage", "name");
    if let Some((name, line)) = &name {
        check_name(reader, name, *line);
    }
    let (pattern, ways, rates) = (pattern?, ways?, steps?);
    let steps = carriages?.into_iter().flat_map(|carriage| {
        rates.iter().map(move |rate| Dose { pattern, ways, rate: *rate, carriage: carriage.clone() })
    });
    Some(Stage {
        name: name.map_or_else(|| pattern.name().to_owned(), |(name, _)| name),
        steps: steps.collect(),
        for_us: for_us?,
        repeat: repeat?,
        matchings,
        gap_us: gap_us?,
    })
}

/// What says how something is sent has no meaning where nobody sends.
fn check_idle(reader: &mut Reader<'_>, table: &DeTable<'_>) {
    for key in [KEYS, carriage::KEYS].concat() {
        let Some(given) = table.get(key).filter(|_| !IDLE_KEYS.contains(&key)) else { continue };
        let line = reader.line(given.span());
        let wrong = "goes with a pattern that sends and this is `idle`".to_owned();
        reader.fault(line, &format!("stage.{key}"), wrong, "leave one of the two out".to_owned());
    }
}

fn matchings(reader: &mut Reader<'_>, table: &DeTable<'_>, pattern: Option<Pattern>) -> Option<u16> {
    let given = table.get("matchings")?;
    let line = reader.line(given.span());
    let number = reader.count(table, "stage", "matchings", 1..MATCHINGS_MAX + 1, 1);
    if let Some(pattern) = pattern.filter(|pattern| *pattern != Pattern::Pairs) {
        let wrong = format!("goes with the pattern pairs and this is `{}`", pattern.name());
        reader.fault(line, "stage.matchings", wrong, "leave one of the two out".to_owned());
    }
    number
}

/// Stage names stand in terminals, reports and findings, beside those of a run's own stages.
fn check_name(reader: &mut Reader<'_>, name: &str, line: usize) {
    let known = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "-_".contains(c);
    if !(1..=NAME_MAX).contains(&name.len()) || !name.chars().all(known) {
        let help = format!("use 1 to {NAME_MAX} lower-case letters, digits, hyphens and underscores");
        reader.fault(line, "stage.name", format!("{name:?} is no name of a stage"), help);
    } else if OWN_STAGES.contains(&name) {
        let wrong = format!("`{name}` is what every run calls a stage of its own");
        reader.fault(line, "stage.name", wrong, "take another name".to_owned());
    }
}

fn pattern(reader: &mut Reader<'_>, table: &DeTable<'_>, stage_line: usize) -> Option<Pattern> {
    let help = "use pairs, ring, incast, fan_out, bisection, storm or idle";
    if table.get("pattern").is_none() {
        reader.fault(stage_line, "stage.pattern", "is missing".to_owned(), help.to_owned());
    }
    let (name, line) = reader.text(table, "stage", "pattern")?;
    let sources = reader.count(table, "stage", "sources", 1..1001, 1);
    if let Some(given) = table.get("sources")
        && name != "fan_out"
    {
        let line = reader.line(given.span());
        let wrong = format!("goes with the pattern fan_out and this is `{name}`");
        reader.fault(line, "stage.sources", wrong, "leave it out, or use pattern = \"fan_out\"".to_owned());
    }
    match name.as_str() {
        "pairs" => Some(Pattern::Pairs),
        "ring" => Some(Pattern::Ring),
        "incast" => Some(Pattern::Incast),
        "fan_out" => sources.map(|sources| Pattern::FanOut { sources }),
        "bisection" => Some(Pattern::Bisection),
        "storm" => Some(Pattern::Storm),
        "idle" => Some(Pattern::Idle),
        _ => {
            reader.fault(line, "stage.pattern", format!("`{name}` is no pattern"), help.to_owned());
            None
        }
    }
}

fn ways(reader: &mut Reader<'_>, table: &DeTable<'_>) -> Option<Ways> {
    if table.get("ways").is_none() {
        return Some(Ways::BothWays);
    }
    let (text, line) = reader.text(table, "stage", "ways")?;
    match text.as_str() {
        "one" => Some(Ways::OneWay),
        "both" => Some(Ways::BothWays),
        _ => {
            let help = "use ways = \"one\" or ways = \"both\"".to_owned();
            reader.fault(line, "stage.ways", format!("`{text}` is neither one nor both"), help);
            None
        }
    }
}

/// The rates of a stage: one, or a ramp's.
fn rates(reader: &mut Reader<'_>, table: &DeTable<'_>, line: usize) -> Option<Vec<Rate>> {
    let steps = table.get("steps");
    let ramp = steps.is_some();
    let line = steps.map_or(line, |steps| reader.line(steps.span()));
    if ramp && table.get("rate").is_some() {
        reader.fault(
            line,
            "stage.steps",
            "stands beside `rate`".to_owned(),
            "leave one of them out".to_owned(),
        );
        return None;
    }
    if !ramp && table.get("rate").is_none() {
        return Some(vec![Rate::Unpaced]);
    }
    let key = if ramp { "stage.steps" } else { "stage.rate" };
    let texts = if ramp {
        reader.texts(table, "stage", "steps")?
    } else {
        vec![reader.text(table, "stage", "rate")?]
    };
    if texts.is_empty() {
        reader.fault(line, key, "is empty".to_owned(), "write steps = [\"20 %\", \"40 %\"]".to_owned());
        return None;
    }
    if texts.len() > STEPS_MAX {
        let wrong = format!("{} steps are more than {STEPS_MAX}", texts.len());
        reader.fault(line, key, wrong, "use wider steps, or several stages".to_owned());
        return None;
    }
    let parsed: Vec<Option<Rate>> =
        texts.into_iter().map(|(text, line)| rate(reader, key, &text, line, ramp)).collect();
    parsed.into_iter().collect()
}

/// Frames a second have a meaning only where frames leave one by one.
fn check_packet_rate(reader: &mut Reader<'_>, table: &DeTable<'_>, rates: Option<&[Rate]>, line: usize) {
    let counts_frames = |rate: &Rate| matches!(rate, Rate::Pps(_) | Rate::PpsShare(_));
    let counts_frames = rates.is_some_and(|rates| rates.iter().any(counts_frames));
    if counts_frames && table.get("frame_sizes").is_none() {
        let wrong = "in frames a second goes with frame_sizes and there are none".to_owned();
        let help = "add transport = \"udp\" and for example frame_sizes = [64]".to_owned();
        reader.fault(line, "stage.rate", wrong, help);
    }
}

/// `20 kpps`: frames a second.
fn packet_rate(text: &str) -> Option<u32> {
    let (number, factor) = if let Some(number) = text.strip_suffix("Mpps") {
        (number, 1e6)
    } else if let Some(number) = text.strip_suffix("kpps") {
        (number, 1e3)
    } else {
        (text.strip_suffix("pps")?, 1.0)
    };
    let pps = number.trim().parse::<f64>().ok()? * factor;
    (1.0..=4e9).contains(&pps).then_some(pps as u32)
}

/// `40 % pps`: of the packet rate that calibration measured.
fn packet_share(reader: &mut Reader<'_>, key: &str, percent: &str, line: usize) -> Option<Rate> {
    let share = percent.trim().parse::<f64>().ok().map(|percent| percent / 100.0);
    let sound = share.filter(|share| *share > 0.0 && *share <= PACED_MAX);
    if sound.is_none() {
        let wrong = format!("`{percent} % pps` is no share from 0 to 70 %");
        let help = "use at most \"70 % pps\": above, a healthy host's own cores drop packets".to_owned();
        reader.fault(line, key, wrong, help);
    }
    sound.map(Rate::PpsShare)
}

fn rate(reader: &mut Reader<'_>, key: &str, text: &str, line: usize, ramp: bool) -> Option<Rate> {
    if let Some(pps) = packet_rate(text.trim()) {
        return Some(Rate::Pps(pps));
    }
    if let Some(share) = text.trim().strip_suffix("pps").and_then(|text| text.trim().strip_suffix('%')) {
        return packet_share(reader, key, share, line);
    }
    let Some(percent) = text.trim().strip_suffix('%') else {
        return match text.parse::<BitRate>() {
            Ok(rate) => Some(Rate::Bps(rate)),
            Err(error) => {
                let help =
                    "write a rate such as \"20 Mb/s\", \"20 kpps\" or a share such as \"50 %\"".to_owned();
                reader.fault(line, key, error.to_string(), help);
                None
            }
        };
    };
    let share = percent.trim().parse::<f64>().ok().map(|percent| percent / 100.0);
    match share {
        Some(share) if share > 0.0 && share <= if ramp { 1.0 } else { PACED_MAX } => Some(Rate::Share(share)),
        Some(share) if share > PACED_MAX && share <= 1.0 => {
            let help = "use at most \"70 %\", leave rate out to saturate, or use steps for a ramp".to_owned();
            let wrong = format!(
                "{text} is more than a paced flow may take: above 70 % healthy links lose packets too"
            );
            reader.fault(line, key, wrong, help);
            None
        }
        _ => {
            let wrong = format!("`{text}` is no share between 0 and 100 %");
            reader.fault(line, key, wrong, "write for example \"50 %\"".to_owned());
            None
        }
    }
}
