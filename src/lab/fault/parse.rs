//! A fault as a person types it: `NAME@h3,key=value,…`, and back.

use std::{fmt, str::FromStr};

use super::{Direction, Fault, FaultKind, SlowTo};
use crate::{
    lab::spec::{host_name, host_number},
    model::fleet::units::BitRate,
};

/// Longer than any lab lives.
const SECONDS_MAX: f64 = 86_400.0;

/// Why a text is no fault.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum FaultError {
    /// Nothing of the form `NAME@hN` at its start.
    #[error("`{0}` is no fault: write NAME@hN,key=value, for example dies_above@h3,rate=40M,for=3s")]
    Shape(String),
    /// A name that is not one of the faults.
    #[error(
        "no fault is called `{0}`; there are dies_above, dies_until_bounce, dies_after_bytes, dead, cable_out, flap, one_way_dead, slow, loss, freeze and kill"
    )]
    Name(String),
    /// What stands after `@` is no host of a lab.
    #[error("`{0}` is no host of a lab: they are called h1, h2 and so on")]
    Host(String),
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
        let (name, host) = head.ok_or_else(|| FaultError::Shape(text.to_owned()))?;
        let number = host_number(host).ok_or_else(|| FaultError::Host(host.to_owned()))?;
        let pairs = words.map(|word| word.split_once('=').ok_or_else(|| FaultError::Shape(text.to_owned())));
        let mut values = Values { name, pairs: pairs.collect::<Result<_, _>>()? };
        let after_s = values.optional("after", seconds)?.unwrap_or(0.0);
        let kind = kind(name, &mut values)?;
        match values.pairs.first() {
            Some((key, _)) => Err(FaultError::Key { name: name.to_owned(), key: (*key).to_owned() }),
            None => Ok(Self { host: number, after_s, kind }),
        }
    }
}

fn kind(name: &str, values: &mut Values<'_>) -> Result<FaultKind, FaultError> {
    Ok(match name {
        "dies_above" => FaultKind::DiesAbove {
            rate: values.needed("rate", "40M", rate)?,
            burst_bytes: values.optional("burst", volume)?.unwrap_or(0),
            for_s: values.optional("for", length)?.unwrap_or(3.0),
        },
        "dies_until_bounce" => FaultKind::DiesUntilBounce {
            rate: values.needed("rate", "40M", rate)?,
            burst_bytes: values.optional("burst", volume)?.unwrap_or(0),
        },
        "dies_after_bytes" => FaultKind::DiesAfterBytes { bytes: values.needed("bytes", "50MB", volume)? },
        "dead" => FaultKind::Dead { for_s: values.optional("for", length)? },
        "cable_out" => FaultKind::CableOut { for_s: values.optional("for", length)? },
        "flap" => FaultKind::Flap {
            times: values.optional("times", times)?.unwrap_or(3),
            // The kernel acts on carrier changes once a second: faster flaps merge into one.
            down_s: values.optional("down", length)?.unwrap_or(1.0),
            up_s: values.optional("up", length)?.unwrap_or(2.5),
        },
        "one_way_dead" => FaultKind::OneWayDead {
            direction: values.needed("direction", "tx", one_direction)?,
            for_s: values.optional("for", length)?,
        },
        "slow" => FaultKind::Slow { direction: values.direction()?, to: slow_to(values)? },
        "loss" => FaultKind::Loss {
            direction: values.direction()?,
            percent: values.needed("percent", "0.5", percent)?,
        },
        "freeze" => FaultKind::Freeze { for_s: values.optional("for", length)? },
        "kill" => FaultKind::Kill,
        other => return Err(FaultError::Name(other.to_owned())),
    })
}

/// The `key=value` pairs of a text that nobody has taken yet.
struct Values<'a> {
    name: &'a str,
    pairs: Vec<(&'a str, &'a str)>,
}

impl Values<'_> {
    fn optional<T>(
        &mut self,
        key: &'static str,
        read: fn(&str) -> Result<T, String>,
    ) -> Result<Option<T>, FaultError> {
        let Some(at) = self.pairs.iter().position(|(given, _)| *given == key) else { return Ok(None) };
        let (_, value) = self.pairs.remove(at);
        read(value).map(Some).map_err(|wanted| FaultError::Value { key, value: value.to_owned(), wanted })
    }

    fn needed<T>(
        &mut self,
        key: &'static str,
        example: &'static str,
        read: fn(&str) -> Result<T, String>,
    ) -> Result<T, FaultError> {
        let missing = FaultError::Missing { name: self.name.to_owned(), key, example };
        self.optional(key, read)?.ok_or(missing)
    }

    fn direction(&mut self) -> Result<Direction, FaultError> {
        Ok(self.optional("direction", direction)?.unwrap_or(Direction::Both))
    }
}

