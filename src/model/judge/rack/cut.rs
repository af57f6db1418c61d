//! Two racks between which nothing passes for a while, and within which all does: their uplink's
//! silence, and no host's.
//!
//! # Rule
//!
//! Between two racks nothing passes in a tick in which at least [`LOST_MIN`] of the echoes from
//! one to the other are lost, and within both at most [`WITHIN_MAX`]. [`TICKS_MIN`] in a row are a
//! cut. A drop-off that lies in one, for the better part, and whose peers stand in the other rack is
//! explained by it, before any host is looked at: half of the fleet falls at once, and each of them
//! with several peers.
//!
//! # Source
//!
//! Five lost in a row of one observer are 1e-10 at 1 % loss (see `outage`); here all observers of a
//! rack lose them, and none within it.

use std::collections::{BTreeMap, BTreeSet};

use super::{Racks, crossing, map::WITHIN_MAX};
use crate::model::{
    fleet::{
        host::HostId,
        units::{SLOT_US, SLOTS_PER_S},
    },
    judge::{
        cause,
        falls::Fall,
        outage,
        seen::{Seen, probes::Asked},
        summary::{Finding, FindingKind, Severity},
    },
    record::probe::TICK_US,
};

/// Share of the echoes between two racks that are lost while nothing passes.
const LOST_MIN: f64 = 0.9;

/// Echoes across and within that must have been sent in a tick.
const ECHOES_MIN: u64 = 4;

/// Ticks in a row that make a cut: 600 ms.
const TICKS_MIN: u64 = 3;

/// Seconds for which nothing passes that are an outage (the contract's figure).
const LASTS_S: f64 = 1.0;

/// Slots of a tick.
const SLOTS: u64 = TICK_US / SLOT_US;

/// How long after a cut connections that lost everything in it come back: Linux sends a lost segment again
/// after up to twice as long as it has waited, and a lost SYN after 1 s (RFC 6298).
const AGAIN_SLOTS: u64 = 12;

/// Share of a drop-off that must lie in a cut, and of its peers that must stand beyond it.
const MOST: f64 = 0.5;

/// A while in which nothing passed between two racks.
#[derive(Clone, Debug, PartialEq)]
pub struct Cut {
    racks: (String, String),
    /// Its first slot.
    since: u64,
    /// The first slot after it.
    until: u64,
    /// Whether that was seen.
    ended: bool,
}

/// All cuts.
pub fn of(seen: &Seen) -> Vec<Cut> {
    let racks = Racks::of(seen);
    let names: BTreeSet<&String> = racks.names();
    let mut cuts = Vec::new();
    for a in &names {
        for b in names.range::<&String, _>(*a..).skip(1) {
            cuts.extend(between(seen, &racks, (a, b)));
        }
    }
    cuts
}

fn between(seen: &Seen, racks: &Racks, (a, b): (&String, &String)) -> Vec<Cut> {
    let rack = |host: &HostId| racks.rack(*host).filter(|rack| *rack == a || *rack == b);
    let theirs = seen.probes.pairs(Asked::Echo).filter(|(from, to)| rack(from).and(rack(to)).is_some());
    let (across, within): (Vec<_>, Vec<_>) = theirs.partition(|(from, to)| rack(from) != rack(to));
    let lost = |pairs: &[(HostId, HostId)], tick: u64| {
        let all = outage::answered(seen, pairs.iter().copied(), Asked::Echo, tick..tick + 1);
        (all.of >= ECHOES_MIN).then(|| (all.of - all.events) as f64 / all.of as f64)
    };
    // Hardly a tick loses all that crosses, and only then it matters what stays within.
    let severed = |tick: u64| {
        lost(&across, tick).is_some_and(|lost| lost >= LOST_MIN)
            && lost(&within, tick).is_some_and(|lost| lost <= WITHIN_MAX)
    };
    let mut runs: Vec<(u64, u64)> = Vec::new();
    for tick in (0..seen.probes.ticks()).filter(|tick| severed(*tick)) {
        match runs.last_mut() {
            Some((_, end)) if *end == tick => *end += 1,
            _ => runs.push((tick, tick + 1)),
        }
    }
    let cut = |(from, to): (u64, u64)| Cut {
        racks: (a.clone(), b.clone()),
        since: from * SLOTS,
        until: to * SLOTS,
        ended: to < seen.probes.ticks(),
    };
    runs.into_iter().filter(|(from, to)| to - from >= TICKS_MIN).map(cut).collect()
}

impl Cut {
    /// Whether a drop-off is its doing: that began in it, and lies in it and in others of `all` between the
    /// same racks for the better part.
    pub fn explains(&self, seen: &Seen, fall: &Fall, all: &[Self]) -> bool {
        let rack = |host: &HostId| seen.hosts.get(host.index()).and_then(|host| host.rack.as_ref());
        let beyond = match rack(&fall.host) {
            Some(own) if *own == self.racks.0 => &self.racks.1,
            Some(own) if *own == self.racks.1 => &self.racks.0,
            _ => return false,
        };
        let peers = fall.peers.iter().filter(|peer| rack(peer) == Some(beyond)).count();
        let end = fall.end().min(seen.latest.slot());
        let within = |cut: &Self| end.min(cut.until + AGAIN_SLOTS).saturating_sub(fall.since.max(cut.since));
        let inside: u64 = all.iter().filter(|cut| cut.racks == self.racks).map(within).sum();
        let began_in_it = self.since <= fall.since + SLOTS_PER_S && fall.since < self.until;
        peers as f64 > MOST * fall.peers.len() as f64
            && inside as f64 >= MOST * end.saturating_sub(fall.since) as f64
            && began_in_it
    }

