//! Lays a scenario out for a fleet and a seed: rounds with their moments, and who probes whom.
//!
//! Deterministic: the same scenario, hosts and seed give the same plan. Which places send
//! to which is `pattern`'s work, how fast is `rates`'s.

use std::collections::BTreeMap;

use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;

use super::{
    carriage::{Carriage, FrameSize, Transport},
    dose::{Dose, Pattern, Rate, Ways},
    draft::{Fault, Faults},
    layout::{FlowId, Plan, PlannedFlow, PlannedRound, PlannedStage, StageKind},
    pattern,
    scenario::{Pair, Scenario, Stage},
};
use crate::model::fleet::{
    host::{Host, HostId, HostName},
    units::BitRate,
};

mod frames;
pub mod rates;

pub use frames::least as least_frame;
pub use rates::{planned_load, rates, rates_as_written};

/// By host: what calibration measured, to send and to receive.
pub type Capacities = BTreeMap<HostId, (Option<BitRate>, Option<BitRate>)>;

/// By host: the smallest frames a second that calibration measured, to send and to receive.
pub type FrameRates = BTreeMap<HostId, (Option<u32>, Option<u32>)>;

/// Rounds that a stage of pairs has at least: of three, localisation accuses healthy hosts;
/// of five, it did not in simulations (see `judge::slow`).
const PAIR_ROUNDS_MIN: usize = 5;

/// Rounds of a plan at most: every one is written to the record, judged and drawn.
const ROUNDS_MAX: u64 = 10_000;

/// Flows of a plan at most, over all its rounds: one storm of 1000 hosts. The whole plan is
/// held in memory and written to `run.json`, some 50 bytes a flow.
const FLOWS_MAX: u64 = 1_000_000;

/// Time in which every pair connects and echoes once.
const REACH_US: u64 = 2_000_000;

/// Length of a round of calibration: six slots, of which four lie behind slow start.
const CALIBRATE_US: u64 = 600_000;

/// Pause between rounds of calibration.
const CALIBRATE_GAP_US: u64 = 100_000;

/// Circle rounds of calibration for an even fleet: each host sends and receives with two
/// different partners, so that one sick partner does not set its capacity.
const CALIBRATE_ROUNDS: usize = 2;

/// Observers of each host's probes at least, where the fleet has so many (the contract's
/// figure).
const OBSERVERS_MIN: usize = 5;

/// Up to so many hosts everybody observes everybody.
const OBSERVE_ALL_MAX: usize = 9;

/// The same in the smallest frames: the fleet's median is what is wanted.
const CALIBRATE_FRAME_ROUNDS: usize = 1;

/// Lays a scenario out: `reach`, `calibrate`, then its stages; for a pair, `reach` and its
/// stages.
///
/// # Errors
///
/// If the fleet is too small for a pattern, or the plan would be too large to carry out.
pub fn plan(scenario: &Scenario, hosts: &[Host], seed: u64) -> Result<Plan, Faults> {
    super::draft::check_fleet(&scenario.name, scenario, hosts.len())?;
    check_size(scenario, hosts.len())?;
    frames::check(scenario, hosts)?;
    let racks = hosts.iter().filter_map(|host| Some((host.id, host.rack.as_deref()?))).collect();
    let draw = ChaCha8Rng::seed_from_u64(seed);
    let mut layout = Layout { hosts, racks, draw, next_flow: 1, stages: Vec::new(), probes: Vec::new() };
    layout.observe();
    layout.reach();
    if let Some(pair) = &scenario.pair {
        let ends = ends(scenario, pair, hosts)?;
        layout.probes.clear();
        scenario.stages.iter().for_each(|stage| layout.pair(stage, ends));
    } else {
        layout.calibrate(counts_frames(scenario));
        scenario.stages.iter().for_each(|stage| layout.stage(stage));
    }
    Ok(Plan { seed, stages: layout.stages, confirm_us: scenario.confirm_us })
}

/// Whether some rate is a share of the packet rate, so that calibration must measure that too.
fn counts_frames(scenario: &Scenario) -> bool {
    let mut doses = scenario.stages.iter().flat_map(|stage| &stage.steps);
    doses.any(|dose| matches!(dose.rate, Rate::PpsShare(_)))
}

/// A plan in the making.
struct Layout<'a> {
    hosts: &'a [Host],
    racks: BTreeMap<HostId, &'a str>,
    draw: ChaCha8Rng,
    next_flow: FlowId,
    stages: Vec<PlannedStage>,
    probes: Vec<(HostId, HostId)>,
}

