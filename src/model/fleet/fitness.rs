//! Whether a host is fit to run a worker or a coordinator, judged from values that were read.
//!
//! Each check is a small function of one value with its limit, the limit's reason, and the
//! way to change it. Reading the values is the command line's work.

use schemars::JsonSchema;
use serde::Serialize;

/// A value, or why it could not be read.
pub type Reading<T> = Result<T, String>;

/// What was read of a host.
#[derive(Clone, Debug)]
pub struct Readings {
    /// `uname -r`.
    pub kernel: Reading<String>,
    /// Open files: as set, and as far as it can be raised.
    pub open_files: Reading<(u64, u64)>,
    /// Memory that may be locked, bytes; `None` without limit.
    pub locked_bytes: Reading<Option<u64>>,
    /// `net.core.rmem_max`, bytes.
    pub rmem_max: Reading<u64>,
    /// `net.core.wmem_max`, bytes.
    pub wmem_max: Reading<u64>,
    /// Why a user namespace cannot be made; `None` where nothing forbids it.
    pub user_namespaces: Reading<Option<String>>,
    /// Whether this process is root.
    pub root: bool,
    /// Programs that are looked for, and whether they were found.
    pub tools: Vec<(&'static str, bool)>,
    /// Whether the kernel takes the clock for synchronised.
    pub clock_synchronised: Reading<bool>,
    /// Free bytes where results go.
    pub disk_free_bytes: Reading<u64>,
    /// The mask of effective capabilities.
    pub capabilities: Reading<u64>,
    /// `kernel.dmesg_restrict`.
    pub dmesg_restrict: Reading<bool>,
    /// Congestion controls that this process may choose.
    pub congestion_controls: Reading<Vec<String>>,
    /// `net.core.default_qdisc`.
    pub default_qdisc: Reading<String>,
    /// Of the CPU quota: periods in which it was held up, and periods; `None` without quota.
    pub throttled: Reading<Option<(u64, u64)>>,
    /// Ports that were tried, and why they cannot be had.
    pub ports: Vec<(String, Result<(), String>)>,
}

/// How a check came out.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Level {
    /// As it should be.
    Ok,
    /// It works with less.
    Warn,
    /// It does not work.
    Bad,
}

/// One line of the doctor's.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, JsonSchema)]
pub struct Check {
    /// What was looked at.
    pub name: String,
    /// How it came out.
    pub level: Level,
    /// What it is.
    pub value: String,
    /// What it should be.
    pub limit: String,
    /// What to do; empty where nothing is to be done.
    pub remedy: String,
}

/// Without UDP segmentation offload (4.18) the data plane's datagrams do not work.
const KERNEL_MIN: (u32, u32) = (4, 18);

/// Generic receive offload for UDP is of 5.0: before, receivers are busier.
const KERNEL_GOOD: (u32, u32) = (5, 0);

/// A stream is a file at either end: the smallest storms need some hundreds.
const FILES_MIN: u64 = 1024;

/// 64 hosts with 16 streams each way, and their listeners.
const FILES_GOOD: u64 = 4096;

/// What zero-copy senders of one core pin at once.
const LOCKED_GOOD: u64 = 8 << 20;

/// 2 ms at 10 Gb/s: how long a UDP socket's reader may be away. TCP sizes its buffers itself.
const SOCKET_BUFFER_GOOD: u64 = 2_500_000;

/// The opening of a record and the reports of a small run.
const DISK_MIN: u64 = 64 << 20;

/// A record is compressed above 256 MB; a long run has that and its reports.
const DISK_GOOD: u64 = 1 << 30;

/// Held up in more than one period of a hundred, a sender is not at the card's limit.
const THROTTLED_GOOD: f64 = 0.01;

const CAP_NET_ADMIN: u64 = 1 << 12;
const CAP_SYSLOG: u64 = 1 << 34;

/// Judges all of it, in the order in which it is shown.
pub fn checks(readings: &Readings) -> Vec<Check> {
    let mut checks = vec![
        kernel(&readings.kernel),
        files(&readings.open_files),
        locked(&readings.locked_bytes),
        buffer("rmem_max", "net.core.rmem_max", &readings.rmem_max),
        buffer("wmem_max", "net.core.wmem_max", &readings.wmem_max),
        congestion(&readings.congestion_controls),
        pacing(&readings.default_qdisc),
        throttling(&readings.throttled),
        namespaces(readings),
    ];
    checks.extend(readings.tools.iter().map(|(name, found)| tool(name, *found)));
    checks.extend([
        clock(&readings.clock_synchronised),
        disk(&readings.disk_free_bytes),
        net_admin(&readings.capabilities),
        kernel_log(readings),
    ]);
    checks.extend(readings.ports.iter().map(|(name, free)| port(name, free)));
    checks
}

