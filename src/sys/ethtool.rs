//! Asks an interface's driver by the classic ethtool ioctl, and gives the answer's bytes.
//!
//! The socket belongs to the network namespace of the thread that opened it, and stays there.
//! What the answers say is `model::record::read`'s work; changing anything is `offload`'s.

use std::{
    io,
    os::fd::{AsRawFd as _, OwnedFd},
};

use crate::model::record::read::{
    bytes::u32_at,
    ethtool::{STRING_BYTES, set_size},
};

const SIOCETHTOOL: libc::Ioctl = 0x8946;

const ETHTOOL_GDRVINFO: u32 = 0x3;
const ETHTOOL_GCOALESCE: u32 = 0xe;
const ETHTOOL_GRINGPARAM: u32 = 0x10;
const ETHTOOL_GPAUSEPARAM: u32 = 0x12;
const ETHTOOL_GSTRINGS: u32 = 0x1b;
const ETHTOOL_GSTATS: u32 = 0x1d;
const ETHTOOL_GSSET_INFO: u32 = 0x37;
const ETHTOOL_GFEATURES: u32 = 0x3a;
const ETHTOOL_GCHANNELS: u32 = 0x3c;
const ETHTOOL_GLINKSETTINGS: u32 = 0x4c;

/// `struct ethtool_link_settings` without its bitmaps.
const LINK_SETTINGS_BYTES: usize = 48;

/// More strings than any driver has: an answer above this is a driver's mistake.
const STRINGS_MAX: u32 = 64 * 1024;

/// Drivers write as many strings and values as they have at that moment, whatever room they
/// were given; queues added between two calls must not be written past the end.
const STRINGS_SPARE: usize = 4096;

/// A set of strings.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum StringSet {
    /// Names of the driver's statistics (`ETH_SS_STATS`).
    Stats,
    /// Names of the kernel's offloads (`ETH_SS_FEATURES`).
    Features,
}

impl StringSet {
    const fn number(self) -> u32 {
        match self {
            Self::Stats => 1,
            Self::Features => 4,
        }
    }
}

/// An interface whose driver can be asked.
#[derive(Debug)]
pub struct Ethtool {
    socket: OwnedFd,
    name: [libc::c_char; libc::IFNAMSIZ],
}

