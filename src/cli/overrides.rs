//! The few flags that change a scenario in place, with the meaning they have in iperf3.

use super::args::Overrides;
use crate::model::plan::{dose::Rate, scenario::Scenario};

/// The scenario with what was typed instead of what is written; bounds are clap's work.
pub(super) fn apply(overrides: Overrides, mut scenario: Scenario) -> Scenario {
    for stage in &mut scenario.stages {
        if let Some(seconds) = overrides.time {
            stage.for_us = u64::from(seconds) * 1_000_000;
        }
        for dose in &mut stage.steps {
            dose.carriage.streams = overrides.parallel.unwrap_or(dose.carriage.streams);
            dose.rate = overrides.bitrate.map_or(dose.rate, Rate::Bps);
        }
        if overrides.bitrate.is_some() {
            // Steps that differed only in their rate are now one and the same.
            stage.steps.dedup();
        }
    }
    scenario
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{
        fleet::units::BitRate,
        plan::{
            carriage::Carriage,
            dose::{Dose, Pattern, Ways},
            scenario::Stage,
        },
    };

    fn ramp() -> Scenario {
        let step = |share| Dose {
            pattern: Pattern::Ring,
            ways: Ways::BothWays,
            rate: Rate::Share(share),
            carriage: Carriage::tcp(2),
        };
        let stage = Stage {
            name: "ramp".to_owned(),
            steps: vec![step(0.2), step(0.4)],
            for_us: 8_000_000,
            repeat: 1,
            matchings: None,
            gap_us: 200_000,
        };
        Scenario { name: "ramp".to_owned(), stages: vec![stage], ..Scenario::default() }
    }

    #[test]
    fn nothing_typed_changes_nothing() {
        assert_eq!(apply(Overrides::default(), ramp()), ramp());
    }

    #[test]
    fn time_and_streams_hold_for_every_step_and_a_rate_makes_a_ramp_one_step() {
        let typed = Overrides { time: Some(3), parallel: Some(16), bitrate: Some(BitRate::from_mbps(20)) };
        let changed = apply(typed, ramp());
        let stage = &changed.stages[0];
        assert_eq!((stage.for_us, stage.steps.len()), (3_000_000, 1));
        assert_eq!(stage.steps[0].carriage.streams, 16);
        assert_eq!(stage.steps[0].rate, Rate::Bps(BitRate::from_mbps(20)));

        let longer = apply(Overrides { time: Some(9), ..Overrides::default() }, ramp());
        assert_eq!((longer.stages[0].for_us, longer.stages[0].steps.len()), (9_000_000, 2));
    }
}