/// Whether nothing is bad.
pub fn is_fit(checks: &[Check]) -> bool {
    checks.iter().all(|check| check.level != Level::Bad)
}

fn check(
    name: &str,
    level: Level,
    value: impl Into<String>,
    limit: impl Into<String>,
    remedy: &str,
) -> Check {
    let remedy = if level == Level::Ok { "" } else { remedy };
    Check {
        name: name.to_owned(),
        level,
        value: value.into(),
        limit: limit.into(),
        remedy: remedy.to_owned(),
    }
}

/// What cannot be read is neither good nor bad: a warning with the reason.
fn unread(name: &str, why: &str, limit: &str) -> Check {
    check(name, Level::Warn, format!("not read: {why}"), limit, "look at it by hand")
}

fn level(good: bool, enough: bool) -> Level {
    match (good, enough) {
        (true, _) => Level::Ok,
        (false, true) => Level::Warn,
        (false, false) => Level::Bad,
    }
}

fn kernel(release: &Reading<String>) -> Check {
    let (name, limit) = ("kernel", "4.18 or later, better 5.0");
    let release = match release {
        Ok(release) => release,
        Err(why) => return unread(name, why, limit),
    };
    let mut numbers = release.split(|c: char| !c.is_ascii_digit()).map(str::parse::<u32>);
    let (Some(Ok(major)), Some(Ok(minor))) = (numbers.next(), numbers.next()) else {
        return unread(name, &format!("`{release}` is no release"), limit);
    };
    let level = level((major, minor) >= KERNEL_GOOD, (major, minor) >= KERNEL_MIN);
    check(name, level, release, limit, "run a newer kernel")
}

fn files(files: &Reading<(u64, u64)>) -> Check {
    let (name, limit) = ("open files", "1024 at least, better 4096");
    match files {
        Err(why) => unread(name, why, limit),
        Ok((now, most)) => {
            let value = format!("{}, can be raised to {}", many(*now), many(*most));
            let remedy = "ulimit -Hn 65536, or LimitNOFILE=65536 in the service's unit";
            check(name, level(*most >= FILES_GOOD, *most >= FILES_MIN), value, limit, remedy)
        }
    }
}

/// A count for people; the kernel's "unlimited" is the largest number.
fn many(count: u64) -> String {
    if count == u64::MAX { "unlimited".to_owned() } else { count.to_string() }
}

fn locked(bytes: &Reading<Option<u64>>) -> Check {
    let (name, limit) = ("locked memory", "8 MiB or more");
    match bytes {
        Err(why) => unread(name, why, limit),
        Ok(None) => check(name, Level::Ok, "unlimited", limit, ""),
        Ok(Some(bytes)) => {
            let remedy = "ulimit -l 65536, or LimitMEMLOCK=64M in the service's unit";
            check(name, level(*bytes >= LOCKED_GOOD, true), format!("{bytes} bytes"), limit, remedy)
        }
    }
}

fn buffer(name: &str, key: &str, bytes: &Reading<u64>) -> Check {
    let limit = format!("{SOCKET_BUFFER_GOOD} bytes or more, for UDP");
    match bytes {
        Err(why) => unread(name, why, &limit),
        Ok(bytes) => {
            let remedy = format!("sysctl -w {key}={}", 3 * SOCKET_BUFFER_GOOD);
            check(name, level(*bytes >= SOCKET_BUFFER_GOOD, true), format!("{bytes} bytes"), limit, &remedy)
        }
    }
}

/// The same preference as the data plane's: cubic where it is permitted, else reno.
fn congestion(allowed: &Reading<Vec<String>>) -> Check {
    let (name, limit) = ("congestion control", "cubic, or reno");
    match allowed {
        Err(why) => unread(name, why, limit),
        Ok(allowed) => {
            let has = |name: &str| allowed.iter().any(|allowed| allowed == name);
            let remedy = "sysctl -w net.ipv4.tcp_allowed_congestion_control='reno cubic'";
            check(name, level(has("cubic"), has("reno")), allowed.join(" "), limit, remedy)
        }
    }
}

