//! A record read back as a whole: every sound line once, in order, and what was lost.
//!
//! A loss is never passed over in silence and never stops the reading: a verdict on half a
//! record is worth having as long as it says that it is half. Files are `journal`'s; one
//! line's text is `text`'s.

use std::collections::BTreeMap;

use super::{
    few,
    gaps::{self, Gap, Gaps},
    line::{Body, COORDINATOR, Line, Opened, RECORD_SCHEMA},
    names::Names,
    placed,
    text::{self, LineError},
};

mod spool;

/// The most losses said one by one; a record with more is rubble, and its count says so.
const LOSSES_SAID_MAX: usize = 100;

/// The most gaps of one instance said one by one.
const GAPS_SAID_MAX: usize = 8;

/// A record read back: every sound line once, and what was lost.
#[derive(Clone, Debug)]
pub struct Record {
    /// The content of its opening line.
    pub opened: Opened,
    /// Sorted by (instance, sequence), each once.
    pub lines: Vec<Line>,
    /// In words for people, e.g. "line 812 is damaged (checksum)", "12 lines of h3 missing (301 to 312)", "the last line is cut off".
    pub losses: Vec<String>,
}

/// Why lines are no record.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum RecordError {
    /// Without the opening line nothing is known of the run; the text says what there was.
    #[error(
        "the record has no sound opening line ({0}), so scenario and hosts are unknown; nothing can be judged"
    )]
    NoOpening(String),
    /// Written by a build with other shapes.
    #[error(
        "the record's schema is {found:?}, this build reads {RECORD_SCHEMA:?}; judge it with the build that wrote it"
    )]
    Schema {
        /// What the opening line says.
        found: String,
    },
    /// A file that was given as a spool, and is none.
    #[error("none of its {lines} lines is one of a record")]
    NoSpool {
        /// How many there are.
        lines: usize,
    },
    /// A spool that another run's worker kept.
    #[error(
        "it is another run's: of {both} lines under numbers that this record has as well, {differ} say something else"
    )]
    ForeignSpool {
        /// Lines of the spool whose numbers the record has.
        both: usize,
        /// Those of them that differ.
        differ: usize,
    },
}

/// Reads lines of one record; several may share the work.
#[derive(Debug, Default)]
pub struct Decoder {
    names: Names,
}

impl Decoder {
    /// What a line says.
    ///
    /// # Errors
    ///
    /// As [`text::decode`].
    pub fn line(&mut self, text: &str) -> Result<Line, LineError> {
        let mut line = text::decode(text)?;
        match &mut line.body {
            Body::Counters(moved) => self.names.share(moved),
            Body::Samples(samples) => few::tighten(&mut samples.rx),
            Body::Tcp(tcp) => few::tighten(&mut tcp.flows),
            Body::Probes(probes) => {
                few::tighten(&mut probes.udp);
                few::tighten(&mut probes.tcp);
            }
            _ => {}
        }
        Ok(line)
    }
}

/// A record that is being read, line by line; spools may follow the record itself.
#[derive(Debug, Default)]
pub struct Reading {
    /// By instance, in the order of their coming.
    sound: BTreeMap<u16, Vec<Line>>,
    damaged: Vec<(usize, LineError)>,
    damaged_count: usize,
    total: usize,
    last_is_cut: bool,
    run: Option<String>,
    foreign: Option<Foreign>,
}

/// Where another run's record begins within one: files that somebody joined.
#[derive(Debug)]
struct Foreign {
    line: usize,
    run: String,
    more: usize,
}

impl Reading {
    /// Takes the next line, as [`Decoder::line`] gives it.
    pub fn take(&mut self, line: Result<Line, LineError>) {
        self.total += 1;
        self.last_is_cut = false;
        if let Some(foreign) = &mut self.foreign {
            foreign.more += 1;
            return;
        }
        match line {
            Ok(line) if self.is_of_another_run(&line) => {}
            Ok(line) => self.sound.entry(line.i).or_default().push(line),
            Err(why) => {
                self.last_is_cut = matches!(why, LineError::NotJson(_));
                self.damaged_count += 1;
                if self.damaged.len() < LOSSES_SAID_MAX {
                    self.damaged.push((self.total, why));
                }
            }
        }
    }

    /// Whether a line opens another run than the one that is being read; then nothing more is taken.
    fn is_of_another_run(&mut self, line: &Line) -> bool {
        let Body::Opened(opened) = &line.body else { return false };
        if *self.run.get_or_insert_with(|| opened.run.clone()) == opened.run {
            return false;
        }
        self.foreign = Some(Foreign { line: self.total, run: opened.run.clone(), more: 0 });
        true
    }

    /// The record. Damaged lines are left out and said with their number, counted from 1. A
    /// record whose closing line is missing says so: a cut exactly between two lines leaves no
    /// other trace.
    ///
    /// # Errors
    ///
    /// If there is no sound opening line, or it is of another schema.
    pub fn finish(self) -> Result<Record, RecordError> {
        let Self { sound, damaged, damaged_count, total, last_is_cut, foreign, .. } = self;
        let mut losses: Vec<String> = damaged
            .iter()
            .filter(|(number, _)| !(last_is_cut && *number == total))
            .map(|(number, why)| format!("line {number} is damaged ({})", in_short(why)))
            .collect();
        let unsaid = damaged_count - losses.len() - usize::from(last_is_cut);
        if unsaid > 0 {
            losses.push(format!("{unsaid} more lines are damaged"));
        }
        if last_is_cut {
            losses.push("the last line is cut off".to_owned());
        }

        let mut record = Record::from_instances(sound).map_err(|error| match error {
            RecordError::NoOpening(_) => RecordError::NoOpening(match damaged.first() {
                _ if total == 0 => "it is empty".to_owned(),
                Some((number, why)) => format!("{total} lines; line {number}: {}", in_short(why)),
                None => format!("none among {total} sound lines"),
            }),
            other => other,
        })?;
        if !record.lines.iter().any(|line| matches!(line.body, Body::Closed { .. })) {
            losses.push(
                "the closing line is missing: the run was cut short, or the record's end is lost".to_owned(),
            );
        }
        losses.extend(foreign.map(|Foreign { line, run, more }| {
            format!("line {line} opens another run, {run}: it and the {more} lines after it are left out")
        }));
        losses.append(&mut record.losses);
        record.losses = losses;
        Ok(record)
    }
}

