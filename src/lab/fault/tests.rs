use super::{steps::Action, *};

const NIC: BitRate = BitRate::from_mbps(60);

fn fault(text: &str) -> Fault {
    text.parse().unwrap_or_else(|error| panic!("{text}: {error}"))
}

#[test]
fn every_text_of_the_list_gives_a_fault_and_the_same_text_again() {
    for text in [
        "dies_above@h3,rate=40M,burst=1000000B,for=3s,after=10s",
        "dies_above@h3,rate=40500000b/s,for=0.25s",
        "dies_until_bounce@h1,rate=40M",
        "dies_after_bytes@h2,bytes=50000000B",
        "dead@h1",
        "dead@h1,for=2s",
        "cable_out@h128,for=2.5s",
        "flap@h1,times=3,down=1s,up=2.5s",
        "one_way_dead@h1,direction=rx",
        "slow@h1,direction=both,rate=20M",
        "slow@h1,direction=tx,factor=0.5",
        "loss@h1,direction=both,percent=0.5",
        "freeze@h1",
        "kill@h1,after=1s",
    ] {
        assert_eq!(fault(text).to_string(), text);
    }
    assert_eq!(fault("dead@h1,for=500ms"), fault("dead@h1,for=0.5s"));
    assert_eq!(fault("dies_after_bytes@h2,bytes=1MiB"), fault("dies_after_bytes@h2,bytes=1048576B"));
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
}

#[test]
fn dying_above_a_rate_counts_each_direction_by_itself_and_kills_both() {
    let steps = fault("dies_above@h3,rate=40M,for=3s").steps(7, NIC);
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
    let steps = fault("slow@h2,direction=rx,factor=0.25").steps(1, NIC);
    let slow = "qdisc change dev p2 root handle 1: tbf rate 15000000bit burst 16k limit 512k\n";
    assert_eq!(steps.planned[0].action, Action::TcSwitch(slow.into()));
    assert_eq!(steps.undo, [Action::TcSwitch(slow.replace("15000000", "60000000"))]);
}

#[test]
fn a_flap_ends_with_its_link_up() {
    let steps = fault("flap@h2,times=2,down=1s,up=2s").steps(1, NIC);
    assert_eq!(steps.planned.iter().map(|step| step.at_s).collect::<Vec<_>>(), [0.0, 1.0, 3.0, 4.0]);
    assert_eq!(steps.over_s, Some(6.0));
    assert_eq!(steps.undo, [Action::Ip("link set p2 up\n".into())]);
}

#[test]
fn every_fault_explains_itself_with_its_lines() {
    let text = fault("loss@h4,percent=0.5,direction=tx,after=2s").explain();
    assert!(text.contains("2 s: nft -f - in the switch"), "{text}");
    assert!(text.contains("hook ingress device p4") && !text.contains("egress"), "{text}");
    assert!(text.contains("numgen random mod 1000000 < 5000 drop"), "{text}");
    assert!(text.contains("when taken back:") && text.contains("Should be seen:"), "{text}");
    assert!(list().lines().all(|line| line.len() < 140));
}
