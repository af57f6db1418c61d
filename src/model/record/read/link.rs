//! `RTM_NEWLINK` and `RTM_NEWADDR`: a link's state, counters and addresses.

use std::collections::BTreeMap;

use super::{
    ReadError,
    bytes::{ip, mac, text, u32_at, u64_at},
    route::{NEW_ADDRESS, NEW_LINK, attributes, bodies},
};
use crate::model::record::{facts::LinkFacts, line::LinkSeen};

// Attributes of linux/if_link.h.
const ADDRESS: u16 = 1;
const NAME: u16 = 3;
const MTU: u16 = 4;
const LOWER: u16 = 5;
const QDISC: u16 = 6;
const MASTER: u16 = 10;
const OPERSTATE: u16 = 16;
const LINKINFO: u16 = 18;
const STATS64: u16 = 23;
const TX_QUEUES: u16 = 31;
const RX_QUEUES: u16 = 32;
const CARRIER: u16 = 33;
const CARRIER_CHANGES: u16 = 35;
const LOWER_NETNS: u16 = 37;
const GSO_MAX_SIZE: u16 = 41;
const CARRIER_UP_COUNT: u16 = 47;
const CARRIER_DOWN_COUNT: u16 = 48;
const PARENT_DEVICE: u16 = 56;
const PARENT_BUS: u16 = 57;
/// Within `LINKINFO`.
const INFO_KIND: u16 = 1;

/// `IFF_UP` of linux/if.h.
const UP: u32 = 1;

/// `struct ifinfomsg`.
const HEADER_BYTES: usize = 16;
/// `struct ifaddrmsg`.
const ADDRESS_HEADER_BYTES: usize = 8;

/// States of RFC 2863 by the kernel's numbers.
const OPERSTATES: [&str; 7] = ["unknown", "notpresent", "down", "lowerlayerdown", "testing", "dormant", "up"];

/// `struct rtnl_link_stats64`, in order.
const STATS: [&str; 25] = [
    "rx_packets",
    "tx_packets",
    "rx_bytes",
    "tx_bytes",
    "rx_errors",
    "tx_errors",
    "rx_dropped",
    "tx_dropped",
    "multicast",
    "collisions",
    "rx_length_errors",
    "rx_over_errors",
    "rx_crc_errors",
    "rx_frame_errors",
    "rx_fifo_errors",
    "rx_missed_errors",
    "tx_aborted_errors",
    "tx_carrier_errors",
    "tx_fifo_errors",
    "tx_heartbeat_errors",
    "tx_window_errors",
    "rx_compressed",
    "tx_compressed",
    "rx_nohandler",
    "rx_otherhost_dropped",
];

/// Of these the kernel has always had so many; the rest came with Linux 4.6 and 5.19.
const STATS_MIN: usize = 23;

/// A link, whole.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Link {
    /// Its number.
    pub index: u32,
    /// Its name.
    pub name: String,
    /// Its state.
    pub facts: LinkFacts,
    /// `rtnl_link_stats64`, and `carrier_up_count` and `carrier_down_count`.
    pub counters: BTreeMap<String, u64>,
    /// Bus and name of the device behind it, for example `pci` and `0000:00:05.0`; `None`
    /// for a virtual link, and before Linux 5.14.
    pub parent: Option<(String, String)>,
}

/// What of a link says how it stands to others.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
struct Standing {
    index: u32,
    name: String,
    master: Option<u32>,
    lower: Option<u32>,
}

/// The link in an answer that holds just one.
pub fn link(answer: &[u8]) -> Result<Link, ReadError> {
    let (body, attrs) = one(answer)?;
    let stats = attrs.get(&STATS64).ok_or_else(|| lacks("IFLA_STATS64"))?;
    let mut counters = counters(stats)?;
    let facts = facts(body, &attrs)?;
    counters.insert("carrier_up_count".to_owned(), u64::from(facts.carrier_up_count));
    counters.insert("carrier_down_count".to_owned(), u64::from(facts.carrier_down_count));
    let parent = attrs.get(&PARENT_BUS).zip(attrs.get(&PARENT_DEVICE));
    Ok(Link {
        index: u32_at(body, 4).ok_or_else(|| lacks("its index"))?,
        name: attrs.get(&NAME).map(|name| text(name)).ok_or_else(|| lacks("IFLA_IFNAME"))?,
        facts,
        counters,
        parent: parent.map(|(bus, device)| (text(bus), text(device))),
    })
}

