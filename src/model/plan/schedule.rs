//! stub of the agreed interface
#![allow(missing_docs, clippy::all, clippy::pedantic, clippy::todo, unused, reason = "stub")]
use std::collections::BTreeMap;
use super::{draft::Faults, layout::{FlowId, Plan, PlannedRound, PlannedStage}, scenario::Scenario};
use crate::model::fleet::{host::{Host, HostId}, units::BitRate};
pub type Capacities = BTreeMap<HostId, (Option<BitRate>, Option<BitRate>)>;
/// Lays a scenario out: `reach`, `calibrate`, then its stages.
pub fn plan(scenario: &Scenario, hosts: &[Host], seed: u64) -> Result<Plan, Faults> { todo!() }
/// The rate of every paced flow of a stage, from measured capacities; a rate above what its ends can carry is a fault.
pub fn rates(stage: &PlannedStage, capacities: &Capacities) -> Result<BTreeMap<FlowId, BitRate>, Faults> { todo!() }
/// The load that a round plans for each host, to send and to receive, as shares of its capacity
/// in that direction (fair shares at both ends; unequal capacities unknown count as equal).
pub fn planned_load(round: &PlannedRound) -> BTreeMap<HostId, (f64, f64)> {
    let (mut out, mut into): (BTreeMap<HostId, u32>, BTreeMap<HostId, u32>) = Default::default();
    for f in &round.flows { *out.entry(f.from).or_default() += 1; *into.entry(f.to).or_default() += 1; }
    let mut load: BTreeMap<HostId, (f64, f64)> = BTreeMap::new();
    for f in &round.flows {
        let share = (1.0 / f64::from(out[&f.from])).min(1.0 / f64::from(into[&f.to]));
        load.entry(f.from).or_default().0 += share;
        load.entry(f.to).or_default().1 += share;
    }
    load
}
