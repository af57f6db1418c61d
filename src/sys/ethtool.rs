//! What the driver of an interface says of itself, by the classic ioctl.

use std::{io, mem, os::fd::AsRawFd as _};

const SIOCETHTOOL: libc::c_ulong = 0x8946;
const ETHTOOL_GSET: u32 = 0x1;
const ETHTOOL_GDRVINFO: u32 = 0x3;

/// `struct ethtool_drvinfo`.
#[repr(C)]
struct DriverInfo {
    cmd: u32,
    driver: [u8; 32],
    version: [u8; 32],
    firmware: [u8; 32],
    bus: [u8; 32],
    rest: [u8; 64],
}

/// `struct ethtool_cmd`, as far as speed is concerned.
#[repr(C)]
struct Settings {
    cmd: u32,
    supported: u32,
    advertising: u32,
    speed: u16,
    duplex_port: [u8; 6],
    maxtxpkt: u32,
    maxrxpkt: u32,
    speed_hi: u16,
    rest: [u8; 14],
}

/// The name of an interface's driver.
pub fn driver(iface: &str) -> io::Result<String> {
    let mut info = DriverInfo {
        cmd: ETHTOOL_GDRVINFO,
        driver: [0; 32],
        version: [0; 32],
        firmware: [0; 32],
        bus: [0; 32],
        rest: [0; 64],
    };
    call(iface, &mut info)?;
    let end = info.driver.iter().position(|byte| *byte == 0).unwrap_or(32);
    Ok(info.driver[..end].iter().map(|byte| char::from(*byte)).filter(char::is_ascii_graphic).collect())
}

/// The declared speed in bits per second; `None` where the driver says that it does not know.
pub fn speed_bps(iface: &str) -> io::Result<Option<u64>> {
    let mut settings = Settings {
        cmd: ETHTOOL_GSET,
        supported: 0,
        advertising: 0,
        speed: 0,
        duplex_port: [0; 6],
        maxtxpkt: 0,
        maxrxpkt: 0,
        speed_hi: 0,
        rest: [0; 14],
    };
    call(iface, &mut settings)?;
    let mbps = u32::from(settings.speed) | u32::from(settings.speed_hi) << 16;
    Ok((mbps != 0 && mbps != u32::MAX && mbps != 0xffff).then(|| u64::from(mbps) * 1_000_000))
}

fn call<T>(iface: &str, data: &mut T) -> io::Result<()> {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::DGRAM, None)?;
    // SAFETY: all-zero bytes are a valid ifreq.
    let mut request: libc::ifreq = unsafe { mem::zeroed() };
    if iface.len() >= request.ifr_name.len() {
        return Err(io::Error::other(format!("interface name {iface} is too long")));
    }
    for (to, from) in request.ifr_name.iter_mut().zip(iface.bytes()) {
        *to = from as libc::c_char;
    }
    request.ifr_ifru.ifru_data = std::ptr::from_mut(data).cast();
    // SAFETY: `request` and the structure it points to outlive the call, and the structure is
    // the one that its command asks for.
    let done = unsafe { libc::ioctl(socket.as_raw_fd(), SIOCETHTOOL, &raw mut request) };
    if done == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