/// The same answer as the record's lines tell it each second.
pub fn seen(answer: &[u8]) -> Result<LinkSeen, ReadError> {
    let (body, attrs) = one(answer)?;
    let stats = attrs.get(&STATS64).ok_or_else(|| lacks("IFLA_STATS64"))?;
    let count = |place: usize| u64_at(stats, place * 8).ok_or_else(|| lacks(STATS[place]));
    let word = |kind, what| attrs.get(&kind).and_then(|value| u32_at(value, 0)).ok_or_else(|| lacks(what));
    Ok(LinkSeen {
        up: u32_at(body, 8).ok_or_else(|| lacks("flags"))? & UP != 0,
        carrier: carrier(&attrs)?,
        carrier_down: carrier_counts(&attrs)?.1,
        mtu: word(MTU, "IFLA_MTU")?,
        rx_packets: count(0)?,
        tx_packets: count(1)?,
        rx_bytes: count(2)?,
        tx_bytes: count(3)?,
        rx_errors: count(4)?,
        tx_errors: count(5)?,
        rx_dropped: count(6)?,
        tx_dropped: count(7)?,
    })
}

fn lacks(what: &str) -> ReadError {
    ReadError::lacks("RTM_NEWLINK", what)
}

type Attributes<'a> = BTreeMap<u16, &'a [u8]>;

fn one(answer: &[u8]) -> Result<(&[u8], Attributes<'_>), ReadError> {
    let body = *bodies(answer, NEW_LINK)?.first().ok_or_else(|| lacks("a link message"))?;
    let attrs = attributes(body.get(HEADER_BYTES..).ok_or_else(|| lacks("its header"))?)?;
    Ok((body, attrs))
}

fn carrier(attrs: &Attributes<'_>) -> Result<bool, ReadError> {
    let byte = attrs.get(&CARRIER).and_then(|value| value.first());
    byte.map(|byte| *byte != 0).ok_or_else(|| lacks("IFLA_CARRIER"))
}

/// How often the carrier came and went. Kernels before 4.16 tell the sum alone; as coming and
/// going take turns, the present state tells how it divides.
fn carrier_counts(attrs: &Attributes<'_>) -> Result<(u32, u32), ReadError> {
    let word = |kind| attrs.get(&kind).and_then(|value| u32_at(value, 0));
    if let Some(both) = word(CARRIER_UP_COUNT).zip(word(CARRIER_DOWN_COUNT)) {
        return Ok(both);
    }
    let changes = word(CARRIER_CHANGES).ok_or_else(|| lacks("IFLA_CARRIER_DOWN_COUNT"))?;
    let (half, odd) = (changes / 2, changes % 2);
    Ok(if carrier(attrs)? { (half + odd, half) } else { (half, half + odd) })
}

fn facts(body: &[u8], attrs: &Attributes<'_>) -> Result<LinkFacts, ReadError> {
    let optional = |kind| attrs.get(&kind).and_then(|value| u32_at(value, 0));
    let word = |kind, what: &str| optional(kind).ok_or_else(|| lacks(what));
    let state = attrs.get(&OPERSTATE).and_then(|value| value.first());
    let state = *state.ok_or_else(|| lacks("IFLA_OPERSTATE"))?;
    let (carrier_up_count, carrier_down_count) = carrier_counts(attrs)?;
    let operstate = OPERSTATES.get(usize::from(state)).map(ToString::to_string);
    Ok(LinkFacts {
        up: u32_at(body, 8).ok_or_else(|| lacks("flags"))? & UP != 0,
        carrier: carrier(attrs)?,
        operstate: operstate.unwrap_or_else(|| format!("state {state}")),
        mtu: word(MTU, "IFLA_MTU")?,
        mac: attrs.get(&ADDRESS).and_then(|bytes| mac(bytes)),
        qdisc: attrs.get(&QDISC).map(|name| text(name)),
        tx_queues: optional(TX_QUEUES),
        rx_queues: optional(RX_QUEUES),
        gso_max_bytes: optional(GSO_MAX_SIZE),
        carrier_up_count,
        carrier_down_count,
    })
}

