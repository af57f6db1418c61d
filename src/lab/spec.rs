//! What a lab is asked to be: how many hosts, how fast, in how many racks, on which addresses.
//!
//! Checked once, before anything is built. Building is `fleet`'s.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    path::PathBuf,
};

use serde::{Deserialize, Serialize};

use crate::model::fleet::units::BitRate;

/// The fewest and the most hosts of a lab. One host has nobody to talk to; above 128 two
/// cores only time the scheduler.
pub const HOSTS: std::ops::RangeInclusive<u16> = 2..=128;

/// What a lab on two cores carried without its CPU becoming the slowest NIC: measured with
/// 4 hosts at 200 Mb/s and 64 at 20 Mb/s.
pub const CAPACITY: BitRate = BitRate::from_mbps(600);

/// The slowest NIC with which a fleet still gets through a calibration, and the fastest
/// whose shaping means anything on virtual links.
const NIC_RATE_BPS: std::ops::RangeInclusive<u64> = 1_000_000..=10_000_000_000;

/// Below 1280 there is no IPv6; 9000 is the usual jumbo frame.
const MTU: std::ops::RangeInclusive<u32> = 1280..=9000;

/// A longer name would not fit, with its folder, into the 107 bytes of a socket's path.
const NAME_BYTES_MAX: usize = 32;

/// The longest a lab may outlive its maker: a day.
const TTL_S_MAX: u64 = 86_400;

/// Through which NIC a worker's orders come.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Control {
    /// Through the NIC under test, as in most real fleets.
    #[default]
    InBand,
    /// Through a second, unshaped and always healthy NIC `ctl0`.
    Separate,
}

/// What a lab is asked to be.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LabSpec {
    /// Number of hosts, named `h1`, `h2` and so on.
    pub hosts: u16,
    /// What each NIC carries, per direction.
    pub nic_rate: BitRate,
    /// Largest packet on the data network, in bytes.
    pub mtu: u32,
    /// 1, or 2 for two switches with a shaped link between them.
    pub racks: u16,
    /// What the link between racks carries; `None`: half the hosts at full rate.
    pub uplink: Option<BitRate>,
    /// Through which NIC orders come.
    pub control: Control,
    /// IPv6 addresses instead of IPv4.
    pub ipv6: bool,
    /// Seconds after which the lab ends by itself.
    pub ttl_s: u64,
    /// Whether it outlives the process that made it (`lab up`).
    pub detached: bool,
    /// Folder, readable by its owner only, where detached labs are noted.
    pub state_dir: PathBuf,
    /// Name of this lab: letters, digits and dashes.
    pub name: String,
}

impl Default for LabSpec {
    fn default() -> Self {
        Self {
            hosts: 8,
            // Eight of them stay, sending at once, below what two cores carry.
            nic_rate: BitRate::from_mbps(60),
            mtu: 1500,
            racks: 1,
            uplink: None,
            control: Control::InBand,
            ipv6: false,
            ttl_s: 3600,
            detached: false,
            state_dir: PathBuf::from("/tmp"),
            name: "lab".into(),
        }
    }
}

/// Why a lab cannot be as asked.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("a lab of {what} = {value} cannot be: {limit}")]
pub struct SpecError {
    what: &'static str,
    value: String,
    limit: String,
}

impl LabSpec {
    /// Says the first thing that makes this wish unsound.
    pub fn check(&self) -> Result<(), SpecError> {
        let range = |from: String, to: String| format!("choose from {from} to {to}");
        let named = (1..=NAME_BYTES_MAX).contains(&self.name.len())
            && self.name.chars().all(|c| c.is_ascii_alphanumeric() || c == '-');
        let rate_limit = || {
            range(
                BitRate::from_bps(*NIC_RATE_BPS.start()).to_string(),
                BitRate::from_bps(*NIC_RATE_BPS.end()).to_string(),
            )
        };
        let rows = [
            (
                "hosts",
                self.hosts.to_string(),
                HOSTS.contains(&self.hosts),
                range(HOSTS.start().to_string(), HOSTS.end().to_string()),
            ),
            (
                "nic_rate",
                self.nic_rate.to_string(),
                NIC_RATE_BPS.contains(&self.nic_rate.bps()),
                rate_limit(),
            ),
            (
                "uplink",
                format!("{:?}", self.uplink),
                self.uplink.is_none_or(|rate| NIC_RATE_BPS.contains(&rate.bps())),
                rate_limit(),
            ),
            (
                "mtu",
                self.mtu.to_string(),
                MTU.contains(&self.mtu),
                range(MTU.start().to_string(), MTU.end().to_string()),
            ),
            ("racks", self.racks.to_string(), (1..=2).contains(&self.racks), range("1".into(), "2".into())),
            (
                "ttl_s",
                self.ttl_s.to_string(),
                (1..=TTL_S_MAX).contains(&self.ttl_s),
                range("1".into(), TTL_S_MAX.to_string()),
            ),
            (
                "name",
                format!("{:?}", self.name),
                named,
                format!("use 1 to {NAME_BYTES_MAX} letters, digits and dashes"),
            ),
        ];
        let wrong = rows.into_iter().find(|(_, _, sound, _)| !sound);
        wrong.map_or(Ok(()), |(what, value, _, limit)| Err(SpecError { what, value, limit }))
    }

