use super::*;
use crate::model::{
    judge::audit::{
        audit,
        fixture::{fell_back, fleet, sound, sound_and, will_fall_back},
    },
    plan::policy::Policy,
    record::facts::Fact,
};

#[test]
fn a_small_fleet_stands_side_by_side() {
    let audit = audit(&sound_and(3, [fell_back()]), None);
    insta::assert_snapshot!(text(&audit, Style::default()), @"");
}

#[test]
fn a_fleet_that_is_too_wide_is_told_by_value() {
    let audit = audit(&sound_and(7, [fell_back(), will_fall_back()]), None);
    insta::assert_snapshot!(text(&audit, Style::default()), @"");
}

#[test]
fn a_policy_and_what_could_not_be_read_are_told_apart() {
    let mut dark = sound();
    dark.card.rings = Fact::Unread("operation not permitted".to_owned());
    let policy = Policy::read("p", "mtu = 1500\nrings.rx_min = 64\n").expect("a sound policy");
    let audit = audit(&fleet([dark]), Some(&policy));
    insta::assert_snapshot!(text(&audit, Style::default()), @"");
}

fn assert_fits(audit: &Audit) {
    let text = json(audit);
    let value: Value = serde_json::from_str(&text).expect("it is JSON");
    if let Err(fault) = jsonschema::validate(&schema(), &value) {
        panic!("{fault} at {}", fault.instance_path());
    }
    assert_eq!(serde_json::from_str::<Audit>(&text).expect("it reads back"), *audit);
}

#[test]
fn every_audit_fits_the_shipped_schema_and_reads_back() {
    assert_fits(&audit(&[], None));
    assert_fits(&audit(&sound_and(7, [fell_back(), will_fall_back()]), None));
}

#[test]
fn colour_changes_nothing_but_colour() {
    let audit = audit(&sound_and(3, [fell_back()]), None);
    let coloured = text(&audit, Style { colour: true });
    let mut plain = String::new();
    for part in coloured.split('\u{1b}') {
        plain.push_str(part.strip_prefix('[').and_then(|rest| rest.split_once('m')).map_or(part, |(_, rest)| rest));
    }
    assert_ne!(coloured, plain);
    let lines = |text: &str| text.lines().map(|line| line.trim_end().to_owned()).collect::<Vec<_>>();
    assert_eq!(lines(&plain), lines(&text(&audit, Style::default())));
}

#[test]
fn hostile_facts_neither_move_the_cursor_nor_become_a_second_command() {
    let mut facts = fell_back();
    let evil = "eth0\u{1b}[2J; rm -rf ~\nx";
    evil.clone_into(&mut facts.card.iface);
    facts.machine.kernel = Fact::Known(evil.to_owned());
    let text = text(&audit(&sound_and(3, [facts]), None), Style::default());
    assert!(!text.contains('\u{1b}'), "{text}");
    assert!(text.lines().all(|line| line.chars().count() <= WIDTH), "{text}");
    for line in text.lines().filter(|line| line.contains("rm -rf")) {
        assert!(!line.contains("-i eth0"), "the name stands in quotes: {line}");
    }
}
