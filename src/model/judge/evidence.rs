//! What a host's own kernel says to a finding on it: counters, log lines, carrier, addresses.
//!
//! # Rule
//!
//! A finding is `corroborated` when something of that host alone says the same: of the same
//! boot, within the finding's window (2 s before to 5 s after each onset; the whole run for
//! findings that rest on it), and named for its kind in [`table`].
//!
//! *Of that host alone* means two things. First, it must not be a fact of a kernel that
//! several workers share: then its log, CPU and softnet corroborate nothing, while counters
//! of the interface and of the network namespace still do. Second, the rest of the fleet did
//! not do the same: the step must be more than [`FLEET_FACTOR`] times the upper quartile of
//! the other hosts' steps in the same window. The quartile, because a second sick host must
//! not hide the first; the factor, because nothing is said of who is merely busiest.
//!
//! Evidence never changes a verdict: it tells what a verdict may be shown with.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    explain::Explained,
    falls::Fall,
    seen::Seen,
    starved,
    summary::{Basis, Corroboration, Finding, FindingKind, Source},
};
use crate::model::{
    fleet::{host::HostId, units::RunTime},
    record::{
        facts::KernelLine,
        kernel_log::{self, Concerns, Meaning},
        line::LinkSeen,
    },
};

pub mod gather;
pub mod stages;
pub mod table;
#[cfg(test)]
mod tests;
mod window;

use gather::{Gathered, HostTold};
use table::{COUNTERS, CounterRule, Whose};
use window::Windows;

/// Items told with a finding; what corroborates stands first.
pub const ITEMS_MAX: usize = 8;

/// How much more than the fleet's upper quartile a step must be to be this host's own.
const FLEET_FACTOR: f64 = 4.0;

/// Counters of one rule that are named one by one.
const NAMES_SHOWN: usize = 3;

/// Something that a host's kernel says.
#[derive(Clone, Debug, PartialEq)]
struct Item {
    /// Whether it is of this host alone and speaks for the finding.
    corroborates: bool,
    source: Source,
    at: Option<RunTime>,
    text: String,
}

/// Gives every finding on a host what its kernel says to it.
pub fn attach(
    gathered: &Gathered<'_>,
    seen: &Seen,
    falls: &[Fall],
    explained: &Explained,
    findings: &mut BTreeMap<HostId, Vec<Finding>>,
) {
    for (host, all) in findings {
        let indices = explained.own.get(host).map_or(&[][..], Vec::as_slice);
        let own: Vec<&Fall> = indices.iter().map(|index| &falls[*index]).collect();
        let kinds: BTreeSet<FindingKind> = all.iter().map(|finding| finding.kind).collect();
        let windows: Vec<Windows> = all.iter().map(|finding| Windows::of(seen, finding, &own, all)).collect();
        for (finding, windows) in all.iter_mut().zip(windows) {
            let asked = Asked { seen, gathered, host: *host, windows, kinds: &kinds };
            let mut items = asked.items(finding.kind);
            // Stable: items of one moment keep the order of their sources.
            items.sort_by_key(|item| (!item.corroborates, item.at));
            items.truncate(ITEMS_MAX);
            if items.iter().any(|item| item.corroborates) {
                finding.evidence = Basis::Corroborated;
            }
            finding.corroboration = items
                .into_iter()
                .map(|item| Corroboration {
                    source: item.source,
                    at_s: item.at.map(RunTime::as_secs_f64),
                    text: item.text,
                })
                .collect();
        }
    }
}

/// One question: what is there on this host in these windows?
struct Asked<'a> {
    seen: &'a Seen,
    gathered: &'a Gathered<'a>,
    host: HostId,
    windows: Windows,
    /// All kinds found on this host.
    kinds: &'a BTreeSet<FindingKind>,
}

