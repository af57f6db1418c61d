//! Which counter, and which kernel line, speaks for which finding, and why. The whole of
//! that knowledge stands here; the rule by which it is used stands in `evidence`.
//!
//! Only kinds that this version yields can be named. Counters that merely repeat what the
//! receivers saw (retransmissions, time-outs, duplicate acknowledgements) are left out: they
//! move at both ends of a lossy pair and tell nothing of whose fault it is.

use crate::model::{judge::summary::FindingKind, record::kernel_log::Meaning};

use FindingKind::{
    AddressLost, Corruption, DeadQueue, Degrading, DiesUnderLoad, DuplicateAddress, FailSlow, HostLimited,
    LinkDown, LinkFlap, LossAboveRate, MtuBlackHole, MtuMismatch, NeighbourFailure, NewFlowsRefused,
    OneWayDead, Outage, PacketLoss, Stalls, WorkerFrozen, WorkerLost,
};

/// Whose a counter is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Whose {
    /// The interface's, or the network namespace's: one worker's alone.
    Host,
    /// The kernel's: of all workers that share it.
    Kernel,
}

/// Counters of one meaning.
#[derive(Debug)]
pub struct CounterRule {
    /// Names as in [`Counters`](crate::model::record::facts::Counters), with their group and
    /// `*` for anything; lower case.
    pub names: &'static [&'static str],
    /// In words, as a part of a sentence.
    pub says: &'static str,
    /// The findings that it corroborates; none where it speaks against the card.
    pub kinds: &'static [FindingKind],
    /// The least step that means anything: 1 for what never moves on a healthy host.
    pub least: i64,
    /// Whose it is.
    pub whose: Whose,
}

const LINK: &[FindingKind] = &[LinkDown, LinkFlap];
const DEAD: &[FindingKind] = &[DiesUnderLoad, Outage, OneWayDead];
/// What a card does that loses frames, all of them or some: silence, loss, and slowness by loss.
const LOSES: &[FindingKind] =
    &[DiesUnderLoad, Outage, OneWayDead, PacketLoss, LossAboveRate, FailSlow, Degrading];
/// What changed bytes do: caught, they are a loss; not caught, corruption.
const CHANGES: &[FindingKind] =
    &[DiesUnderLoad, Outage, OneWayDead, PacketLoss, LossAboveRate, FailSlow, Degrading, Corruption];
const HOST: &[FindingKind] = &[HostLimited, WorkerFrozen];
const NOT_THE_CARD: &[FindingKind] = &[];

