//! The texts that make links: what `ip -batch` and `tc -batch` are told.
//!
//! Pure: a spec gives a text. Running them is the parent's.

use std::{fmt::Write, net::IpAddr};

use crate::{
    lab::spec::{Control, LabSpec},
    model::fleet::units::BitRate,
};

/// Up to this rate the measured `burst 16k limit 512k` holds a flow at 95 % of its rate with
/// 3 to 5 ms of queue; a faster link needs more for the same.
const SLOW_RATE: BitRate = BitRate::from_mbps(200);

/// The switch's port for host number `host`.
pub(crate) fn port(host: u16) -> String {
    format!("p{host}")
}

/// The arguments of a shaper at `rate`.
///
/// A burst below 64 KiB also keeps large segments from passing in one piece.
pub(crate) fn shaper(rate: BitRate) -> String {
    if rate <= SLOW_RATE {
        return format!("tbf rate {}bit burst 16k limit 512k", rate.bps());
    }
    // A millisecond of bytes, and a queue of 20 ms.
    let (burst, limit) = ((rate.bps() / 8_000).max(16 << 10), (rate.bps() / 8 / 50).max(512 << 10));
    format!("tbf rate {}bit burst {burst} limit {limit}", rate.bps())
}

/// What makes the switch, all ports and the far ends of their cables. `hosts` gives a path
/// to each host's namespace, `coordinator` that to the coordinator's.
pub(crate) fn switch_links(spec: &LabSpec, hosts: &[String], coordinator: &str) -> String {
    let mut text = String::from("link set lo up\n");
    let bridge = |text: &mut String, name: &str| {
        line(text, format_args!("link add {name} type bridge forward_delay 0 stp_state 0 mcast_snooping 0"));
        line(text, format_args!("link set {name} up"));
    };
    for rack in 1..=spec.racks {
        bridge(&mut text, rack_bridge(rack));
    }
    if spec.racks == 2 {
        line(&mut text, format_args!("link add up1 mtu {0} type veth peer name up2 mtu {0}", spec.mtu));
        for rack in 1..=2 {
            line(&mut text, format_args!("link set up{rack} master {} up", rack_bridge(rack)));
        }
    }
    for (host, path) in (1_u16..).zip(hosts) {
        let bridge = rack_bridge(spec.rack(host));
        cable(&mut text, &port(host), "eth0", spec.mtu, DATA_NET, host, path);
        line(&mut text, format_args!("link set {} master {bridge} up", port(host)));
    }
    match spec.control {
        Control::InBand => {
            cable(&mut text, "p0", "eth0", spec.mtu, DATA_NET, COORDINATOR, coordinator);
            line(&mut text, format_args!("link set p0 master {} up", rack_bridge(1)));
        }
        Control::Separate => {
            bridge(&mut text, "brC");
            let all = std::iter::once(coordinator).chain(hosts.iter().map(String::as_str));
            for (host, path) in (0_u16..).zip(all) {
                cable(&mut text, &format!("c{host}"), "ctl0", 1500, 1, host, path);
                line(&mut text, format_args!("link set c{host} master brC up"));
            }
        }
    }
    text
}

/// What shapes the switch's side of every cable, and the link between racks.
pub(crate) fn switch_rates(spec: &LabSpec) -> String {
    let mut text = String::new();
    for host in 1..=spec.hosts {
        line(
            &mut text,
            format_args!("qdisc add dev {} root handle 1: {}", port(host), shaper(spec.nic_rate)),
        );
    }
    if spec.racks == 2 {
        for rack in 1..=2 {
            line(
                &mut text,
                format_args!("qdisc add dev up{rack} root handle 1: {}", shaper(spec.uplink_rate())),
            );
        }
    }
    text
}

/// What gives a host's namespace its addresses.
pub(crate) fn host_links(spec: &LabSpec, host: u16) -> String {
    let mut text = String::from("link set lo up\n");
    address(&mut text, spec, spec.host_addr(host), "eth0");
    if spec.control == Control::Separate {
        address(&mut text, spec, spec.control_addr(host), "ctl0");
    }
    if spec.hosts > LEARNT_HOSTS_MAX {
        for other in (1..=spec.hosts).filter(|other| *other != host) {
            let (addr, mac) = (spec.host_addr(other), mac(DATA_NET, other));
            line(&mut text, format_args!("neigh add {addr} lladdr {mac} dev eth0 nud permanent"));
        }
    }
    text
}