fn slow_to(values: &mut Values<'_>) -> Result<SlowTo, FaultError> {
    match values.optional("factor", factor)? {
        Some(factor) => Ok(SlowTo::Factor(factor)),
        None => values.needed("rate", "20M", rate).map(SlowTo::Rate),
    }
}

fn rate(text: &str) -> Result<BitRate, String> {
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
fn length(text: &str) -> Result<f64, String> {
    let value = seconds(text)?;
    if value >= 0.001 { Ok(value) } else { Err("write at least 1ms".into()) }
}

fn volume(text: &str) -> Result<u64, String> {
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

fn times(text: &str) -> Result<u32, String> {
    // Each flap is two steps of the holder's bounded schedule.
    text.parse().ok().filter(|times| (1..=100).contains(times)).ok_or_else(|| "write 1 to 100".into())
}

fn percent(text: &str) -> Result<f64, String> {
    let value = text.strip_suffix('%').unwrap_or(text).parse::<f64>().ok();
    value.filter(|value| (0.0001..=100.0).contains(value)).ok_or_else(|| "write 0.0001 to 100".into())
}

fn factor(text: &str) -> Result<f64, String> {
    let value = text.parse::<f64>().ok();
    value
        .filter(|value| (0.01..1.0).contains(value))
        .ok_or_else(|| "write a share of the NIC's rate from 0.01 to below 1".into())
}

fn direction(text: &str) -> Result<Direction, String> {
    match text {
        "tx" => Ok(Direction::Tx),
        "rx" => Ok(Direction::Rx),
        "both" => Ok(Direction::Both),
        _ => Err("write tx, rx or both".into()),
    }
}

fn one_direction(text: &str) -> Result<Direction, String> {
    direction(text)
        .ok()
        .filter(|one| *one != Direction::Both)
        .ok_or_else(|| "write tx or rx; both is the fault `dead`".into())
}

impl fmt::Display for Fault {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.kind.name();
        write!(out, "{name}@{}", host_name(self.host))?;
        let lasting = |for_s: &Option<f64>| for_s.map(|s| format!(",for={s}s")).unwrap_or_default();
        match &self.kind {
            FaultKind::DiesAbove { rate, burst_bytes, for_s } => {
                write!(out, ",rate={}{},for={for_s}s", exact(*rate), burst(*burst_bytes))?;
            }
            FaultKind::DiesUntilBounce { rate, burst_bytes } => {
                write!(out, ",rate={}{}", exact(*rate), burst(*burst_bytes))?;
            }
            FaultKind::DiesAfterBytes { bytes } => write!(out, ",bytes={bytes}B")?,
            FaultKind::Dead { for_s } | FaultKind::CableOut { for_s } | FaultKind::Freeze { for_s } => {
                out.write_str(&lasting(for_s))?;
            }
            FaultKind::Flap { times, down_s, up_s } => {
                write!(out, ",times={times},down={down_s}s,up={up_s}s")?;
            }
            FaultKind::OneWayDead { direction, for_s } => {
                write!(out, ",direction={direction}{}", lasting(for_s))?;
            }
            FaultKind::Slow { direction, to: SlowTo::Rate(rate) } => {
                write!(out, ",direction={direction},rate={}", exact(*rate))?;
            }
            FaultKind::Slow { direction, to: SlowTo::Factor(factor) } => {
                write!(out, ",direction={direction},factor={factor}")?;
            }
            FaultKind::Loss { direction, percent } => {
                write!(out, ",direction={direction},percent={percent}")?;
            }
            FaultKind::Kill => {}
        }
        if self.after_s > 0.0 { write!(out, ",after={}s", self.after_s) } else { Ok(()) }
    }
}

impl FaultKind {
    /// The name that a person types.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::DiesAbove { .. } => "dies_above",
            Self::DiesUntilBounce { .. } => "dies_until_bounce",
            Self::DiesAfterBytes { .. } => "dies_after_bytes",
            Self::Dead { .. } => "dead",
            Self::CableOut { .. } => "cable_out",
            Self::Flap { .. } => "flap",
            Self::OneWayDead { .. } => "one_way_dead",
            Self::Slow { .. } => "slow",
            Self::Loss { .. } => "loss",
            Self::Freeze { .. } => "freeze",
            Self::Kill => "kill",
        }
    }
}

fn burst(bytes: u64) -> String {
    if bytes == 0 { String::new() } else { format!(",burst={bytes}B") }
}

/// A rate without rounding, so that the text gives the same fault again.
fn exact(rate: BitRate) -> String {
    if rate.bps().is_multiple_of(1_000_000) {
        format!("{}M", rate.bps() / 1_000_000)
    } else {
        format!("{}b/s", rate.bps())
    }
}