impl Layout<'_> {
    /// Who probes whom, in all stages: the next few of a drawn order, so that racks mix.
    fn observe(&mut self) {
        let order = self.order();
        let n = order.len();
        let observers = if n <= OBSERVE_ALL_MAX { n - 1 } else { OBSERVERS_MIN };
        let pairs = (0..n).flat_map(|at| (1..=observers).map(move |step| (at, (at + step) % n)));
        self.probes = pairs.map(|(at, to)| (order[at], order[to])).collect();
        self.probes.sort_unstable();
    }

    fn reach(&mut self) {
        let round = PlannedRound {
            offset_us: 0,
            for_us: REACH_US,
            dose: unpaced(Pattern::Storm, Ways::BothWays, 1),
            flows: Vec::new(),
        };
        self.push("reach", StageKind::Reach, vec![round]);
    }

    /// Rounds of pairs as fast as they go; and where `frames` is asked for, once more in the
    /// smallest frames.
    fn calibrate(&mut self, frames: bool) {
        let dose = unpaced(Pattern::Pairs, Ways::OneWay, 2);
        let mut rounds = Vec::new();
        self.calibrate_by(&dose, CALIBRATE_ROUNDS + self.hosts.len() % 2, &mut rounds);
        if frames {
            let carriage = Carriage {
                transport: Transport::Udp,
                frame_size_bytes: Some(FrameSize::Bytes(frames::least(self.hosts))),
                ..Carriage::tcp(1)
            };
            let dose = Dose { carriage, ..unpaced(Pattern::Pairs, Ways::OneWay, 1) };
            self.calibrate_by(&dose, CALIBRATE_FRAME_ROUNDS + self.hosts.len() % 2, &mut rounds);
        }
        self.push("calibrate", StageKind::Calibrate, rounds);
    }

    fn calibrate_by(&mut self, dose: &Dose, matchings: usize, rounds: &mut Vec<PlannedRound>) {
        let order = self.order();
        let all = self.matrices(dose, &order);
        let circle = all.len() / 2;
        let wanted = matchings.min(circle);
        let chosen = (0..wanted).chain(circle..circle + wanted).map(|index| all[index].clone());
        for flows in chosen.collect::<Vec<_>>() {
            self.append(rounds, dose, flows, CALIBRATE_US, CALIBRATE_GAP_US);
        }
    }

    fn stage(&mut self, stage: &Stage) {
        let mut rounds = Vec::new();
        for dose in frames::resolved(&stage.steps, self.hosts) {
            for flows in self.traffic(stage, &dose) {
                self.append(&mut rounds, &dose, flows, stage.for_us, stage.gap_us);
            }
        }
        self.push(&stage.name, StageKind::Load, rounds);
    }

    /// Who sends to whom in each round of one dose.
    fn traffic(&mut self, stage: &Stage, dose: &Dose) -> Vec<Vec<(HostId, HostId)>> {
        let Some(wanted) = stage.matchings.filter(|_| dose.pattern == Pattern::Pairs) else {
            let repeats = 0..repeats(stage, dose, self.hosts.len());
            return repeats.flat_map(|_| self.pass(dose)).collect();
        };
        let wanted = usize::from(wanted) * usize::from(stage.repeat);
        let one_way = dose.ways == Ways::OneWay;
        let mut chosen = Vec::new();
        while chosen.len() < wanted {
            let mut there = self.pass(dose);
            there.truncate(if one_way { there.len() / 2 } else { there.len() });
            chosen.extend(there);
        }
        chosen.truncate(wanted);
        if one_way {
            let back = |flows: &Vec<(HostId, HostId)>| flows.iter().map(|(from, to)| (*to, *from)).collect();
            return chosen.into_iter().flat_map(|flows| [back(&flows), flows]).collect();
        }
        chosen
    }

    /// One pass of a pattern, in a fresh order of the hosts.
    fn pass(&mut self, dose: &Dose) -> Vec<Vec<(HostId, HostId)>> {
        let order = self.order();
        self.matrices(dose, &order)
    }

    /// One round for each dose, between two hosts alone.
    fn pair(&mut self, stage: &Stage, (from, to): (HostId, HostId)) {
        let mut rounds = Vec::new();
        for dose in &stage.steps {
            let mut flows = vec![(from, to)];
            flows.extend((dose.ways == Ways::BothWays).then_some((to, from)));
            self.append(&mut rounds, dose, flows, stage.for_us, stage.gap_us);
        }
        self.push(&stage.name, StageKind::Load, rounds);
    }

    /// A fresh order of the hosts: which host takes which place.
    fn order(&mut self) -> Vec<HostId> {
        let mut order: Vec<HostId> = self.hosts.iter().map(|host| host.id).collect();
        for last in (1..order.len()).rev() {
            order.swap(last, self.draw.random_range(0..=last));
        }
        order
    }

    fn matrices(&self, dose: &Dose, order: &[HostId]) -> Vec<Vec<(HostId, HostId)>> {
        let racks: Vec<Option<&str>> = order.iter().map(|id| self.racks.get(id).copied()).collect();
        pattern::rounds(dose.pattern, dose.ways, order.len(), &racks)
            .into_iter()
            .map(|flows| flows.into_iter().map(|(from, to)| (order[from], order[to])).collect())
            .collect()
    }

    fn append(
        &mut self,
        rounds: &mut Vec<PlannedRound>,
        dose: &Dose,
        flows: Vec<(HostId, HostId)>,
        for_us: u64,
        gap_us: u64,
    ) {
        let offset_us = rounds.last().map_or(0, |round: &PlannedRound| round.end_us() + gap_us);
        let first = self.next_flow;
        let flows: Vec<PlannedFlow> =
            (first..).zip(flows).map(|(flow, (from, to))| PlannedFlow { flow, from, to }).collect();
        self.next_flow += flows.len() as FlowId;
        rounds.push(PlannedRound { offset_us, for_us, dose: dose.clone(), flows });
    }

    fn push(&mut self, name: &str, kind: StageKind, rounds: Vec<PlannedRound>) {
        let index = self.stages.len() as u16;
        let probes = self.probes.clone();
        self.stages.push(PlannedStage { index, name: name.to_owned(), kind, rounds, probes });
    }
}

