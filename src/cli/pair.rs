//! `nicburn pair`: a quick measurement between two hosts, as iperf3 is used.
//!
//! A run like any other, of one stage and without calibration; its record is written, and no
//! host is judged by it.

use anyhow::anyhow;

use super::{
    args::{PairArgs, PairLoad},
    drive::{self, Job},
    exit,
    failure::Failure,
    files, lab, output, record, run,
    screen::Look,
};
use crate::{
    model::{
        judge::pair::{Cut, Fold, PairReport},
        plan::{
            carriage::{Carriage, ReceiveMode, Transport},
            dose::{Dose, Pattern, Rate, Ways},
            scenario::{Pair, Scenario, Stage},
        },
        record::line::{Body, Ended},
    },
    report::pair,
};

pub(super) fn main(args: &PairArgs) -> Result<u8, Failure> {
    if args.from == args.to {
        return Err(Failure::usage(anyhow!("`{}` cannot send to itself", args.from)).help("name two hosts"));
    }
    let hosts = run::fleet_size(&args.fleet)?;
    let cut = Cut { interval_s: args.load.interval.into(), omit_s: args.load.omit.into() };
    let silent = args.printing.quiet || args.printing.json;
    let job = Job {
        policy: None,
        survey: false,
        fleet: run::fleet(&args.fleet, &args.lab, hosts)?,
        scenario: scenario(args),
        // Nothing is drawn: who sends to whom was typed.
        seed: 0,
        out: files::absolute(&args.out)?,
        shared: true,
        look: if silent { Look::Silent } else { Look::Pair(cut) },
    };
    let driven = drive::drive(job)?;
    let record = record::read(&driven.folder, &[])?;
    let mut fold = Fold::new(cut);
    record.lines.iter().for_each(|line| fold.feed(line));
    let ended = record.lines.iter().find_map(|line| match &line.body {
        Body::Closed { ended, .. } => Some(*ended),
        _ => None,
    });
    let report = fold.report();
    if let Some(report) = &report {
        let text = if args.printing.json { pair::pair_json(report) } else { pair::totals(report) };
        output::data(&text)?;
    }
    if !args.printing.quiet {
        output::note(&format!("record: {}", driven.folder.display()));
    }
    if let Some(lab) = driven.lab {
        lab::take_down(lab);
    }
    match (ended, &report) {
        (Some(Ended::Interrupted), _) => Ok(exit::INTERRUPTED),
        (_, None) => Err(Failure::failed(anyhow!("nothing was begun; see the record for what kept it"))),
        (_, Some(report)) => Ok(code(report)),
    }
}

/// Measured, or nothing arrived on some way.
fn code(report: &PairReport) -> u8 {
    let arrived = |bps: Option<u64>| bps.is_some_and(|bps| bps > 0);
    let all = !report.ways.is_empty() && report.ways.iter().all(|way| arrived(way.total.goodput_bps));
    if all { exit::OK } else { exit::INCONCLUSIVE }
}

fn scenario(args: &PairArgs) -> Scenario {
    let load = &args.load;
    let (from, to) = if load.reverse { (&args.to, &args.from) } else { (&args.from, &args.to) };
    let dose = Dose {
        pattern: Pattern::Pairs,
        ways: if load.bidir { Ways::BothWays } else { Ways::OneWay },
        rate: load.bitrate.map_or(Rate::Unpaced, Rate::Bps),
        carriage: carriage(load),
    };
    let stage = Stage {
        name: "pair".to_owned(),
        steps: vec![dose],
        for_us: u64::from(load.omit + load.time) * 1_000_000,
        repeat: 1,
        matchings: None,
        gap_us: 0,
    };
    Scenario {
        name: "pair".to_owned(),
        about: format!("How much goes from {from} to {to}?"),
        stages: vec![stage],
        confirm_us: 0,
        pair: Some(Pair { from: from.clone(), to: to.clone() }),
    }
}

fn carriage(load: &PairLoad) -> Carriage {
    let transport = match (load.udp, load.quic) {
        (true, _) => Transport::Udp,
        (_, true) => Transport::Quic,
        _ => Transport::Tcp,
    };
    let receive = if load.verify { ReceiveMode::Verify { one_in: 1 } } else { ReceiveMode::default() };
    Carriage {
        transport,
        receive,
        frame_size_bytes: load.frame_size,
        layout: load.layout.unwrap_or_default(),
        congestion_control: load.congestion.clone(),
        ..Carriage::tcp(load.parallel)
    }
}
