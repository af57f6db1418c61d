//! What the owner of a host allows its worker, whoever gives the orders: caps and targets.
//!
//! Fails closed: a limits file that cannot be read or understood refuses all work.

use std::{
    fs, io,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::Path,
    str::FromStr,
    time::Duration,
};

use serde::Deserialize;

use super::transfer::Caps;
use crate::model::fleet::units::BitRate;

/// Where the owner of a host writes its limits.
pub const LIMITS_FILE: &str = "/etc/nicburn/limits.toml";

/// Sent in one worker's life at most, unless its owner says otherwise: a petabyte is a week
/// at 13 Gb/s.
const BYTES_MAX: u64 = 1_000_000_000_000_000;

/// Sending goes on for so long at most, unless its owner says otherwise.
const DURATION_MAX: Duration = Duration::from_secs(7 * 24 * 3600);

/// Where clouds keep their keys: never a target.
const METADATA: IpAddr = IpAddr::V4(Ipv4Addr::new(169, 254, 169, 254));

/// A range of addresses, `10.0.0.0/8`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Cidr {
    addr: IpAddr,
    prefix: u8,
}

/// Why a text is no range.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("{0:?} is no range of addresses; write for example 10.0.0.0/8 or fd00::/8")]
pub struct CidrError(String);

impl FromStr for Cidr {
    type Err = CidrError;

    fn from_str(text: &str) -> Result<Self, CidrError> {
        let wrong = || CidrError(text.to_owned());
        let (addr, prefix) = text.split_once('/').ok_or_else(wrong)?;
        let addr: IpAddr = addr.parse().map_err(|_| wrong())?;
        let prefix: u8 = prefix.parse().map_err(|_| wrong())?;
        let bits = if addr.is_ipv4() { 32 } else { 128 };
        if prefix <= bits { Ok(Self { addr, prefix }) } else { Err(wrong()) }
    }
}

impl Cidr {
    /// Whether an address lies in this range.
    pub fn contains(&self, addr: IpAddr) -> bool {
        let cut = |bits: u32, value: u128| value.checked_shr(bits - u32::from(self.prefix)).unwrap_or(0);
        match (self.addr, addr) {
            (IpAddr::V4(range), IpAddr::V4(addr)) => {
                cut(32, u128::from(range.to_bits())) == cut(32, u128::from(addr.to_bits()))
            }
            (IpAddr::V6(range), IpAddr::V6(addr)) => cut(128, range.to_bits()) == cut(128, addr.to_bits()),
            _ => false,
        }
    }
}

/// Caps and targets together.
#[derive(Clone, Debug)]
pub struct Limits {
    /// How much.
    pub caps: Caps,
    /// Whereto, as the file says; empty allows every member of the run.
    pub allow: Vec<Cidr>,
    /// The same as the command line says: a target must be within both.
    pub allow_here: Vec<Cidr>,
}

/// Why a worker must not work.
#[derive(Debug, thiserror::Error)]
pub enum LimitsError {
    /// The file is there and cannot be read.
    #[error("cannot read {path}, so nothing is allowed: mend its permissions, or remove it")]
    Read {
        /// Which file.
        path: String,
        /// What the system said.
        source: io::Error,
    },
    /// The file is no limits file.
    #[error("cannot understand {path}, so nothing is allowed: {why}")]
    Malformed {
        /// Which file.
        path: String,
        /// What is wrong.
        why: String,
    },
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct LimitsFile {
    max_rate: Option<String>,
    max_bytes: Option<u64>,
    max_duration: Option<String>,
    #[serde(default)]
    allow: Vec<String>,
}

/// The limits of the owner's file, or the built-in ceilings where there is none.
///
/// # Errors
///
/// If the file is there and cannot be read or understood.
pub fn read(path: &Path) -> Result<Limits, LimitsError> {
    let text = match fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
        Err(source) => return Err(LimitsError::Read { path: path.display().to_string(), source }),
    };
    understand(&text).map_err(|why| LimitsError::Malformed { path: path.display().to_string(), why })
}

