//! The loaders that others use: their exact commands, and the receiver's bytes out of what
//! they print.

use std::{
    net::{IpAddr, SocketAddr},
    process::Command,
    time::Duration,
};

use serde::{Deserialize, Serialize};

use super::{child::Listens, error::BenchError};

/// A loader.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Peer {
    /// `iperf3`.
    Iperf3,
    /// `iperf`, version 2.
    Iperf2,
    /// `nuttcp`.
    Nuttcp,
}

/// All of them.
pub const PEERS: [Peer; 3] = [Peer::Iperf3, Peer::Iperf2, Peer::Nuttcp];

/// How a peer is run.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
pub struct PeerRun {
    /// Which.
    pub peer: Peer,
    /// Its client's options beyond address and length; UDP where `-u` is among them.
    pub options: &'static [&'static str],
    /// The first version that has what the run needs, as `(major, minor)`.
    pub since: Option<(u16, u16)>,
}

/// What a peer's receiver counted.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Received {
    /// Payload, bytes.
    pub bytes: u64,
    /// During this long, seconds.
    pub for_s: f64,
    /// Datagrams that arrived, and that were lost.
    pub datagrams: Option<(u64, u64)>,
}

impl Peer {
    /// Its program.
    pub const fn program(self) -> &'static str {
        match self {
            Self::Iperf3 => "iperf3",
            Self::Iperf2 => "iperf",
            Self::Nuttcp => "nuttcp",
        }
    }

    /// The port its server waits on, in a namespace of its own.
    pub const fn port(self) -> u16 {
        match self {
            Self::Iperf3 => 5301,
            Self::Iperf2 => 5401,
            Self::Nuttcp => 5500,
        }
    }

    /// How it is called in results and tables.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Iperf3 => "iperf3",
            Self::Iperf2 => "iperf2",
            Self::Nuttcp => "nuttcp",
        }
    }

    /// The first line it says of its version.
    ///
    /// # Errors
    ///
    /// If it is not installed.
    pub fn version(self) -> Result<String, BenchError> {
        let argument = if self == Self::Nuttcp { "-V" } else { "--version" };
        let output = Command::new(self.program()).arg(argument).output();
        let absent = |_| {
            let package = if self == Self::Iperf2 { "iperf" } else { self.program() };
            BenchError::Absent(format!("{} is not installed (package {package})", self.name()))
        };
        let output = output.map_err(absent)?;
        // iperf 2 says it on standard error.
        let said = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
        let line = said.iter().flat_map(|text| text.lines()).find(|line| !line.trim().is_empty());
        line.map(|line| line.trim().to_owned()).ok_or_else(|| BenchError::Output {
            program: self.program(),
            missing: "version".to_owned(),
            output: String::new(),
        })
    }
}

/// The major and minor number in a line such as `iperf 3.12 (cJSON 1.7.15)`.
pub fn version_number(line: &str) -> Option<(u16, u16)> {
    line.split(|c: char| c.is_whitespace() || c == '-').find_map(|word| {
        let (major, rest) = word.split_once('.')?;
        let minor = rest.split(|c: char| !c.is_ascii_digit()).next()?;
        Some((major.parse().ok()?, minor.parse().ok()?))
    })
}

impl PeerRun {
    fn udp(&self) -> bool {
        self.options.contains(&"-u")
    }

    /// Whether the installed program can do it.
    ///
    /// # Errors
    ///
    /// That it is absent or too old, in words.
    pub fn check(&self) -> Result<(), BenchError> {
        let version = self.peer.version()?;
        match (self.since, version_number(&version)) {
            (Some(since), Some(number)) if number < since => Err(BenchError::Absent(format!(
                "{} {}.{} or later is needed; installed is {version:?}",
                self.peer.name(),
                since.0,
                since.1
            ))),
            (Some(_), None) => Err(BenchError::Absent(format!("{version:?} is no known version"))),
            _ => Ok(()),
        }
    }

    /// The server's command, and what it listens on.
    pub(super) fn server(&self) -> (Command, Listens) {
        let port = self.peer.port().to_string();
        let mut command = Command::new(self.peer.program());
        match self.peer {
            Peer::Iperf3 => command.args(["-s", "-1", "-p", &port]),
            Peer::Iperf2 if self.udp() => command.args(["-s", "-u", "-p", &port, "-y", "C"]),
            Peer::Iperf2 => command.args(["-s", "-p", &port, "-y", "C"]),
            Peer::Nuttcp => command.args(["-S", "--nofork", "-1", &format!("-P{port}")]),
        };
        let udp = self.udp() && self.peer == Peer::Iperf2;
        // iperf3 and nuttcp agree over TCP whatever they carry.
        (command, if udp { Listens::Udp } else { Listens::Tcp })
    }

