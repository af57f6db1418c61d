use super::{
    kinds::{name_of, rows},
    steps::{Action, At, Steps},
    *,
};
use crate::lab::spec::LabSpec;

/// What a text does to a lab of two racks.
fn steps(text: &str, number: u32) -> Steps {
    fault(text).steps(number, &LabSpec { racks: 2, ..LabSpec::default() })
}

fn fault(text: &str) -> Fault {
    text.parse().unwrap_or_else(|error| panic!("{text}: {error}"))
}

/// One text of each fault, as it is written back.
const TEXTS: [&str; 39] = [
    "dies_above@h3,rate=40M,burst=1000000B,for=3s,after=10s",
    "dies_above@h3,pps=3000,for=0.25s",
    "dies_until_bounce@h1,rate=40500000b/s",
    "dies_after_bytes@h2,bytes=50000000B",
    "dies_both_ways@h2,rate=30M,for=3s",
    "dies_many_streams@h2,streams=16,for=2s",
    "dead@h1",
    "dead@h2-h5,for=2s",
    "one_way_dead@h1,direction=rx",
    "loss@h1,direction=both,percent=0.5",
    "loss@uplink,direction=tx,percent=3",
    "loss_bursts@h1,direction=tx,percent=0.02,for=0.08s",
    "loss_above@h1,direction=rx,rate=30M",
    "frame_hole@h1-h2,direction=both,over=1400B",
    "dead_queue@h1,direction=tx,queues=4",
    "refuses_flows@h1,direction=both,flows=600,memory=10s",
    "latency@h1,delay=0.005s,jitter=0.002s,direction=both",
    "reorder@h1,percent=2,by=0.003s,direction=tx",
    "duplicate@h1,percent=1,direction=rx",
    "corrupt@h1,percent=0.02,caught=no,direction=tx",
    "stalls@h1,for=0.2s,every=1s,direction=both",
    "slow@h1,direction=both,rate=20M",
    "slow@uplink,direction=tx,factor=0.5",
    "degrading@h1,direction=both,factor=0.3,over=20s",
    "cable_out@h128,for=2.5s",
    "flap@h1,times=3,down=1s,up=2.5s",
    "mtu@h1,bytes=1400B",
    "offloads@h1",
    "address_lost@h1,for=2s",
    "neighbour_fails@h1",
    "wrong_entry@h1-h3",
    "duplicate_address@h1-h3",
    "freeze@h1",
    "kill@h1,after=1s",
    "starve@h1,share=0.2,for=20s",
    "hog@h1,threads=2",
    "control_lost@h1,for=20s",
    "xdp_drops@h1,percent=1,for=20s",
    "background@h1-h2,rate=10M",
];

#[test]
fn every_text_gives_a_fault_and_the_same_text_again() {
    for text in TEXTS {
        assert_eq!(fault(text).to_string(), text);
        assert!(fault(text).explain().contains("Should be seen: "), "{text}");
    }
    assert_eq!(fault("dead@h1,for=500ms"), fault("dead@h1,for=0.5s"));
    assert_eq!(fault("dies_after_bytes@h2,bytes=1MiB"), fault("dies_after_bytes@h2,bytes=1048576B"));
}

#[test]
fn every_name_of_the_list_has_an_example() {
    for (syntax, _) in rows() {
        let name = name_of(syntax);
        let example = fault(&example(name).unwrap_or_else(|| panic!("{syntax} gives none")));
        assert!(example.to_string().starts_with(&format!("{name}@h1")), "{example}");
    }
    assert_eq!(example("no_such"), None);
}

#[test]
fn every_fault_of_the_list_is_tried_here() {
    for (syntax, _) in rows() {
        let name = name_of(syntax);
        assert!(TEXTS.iter().any(|text| text.starts_with(&format!("{name}@"))), "{name} is not tried");
    }
}

