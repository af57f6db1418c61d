//! The text of the scenario that a case is run with.

use super::Load;

/// What separates the stages of a scenario's text.
const STAGE: &str = "[[stage]]";

/// `accept` as the case has it; `None` where the case names another scenario, or a stage that
/// it lacks.
pub fn text(load: Load, accept: &str) -> Option<String> {
    match load {
        Load::Accept => Some(accept.to_owned()),
        Load::Other(_) => None,
        Load::Stages(kept) => {
            let mut parts = accept.split(STAGE);
            let mut text = parts.next()?.to_owned();
            let stages: Vec<&str> = parts.collect();
            for name in kept {
                let own = stages.iter().find(|stage| stage.contains(&format!("name = \"{name}\"")))?;
                text.push_str(STAGE);
                text.push_str(own);
            }
            Some(text)
        }
        Load::Congestion(name) => {
            let mut parts = accept.split(STAGE);
            let mut text = parts.next()?.to_owned();
            for stage in parts {
                text.push_str(STAGE);
                if !stage.contains("\"udp\"") && !stage.contains("\"idle\"") {
                    text.push_str("\ncongestion_control = \"");
                    text.push_str(name);
                    text.push('"');
                }
                text.push_str(stage);
            }
            Some(text)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{lab::score::cases, model::plan::draft};

    const ACCEPT: &str = include_str!("../../../scenarios/accept.toml");

    #[test]
    fn every_case_has_a_sound_scenario() {
        for case in cases() {
            let Some(text) = text(case.load, ACCEPT) else {
                assert!(matches!(case.load, Load::Other(_)), "{} names a stage that accept lacks", case.name);
                continue;
            };
            let scenario = draft::read("accept", &text);
            let scenario = scenario.unwrap_or_else(|faults| panic!("{}: {faults}", case.name));
            if let Load::Stages(kept) = case.load {
                let names: Vec<&str> = scenario.stages.iter().map(|stage| stage.name.as_str()).collect();
                assert_eq!(names, kept, "{}", case.name);
            }
        }
    }
}
