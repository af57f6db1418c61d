//! What moved in each stage, on one host and on the others: for the bundle, and for whoever
//! asks why a healthy-looking host was slow.

use std::collections::BTreeMap;

use serde::Serialize;

use super::{gather::Gathered, table, window::Windows};
use crate::model::{
    fleet::{
        host::HostId,
        units::{RunTime, SLOT_US},
    },
    judge::{robust, seen::Seen},
};

/// A stage, and what moved in it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct StageMoved {
    /// The stage's name.
    pub stage: String,
    /// Its first moment, seconds since the run's zero.
    pub from_s: f64,
    /// Its last.
    pub to_s: f64,
    /// Counters that moved on the host, by group and name.
    pub moved: BTreeMap<String, Step>,
    /// Addresses that its interface lost.
    pub addresses_gone: Vec<String>,
}

/// By how much a counter moved.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Step {
    /// On this host.
    pub step: i64,
    /// The median of the other hosts; null where none told its counters.
    pub others_median: Option<f64>,
    /// What it means, where that is known.
    pub says: Option<&'static str>,
}

/// What moved on a host, stage by stage. A step that reaches over the bound of two stages is
/// told in both.
pub fn moved(seen: &Seen, gathered: &Gathered<'_>, host: HostId) -> Vec<StageMoved> {
    let mut stages: BTreeMap<u16, (&str, u64, u64)> = BTreeMap::new();
    for round in &seen.rounds {
        let span = stages.entry(round.stage).or_insert((&round.stage_name, round.start, round.end));
        (span.1, span.2) = (span.1.min(round.start), span.2.max(round.end));
    }
    stages
        .into_values()
        .map(|(name, start, end)| {
            let (from, to) = (RunTime(start * SLOT_US), RunTime(end * SLOT_US));
            of_stage(gathered, host, name, from, to)
        })
        .collect()
}

fn of_stage(gathered: &Gathered<'_>, host: HostId, name: &str, from: RunTime, to: RunTime) -> StageMoved {
    let windows = Windows::span(from, to);
    let mut moved: BTreeMap<String, i64> = BTreeMap::new();
    let mut addresses_gone = Vec::new();
    let own = gathered.host(host).into_iter().flat_map(|told| &told.counters);
    for step in own.filter(|step| windows.touches(step.what.since, step.at)) {
        for (name, by) in &step.what.moved {
            let sum = moved.entry(name.to_string()).or_default();
            *sum = sum.saturating_add(*by);
        }
        addresses_gone.extend(step.what.addresses_gone.iter().cloned());
    }
    let of_others = |name: &str| -> Vec<f64> {
        let others = gathered.others(host).filter(|(_, told)| !told.counters.is_empty());
        others
            .map(|(_, told)| {
                let steps = told.counters.iter().filter(|step| windows.touches(step.what.since, step.at));
                steps.filter_map(|step| step.what.moved.get(name)).map(|by| *by as f64).sum()
            })
            .collect()
    };
    StageMoved {
        stage: name.to_owned(),
        from_s: from.as_secs_f64(),
        to_s: to.as_secs_f64(),
        moved: moved
            .into_iter()
            .map(|(name, step)| {
                let others_median = robust::median(&of_others(&name));
                let says = table::rule_of(&name).map(|rule| rule.says);
                (name, Step { step, others_median, says })
            })
            .collect(),
        addresses_gone,
    }
}