#[test]
fn a_wrong_text_is_refused_with_the_way_out() {
    let refusal = |text: &str| text.parse::<Fault>().expect_err(text).to_string();
    assert_eq!(refusal("dies_above@h3"), "the fault `dies_above` needs `rate`, for example `rate=40M`");
    assert!(refusal("dies_above@h3,rate=40").contains("has no unit"));
    assert!(refusal("dead@h0").contains("h1, h2"));
    assert!(refusal("dead@h3,fro=3s").contains("has no `fro`"));
    assert!(refusal("dead@h3,for=1s,for=2s").contains("given twice"));
    assert!(refusal("dead@h3,for=-1s").contains("seconds"));
    assert!(refusal("dead@h3,for=NaNs").contains("seconds"));
    assert!(refusal("dead@h3,for=0s").contains("at least"));
    assert!(refusal("loss@h1,percent=101").contains("to 100"));
    assert!(refusal("one_way_dead@h1,direction=both").contains("`dead`"));
    assert!(refusal("melts@h1").contains("no fault is called `melts`"));
    assert!(refusal("dead").contains("NAME@hN"));
    assert!(refusal("kill@uplink").contains("name a host, as h3"));
    assert!(refusal("wrong_entry@h3").contains("two hosts, as h3-h5"));
    assert!(refusal("dead@h3-h3").contains("no host of a lab"));
    assert!(refusal("stalls@h3,for=2s,every=1s").contains("between stalls"));
    assert!(refusal("latency@h3,delay=3s").contains("at most 2s"));
}

#[test]
fn dying_above_a_rate_counts_each_direction_by_itself_and_kills_both() {
    let steps = steps("dies_above@h3,rate=40M,for=3s", 7);
    let [step] = steps.planned.as_slice() else { panic!("one step: {steps:?}") };
    let Action::Nft(text) = &step.action else { panic!("a table: {step:?}") };
    insta::assert_snapshot!(text, @r"
    table netdev fault_7 {
      set dead {
        typeof meta mark; flags dynamic,timeout; size 4;
      }
      chain tx {
        type filter hook ingress device p3 priority 0; policy accept;
        meta mark @dead drop
        limit rate over 5000000 bytes/second add @dead { meta mark timeout 3000ms } drop
      }
      chain rx {
        type filter hook egress device p3 priority 0; policy accept;
        meta mark @dead drop
        limit rate over 5000000 bytes/second add @dead { meta mark timeout 3000ms } drop
      }
    }
    ");
    assert_eq!(steps.undo, [Action::Nft("delete table netdev fault_7\n".into())]);
}

#[test]
fn a_slow_nic_gets_its_own_rate_back() {
    let steps = steps("slow@h2,direction=rx,factor=0.25", 1);
    let shaped = |bps: u32| Action::Tc {
        at: At::Switch,
        text: format!("qdisc change dev p2 root handle 1: tbf rate {bps}bit burst 16k limit 512k\n"),
    };
    assert_eq!(steps.planned[0].action, shaped(15_000_000));
    assert_eq!(steps.undo, [shaped(60_000_000)]);
}

#[test]
fn a_flap_ends_with_its_link_up() {
    let steps = steps("flap@h2,times=2,down=1s,up=2s", 1);
    assert_eq!(steps.planned.iter().map(|step| step.at_s).collect::<Vec<_>>(), [0.0, 1.0, 3.0, 4.0]);
    assert_eq!(steps.over_s, Some(6.0));
    assert_eq!(steps.undo, [Action::Ip { at: At::Switch, text: "link set p2 up\n".into() }]);
}

#[test]
fn a_path_is_broken_for_its_two_hosts_alone_and_an_uplink_for_all() {
    let text = |of: &str| match &steps(of, 1).planned[0].action {
        Action::Nft(text) => text.clone(),
        other => panic!("a table: {other:?}"),
    };
    let path = text("loss@h2-h5,percent=1");
    assert!(path.contains("ingress device p2") && path.contains("ether daddr 02:ca:00:00:00:05 numgen"));
    assert!(path.contains("egress device p2") && path.contains("ether saddr 02:ca:00:00:00:05 numgen"));
    let uplink = text("loss@uplink,percent=1,direction=tx");
    assert!(uplink.contains("ingress device up2") && !uplink.contains("ether"), "{uplink}");
}

#[test]
fn what_declines_ends_at_its_rate_in_small_steps() {
    let steps = steps("degrading@h2,direction=tx,factor=0.4,over=12s", 1);
    let last = steps.planned.last().expect("steps");
    assert!(matches!(&last.action, Action::Tc { text, .. } if text.contains("rate 24000000bit")), "{last:?}");
    assert!(steps.planned.len() >= 10 && last.at_s < 12.0);
}

#[test]
fn every_fault_explains_itself_with_its_lines() {
    let text = fault("loss@h4,percent=0.5,direction=tx,after=2s").explain();
    assert!(text.contains("2 s: nft -f - in the switch"), "{text}");
    assert!(text.contains("hook ingress device p4") && !text.contains("egress"), "{text}");
    assert!(text.contains("numgen random mod 1000000 <= 4999 drop"), "{text}");
    assert!(text.contains("when taken back:") && text.contains("Should be seen:"), "{text}");
    assert!(list().lines().all(|line| line.len() < 140));
}
