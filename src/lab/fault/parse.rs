//! A fault as a person types it: `NAME@h3,key=value,…`, and back.

use std::{fmt, str::FromStr};

use super::{Direction, Fault, FaultKind, Place};
use crate::model::fleet::units::BitRate;

/// Longer than any lab lives.
const SECONDS_MAX: f64 = 86_400.0;

/// Why a text is no fault.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum FaultError {
    /// Nothing of the form `NAME@hN` at its start.
    #[error("`{0}` is not of the form NAME@hN,key=value, for example dies_above@h3,rate=40M,for=3s")]
    Shape(String),
    /// A name that is not one of the faults.
    #[error("no fault is called `{name}`; there are {all}")]
    Name {
        /// What was given.
        name: String,
        /// What there is.
        all: String,
    },
    /// What stands after `@` is no host of a lab.
    #[error("`{0}` is no host of a lab: they are called h1, h2 and so on, a path h1-h2")]
    Host(String),
    /// A place at which this fault cannot be.
    #[error("the fault `{name}` cannot be at `{place}`: name {wanted}")]
    Place {
        /// The fault.
        name: String,
        /// What was given.
        place: String,
        /// Where it can be.
        wanted: &'static str,
    },
    /// A key that this fault needs and does not have.
    #[error("the fault `{name}` needs `{key}`, for example `{key}={example}`")]
    Missing {
        /// The fault.
        name: String,
        /// What it lacks.
        key: &'static str,
        /// A value it might have.
        example: &'static str,
    },
    /// A value that is not what its key takes.
    #[error("`{key}={value}` cannot be read: {wanted}")]
    Value {
        /// The key.
        key: &'static str,
        /// What was given.
        value: String,
        /// What it should have been.
        wanted: String,
    },
    /// A key that this fault does not know.
    #[error("the fault `{name}` has no `{key}`, or it was given twice")]
    Key {
        /// The fault.
        name: String,
        /// What it does not know.
        key: String,
    },
}

impl FromStr for Fault {
    type Err = FaultError;

    fn from_str(text: &str) -> Result<Self, FaultError> {
        let mut words = text.trim().split(',');
        let head = words.next().and_then(|head| head.split_once('@'));
        let (name, place) = head.ok_or_else(|| FaultError::Shape(text.to_owned()))?;
        let place = Place::read(place)?;
        let pairs = words.map(|word| word.split_once('=').ok_or_else(|| FaultError::Shape(text.to_owned())));
        let mut values = Values { name, pairs: pairs.collect::<Result<_, _>>()? };
        let after_s = values.optional("after", seconds)?.unwrap_or(0.0);
        let kind = FaultKind::read(name, &mut values)?;
        let places = kind.group().places();
        if !places.allow(place) {
            let (name, place) = (name.to_owned(), place.to_string());
            return Err(FaultError::Place { name, place, wanted: places.wanted() });
        }
        match values.pairs.first() {
            Some((key, _)) => Err(FaultError::Key { name: name.to_owned(), key: (*key).to_owned() }),
            None => Ok(Self { place, after_s, kind }),
        }
    }
}

/// The `key=value` pairs of a text that nobody has taken yet.
pub(super) struct Values<'a> {
    name: &'a str,
    pairs: Vec<(&'a str, &'a str)>,
}

impl Values<'_> {
    pub(super) fn optional<T>(
        &mut self,
        key: &'static str,
        read: fn(&str) -> Result<T, String>,
    ) -> Result<Option<T>, FaultError> {
        let Some(at) = self.pairs.iter().position(|(given, _)| *given == key) else { return Ok(None) };
        let (_, value) = self.pairs.remove(at);
        read(value).map(Some).map_err(|wanted| FaultError::Value { key, value: value.to_owned(), wanted })
    }

    pub(super) fn needed<T>(
        &mut self,
        key: &'static str,
        example: &'static str,
        read: fn(&str) -> Result<T, String>,
    ) -> Result<T, FaultError> {
        let missing = FaultError::Missing { name: self.name.to_owned(), key, example };
        self.optional(key, read)?.ok_or(missing)
    }

    pub(super) fn direction(&mut self) -> Result<Direction, FaultError> {
        Ok(self.optional("direction", direction)?.unwrap_or(Direction::Both))
    }
}

pub(super) fn rate(text: &str) -> Result<BitRate, String> {
    text.parse().map_err(|error: crate::model::fleet::units::BitRateError| error.to_string())
}

