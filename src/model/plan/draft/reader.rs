//! Reads TOML values of known keys and gathers every fault on the way, with its line.
//!
//! Knows TOML, and nothing of scenarios or policies.

use std::{ops::Range, time::Duration};

use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use super::{Fault, Faults};
use crate::model::fleet::units::SLOT_US;

/// Reads one file.
pub struct Reader<'t> {
    of: String,
    text: &'t str,
    faults: Vec<Fault>,
}

impl<'t> Reader<'t> {
    pub fn new(of: &str, text: &'t str) -> Self {
        Self { of: of.to_owned(), text, faults: Vec::new() }
    }

    pub fn is_sound(&self) -> bool {
        self.faults.is_empty()
    }

    pub fn into_faults(mut self) -> Faults {
        self.faults.sort_by_key(|fault| fault.line.unwrap_or(usize::MAX));
        Faults { of: self.of, faults: self.faults }
    }

    /// The file as a table; what is no TOML at all is one fault for each break, with `help`.
    pub fn root(&mut self, help: &str) -> Option<Spanned<DeTable<'t>>> {
        let (root, errors) = DeTable::parse_recoverable(self.text);
        for error in &errors {
            let line = error.span().map(|span| self.line(span));
            self.faults.push(Fault {
                line,
                key: "file".to_owned(),
                wrong: format!("is no TOML: {}", error.message()),
                help: help.to_owned(),
            });
        }
        errors.is_empty().then_some(root)
    }

    /// The line that a span begins in, from 1.
    pub fn line(&self, span: Range<usize>) -> usize {
        self.text.as_bytes().iter().take(span.start).filter(|byte| **byte == b'\n').count() + 1
    }

    pub fn fault(&mut self, line: usize, key: &str, wrong: String, help: String) {
        self.faults.push(Fault { line: Some(line), key: key.to_owned(), wrong, help });
    }

    pub fn missing(&mut self, key: &str, example: &str) {
        let (wrong, help) = ("is missing".to_owned(), format!("add {example}"));
        self.faults.push(Fault { line: None, key: key.to_owned(), wrong, help });
    }

    pub fn only_keys(&mut self, table: &DeTable<'_>, within: &str, known: &[&str]) {
        for key in table.keys() {
            if !known.contains(&key.get_ref().as_ref()) {
                let line = self.line(key.span());
                let path = join(within, key.get_ref());
                self.fault(line, &path, "is no known key".to_owned(), use_one_of(key.get_ref(), known));
            }
        }
    }

    fn value<'a, 'i>(
        &self,
        table: &'a DeTable<'i>,
        within: &str,
        key: &str,
    ) -> Option<(&'a DeValue<'i>, usize, String)> {
        let value = table.get(key)?;
        Some((value.get_ref(), self.line(value.span()), join(within, key)))
    }

    fn wrong_type(&mut self, line: usize, path: &str, value: &DeValue<'_>, wanted: &str, example: &str) {
        let wrong = format!("is {} {} and should be {wanted}", article(value.type_str()), value.type_str());
        self.fault(line, path, wrong, format!("write for example {example}"));
    }

    /// A text, with its line.
    pub fn text(&mut self, table: &DeTable<'_>, within: &str, key: &str) -> Option<(String, usize)> {
        self.text_such_as(table, within, key, "…")
    }

    fn text_such_as(
        &mut self,
        table: &DeTable<'_>,
        within: &str,
        key: &str,
        example: &str,
    ) -> Option<(String, usize)> {
        let (value, line, path) = self.value(table, within, key)?;
        if value.as_str().is_none() {
            self.wrong_type(line, &path, value, "text", &format!("{key} = \"{example}\""));
        }
        Some((value.as_str()?.to_owned(), line))
    }

    /// A list of texts, each with its line.
    pub fn texts(&mut self, table: &DeTable<'_>, within: &str, key: &str) -> Option<Vec<(String, usize)>> {
        let (value, line, path) = self.value(table, within, key)?;
        let all: Option<Vec<(String, usize)>> = value.as_array().and_then(|array| {
            array
                .iter()
                .map(|item| Some((item.get_ref().as_str()?.to_owned(), self.line(item.span()))))
                .collect()
        });
        if all.is_none() {
            self.wrong_type(line, &path, value, "a list of texts", &format!("{key} = [\"20 %\", \"40 %\"]"));
        }
        all
    }

    /// A whole number within bounds; `default` where the key is absent.
    pub fn count(
        &mut self,
        table: &DeTable<'_>,
        within: &str,
        key: &str,
        bounds: Range<u16>,
        default: u16,
    ) -> Option<u16> {
        let Some((value, line, path)) = self.value(table, within, key) else { return Some(default) };
        let Some(number) = value
            .as_integer()
            .and_then(|integer| i64::from_str_radix(integer.as_str(), integer.radix()).ok())
        else {
            self.wrong_type(line, &path, value, "a whole number", &format!("{key} = {default}"));
            return None;
        };
        let sound = u16::try_from(number).ok().filter(|number| bounds.contains(number));
        if sound.is_none() {
            let help = format!("use {} to {}", bounds.start, bounds.end - 1);
            self.fault(line, &path, format!("{number} is out of bounds"), help);
        }
        sound
    }

    /// A list of whole numbers, each within bounds, or one `word`, which is `None`.
    pub fn counts_or(
        &mut self,
        table: &DeTable<'_>,
        within: &str,
        key: &str,
        bounds: Range<u16>,
        word: &str,
    ) -> Option<Vec<Option<u16>>> {
        let (value, line, path) = self.value(table, within, key)?;
        let numbers: Option<Vec<Option<i64>>> = value.as_array().and_then(|array| {
            let number = |item: &DeValue<'_>| {
                if let Some(text) = item.as_str() {
                    return (text == word).then_some(None);
                }
                let integer = item.as_integer()?;
                Some(Some(i64::from_str_radix(integer.as_str(), integer.radix()).ok()?))
            };
            array.iter().map(|item| number(item.get_ref())).collect()
        });
        let Some(numbers) = numbers else {
            let wanted = format!("a list of whole numbers or {word:?}");
            self.wrong_type(line, &path, value, &wanted, &format!("{key} = [64, {word:?}]"));
            return None;
        };
        let sound = |number: i64| u16::try_from(number).ok().filter(|number| bounds.contains(number));
        if let Some(bad) = numbers.iter().flatten().find(|number| sound(**number).is_none()) {
            let help = format!("use {} to {}", bounds.start, bounds.end - 1);
            self.fault(line, &path, format!("{bad} is out of bounds"), help);
        }
        numbers
            .into_iter()
            .map(|number| number.map_or(Some(None), |number| sound(number).map(Some)))
            .collect()
    }

    /// A whole number within bounds, where the key is there.
    pub fn number(
        &mut self,
        table: &DeTable<'_>,
        within: &str,
        key: &str,
        bounds: &Range<u32>,
    ) -> Option<u32> {
        let (value, line, path) = self.value(table, within, key)?;
        let Some(number) = value
            .as_integer()
            .and_then(|integer| i64::from_str_radix(integer.as_str(), integer.radix()).ok())
        else {
            self.wrong_type(line, &path, value, "a whole number", &format!("{key} = {}", bounds.start));
            return None;
        };
        let sound = u32::try_from(number).ok().filter(|number| bounds.contains(number));
        if sound.is_none() {
            let help = format!("use {} to {}", bounds.start, bounds.end - 1);
            self.fault(line, &path, format!("{number} is out of bounds"), help);
        }
        sound
    }

    /// A length of time in whole slots of 100 ms within bounds, in microseconds.
    pub fn length_us(
        &mut self,
        table: &DeTable<'_>,
        within: &str,
        key: &str,
        bounds: (Duration, Duration),
    ) -> Option<u64> {
        let (text, line) = self.text_such_as(table, within, key, "10s")?;
        let path = join(within, key);
        let Some(length) = duration(&text) else {
            let wrong = format!("`{text}` is no length of time");
            self.fault(
                line,
                &path,
                wrong,
                "write a number and ms, s, m or h, for example \"1.5s\"".to_owned(),
            );
            return None;
        };
        let micros = length.as_micros() as u64;
        if length < bounds.0 || length > bounds.1 {
            let help = format!("use {} to {}", said(bounds.0), said(bounds.1));
            self.fault(line, &path, format!("`{text}` is out of bounds"), help);
            return None;
        }
        if !micros.is_multiple_of(SLOT_US) {
            let wrong = format!("`{text}` is no multiple of 100ms, the grid that bytes are counted on");
            self.fault(
                line,
                &path,
                wrong,
                format!("use {:?}", Duration::from_micros(micros / SLOT_US * SLOT_US)),
            );
            return None;
        }
        Some(micros)
    }
}