    /// The client's command.
    pub(super) fn client(&self, server: IpAddr, for_s: u32) -> Command {
        let (port, server, seconds) = (self.peer.port().to_string(), server.to_string(), for_s.to_string());
        let mut command = Command::new(self.peer.program());
        match self.peer {
            Peer::Iperf3 => {
                command.args(["-c", &server, "-p", &port, "-t", &seconds, "-J", "-i", "0"]).args(self.options)
            }
            Peer::Iperf2 => {
                command.args(["-c", &server, "-p", &port, "-t", &seconds, "-y", "C"]).args(self.options)
            }
            Peer::Nuttcp => command
                .args([&format!("-P{port}"), "-p5501", "-t", &format!("-T{seconds}"), "-fparse"])
                .args(self.options)
                .arg(&server),
        };
        command
    }

    /// Both commands, as a person would type them.
    pub(super) fn told(&self, server: SocketAddr, for_s: u32) -> String {
        let (listening, sending) = (self.server().0, self.client(server.ip(), for_s));
        format!("{} / {}", super::child::told(&listening), super::child::told(&sending))
    }

    /// Whether its server ends by itself after one client.
    pub(super) fn server_ends(&self) -> bool {
        self.peer != Peer::Iperf2
    }

    /// What its receiver counted, from what client and server printed.
    pub(super) fn received(&self, client: &str, server: &str) -> Result<Received, BenchError> {
        match self.peer {
            Peer::Iperf3 => iperf3(client, self.udp()),
            Peer::Iperf2 => iperf2(server),
            Peer::Nuttcp => nuttcp(client),
        }
    }
}

/// How long a peer may take beyond its transfer: handshakes, results, a busy machine.
pub(super) const REST: Duration = Duration::from_secs(10);

fn missing(program: &'static str, what: &str, text: &str) -> BenchError {
    let output = text.chars().take(300).collect();
    BenchError::Output { program, missing: what.to_owned(), output }
}

/// `iperf3 -J`: the receiver's sum, and of UDP what it missed.
pub(super) fn iperf3(text: &str, udp: bool) -> Result<Received, BenchError> {
    let json: serde_json::Value =
        serde_json::from_str(text).map_err(|error| missing("iperf3", &format!("JSON ({error})"), text))?;
    let sum = &json["end"]["sum_received"];
    let bytes = sum["bytes"].as_u64().ok_or_else(|| missing("iperf3", "end.sum_received.bytes", text))?;
    let for_s = sum["seconds"].as_f64().ok_or_else(|| missing("iperf3", "end.sum_received.seconds", text))?;
    let count = |name: &str| sum[name].as_u64().ok_or_else(|| missing("iperf3", name, text));
    let datagrams = if udp {
        let (packets, lost) = (count("packets")?, count("lost_packets")?);
        Some((packets.saturating_sub(lost), lost))
    } else {
        None
    };
    Ok(Received { bytes, for_s, datagrams })
}

/// `iperf -s -y C` of one connection: date, both ends, number, interval, bytes, bits/s, and of
/// UDP delay variation, lost, all, share, out of order.
pub(super) fn iperf2(text: &str) -> Result<Received, BenchError> {
    let line = text.lines().rfind(|line| !line.trim().is_empty()).unwrap_or_default();
    let fields: Vec<&str> = line.trim().split(',').collect();
    let field = |at: usize, name: &str| fields.get(at).copied().ok_or_else(|| missing("iperf", name, text));
    let number = |at: usize, name: &str| -> Result<u64, BenchError> {
        field(at, name)?.parse().map_err(|_| missing("iperf", name, text))
    };
    let bytes = number(7, "bytes")?;
    // The interval is rounded to tenths; bytes and rate give it exactly.
    let rate_bps = number(8, "rate")?;
    let datagrams = if fields.len() > 9 {
        let (lost, all) = (number(10, "lost datagrams")?, number(11, "datagrams")?);
        Some((all.saturating_sub(lost), lost))
    } else {
        None
    };
    if rate_bps == 0 {
        return Err(missing("iperf", "rate", text));
    }
    Ok(Received { bytes, for_s: bytes as f64 * 8.0 / rate_bps as f64, datagrams })
}

/// `nuttcp -fparse`: `megabytes=1737.4375 real_seconds=1.00 rate_Mbps=14582.9652 …`.
pub(super) fn nuttcp(text: &str) -> Result<Received, BenchError> {
    let number = |name: &str| -> Result<f64, BenchError> {
        let word = text.split_whitespace().find_map(|word| word.strip_prefix(name)?.strip_prefix('='));
        let value: Option<f64> = word.and_then(|word| word.parse().ok());
        value.filter(|value| value.is_finite() && *value >= 0.0).ok_or_else(|| missing("nuttcp", name, text))
    };
    let (megabytes, rate_mbps) = (number("megabytes")?, number("rate_Mbps")?);
    if rate_mbps == 0.0 {
        return Err(missing("nuttcp", "rate_Mbps", text));
    }
    // Its megabytes are of 2^20 bytes, its rates of 10^6 bits; its seconds are rounded.
    let bytes = megabytes * 1_048_576.0;
    Ok(Received { bytes: bytes as u64, for_s: bytes * 8.0 / (rate_mbps * 1e6), datagrams: None })
}

#[cfg(test)]
mod tests;
