mod in_a_run;

use std::collections::BTreeSet;

use super::{
    fixture::{
        self, NEW_KERNEL, OLD_KERNEL, channels, dkms, features, fell_back, kernel, sound, sound_and,
        will_fall_back,
    },
    rules::RULES,
    shape::AuditVerdict,
    *,
};
use crate::model::record::facts::{
    CardFacts, DriverInfo, Fact, LinkSettings, MachineFacts, ModuleFacts, Rings,
};

fn of<'a>(audit: &'a Audit, host: &str) -> Vec<&'a AuditFinding> {
    audit.findings.iter().filter(|finding| finding.host.as_str() == host).collect()
}

fn rules_of(audit: &Audit, host: &str) -> Vec<String> {
    of(audit, host).iter().map(|finding| finding.rule.clone()).collect()
}

fn changed(change: impl FnOnce(&mut HostFacts)) -> HostFacts {
    let mut facts = sound();
    change(&mut facts);
    facts
}

fn set_driver(facts: &mut HostFacts, name: &str, version: &str) {
    facts.card.driver = Fact::Known(DriverInfo {
        name: name.to_owned(),
        version: version.to_owned(),
        ..DriverInfo::default()
    });
}

/// What is found on `facts` among seven sound hosts.
fn among_seven(facts: HostFacts) -> Audit {
    audit(&sound_and(7, [facts]), None)
}

#[test]
fn a_healthy_fleet_has_no_finding() {
    let audit = audit(&sound_and(8, []), None);
    assert_eq!(audit.findings, []);
    assert_eq!(audit.unread, []);
    assert_eq!(audit.verdict, AuditVerdict::Clean);
}

#[test]
fn the_storys_host_is_named_with_driver_cause_and_command() {
    let audit = among_seven(fell_back());
    assert_eq!(audit.verdict, AuditVerdict::Warnings);
    assert!(audit.findings.iter().all(|finding| finding.host.as_str() == "h8"), "{:?}", audit.findings);
    assert_eq!(rules_of(&audit, "h8"), ["fell_back_to_xen_netfront", "sg_with_vif", "majority.kernel"]);
    let finding = of(&audit, "h8")[0];
    assert_eq!(
        finding.text,
        "the card runs under vif (xen_netfront), and 7 of 8 hosts of its kind under ixgbevf: ixgbevf 2.16.4 is \
         under DKMS but not built for 3.13.0-101-generic, because that kernel's headers are not installed (an \
         upgrade without headers)"
    );
    assert_eq!(
        finding.mend,
        "apt-get install linux-headers-3.13.0-101-generic && dkms autoinstall -k 3.13.0-101-generic && modprobe \
         ixgbevf, then reboot and look again"
    );
    assert!(finding.look.starts_with("ethtool -i eth0;"), "{}", finding.look);
}

#[test]
fn the_ninth_host_is_named_before_its_next_boot() {
    let audit = audit(&sound_and(8, [will_fall_back()]), None);
    assert_eq!(rules_of(&audit, "h9"), ["dkms_not_built_newest"]);
    assert_eq!(audit.findings.len(), 1);
    assert_eq!(
        of(&audit, "h9")[0].text,
        "the next boot goes into 3.13.0-101-generic, for which ixgbevf 2.16.4 is not built, whose headers are not \
         installed; then the driver is ixgbevf 2.11.3-k of the kernel's own tree (now 2.16.4)"
    );
    assert!(of(&audit, "h9")[0].mend.starts_with("apt-get install linux-headers-3.13.0-101-generic && dkms"));
}

