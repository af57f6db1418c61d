//! Whether a host meets a policy's demands.

use std::cmp::Ordering;

use super::{Subject, command, fleet, majority, rows, shape::AuditFinding, unread::Needed, version};
use crate::model::{
    judge::summary::Severity,
    plan::policy::{Clause, Demand, Gravity, Policy, offload},
    record::facts::{Fact, HostFacts},
};

/// What is known of one demand on one host.
enum Met {
    Yes,
    /// What it is instead.
    No(String),
    /// Which source could not be read, and why.
    Unknown(&'static str, String),
}

/// The demands that are not met, and those that cannot be checked.
pub fn check(subject: &Subject, policy: &Policy) -> (Vec<AuditFinding>, Vec<Needed>) {
    let facts = &subject.facts;
    let product = facts.machine.product.known().map(String::as_str);
    let (mut unmet, mut unknown) = (Vec::new(), Vec::new());
    for clause in policy.clauses_for(subject.host.as_str(), fleet::driver(facts), product) {
        match met(facts, &clause.demand) {
            Met::Yes => {}
            Met::No(own) => unmet.push(finding(subject, clause, &own)),
            Met::Unknown(fact, why) => {
                unknown.push(Needed { fact, key: clause.demand.key(), host: subject.host.clone(), why });
            }
        }
    }
    (unmet, unknown)
}

fn met(facts: &HostFacts, demand: &Demand) -> Met {
    let card = &facts.card;
    match demand {
        Demand::Driver(want) => told("driver", &card.driver, |driver| equal(&driver.name, want)),
        Demand::DriverVersionMin(least) => match rows::driver_version(facts) {
            Fact::Known(own) => at_least(&own, least, version::order),
            Fact::Unread(why) => Met::Unknown("driver", why),
            Fact::Absent => Met::Unknown(
                "driver",
                "the driver has no version of its own, only the kernel's: demand kernel_min".to_owned(),
            ),
        },
        Demand::FirmwareMin(least) => told("driver", &card.driver, |driver| {
            if version::is_version(&driver.firmware) {
                at_least(&driver.firmware, least, version::order)
            } else {
                Met::Unknown("driver", "the driver tells no firmware version".to_owned())
            }
        }),
        Demand::KernelMin(least) => {
            told("kernel", &facts.machine.kernel, |own| at_least(own, least, version::order_of_kernels))
        }
        Demand::Mtu(want) => told("link", &card.link, |link| equal(&link.mtu, want)),
        Demand::LinkSpeedMin(least) => {
            told("settings", &card.settings, |settings| match settings.speed_bps {
                Some(bps) if bps >= least.bps() => Met::Yes,
                Some(bps) => Met::No(crate::model::fleet::units::BitRate::from_bps(bps).to_string()),
                None => Met::Unknown("settings", "the driver does not know the link's speed".to_owned()),
            })
        }
        Demand::RingRxMin(least) => told("rings", &card.rings, |rings| count(rings.rx, *least)),
        Demand::RingTxMin(least) => told("rings", &card.rings, |rings| count(rings.tx, *least)),
        Demand::CombinedMin(least) => {
            told("channels", &card.channels, |channels| count(channels.combined, *least))
        }
        Demand::Offload(name, want) => offload_met(facts, name, *want),
    }
}

/// Judges what is known; what does not exist meets no demand.
fn told<T>(name: &'static str, fact: &Fact<T>, judge: impl Fn(&T) -> Met) -> Met {
    match fact {
        Fact::Known(value) => judge(value),
        Fact::Absent => Met::No("none".to_owned()),
        Fact::Unread(why) => Met::Unknown(name, why.clone()),
    }
}

fn equal<T: PartialEq + ToString>(own: &T, want: &T) -> Met {
    if own == want { Met::Yes } else { Met::No(own.to_string()) }
}

fn at_least(own: &str, least: &str, order: fn(&str, &str) -> Ordering) -> Met {
    if order(own, least).is_lt() { Met::No(own.to_owned()) } else { Met::Yes }
}

fn count(own: u32, least: u32) -> Met {
    if own >= least { Met::Yes } else { Met::No(own.to_string()) }
}

/// An offload is on where any of the features behind its name is; one that the driver does
/// not have is off.
fn offload_met(facts: &HostFacts, name: &str, want: bool) -> Met {
    let on = |on: bool| if on == want { Met::Yes } else { Met::No(if on { "on" } else { "off" }.to_owned()) };
    match &facts.card.features {
        Fact::Known(own) => {
            on(offload::features(name).iter().any(|feature| own.get(*feature).is_some_and(|it| it.on)))
        }
        Fact::Absent => on(false),
        Fact::Unread(why) => Met::Unknown("offloads", why.clone()),
    }
}

fn finding(subject: &Subject, clause: &Clause, own: &str) -> AuditFinding {
    let Told { what, want, look, mend } = words(&clause.demand);
    let mut values = majority::fills(subject);
    values.insert("own".to_owned(), own.to_owned());
    values.insert("want".to_owned(), want.clone());
    AuditFinding {
        host: subject.host.clone(),
        rule: format!("policy.{}", clause.demand.key()),
        severity: match clause.severity {
            Gravity::Fail => Severity::Fail,
            Gravity::Warn => Severity::Warn,
        },
        text: format!("{what} is {own}, and the policy asks for {want}"),
        look: command::fill(look, &values),
        mend: command::fill(&mend, &values),
        values,
    }
}

/// A demand for people.
struct Told {
    what: String,
    want: String,
    look: &'static str,
    mend: String,
}

fn words(demand: &Demand) -> Told {
    let of_row = |name: &str, what: &str, want: String| {
        let row = rows::ROWS.iter().find(|row| row.name == name).unwrap_or(&rows::ROWS[0]);
        Told { what: what.to_owned(), want, look: row.look, mend: row.mend.to_owned() }
    };
    let least = |least: &str| format!("{least} or later");
    let many = |least: &u32| format!("{least} or more");
    match demand {
        Demand::Driver(want) => of_row("driver", "the driver", want.clone()),
        Demand::DriverVersionMin(min) => {
            let told = of_row("driver_version", "the driver's version", least(min));
            Told { mend: "install {driver} in that version, then reboot".to_owned(), ..told }
        }
        Demand::FirmwareMin(min) => {
            let told = of_row("firmware", "the firmware", least(min));
            Told {
                mend: "update it with the card's vendor's tool, then power-cycle the host".to_owned(),
                ..told
            }
        }
        Demand::KernelMin(min) => {
            let told = of_row("kernel", "the kernel", least(min));
            Told { mend: "install it with its headers, then reboot into it".to_owned(), ..told }
        }
        Demand::Mtu(want) => of_row("mtu", "the MTU", want.to_string()),
        Demand::LinkSpeedMin(min) => of_row("speed", "the link's speed", format!("{min} or more")),
        Demand::RingRxMin(min) => {
            let told = of_row("ring_rx", "the receive ring", many(min));
            Told { mend: format!("ethtool -G {{iface}} rx {min}"), ..told }
        }
        Demand::RingTxMin(min) => {
            let told = of_row("ring_tx", "the transmit ring", many(min));
            Told { mend: format!("ethtool -G {{iface}} tx {min}"), ..told }
        }
        Demand::CombinedMin(min) => {
            let told = of_row("channels", "the number of combined queues", many(min));
            Told { mend: format!("ethtool -L {{iface}} combined {min}"), ..told }
        }
        Demand::Offload(name, on) => {
            let want = if *on { "on" } else { "off" }.to_owned();
            let mend = format!("ethtool -K {{iface}} {} {want}", command::word(name));
            Told { what: format!("the offload {name}"), want, look: "ethtool -k {iface}", mend }
        }
    }
}