    /// Whether it is long enough to be told by itself: in a storm what stays within racks goes on,
    /// and nobody falls.
    pub fn lasts(&self) -> bool {
        self.for_s() >= LASTS_S
    }

    fn for_s(&self) -> f64 {
        (self.until - self.since) as f64 / SLOTS_PER_S as f64
    }
}

/// Findings on cuts, one for each two racks.
pub fn findings<'a>(cuts: impl Iterator<Item = &'a Cut>) -> Vec<Finding> {
    let mut by_racks: BTreeMap<&(String, String), Vec<&Cut>> = BTreeMap::new();
    for cut in cuts {
        by_racks.entry(&cut.racks).or_default().push(cut);
    }
    let finding = |((a, b), cuts): (&(String, String), Vec<&Cut>)| {
        let longest = cuts.iter().map(|cut| cut.for_s()).fold(0.0, f64::max);
        let rest = if cuts.iter().all(|cut| cut.ended) { "" } else { ", the last to the end" };
        let text = format!(
            "nothing passed between rack {a} and rack {b}, {}, for up to {longest:.1} s{rest}, and all within them did: the way between them was cut, not a host; look at the uplink's ports, optics and members on both sides",
            cause::often(cuts.len()),
        );
        let mut finding = crossing(FindingKind::RackUplink, Severity::Fail, text, ("cut_longest_s", longest));
        finding.first_seen_s = cuts.iter().map(|cut| cut.since as f64 / SLOTS_PER_S as f64).reduce(f64::min);
        finding
    };
    by_racks.into_iter().map(finding).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{
        judge::{summary::Direction, tests::field::Field},
        plan::layout::StageKind,
    };

    /// Two racks of four that nobody loads for 8 s, in which echoes pass as told; ticks from 0.
    fn idle(passes: impl Fn(u16, u16, u64) -> bool) -> Field {
        let mut field = Field::with_racks(8, |id| Some(if id < 4 { "a" } else { "b" }.to_owned()));
        field.idle(StageKind::Load, 8, |from, to, tick| passes(from, to, tick).then_some(100));
        field
    }

    fn fall(host: u16, peers: &[u16], since: u64, until: u64) -> Fall {
        Fall {
            host: HostId(host),
            direction: Direction::Both,
            since,
            until: Some(until),
            round: 0,
            peers: peers.iter().map(|peer| HostId(*peer)).collect(),
            offered_bps: None,
            depth: 1.0,
        }
    }

    fn crosses(a: u16, b: u16) -> bool {
        (a < 4) != (b < 4)
    }

    #[test]
    fn what_crosses_a_cut_is_explained_by_it_and_what_does_not_is_not() {
        let field = idle(|a, b, tick| !(crosses(a, b) && (20..30).contains(&tick)));
        let mine = fall(1, &[5, 6], 41, 62);
        let cuts = of(&field.seen);
        assert_eq!(cuts.len(), 1);
        assert_eq!((cuts[0].since, cuts[0].until, cuts[0].ended), (40, 60, true));
        for (name, fall, want) in [
            ("both peers beyond", mine, true),
            ("from the other rack", fall(6, &[1], 39, 60), true),
            ("peers of its own rack", fall(1, &[2, 3], 41, 60), false),
            ("one of each", fall(1, &[2, 5], 41, 60), false),
            ("long before", fall(1, &[5, 6], 20, 60), false),
            ("for the most part after", fall(1, &[5, 6], 55, 90), false),
        ] {
            assert_eq!(cuts[0].explains(&field.seen, &fall, &cuts), want, "{name}");
        }
        assert_eq!(findings(cuts.iter())[0].first_seen_s, Some(4.0));
    }

    #[test]
    fn a_dead_host_or_rack_or_a_lost_echo_is_no_cut() {
        type Passes<'a> = &'a dyn Fn(u16, u16, u64) -> bool;
        let during = |tick: u64| (20..30).contains(&tick);
        let cases: [(&str, Passes<'_>); 4] = [
            ("a host", &|a, b, tick| !([a, b].contains(&1) && during(tick))),
            ("a rack", &|a, b, tick| !((a < 4 || b < 4) && during(tick))),
            ("400 ms", &|a, b, tick| !(crosses(a, b) && (20..22).contains(&tick))),
            ("half of it", &|a, b, tick| !(crosses(a, b) && (a + b) % 2 == 0 && during(tick))),
        ];
        for (name, passes) in cases {
            assert_eq!(of(&idle(passes).seen), [], "{name}");
        }
        let short = of(&idle(|a, b, tick| !(crosses(a, b) && (20..24).contains(&tick))).seen);
        assert!(short.len() == 1 && !short[0].lasts(), "{short:?}");
    }
}
