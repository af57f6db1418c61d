//! The cases: what is broken, under which load, and what should be found. Here the words they are
//! written in.
//!
//! Rates are shares of NICs of 60 Mb/s, the lab's own. Numbers that begin after `after=` fall
//! into the stage that the case is about: reaching and calibrating take some ten seconds.

mod around;
mod silent;
mod ways;
mod well;
mod worse;

use super::{
    At::{self, Host},
    Case,
    Class::{self, Well},
    Load::{self, Stages},
    Sick,
};
use crate::model::judge::summary::{Direction, FindingKind};

/// Everybody with everybody, one way, then both ways.
const PAIRS: Load = Stages(&["pairs-one-way", "pairs-both-ways"]);
const ONE_WAY: Load = Stages(&["pairs-one-way"]);
const PACED: Load = Stages(&["idle", "pairs-paced"]);
const QUIET: Load = Stages(&["idle", "pairs-one-way", "pairs-paced"]);
const STORM: Load = Stages(&["pairs-one-way", "storm"]);
const FRAMES: Load = Stages(&["pairs-one-way", "frame-sizes"]);
const LADDER: Load = Stages(&["pairs-one-way", "packet-rates"]);
const SINGLE: Load = Stages(&["pairs-paced", "frame-sizes", "packet-rates"]);
const CONNECTIONS: Load = Stages(&["pairs-one-way", "new-connections"]);

const fn case(
    name: &'static str,
    class: Class,
    faults: &'static [&'static str],
    sick: &'static [Sick],
    load: Load,
) -> Case {
    Case { name, class, hosts: 8, flags: "", faults, sick, load }
}

const fn on(hosts: u16, flags: &'static str, case: Case) -> Case {
    Case { hosts, flags, ..case }
}

const fn sick(at: At, kinds: &'static [FindingKind]) -> Sick {
    Sick { at, kinds, direction: None }
}

const fn way(at: At, kinds: &'static [FindingKind], direction: Direction) -> Sick {
    Sick { at, kinds, direction: Some(direction) }
}

const fn well(name: &'static str, faults: &'static [&'static str], load: Load) -> Case {
    case(name, Well, faults, &[], load)
}

const fn beside(
    name: &'static str,
    faults: &'static [&'static str],
    kinds: &'static [Sick],
    load: Load,
) -> Case {
    case(name, Class::Beside, faults, kinds, load)
}

const A: At = Host("a");
const B: At = Host("b");

/// Every case there is.
pub fn cases() -> impl Iterator<Item = &'static Case> {
    [silent::CASES, worse::CASES, around::CASES, ways::CASES, well::CASES].into_iter().flatten()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::lab::{fault::Fault, score::drawn};

    #[test]
    fn there_are_as_many_cases_as_promised_and_each_has_its_name() {
        let names: BTreeSet<&str> = cases().map(|case| case.name).collect();
        assert_eq!(names.len(), cases().count());
        let well = cases().filter(|case| matches!(case.class, Well | Class::Beside)).count();
        assert!(cases().count() - well >= 40 && well >= 20, "{} of {} are well", well, cases().count());
    }

    #[test]
    fn every_fault_can_be_put_in() {
        for case in cases() {
            for seed in 0..5 {
                for text in &drawn(case, seed).faults {
                    let fault =
                        text.parse::<Fault>().unwrap_or_else(|error| panic!("{}: {error}", case.name));
                    assert!(fault.place.hosts().all(|host| host <= case.hosts), "{}: {text}", case.name);
                }
            }
            assert_eq!(case.sick.is_empty(), case.class == Well, "{}", case.name);
        }
    }
}
