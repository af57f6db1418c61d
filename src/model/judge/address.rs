//! What a host's own tables say: its address is gone, somebody else answers for it, or its
//! neighbours cannot be found.
//!
//! # Rule
//!
//! Facts of kernels, not of bytes. An *address is lost* when the interface under test no longer
//! has it. It is *duplicate* when at least two hosts remember another hardware address for it
//! than its host says it has; when only one does, that one's table is wrong. A host is *not
//! found* when most others' entries for it fail within [`WITH_ONSET_US`] of its silence: after a
//! card's death they fail too, but only when the kernel asks again, some ten seconds later.
//!
//! # Source
//!
//! Neighbour states and their times: `net/core/neighbour.c` (`base_reachable_time` 30 s, delay
//! 5 s, three probes of 1 s); RFC 5227 for addresses in use twice.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
};

use super::{
    cause,
    falls::Fall,
    seen::Seen,
    summary::{Basis, Finding, FindingKind, Severity},
};
use crate::model::{
    fleet::{
        host::HostId,
        units::{RunTime, SLOT_US},
    },
    record::facts::Neighbour,
};

/// Entries fail this soon after the silence that they caused: they are looked at each second.
const WITH_ONSET_US: u64 = 3_000_000;

/// Share of the others whose entry for a host must fail.
const OTHERS_MIN: f64 = 0.5;

/// Hosts that must remember another hardware address for it to be in use twice.
const WITNESSES_MIN: usize = 2;

/// Who claims a fall by its own tables.
pub fn claim(seen: &Seen, fall: &Fall) -> Option<FindingKind> {
    let (onset, end) = (fall.since * SLOT_US, fall.end().saturating_mul(SLOT_US));
    let lost = losses(seen, fall.host).into_iter().any(|(from, to)| {
        from.0 < end.saturating_add(WITH_ONSET_US) && to.is_none_or(|to| to.0 + WITH_ONSET_US > onset)
    });
    if lost {
        return Some(FindingKind::AddressLost);
    }
    if impostors(seen).contains_key(&fall.host) {
        return Some(FindingKind::DuplicateAddress);
    }
    not_found(seen, fall).then_some(FindingKind::NeighbourFailure)
}

/// When a host's address was gone: from, and to when it was back.
fn losses(seen: &Seen, host: HostId) -> Vec<(RunTime, Option<RunTime>)> {
    let Some(own) = seen.hosts.get(host.index()).and_then(|host| host.nic.addr) else { return Vec::new() };
    let is_own = |text: &String| text.split('/').next().and_then(|addr| addr.parse().ok()) == Some(own);
    let mut losses: Vec<(RunTime, Option<RunTime>)> = Vec::new();
    for (_, at, changed) in seen.moved.iter().filter(|(who, ..)| *who == host) {
        if changed.gone.iter().any(is_own) {
            losses.push((*at, None));
        }
        if changed.came.iter().any(is_own)
            && let Some((_, to @ None)) = losses.last_mut()
        {
            *to = Some(*at);
        }
    }
    losses
}

/// Everything that hosts told of their neighbours: who, when, and the entry.
fn entries(seen: &Seen) -> impl Iterator<Item = (HostId, RunTime, &Neighbour)> {
    let whole = seen.cards.iter().flat_map(|(host, told)| {
        told.iter().flat_map(|(at, card)| {
            card.neighbours.known().into_iter().flatten().map(|entry| (*host, *at, entry))
        })
    });
    let changed = seen
        .moved
        .iter()
        .flat_map(|(host, at, changed)| changed.neighbours.iter().map(|entry| (*host, *at, entry)));
    whole.chain(changed)
}

/// The host that an entry is of.
fn whose(seen: &Seen, entry: &Neighbour) -> Option<HostId> {
    let addr: IpAddr = entry.addr.parse().ok()?;
    seen.hosts.iter().find(|host| host.nic.addr == Some(addr)).map(|host| host.id)
}

/// The hardware address that a host says it has.
fn own_mac(seen: &Seen, host: HostId) -> Option<&str> {
    seen.cards.get(&host)?.iter().find_map(|(_, card)| card.link.known()?.mac.as_deref())
}

/// By host: who remembers another hardware address for it, and which.
fn strangers(seen: &Seen) -> BTreeMap<HostId, BTreeMap<HostId, String>> {
    let mut strangers: BTreeMap<HostId, BTreeMap<HostId, String>> = BTreeMap::new();
    for (observer, _, entry) in entries(seen) {
        let Some(host) = whose(seen, entry).filter(|host| *host != observer) else { continue };
        if let (Some(own), Some(told)) = (own_mac(seen, host), &entry.mac)
            && own != told
        {
            strangers.entry(host).or_default().insert(observer, told.clone());
        }
    }
    strangers
}

