//! Which card is under test: chosen, claimed against a second worker, and described.

use std::{
    io::{self, Read as _, Write as _},
    net::{IpAddr, SocketAddr, UdpSocket},
    os::{
        linux::net::SocketAddrExt as _,
        unix::net::{SocketAddr as UnixAddr, UnixListener, UnixStream},
    },
    time::Duration,
};

use crate::{
    model::{fleet::host::NicFacts, record::read},
    sys::{
        ethtool::Ethtool,
        link::{self, Address, LinkReader},
        route::RouteSocket,
    },
};

/// How long the holder of an interface may take to say whose run it is.
const HOLDER_ANSWERS: Duration = Duration::from_millis(500);

/// Why no card can be taken.
#[derive(Debug, thiserror::Error)]
pub enum NicError {
    /// The named interface or address is not here.
    #[error("no {what} is on this host; it has {has}: name one of them with --iface or --addr")]
    NotHere {
        /// What was asked for.
        what: String,
        /// What there is.
        has: String,
    },
    /// Several would do.
    #[error("several interfaces are up and could be meant, {has}: name one with --iface or --addr")]
    Several {
        /// Which.
        has: String,
    },
    /// Another worker has it.
    #[error("another worker already tests {iface}: {holder}; stop it, or name another card with --iface")]
    Taken {
        /// Which.
        iface: String,
        /// Whose run, since when.
        holder: String,
    },
    /// The system did not answer.
    #[error("cannot look at this host's interfaces")]
    System(#[from] io::Error),
}

/// Chooses the card: by name, by address, else that of the route to the coordinator where
/// no other is up.
///
/// # Errors
///
/// If nothing fits, or several do.
pub fn choose(
    iface: Option<&str>,
    addr: Option<IpAddr>,
    coordinator: SocketAddr,
) -> Result<Address, NicError> {
    let all = link::addresses()?;
    let has = || {
        let mut names: Vec<String> = all.iter().map(|a| format!("{} ({})", a.iface, a.addr)).collect();
        names.dedup();
        names.join(", ")
    };
    let usable =
        |address: &&Address| !is_link_local(address.addr) && address.addr.is_ipv4() == coordinator.is_ipv4();
    if iface.is_some() || addr.is_some() {
        let fits =
            |a: &&Address| iface.is_none_or(|name| a.iface == name) && addr.is_none_or(|addr| a.addr == addr);
        let first = all.iter().filter(fits).find(|a| addr.is_some() || usable(a)).cloned();
        let what = match (iface, addr) {
            (Some(iface), Some(addr)) => format!("interface {iface} with address {addr}"),
            (Some(iface), None) => format!("interface {iface} with an address of the coordinator's kind"),
            (None, Some(addr)) => format!("address {addr}"),
            (None, None) => String::new(),
        };
        return first.ok_or_else(|| NicError::NotHere { what, has: has() });
    }
    let routed = route_to(coordinator)?;
    let own = all.iter().find(|address| address.addr == routed).cloned();
    let others: Vec<&Address> = all
        .iter()
        .filter(|a| a.running && !a.loopback && usable(a))
        .filter(|a| own.as_ref().is_none_or(|own| own.iface != a.iface))
        .collect();
    match own {
        Some(own) if others.is_empty() || own.loopback => Ok(own),
        Some(_) => Err(NicError::Several { has: has() }),
        None => Err(NicError::NotHere {
            what: format!("interface with the address {routed} of the route"),
            has: has(),
        }),
    }
}

fn is_link_local(addr: IpAddr) -> bool {
    match addr {
        IpAddr::V4(v4) => v4.is_link_local(),
        IpAddr::V6(v6) => v6.is_unicast_link_local(),
    }
}

/// Whether what goes to the coordinator leaves by the address of the card under test; `None` where no
/// route tells.
pub fn carries_control(card: IpAddr, coordinator: SocketAddr) -> Option<bool> {
    let own = route_to(coordinator).ok()?;
    // To itself a host sends without any card.
    Some(own == card && own != coordinator.ip())
}

/// The address that packets to the coordinator leave from; nothing is sent.
fn route_to(coordinator: SocketAddr) -> io::Result<IpAddr> {
    let any: SocketAddr =
        if coordinator.is_ipv4() { ([0, 0, 0, 0], 0).into() } else { ([0u16; 8], 0).into() };
    let socket = UdpSocket::bind(any)?;
    socket.connect(coordinator)?;
    Ok(socket.local_addr()?.ip())
}

/// What is known of the card before any load.
pub fn describe(address: &Address) -> NicFacts {
    let driver = Ethtool::open(&address.iface).ok();
    let mtu = LinkReader::new(address.index).and_then(|reader| reader.read()).ok().map(|link| link.mtu);
    NicFacts {
        iface: address.iface.clone(),
        addr: Some(address.addr),
        driver: driver
            .as_ref()
            .and_then(|driver| read::ethtool::drvinfo(&driver.drvinfo().ok()?).ok())
            .map(|info| info.name),
        speed_bps: driver.and_then(|driver| {
            read::link_modes::link_settings(&driver.link_settings().ok()?).ok()?.speed_bps
        }),
        mtu,
        lower: lower_devices(address.index),
    }
}

/// The lower devices of a bond, VLAN or bridge; by netlink, because sysfs may show another
/// network namespace's interface of this name. The host's facts say where that failed.
fn lower_devices(index: u32) -> Vec<String> {
    let dump = RouteSocket::open().and_then(|socket| socket.links()).unwrap_or_default();
    read::link::lower(&dump, index).unwrap_or_default()
}

/// Holds an interface against a second worker for as long as the process lives.
#[derive(Debug)]
pub struct Claim {
    _listener: std::thread::JoinHandle<()>,
}

/// Claims an interface in this namespace: an abstract socket, which the kernel gives to one
/// process alone and takes back when that dies. It tells callers `whose` run it is.
///
/// # Errors
///
/// If another worker holds it; says what that one tells.
pub fn claim(iface: &str, whose: String) -> Result<Claim, NicError> {
    let addr = UnixAddr::from_abstract_name(format!("nicburn/{iface}"))?;
    let listener = match UnixListener::bind_addr(&addr) {
        Ok(listener) => listener,
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
            return Err(NicError::Taken { iface: iface.to_owned(), holder: ask(&addr) });
        }
        Err(error) => return Err(error.into()),
    };
    let answer = move || {
        for mut caller in listener.incoming().flatten() {
            let _ = caller.write_all(whose.as_bytes());
        }
    };
    let thread = std::thread::Builder::new().name("claim".to_owned()).spawn(answer)?;
    Ok(Claim { _listener: thread })
}