#[test]
fn the_causes_of_a_fallback_are_told_apart() {
    let cause = |change: fn(&mut HostFacts)| {
        let mut facts = fell_back();
        change(&mut facts);
        let audit = among_seven(facts);
        of(&audit, "h8").first().map(|finding| finding.text.clone()).expect("a finding")
    };
    let headers =
        |facts: &mut HostFacts| facts.kernels = Fact::Known(vec![kernel(NEW_KERNEL, true, true, None)]);
    assert!(cause(headers).ends_with("not built for 3.13.0-101-generic"));
    assert!(cause(|facts| facts.dkms = Fact::Known(vec![])).contains("not under DKMS here"));
    assert!(cause(|facts| facts.dkms = Fact::Unread("refused".to_owned())).contains("not known, because"));
    assert!(cause(|facts| facts.dkms = Fact::Known(vec![dkms(&[NEW_KERNEL])])).contains("blacklisted"));
}

/// For each rule a host that it speaks of, among seven that it leaves alone.
fn examples() -> Vec<(&'static str, HostFacts)> {
    vec![
        ("fell_back_to_xen_netfront", fell_back()),
        ("dkms_not_built_running", changed(|facts| facts.dkms = Fact::Known(vec![dkms(&[])]))),
        ("dkms_not_built_newest", will_fall_back()),
        (
            "headers_missing",
            changed(|facts| {
                let module = Some(("2.16.4", "AAAA", true));
                facts.kernels = Fact::Known(vec![kernel(OLD_KERNEL, true, false, module)]);
            }),
        ),
        (
            "newer_kernel_installed",
            changed(|facts| {
                let module = Some(("2.16.4", "AAAA", true));
                let kernels = [(OLD_KERNEL, true), (NEW_KERNEL, false)];
                let kernels = kernels.map(|(release, running)| kernel(release, running, true, module));
                facts.kernels = Fact::Known(kernels.to_vec());
                facts.dkms = Fact::Known(vec![dkms(&[OLD_KERNEL, NEW_KERNEL])]);
            }),
        ),
        (
            "module_not_as_on_disk",
            changed(|facts| {
                facts.kernels =
                    Fact::Known(vec![kernel(OLD_KERNEL, true, true, Some(("4.2.7", "DDDD", true)))]);
            }),
        ),
        ("sg_with_vif", fell_back()),
        (
            "speed_below_advertised",
            changed(|facts| {
                facts.card.settings = Fact::Known(LinkSettings {
                    speed_bps: Some(1_000_000_000),
                    advertised_max_bps: Some(10_000_000_000),
                    duplex: Some("full".to_owned()),
                    ..LinkSettings::default()
                });
            }),
        ),
        (
            "mtu_mismatch",
            changed(|facts| {
                let Fact::Known(link) = &mut facts.card.link else { unreachable!("the fixture knows it") };
                link.mtu = 1500;
            }),
        ),
    ]
}

#[test]
fn every_rule_speaks_of_its_example_and_of_no_sound_host() {
    let examples = examples();
    let tried: Vec<&str> = examples.iter().map(|(rule, _)| *rule).collect();
    assert_eq!(tried, RULES.iter().map(|rule| rule.name).collect::<Vec<_>>(), "each rule has an example");
    for (rule, facts) in examples {
        let audit = among_seven(facts);
        let found = of(&audit, "h8").into_iter().find(|finding| finding.rule == rule);
        let finding = found.unwrap_or_else(|| panic!("{rule}: {:?}", audit.findings));
        assert!(!finding.look.contains('{') && !finding.mend.contains('{'), "{rule}: {finding:?}");
        assert!(audit.findings.iter().all(|it| it.host.as_str() == "h8"), "{rule}: {:?}", audit.findings);
    }
}

#[test]
fn the_table_of_rules_in_the_documentation_is_the_programs_own() {
    let on_one_line = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    let document = on_one_line(include_str!("../../../../docs/audit.md"));
    for rule in RULES {
        for text in [rule.name, rule.meaning, rule.look, rule.mend] {
            // A bar would end a cell of the table.
            let text = on_one_line(text).replace('|', "\\|");
            assert!(document.contains(&text), "{}: `{text}` is not in docs/audit.md", rule.name);
        }
    }
    let names: BTreeSet<&str> = RULES.iter().map(|rule| rule.name).collect();
    assert!(RULES.iter().flat_map(|rule| rule.silences).all(|name| names.contains(name)));
}

