//! What to do next about a finding: one next step a kind, in the order of what is lost first.
//!
//! The finding's own text says what happened. Here stands what a person at a console can do
//! about any finding of that kind; nothing here depends on the numbers of one run.

use crate::model::judge::summary::FindingKind;

/// The next step for a kind, as sentences for people.
pub const fn next_step(kind: FindingKind) -> &'static str {
    match kind {
        FindingKind::DiesUnderLoad => {
            "Before a reboot, save `dmesg`, `ethtool -i`, `ethtool -S` and `ethtool -k` of the card: the cause \
             is lost with it. Run the same scenario and seed again; then try another driver or firmware, \
             offloads off, another port or cable, and swap the card if it still dies."
        }
        FindingKind::LinkDown => {
            "Look at the cable, the transceiver and the switch port (its log of that moment), and at `dmesg` \
             for a reset by the driver. Do not put the host into service while its carrier is down."
        }
        FindingKind::LinkFlap => {
            "Compare the times with the switch port's log. Reseat or swap cable and transceiver first, then \
             the port, then the card; run again after each single change."
        }
        FindingKind::Outage => {
            "Open the host's console before anything else: it decides between card, link and host. If the \
             host is alive there, save `dmesg` and `ethtool -S`, then check cable and switch port."
        }
        FindingKind::OneWayDead => {
            "One direction works, so link and routing mostly do. Save `ethtool -S`, look for a stuck queue or \
             a broken pair or fibre in that direction, then swap transceiver, cable and card in turn."
        }
        FindingKind::AddressLost => {
            "Find out who took the address away: the lease (`journalctl -u systemd-networkd`, dhclient's log), \
             a script, a second manager of the same interface. Then run again."
        }
        FindingKind::DuplicateAddress => {
            "Find the other holder by its hardware address (`ip neigh`, the switch's table), take the address \
             away from one of the two, and flush the entries (`ip neigh flush`)."
        }
        FindingKind::NeighbourFailure => {
            "Look at both ends' tables (`ip neigh`), at what filters ARP or neighbour discovery between them, \
             and at static entries; flush the wrong ones and run again."
        }
        FindingKind::MtuBlackHole => {
            "Send frames of the size that is lost by hand (`ping -M do -s SIZE`), hop by hop, to find who drops \
             them; make the MTU the same on host, switch and everything between."
        }
        FindingKind::MtuMismatch => {
            "Set the MTU to what the fleet has, on the interface and where it is configured, and run again: \
             until then large frames do not arrive there."
        }
        FindingKind::NewFlowsRefused => {
            "Look at tables of flows and connections on the host and before it (`conntrack -S`, \
             `sysctl net.netfilter.nf_conntrack_max`, the switch's or hypervisor's limits), and make them larger."
        }
        FindingKind::DeadQueue => {
            "Compare the counters of its queues (`ethtool -S`): one stands still. Try with a single queue \
             (`ethtool -L`), then another driver or firmware; swap the card if it stays."
        }
        FindingKind::PacketLoss => {
            "Save `ethtool -S` and the switch port's counters: errors there tell cable and optics from the card. \
             Swap the cable first, then the port, then the card; run again after each."
        }
        FindingKind::LossAboveRate => {
            "Compare ring sizes, interrupt moderation and flow control with a peer (`ethtool -g`, `-c`, `-a`), and \
             look for a limit of its instance; then run `packet-rates` of the scenario accept again."
        }
        FindingKind::Duplication => {
            "Look for a loop, a bond with two live members, or a mirror port; a switch that floods shows it on \
             several hosts at once."
        }
        FindingKind::Reordering => {
            "Look at what spreads one flow over several ways: a bond's hash, receive steering (`ethtool -n`, RPS), \
             members of the uplink; TCP takes three overtaken segments for a loss."
        }
        FindingKind::Stalls => {
            "Look for PAUSE frames on both ends of the link (`ethtool -S`, `-a`), for power management (`ethtool \
             --show-eee`, the processor's idle states) and at the firmware's version."
        }
        FindingKind::Latency => {
            "Compare interrupt moderation, idle states and queues with a fast host (`ethtool -c`, `cpupower \
             idle-info`), and the ways that its switch and theirs take."
        }
        FindingKind::LatencyUnderLoad => {
            "Compare queues and their limits with a peer (`tc -s qdisc`, byte queue limits, `ethtool -g`): what is \
             late at half load waits in a queue that others do not have."
        }
        FindingKind::Degrading => {
            "Watch temperature and errors while it runs (`sensors`, `ethtool -m`, `ethtool -S`), and run the same \
             for longer: it may fail outright."
        }
        FindingKind::ClockJump => {
            "The worker's clock jumped, so its lines cannot be placed. Look for a paused or migrated virtual \
             machine, then run this host again."
        }
        FindingKind::RackUplink => {
            "Look at the ports, optics and members of the uplink between the racks, on both sides; hosts are fine \
             within their racks."
        }
        FindingKind::RateLimit => {
            "Ask what the instance type or the port allows, and for how long; test within it, or on a larger type. \
             No card is accused by this."
        }
        FindingKind::FailSlow => {
            "Compare driver, firmware, negotiated speed, PCIe width and offloads with a host that was fast \
             (`ethtool`, `lspci -vv`). A difference found there is the first thing to put right."
        }
        FindingKind::Corruption => {
            "Take the host out of service: what it stores or serves may be wrong. Turn checksum and \
             segmentation offloads off (`ethtool -K`) and verify again; then test its memory, and swap the card."
        }
        FindingKind::WorkerLost => {
            "The process ended while its host lived on: no word on the card. Look for the reason in the \
             worker's log and in `dmesg` (out of memory), then run this host again."
        }
        FindingKind::WorkerFrozen => {
            "The worker did not run for a while, so its host was not measured. Look for CPU or memory \
             pressure, a stopped process or a paused virtual machine, then run this host again."
        }
        FindingKind::HostRebooted => {
            "The host restarted during the run. Read the log of the previous boot (`journalctl -b -1`), the \
             crash dump and the service processor's log; treat the host as bad until that is explained."
        }
        FindingKind::HostLimited => {
            "The CPU, not the card, set the limit. Stop what else runs there, or ask for less load on each \
             host, then run again: the card was not tested at its limit."
        }
        FindingKind::ControlLost => {
            "Data flowed while orders did not arrive. Look at the way between coordinator and host (firewall, \
             routing, the card that carries control); its record may still lie in its spool."
        }
        FindingKind::WrongInterface => {
            "The bytes went through another interface than the one under test. Name the card with `--iface` \
             or `--addr`, check routes and source addresses, then run this host again."
        }
        FindingKind::PortsBlocked => {
            "Open the data ports between all hosts, TCP and UDP, both ways, or choose open ones with \
             `--data-ports`, then run again."
        }
        FindingKind::Withdrawn => {
            "Its owner withdrew the worker. Ask there before anything else; then run this host again."
        }
        FindingKind::TransferFailed => {
            "A disk, a process or a key ended a transfer, not the network. Put right what the finding names, \
             then run this host again: what it carried until then still counts."
        }
        FindingKind::Path => {
            "Run the same pair with other partners: the side that fails with everybody is at fault. If both \
             are fine elsewhere, look at the switches, the cabling and the ECMP members between them."
        }
        FindingKind::SharedCongestion => {
            "Many hosts fell together without one in common: look at shared uplinks and switch buffers, or \
             ask for less load at once. No card is accused by this."
        }
        FindingKind::CoordinatorImpaired => {
            "The coordinator itself was held up, so what it saw then does not count. Run it on a quieter \
             machine and repeat the run."
        }
        FindingKind::Audit => {
            "Type the commands that stand in the finding: the first shows it, the second mends it. Then \
             audit the host again (`nicburn audit`), also after its next reboot."
        }
    }
}

