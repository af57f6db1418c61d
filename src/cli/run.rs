//! `nicburn run`: a scenario on a fleet, and the verdict on every host.

use std::net::SocketAddr;

use anyhow::anyhow;

use super::{
    args::{FleetArgs, LabArgs, RunArgs},
    audit,
    drive::{self, Door, Fleet, Job},
    dry_run,
    failure::Failure,
    files, lab, output, overrides, scenarios,
    screen::Look,
    verdict,
};
use crate::model::plan::draft;

pub(super) fn main(args: &RunArgs) -> Result<u8, Failure> {
    let scenario = overrides::apply(args.overrides, scenarios::load(&args.scenario)?);
    let seed = args.seed.unwrap_or_else(files::seed_of_the_clock);
    let hosts = fleet_size(&args.fleet)?;
    draft::check_fleet(&args.scenario, &scenario, usize::from(hosts)).map_err(Failure::usage)?;
    if args.dry_run {
        return dry_run::main(&scenario, hosts, args, seed);
    }
    let policy = args.policy.as_deref().map(audit::policy).transpose()?;
    let job = Job {
        fleet: fleet(&args.fleet, &args.lab, hosts)?,
        scenario,
        seed,
        out: files::absolute(&args.out)?,
        policy,
        survey: false,
        shared: args.shared,
        look: Look::of(args.printing.quiet),
    };
    let driven = drive::drive(job)?;
    let code = verdict::conclude(&driven.folder, &[], args.printing.json)?;
    if !args.printing.quiet {
        output::note(&format!("report: {}", driven.folder.join("report.html").display()));
    }
    if let Some(lab) = driven.lab {
        lab::take_down(lab);
    }
    Ok(code)
}

/// How many hosts are planned.
pub(super) fn fleet_size(fleet: &FleetArgs) -> Result<u16, Failure> {
    fleet.lab.or(fleet.expect_workers).ok_or_else(|| {
        Failure::usage(anyhow!("no fleet is given"))
            .help("use `--lab N` for one on this machine")
            .help("or `--listen ADDR:PORT --join-file FILE --expect-workers N` for workers that you start")
    })
}

/// The fleet as it was typed.
pub(super) fn fleet(fleet: &FleetArgs, shape: &LabArgs, hosts: u16) -> Result<Fleet, Failure> {
    if fleet.lab.is_some() {
        let faults = lab::faults(&shape.fault, hosts)?;
        return Ok(Fleet::Lab { spec: lab::spec(hosts, shape)?, faults });
    }
    if !shape.fault.is_empty() {
        return Err(Failure::usage(anyhow!("--fault breaks a lab, and there is none"))
            .help("use it with `--lab N`; real cards are never broken on purpose"));
    }
    door(fleet, hosts).map(Fleet::Workers)
}

fn door(fleet: &FleetArgs, hosts: u16) -> Result<Door, Failure> {
    let missing = |flag: &str, why: &str| {
        Failure::usage(anyhow!("`{flag}` is missing")).help(format!("with `--expect-workers`, it {why}"))
    };
    let listen: SocketAddr =
        fleet.listen.ok_or_else(|| missing("--listen ADDR:PORT", "says where workers come in"))?;
    let join_file = fleet
        .join_file
        .as_deref()
        .ok_or_else(|| missing("--join-file FILE", "says where to write what workers need to join"))?;
    let min_workers = fleet.min_workers.unwrap_or(hosts);
    if min_workers > hosts {
        let error = anyhow!("--min-workers {min_workers} is more than --expect-workers {hosts}");
        return Err(Failure::usage(error).help("it says with how few a run may begin"));
    }
    Ok(Door {
        listen,
        advertise: fleet.advertise,
        join_file: files::absolute(join_file)?,
        expect: usize::from(hosts),
        min_workers: usize::from(min_workers),
        wait: fleet.wait,
    })
}