/// The way out of an unknown key: the nearest known one where there is one, and all.
pub fn use_one_of(found: &str, known: &[&str]) -> String {
    let nearest = known.iter().map(|key| (steps(found, key), *key)).min();
    // As many wrong letters as a third of the word are a slip; more is another word.
    match nearest.filter(|(steps, key)| *steps * 3 <= key.chars().count().max(3)) {
        Some((_, key)) => format!("did you mean {key}? Known are {}", known.join(", ")),
        None => format!("use {}", known.join(", ")),
    }
}

/// Letters to add, drop or change to get from one word to the other (Levenshtein).
fn steps(from: &str, to: &str) -> usize {
    let to: Vec<char> = to.chars().collect();
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for (at, letter) in from.chars().enumerate() {
        let mut corner = std::mem::replace(&mut row[0], at + 1);
        for (place, other) in to.iter().enumerate() {
            let changed = corner + usize::from(letter != *other);
            corner = row[place + 1];
            row[place + 1] = changed.min(corner + 1).min(row[place] + 1);
        }
    }
    row[to.len()]
}

fn join(within: &str, key: &str) -> String {
    if within.is_empty() { key.to_owned() } else { format!("{within}.{key}") }
}

fn article(noun: &str) -> &'static str {
    if noun.starts_with(['a', 'e', 'i', 'o', 'u']) { "an" } else { "a" }
}

/// A bound as a person would write it.
fn said(length: Duration) -> String {
    match length.as_secs() {
        hours if hours >= 3600 && hours.is_multiple_of(3600) => format!("{}h", hours / 3600),
        _ if length.is_zero() => "0s".to_owned(),
        _ => format!("{length:?}"),
    }
}

/// `1.5s`, `200 ms`, `2m`, `1h`.
fn duration(text: &str) -> Option<Duration> {
    let text = text.trim();
    let unit_at = text.find(|c: char| c.is_ascii_alphabetic())?;
    let number: f64 = text[..unit_at].trim().parse().ok()?;
    let factor = match &text[unit_at..] {
        "ms" => 1e-3,
        "s" => 1.0,
        "m" | "min" => 60.0,
        "h" => 3600.0,
        _ => return None,
    };
    let micros = (number * factor * 1e6).round();
    (0.0..=1e12).contains(&micros).then(|| Duration::from_micros(micros as u64))
}