fn counters(stats: &[u8]) -> Result<BTreeMap<String, u64>, ReadError> {
    let mut counters = BTreeMap::new();
    for (place, name) in STATS.into_iter().enumerate() {
        match u64_at(stats, place * 8) {
            Some(value) => counters.insert(name.to_owned(), value),
            None if place >= STATS_MIN => break,
            None => return Err(lacks(name)),
        };
    }
    Ok(counters)
}

/// The names of the links that lie below link `index`: those that have it as their master
/// (bond, bridge), and the one that it was made upon (VLAN, macvlan). From a dump of all.
pub fn lower(dump: &[u8], index: u32) -> Result<Vec<String>, ReadError> {
    let all: Vec<Standing> = bodies(dump, NEW_LINK)?.into_iter().map(standing).collect::<Result<_, _>>()?;
    let upon = all.iter().find(|link| link.index == index).and_then(|link| link.lower);
    let below = |link: &&Standing| link.master == Some(index) || Some(link.index) == upon;
    let mut names: Vec<String> = all.iter().filter(below).map(|link| link.name.clone()).collect();
    names.sort();
    Ok(names)
}

fn standing(body: &[u8]) -> Result<Standing, ReadError> {
    let index = u32_at(body, 4).ok_or_else(|| lacks("its index"))?;
    let attrs = attributes(body.get(HEADER_BYTES..).ok_or_else(|| lacks("its header"))?)?;
    let info = attrs.get(&LINKINFO).map(|info| attributes(info)).transpose()?.unwrap_or_default();
    // The far end of a veth is told as its lower link, and is none; a lower link in another
    // namespace has a number that means nothing here.
    let peer = info.get(&INFO_KIND).is_some_and(|kind| text(kind) == "veth");
    let lower = attrs.get(&LOWER).and_then(|value| u32_at(value, 0));
    Ok(Standing {
        index,
        name: attrs.get(&NAME).map(|name| text(name)).ok_or_else(|| lacks("IFLA_IFNAME"))?,
        master: attrs.get(&MASTER).and_then(|value| u32_at(value, 0)),
        lower: lower.filter(|lower| *lower != index && !peer && !attrs.contains_key(&LOWER_NETNS)),
    })
}

/// The addresses of link `index` with their prefix length, in the kernel's order.
pub fn addresses(dump: &[u8], index: u32) -> Result<Vec<String>, ReadError> {
    /// `IFA_ADDRESS`: of a point-to-point link it is the far end's.
    const ADDRESS: u16 = 1;
    /// `IFA_LOCAL`: the own one, where that differs.
    const LOCAL: u16 = 2;
    let lacks = |what| ReadError::lacks("RTM_NEWADDR", what);
    let mut found = Vec::new();
    for body in bodies(dump, NEW_ADDRESS)? {
        if u32_at(body, 4).ok_or_else(|| lacks("its index"))? != index {
            continue;
        }
        let attrs = attributes(body.get(ADDRESS_HEADER_BYTES..).ok_or_else(|| lacks("its header"))?)?;
        let addr = attrs.get(&LOCAL).or_else(|| attrs.get(&ADDRESS)).and_then(|bytes| ip(bytes));
        found.push(format!("{}/{}", addr.ok_or_else(|| lacks("an address"))?, body[1]));
    }
    Ok(found)
}
