//! What a round plans for each host, and the rates of its flows from what calibration measured.

use std::collections::BTreeMap;

use super::{Capacities, FrameRates};
use crate::model::{
    fleet::{host::HostId, units::BitRate},
    plan::{
        carriage::FRAME_MIN_BYTES,
        dose::{Dose, Rate},
        draft::{Fault, Faults},
        layout::{FlowId, PlannedFlow, PlannedRound, PlannedStage},
    },
};

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
            Rate::Share(_) | Rate::PpsShare(_) | Rate::Unpaced => None,
        })
        .collect()
}

/// What so many frames a second come to.
fn frames_rate(pps: u32, dose: &Dose) -> BitRate {
    let size = dose.carriage.frame_bytes().unwrap_or(FRAME_MIN_BYTES);
    BitRate::from_bps(u64::from(pps) * u64::from(size) * 8)
}

/// The rate of every paced flow of a stage, from measured capacities.
///
/// # Errors
///
/// If a rate in bits per second is above the fair share of the lesser of the flow's ends, or
/// calibration measured no capacity at all: a flow without a rate would run unpaced.
pub fn rates(
    stage: &PlannedStage,
    capacities: &Capacities,
    frames: &FrameRates,
) -> Result<BTreeMap<FlowId, BitRate>, Faults> {
    let mut rates = BTreeMap::new();
    let typical_frames = typical(frames.values().flat_map(|(tx, rx)| [*tx, *rx]));
    let mut narrowest: Option<(BitRate, Fault)> = None;
    let typical = typical(capacities.values().flat_map(|(tx, rx)| [*tx, *rx]));
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
                (Rate::PpsShare(share), _) => {
                    // Of the fleet's rate, not the host's own: a card that drops above some
                    // rate would lower its own ladder until nothing is dropped.
                    let host = typical_frames.ok_or_else(|| nothing_measured(stage))?;
                    let flows = out[&flow.from].max(into[&flow.to]);
                    let pps = (f64::from(host) * share / f64::from(flows)).max(1.0);
                    rates.insert(flow.flow, frames_rate(pps as u32, &round.dose));
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

/// The median of what is known.
fn typical<T: Ord + Copy>(all: impl Iterator<Item = Option<T>>) -> Option<T> {
    let mut known: Vec<T> = all.flatten().collect();
    known.sort_unstable();
    known.get(known.len() / 2).copied()
}
