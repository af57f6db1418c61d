//! Reads the values that the doctor judges, from this machine. Changes nothing.

use std::{
    fs,
    net::{SocketAddr, TcpListener, UdpSocket},
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

use rustix::process::{Resource, getrlimit, getuid};

use crate::{
    cli::args::DoctorArgs,
    model::fleet::fitness::{Reading, Readings},
    sys::clock,
};

/// Programs that a lab or a transfer by scp needs.
const TOOLS: &[&str] = &["ip", "tc", "nft", "ssh", "scp", "sshd"];

/// Where programs lie that an unprivileged user's PATH often lacks.
const SYSTEM_PATHS: &[&str] = &["/usr/sbin", "/sbin", "/usr/local/sbin"];

pub(super) fn all(args: &DoctorArgs) -> Readings {
    let files = getrlimit(Resource::Nofile);
    let locked = getrlimit(Resource::Memlock);
    Readings {
        kernel: Ok(rustix::system::uname().release().to_string_lossy().into_owned()),
        open_files: Ok((files.current.unwrap_or(u64::MAX), files.maximum.unwrap_or(u64::MAX))),
        locked_bytes: Ok(locked.maximum),
        rmem_max: number("/proc/sys/net/core/rmem_max"),
        wmem_max: number("/proc/sys/net/core/wmem_max"),
        user_namespaces: user_namespaces(),
        root: getuid().is_root(),
        tools: TOOLS.iter().map(|tool| (*tool, is_there(tool))).collect(),
        clock_synchronised: clock::is_synchronised().map_err(|error| error.to_string()),
        disk_free_bytes: disk_free_bytes(&args.out),
        capabilities: capabilities(),
        dmesg_restrict: number("/proc/sys/kernel/dmesg_restrict").map(|value| value != 0),
        congestion_controls: congestion_controls(),
        default_qdisc: text("/proc/sys/net/core/default_qdisc"),
        throttled: throttled(),
        ports: args.listen.map(ports).unwrap_or_default(),
    }
}

fn text(path: &str) -> Reading<String> {
    let text = fs::read_to_string(path).map_err(|error| format!("{path}: {error}"))?;
    Ok(text.trim().to_owned())
}

fn number(path: &str) -> Reading<u64> {
    let text = text(path)?;
    text.parse().map_err(|_| format!("{path}: `{text}` is no number"))
}

/// What in the system's settings forbids user namespaces, if anything does.
fn user_namespaces() -> Reading<Option<String>> {
    if number("/proc/sys/user/max_user_namespaces")? == 0 {
        return Ok(Some("user.max_user_namespaces is 0".to_owned()));
    }
    // Of some distributions only; where they are absent they forbid nothing.
    let forbidden = [
        ("/proc/sys/kernel/unprivileged_userns_clone", 0, "kernel.unprivileged_userns_clone is 0"),
        (
            "/proc/sys/kernel/apparmor_restrict_unprivileged_userns",
            1,
            "kernel.apparmor_restrict_unprivileged_userns is 1",
        ),
    ];
    let why = forbidden.iter().find(|(path, value, _)| number(path) == Ok(*value));
    Ok(why.map(|(.., why)| (*why).to_owned()))
}

fn is_there(tool: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).chain(SYSTEM_PATHS.iter().map(PathBuf::from));
    let runs = |path: PathBuf| {
        fs::metadata(path).is_ok_and(|it| it.is_file() && it.permissions().mode() & 0o111 != 0)
    };
    folders.map(|folder| folder.join(tool)).any(runs)
}

/// Of the folder, or of the nearest one above it that exists already.
fn disk_free_bytes(out: &Path) -> Reading<u64> {
    let out = std::path::absolute(out).map_err(|error| error.to_string())?;
    let there = out.ancestors().find(|folder| folder.is_dir()).ok_or("no folder above it exists")?;
    let stat = rustix::fs::statvfs(there).map_err(|error| format!("{}: {error}", there.display()))?;
    Ok(stat.f_bavail.saturating_mul(stat.f_frsize))
}

fn capabilities() -> Reading<u64> {
    let status = text("/proc/self/status")?;
    let mask = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
    let mask = mask.ok_or("/proc/self/status has no CapEff")?.trim();
    u64::from_str_radix(mask, 16).map_err(|_| format!("/proc/self/status: CapEff is `{mask}`"))
}

/// Root may choose any that is there, others only those that are allowed.
fn congestion_controls() -> Reading<Vec<String>> {
    let which = if getuid().is_root() { "available" } else { "allowed" };
    let names = text(&format!("/proc/sys/net/ipv4/tcp_{which}_congestion_control"))?;
    Ok(names.split_whitespace().map(str::to_owned).collect())
}

/// `cpu.stat` of this process's control group, second version first.
fn throttled() -> Reading<Option<(u64, u64)>> {
    let groups = text("/proc/self/cgroup")?;
    let of = |wanted: &str| {
        groups.lines().find_map(|line| {
            let mut parts = line.splitn(3, ':');
            let (_, controllers, path) = (parts.next()?, parts.next()?, parts.next()?);
            let fits = controllers.split(',').any(|name| name == wanted);
            fits.then(|| path.trim_start_matches('/').to_owned())
        })
    };
    let second = of("").map(|path| Path::new("/sys/fs/cgroup").join(path));
    let first = of("cpu").map(|path| Path::new("/sys/fs/cgroup/cpu").join(path));
    for folder in first.into_iter().chain(second) {
        let Ok(stat) = fs::read_to_string(folder.join("cpu.stat")) else { continue };
        let field = |name: &str| {
            let line = stat.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
            line.and_then(|value| value.trim().parse::<u64>().ok())
        };
        // Without the controller there are no periods: nothing holds it up.
        return Ok(field("nr_throttled").zip(field("nr_periods")).filter(|(_, periods)| *periods > 0));
    }
    Err("no cpu.stat of this process's control group".to_owned())
}

/// Whether the port can be bound, for control (UDP) and for data (TCP); it is let go at once.
fn ports(addr: SocketAddr) -> Vec<(String, Result<(), String>)> {
    let said = |error: std::io::Error| error.to_string();
    vec![
        (format!("{addr}/udp"), UdpSocket::bind(addr).map(drop).map_err(said)),
        (format!("{addr}/tcp"), TcpListener::bind(addr).map(drop).map_err(said)),
    ]
}
