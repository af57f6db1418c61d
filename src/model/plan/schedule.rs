//! Lays a scenario out for a fleet and a seed: rounds with their moments, rates, loads.
//!
//! Deterministic: the same scenario, hosts and seed give the same plan. Which places send
//! to which is `pattern`'s work.

use std::collections::BTreeMap;

use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;

use super::{
    carriage::{Carriage, FRAME_MIN_BYTES},
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

/// By host: what calibration measured, to send and to receive.
pub type Capacities = BTreeMap<HostId, (Option<BitRate>, Option<BitRate>)>;

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

/// Lays a scenario out: `reach`, `calibrate`, then its stages; for a pair, `reach` and its
/// stages.
///
/// # Errors
///
/// If the fleet is too small for a pattern, or the plan would be too large to carry out.
pub fn plan(scenario: &Scenario, hosts: &[Host], seed: u64) -> Result<Plan, Faults> {
    super::draft::check_fleet(&scenario.name, scenario, hosts.len())?;
    check_size(scenario, hosts.len())?;
    let racks = hosts.iter().filter_map(|host| Some((host.id, host.rack.as_deref()?))).collect();
    let mut layout =
        Layout { hosts, racks, draw: ChaCha8Rng::seed_from_u64(seed), next_flow: 1, stages: Vec::new() };
    layout.reach();
    if let Some(pair) = &scenario.pair {
        let ends = ends(scenario, pair, hosts)?;
        scenario.stages.iter().for_each(|stage| layout.pair(stage, ends));
    } else {
        layout.calibrate();
        scenario.stages.iter().for_each(|stage| layout.stage(stage));
    }
    Ok(Plan { seed, stages: layout.stages })
}

/// A plan in the making.
struct Layout<'a> {
    hosts: &'a [Host],
    racks: BTreeMap<HostId, &'a str>,
    draw: ChaCha8Rng,
    next_flow: FlowId,
    stages: Vec<PlannedStage>,
}

