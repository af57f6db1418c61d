//! What a plan can see at all: kind by kind the smallest fault, before anything is sent.
//!
//! The figures are the detectors' own constants, met with what the plan puts on each host. What
//! a plan has no rounds for is told as not seen: a pass says nothing of it.

use std::collections::{BTreeMap, BTreeSet};

use super::{degrading, loss, measured::SATURATES, new_flows, slow, stalls};
use crate::model::{
    fleet::{host::HostId, units::BitRate},
    plan::{
        carriage::{FrameSize, ReceiveMode, Transport},
        dose::{Pattern, Rate, Ways},
        layout::{Plan, PlannedRound, StageKind},
    },
};

/// Bytes of a full frame of the usual MTU.
const FULL_FRAME_BYTES: f64 = 1514.0;

/// A kind of fault, and the smallest of it that is seen.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// Kinds of findings.
    pub kinds: &'static str,
    /// In words; `None` where the plan does not see it at all.
    pub least: Option<String>,
}

/// What a plan sees of cards of a rate.
pub fn of(plan: &Plan, link: BitRate) -> Vec<Row> {
    let rounds: Vec<&PlannedRound> = plan
        .stages
        .iter()
        .filter(|stage| stage.kind == StageKind::Load)
        .flat_map(|stage| &stage.rounds)
        .collect();
    let ways = fewest_ways(plan);
    let row = |kinds: &'static str, least: Option<String>| Row { kinds, least };
    let in_tables = || Some("any that stands in a host's own tables, read each second".to_owned());
    let probes = |least: &str| (ways > 0).then(|| least.to_owned());
    vec![
        row("dies_under_load", dying(&rounds)),
        row("outage, one_way_dead", probes("a silence of 1 s, at any load, and the way that is dead")),
        row("packet_loss", lost(&rounds, link)),
        row("loss_above_rate", ladder(&rounds)),
        row("mtu_black_hole", sizes(&rounds)),
        row("reordering, duplication", numbered(&rounds).then(|| "1 packet of 1,000".to_owned())),
        row("corruption", compared(&rounds)),
        row("dead_queue, new_flows_refused", connections(&rounds)),
        row("fail_slow", slowness(&rounds)),
        row("degrading", decline(&rounds)),
        row("latency", probes(LATER)),
        row("latency_under_load", half_loaded(&rounds).then(|| probes(LATER)).flatten()),
        row(
            "stalls",
            probes(&format!("pauses of {} ms and more, if they come again", stalls::shortest_ms(ways))),
        ),
        row(
            "link_down, link_flap",
            Some("a lost carrier, by the kernel's own count; twice to fail".to_owned()),
        ),
        row("address_lost, neighbour_failure", in_tables()),
        row("duplicate_address, mtu_mismatch", in_tables()),
        row("path, rack_uplink", Some(between(&rounds))),
    ]
}

/// On how many ways the host that is probed on fewest asks others or is asked by them.
fn fewest_ways(plan: &Plan) -> usize {
    let asked: BTreeSet<(HostId, HostId)> =
        plan.stages.iter().flat_map(|stage| &stage.probes).copied().collect();
    let mut ways: BTreeMap<HostId, usize> = BTreeMap::new();
    for host in asked.iter().flat_map(|(observer, target)| [observer, target]) {
        *ways.entry(*host).or_default() += 1;
    }
    ways.into_values().min().unwrap_or(0)
}

/// What is late, by the detector's own figures.
const LATER: &str = "answers that take three times what the fleet's do at most, and 1 ms more";

/// Whether probes meet traffic that healthy cards carry without a queue.
fn half_loaded(rounds: &[&PlannedRound]) -> bool {
    rounds.iter().any(|round| matches!(round.dose.rate, Rate::Share(_)))
}

/// What can be told of ways between hosts.
fn between(rounds: &[&PlannedRound]) -> String {
    let ends = rounds.iter().flat_map(|round| &round.flows).flat_map(|flow| [flow.from, flow.to]);
    match ends.collect::<BTreeSet<_>>().len() {
        0..=2 => "whatever is above: of two hosts nobody can tell which end it is",
        _ => "the same between two hosts alone, or, where workers name racks, of all that crosses",
    }
    .to_owned()
}

fn seconds(round: &PlannedRound) -> f64 {
    round.for_us as f64 / 1e6
}

/// Flows that the busiest host has in a round, out and in.
fn flows_of_a_host(round: &PlannedRound) -> usize {
    let count = |host| round.flows.iter().filter(|flow| flow.from == host || flow.to == host).count();
    round.flows.iter().map(|flow| count(flow.from)).max().unwrap_or(0)
}

fn dying(rounds: &[&PlannedRound]) -> Option<String> {
    let full = |both: bool| {
        let longest = rounds.iter().filter(|round| round.dose.saturates()).filter(|round| {
            let loads = crate::model::plan::schedule::planned_load(round).into_values();
            loads
                .into_iter()
                .any(|(tx, rx)| if both { tx.min(rx) >= SATURATES } else { tx.max(rx) >= SATURATES })
        });
        longest.map(|round| seconds(round)).reduce(f64::max)
    };
    let streams = |round: &&&PlannedRound| flows_of_a_host(round) * usize::from(round.dose.carriage.streams);
    let most = rounds.iter().filter(|round| round.dose.saturates()).map(|round| streams(&round)).max()?;
    let one = full(false)?;
    let both = full(true)
        .map_or("never both ways at once".to_owned(), |both| format!("{both:.1} s both ways at once"));
    Some(format!("a death within {one:.1} s of full rate; {both}; up to {most} streams"))
}