impl Ethtool {
    /// For an interface of the calling thread's namespace.
    pub fn open(iface: &str) -> io::Result<Self> {
        let mut name = [0; libc::IFNAMSIZ];
        if iface.len() >= name.len() {
            return Err(io::Error::other(format!("interface name {iface} is longer than 15 bytes")));
        }
        for (to, from) in name.iter_mut().zip(iface.bytes()) {
            *to = from as libc::c_char;
        }
        let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::DGRAM, None)?;
        Ok(Self { socket: socket.into(), name })
    }

    /// `struct ethtool_drvinfo`.
    pub fn drvinfo(&self) -> io::Result<Vec<u8>> {
        self.ask(ETHTOOL_GDRVINFO, 196)
    }

    /// `struct ethtool_ringparam`.
    pub fn rings(&self) -> io::Result<Vec<u8>> {
        self.ask(ETHTOOL_GRINGPARAM, 36)
    }

    /// `struct ethtool_channels`.
    pub fn channels(&self) -> io::Result<Vec<u8>> {
        self.ask(ETHTOOL_GCHANNELS, 36)
    }

    /// `struct ethtool_coalesce`.
    pub fn coalesce(&self) -> io::Result<Vec<u8>> {
        self.ask(ETHTOOL_GCOALESCE, 92)
    }

    /// `struct ethtool_pauseparam`.
    pub fn pause(&self) -> io::Result<Vec<u8>> {
        self.ask(ETHTOOL_GPAUSEPARAM, 16)
    }

    /// `struct ethtool_link_settings` with its bitmaps: asked twice, because the kernel first
    /// says how many words it wants.
    pub fn link_settings(&self) -> io::Result<Vec<u8>> {
        let first = self.ask(ETHTOOL_GLINKSETTINGS, LINK_SETTINGS_BYTES)?;
        let words = first[15].cast_signed().unsigned_abs();
        let mut data = vec![0; LINK_SETTINGS_BYTES + 3 * 4 * usize::from(words)];
        data[15] = words;
        self.call(ETHTOOL_GLINKSETTINGS, data)
    }

    /// How many strings a set has.
    fn set_size(&self, set: StringSet) -> io::Result<u32> {
        let mut data = vec![0; 24];
        data[8..16].copy_from_slice(&(1_u64 << set.number()).to_ne_bytes());
        let size = set_size(&self.call(ETHTOOL_GSSET_INFO, data)?).map_err(io::Error::other)?;
        if size > STRINGS_MAX {
            return Err(io::Error::other(format!("the driver claims {size} strings, above {STRINGS_MAX}")));
        }
        Ok(size)
    }

    /// `struct ethtool_gstrings`. A driver without such a set is `EOPNOTSUPP`, as the kernel
    /// says it of other commands.
    pub fn strings(&self, set: StringSet) -> io::Result<Vec<u8>> {
        let count = self.set_size(set)?;
        if count == 0 {
            return Err(io::Error::from_raw_os_error(libc::EOPNOTSUPP));
        }
        let mut data = vec![0; 12 + (2 * count as usize + STRINGS_SPARE) * STRING_BYTES];
        data[4..8].copy_from_slice(&set.number().to_ne_bytes());
        data[8..12].copy_from_slice(&count.to_ne_bytes());
        let mut answer = self.call(ETHTOOL_GSTRINGS, data)?;
        let told = u32_at(&answer, 8).unwrap_or_default() as usize;
        answer.truncate(told.saturating_mul(STRING_BYTES).saturating_add(12));
        Ok(answer)
    }

    /// `struct ethtool_stats`, in the order of the strings.
    pub fn stats(&self) -> io::Result<Vec<u8>> {
        let count = self.set_size(StringSet::Stats)?;
        let mut data = vec![0; 8 + (2 * count as usize + STRINGS_SPARE) * 8];
        data[4..8].copy_from_slice(&count.to_ne_bytes());
        let mut answer = self.call(ETHTOOL_GSTATS, data)?;
        let told = u32_at(&answer, 4).unwrap_or_default() as usize;
        answer.truncate(told.saturating_mul(8).saturating_add(8));
        Ok(answer)
    }

    /// `struct ethtool_gfeatures`, with a block for every 32 offloads that the kernel names.
    pub fn features(&self) -> io::Result<Vec<u8>> {
        let blocks = self.set_size(StringSet::Features)?.div_ceil(32);
        let mut data = vec![0; 8 + 16 * blocks as usize];
        data[4..8].copy_from_slice(&blocks.to_ne_bytes());
        self.call(ETHTOOL_GFEATURES, data)
    }

    fn ask(&self, command: u32, bytes: usize) -> io::Result<Vec<u8>> {
        self.call(command, vec![0; bytes])
    }

    /// `data` is the structure of `command`, with room for the longest answer the kernel may
    /// write; the command itself is filled in here.
    fn call(&self, command: u32, mut data: Vec<u8>) -> io::Result<Vec<u8>> {
        data[..4].copy_from_slice(&command.to_ne_bytes());
        // SAFETY: all-zero bytes are a valid ifreq.
        let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
        request.ifr_name = self.name;
        request.ifr_ifru.ifru_data = data.as_mut_ptr().cast();
        // SAFETY: `request` and the bytes it points to outlive the call; there are as many as
        // the structure of the command has, and spare room where drivers write lists.
        let done = unsafe { libc::ioctl(self.socket.as_raw_fd(), SIOCETHTOOL, &raw mut request) };
        if done == 0 { Ok(data) } else { Err(io::Error::last_os_error()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::record::read::ethtool;

    #[test]
    fn the_kernel_names_its_offloads_and_their_state() {
        let lo = Ethtool::open("lo").expect("a socket");
        let strings = lo.strings(StringSet::Features).expect("every interface has offloads");
        let features = ethtool::features(&strings, &lo.features().expect("features")).expect("understood");
        assert!(features["loopback"].on && features["loopback"].fixed, "{features:?}");
    }

    #[test]
    fn what_an_interface_does_not_have_is_not_supported() {
        let lo = Ethtool::open("lo").expect("a socket");
        assert_eq!(lo.rings().expect_err("no rings").raw_os_error(), Some(libc::EOPNOTSUPP));
        assert!(Ethtool::open("a-name-longer-than-15").is_err());
        let none = Ethtool::open("nosuchnic0").expect("a socket");
        assert_eq!(none.drvinfo().expect_err("not here").raw_os_error(), Some(libc::ENODEV));
    }
}
