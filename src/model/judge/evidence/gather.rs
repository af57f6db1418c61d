//! What each host's own kernel told: counters that moved, carrier, addresses, log lines,
//! each with the boot it belongs to. Nothing is weighed here.

use std::collections::{BTreeMap, HashMap};

use super::table;
use crate::model::{
    fleet::{host::HostId, units::RunTime},
    judge::seen::Seen,
    record::{
        book::Record,
        facts::{CountersMoved, HostFacts, KernelLine},
        kernel_log::Card,
        line::{Body, LinkSeen},
    },
};

/// Something that a worker told, with the boot that it was told in.
#[derive(Clone, Copy, Debug)]
pub struct Told<'a, T> {
    /// When.
    pub at: RunTime,
    /// The kernel's boot id.
    pub boot: &'a str,
    /// What.
    pub what: &'a T,
}

/// A step of a counter that has a rule.
#[derive(Clone, Copy, Debug)]
pub struct Ruled<'a> {
    /// Since when.
    pub since: RunTime,
    /// Until when.
    pub at: RunTime,
    /// The kernel's boot id.
    pub boot: &'a str,
    /// The counter's name.
    pub name: &'a str,
    /// By how much.
    pub by: i64,
}

/// What one host told.
#[derive(Clone, Debug, Default)]
pub struct HostTold<'a> {
    /// Steps of counters, in the order of time.
    pub counters: Vec<Told<'a, CountersMoved>>,
    /// The same of counters that have a rule, by its place in the table.
    pub ruled: BTreeMap<usize, Vec<Ruled<'a>>>,
    /// Lines of the kernel's log, in the order of time.
    pub kernel: Vec<Told<'a, KernelLine>>,
    /// Link facts, in the order of time.
    pub links: Vec<Told<'a, LinkSeen>>,
    /// All facts, in the order of time.
    pub facts: Vec<Told<'a, HostFacts>>,
}

/// What all hosts told.
#[derive(Clone, Debug, Default)]
pub struct Gathered<'a> {
    hosts: BTreeMap<HostId, HostTold<'a>>,
}

impl<'a> Gathered<'a> {
    /// Of a whole record.
    pub fn of(record: &'a Record) -> Self {
        let joined: BTreeMap<u16, (HostId, &str)> = record
            .lines
            .iter()
            .filter_map(|line| match &line.body {
                Body::Joined(joined) => Some((joined.instance, (joined.host, joined.boot_id.as_str()))),
                _ => None,
            })
            .collect();
        let mut gathered = Self::default();
        for lines in record.lines.chunk_by(|one, next| one.i == next.i) {
            let Some((host, boot)) = joined.get(&lines[0].i).copied() else { continue };
            let own = gathered.hosts.entry(host).or_default();
            for line in lines {
                match &line.body {
                    Body::Counters(moved) => own.counters.push(Told { at: line.t, boot, what: moved }),
                    Body::Kernel(kernel) => own.kernel.push(Told { at: kernel.at, boot, what: kernel }),
                    Body::Host(state) => {
                        let link = state.link.as_ref();
                        own.links.extend(link.map(|link| Told { at: line.t, boot, what: link }));
                    }
                    Body::Facts(facts) => own.facts.push(Told { at: line.t, boot, what: facts }),
                    _ => {}
                }
            }
        }
        for own in gathered.hosts.values_mut() {
            own.counters.sort_by_key(|told| told.at);
            own.kernel.sort_by_key(|told| told.at);
            own.links.sort_by_key(|told| told.at);
            own.facts.sort_by_key(|told| told.at);
        }
        gathered.find_rules();
        gathered
    }

    /// Looks each name up once: a large run tells millions of steps of some hundred counters.
    fn find_rules(&mut self) {
        let mut places: HashMap<&str, Option<usize>> = HashMap::new();
        for own in self.hosts.values_mut() {
            for Told { at, boot, what } in &own.counters {
                for (name, by) in &what.moved {
                    if let Some(place) = *places.entry(name).or_insert_with(|| table::place_of(name)) {
                        let step = Ruled { since: what.since, at: *at, boot, name, by: *by };
                        own.ruled.entry(place).or_default().push(step);
                    }
                }
            }
        }
    }

    /// What a host told; `None` where no line of its worker is in the record.
    pub fn host(&self, host: HostId) -> Option<&HostTold<'a>> {
        self.hosts.get(&host)
    }

    /// The other hosts.
    pub fn others(&self, host: HostId) -> impl Iterator<Item = (HostId, &HostTold<'a>)> {
        self.hosts.iter().filter(move |(other, _)| **other != host).map(|(other, told)| (*other, told))
    }

    /// The card of a host, as kernel lines call it.
    pub fn card(&self, seen: &Seen, host: HostId) -> Card {
        let nic = seen.hosts.get(host.index()).map(|host| &host.nic);
        let info = self
            .host(host)
            .and_then(|told| told.facts.iter().find_map(|facts| facts.what.card.driver.known()));
        Card {
            iface: nic.map_or_else(String::new, |nic| nic.iface.clone()),
            driver: nic.and_then(|nic| nic.driver.clone()).or_else(|| info.map(|info| info.name.clone())),
            bus: info.map(|info| info.bus.clone()).filter(|bus| !bus.is_empty()),
        }
    }
}