fn ask(addr: &UnixAddr) -> String {
    let mut said = String::new();
    if let Ok(caller) = UnixStream::connect_addr(addr)
        && caller.set_read_timeout(Some(HOLDER_ANSWERS)).is_ok()
        && let Err(error) = caller.take(200).read_to_string(&mut said)
    {
        return format!("it does not say whose run it is ({error})");
    }
    said.chars().filter(|c| !c.is_control()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_worker_on_an_interface_is_told_whose_it_is() {
        let iface = format!("test-{}", std::process::id());
        let _held = claim(&iface, "run quick-1 since noon".to_owned()).expect("the first one gets it");
        let error = claim(&iface, "another".to_owned()).expect_err("the second does not");
        assert!(error.to_string().contains("run quick-1 since noon"), "{error}");
    }

    #[test]
    fn an_interface_that_is_not_here_is_named_with_those_that_are() {
        let coordinator = "127.0.0.1:9".parse().expect("an address");
        let error = choose(Some("eth77"), None, coordinator).expect_err("no such card");
        assert!(
            error.to_string().contains("eth77") && error.to_string().contains("lo (127.0.0.1)"),
            "{error}"
        );
        assert_eq!(choose(Some("lo"), None, coordinator).expect("it is here").iface, "lo");
    }
}
