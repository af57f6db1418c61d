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
    insta::assert_snapshot!(text(&audit, Style::default()), @r#"
    WARNINGS: 4 hosts audited, warnings on h4

    host            h1                 h2                 h3                 h4
    driver          ixgbevf            ixgbevf            ixgbevf            vif *
    driver version  2.16.4             2.16.4             2.16.4             none
    kernel          3.13.0-24-generic  3.13.0-24-generic  3.13.0-24-generic  3.13.0-101-generic *
    MTU             9001               9001               9001               9001
    speed           10.0 Gb/s          10.0 Gb/s          10.0 Gb/s          none
    duplex          full               full               full               none
    ring rx         512                512                512                none
    ring tx         1024               1024               1024               none
    * differs from most hosts of its kind

    h4  fell_back_to_xen_netfront [warn]
            the card runs under vif (xen_netfront), and 3 of 4 hosts of its kind under ixgbevf: ixgbevf
            2.16.4 is under DKMS but not built for 3.13.0-101-generic, because that kernel's headers are
            not installed (an upgrade without headers)
      look  ethtool -i eth0; dkms status; ls -d /lib/modules/3.13.0-101-generic/build
      mend  apt-get install linux-headers-3.13.0-101-generic && dkms autoinstall -k 3.13.0-101-generic
            && modprobe ixgbevf, then reboot and look again

    h4  sg_with_vif [warn]
            scatter-gather is on under vif (xen_netfront): packets in more than 18 fragments are dropped
            (`skb rides the rocket`), and large transfers stop the network
      look  ethtool -k eth0 | grep scatter-gather; dmesg | grep 'rides the rocket'
      mend  ethtool -K eth0 sg off # for now; the cure is enhanced networking (ena, ixgbevf)

    h4  majority.kernel [warn]
            the kernel is 3.13.0-101-generic; 3 of 4 hosts of its kind have 3.13.0-24-generic
      look  uname -r
      mend  install the kernel 3.13.0-24-generic with its headers, then reboot into it
    "#);
}

#[test]
fn a_fleet_that_is_too_wide_is_told_by_value() {
    let audit = audit(&sound_and(7, [fell_back(), will_fall_back()]), None);
    insta::assert_snapshot!(text(&audit, Style::default()), @r#"
    WARNINGS: 9 hosts audited, warnings on h8, h9

    driver          ixgbevf                    8: h1, h2, h3, h4, h5, h6, h7, h9
                    vif                      * 1: h8
    driver version  2.16.4                     8: h1, h2, h3, h4, h5, h6, h7, h9
                    none                       1: h8
    kernel          3.13.0-24-generic          8: h1, h2, h3, h4, h5, h6, h7, h9
                    3.13.0-101-generic       * 1: h8
    MTU             9001                       9: all
    speed           10.0 Gb/s                  8: h1, h2, h3, h4, h5, h6, h7, h9
                    none                       1: h8
    duplex          full                       8: h1, h2, h3, h4, h5, h6, h7, h9
                    none                       1: h8
    ring rx         512                        8: h1, h2, h3, h4, h5, h6, h7, h9
                    none                       1: h8
    ring tx         1024                       8: h1, h2, h3, h4, h5, h6, h7, h9
                    none                       1: h8
    * differs from most hosts of its kind

    h8  fell_back_to_xen_netfront [warn]
            the card runs under vif (xen_netfront), and 8 of 9 hosts of its kind under ixgbevf: ixgbevf
            2.16.4 is under DKMS but not built for 3.13.0-101-generic, because that kernel's headers are
            not installed (an upgrade without headers)
      look  ethtool -i eth0; dkms status; ls -d /lib/modules/3.13.0-101-generic/build
      mend  apt-get install linux-headers-3.13.0-101-generic && dkms autoinstall -k 3.13.0-101-generic
            && modprobe ixgbevf, then reboot and look again

    h8  sg_with_vif [warn]
            scatter-gather is on under vif (xen_netfront): packets in more than 18 fragments are dropped
            (`skb rides the rocket`), and large transfers stop the network
      look  ethtool -k eth0 | grep scatter-gather; dmesg | grep 'rides the rocket'
      mend  ethtool -K eth0 sg off # for now; the cure is enhanced networking (ena, ixgbevf)

    h8  majority.kernel [warn]
            the kernel is 3.13.0-101-generic; 8 of 9 hosts of its kind have 3.13.0-24-generic
      look  uname -r
      mend  install the kernel 3.13.0-24-generic with its headers, then reboot into it

    h9  dkms_not_built_newest [warn]
            the next boot goes into 3.13.0-101-generic, for which ixgbevf 2.16.4 is not built, whose
            headers are not installed; then the driver is ixgbevf 2.11.3-k of the kernel's own tree (now
            2.16.4)
      look  dkms status ixgbevf; ls /lib/modules
      mend  apt-get install linux-headers-3.13.0-101-generic && dkms install ixgbevf/2.16.4 -k
            3.13.0-101-generic, before the next boot
    "#);
}

#[test]
fn a_policy_and_what_could_not_be_read_are_told_apart() {
    let mut dark = sound();
    dark.card.rings = Fact::Unread("operation not permitted".to_owned());
    let policy = Policy::read("p", "mtu = 1500\nrings.rx_min = 64\n").expect("a sound policy");
    let audit = audit(&fleet([dark]), Some(&policy));
    insta::assert_snapshot!(text(&audit, Style::default()), @r#"
    FAILED: 1 host audited, the policy is not met on h1; facts that the policy needs could not be read

    host            h1
    driver          ixgbevf
    driver version  2.16.4
    kernel          3.13.0-24-generic
    MTU             9001
    speed           10.0 Gb/s
    duplex          full
    ring rx         not read
    ring tx         not read

    h1  policy.mtu [fail]
            the MTU is 9001, and the policy asks for 1500
      look  ip link show dev eth0
      mend  ip link set dev eth0 mtu 1500 # and in the network's configuration, for the next boot

    Not read, and not judged
      - rings on h1: operation not permitted (the policy needs it: rings.rx_min); by hand: ethtool -g
        eth0
    "#);
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
        plain.push_str(
            part.strip_prefix('[').and_then(|rest| rest.split_once('m')).map_or(part, |(_, rest)| rest),
        );
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