/// The counters. The first rule that names a counter has it.
pub static COUNTERS: &[CounterRule] = &[
    CounterRule {
        names: &[
            "link.carrier_down_count",
            "link.carrier_changes",
            "driver.link_down*",
            "driver.*link_down_events*",
        ],
        says: "the carrier went",
        kinds: LINK,
        least: 1,
        whose: Whose::Host,
    },
    // The kernel's own watchdog, and what drivers count when they reset: a queue stood still.
    CounterRule {
        names: &[
            "driver.*tx_timeout*",
            "driver.*tx_hang*",
            "driver.*wd_expired*",
            "driver.*missing_tx_cmpl*",
            "driver.*tx_stuck*",
            "driver.*hw_reset*",
            "driver.*total_resets*",
            "driver.*reset_task*",
            "driver.*tx_recover*",
        ],
        says: "a transmit queue stood still, or the driver reset the card",
        kinds: &[DiesUnderLoad, Outage, OneWayDead, DeadQueue, Stalls],
        least: 1,
        whose: Whose::Host,
    },
    // Limits of the instance: the hypervisor queues or drops, and the card is well.
    CounterRule {
        names: &["driver.*allowance_exceeded*"],
        says: "the instance's allowance, a limit of its size and not of the card",
        kinds: NOT_THE_CARD,
        least: 1,
        whose: Whose::Host,
    },
    CounterRule {
        names: &["driver.*xdp*drop*", "driver.*xdp*aborted*"],
        says: "dropped by an XDP program on the interface: look at it before the card",
        kinds: LOSES,
        least: 1,
        whose: Whose::Host,
    },
    // Damaged on the wire: the frame never reached the kernel, so it is this end's link.
    CounterRule {
        names: &[
            "link.rx_crc_errors",
            "link.rx_frame_errors",
            "driver.*crc_err*",
            "driver.*symbol_err*",
            "driver.*rx_align*",
            "driver.*fcs_err*",
            "driver.*phy*err*",
        ],
        says: "frames that arrived damaged: cable, transceiver, port or card",
        kinds: CHANGES,
        least: 1,
        whose: Whose::Host,
    },
    // Damaged past the wire's own check: in a card or in memory on the way.
    CounterRule {
        names: &[
            "protocols.tcp.incsumerrors",
            "protocols.udp.incsumerrors",
            "protocols.icmp.incsumerrors",
            "driver.*csum*err*",
            "driver.*csum*bad*",
        ],
        says: "packets that arrived with a wrong checksum: damaged by a card or in memory",
        kinds: CHANGES,
        least: 1,
        whose: Whose::Host,
    },
    CounterRule {
        names: &[
            "link.tx_carrier_errors",
            "link.tx_aborted_errors",
            "link.tx_heartbeat_errors",
            "link.tx_window_errors",
            "link.tx_fifo_errors",
            "link.tx_errors",
        ],
        says: "frames that the card could not send",
        kinds: LOSES,
        least: 1,
        whose: Whose::Host,
    },
    // Counted per device, so the card's own even where workers share a kernel.
    CounterRule {
        names: &["pcie.*fatal*"],
        says: "errors of the PCI Express link",
        kinds: LOSES,
        least: 1,
        whose: Whose::Host,
    },
    CounterRule {
        names: &["pcie.*correctable*"],
        says: "corrected errors of the PCI Express link; many cost throughput",
        kinds: &[FailSlow, Degrading],
        least: 10,
        whose: Whose::Host,
    },
    // Pause frames are sent by the far end, which is full: congestion, and nobody's card.
    CounterRule {
        names: &["driver.*rx*pause*", "driver.*rx*xoff*", "driver.*rx*pfc*"],
        says: "the switch told the card to pause: congestion, not the card",
        kinds: NOT_THE_CARD,
        least: 10,
        whose: Whose::Host,
    },
    // A full ring is a card without room or a CPU that does not empty it; either way here.
    CounterRule {
        names: &[
            "link.rx_missed_errors",
            "link.rx_fifo_errors",
            "link.rx_over_errors",
            "link.rx_nohandler",
            "driver.*no_buffer*",
            "driver.*rx_missed*",
            "driver.*out_of_buffer*",
            "driver.*rx*overrun*",
            "driver.*rx_discard*",
            "driver.*rx_drops*",
        ],
        says: "frames for which the card had no room: its rings, or a CPU that does not empty them",
        kinds: &[FailSlow, HostLimited, PacketLoss, LossAboveRate],
        least: 10,
        whose: Whose::Host,
    },
    CounterRule {
        names: &["link.rx_dropped", "link.tx_dropped", "link.rx_length_errors", "link.rx_errors"],
        says: "frames that the interface dropped, as for a lost carrier or another MTU",
        kinds: &[
            LinkDown,
            LinkFlap,
            Outage,
            OneWayDead,
            FailSlow,
            PacketLoss,
            LossAboveRate,
            MtuMismatch,
            MtuBlackHole,
        ],
        least: 10,
        whose: Whose::Host,
    },
    CounterRule {
        names: &["qdisc.drops"],
        says: "dropped in the host's own queue: it was given more than the link took",
        kinds: &[FailSlow, LossAboveRate],
        least: 100,
        whose: Whose::Host,
    },
    CounterRule {
        names: &["protocols.ip.outnoroutes", "protocols.ip6.outnoroutes"],
        says: "packets without a route: an address or a route is gone",
        kinds: &[Outage, AddressLost],
        least: 1,
        whose: Whose::Host,
    },
    CounterRule {
        names: &["protocols.tcpext.tcptozerowindowadv"],
        says: "its own kernel had no room left for the worker, which did not read",
        kinds: HOST,
        least: 1,
        whose: Whose::Host,
    },
    CounterRule {
        names: &["softnet.dropped", "softnet.time_squeeze"],
        says: "the CPU did not keep up with the packets of all interfaces",
        kinds: &[HostLimited],
        least: 10,
        whose: Whose::Kernel,
    },
];