    /// All hosts' NICs at full rate: the load of a storm.
    pub fn planned_load(&self) -> BitRate {
        BitRate::from_bps(self.nic_rate.bps().saturating_mul(u64::from(self.hosts)))
    }

    /// What to tell a person whose lab asks more than this machine is known to carry.
    pub fn load_warning(&self) -> Option<String> {
        let load = self.planned_load();
        (load > CAPACITY).then(|| {
            format!(
                "{} hosts at {} ask {load} of this machine; labs are measured up to {CAPACITY} on 2 cores, and beyond \
                 that the CPU may be the slowest NIC (at this size try --lab-rate {}M)",
                self.hosts,
                self.nic_rate,
                (CAPACITY.bps() / u64::from(self.hosts.max(1)) / 1_000_000).max(1)
            )
        })
    }

    /// The number of the host called `name`, if this lab has it.
    pub fn host_number(&self, name: &str) -> Option<u16> {
        host_number(name).filter(|number| *number <= self.hosts)
    }

    /// The rack, 1 or 2, of host number `host`: the first half is in the first.
    pub fn rack(&self, host: u16) -> u16 {
        if self.racks == 2 && host > self.hosts.div_ceil(2) { 2 } else { 1 }
    }

    /// Address of host number `host` on the network under test.
    pub fn host_addr(&self, host: u16) -> IpAddr {
        self.addr(DATA_NET, host)
    }

    /// Address at which workers find the coordinator.
    pub fn coordinator_addr(&self) -> IpAddr {
        match self.control {
            Control::InBand => self.addr(DATA_NET, COORDINATOR),
            Control::Separate => self.addr(CONTROL_NET, COORDINATOR),
        }
    }

    /// Address of host number `host` on the separate control network.
    pub(crate) fn control_addr(&self, host: u16) -> IpAddr {
        self.addr(CONTROL_NET, host)
    }

    /// Length of both networks' prefix.
    pub(crate) fn prefix_bits(&self) -> u8 {
        if self.ipv6 { 64 } else { 16 }
    }

    /// What the link between the racks carries.
    pub fn uplink_rate(&self) -> BitRate {
        let half = u64::from(self.hosts.div_ceil(2));
        self.uplink.unwrap_or(BitRate::from_bps(self.nic_rate.bps().saturating_mul(half)))
    }

    fn addr(&self, net: u8, number: u16) -> IpAddr {
        let [high, low] = number.to_be_bytes();
        if self.ipv6 {
            IpAddr::V6(Ipv6Addr::new(0xfd00, u16::from(net), 0, 0, 0, 0, 0, number))
        } else {
            IpAddr::V4(Ipv4Addr::new(10, net, high, low))
        }
    }
}

/// The second byte of the networks, out of the way of the usual 10.0 and 10.1.
const DATA_NET: u8 = 202;
const CONTROL_NET: u8 = 203;

/// The coordinator's number: 255.254 at the end of an IPv4 address.
const COORDINATOR: u16 = 0xfffe;

/// The name of host number `number`.
pub fn host_name(number: u16) -> String {
    format!("h{number}")
}

/// The number in a host's name, `h1` to `h128`.
pub fn host_number(name: &str) -> Option<u16> {
    let digits = name.strip_prefix('h')?;
    let number = digits.parse().ok().filter(|number| (1..=*HOSTS.end()).contains(number))?;
    (host_name(number) == name).then_some(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_say_which_host_they_are() {
        let mut spec = LabSpec::default();
        assert_eq!(spec.host_addr(3).to_string(), "10.202.0.3");
        assert_eq!(spec.coordinator_addr().to_string(), "10.202.255.254");
        spec.control = Control::Separate;
        assert_eq!(spec.coordinator_addr().to_string(), "10.203.255.254");
        spec.ipv6 = true;
        assert_eq!(spec.host_addr(3).to_string(), "fd00:ca::3");
    }

    #[test]
    fn a_wish_that_cannot_be_is_refused_with_its_limit() {
        let spec = LabSpec { hosts: 129, ..LabSpec::default() };
        let error = spec.check().expect_err("129 hosts");
        assert_eq!(error.to_string(), "a lab of hosts = 129 cannot be: choose from 2 to 128");
        let spec = LabSpec { name: "../x".into(), ..LabSpec::default() };
        assert!(spec.check().is_err(), "the name becomes a path");
        assert_eq!(LabSpec::default().check(), Ok(()));
    }

    #[test]
    fn only_more_than_the_machine_was_seen_to_carry_is_warned_of() {
        assert_eq!(LabSpec::default().load_warning(), None);
        let warning = LabSpec { hosts: 64, ..LabSpec::default() }.load_warning().expect("64 x 60 Mb/s");
        assert!(warning.contains("3.84 Gb/s") && warning.contains("--lab-rate 9M"), "{warning}");
    }

    #[test]
    fn two_racks_take_half_the_hosts_each() {
        let spec = LabSpec { hosts: 5, racks: 2, ..LabSpec::default() };
        assert_eq!((1..=5).map(|host| spec.rack(host)).collect::<Vec<_>>(), [1, 1, 1, 2, 2]);
        assert_eq!(host_number("h05"), None, "one host has one name");
    }
}
