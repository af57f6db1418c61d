//! What is wrong whatever the other hosts have: the table of hard rules.
//!
//! A rule is a small function of one host (and, for two of them, of its fleet) that says
//! what is wrong, and a line here with its meaning and commands. `docs/audit.md` holds the
//! same table, and a test compares them.

use std::collections::BTreeMap;

use super::{
    Subject, command,
    fleet::{self, Fleet},
    majority,
    shape::AuditFinding,
};
use crate::model::judge::summary::Severity;

mod card;
mod kernels;

/// A host that runs Xen's paravirtual driver while its kind runs the real one.
pub const FELL_BACK: &str = "fell_back_to_xen_netfront";

/// A hard rule.
pub struct Rule {
    /// Its name in findings.
    pub name: &'static str,
    /// What it means where it speaks, in one sentence.
    pub meaning: &'static str,
    /// What to type to see it.
    pub look: &'static str,
    /// What to type to mend it.
    pub mend: &'static str,
    /// Whether it speaks of the machine and not of the card: hosts that share a kernel, as
    /// those of a lab do, share it.
    pub of_machine: bool,
    /// Rules that have nothing to add where this one has spoken.
    pub silences: &'static [&'static str],
    check: fn(&Case<'_>) -> Option<Said>,
}

/// What a rule looks at.
struct Case<'a> {
    fleet: &'a Fleet<'a>,
    subject: &'a Subject,
}