/// The place in [`COUNTERS`] of the rule that has a counter, if any.
pub fn place_of(name: &str) -> Option<usize> {
    let name = name.to_ascii_lowercase();
    COUNTERS.iter().position(|rule| rule.names.iter().any(|pattern| fits(pattern, &name)))
}

/// The rule that has a counter, if any.
pub fn rule_of(name: &str) -> Option<&'static CounterRule> {
    place_of(name).map(|place| &COUNTERS[place])
}

/// Whether all of `name` is `pattern`, in which `*` stands for anything.
fn fits(pattern: &str, name: &str) -> bool {
    let mut pieces = pattern.split('*');
    let first = pieces.next().unwrap_or_default();
    let Some(mut rest) = name.strip_prefix(first) else { return false };
    let Some(last) = pieces.next_back() else { return rest.is_empty() };
    for piece in pieces {
        match rest.find(piece) {
            Some(at) => rest = &rest[at + piece.len()..],
            None => return false,
        }
    }
    rest.ends_with(last)
}

/// The findings that a kernel line corroborates; none where it speaks against the card.
pub const fn kinds_of(meaning: Meaning) -> &'static [FindingKind] {
    match meaning {
        Meaning::CarrierDown => &[LinkDown, LinkFlap, Outage],
        // Lower than before, it explains a slow host too: that is asked for beside this.
        Meaning::CarrierUp => &[LinkFlap],
        Meaning::QueueStuck
        | Meaning::CompletionsLate
        | Meaning::CardReset
        | Meaning::TooManyPieces
        | Meaning::NoBuffers => DEAD,
        Meaning::Firmware | Meaning::BusError => LOSES,
        Meaning::ChecksumWrong => CHANGES,
        Meaning::BusCorrected => &[FailSlow, Degrading],
        // An unknown neighbour, a lost or doubled address: it is this host, and not its card.
        Meaning::NeighboursFull => &[Outage, NeighbourFailure],
        Meaning::ConnectionsFull => &[Outage, NewFlowsRefused],
        Meaning::AddressLost => &[Outage, AddressLost],
        Meaning::AddressTwice => &[Outage, DuplicateAddress],
        Meaning::Martian => NOT_THE_CARD,
        Meaning::CoreStuck => HOST,
        Meaning::OutOfMemory => &[WorkerLost, WorkerFrozen],
        Meaning::Overheated => &[HostLimited],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_of_several_drivers_find_their_rule() {
        for (name, says) in [
            ("driver.tx_timeout", "a transmit queue stood still"),
            ("driver.queue_3_tx_missing_tx_cmpl", "a transmit queue stood still"),
            ("driver.bw_out_allowance_exceeded", "the instance's allowance"),
            ("driver.rx_queue_0_xdp_drops", "dropped by an XDP program"),
            ("driver.rx_xdp_drop", "dropped by an XDP program"),
            ("driver.rx_crc_errors_phy", "frames that arrived damaged"),
            ("protocols.Tcp.InCsumErrors", "packets that arrived with a wrong checksum"),
            ("driver.rx_csum_offload_errors", "packets that arrived with a wrong checksum"),
            ("pcie.nonfatal", "errors of the PCI Express link"),
            ("link.carrier_down_count", "the carrier went"),
            ("driver.rx_prio3_pause", "the switch told the card to pause"),
            ("driver.rx_out_of_buffer", "frames for which the card had no room"),
        ] {
            let rule = rule_of(name).unwrap_or_else(|| panic!("{name} has no rule"));
            assert!(rule.says.starts_with(says), "{name}: {}", rule.says);
        }
        for name in ["protocols.Tcp.RetransSegs", "link.rx_bytes", "driver.tx_packets", "xdp_drops"] {
            assert!(rule_of(name).is_none(), "{name} corroborates nothing");
        }
    }

    #[test]
    fn what_is_a_limit_of_the_instance_accuses_no_card() {
        assert!(rule_of("driver.pps_allowance_exceeded").is_some_and(|rule| rule.kinds.is_empty()));
    }

    #[test]
    fn patterns_are_lower_case() {
        assert!(COUNTERS.iter().flat_map(|rule| rule.names).all(|name| *name == name.to_ascii_lowercase()));
    }
}