#[test]
fn what_the_driver_will_be_is_told_where_the_next_boot_changes_nothing_too() {
    let (_, facts) = examples().swap_remove(4);
    let audit = among_seven(facts);
    assert!(of(&audit, "h8")[0].text.ends_with("then the driver is ixgbevf 2.16.4, as now"), "{audit:?}");
}

#[test]
fn a_majority_needs_three_hosts_and_three_quarters() {
    let other = || changed(|facts| facts.card.rings = Fact::Known(Rings { rx: 64, ..Rings::default() }));
    let rings = |same: usize, others: usize| {
        let fleet = sound_and(same, std::iter::repeat_with(other).take(others));
        let audit = audit(&fleet, None);
        audit.findings.iter().filter(|finding| finding.rule == "majority.ring_rx").count()
    };
    assert_eq!(rings(1, 1), 0, "two hosts are no majority");
    assert_eq!(rings(2, 1), 0, "67 % do not agree enough");
    assert_eq!(rings(3, 1), 1);
    assert_eq!(rings(6, 2), 2);
    assert_eq!(rings(5, 2), 0, "71 % do not agree enough");
}

#[test]
fn only_machines_of_one_type_are_compared() {
    let other = changed(|facts| {
        facts.machine.product = Fact::Known("c5.large".to_owned());
        set_driver(facts, "ena", "2.8.9g");
        facts.module.name = Fact::Known("ena".to_owned());
        facts.dkms = Fact::Known(vec![]);
        facts.kernels = Fact::Known(vec![kernel(OLD_KERNEL, true, true, None)]);
    });
    assert_eq!(among_seven(other).findings, []);
}

#[test]
fn another_driver_is_one_finding_and_not_one_for_each_thing_that_follows() {
    let other = changed(|facts| {
        set_driver(facts, "ena", "2.8.9g");
        facts.card.rings = Fact::Known(Rings { rx: 1, tx: 1, ..Rings::default() });
        facts.card.features = features(&[("rx-gro", false)]);
        facts.module.name = Fact::Known("ena".to_owned());
        facts.kernels = Fact::Known(vec![kernel(OLD_KERNEL, true, true, None)]);
    });
    assert_eq!(rules_of(&among_seven(other), "h8"), ["majority.driver"]);
}

#[test]
fn offloads_that_differ_are_told_together_with_one_command() {
    let other = changed(|facts| {
        facts.card.features =
            features(&[("rx-gro", false), ("tx-scatter-gather", true), ("tx-tcp-segmentation", false)]);
    });
    let audit = among_seven(other);
    assert_eq!(rules_of(&audit, "h8"), ["majority.offloads"]);
    assert_eq!(of(&audit, "h8")[0].mend, "ethtool -K eth0 rx-gro on tx-tcp-segmentation on");
    assert_eq!(audit.hosts[7].differs, ["rx-gro", "tx-tcp-segmentation"]);
}

#[test]
fn of_two_mtus_the_smaller_is_the_one_that_loses_frames() {
    let small = examples().pop().expect("the last").1;
    let audit = audit(&fixture::fleet([small, sound()]), None);
    assert_eq!(rules_of(&audit, "h1"), ["mtu_mismatch"]);
    assert_eq!(rules_of(&audit, "h2"), Vec::<String>::new());
}

#[test]
fn what_is_unread_is_listed_once_a_fact_and_never_judged() {
    let dark = || {
        let mut facts = HostFacts {
            machine: MachineFacts::default(),
            card: CardFacts::default(),
            module: ModuleFacts::default(),
            kernels: Fact::default(),
            dkms: Fact::default(),
            ..sound()
        };
        "eth0".clone_into(&mut facts.card.iface);
        facts
    };
    let audit = audit(&fixture::fleet([dark(), dark(), dark()]), None);
    assert_eq!((audit.verdict, audit.findings.len()), (AuditVerdict::Clean, 0));
    let facts: BTreeSet<&str> = audit.unread.iter().map(|unread| unread.fact.as_str()).collect();
    assert_eq!(facts.len(), audit.unread.len(), "once each");
    for unread in &audit.unread {
        assert_eq!((unread.hosts.len(), unread.why.as_slice()), (3, &["not asked".to_owned()][..]));
        assert!(!unread.look.is_empty());
    }
}

