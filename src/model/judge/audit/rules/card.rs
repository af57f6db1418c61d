//! Rules on the card as it runs: its driver, its speed, its MTU.

use std::collections::BTreeMap;

use super::{Case, Said, kernels};
use crate::model::{
    fleet::units::BitRate,
    judge::audit::fleet::{driver, is_xen_netfront},
    record::facts::HostFacts,
};

pub(super) fn fell_back(case: &Case<'_>) -> Option<Said> {
    let facts = &case.subject.facts;
    let own = driver(facts).filter(|own| is_xen_netfront(own))?;
    let most = case.fleet.drivers_majority(case.subject)?;
    if is_xen_netfront(&most.value) || most.value == "none" {
        return None;
    }
    let text = format!(
        "the card runs under {own} (xen_netfront), and {} of {} hosts of its kind under {}: {}",
        most.agree,
        most.of,
        most.value,
        why_lost(case, &most.value),
    );
    let mut values = vec![("lost", most.value)];
    values.extend(facts.machine.kernel.known().map(|kernel| ("kernel", kernel.clone())));
    Some(Said { text, values })
}

/// Why a driver is not there, as far as headers and DKMS tell.
fn why_lost(case: &Case<'_>, lost: &str) -> String {
    let facts = &case.subject.facts;
    let kernel = facts.machine.kernel.known().map_or("the running kernel", String::as_str);
    let headers = kernels::headers_of_running(case);
    let unread = facts.dkms.unread().or(facts.kernels.unread());
    match (kernels::not_built(case, kernel), headers) {
        (Some(module), Some(false)) => format!(
            "{} {} is under DKMS but not built for {kernel}, because that kernel's headers are not installed \
             (an upgrade without headers)",
            module.name, module.version
        ),
        (Some(module), _) => {
            format!("{} {} is under DKMS but not built for {kernel}", module.name, module.version)
        }
        (None, _) if unread.is_some() => {
            format!(
                "why is not known, because DKMS or kernels could not be read ({})",
                unread.unwrap_or_default()
            )
        }
        (None, _) if kernels::network_modules(case).is_empty() => {
            format!("{lost} is not under DKMS here, so an upgrade of the kernel did not bring it along")
        }
        (None, _) => format!(
            "a driver is built for {kernel} and not used: is it blacklisted, missing in the initial ramdisk, or is \
             enhanced networking off for this instance?"
        ),
    }
}

pub(super) fn sg_with_vif(case: &Case<'_>) -> Option<Said> {
    let facts = &case.subject.facts;
    let own = driver(facts).filter(|own| is_xen_netfront(own))?;
    let on = facts.card.features.known()?.get("tx-scatter-gather")?.on;
    on.then(|| Said {
        text: format!(
            "scatter-gather is on under {own} (xen_netfront): packets in more than 18 fragments are dropped \
             (`skb rides the rocket`), and large transfers stop the network"
        ),
        values: vec![("sg", "on".to_owned())],
    })
}

pub(super) fn speed_below_advertised(case: &Case<'_>) -> Option<Said> {
    let settings = case.subject.facts.card.settings.known()?;
    let (speed, advertised) = (settings.speed_bps?, settings.advertised_max_bps?);
    (speed < advertised).then(|| {
        let (speed, advertised) = (BitRate::from_bps(speed), BitRate::from_bps(advertised));
        Said {
            text: format!("the link runs at {speed}, and the card advertises up to {advertised}"),
            values: vec![("speed", speed.to_string()), ("advertised", advertised.to_string())],
        }
    })
}

/// Of the whole fleet, whatever the machines: they send to each other.
pub(super) fn mtu_mismatch(case: &Case<'_>) -> Option<Said> {
    let mtu = |facts: &HostFacts| facts.card.link.known().map(|link| link.mtu);
    let own = mtu(&case.subject.facts)?;
    let mut hosts: BTreeMap<u32, usize> = BTreeMap::new();
    for mtu in case.fleet.subjects.iter().filter_map(|subject| mtu(&subject.facts)) {
        *hosts.entry(mtu).or_default() += 1;
    }
    // Of two that are as frequent the larger one: what exceeds the smaller is what is lost.
    let (want, agree) = hosts.iter().max_by_key(|(mtu, count)| (**count, **mtu))?;
    (own != *want).then(|| {
        let all: usize = hosts.values().sum();
        Said {
            text: format!("the MTU is {own}, and {want} on {agree} of {all} hosts of the fleet"),
            values: vec![("own", own.to_string()), ("want", want.to_string())],
        }
    })
}