/// Hosts for whose address somebody else answers, with that one's hardware address.
fn impostors(seen: &Seen) -> BTreeMap<HostId, String> {
    let enough = |witnesses: &BTreeMap<HostId, String>| witnesses.len() >= WITNESSES_MIN;
    strangers(seen)
        .into_iter()
        .filter(|(_, witnesses)| enough(witnesses))
        .filter_map(|(host, witnesses)| Some((host, witnesses.into_values().next()?)))
        .collect()
}

/// Whether others could not find a host from the moment of its silence on.
fn not_found(seen: &Seen, fall: &Fall) -> bool {
    let onset = fall.since * SLOT_US;
    let failed: BTreeSet<HostId> = seen
        .moved
        .iter()
        .filter(|(observer, at, changed)| {
            *observer != fall.host
                && at.0.abs_diff(onset) <= WITH_ONSET_US
                && changed
                    .neighbours
                    .iter()
                    .any(|entry| entry.is_failed() && whose(seen, entry) == Some(fall.host))
        })
        .map(|(observer, ..)| *observer)
        .collect();
    let others = seen.hosts.len().saturating_sub(1);
    failed.len() >= 2.min(others) && failed.len() as f64 >= OTHERS_MIN * others as f64
}

/// Findings of tables, by host; falls that they claimed are told with them.
pub fn findings(seen: &Seen) -> Vec<(HostId, Finding)> {
    let mut found: Vec<(HostId, Finding)> = Vec::new();
    for host in &seen.hosts {
        if !losses(seen, host.id).is_empty() {
            found.push((host.id, lost(seen, host.id, &[])));
        }
    }
    for host in impostors(seen).into_keys() {
        found.push((host, duplicate(seen, host, &[])));
    }
    for (host, witnesses) in strangers(seen) {
        if let (1, Some((observer, mac))) = (witnesses.len(), witnesses.first_key_value()) {
            found.push((*observer, wrong_entry(seen, *observer, host, mac)));
        }
    }
    found
}

/// The finding for falls of a kind that was claimed here.
pub fn finding(seen: &Seen, host: HostId, kind: FindingKind, falls: &[&Fall]) -> Finding {
    match kind {
        FindingKind::AddressLost => lost(seen, host, falls),
        FindingKind::DuplicateAddress => duplicate(seen, host, falls),
        _ => unfindable(seen, host, falls),
    }
}

fn of_tables(kind: FindingKind, falls: &[&Fall], text: String) -> Finding {
    let mut finding = cause::bare(kind, Severity::Fail, falls, text);
    // A kernel's own table is no guess.
    finding.confirmed = Some(true);
    finding.evidence = Basis::Corroborated;
    finding.numbers.insert("drop_offs".to_owned(), Some(falls.len() as f64));
    finding
}

fn lost(seen: &Seen, host: HostId, falls: &[&Fall]) -> Finding {
    let losses = losses(seen, host);
    let back = losses.iter().all(|(_, to)| to.is_some());
    let text = format!(
        "the address under test was gone from the interface of {} {}{}; look at its lease and at who manages the interface (journalctl -u NetworkManager -u systemd-networkd, dhclient's log)",
        seen.name(host),
        if losses.len() > 1 { format!("{} times", losses.len()) } else { "once".to_owned() },
        if back { ", and came back" } else { " and did not come back" },
    );
    let mut finding = of_tables(FindingKind::AddressLost, falls, text);
    let first = losses.first().map(|(at, _)| at.as_secs_f64());
    finding.first_seen_s = finding.first_seen_s.or(first);
    finding
}

fn duplicate(seen: &Seen, host: HostId, falls: &[&Fall]) -> Finding {
    let impostor = impostors(seen).remove(&host).unwrap_or_default();
    let of = seen.hosts.iter().find(|other| own_mac(seen, other.id) == Some(&impostor));
    let who = of.map_or_else(|| "nobody of this fleet".to_owned(), |host| host.name.to_string());
    let text = format!(
        "somebody else answers for the address of {}: others remember {impostor} for it ({who} has that), and it has {}; take the address away from one of the two",
        seen.name(host),
        own_mac(seen, host).unwrap_or("another"),
    );
    of_tables(FindingKind::DuplicateAddress, falls, text)
}

fn wrong_entry(seen: &Seen, observer: HostId, host: HostId, mac: &str) -> Finding {
    let text = format!(
        "{} remembers the hardware address {mac} for {}, which has {}: what it sends there goes astray; look at its table (ip neigh), and flush the entry",
        seen.name(observer),
        seen.name(host),
        own_mac(seen, host).unwrap_or("another"),
    );
    of_tables(FindingKind::NeighbourFailure, &[], text)
}

fn unfindable(seen: &Seen, host: HostId, falls: &[&Fall]) -> Finding {
    let text = format!(
        "others could no longer find {} on the link, {}: their neighbour entries failed as it fell silent; look at filters of ARP or neighbour discovery, at VLANs, and at the size of neighbour tables (sysctl net.ipv4.neigh.default.gc_thresh3)",
        seen.name(host),
        cause::times(falls),
    );
    of_tables(FindingKind::NeighbourFailure, falls, text)
}

#[cfg(test)]
mod tests;