fn pacing(qdisc: &Reading<String>) -> Check {
    let (name, limit) = ("pacing", "fq, or the sockets' own timers");
    match qdisc {
        Err(why) => unread(name, why, limit),
        // Since 4.13 TCP paces itself where no fq does it; it costs a timer a socket.
        Ok(qdisc) if qdisc == "fq" => check(name, Level::Ok, "fq", limit, ""),
        Ok(qdisc) => check(name, Level::Ok, format!("{qdisc}; sockets pace themselves"), limit, ""),
    }
}

fn throttling(throttled: &Reading<Option<(u64, u64)>>) -> Check {
    let (name, limit) = ("CPU quota", "none, or never reached");
    match throttled {
        Err(why) => unread(name, why, limit),
        Ok(None) => check(name, Level::Ok, "none", limit, ""),
        Ok(Some((held, periods))) => {
            let share = *held as f64 / (*periods).max(1) as f64;
            let value = format!("held up in {held} of {periods} periods");
            let remedy = "give this group more CPU (cpu.max), or run outside of it";
            check(name, level(share <= THROTTLED_GOOD, true), value, limit, remedy)
        }
    }
}

fn namespaces(readings: &Readings) -> Check {
    let (name, limit) = ("user namespaces", "allowed, or root; for a lab only");
    match &readings.user_namespaces {
        _ if readings.root => check(name, Level::Ok, "not needed by root", limit, ""),
        Err(why) => unread(name, why, limit),
        Ok(None) => check(name, Level::Ok, "allowed", limit, ""),
        Ok(Some(why)) => check(name, Level::Warn, why, limit, "run the lab with sudo, or allow them"),
    }
}

fn tool(name: &'static str, found: bool) -> Check {
    let (what_for, package) = match name {
        "ip" | "tc" => ("for a lab", "iproute2"),
        "nft" => ("for a lab", "nftables"),
        "sshd" => ("for transfers by scp to this host", "openssh-server"),
        _ => ("for transfers by scp, and fleets over ssh", "openssh-client"),
    };
    let value = if found { "found" } else { "missing" };
    let remedy = format!("apt-get install {package} (or your distribution's package of it)");
    check(name, level(found, true), value, format!("needed {what_for}"), &remedy)
}

fn clock(synchronised: &Reading<bool>) -> Check {
    let (name, limit) = ("clock", "synchronised: logs of hosts can then be compared");
    match synchronised {
        Err(why) => unread(name, why, limit),
        Ok(true) => check(name, Level::Ok, "synchronised", limit, ""),
        Ok(false) => check(name, Level::Warn, "not synchronised", limit, "start chrony or systemd-timesyncd"),
    }
}

fn disk(free: &Reading<u64>) -> Check {
    let (name, limit) = ("disk", "64 MiB at least, better 1 GiB");
    match free {
        Err(why) => unread(name, why, limit),
        Ok(free) => {
            let value = format!("{} MiB free", free >> 20);
            let remedy = "free some, or give another folder with --out";
            check(name, level(*free >= DISK_GOOD, *free >= DISK_MIN), value, limit, remedy)
        }
    }
}

fn net_admin(mask: &Reading<u64>) -> Check {
    let (name, limit) = ("CAP_NET_ADMIN", "for some facts of the card, such as its optics");
    match mask {
        Err(why) => unread(name, why, limit),
        Ok(mask) => {
            let has = mask & CAP_NET_ADMIN != 0;
            let value = if has { "held" } else { "not held" };
            check(
                name,
                level(has, true),
                value,
                limit,
                "setcap cap_net_admin+ep nicburn-worker, or run as root",
            )
        }
    }
}

fn kernel_log(readings: &Readings) -> Check {
    let (name, limit) = ("kernel log", "readable: it names the driver's own errors");
    match (&readings.capabilities, &readings.dmesg_restrict) {
        (Ok(mask), _) if mask & CAP_SYSLOG != 0 => check(name, Level::Ok, "readable", limit, ""),
        (_, Ok(false)) => check(name, Level::Ok, "readable by all", limit, ""),
        (Err(why), _) | (_, Err(why)) => unread(name, why, limit),
        (Ok(_), Ok(true)) => {
            let remedy = "sysctl -w kernel.dmesg_restrict=0, or setcap cap_syslog+ep nicburn-worker";
            check(name, Level::Warn, "restricted, and CAP_SYSLOG is not held", limit, remedy)
        }
    }
}

fn port(name: &str, free: &Result<(), String>) -> Check {
    let limit = "free";
    match free {
        Ok(()) => check(name, Level::Ok, "free", limit, ""),
        Err(why) => check(name, Level::Bad, why, limit, "stop what uses it, or choose another"),
    }
}

#[cfg(test)]
mod tests;
