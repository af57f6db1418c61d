//! `nicburn run --dry-run`: the plan as it would be run, and nothing sent.

use anyhow::Context as _;

use super::{args::RunArgs, exit, failure::Failure, lab, output};
use crate::{
    lab::spec::LabSpec,
    model::{
        fleet::{
            host::{Host, HostId, NicFacts},
            units::BitRate,
        },
        judge::sight,
        plan::{
            layout::{Plan, PlannedStage},
            scenario::Scenario,
            schedule,
        },
    },
};

/// What cards carry that are not known yet: what most servers have at least.
const USUAL_LINK: BitRate = BitRate::from_bps(1_000_000_000);

pub(super) fn main(scenario: &Scenario, hosts: u16, args: &RunArgs, seed: u64) -> Result<u8, Failure> {
    let lab = args.fleet.lab.map(|hosts| lab::spec(hosts, &args.lab)).transpose()?;
    let fleet = placeholders(hosts, lab.as_ref())?;
    let plan = schedule::plan(scenario, &fleet, seed).map_err(Failure::usage)?;
    if args.printing.json {
        let text =
            serde_json::to_string_pretty(&plan).context("cannot render the plan").map_err(Failure::failed)?;
        output::data(&format!("{text}\n"))?;
    } else {
        let link = lab.map_or(USUAL_LINK, |lab| lab.nic_rate);
        output::data(&format!(
            "{}\n{}\nnothing was sent\n",
            table(scenario, &plan, hosts),
            smallest(&sight::of(&plan, link), link)
        ))?;
    }
    Ok(exit::OK)
}

/// Hosts with the names that they will have as far as that is known before they come.
fn placeholders(hosts: u16, lab: Option<&LabSpec>) -> Result<Vec<Host>, Failure> {
    let prefix = if lab.is_some() { "h" } else { "expected-" };
    (0..hosts)
        .map(|number| {
            let name = format!("{prefix}{}", number + 1).parse().map_err(Failure::failed)?;
            let rack =
                lab.as_ref().filter(|lab| lab.racks > 1).map(|lab| format!("r{}", lab.rack(number + 1)));
            Ok(Host { id: HostId(number), name, rack, nic: NicFacts::default() })
        })
        .collect()
}

fn table(scenario: &Scenario, plan: &Plan, hosts: u16) -> String {
    let again = match plan.confirm_us {
        0 => String::new(),
        us => format!(", and up to {:.0} s to try suspects again", us as f64 / 1e6),
    };
    let stages: String = plan.stages.iter().map(stage_line).collect();
    format!(
        "{}: {}\n{hosts} hosts, seed {}, {:.1} s of rounds{again}; what is unfinished after {:.0} s is given up\n\n\
         {:<16} {:>6} {:>7} {:>8}  {:<10} {:>7}  load planned for a host, out and in\n{stages}",
        scenario.name,
        scenario.about,
        plan.seed,
        plan.length().as_secs_f64(),
        plan.length_max().as_secs_f64(),
        "stage",
        "rounds",
        "flows",
        "seconds",
        "pattern",
        "streams",
    )
}

/// The smallest fault of each kind that the plan sees.
fn smallest(rows: &[sight::Row], link: BitRate) -> String {
    let width = rows.iter().map(|row| row.kinds.len() + 1).max().unwrap_or(0);
    let lines = rows.iter().map(|row| {
        let least = row.least.as_deref().unwrap_or("not seen: no stage is for it");
        format!("{:<width$} {least}\n", row.kinds)
    });
    format!(
        "{:<width$} the smallest that is seen, of cards of {link}\n{}",
        "finding",
        lines.collect::<Vec<_>>().concat()
    )
}

fn stage_line(stage: &PlannedStage) -> String {
    let flows: usize = stage.rounds.iter().map(|round| round.flows.len()).sum();
    let pattern = stage.rounds.first().map_or("-", |round| round.dose.pattern.name());
    let streams = stage.rounds.iter().map(|round| round.dose.carriage.streams).max().unwrap_or(0);
    format!(
        "{:<16} {:>6} {flows:>7} {:>8.1}  {pattern:<10} {streams:>7}  {}\n",
        stage.name,
        stage.rounds.len(),
        stage.length().as_secs_f64(),
        load(stage),
    )
}

/// The least and the most that any host gets in any round in which it takes part.
fn load(stage: &PlannedStage) -> String {
    let mut shares: [Vec<f64>; 2] = [vec![], vec![]];
    for (tx, rx) in stage.rounds.iter().flat_map(|round| schedule::planned_load(round).into_values()) {
        shares[0].push(tx);
        shares[1].push(rx);
    }
    let span = |shares: &[f64]| {
        let busy = shares.iter().copied().filter(|share| *share > 0.0);
        let most = busy.clone().fold(0.0, f64::max);
        let least = busy.fold(most, f64::min);
        if most - least < 0.005 {
            format!("{:.0} %", most * 100.0)
        } else {
            format!("{:.0}-{:.0} %", least * 100.0, most * 100.0)
        }
    };
    format!("{}, {}", span(&shares[0]), span(&shares[1]))
}