impl Layout<'_> {
    fn reach(&mut self) {
        let round = PlannedRound {
            offset_us: 0,
            for_us: REACH_US,
            dose: unpaced(Pattern::Storm, Ways::BothWays, 1),
            flows: Vec::new(),
        };
        self.push("reach", StageKind::Reach, vec![round]);
    }

    fn calibrate(&mut self) {
        let dose = unpaced(Pattern::Pairs, Ways::OneWay, 2);
        let order = self.order();
        let all = self.matrices(&dose, &order);
        let circle = all.len() / 2;
        let wanted = (CALIBRATE_ROUNDS + self.hosts.len() % 2).min(circle);
        let chosen = (0..wanted).chain(circle..circle + wanted).map(|index| all[index].clone());
        let mut rounds = Vec::new();
        for flows in chosen.collect::<Vec<_>>() {
            self.append(&mut rounds, &dose, flows, CALIBRATE_US, CALIBRATE_GAP_US);
        }
        self.push("calibrate", StageKind::Calibrate, rounds);
    }

    fn stage(&mut self, stage: &Stage) {
        let mut rounds = Vec::new();
        for dose in &stage.steps {
            for _ in 0..repeats(stage, dose, self.hosts.len()) {
                let order = self.order();
                for flows in self.matrices(dose, &order) {
                    self.append(&mut rounds, dose, flows, stage.for_us, stage.gap_us);
                }
            }
        }
        self.push(&stage.name, StageKind::Load, rounds);
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
        self.stages.push(PlannedStage { index, name: name.to_owned(), kind, rounds });
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
            let repeats = repeats(stage, dose, n) as u64;
            rounds += pass.0 * repeats;
            flows += pass.1 * repeats;
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

/// Flows that each host of a round sends and receives.
fn degrees(round: &PlannedRound) -> (BTreeMap<HostId, u32>, BTreeMap<HostId, u32>) {
    let (mut out, mut into) = (BTreeMap::new(), BTreeMap::new());
    for flow in &round.flows {
        *out.entry(flow.from).or_insert(0) += 1;
        *into.entry(flow.to).or_insert(0) += 1;
    }
    (out, into)
}

/// The load that a round plans for each host, to send and to receive, as shares of its
/// capacity in that direction; unequal capacities count as equal.
pub fn planned_load(round: &PlannedRound) -> BTreeMap<HostId, (f64, f64)> {
    let (out, into) = degrees(round);
    let mut load: BTreeMap<HostId, (f64, f64)> = BTreeMap::new();
    for flow in &round.flows {
        let share = (1.0 / f64::from(out[&flow.from])).min(1.0 / f64::from(into[&flow.to]));
        load.entry(flow.from).or_default().0 += share;
        load.entry(flow.to).or_default().1 += share;
    }
    load
}

/// The rate of every paced flow of a stage, where nothing was calibrated: as written.
pub fn rates_as_written(stage: &PlannedStage) -> BTreeMap<FlowId, BitRate> {
    let flows = stage.rounds.iter().flat_map(|round| round.flows.iter().map(move |flow| (flow, &round.dose)));
    flows
        .filter_map(|(flow, dose)| match dose.rate {
            Rate::Bps(rate) => Some((flow.flow, rate)),
            Rate::Pps(pps) => Some((flow.flow, frames_rate(pps, dose))),
            Rate::Share(_) | Rate::Unpaced => None,
        })
        .collect()
}

/// What so many frames a second come to.
fn frames_rate(pps: u32, dose: &Dose) -> BitRate {
    let size = dose.carriage.frame_size_bytes.unwrap_or(FRAME_MIN_BYTES);
    BitRate::from_bps(u64::from(pps) * u64::from(size) * 8)
}

/// The rate of every paced flow of a stage, from measured capacities.
///
/// # Errors
///
/// If a rate in bits per second is above the fair share of the lesser of the flow's ends, or
/// calibration measured no capacity at all: a flow without a rate would run unpaced.
pub fn rates(stage: &PlannedStage, capacities: &Capacities) -> Result<BTreeMap<FlowId, BitRate>, Faults> {
    let mut rates = BTreeMap::new();
    let mut narrowest: Option<(BitRate, Fault)> = None;
    let typical = typical(capacities);
    for round in &stage.rounds {
        let (out, into) = degrees(round);
        for flow in &round.flows {
            let of = |host: &HostId| capacities.get(host).copied().unwrap_or_default();
            let tx = of(&flow.from).0.or(of(&flow.to).1).or(typical);
            let rx = of(&flow.to).1.or(of(&flow.from).0).or(typical);
            let fair = tx.zip(rx).map(|(tx, rx)| {
                let tx = tx.scaled(1.0 / f64::from(out[&flow.from]));
                tx.min(rx.scaled(1.0 / f64::from(into[&flow.to])))
            });
            match (round.dose.rate, fair) {
                (Rate::Share(share), Some(fair)) => {
                    rates.insert(flow.flow, fair.scaled(share));
                }
                // The narrowest flow is told: what fits it fits all, so its way out is one.
                (Rate::Bps(rate), Some(fair)) if rate > fair => {
                    if narrowest.as_ref().is_none_or(|(least, _)| fair < *least) {
                        narrowest = Some((fair, too_fast(stage, *flow, rate, fair)));
                    }
                }
                (Rate::Bps(rate), Some(_)) => {
                    rates.insert(flow.flow, rate);
                }
                // Small frames end at a packet rate that calibration by bytes says nothing of.
                (Rate::Pps(pps), _) => {
                    rates.insert(flow.flow, frames_rate(pps, &round.dose));
                }
                (Rate::Share(_) | Rate::Bps(_), None) => return Err(nothing_measured(stage)),
                (Rate::Unpaced, _) => {}
            }
        }
    }
    match narrowest {
        None => Ok(rates),
        Some((_, fault)) => Err(Faults { of: stage.name.clone(), faults: vec![fault] }),
    }
}

fn nothing_measured(stage: &PlannedStage) -> Faults {
    let fault = Fault {
        line: None,
        key: format!("{}.rate", stage.name),
        wrong: "no host's capacity is known: nothing arrived anywhere in calibration".to_owned(),
        help: "see `reach` in the record for what keeps the hosts from each other".to_owned(),
    };
    Faults { of: stage.name.clone(), faults: vec![fault] }
}

/// The greatest rate of three digits that is not above `rate`: what is printed must not be
/// rounded up to a rate that is refused again.
fn rounded_down(rate: BitRate) -> BitRate {
    let step = 10u64.pow(rate.bps().checked_ilog10().unwrap_or(0).saturating_sub(2));
    BitRate::from_bps(rate.bps() / step * step)
}

fn too_fast(stage: &PlannedStage, flow: PlannedFlow, rate: BitRate, fair: BitRate) -> Fault {
    Fault {
        line: None,
        key: format!("{}.rate", stage.name),
        wrong: format!(
            "{rate} a flow is more than host {} to host {} can carry, {fair} by calibration",
            flow.from.0 + 1,
            flow.to.0 + 1
        ),
        help: format!("use at most \"{}\", or a share such as \"50 %\"", rounded_down(fair)),
    }
}

/// The median of all known capacities.
fn typical(capacities: &Capacities) -> Option<BitRate> {
    let mut known: Vec<BitRate> = capacities.values().flat_map(|(tx, rx)| [*tx, *rx]).flatten().collect();
    known.sort_unstable();
    known.get(known.len() / 2).copied()
}

#[cfg(test)]
mod tests;