impl Asked<'_> {
    fn items(&self, kind: FindingKind) -> Vec<Item> {
        let mut items = Vec::new();
        if kind == FindingKind::HostLimited {
            items.extend(self.starved());
        }
        let Some(told) = self.gathered.host(self.host) else { return items };
        items.extend(self.carrier(told, kind));
        items.extend(self.addresses(told, kind));
        items.extend(self.kernel(told, kind));
        items.extend((0..COUNTERS.len()).filter_map(|place| self.counters(told, place, kind)));
        items.extend(self.mtu(told));
        items
    }

    /// Whether something was told in the boot in which the finding began.
    fn same_boot(&self, boot: &str) -> bool {
        let all: Vec<_> = self.seen.instances(self.host).collect();
        let then = all.iter().rev().find(|(at, _)| *at <= self.windows.onset).or(all.first());
        then.is_some_and(|(_, joined)| joined.boot_id == boot)
    }

    /// Whether a step is this host's own, given those of the others.
    fn is_own(step: f64, mut others: Vec<f64>) -> bool {
        others.sort_by(f64::total_cmp);
        // Nearest rank; of three others and fewer it is the largest. Without others nothing
        // can be said.
        let rank = (others.len() * 3).div_ceil(4);
        rank.checked_sub(1).and_then(|rank| others.get(rank)).is_some_and(|q3| step > FLEET_FACTOR * q3)
    }

    /// Seconds in which the worker's own threads were short of CPU.
    fn starved(&self) -> Option<Item> {
        let starved = starved::seconds(self.seen, self.host);
        let at = starved.first().map(|(at, _)| *at)?;
        let worst = starved
            .iter()
            .filter_map(|(_, state)| state.threads)
            .fold((0.0_f32, 0.0_f32), |a, b| (a.0.max(b.0), a.1.max(b.1)));
        Some(Item {
            corroborates: true,
            source: Source::Counter,
            at: Some(at),
            text: format!(
                "schedstat of its carrying threads: in {} s of the run up to {:.0} % of a core used and {:.0} % of the time waited for one",
                starved.len(),
                worst.0 * 100.0,
                worst.1 * 100.0
            ),
        })
    }

    /// Carrier that went, by the interface's own facts.
    fn carrier(&self, told: &HostTold<'_>, kind: FindingKind) -> Vec<Item> {
        let mut items = Vec::new();
        let links = told.links.iter().filter(|link| self.same_boot(link.boot));
        let mut before: Option<&LinkSeen> = None;
        for link in links {
            let lost = before.is_some_and(|before| {
                link.what.carrier_down > before.carrier_down || (before.carrier && !link.what.carrier)
            });
            if lost && self.windows.holds(link.at) {
                let was = before.map_or(0, |before| before.carrier_down);
                items.push(Item {
                    corroborates: matches!(kind, FindingKind::LinkDown | FindingKind::LinkFlap),
                    source: Source::Link,
                    at: Some(link.at),
                    text: format!(
                        "carrier lost: the interface counts {} losses, {was} before",
                        link.what.carrier_down
                    ),
                });
            }
            before = Some(link.what);
        }
        items
    }

    /// An MTU that its peers do not have: shown, as it is no event of this window.
    fn mtu(&self, told: &HostTold<'_>) -> Option<Item> {
        let own = told.links.last()?.what.mtu;
        let others: Vec<u32> = self
            .gathered
            .others(self.host)
            .filter_map(|(_, told)| Some(told.links.last()?.what.mtu))
            .collect();
        let usual = most_common(&others).filter(|usual| *usual != own && own != 0)?;
        let same = others.iter().filter(|mtu| **mtu == usual).count();
        // Half of the others and more: a fleet of mixed sizes has no usual one.
        (same * 2 >= others.len()).then(|| Item {
            corroborates: false,
            source: Source::Link,
            at: None,
            text: format!("its MTU is {own}, that of {same} of {} others {usual}", others.len()),
        })
    }

    fn addresses(&self, told: &HostTold<'_>, kind: FindingKind) -> Vec<Item> {
        let steps = told.counters.iter().filter(|step| {
            !step.what.addresses_gone.is_empty()
                && self.same_boot(step.boot)
                && self.windows.touches(step.what.since, step.at)
        });
        steps
            .map(|step| Item {
                corroborates: matches!(
                    kind,
                    FindingKind::Outage | FindingKind::OneWayDead | FindingKind::AddressLost
                ),
                source: Source::Address,
                at: Some(step.at),
                text: format!("its interface lost the address {}", step.what.addresses_gone.join(", ")),
            })
            .collect()
    }

    /// What moved of a rule's counters, and on this host alone.
    fn counters(&self, told: &HostTold<'_>, place: usize, kind: FindingKind) -> Option<Item> {
        let rule: &CounterRule = &COUNTERS[place];
        let own = self.moved(told, place, |boot| self.same_boot(boot));
        let at = own.first?;
        if own.step < rule.least {
            return None;
        }
        let others: Vec<f64> = self
            .gathered
            .others(self.host)
            .filter(|(_, told)| !told.counters.is_empty())
            .map(|(_, told)| self.moved(told, place, |_| true).step as f64)
            .collect();
        let shared = rule.whose == Whose::Kernel && self.seen.shares_kernel(self.host);
        let alone = Self::is_own(own.step as f64, others.clone()) && !shared;
        let speaks = rule.kinds.contains(&kind);
        // What all hosts do says nothing; what speaks for other findings is not this one's.
        if !alone || !(speaks || rule.kinds.is_empty()) {
            return None;
        }
        let fleet =
            super::robust::median(&others).map_or(String::new(), |m| format!(", {m:.0} on the others"));
        let mut names: Vec<String> =
            own.names.iter().take(NAMES_SHOWN).map(|(name, step)| format!("{name} +{step}")).collect();
        if own.names.len() > NAMES_SHOWN {
            names.push(format!("and {} more", own.names.len() - NAMES_SHOWN));
        }
        Some(Item {
            corroborates: speaks,
            source: Source::Counter,
            at: Some(at),
            text: format!("{}{fleet}: {}", names.join(", "), rule.says),
        })
    }

    fn moved<'b>(&self, told: &HostTold<'b>, place: usize, of_boot: impl Fn(&str) -> bool) -> Moved<'b> {
        let mut moved = Moved::default();
        for step in told.ruled.get(&place).into_iter().flatten() {
            // A counter that fell was reset with its driver, which says nothing by itself.
            if step.by > 0 && self.windows.touches(step.since, step.at) && of_boot(step.boot) {
                moved.step = moved.step.saturating_add(step.by);
                *moved.names.entry(step.name).or_default() += step.by;
                moved.first.get_or_insert(step.at);
            }
        }
        moved
    }

    /// Lines of the kernel's log, those of one meaning as one item.
    fn kernel(&self, told: &HostTold<'_>, kind: FindingKind) -> Vec<Item> {
        let shared = self.seen.shares_kernel(self.host);
        let mut groups: BTreeMap<Option<Meaning>, Lines<'_>> = BTreeMap::new();
        let card = self.gathered.card(self.seen, self.host);
        let lines =
            told.kernel.iter().filter(|line| self.same_boot(line.boot) && self.windows.holds(line.at));
        for line in lines {
            let known = line.what.known_of(&card);
            let named = matches!(
                kernel_log::concerns(&line.what.text, &card),
                Concerns::ThisCard | Concerns::ItsDriver
            );
            if known.is_none() && !named {
                continue;
            }
            let meaning = known.map(|known| known.meaning);
            let group = groups.entry(meaning).or_insert(Lines { first: line.what, known, count: 0 });
            group.count += 1;
        }
        let items = groups.into_values().map(|lines| {
            let speaks = lines.known.is_some_and(|known| self.speaks(known.meaning, &lines.first.text, kind));
            let alone = lines.known.is_some_and(|known| self.only_here(known.meaning, lines.count));
            let mut text = lines.text();
            if shared {
                text.push_str("; other workers share this kernel's log, so it proves nothing of this host");
            }
            Item {
                corroborates: speaks && alone && !shared,
                source: Source::Kernel,
                at: Some(lines.first.at),
                text,
            }
        });
        items.collect()
    }

    /// Whether a line of this meaning speaks for a finding of this kind.
    fn speaks(&self, meaning: Meaning, text: &str, kind: FindingKind) -> bool {
        match (meaning, kind) {
            // Late completions are a starved host's as well as a dying card's.
            (Meaning::CompletionsLate, _) if self.kinds.contains(&FindingKind::HostLimited) => false,
            // A link that came up slower than it was declared is slow for that reason.
            (Meaning::CarrierUp, FindingKind::FailSlow) => {
                let declared = self.seen.hosts.get(self.host.index()).and_then(|host| host.nic.speed_bps);
                kernel_log::speed_bps(text).zip(declared).is_some_and(|(now, declared)| now < declared)
            }
            _ => table::kinds_of(meaning).contains(&kind),
        }
    }

    /// Whether the logs of the others are silent of this meaning in the same windows.
    fn only_here(&self, meaning: Meaning, count: usize) -> bool {
        let others: Vec<f64> = self
            .gathered
            .others(self.host)
            .map(|(other, told)| {
                let card = self.gathered.card(self.seen, other);
                let same =
                    |text: &str| kernel_log::known_of(text, &card).is_some_and(|k| k.meaning == meaning);
                let in_windows = told.kernel.iter().filter(|line| self.windows.holds(line.at));
                in_windows.filter(|line| same(&line.what.text)).count() as f64
            })
            .collect();
        Self::is_own(count as f64, others)
    }
}

/// What moved of one rule's counters.
#[derive(Default)]
struct Moved<'a> {
    step: i64,
    names: BTreeMap<&'a str, i64>,
    first: Option<RunTime>,
}

/// Kernel lines of one meaning.
struct Lines<'a> {
    first: &'a KernelLine,
    known: Option<&'static kernel_log::Known>,
    count: usize,
}

impl Lines<'_> {
    fn text(&self) -> String {
        let more = if self.count > 1 { format!(" ({} such lines)", self.count) } else { String::new() };
        let meaning = match self.known {
            Some(known) if known.caveat.is_empty() => known.says.to_owned(),
            Some(known) => format!("{} ({})", known.says, known.caveat),
            None => "not classified".to_owned(),
        };
        format!("“{}”{more}: {meaning}", self.first.text)
    }
}

/// The value that most have; the smaller of two that are as common.
fn most_common(values: &[u32]) -> Option<u32> {
    let mut counts: BTreeMap<u32, usize> = BTreeMap::new();
    for value in values {
        *counts.entry(*value).or_default() += 1;
    }
    counts.into_iter().rev().max_by_key(|(_, count)| *count).map(|(value, _)| value)
}
