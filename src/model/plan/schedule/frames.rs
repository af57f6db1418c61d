//! The sizes of single frames on this fleet: what it carries at all, and what `"mtu"` means.

use std::collections::BTreeMap;

use super::{Fault, Faults, Scenario};
use crate::model::{
    fleet::host::Host,
    plan::{
        carriage::{ETHERNET_HEADER_BYTES, FRAME_MAX_BYTES, FRAME_MIN_BYTES, FrameSize},
        dose::Dose,
    },
};

/// The smallest frame that carries a numbered datagram over IPv6, whose header is 20 bytes
/// longer.
const FRAME_MIN_V6_BYTES: u16 = 82;

/// What nearly every network carries, where no host tells its MTU.
const MTU_USUAL: u32 = 1500;

/// The smallest frame of this fleet.
pub fn least(hosts: &[Host]) -> u16 {
    let v6 = hosts.iter().any(|host| host.nic.addr.is_some_and(|addr| addr.is_ipv6()));
    if v6 { FRAME_MIN_V6_BYTES } else { FRAME_MIN_BYTES }
}

/// The largest frame of this fleet: that of the MTU most of its hosts have. A host with
/// another MTU is not to set it, but to be found by it.
pub fn largest(hosts: &[Host]) -> u16 {
    let mut count: BTreeMap<u32, usize> = BTreeMap::new();
    for mtu in hosts.iter().filter_map(|host| host.nic.mtu) {
        *count.entry(mtu).or_default() += 1;
    }
    let most = count.into_iter().max_by_key(|(mtu, hosts)| (*hosts, std::cmp::Reverse(*mtu)));
    let bytes = most.map_or(MTU_USUAL, |(mtu, _)| mtu) + u32::from(ETHERNET_HEADER_BYTES);
    u16::try_from(bytes).map_or(FRAME_MAX_BYTES, |bytes| bytes.min(FRAME_MAX_BYTES))
}

/// The doses of a stage with every size a number, each size once.
pub fn resolved(steps: &[Dose], hosts: &[Host]) -> Vec<Dose> {
    let mut doses: Vec<Dose> = Vec::new();
    for step in steps {
        let mut dose = step.clone();
        if dose.carriage.frame_size_bytes == Some(FrameSize::Mtu) {
            dose.carriage.frame_size_bytes = Some(FrameSize::Bytes(largest(hosts)));
        }
        if dose.carriage.frame_size_bytes.is_none() || !doses.contains(&dose) {
            doses.push(dose);
        }
    }
    doses
}

/// Refuses sizes that this fleet does not carry, before anything is sent.
pub fn check(scenario: &Scenario, hosts: &[Host]) -> Result<(), Faults> {
    let (least, largest) = (least(hosts), largest(hosts));
    let wrong = |stage: &str, size: u16, why: String, help: String| Fault {
        line: None,
        key: format!("{stage}.frame_sizes"),
        wrong: format!("{size} bytes {why}"),
        help,
    };
    let mut faults = Vec::new();
    for stage in &scenario.stages {
        for size in stage.steps.iter().filter_map(|dose| dose.carriage.frame_bytes()) {
            if size > largest {
                let why =
                    format!("are more than this fleet carries, {largest} at the MTU most of its hosts have");
                let help =
                    format!("use at most {largest} or \"mtu\", or raise the MTU on all hosts and switches");
                faults.push(wrong(&stage.name, size, why, help));
            } else if size < least {
                let why = "have no room for a numbered datagram over IPv6".to_owned();
                faults.push(wrong(&stage.name, size, why, format!("use at least {least}")));
            }
        }
    }
    if faults.is_empty() { Ok(()) } else { Err(Faults { of: scenario.name.clone(), faults }) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{
        fleet::host::{HostId, NicFacts},
        plan::draft,
    };

    fn fleet(mtus: &[u32], v6: bool) -> Vec<Host> {
        let addr = if v6 { "fd00::1" } else { "10.0.0.1" };
        let nic = |mtu: u32| NicFacts {
            mtu: Some(mtu),
            addr: Some(addr.parse().expect("an address")),
            ..NicFacts::default()
        };
        let host = |(id, mtu): (u16, &u32)| Host {
            id: HostId(id),
            name: format!("h{id}").parse().expect("a name"),
            rack: None,
            nic: nic(*mtu),
        };
        (0..).zip(mtus).map(host).collect()
    }

    fn scenario(sizes: &str) -> Scenario {
        let text = format!(
            "# Sizes?\nname = \"x\"\n[[stage]]\npattern = \"storm\"\nfor = \"1s\"\ntransport = \"udp\"\nframe_sizes = {sizes}"
        );
        draft::read("x", &text).expect("sound")
    }

    #[test]
    fn the_mtu_is_that_of_most_and_one_odd_host_does_not_set_it() {
        assert_eq!(largest(&fleet(&[9000, 1500, 9000], false)), 9014);
        assert_eq!(largest(&[]), 1514);
        let steps = &scenario("[64, 1514, \"mtu\"]").stages[0].steps;
        let sizes = |hosts: &[Host]| {
            resolved(steps, hosts).iter().filter_map(|dose| dose.carriage.frame_bytes()).collect::<Vec<_>>()
        };
        assert_eq!(sizes(&fleet(&[1500; 3], false)), [64, 1514], "each size once");
        assert_eq!(sizes(&fleet(&[9000; 3], false)), [64, 1514, 9014]);
    }

    #[test]
    fn what_the_fleet_does_not_carry_is_refused_with_the_way_out() {
        assert_eq!(check(&scenario("[64, \"mtu\"]"), &fleet(&[1500; 2], false)), Ok(()));
        let faults = check(&scenario("[64, 1515]"), &fleet(&[1500; 2], true)).expect_err("both");
        insta::assert_snapshot!(faults.to_string(), @r#"
        x has 2 faults
          storm.frame_sizes: 64 bytes have no room for a numbered datagram over IPv6
            help: use at least 82
          storm.frame_sizes: 1515 bytes are more than this fleet carries, 1514 at the MTU most of its hosts have
            help: use at most 1514 or "mtu", or raise the MTU on all hosts and switches
        "#);
    }
}
