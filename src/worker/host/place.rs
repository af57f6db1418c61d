//! Where sysfs tells of the card's device. `/sys/class/net` shows the network namespace of the
//! mount and not of the worker: a name there may be another card's. Buses are not divided, so
//! a device that netlink or the driver names is found there in any namespace.

use super::{Answers, AskError, HostReader};
use crate::model::record::read::{self, link::Link};

/// Buses whose devices a driver names in `bus_info`.
const BUSES: [&str; 4] = ["pci", "virtio", "vmbus", "xen"];

/// Where the device is told.
#[derive(Clone, Debug)]
pub(super) enum Place {
    /// A folder of sysfs.
    Device {
        /// The folder, for example `sys/bus/virtio/devices/virtio2`.
        path: String,
        /// Names of the device and of the one it sits on, for example `virtio2` and
        /// `0000:00:03.0`.
        names: Vec<String>,
    },
    /// The link has no device: it is virtual.
    Virtual,
    /// Not known, and why.
    Unknown(String),
}

impl HostReader {
    pub(super) fn place(&self, link: &Result<Link, AskError>) -> Place {
        let link = match link {
            Ok(link) => link,
            Err(error) => return Place::Unknown(error.to_string()),
        };
        let bus_info =
            self.answers.ethtool("drvinfo").ok().and_then(|answer| read::ethtool::drvinfo(&answer).ok());
        let bus_info = bus_info.map(|info| info.bus).filter(|bus| !bus.is_empty() && !bus.contains('/'));
        let mut names: Vec<String> = bus_info.iter().cloned().collect();
        if let Some((bus, device)) = &link.parent
            && !bus.contains('/')
            && !device.contains('/')
        {
            let path = format!("sys/bus/{bus}/devices/{device}");
            if self.answers.is_there(&path) {
                names.push(device.clone());
                names.dedup();
                return Place::Device { path, names };
            }
        }
        if self.sysfs_is_ours(link) {
            let path = format!("sys/class/net/{}/device", self.iface);
            return if self.answers.is_there(&path) {
                names.extend(self.answers.link_name(&path));
                names.dedup();
                Place::Device { path, names }
            } else {
                Place::Virtual
            };
        }
        let named = |bus: &str, device: &str| Some(format!("sys/bus/{bus}/devices/{device}"));
        let found = bus_info.as_ref().and_then(|device| {
            BUSES.iter().filter_map(|bus| named(bus, device)).find(|path| self.answers.is_there(path))
        });
        match found {
            Some(path) => Place::Device { path, names },
            None if bus_info.is_none() => Place::Virtual,
            None => Place::Unknown("sysfs shows another network namespace".to_owned()),
        }
    }

    /// Whether `/sys/class/net/IFACE` is this link and not another namespace's of that name.
    fn sysfs_is_ours(&self, link: &Link) -> bool {
        let file = |name: &str| self.answers.text(&format!("sys/class/net/{}/{name}", self.iface));
        let index = file("ifindex").ok().and_then(|text| text.trim().parse::<u32>().ok());
        let address = file("address").ok().map(|text| text.trim().to_owned());
        index == Some(self.index) && address.filter(|text| !text.is_empty()) == link.facts.mac
    }
}

impl Place {
    /// The folder, or why there is none.
    pub(super) fn path(&self) -> Result<&str, AskError> {
        match self {
            Self::Device { path, .. } => Ok(path),
            Self::Virtual => Err(AskError::NotSupported),
            Self::Unknown(why) => Err(AskError::Failed(why.clone())),
        }
    }

    /// The folder of the PCI device, where the card sits on that bus.
    pub(super) fn pci(&self, answers: &Answers) -> Result<String, AskError> {
        let device = self.path()?;
        let names = if let Self::Device { names, .. } = self { names.as_slice() } else { &[] };
        let on_bus = |name: &&String| is_pci_address(name);
        let path = names.iter().find(on_bus).map(|name| format!("sys/bus/pci/devices/{name}"));
        // Without a listing of the bus, the device's own folder is the one.
        match path {
            Some(path) if answers.is_there(&path) => Ok(path),
            Some(_) => Ok(device.to_owned()),
            None => Err(AskError::NotSupported),
        }
    }
}

/// `0000:00:05.0`: domain, bus, slot and function, in hexadecimal digits.
fn is_pci_address(name: &str) -> bool {
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    let parts: Vec<&str> = name.split([':', '.']).collect();
    parts.len() == 4 && name.matches(':').count() == 2 && parts.into_iter().all(digits)
}
