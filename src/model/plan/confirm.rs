//! Lays out the trying of suspects: each once more with partners that nothing tells against,
//! beside pairs of such hosts among themselves.
//!
//! # Rule
//!
//! Every suspect meets [`PARTNERS`] cleared partners, one after the other, under the dose that
//! brought its symptom out; all flows are new, so that they take new ports. In each round at
//! least one pair of cleared hosts does the same (the control arm): what shows there too is no
//! suspect's. What does not fit the time is not tried, and told as that.
//!
//! Who is suspected of what is the judge's; which dose shows a symptom is said by the wish.

use std::collections::BTreeMap;

use super::{
    dose::Dose,
    layout::{FlowId, PlannedFlow, PlannedRound, PlannedStage, StageKind},
};
use crate::model::fleet::host::{Host, HostId};

/// Cleared partners that each suspect meets, where there are so many (the contract's figure).
pub const PARTNERS: usize = 3;

/// Pause between rounds.
const GAP_US: u64 = 200_000;

/// Which way a suspect's flows go.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Tries {
    /// From the suspect.
    From,
    /// To the suspect.
    To,
    /// Both ways at once.
    Both,
    /// None: probes alone tell.
    Probes,
}

/// A dose under which a suspect is tried.
#[derive(Clone, Debug, PartialEq)]
pub struct Wish {
    /// What is put on the cards.
    pub dose: Dose,
    /// How long, microseconds.
    pub for_us: u64,
    /// Which way.
    pub tries: Tries,
}

/// A stage that tries suspects, and who is not tried.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Trying {
    /// The stage; `None` where nobody can be tried.
    pub stage: Option<PlannedStage>,
    /// Suspects that are not tried, or not with all that they are suspected of, and why.
    pub untried: BTreeMap<HostId, String>,
}

/// What a stage must fit into.
#[derive(Clone, Copy, Debug)]
pub struct Frame<'a> {
    /// The fleet.
    pub hosts: &'a [Host],
    /// Hosts that nothing tells against.
    pub cleared: &'a [HostId],
    /// Its place in the plan.
    pub index: u16,
    /// The first free number of a flow.
    pub first_flow: FlowId,
    /// How long it may take, microseconds.
    pub most_us: u64,
}

/// Lays out the trying of `suspects`, the gravest first, as long as the time lasts.
pub fn lay_out(suspects: &[(HostId, Vec<Wish>)], frame: Frame<'_>, probes: &[(HostId, HostId)]) -> Trying {
    let mut making = Making { frame, next_flow: frame.first_flow, rounds: Vec::new() };
    let mut trying = Trying::default();
    if frame.cleared.is_empty() {
        for (host, _) in suspects {
            trying.untried.insert(*host, "there is no host that nothing tells against".to_owned());
        }
        return trying;
    }
    for (wish, hosts) in grouped(suspects) {
        // One pair of cleared hosts is kept for the control, where there are so many.
        let at_once = frame.cleared.len().saturating_sub(2).max(1);
        for batch in hosts.chunks(at_once) {
            if !making.append(&wish, batch) {
                for host in batch {
                    trying.untried.insert(*host, "no time was left to try it".to_owned());
                }
            }
        }
    }
    let rounds = making.rounds;
    trying.stage = (!rounds.is_empty()).then(|| PlannedStage {
        index: frame.index,
        name: "confirm".to_owned(),
        kind: StageKind::Confirm,
        rounds,
        probes: probes.to_vec(),
    });
    trying
}

/// Wishes with all suspects that share them, in the order of their first.
fn grouped(suspects: &[(HostId, Vec<Wish>)]) -> Vec<(Wish, Vec<HostId>)> {
    let mut groups: Vec<(Wish, Vec<HostId>)> = Vec::new();
    for (host, wishes) in suspects {
        for wish in wishes {
            match groups.iter_mut().find(|(known, _)| known == wish) {
                Some((_, hosts)) if hosts.contains(host) => {}
                Some((_, hosts)) => hosts.push(*host),
                None => groups.push((wish.clone(), vec![*host])),
            }
        }
    }
    groups
}