/// What a rule says.
struct Said {
    text: String,
    /// The values it rests on; commands are filled with them.
    values: Vec<(&'static str, String)>,
}

/// The rules, in the order in which they are asked.
pub const RULES: &[Rule] = &[
    Rule {
        name: FELL_BACK,
        meaning: "the card runs under Xen's paravirtual driver, and most of its kind run the real one: \
                  the driver was lost, most often by an upgrade without kernel headers",
        look: "ethtool -i {iface}; dkms status; ls -d /lib/modules/{kernel}/build",
        mend: "{get_headers} && dkms autoinstall -k {kernel} && modprobe {lost}, then reboot and look again",
        of_machine: false,
        silences: &["dkms_not_built_running", "headers_missing"],
        check: card::fell_back,
    },
    Rule {
        name: "dkms_not_built_running",
        meaning: "a network driver under DKMS is not built for the running kernel: the card runs \
                  under the kernel's own driver, or another",
        look: "dkms status {module}; ethtool -i {iface}",
        mend: "{get_headers} && dkms install {module}/{version} -k {kernel}, then reboot",
        of_machine: true,
        silences: &["headers_missing"],
        check: kernels::not_built_for_running,
    },
    Rule {
        name: "dkms_not_built_newest",
        meaning: "a network driver under DKMS is not built for the newest installed kernel: the \
                  next boot loses it without a word",
        look: "dkms status {module}; ls /lib/modules",
        mend: "{get_headers} && dkms install {module}/{version} -k {kernel}, before the next boot",
        of_machine: true,
        silences: &["newer_kernel_installed", "headers_missing"],
        check: kernels::not_built_for_newest,
    },
    Rule {
        name: "headers_missing",
        meaning: "a network driver is under DKMS and a kernel's headers are not installed: the \
                  driver cannot be built again, and an upgrade silently loses it",
        look: "dkms status; ls -d /lib/modules/{kernel}/build",
        mend: "{get_headers}  # and the package that brings them with every new kernel",
        of_machine: true,
        silences: &[],
        check: kernels::headers_missing,
    },
    Rule {
        name: "newer_kernel_installed",
        meaning: "the running kernel is not the newest that is installed: the next boot changes the \
                  kernel, and with it the driver",
        look: "uname -r; ls /lib/modules; modinfo -k {kernel} {module}",
        mend: "reboot into {kernel} now and audit again, or remove that kernel",
        of_machine: true,
        silences: &[],
        check: kernels::newer_installed,
    },
    Rule {
        name: "module_not_as_on_disk",
        meaning: "the driver that runs is not the one on disk for this kernel: an update was \
                  installed and never loaded, and the next boot changes the driver",
        look: "cat /sys/module/{module}/version /sys/module/{module}/srcversion; modinfo {module}",
        mend: "reboot, or from the console: modprobe -r {module} && modprobe {module} (cuts the link)",
        of_machine: true,
        silences: &[],
        check: kernels::not_as_on_disk,
    },
    Rule {
        name: "sg_with_vif",
        meaning: "scatter-gather is on with Xen's paravirtual driver: packets of many fragments are \
                  dropped (`xennet: skb rides the rocket`) and the network dies under load",
        look: "ethtool -k {iface} | grep scatter-gather; dmesg | grep 'rides the rocket'",
        mend: "ethtool -K {iface} sg off  # for now; the cure is enhanced networking (ena, ixgbevf)",
        of_machine: false,
        silences: &[],
        check: card::sg_with_vif,
    },
    Rule {
        name: "speed_below_advertised",
        meaning: "the link runs below the highest speed that the card advertises: cable, \
                  transceiver, switch port, or what the other end can do",
        look: "ethtool {iface}",
        mend: "ethtool -r {iface}; if it stays, swap cable or transceiver, then look at the switch port",
        of_machine: false,
        silences: &[],
        check: card::speed_below_advertised,
    },
    Rule {
        name: "mtu_mismatch",
        meaning: "hosts that send to each other have different MTUs: large frames vanish on the way \
                  to the smaller one, while small ones pass",
        look: "ip link show dev {iface}",
        mend: "ip link set dev {iface} mtu {want}  # and in the network's configuration, for the next boot",
        of_machine: false,
        silences: &[],
        check: card::mtu_mismatch,
    },
];

/// What the rules say of one host.
pub fn findings(fleet: &Fleet<'_>, subject: &Subject) -> Vec<AuditFinding> {
    let case = Case { fleet, subject };
    let mut found: Vec<AuditFinding> = Vec::new();
    let mut silent: Vec<&str> = Vec::new();
    for rule in RULES {
        if silent.contains(&rule.name) {
            continue;
        }
        let Some(said) = (rule.check)(&case) else { continue };
        silent.extend(rule.silences);
        found.push(finding(rule, &case, said));
    }
    found
}

fn finding(rule: &Rule, case: &Case<'_>, said: Said) -> AuditFinding {
    let mut values: BTreeMap<String, String> = majority::fills(case.subject);
    values.extend(said.values.into_iter().map(|(name, value)| (name.to_owned(), value)));
    // A command by itself, and not one word of one.
    let kernel = values.get("kernel").cloned().unwrap_or_default();
    let distribution = case.subject.facts.machine.distribution.known();
    let get_headers = command::install_headers(distribution.map(String::as_str), &kernel);
    let mend = rule.mend.replace("{get_headers}", &get_headers);
    AuditFinding {
        host: case.subject.host.clone(),
        rule: rule.name.to_owned(),
        severity: Severity::Warn,
        text: said.text,
        look: command::fill(rule.look, &values),
        mend: command::fill(&mend, &values),
        values,
    }
}

/// Whether hosts that share a kernel share what a rule says.
pub fn is_of_machine(rule: &str) -> bool {
    RULES.iter().any(|known| known.name == rule && known.of_machine) || rule == "majority.kernel"
}

/// Drivers of network cards that are known to be installed by way of DKMS.
const NETWORK_DRIVERS: &[&str] = &[
    "atlantic",
    "bnxt_en",
    "e1000e",
    "ena",
    "gve",
    "hinic",
    "i40e",
    "i40evf",
    "iavf",
    "ice",
    "igb",
    "igbvf",
    "igc",
    "ixgbe",
    "ixgbevf",
    "mana",
    "mlx4_core",
    "mlx4_en",
    "mlx5_core",
    "qede",
    "r8125",
    "r8168",
    "tg3",
    "vmxnet3",
];

/// Whether a module drives network cards, or the one under test.
fn is_network_driver(case: &Case<'_>, module: &str) -> bool {
    let own = case.subject.facts.module.name.known().map(String::as_str);
    NETWORK_DRIVERS.contains(&module)
        || own == Some(module)
        || fleet::driver(&case.subject.facts) == Some(module)
}