/// Hosts up to which neighbours are learnt as on a real wire. The kernel keeps one table for
/// all namespaces, of 1024 learnt entries; 24 hosts that all meet fill half of it. Permanent
/// entries do not count.
const LEARNT_HOSTS_MAX: u16 = 24;

/// The net number of data cables in a MAC address.
const DATA_NET: u8 = 0;

/// A MAC address derived from net and host, so that it can be read in a trace.
fn mac(net: u8, host: u16) -> String {
    let [high, low] = host.to_be_bytes();
    format!("02:ca:{net:02x}:00:{high:02x}:{low:02x}")
}

/// The hardware address of a host on the network under test.
pub(crate) fn data_mac(host: u16) -> String {
    mac(DATA_NET, host)
}

/// The number that stands for the coordinator in hardware addresses.
pub(crate) const COORDINATOR: u16 = 0;

/// What gives the coordinator's namespace its address.
pub(crate) fn coordinator_links(spec: &LabSpec) -> String {
    let iface = if spec.control == Control::Separate { "ctl0" } else { "eth0" };
    let mut text = String::from("link set lo up\n");
    address(&mut text, spec, spec.coordinator_addr(), iface);
    text
}

/// What shapes a host's own side of its cable.
pub(crate) fn host_rates(spec: &LabSpec) -> String {
    format!("qdisc add dev eth0 root handle 1: {}\n", shaper(spec.nic_rate))
}

/// The bridge of a rack.
pub(crate) const fn rack_bridge(rack: u16) -> &'static str {
    if rack == 2 { "brB" } else { "brA" }
}

/// A cable from `port` of the switch to `iface` in the namespace at `path`.
fn cable(text: &mut String, port: &str, iface: &str, mtu: u32, net: u8, host: u16, path: &str) {
    let mac = mac(net, host);
    let peer = format!("peer name {iface} mtu {mtu} address {mac} netns {path}");
    line(text, format_args!("link add {port} mtu {mtu} type veth {peer}"));
}

fn address(text: &mut String, spec: &LabSpec, addr: IpAddr, iface: &str) {
    // Without `nodad` an IPv6 address may not be used for its first second.
    let nodad = if spec.ipv6 { " nodad" } else { "" };
    line(text, format_args!("addr add {addr}/{} dev {iface}{nodad}", spec.prefix_bits()));
    line(text, format_args!("link set {iface} up"));
}

fn line(text: &mut String, words: std::fmt::Arguments<'_>) {
    writeln!(text, "{words}").expect("writing to a String cannot fail");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_hosts_make_two_cables_and_the_coordinators() {
        let spec = LabSpec { hosts: 2, ..LabSpec::default() };
        let text = switch_links(&spec, &["A".into(), "B".into()], "C");
        let cables: Vec<&str> = text.lines().filter(|line| line.contains("veth")).collect();
        assert_eq!(cables.len(), 3);
        assert_eq!(
            cables[1],
            "link add p2 mtu 1500 type veth peer name eth0 mtu 1500 address 02:ca:00:00:00:02 netns B"
        );
    }

    #[test]
    fn shapers_keep_what_was_measured_and_grow_above_it() {
        assert_eq!(shaper(BitRate::from_mbps(60)), "tbf rate 60000000bit burst 16k limit 512k");
        assert_eq!(shaper(BitRate::from_mbps(1000)), "tbf rate 1000000000bit burst 125000 limit 2500000");
    }

    #[test]
    fn two_racks_meet_in_one_shaped_link() {
        let uplink = Some(BitRate::from_mbps(90));
        let spec = LabSpec { hosts: 2, racks: 2, uplink, ..LabSpec::default() };
        let text = switch_links(&spec, &["A".into(), "B".into()], "C");
        assert!(
            text.contains("link set p1 master brA up") && text.contains("link set p2 master brB up"),
            "{text}"
        );
        assert!(switch_rates(&spec).contains("dev up2 root handle 1: tbf rate 90000000bit"));
    }
}
