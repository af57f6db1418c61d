//! What moved between two looks at a host's counters, and how facts are kept within a line.

use std::collections::BTreeMap;

use super::facts::{Counters, CountersMoved, Fact, HostFacts, NEIGHBOURS_MAX, Neighbour};
use crate::model::fleet::units::RunTime;

/// Names on one line at most: with the longest names some 16 KiB, a third of a frame.
pub const NAMES_MAX: usize = 256;

/// Words in the names of counters that tell of trouble: of a card with thousands of counters
/// these come first where a line has no room for all.
const TROUBLE: [&str; 18] = [
    "err", "drop", "disc", "fail", "miss", "crc", "fcs", "timeout", "bad", "exceeded", "reset", "fifo",
    "over", "retrans", "no_", "carrier", "full", "fault",
];

/// A group of [`Counters`], by name; in the order in which they matter where room is short.
type Group =
    (&'static str, fn(&Counters) -> &BTreeMap<String, u64>, fn(&mut Counters) -> &mut BTreeMap<String, u64>);

const GROUPS: [Group; 7] = [
    ("link", |c| &c.link, |c| &mut c.link),
    ("pcie", |c| &c.pcie, |c| &mut c.pcie),
    ("qdisc", |c| &c.qdisc, |c| &mut c.qdisc),
    ("softnet", |c| &c.softnet, |c| &mut c.softnet),
    ("protocols", |c| &c.protocols, |c| &mut c.protocols),
    ("driver", |c| &c.driver, |c| &mut c.driver),
    ("cpu", |c| &c.cpu, |c| &mut c.cpu),
];

/// What moved from `before` to `after`, at most [`NAMES_MAX`] names.
///
/// A counter that was not there before counts from zero where its group had been read: the
/// kernel lists some only once they count (`IcmpMsg`). A group that could not be read at one
/// of the two moments moves nothing. What finds no room is counted in `left_out`.
pub fn moved(before: &Counters, after: &Counters, since: RunTime) -> CountersMoved {
    let mut steps: Vec<(bool, usize, bool, String, i64)> = Vec::new();
    for (rank, (group, of, _)) in GROUPS.iter().enumerate() {
        let (was, is) = (of(before), of(after));
        if was.is_empty() {
            continue;
        }
        for (name, value) in is {
            let step = value.wrapping_sub(was.get(name).copied().unwrap_or(0)).cast_signed();
            if step != 0 {
                let lower = name.to_ascii_lowercase();
                let quiet = !TROUBLE.iter().any(|word| lower.contains(word));
                let single = lower.bytes().any(|byte| byte.is_ascii_digit());
                steps.push((quiet, rank, single, format!("{group}.{name}"), step));
            }
        }
    }
    steps.sort();
    let left_out = steps.len().saturating_sub(NAMES_MAX) as u32;
    steps.truncate(NAMES_MAX);
    let known = |counters: &Counters| !counters.unread.contains_key("addresses");
    let both = known(before) && known(after);
    let without = |all: &Counters, others: &Counters| {
        let gone = |addr: &&String| both && !others.addresses.contains(addr);
        all.addresses.iter().filter(gone).cloned().collect()
    };
    CountersMoved {
        since,
        moved: steps.into_iter().map(|(.., name, step)| (name.into(), step)).collect(),
        addresses_gone: without(before, after),
        addresses_came: without(after, before),
        neighbours: neighbours(before, after),
        left_out,
    }
}

/// Entries that mean something else than before, and last those that are merely new: whoever answered
/// first may be an impostor.
fn neighbours(before: &Counters, after: &Counters) -> Vec<Neighbour> {
    let was = |addr: &str| before.neighbours.iter().find(|known| known.addr == addr);
    let news = |now: &&Neighbour| match was(&now.addr) {
        Some(was) => was.is_failed() != now.is_failed() || (now.mac.is_some() && was.mac != now.mac),
        None => now.is_failed() || now.mac.is_some(),
    };
    let mut all: Vec<&Neighbour> = after.neighbours.iter().filter(news).collect();
    all.sort_by_key(|now| was(&now.addr).is_none() && !now.is_failed());
    all.into_iter().take(NEIGHBOURS_MAX).cloned().collect()
}

impl CountersMoved {
    /// Whether there is nothing to tell.
    pub fn is_empty(&self) -> bool {
        let unchanged =
            self.addresses_gone.is_empty() && self.addresses_came.is_empty() && self.neighbours.is_empty();
        self.moved.is_empty() && unchanged
    }
}

/// What the next line is told against: `after`, but with the older values of what `told`
/// left out and of groups that could not be read, so that no step is ever lost.
pub fn next_base(mut before: Counters, mut after: Counters, told: &CountersMoved) -> Counters {
    for (group, of, of_mut) in GROUPS {
        if of(&after).is_empty() {
            *of_mut(&mut after) = std::mem::take(of_mut(&mut before));
        } else if told.left_out > 0 && !of(&before).is_empty() {
            for (name, value) in of_mut(&mut after) {
                if !told.moved.contains_key(format!("{group}.{name}").as_str()) {
                    *value = of(&before).get(name).copied().unwrap_or(0);
                }
            }
        }
    }
    if after.unread.contains_key("addresses") && !before.unread.contains_key("addresses") {
        after.addresses = before.addresses;
        after.unread.remove("addresses");
    }
    after
}

/// Cuts facts down until their JSON is at most `bytes_max`: single queues' and then other
/// quiet counters of the driver, neighbours, interrupts, per-core counters. What was cut, and
/// how much, stands in `counters.unread`.
pub fn fit(facts: &mut HostFacts, bytes_max: usize) {
    const CUTS: [fn(&mut HostFacts); 6] =
        [cut_queues, cut_neighbours, cut_interrupts, cut_cores, cut_driver, cut_lists];
    for cut in CUTS {
        if serde_json::to_vec(facts).is_ok_and(|json| json.len() <= bytes_max) {
            return;
        }
        cut(facts);
    }
}

/// Entries of a list that stay when it is cut.
const ENTRIES_KEPT: usize = 32;

fn say(facts: &mut HostFacts, what: &str, left_out: usize) {
    if left_out > 0 {
        let why = format!("{left_out} more were read but have no room on a line");
        facts.counters.unread.insert(what.to_owned(), why);
    }
}

fn cut_map(map: &mut BTreeMap<String, u64>, keep: impl Fn(&str) -> bool) -> usize {
    let had = map.len();
    map.retain(|name, _| keep(&name.to_ascii_lowercase()));
    had - map.len()
}

fn cut_queues(facts: &mut HostFacts) {
    let of_all = |name: &str| !name.bytes().any(|byte| byte.is_ascii_digit());
    let cut = cut_map(&mut facts.counters.driver, |name| {
        of_all(name) || TROUBLE.iter().any(|word| name.contains(word))
    });
    say(facts, "driver (quiet counters of single queues)", cut);
}

fn cut_driver(facts: &mut HostFacts) {
    let had = facts.counters.driver.len();
    let kept = std::mem::take(&mut facts.counters.driver).into_iter().take(NAMES_MAX);
    facts.counters.driver = kept.collect();
    let left = had - facts.counters.driver.len();
    say(facts, "driver (more counters)", left);
}

fn cut_cores(facts: &mut HostFacts) {
    let cut = cut_map(&mut facts.counters.cpu, |name| name.starts_with("pressure."));
    say(facts, "cpu (single cores)", cut);
}

fn cut_list<T>(fact: &mut Fact<Vec<T>>) -> usize {
    let Fact::Known(list) = fact else { return 0 };
    let cut = list.len().saturating_sub(ENTRIES_KEPT);
    list.truncate(ENTRIES_KEPT);
    cut
}

fn cut_neighbours(facts: &mut HostFacts) {
    let cut = cut_list(&mut facts.card.neighbours);
    say(facts, "neighbours", cut);
}

fn cut_interrupts(facts: &mut HostFacts) {
    let cut = cut_list(&mut facts.card.interrupts);
    say(facts, "interrupts", cut);
}

fn cut_lists(facts: &mut HostFacts) {
    let cut = cut_list(&mut facts.kernels);
    say(facts, "kernels", cut);
    let cut = cut_list(&mut facts.dkms);
    say(facts, "dkms", cut);
    let cut = cut_list(&mut facts.card.addresses);
    say(facts, "addresses of the card", cut);
    let had = facts.counters.addresses.len();
    facts.counters.addresses.truncate(ENTRIES_KEPT);
    say(facts, "addresses", had.saturating_sub(ENTRIES_KEPT));
    let had = facts.card.lower.len();
    facts.card.lower.truncate(ENTRIES_KEPT);
    say(facts, "lower devices", had.saturating_sub(ENTRIES_KEPT));
}

#[cfg(test)]
mod tests;