struct Making<'a> {
    frame: Frame<'a>,
    next_flow: FlowId,
    rounds: Vec<PlannedRound>,
}

impl Making<'_> {
    /// One round for each partner; `false` where they do not fit the time.
    fn append(&mut self, wish: &Wish, suspects: &[HostId]) -> bool {
        let partners = if wish.tries == Tries::Probes { 1 } else { PARTNERS.min(self.frame.cleared.len()) };
        let length = partners as u64 * (wish.for_us + GAP_US);
        if self.end_us() + length > self.frame.most_us {
            return false;
        }
        for turn in 0..partners {
            let flows =
                if wish.tries == Tries::Probes { Vec::new() } else { self.flows(wish, suspects, turn) };
            let offset_us = if self.rounds.is_empty() { 0 } else { self.end_us() + GAP_US };
            self.rounds.push(PlannedRound { offset_us, for_us: wish.for_us, dose: wish.dose.clone(), flows });
        }
        true
    }

    fn end_us(&self) -> u64 {
        self.rounds.last().map_or(0, PlannedRound::end_us)
    }

    /// Every suspect with its partner of this turn, and who is left among themselves.
    fn flows(&mut self, wish: &Wish, suspects: &[HostId], turn: usize) -> Vec<PlannedFlow> {
        let mut free: Vec<HostId> = self.frame.cleared.to_vec();
        let mut pairs: Vec<(HostId, HostId)> = Vec::new();
        for (place, suspect) in suspects.iter().enumerate() {
            let wanted = self.partner(*suspect, place, turn);
            let Some(at) = free.iter().position(|host| *host == wanted) else { continue };
            pairs.push((*suspect, free.remove(at)));
        }
        pairs.extend(self.controls(&free));
        let flows: Vec<(HostId, HostId)> = pairs
            .into_iter()
            .flat_map(|(suspect, partner)| match wish.tries {
                Tries::From => vec![(suspect, partner)],
                Tries::To => vec![(partner, suspect)],
                Tries::Both => vec![(suspect, partner), (partner, suspect)],
                Tries::Probes => vec![],
            })
            .collect();
        let first = self.next_flow;
        self.next_flow += flows.len() as FlowId;
        (first..).zip(flows).map(|(flow, (from, to))| PlannedFlow { flow, from, to }).collect()
    }

    /// The partner of a suspect in a turn: of its own rack, where that has enough cleared hosts.
    fn partner(&self, suspect: HostId, place: usize, turn: usize) -> HostId {
        let near: Vec<HostId> =
            self.frame.cleared.iter().copied().filter(|host| self.is_near(suspect, *host)).collect();
        let of = if near.len() >= PARTNERS { &near } else { self.frame.cleared };
        of[(place + turn) % of.len()]
    }

    fn is_near(&self, a: HostId, b: HostId) -> bool {
        let rack = |id: HostId| {
            self.frame.hosts.iter().find(|host| host.id == id).and_then(|host| host.rack.as_deref())
        };
        rack(a) == rack(b)
    }

    /// Those who are left, two and two, within racks first.
    fn controls(&self, free: &[HostId]) -> Vec<(HostId, HostId)> {
        let mut left = free.to_vec();
        let mut pairs = Vec::new();
        while let Some(one) = left.pop() {
            let near = left.iter().rposition(|other| self.is_near(one, *other));
            let Some(at) = near.or(left.len().checked_sub(1)) else { break };
            pairs.push((one, left.remove(at)));
        }
        pairs
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{
        fleet::host::NicFacts,
        plan::{
            carriage::Carriage,
            dose::{Pattern, Rate, Ways},
        },
    };
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    fn fleet(n: u16, racks: bool) -> Vec<Host> {
        (0..n)
            .map(|id| Host {
                id: HostId(id),
                name: format!("h{}", id + 1).parse().expect("a name"),
                rack: racks.then(|| format!("r{}", id % 2)),
                nic: NicFacts::default(),
            })
            .collect()
    }

    fn wish(tries: Tries) -> Wish {
        let dose = Dose {
            pattern: Pattern::Pairs,
            ways: Ways::BothWays,
            rate: Rate::Unpaced,
            carriage: Carriage::tcp(2),
        };
        Wish { dose, for_us: 1_500_000, tries }
    }

    fn laid_out(n: u16, suspects: &[u16], racks: bool, most_us: u64) -> Trying {
        let hosts = fleet(n, racks);
        let cleared: Vec<HostId> = (0..n).filter(|id| !suspects.contains(id)).map(HostId).collect();
        let frame = Frame { hosts: &hosts, cleared: &cleared, index: 9, first_flow: 100, most_us };
        let suspects: Vec<(HostId, Vec<Wish>)> =
            suspects.iter().map(|id| (HostId(*id), vec![wish(Tries::Both)])).collect();
        lay_out(&suspects, frame, &[])
    }

    /// The partners that a suspect meets.
    fn partners(trying: &Trying, suspect: u16) -> Vec<u16> {
        let rounds = trying.stage.iter().flat_map(|stage| &stage.rounds);
        let flows = rounds.flat_map(|round| &round.flows).filter(|flow| flow.from == HostId(suspect));
        flows.map(|flow| flow.to.0).collect()
    }

    proptest! {
        /// For all fleets of five and more and one to three suspects: each meets three different
        /// cleared partners, every round has a control, nobody has two roles at once, and the
        /// numbers of flows are new.
        #[test]
        fn each_suspect_meets_three_cleared_partners_beside_a_control(n in 5u16..16, many in 1u16..4) {
            let suspects: Vec<u16> = (0..many.min(n - 4)).collect();
            let trying = laid_out(n, &suspects, false, 60_000_000);
            prop_assert!(trying.untried.is_empty());
            for suspect in &suspects {
                let met: BTreeSet<u16> = partners(&trying, *suspect).into_iter().collect();
                prop_assert_eq!(met.len(), PARTNERS);
                prop_assert!(met.iter().all(|partner| !suspects.contains(partner)));
            }
            let stage = trying.stage.expect("there is somebody to try");
            let mut numbers = BTreeSet::new();
            for round in &stage.rounds {
                let controls = round.flows.iter().filter(|flow| {
                    !suspects.contains(&flow.from.0) && !suspects.contains(&flow.to.0)
                });
                prop_assert!(controls.count() >= 2);
                let senders: Vec<HostId> = round.flows.iter().map(|flow| flow.from).collect();
                prop_assert_eq!(senders.iter().collect::<BTreeSet<_>>().len(), senders.len());
                for flow in &round.flows {
                    prop_assert!(numbers.insert(flow.flow) && flow.flow >= 100);
                }
            }
        }
    }

    #[test]
    fn of_three_hosts_both_others_are_met_without_a_control() {
        let trying = laid_out(3, &[1], false, 60_000_000);
        assert_eq!(partners(&trying, 1), [0, 2]);
    }

    #[test]
    fn partners_are_taken_from_the_suspect_s_own_rack() {
        let trying = laid_out(8, &[0], true, 60_000_000);
        assert!(partners(&trying, 0).iter().all(|partner| partner % 2 == 0), "{trying:?}");
    }

    #[test]
    fn who_does_not_fit_the_time_is_told() {
        let trying = laid_out(8, &[0], false, 5_000_000);
        assert_eq!(trying.stage, None);
        assert_eq!(trying.untried[&HostId(0)], "no time was left to try it");
        let trying = laid_out(2, &[0, 1], false, 60_000_000);
        assert!(trying.untried[&HostId(1)].contains("nothing tells against"), "{trying:?}");
    }
}