fn lost(rounds: &[&PlannedRound], link: BitRate) -> Option<String> {
    let packets = rounds.iter().filter(|round| round.dose.pattern == Pattern::Pairs).filter_map(|round| {
        let Rate::Share(share) = round.dose.rate else { return None };
        Some(share * link.bps() as f64 / 8.0 / FULL_FRAME_BYTES * seconds(round))
    });
    // Each host sends in every other round, or in each both ways: the lesser is taken.
    let packets = packets.sum::<f64>() / 2.0;
    (packets > 0.0).then(|| format!("{:.2} % on one side of a host", loss::resolution(packets) * 100.0))
}

fn ladder(rounds: &[&PlannedRound]) -> Option<String> {
    let shares = rounds.iter().filter_map(|round| match round.dose.rate {
        Rate::PpsShare(share) => Some(share * 100.0),
        _ => None,
    });
    let shares: Vec<f64> = shares.collect();
    let (least, most) = (shares.iter().copied().reduce(f64::min)?, shares.iter().copied().reduce(f64::max)?);
    Some(format!("what sets in between {least:.0} and {most:.0} % of the packet rate that a host reaches"))
}

fn sizes(rounds: &[&PlannedRound]) -> Option<String> {
    let sizes = rounds.iter().filter_map(|round| round.dose.carriage.frame_size_bytes);
    let mut sizes: Vec<String> = sizes
        .map(|size| match size {
            FrameSize::Bytes(bytes) => format!("{bytes:>5}"),
            FrameSize::Mtu => "the MTU's".to_owned(),
        })
        .collect();
    sizes.sort();
    sizes.dedup();
    let sizes: Vec<&str> = sizes.iter().map(|size| size.trim()).collect();
    (!sizes.is_empty()).then(|| format!("frames of {} bytes", sizes.join(", ")))
}

fn numbered(rounds: &[&PlannedRound]) -> bool {
    rounds.iter().any(|round| round.dose.carriage.transport == Transport::Udp)
}

fn compared(rounds: &[&PlannedRound]) -> Option<String> {
    let most = rounds.iter().filter_map(|round| match round.dose.carriage.receive {
        ReceiveMode::Verify { one_in } => Some((one_in, seconds(round))),
        _ => None,
    });
    let (one_in, for_s) = most.min_by(|a, b| a.0.cmp(&b.0))?;
    let part = if one_in == 1 { "every byte".to_owned() } else { format!("one block in {one_in}") };
    Some(format!("a single changed byte; {part} of {for_s:.0} s is compared"))
}

fn connections(rounds: &[&PlannedRound]) -> Option<String> {
    let making = rounds.iter().filter_map(|round| {
        let per_s = round.dose.carriage.connections_per_s?;
        Some(f64::from(per_s) * seconds(round) * flows_of_a_host(round) as f64)
    });
    let most = making.reduce(f64::max)?;
    Some(format!(
        "1 queue of {:.0}, or a table with room for fewer than {most:.0} connections of a host",
        1.0 / new_flows::MISSING_MIN
    ))
}

fn slowness(rounds: &[&PlannedRound]) -> Option<String> {
    let pairs =
        || rounds.iter().filter(|round| round.dose.pattern == Pattern::Pairs && round.dose.saturates());
    let one_way = pairs().filter(|round| round.dose.ways == Ways::OneWay).count();
    let told = if one_way >= 2 * slow::FLOWS_MIN { "with its direction" } else { "without its direction" };
    (pairs().count() >= slow::FLOWS_MIN)
        .then(|| format!("{:.0} % below the peers, {told}", slow::DEFICIT * 100.0))
}

fn decline(rounds: &[&PlannedRound]) -> Option<String> {
    let storms = rounds.iter().filter(|round| round.dose.pattern == Pattern::Storm && round.dose.saturates());
    let longest = storms.map(|round| seconds(round)).reduce(f64::max)?;
    (longest >= degrading::SECONDS_MIN as f64)
        .then(|| format!("a fifth less within {longest:.0} s of full load"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::plan::{draft, schedule};

    fn seen(scenario: &str) -> Vec<Row> {
        let scenario = draft::read("test", scenario).expect("a sound scenario");
        let hosts = crate::model::judge::tests::field::Field::of(8).seen.hosts;
        of(
            &schedule::plan(&scenario, &hosts, 1).expect("it can be planned"),
            BitRate::from_bps(1_000_000_000),
        )
    }

    #[test]
    fn accept_sees_a_little_of_everything() {
        for row in seen(include_str!("../../../scenarios/accept.toml")) {
            assert!(row.least.is_some(), "{} is not seen", row.kinds);
        }
    }

    #[test]
    fn a_plan_without_the_rounds_for_it_says_so() {
        let storm = "name = \"storm\"\n[[stage]]\nname = \"storm\"\npattern = \"storm\"\nfor = \"5s\"\n";
        let unseen: Vec<&str> =
            seen(storm).into_iter().filter(|row| row.least.is_none()).map(|row| row.kinds).collect();
        for kinds in ["packet_loss", "mtu_black_hole", "fail_slow", "corruption", "degrading"] {
            assert!(unseen.contains(&kinds), "{kinds}: {unseen:?}");
        }
        assert!(!unseen.contains(&"dies_under_load"));
    }
}