impl Record {
    /// Reads a record from its text, as [`Reading`] does.
    ///
    /// # Errors
    ///
    /// As [`Reading::finish`].
    pub fn from_text_lines<'a>(lines: impl Iterator<Item = &'a str>) -> Result<Self, RecordError> {
        let (mut reading, mut decoder) = (Reading::default(), Decoder::default());
        lines.for_each(|line| reading.take(decoder.line(line)));
        reading.finish()
    }

    /// Puts sound lines in order, each once, and says which sequence numbers are missing
    /// below the highest seen of each instance.
    pub fn from_lines(lines: Vec<Line>) -> Result<Self, RecordError> {
        let mut instances: BTreeMap<u16, Vec<Line>> = BTreeMap::new();
        for line in lines {
            instances.entry(line.i).or_default().push(line);
        }
        Self::from_instances(instances)
    }

    fn from_instances(mut instances: BTreeMap<u16, Vec<Line>>) -> Result<Self, RecordError> {
        let mut contradictions: BTreeMap<u16, u64> = BTreeMap::new();
        let mut lines = Vec::with_capacity(instances.values().map(Vec::len).sum());
        while let Some((instance, mut own)) = instances.pop_first() {
            // Stable: of two lines under one number the first that came is kept.
            own.sort_by_key(|line| line.q);
            own.dedup_by(|later, kept| {
                let same = later.q == kept.q;
                if same && later != kept {
                    *contradictions.entry(instance).or_default() += 1;
                }
                same
            });
            lines.append(&mut own);
        }

        let opened = lines.iter().find_map(|line| match &line.body {
            Body::Opened(opened) if line.i == COORDINATOR => Some(Opened::clone(opened)),
            _ => None,
        });
        let opened =
            opened.ok_or_else(|| RecordError::NoOpening(format!("none among {} lines", lines.len())))?;
        if opened.schema != RECORD_SCHEMA {
            return Err(RecordError::Schema { found: opened.schema });
        }

        let names = names(&opened, &lines);
        let mut losses = missing(&lines, &names);
        losses.extend(placed::sieve(&mut lines));
        losses.extend(contradictions.into_iter().map(|(instance, count)| {
            let whose = whose(&names, instance);
            let noun = if count == 1 { "line" } else { "lines" };
            format!("of {whose}, {count} {noun} came twice with different content; the first was kept")
        }));
        Ok(Self { opened, lines, losses })
    }
}

/// What was wrong with a line, in a word or two.
fn in_short(why: &LineError) -> &'static str {
    match why {
        LineError::TooLong { .. } => "too long",
        LineError::NotJson(_) => "not JSON",
        LineError::NoChecksum => "no checksum",
        LineError::BadChecksum { .. } => "checksum",
        LineError::Unknown(_) => "unknown to this build",
    }
}

/// Host names by instance, as `joined` lines tell them; a host that came with several
/// instances has the number added.
fn names(opened: &Opened, lines: &[Line]) -> BTreeMap<u16, String> {
    let joined: BTreeMap<u16, &str> = lines
        .iter()
        .filter_map(|line| match &line.body {
            Body::Joined(joined) => {
                let host = opened.hosts.iter().find(|host| host.id == joined.host)?;
                Some((joined.instance, host.name.as_str()))
            }
            _ => None,
        })
        .collect();
    let mut instances: BTreeMap<&str, usize> = BTreeMap::new();
    for name in joined.values() {
        *instances.entry(name).or_default() += 1;
    }
    joined
        .iter()
        .map(|(instance, name)| {
            let several = instances.get(name).is_some_and(|count| *count > 1);
            (*instance, if several { format!("{name} (instance {instance})") } else { (*name).to_owned() })
        })
        .collect()
}

/// How an instance is called.
fn whose(names: &BTreeMap<u16, String>, instance: u16) -> String {
    match names.get(&instance) {
        _ if instance == COORDINATOR => "the coordinator".to_owned(),
        Some(name) => name.clone(),
        None => format!("instance {instance}"),
    }
}

/// What is missing below the highest sequence number of each instance, in words. `lines`
/// are sorted and unique.
fn missing(lines: &[Line], names: &BTreeMap<u16, String>) -> Vec<String> {
    let lossy = gaps::of(lines).filter(|own| own.missing > 0);
    let in_words = lossy.map(|Gaps { instance, missing, each, .. }| {
        let noun = if missing == 1 { "line" } else { "lines" };
        format!("{missing} {noun} of {} missing ({})", whose(names, instance), said(&each))
    });
    in_words.collect()
}

/// Ranges of sequence numbers, bounded in number, in words.
fn said(ranges: &[Gap]) -> String {
    let mut words: Vec<String> = ranges
        .iter()
        .take(GAPS_SAID_MAX)
        .map(
            |Gap { first, last, .. }| {
                if first == last { first.to_string() } else { format!("{first} to {last}") }
            },
        )
        .collect();
    if ranges.len() > GAPS_SAID_MAX {
        words.push(format!("and {} more gaps", ranges.len() - GAPS_SAID_MAX));
    }
    words.join(", ")
}

#[cfg(test)]
mod tests;