fn understand(text: &str) -> Result<Limits, String> {
    let file: LimitsFile = toml::from_str(text).map_err(|error| error.message().to_owned())?;
    let rate =
        file.max_rate.map(|rate| rate.parse::<BitRate>().map_err(|error| error.to_string())).transpose()?;
    let duration = match file.max_duration {
        Some(text) => humantime::parse_duration(&text).map_err(|error| format!("max_duration: {error}"))?,
        None => DURATION_MAX,
    };
    let allow = file.allow.iter().map(|range| range.parse().map_err(|error: CidrError| error.to_string()));
    Ok(Limits {
        caps: Caps {
            rate_bps: rate.map(BitRate::bps),
            bytes: file.max_bytes.unwrap_or(BYTES_MAX),
            duration_us: duration.as_micros() as u64,
        },
        allow: allow.collect::<Result<_, _>>()?,
        allow_here: Vec::new(),
    })
}

impl Limits {
    /// Why this worker must not send there; `None` where it may.
    pub fn refuses(&self, peer: SocketAddr, own: IpAddr) -> Option<String> {
        let addr = peer.ip();
        let broadcast = matches!(addr, IpAddr::V4(v4) if v4.is_broadcast());
        if addr.is_multicast() || addr.is_unspecified() || broadcast || addr == METADATA {
            return Some(format!("{addr} is never a target"));
        }
        if addr.is_loopback() && !own.is_loopback() {
            return Some(format!("{addr} is a loopback address and this worker's is {own}"));
        }
        let within = |ranges: &[Cidr]| ranges.is_empty() || ranges.iter().any(|range| range.contains(addr));
        (!within(&self.allow) || !within(&self.allow_here))
            .then(|| format!("{addr} lies outside of what --allow and {LIMITS_FILE} permit"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_is_not_understood_allows_nothing() {
        for bad in [
            "max_rate = 5",
            "max_rate = \"5\"",
            "allow = [\"10.0.0.0\"]",
            "colour = 1",
            "max_bytes = -1",
            "[",
        ] {
            assert!(understand(bad).is_err(), "{bad}");
        }
        let limits = understand("max_rate = \"2 Gb/s\"\nallow = [\"10.1.0.0/16\"]\nmax_duration = \"1h\"")
            .expect("sound");
        assert_eq!(limits.caps.rate_bps, Some(2_000_000_000));
        assert_eq!(limits.caps.duration_us, 3_600_000_000);
    }

    #[test]
    fn the_command_line_narrows_what_the_file_allows_and_does_not_widen_it() {
        let mut limits = understand("allow = [\"10.1.0.0/16\"]").expect("sound");
        let own = "10.1.0.1".parse().expect("an address");
        let refused =
            |limits: &Limits, peer: &str| limits.refuses(peer.parse().expect("an address"), own).is_some();
        limits.allow_here =
            vec!["10.1.2.0/24".parse().expect("a range"), "10.9.0.0/16".parse().expect("one")];
        assert!(!refused(&limits, "10.1.2.3:5"));
        assert!(refused(&limits, "10.1.3.3:5"), "the file allows it, the command line does not");
        assert!(refused(&limits, "10.9.0.1:5"), "the command line allows it, the file does not");
        limits.allow.clear();
        assert!(!refused(&limits, "10.9.0.1:5"), "without a file the command line has the word");
    }

    #[test]
    fn targets_outside_of_the_run_s_network_are_refused() {
        let limits = understand("allow = [\"10.1.0.0/16\", \"fd00::/8\"]").expect("sound");
        let own = "10.1.0.1".parse().expect("an address");
        let refused = |peer: &str| limits.refuses(peer.parse().expect("an address"), own).is_some();
        assert!(!refused("10.1.2.3:5"));
        assert!(!refused("[fd12::1]:5"));
        for bad in [
            "10.2.0.1:5",
            "127.0.0.1:5",
            "224.0.0.1:5",
            "255.255.255.255:5",
            "169.254.169.254:80",
            "0.0.0.0:5",
        ] {
            assert!(refused(bad), "{bad}");
        }
    }

    #[test]
    fn no_file_means_the_built_in_ceilings() {
        let limits = read(Path::new("/nonexistent/limits.toml")).expect("absent is fine");
        assert_eq!(limits.caps.bytes, BYTES_MAX);
        assert!(
            limits
                .refuses("192.0.2.1:1".parse().expect("an address"), "10.0.0.1".parse().expect("one"))
                .is_none()
        );
    }
}
