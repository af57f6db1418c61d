//! What a plan holds, for fleets of every small size.

use super::*;
use crate::model::{
    fleet::host::NicFacts,
    plan::{draft, layout::STAGE_SLACK},
};
use proptest::prelude::*;
use std::{collections::BTreeSet, time::Duration};

fn hosts(n: usize) -> Vec<Host> {
    (0..n)
        .map(|id| Host {
            id: HostId(id as u16),
            name: format!("h{}", id + 1).parse().expect("a sound name"),
            rack: None,
            nic: NicFacts::default(),
        })
        .collect()
}

fn scenario(text: &str) -> Scenario {
    draft::read("test", &format!("name = \"test\"\n{text}")).expect("sound")
}

fn even(n: usize, mbps: u64) -> Capacities {
    let capacity = Some(BitRate::from_mbps(mbps));
    (0..n).map(|id| (HostId(id as u16), (capacity, capacity))).collect()
}

proptest! {
    /// For all fleets and seeds: every run reaches and calibrates first, flow numbers are
    /// unique, rounds follow each other, and the same seed gives the same plan.
    #[test]
    fn plans_are_sound_and_repeatable(n in 2usize..12, seed in any::<u64>()) {
        let scenario = scenario("[[stage]]\npattern = \"pairs\"\nways = \"one\"\nfor = \"1s\"\n[[stage]]\npattern = \"storm\"\nfor = \"5s\"\n");
        let plan = plan(&scenario, &hosts(n), seed).expect("possible");
        prop_assert_eq!(&plan, &super::plan(&scenario, &hosts(n), seed).expect("possible"));
        let kinds: Vec<StageKind> = plan.stages.iter().map(|stage| stage.kind).collect();
        prop_assert_eq!(kinds, [StageKind::Reach, StageKind::Calibrate, StageKind::Load, StageKind::Load]);
        let mut seen = BTreeSet::new();
        for stage in &plan.stages {
            let mut free_from = 0;
            for round in &stage.rounds {
                prop_assert!(round.offset_us >= free_from);
                free_from = round.end_us();
                for flow in &round.flows {
                    prop_assert!(seen.insert(flow.flow) && flow.from != flow.to);
                }
            }
        }
        // Calibration lets every host send and receive.
        let calibrate = &plan.stages[1];
        let senders: BTreeSet<HostId> = calibrate.rounds.iter().flat_map(|round| &round.flows).map(|flow| flow.from).collect();
        prop_assert_eq!(senders.len(), n);
        prop_assert!(plan.stages[2].rounds.len() >= 2 * PAIR_ROUNDS_MIN);
    }

    /// For all fleets: a storm plans full load for everybody, both ways, and pairs for their one role.
    #[test]
    fn planned_loads_are_as_stated(n in 2usize..12, seed in any::<u64>()) {
        let scenario = scenario("[[stage]]\npattern = \"storm\"\nfor = \"5s\"\n[[stage]]\npattern = \"incast\"\nways = \"one\"\nfor = \"1s\"\n");
        let plan = plan(&scenario, &hosts(n.max(3)), seed).expect("possible");
        for (tx, rx) in planned_load(&plan.stages[2].rounds[0]).values() {
            prop_assert!((tx - 1.0).abs() < 1e-9 && (rx - 1.0).abs() < 1e-9);
        }
        let incast = &plan.stages[3].rounds[0];
        let load = planned_load(incast);
        let sink = incast.flows[0].to;
        prop_assert!((load[&sink].1 - 1.0).abs() < 1e-9);
        prop_assert!(load.iter().filter(|(host, _)| **host != sink).all(|(_, (tx, _))| *tx <= 0.51));
    }
}

#[test]
fn a_share_is_of_the_fair_share_of_the_lesser_end() {
    let scenario = scenario("[[stage]]\npattern = \"storm\"\nfor = \"5s\"\nrate = \"50 %\"\n");
    let plan = plan(&scenario, &hosts(3), 1).expect("possible");
    let mut capacities = even(3, 100);
    capacities.insert(HostId(2), (Some(BitRate::from_mbps(40)), None));
    let rates = rates(&plan.stages[2], &capacities).expect("shares are always possible");
    for flow in &plan.stages[2].rounds[0].flows {
        let want = if flow.from == HostId(2) { 10 } else { 25 };
        assert_eq!(rates[&flow.flow], BitRate::from_mbps(want), "{flow:?}");
    }
}

#[test]
fn a_rate_above_what_was_measured_is_a_fault_with_a_way_out() {
    let scenario = scenario("[[stage]]\npattern = \"ring\"\nways = \"one\"\nfor = \"5s\"\nrate = \"200 Mb/s\"\n");
    let plan = plan(&scenario, &hosts(3), 1).expect("possible");
    let faults = rates(&plan.stages[2], &even(3, 100)).expect_err("100 Mb/s cannot carry 200");
    let text = faults.to_string();
    assert!(text.contains("200.0 Mb/s") && text.contains("use at most \"100.0 Mb/s\""), "{text}");
}

#[test]
fn the_quick_scenario_is_over_in_40_s_on_eight_hosts() {
    let quick = draft::read("quick", include_str!("../../../../scenarios/quick.toml")).expect("shipped scenarios are sound");
    let plan = plan(&quick, &hosts(8), 1).expect("possible");
    // Handing out a stage takes a few hundred milliseconds where nobody is missing.
    let handing_out = Duration::from_millis(700) * plan.stages.len() as u32;
    assert!(plan.length() + handing_out < Duration::from_secs(40), "{:?}", plan.length());
    assert!(plan.length_max() >= plan.length() + STAGE_SLACK);
}
