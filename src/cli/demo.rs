//! `nicburn demo`: a fleet with one sick card, found without being told which.

use super::{
    args::{ControlPath, DemoArgs, LabArgs},
    drive::{self, Fleet, Job},
    failure::Failure,
    files, lab, output, scenarios,
    screen::Look,
    verdict,
};
use crate::{
    lab::{client::Lab, demo_fault},
    model::fleet::units::BitRate,
};

/// The rate of every demo link, Mb/s: eight at once stay within what two cores carry.
const LINK_MBPS: u64 = 60;

/// What the demo runs: every card saturated both ways for 20 s.
const SCENARIO: &str = "storm";

pub(super) fn main(args: &DemoArgs) -> Result<u8, Failure> {
    let seed = args.seed.unwrap_or_else(files::seed_of_the_clock);
    let spec = lab::spec(args.hosts, &shape())?;
    let faults = match args.fault.as_deref() {
        None => vec![demo_fault(seed, &spec)],
        Some("none") => vec![],
        Some(text) => lab::faults(&[text.to_owned()], args.hosts)?,
    };
    if !args.printing.quiet {
        output::note(&format!("demo: {} hosts at {LINK_MBPS} Mb/s, seed {seed}", args.hosts));
    }
    let mut scenario = scenarios::built_in(SCENARIO)?;
    "demo".clone_into(&mut scenario.name);
    let driven = drive::drive(Job {
        scenario,
        seed,
        out: files::absolute(&args.out)?,
        policy: None,
        survey: false,
        shared: false,
        look: Look::of(args.printing.quiet),
        fleet: Fleet::Lab { spec, faults },
    })?;
    let code = verdict::conclude(&driven.folder, &[], args.printing.json)?;
    output::note(&format!("report: {}", driven.folder.join("report.html").display()));
    if let Some(lab) = driven.lab {
        tell_truth(lab);
    }
    Ok(code)
}

fn shape() -> LabArgs {
    LabArgs {
        lab_rate: BitRate::from_mbps(LINK_MBPS),
        lab_mtu: 1500,
        racks: 1,
        uplink: None,
        control: ControlPath::InBand,
        ipv6: false,
        fault: vec![],
    }
}

/// What was wrong with the fleet, told by its holder now that the verdict is written.
fn tell_truth(lab: Lab) {
    match lab.status() {
        Ok(status) if status.faults.is_empty() => output::note("truth: nothing was broken in this lab"),
        Ok(status) => {
            output::note(&format!("truth: the lab had made {}", status.faults.join("; and ")));
        }
        Err(error) => output::note(&format!("truth: the lab no longer tells ({error})")),
    }
    lab::take_down(lab);
}