fn against(policy: &str, facts: HostFacts) -> Audit {
    let policy = Policy::read("policy.toml", policy).expect("a sound policy");
    audit(&fixture::fleet([facts]), Some(&policy))
}

#[test]
fn a_demand_that_is_not_met_fails_its_host_unless_it_says_warn() {
    let unmet = against("driver_version_min = \"2.16.5\"\n", sound());
    assert_eq!(unmet.verdict, AuditVerdict::Failed);
    assert_eq!(unmet.findings[0].rule, "policy.driver_version_min");
    assert_eq!(
        unmet.findings[0].text,
        "the driver's version is 2.16.4, and the policy asks for 2.16.5 or later"
    );
    let warned = against("severity = \"warn\"\nmtu = 1500\n", sound());
    assert_eq!(warned.verdict, AuditVerdict::Warnings);
    let met = "driver = \"ixgbevf\"\ndriver_version_min = \"2.16\"\nkernel_min = \"3.13\"\nmtu = 9001\n\
               link_speed_min = \"10G\"\nrings.rx_min = 512\nrings.tx_min = 1024\noffloads.sg = true\n\
               offloads.tcp-segmentation-offload = true\noffloads.lro = false\n";
    let met = against(met, sound());
    assert_eq!((met.verdict, met.findings.len()), (AuditVerdict::Clean, 0), "{:?}", met.findings);
}

#[test]
fn every_demand_can_be_unmet_and_says_what_to_type() {
    let policy = "driver = \"ena\"\nkernel_min = \"5.15\"\nmtu = 1500\nlink_speed_min = \"25G\"\n\
                  rings.rx_min = 1024\nrings.tx_min = 2048\nchannels.combined_min = 8\noffloads.gro = false\n\
                  firmware_min = \"9\"\ndriver_version_min = \"9\"\n";
    let facts = changed(|facts| {
        facts.card.channels = channels(4);
        let Fact::Known(driver) = &mut facts.card.driver else { unreachable!("the fixture knows it") };
        "1.2".clone_into(&mut driver.firmware);
    });
    let audit = against(policy, facts);
    assert_eq!(audit.findings.len(), 10, "{:?}", audit.findings);
    for finding in &audit.findings {
        assert!(!finding.look.contains('{') && !finding.mend.contains('{'), "{finding:?}");
    }
    let mends: Vec<&str> = audit.findings.iter().map(|finding| finding.mend.as_str()).collect();
    for mend in ["ethtool -G eth0 rx 1024", "ethtool -L eth0 combined 8", "ethtool -K eth0 gro off"] {
        assert!(mends.contains(&mend), "{mends:?}");
    }
}

#[test]
fn a_fact_that_the_policy_needs_and_nobody_read_is_neither_met_nor_unmet() {
    let dark = changed(|facts| facts.card.rings = Fact::Unread("refused".to_owned()));
    let audit = against("rings.rx_min = 512\n", dark);
    assert_eq!((audit.verdict, audit.findings.len()), (AuditVerdict::Unread, 0));
    assert_eq!(audit.unread[0].needed_by, ["rings.rx_min"]);
}

#[test]
fn the_kernels_release_is_no_version_of_a_driver() {
    let in_tree = changed(|facts| set_driver(facts, "ixgbevf", OLD_KERNEL));
    let audit = against("driver_version_min = \"2.16\"\n", in_tree);
    assert_eq!(audit.verdict, AuditVerdict::Unread, "3.13 is not later than 2.16 here");
    assert!(audit.unread[0].why[0].contains("kernel_min"), "{:?}", audit.unread);
}
