//! Switches an interface's segmentation and receive offloads, as `ethtool -K` does.
//!
//! Reading features and statistics is not here.

use std::{
    io,
    net::UdpSocket,
    os::fd::{AsRawFd, RawFd},
};

/// `SIOCETHTOOL` of linux/sockios.h.
const SIOCETHTOOL: libc::Ioctl = 0x8946;

/// Commands of linux/ethtool.h, with the name `ethtool -K` gives them.
const OFFLOADS: [(&str, u32); 3] = [("tso", 0x1f), ("gso", 0x24), ("gro", 0x2c)];

/// `struct ethtool_value`.
#[repr(C)]
struct EthtoolValue {
    command: u32,
    data: u32,
}

/// An offload could not be switched off.
#[derive(Debug, thiserror::Error)]
#[error("switching {offload} {} on {iface}", if *.on { "on" } else { "off" })]
pub struct OffloadError {
    offload: &'static str,
    on: bool,
    iface: String,
    #[source]
    source: io::Error,
}

/// Switches TSO, GSO and GRO of `iface`, of the calling thread's network namespace: while they
/// are off, what crosses the link is single frames of at most the MTU.
///
/// # Errors
///
/// If there is no such interface, or its driver refuses.
pub fn switch(iface: &str, on: bool) -> Result<(), OffloadError> {
    let error = |offload, source| OffloadError { offload, on, iface: iface.to_owned(), source };
    // Any socket names the namespace; this one is never bound to a port that matters.
    let socket = UdpSocket::bind("0.0.0.0:0").map_err(|source| error("offloads", source))?;
    for (offload, command) in OFFLOADS {
        set(socket.as_raw_fd(), iface, command, u32::from(on)).map_err(|source| error(offload, source))?;
    }
    Ok(())
}

fn set(socket: RawFd, iface: &str, command: u32, data: u32) -> io::Result<()> {
    let mut value = EthtoolValue { command, data };
    // SAFETY: `ifreq` is plain data for which all zeroes is a value.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    if iface.len() >= request.ifr_name.len() {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "the interface name is longer than 15 bytes",
        ));
    }
    for (to, from) in request.ifr_name.iter_mut().zip(iface.bytes()) {
        *to = from as libc::c_char;
    }
    request.ifr_ifru.ifru_data = (&raw mut value).cast();
    // SAFETY: `request` holds a terminated name and a pointer to an `ethtool_value`; both
    // outlive the call, and the kernel touches nothing else.
    let answer = unsafe { libc::ioctl(socket, SIOCETHTOOL, &raw mut request) };
    if answer == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_interface_that_is_not_there_is_named() {
        let error = switch("nosuchnic0", false).expect_err("no such interface");
        assert_eq!(error.to_string(), "switching tso off on nosuchnic0");
        assert!(switch("a-name-longer-than-fifteen", true).is_err());
    }
}
