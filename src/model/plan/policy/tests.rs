use super::*;
use proptest::prelude::*;

const FULL: &str = r#"
driver = "ena"
driver_version_min = "2.16"
firmware_min = "1"
kernel_min = "5.15"
mtu = 9001
link_speed_min = "10G"
rings.rx_min = 1024
rings.tx_min = 512
channels.combined_min = 4

[offloads]
sg = true
large-receive-offload = false
tx-udp-segmentation = true

[severity]
default = "fail"
mtu = "warn"
"rings.rx_min" = "warn"

[[for]]
host = "db-*"
product = "r5.*"
require.mtu = 1500
require.offloads.sg = false
"#;

fn faults(text: &str) -> String {
    Policy::read("policy.toml", text).expect_err("it is wrong").to_string()
}

#[test]
fn every_demand_is_read_with_its_severity() {
    let policy = Policy::read("policy.toml", FULL).expect("sound");
    let keys: Vec<(String, Gravity)> =
        policy.clauses.iter().map(|clause| (clause.demand.key(), clause.severity)).collect();
    let keys: Vec<(&str, Gravity)> = keys.iter().map(|(key, gravity)| (key.as_str(), *gravity)).collect();
    let (fail, warn) = (Gravity::Fail, Gravity::Warn);
    assert_eq!(
        keys,
        [
            ("driver", fail),
            ("driver_version_min", fail),
            ("firmware_min", fail),
            ("kernel_min", fail),
            ("mtu", warn),
            ("link_speed_min", fail),
            ("rings.rx_min", warn),
            ("rings.tx_min", fail),
            ("channels.combined_min", fail),
            ("offloads.large-receive-offload", fail),
            ("offloads.sg", fail),
            ("offloads.tx-udp-segmentation", fail),
            ("mtu", warn),
            ("offloads.sg", fail),
        ]
    );
}

#[test]
fn a_section_for_some_hosts_holds_over_what_is_said_for_all() {
    let policy = Policy::read("policy.toml", FULL).expect("sound");
    let mtu = |host: &str, product: Option<&str>| {
        let clauses = policy.clauses_for(host, Some("ena"), product);
        let mtus = clauses.iter().filter_map(|clause| match clause.demand {
            Demand::Mtu(mtu) => Some(mtu),
            _ => None,
        });
        mtus.collect::<Vec<_>>()
    };
    assert_eq!(mtu("db-7", Some("r5.large")), [1500]);
    assert_eq!(mtu("web-7", Some("r5.large")), [9001]);
    assert_eq!(mtu("db-7", None), [9001], "what is not known of a host fits no pattern");
}

#[test]
fn an_unknown_key_is_refused_with_its_line_and_the_nearest_known_one() {
    let text =
        "driver = \"ena\"\ndriver_versoin_min = \"2.16\"\n\n[offloads]\nsgg = true\n\n[ring]\nrx_min = 1\n";
    insta::assert_snapshot!(faults(text), @r"
    policy.toml has 3 faults
      line 2, driver_versoin_min: is no known key
        help: did you mean driver_version_min? Known are driver, driver_version_min, firmware_min, kernel_min, mtu, link_speed_min, rings, channels, offloads, severity, for
      line 5, offloads.sgg: is no known offload
        help: did you mean sg? Known are rx, rx-checksumming, tx, tx-checksumming, sg, scatter-gather, tso, tcp-segmentation-offload, gso, generic-segmentation-offload, gro, generic-receive-offload, lro, large-receive-offload, rxvlan, rx-vlan-offload, txvlan, tx-vlan-offload, ntuple, ntuple-filters, rxhash, receive-hashing
      line 7, ring: is no known key
        help: did you mean rings? Known are driver, driver_version_min, firmware_min, kernel_min, mtu, link_speed_min, rings, channels, offloads, severity, for
    ");
}

#[test]
fn wrong_values_are_told_all_at_once() {
    let told = faults(
        "mtu = \"9001\"\nlink_speed_min = \"10\"\ndriver_version_min = \"new\"\nseverity = \"bad\"\n\
         rings = 5\nchannels.combined_min = 0\noffloads.sg = 1\n[[for]]\nrequire.mtu = 1\n",
    );
    for word in ["mtu", "unit", "`new`", "`bad`", "rings", "out of bounds", "offloads.sg", "line 8", "line 9"]
    {
        assert!(told.contains(word), "`{word}` is missing in:\n{told}");
    }
}

#[test]
fn a_policy_that_demands_nothing_is_a_mistake() {
    assert!(faults("").contains("driver = \"ena\""));
    assert!(faults("severity = \"warn\"\n").contains("is missing"));
}

#[test]
fn stars_stand_for_any_characters() {
    for (pattern, text, fits) in [
        ("db-*", "db-7", true),
        ("db-*", "xdb-7", false),
        ("*", "", true),
        ("a*b*c", "a--b--c", true),
        ("a*b*c", "a--c--b", false),
        ("ena", "ena", true),
        ("ena", "enab", false),
    ] {
        assert_eq!(matches(pattern, text), fits, "{pattern} {text}");
    }
}

#[test]
fn a_policy_comes_back_from_json_as_it_was() {
    let policy = Policy::read("policy.toml", FULL).expect("sound");
    let text = serde_json::to_string(&policy).expect("JSON");
    assert_eq!(serde_json::from_str::<Policy>(&text).expect("reads back"), policy);
}

proptest! {
    #[test]
    fn no_text_makes_it_panic(text in "\\PC{0,80}", key in "[a-z_.]{1,12}", value in "[0-9a-z\"\\[\\]{}.=]{0,12}") {
        let _ = Policy::read("x", &text);
        let _ = Policy::read("x", &format!("{key} = {value}\n"));
    }
}
