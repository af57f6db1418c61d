//! Builds the namespaces and links of a lab, and keeps them.
//!
//! The calling process's own network namespace becomes the switch; every host and the
//! coordinator get one of their own. Faults on the links are `fault`'s.

use std::{
    fs,
    net::IpAddr,
    os::fd::{AsRawFd, RawFd},
    path::Path,
    thread,
};

use super::{
    LabError,
    fault::steps::At,
    spec::LabSpec,
    tool::{self, Tool},
};
use crate::sys::{namespace::NetNs, offload};

use link::data_mac;

pub(crate) mod link;

/// Where the holder keeps its namespaces: the coordinator's at this descriptor, that of
/// host K at this plus K. Fixed numbers, above what a program has open otherwise, let
/// others enter knowing only the holder's process id.
pub const NAMESPACE_FD_BASE: RawFd = 200;

/// A built fleet. Dropping it, or dying, takes it down.
#[derive(Debug)]
pub(crate) struct Fleet {
    /// The switch: the namespace of this process.
    pub(crate) switch: NetNs,
    coordinator: NetNs,
    hosts: Vec<NetNs>,
    addrs: Vec<IpAddr>,
}

impl Fleet {
    /// Builds what `spec` asks, with this process's network namespace as the switch.
    ///
    /// The namespace must be empty and this process's own: see `sys::namespace::isolate`.
    pub(crate) fn build(spec: &LabSpec) -> Result<Self, LabError> {
        tool::check_installed()?;
        let switch = NetNs::current().map_err(LabError::io("opening the lab's own network namespace"))?;
        let coordinator = NetNs::create_at(NAMESPACE_FD_BASE)?;
        let hosts = (1..=spec.hosts).map(|host| NetNs::create_at(NAMESPACE_FD_BASE + RawFd::from(host)));
        let hosts = hosts.collect::<Result<Vec<_>, _>>()?;
        let addrs = (1..=spec.hosts).map(|host| spec.host_addr(host)).collect();
        let fleet = Self { switch, coordinator, hosts, addrs };

        let pid = std::process::id();
        let path = |ns: &NetNs| format!("/proc/{pid}/fd/{}", ns.as_raw_fd());
        let paths: Vec<String> = fleet.hosts.iter().map(path).collect();
        let links = link::switch_links(spec, &paths, &path(&fleet.coordinator));
        Tool::Ip.run(&fleet.switch, &links)?;
        Tool::Tc.run(&fleet.switch, &link::switch_rates(spec))?;
        Tool::Ip.run(&fleet.coordinator, &link::coordinator_links(spec))?;
        for (host, ns) in (1..).zip(&fleet.hosts) {
            offload::switch(&link::port(host), false)?;
            inside(ns, || offload::switch("eth0", false))?;
            Tool::Ip.run(ns, &link::host_links(spec, host))?;
            Tool::Tc.run(ns, &link::host_rates(spec))?;
        }
        Ok(fleet)
    }

    /// The namespace of host number `host`, from 1.
    pub(crate) fn host(&self, host: u16) -> Result<&NetNs, LabError> {
        let found = usize::from(host).checked_sub(1).and_then(|index| self.hosts.get(index));
        let last = self.hosts.len() as u16;
        found.ok_or_else(|| LabError::NoSuchHost { host: super::spec::host_name(host), last })
    }

    /// The address of host number `host` on the network under test.
    pub(crate) fn addr(&self, host: u16) -> IpAddr {
        self.addrs[usize::from(host) - 1]
    }

    /// The namespaces that are meant.
    pub(crate) fn at(&self, at: At) -> Result<Vec<&NetNs>, LabError> {
        match at {
            At::Switch => Ok(vec![&self.switch]),
            At::Host(host) => Ok(vec![self.host(host)?]),
            At::Others(host) => {
                self.host(host)?;
                let others = (1..).zip(&self.hosts).filter(|(number, _)| *number != host);
                Ok(others.map(|(_, ns)| ns).collect())
            }
        }
    }

    /// Lets a host tell its link which hardware address its addresses have: gratuitous ARP, and
    /// unsolicited neighbour advertisements.
    pub(crate) fn announce(&self, host: u16) -> Result<(), LabError> {
        let ns = self.host(host)?;
        inside(ns, || {
            ["ipv4/conf/eth0/arp_notify", "ipv6/conf/eth0/ndisc_notify"].into_iter().try_for_each(|name| {
                let path = format!("/proc/sys/net/{name}");
                // Without IPv6 there is nothing of it to tell.
                if !Path::new(&path).exists() {
                    return Ok(());
                }
                fs::write(&path, "1").map_err(LabError::io(format!("writing {path}")))
            })
        })?;
        // Of an address that was set, its kernel tells; that it is the old one, it does not mind.
        Tool::Ip.run(ns, &format!("link set dev eth0 address {}\n", data_mac(host)))
    }

    /// Switches segmentation offloads of a host's interface.
    pub(crate) fn offloads(&self, host: u16, on: bool) -> Result<(), LabError> {
        inside(self.host(host)?, || offload::switch("eth0", on))
    }
}

/// Runs `task` on a thread that is inside `ns`.
pub(crate) fn inside<T: Send, E: Send + Into<LabError>>(
    ns: &NetNs,
    task: impl FnOnce() -> Result<T, E> + Send,
) -> Result<T, LabError> {
    thread::scope(|scope| {
        let thread = scope.spawn(|| {
            ns.enter().map_err(LabError::io("entering a host's network namespace"))?;
            task().map_err(Into::into)
        });
        thread.join().expect("the task does not panic")
    })
}
