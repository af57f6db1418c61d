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
        let receivers: BTreeSet<HostId> = calibrate.rounds.iter().flat_map(|round| &round.flows).map(|flow| flow.to).collect();
        prop_assert_eq!((senders.len(), receivers.len()), (n, n));
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
    let rates = rates(&plan.stages[2], &capacities, &FrameRates::new()).expect("shares are always possible");
    for flow in &plan.stages[2].rounds[0].flows {
        let want = if flow.from == HostId(2) { 10 } else { 25 };
        assert_eq!(rates[&flow.flow], BitRate::from_mbps(want), "{flow:?}");
    }
}

#[test]
fn a_paced_flow_never_becomes_unpaced_because_nothing_was_measured() {
    for rate in ["50 %", "20 Mb/s"] {
        let scenario =
            scenario(&format!("[[stage]]\npattern = \"storm\"\nfor = \"5s\"\nrate = \"{rate}\"\n"));
        let plan = plan(&scenario, &hosts(3), 1).expect("possible");
        let unknown: Capacities = (0..3).map(|id| (HostId(id), (None, None))).collect();
        let faults = rates(&plan.stages[2], &unknown, &FrameRates::new())
            .expect_err("there is nothing to take a share of");
        assert!(faults.to_string().contains("nothing arrived anywhere in calibration"), "{faults}");
        // One known direction of one host is enough for an estimate.
        let mut one = unknown;
        one.insert(HostId(1), (Some(BitRate::from_mbps(100)), None));
        assert_eq!(
            rates(&plan.stages[2], &one, &FrameRates::new()).expect("estimated").len(),
            plan.stages[2].rounds[0].flows.len()
        );
    }
}

#[test]
fn the_way_out_of_a_rate_too_high_is_not_refused_again() {
    let at = |rate: &str| {
        let scenario =
            scenario(&format!("[[stage]]\npattern = \"storm\"\nfor = \"5s\"\nrate = \"{rate}\"\n"));
        let plan = plan(&scenario, &hosts(4), 1).expect("possible");
        let mut capacities = even(4, 200);
        // A third of it prints as 16.7 Mb/s where rounded to the nearest, which is too much;
        // and what fits the others is too much too.
        capacities.insert(HostId(2), (Some(BitRate::from_mbps(50)), Some(BitRate::from_mbps(200))));
        rates(&plan.stages[2], &capacities, &FrameRates::new())
            .map_err(|faults| faults.faults[0].help.clone())
    };
    let help = at("1 Gb/s").expect_err("more than any host carries");
    let advised = help.split('"').nth(1).expect("the rate stands in quotation marks");
    assert!(at(advised).is_ok(), "{help}");
}

#[test]
fn racks_are_looked_up_by_host_and_not_by_place_in_the_list() {
    let mut fleet = hosts(7);
    for host in &mut fleet {
        host.rack = Some(if host.id.0 % 2 == 0 { "even" } else { "odd" }.to_owned());
    }
    // As after h1 withdrew: ids no longer equal places.
    fleet.remove(0);
    let scenario = scenario("[[stage]]\npattern = \"bisection\"\nfor = \"5s\"\nrepeat = 4\n");
    let plan = plan(&scenario, &fleet, 3).expect("possible");
    assert_eq!(plan.stages[2].rounds.len(), 4);
    for flow in plan.stages[2].rounds.iter().flat_map(|round| &round.flows) {
        assert_ne!(flow.from.0 % 2, flow.to.0 % 2, "{flow:?} stays in its rack");
    }
}

#[test]
fn a_plan_too_large_to_carry_out_is_refused_before_it_is_laid_out() {
    let scenario = scenario("[[stage]]\npattern = \"storm\"\nfor = \"5s\"\nrepeat = 1000\n");
    assert!(plan(&scenario, &hosts(8), 1).is_ok());
    let faults = plan(&scenario, &hosts(64), 1).expect_err("4 million flows");
    insta::assert_snapshot!(faults.to_string(), @"
    test has 1 fault
      stage: comes to 4032000 flows on 64 hosts, and a plan has at most 1000000
        help: use fewer repeats, steps or stages, or split the scenario or the fleet
    ");
}

#[test]
fn a_fleet_below_two_hosts_is_a_fault() {
    let scenario = scenario("[[stage]]\npattern = \"storm\"\nfor = \"5s\"\n");
    for n in [0, 1] {
        let faults = plan(&scenario, &hosts(n), 1).expect_err("nobody to send to");
        assert!(faults.to_string().contains("name at least 2 hosts"), "{faults}");
    }
}

#[test]
fn pairs_are_repeated_until_there_are_five_rounds() {
    let scenario = scenario("[[stage]]\npattern = \"pairs\"\nfor = \"1s\"\n");
    for (n, rounds) in [(2, 5), (3, 6), (4, 6), (5, 5), (6, 5), (8, 7)] {
        let plan = plan(&scenario, &hosts(n), 1).expect("possible");
        assert_eq!(plan.stages[2].rounds.len(), rounds, "{n} hosts");
    }
}

#[test]
fn a_rate_above_what_was_measured_is_a_fault_with_a_way_out() {
    let scenario =
        scenario("[[stage]]\npattern = \"ring\"\nways = \"one\"\nfor = \"5s\"\nrate = \"200 Mb/s\"\n");
    let plan = plan(&scenario, &hosts(3), 1).expect("possible");
    let faults =
        rates(&plan.stages[2], &even(3, 100), &FrameRates::new()).expect_err("100 Mb/s cannot carry 200");
    let text = faults.to_string();
    assert!(text.contains("200.0 Mb/s") && text.contains("use at most \"100.0 Mb/s\""), "{text}");
}

#[test]
fn the_quick_scenario_is_over_in_40_s_on_eight_hosts() {
    let quick = draft::read("quick", include_str!("../../../../scenarios/quick.toml"))
        .expect("shipped scenarios are sound");
    let plan = plan(&quick, &hosts(8), 1).expect("possible");
    // Handing out a stage takes a few hundred milliseconds where nobody is missing.
    let handing_out = Duration::from_millis(700) * plan.stages.len() as u32;
    assert!(plan.length() + handing_out < Duration::from_secs(40), "{:?}", plan.length());
    assert!(plan.length_max() >= plan.length() + STAGE_SLACK);
}