/// What to do where no finding says it: hosts that were not measured.
pub const NOT_MEASURED: &str = "Nothing is known of this card. Put right what the reason says, then run again; a host that \
     was not measured must not count as healthy.";

/// All kinds, for tests and documents that must miss none.
pub const ALL_KINDS: [FindingKind; 38] = [
    FindingKind::DiesUnderLoad,
    FindingKind::LinkDown,
    FindingKind::LinkFlap,
    FindingKind::Outage,
    FindingKind::OneWayDead,
    FindingKind::FailSlow,
    FindingKind::Corruption,
    FindingKind::AddressLost,
    FindingKind::DuplicateAddress,
    FindingKind::NeighbourFailure,
    FindingKind::MtuBlackHole,
    FindingKind::MtuMismatch,
    FindingKind::NewFlowsRefused,
    FindingKind::DeadQueue,
    FindingKind::PacketLoss,
    FindingKind::LossAboveRate,
    FindingKind::Duplication,
    FindingKind::Reordering,
    FindingKind::Stalls,
    FindingKind::Latency,
    FindingKind::LatencyUnderLoad,
    FindingKind::Degrading,
    FindingKind::ClockJump,
    FindingKind::RackUplink,
    FindingKind::RateLimit,
    FindingKind::WorkerLost,
    FindingKind::WorkerFrozen,
    FindingKind::HostRebooted,
    FindingKind::HostLimited,
    FindingKind::ControlLost,
    FindingKind::WrongInterface,
    FindingKind::PortsBlocked,
    FindingKind::Withdrawn,
    FindingKind::TransferFailed,
    FindingKind::Path,
    FindingKind::SharedCongestion,
    FindingKind::CoordinatorImpaired,
    FindingKind::Audit,
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_has_a_step_of_its_own_and_stands_in_the_reading_guide() {
        let guide = include_str!("../../docs/reading-a-verdict.md");
        let steps: std::collections::BTreeSet<&str> = ALL_KINDS.into_iter().map(next_step).collect();
        assert_eq!(steps.len(), ALL_KINDS.len(), "two kinds share a step");
        for kind in ALL_KINDS {
            assert!(next_step(kind).ends_with('.'), "{}", kind.name());
            assert!(guide.contains(&format!("### `{}`", kind.name())), "{} is not explained", kind.name());
        }
    }
}