fn seconds(text: &str) -> Result<f64, String> {
    let (number, unit_s) = match text.strip_suffix("ms") {
        Some(number) => (number, 1e-3),
        None => (text.strip_suffix('s').unwrap_or(text), 1.0),
    };
    let value = number.parse::<f64>().ok().map(|value| value * unit_s);
    let sound = value.filter(|value| (0.0..=SECONDS_MAX).contains(value));
    sound.ok_or_else(|| format!("write seconds up to {SECONDS_MAX}, as 3s or 500ms"))
}

/// A time that lasts: the kernel's timers for it count milliseconds.
pub(super) fn length(text: &str) -> Result<f64, String> {
    let value = seconds(text)?;
    if value >= 0.001 { Ok(value) } else { Err("write at least 1ms".into()) }
}

pub(super) fn volume(text: &str) -> Result<u64, String> {
    const UNITS: [(&str, f64); 7] = [
        ("KiB", 1024.0),
        ("MiB", 1_048_576.0),
        ("GiB", 1_073_741_824.0),
        ("kB", 1e3),
        ("MB", 1e6),
        ("GB", 1e9),
        ("B", 1.0),
    ];
    let wanted = || "write bytes above 0 with their unit, as 50MB, 64KiB or 100B".to_owned();
    let (unit, factor) = UNITS.into_iter().find(|(unit, _)| text.ends_with(unit)).ok_or_else(wanted)?;
    let number = text[..text.len() - unit.len()].parse::<f64>().map_err(|_| wanted())?;
    let bytes = number * factor;
    if (1.0..=1e15).contains(&bytes) { Ok(bytes.round() as u64) } else { Err(wanted()) }
}

pub(super) fn times(text: &str) -> Result<u32, String> {
    // Each flap is two steps of the holder's bounded schedule.
    text.parse().ok().filter(|times| (1..=100).contains(times)).ok_or_else(|| "write 1 to 100".into())
}

pub(super) fn percent(text: &str) -> Result<f64, String> {
    let value = text.strip_suffix('%').unwrap_or(text).parse::<f64>().ok();
    value.filter(|value| (0.0001..=100.0).contains(value)).ok_or_else(|| "write 0.0001 to 100".into())
}

pub(super) fn factor(text: &str) -> Result<f64, String> {
    let value = text.parse::<f64>().ok();
    value
        .filter(|value| (0.01..1.0).contains(value))
        .ok_or_else(|| "write a share from 0.01 to below 1".into())
}

/// A number of things of which there are a few thousand at most.
pub(super) fn count(text: &str) -> Result<u32, String> {
    text.parse().ok().filter(|count| (1..=65_536).contains(count)).ok_or_else(|| "write 1 to 65536".into())
}

/// A size of packets, bytes: not below what carries a handshake, not above a jumbo frame.
pub(super) fn frame_bytes(text: &str) -> Result<u32, String> {
    let number = text.strip_suffix('B').and_then(|number| number.parse().ok());
    number
        .filter(|bytes| (68..=9216).contains(bytes))
        .ok_or_else(|| "write bytes from 68B to 9216B, as 1400B".into())
}

pub(super) fn yes_or_no(text: &str) -> Result<bool, String> {
    match text {
        "yes" => Ok(true),
        "no" => Ok(false),
        _ => Err("write yes or no".into()),
    }
}

fn direction(text: &str) -> Result<Direction, String> {
    match text {
        "tx" => Ok(Direction::Tx),
        "rx" => Ok(Direction::Rx),
        "both" => Ok(Direction::Both),
        _ => Err("write tx, rx or both".into()),
    }
}

pub(super) fn one_direction(text: &str) -> Result<Direction, String> {
    direction(text)
        .ok()
        .filter(|one| *one != Direction::Both)
        .ok_or_else(|| "write tx or rx; both is the fault `dead`".into())
}

impl fmt::Display for Fault {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}@{}", self.kind.group().name(), self.place)?;
        self.kind.group().keys().iter().try_for_each(|key| write!(out, ",{key}"))?;
        if self.after_s > 0.0 { write!(out, ",after={}s", self.after_s) } else { Ok(()) }
    }
}

impl TryFrom<String> for Fault {
    type Error = FaultError;

    fn try_from(text: String) -> Result<Self, FaultError> {
        text.parse()
    }
}

impl From<Fault> for String {
    fn from(fault: Fault) -> Self {
        fault.to_string()
    }
}

/// A rate without rounding, so that the text gives the same fault again.
pub(super) fn exact(rate: BitRate) -> String {
    if rate.bps().is_multiple_of(1_000_000) {
        format!("{}M", rate.bps() / 1_000_000)
    } else {
        format!("{}b/s", rate.bps())
    }
}