/// The numbers of a pair's hosts.
fn ends(scenario: &Scenario, pair: &Pair, hosts: &[Host]) -> Result<(HostId, HostId), Faults> {
    let fault = |wrong: String, help: String| Faults {
        of: scenario.name.clone(),
        faults: vec![Fault { line: None, key: "pair".to_owned(), wrong, help }],
    };
    let find = |name: &HostName| {
        hosts.iter().find(|host| host.name == *name).map(|host| host.id).ok_or_else(|| {
            let known: Vec<&str> = hosts.iter().map(|host| host.name.as_str()).collect();
            fault(format!("no host is called `{name}`"), format!("the fleet has {}", known.join(", ")))
        })
    };
    let (from, to) = (find(&pair.from)?, find(&pair.to)?);
    if from == to {
        return Err(fault(format!("`{}` cannot send to itself", pair.from), "name two hosts".to_owned()));
    }
    Ok((from, to))
}

fn unpaced(pattern: Pattern, ways: Ways, streams: u16) -> Dose {
    Dose { pattern, ways, rate: Rate::Unpaced, carriage: Carriage::tcp(streams) }
}

/// How often a stage runs a pattern: as written, and pairs at least five rounds.
fn repeats(stage: &Stage, dose: &Dose, n: usize) -> usize {
    let written = usize::from(stage.repeat);
    match dose.pattern {
        Pattern::Pairs => written.max(PAIR_ROUNDS_MIN.div_ceil(n - 1 + n % 2)),
        _ => written,
    }
}

/// Refuses a plan that is too large, before it is laid out.
fn check_size(scenario: &Scenario, n: usize) -> Result<(), Faults> {
    let (mut rounds, mut flows) = (0, 0);
    for stage in &scenario.stages {
        for dose in &stage.steps {
            let pass = pattern::size(dose.pattern, dose.ways, n);
            let (of_dose, of_pass) = match stage.matchings.filter(|_| dose.pattern == Pattern::Pairs) {
                None => (pass.0 * repeats(stage, dose, n) as u64, pass.0),
                Some(wanted) => {
                    let ways = if dose.ways == Ways::OneWay { 2 } else { 1 };
                    (u64::from(wanted) * u64::from(stage.repeat) * ways, pass.0)
                }
            };
            rounds += of_dose;
            flows += (pass.1 * of_dose).div_ceil(of_pass.max(1));
        }
    }
    let too_many = |count: u64, max: u64, what: &str| {
        let wrong = format!("comes to {count} {what} on {n} hosts, and a plan has at most {max}");
        let help = "use fewer repeats, steps or stages, or split the scenario or the fleet".to_owned();
        (count > max).then(|| Fault { line: None, key: "stage".to_owned(), wrong, help })
    };
    let faults: Vec<Fault> = too_many(rounds, ROUNDS_MAX, "rounds")
        .into_iter()
        .chain(too_many(flows, FLOWS_MAX, "flows"))
        .collect();
    if faults.is_empty() { Ok(()) } else { Err(Faults { of: scenario.name.clone(), faults }) }
}

#[cfg(test)]
mod tests;
