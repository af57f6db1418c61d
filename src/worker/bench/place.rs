//! Where is measured: two namespaces joined by a cable of the kernel's, and one with loopback.
//!
//! Held by descriptors of this process alone: nothing is left however it ends.

use std::{
    net::{IpAddr, Ipv4Addr},
    os::fd::AsRawFd as _,
};

use serde::{Deserialize, Serialize};

use super::{child::run, error::BenchError};
use crate::sys::namespace::{NetNs, enter_user_namespace};

/// Congestion controls in the order of choice, the same for every tool: a default of BBR
/// paces, and costs all of them two thirds of their throughput.
const CONGESTION_CONTROLS: [&str; 2] = ["cubic", "reno"];

/// Where the setting lies; the calling thread's namespace decides whose it is.
const SETTING: &str = "/proc/sys/net/ipv4/tcp_congestion_control";

/// Over what is measured.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Path {
    /// Two namespaces joined by veth, MTU 1500, offloads as the kernel sets them.
    Veth,
    /// One namespace's loopback.
    Loopback,
}

impl Path {
    /// Its name in results.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Veth => "veth",
            Self::Loopback => "loopback",
        }
    }
}

/// One end of a path.
pub(super) struct End<'a> {
    pub ns: &'a NetNs,
    pub addr: IpAddr,
    pub iface: &'static str,
}

/// The namespaces.
pub(super) struct Place {
    source: NetNs,
    sink: NetNs,
    loopback: NetNs,
    /// Set in all of them.
    pub congestion_control: String,
}

/// The first step of a process that measures: without root it becomes root of a namespace of
/// its own. Must be called while the process has one thread.
pub(super) fn prepare() -> Result<(), BenchError> {
    if rustix::process::geteuid().is_root() {
        return Ok(());
    }
    Ok(enter_user_namespace()?)
}

impl Place {
    /// Makes them, and the links in them.
    pub(super) fn new() -> Result<Self, BenchError> {
        let (source, sink, loopback) = (NetNs::create()?, NetNs::create()?, NetNs::create()?);
        let own = std::process::id();
        let batch = format!(
            "link add eth0 mtu 1500 type veth peer name eth0 mtu 1500 netns /proc/{own}/fd/{}\n\
             addr add 10.201.1.1/24 dev eth0\nlink set eth0 up\nlink set lo up\n",
            sink.as_raw_fd()
        );
        run(&source, "ip", &["-batch", "-"], &batch)?;
        run(
            &sink,
            "ip",
            &["-batch", "-"],
            "addr add 10.201.1.2/24 dev eth0\nlink set eth0 up\nlink set lo up\n",
        )?;
        run(&loopback, "ip", &["-batch", "-"], "link set lo up\n")?;
        let congestion_control = choose(&[&source, &sink, &loopback])?;
        Ok(Self { source, sink, loopback, congestion_control })
    }

    /// The source's and the sink's end of a path.
    pub(super) fn ends(&self, path: Path) -> (End<'_>, End<'_>) {
        let end = |ns, last, iface| End { ns, addr: IpAddr::from(Ipv4Addr::new(10, 201, 1, last)), iface };
        let local = || End { ns: &self.loopback, addr: IpAddr::from(Ipv4Addr::LOCALHOST), iface: "lo" };
        match path {
            Path::Veth => (end(&self.source, 1, "eth0"), end(&self.sink, 2, "eth0")),
            Path::Loopback => (local(), local()),
        }
    }

    /// Takes the sink's end of the cable down, or up again.
    pub(super) fn set_cable(&self, up: bool) -> Result<(), BenchError> {
        run(&self.sink, "ip", &["link", "set", "eth0", if up { "up" } else { "down" }], "").map(drop)
    }
}

/// Sets the first congestion control that all of `spaces` permit.
fn choose(spaces: &[&NetNs]) -> Result<String, BenchError> {
    for name in CONGESTION_CONTROLS {
        let set = |ns: &&NetNs| within(ns, || std::fs::write(SETTING, name));
        if spaces.iter().all(|ns| set(ns).is_ok()) {
            return Ok(name.to_owned());
        }
    }
    Err(BenchError::End(format!(
        "these namespaces permit neither cubic nor reno ({SETTING}); load one: modprobe tcp_cubic"
    )))
}

/// Runs `act` on a thread inside `ns`.
fn within(ns: &NetNs, act: impl FnOnce() -> std::io::Result<()> + Send) -> std::io::Result<()> {
    std::thread::scope(|scope| {
        let thread = scope.spawn(|| ns.enter().and_then(|()| act()));
        thread.join().unwrap_or_else(|_| Err(std::io::Error::other("the thread panicked")))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ends_reach_each_other_and_the_cable_can_be_pulled() {
        let place = Place::new().expect("these tests need root, and ip");
        let listed = |ns: &NetNs| run(ns, "ip", &["-o", "link", "show", "eth0"], "").expect("eth0 is there");
        assert!(listed(&place.source).contains("mtu 1500"), "{}", listed(&place.source));
        assert!(listed(&place.source).contains("LOWER_UP"), "{}", listed(&place.source));
        place.set_cable(false).expect("down");
        assert!(listed(&place.source).contains("NO-CARRIER"), "{}", listed(&place.source));
        place.set_cable(true).expect("up");
        assert!(CONGESTION_CONTROLS.contains(&place.congestion_control.as_str()));
    }
}
