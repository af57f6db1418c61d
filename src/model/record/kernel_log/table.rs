//! The lines of the kernel's log that are known: what each looks like, what it means, where
//! it is written, and what it must not be taken for.
//!
//! Patterns are pieces of the kernel's own format strings in lower case, with `*` for what
//! varies; they may stand anywhere in a line. The first that fits is taken, so that the
//! particular stands before the general. Which finding a meaning speaks for is the judge's
//! (`judge/evidence/table.rs`).

/// What a line tells.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Meaning {
    /// The card lost its carrier.
    CarrierDown,
    /// The carrier is back; the line may tell its speed.
    CarrierUp,
    /// A transmit queue did not move for seconds.
    QueueStuck,
    /// Completions of sent frames came late or not at all, as the driver counted.
    CompletionsLate,
    /// The driver reset the card, or is about to.
    CardReset,
    /// The card's firmware failed or did not answer.
    Firmware,
    /// The driver was handed a packet in more pieces than it can send, and dropped it.
    TooManyPieces,
    /// The checksum that the card computed is wrong.
    ChecksumWrong,
    /// The bus between host and card failed.
    BusError,
    /// The bus corrected an error by itself.
    BusCorrected,
    /// No memory for the card's transfers.
    NoBuffers,
    /// The table of neighbours is full.
    NeighboursFull,
    /// The table of tracked connections is full.
    ConnectionsFull,
    /// An address was lost, or no server gave one.
    AddressLost,
    /// Another machine uses the same address.
    AddressTwice,
    /// A packet with an address that cannot come this way.
    Martian,
    /// A core did not schedule for seconds.
    CoreStuck,
    /// The host had no memory left and killed a process.
    OutOfMemory,
    /// The host throttled itself for heat.
    Overheated,
}

/// What a line is about.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Scope {
    /// One card: counts only where the line names the card under test, or its driver alone.
    Card,
    /// The host as a whole.
    Host,
}

/// A known line.
#[derive(Debug)]
pub struct Known {
    /// Pieces of its text, lower case, `*` between them.
    pub pattern: &'static str,
    /// What it tells.
    pub meaning: Meaning,
    /// What it is about.
    pub scope: Scope,
    /// In words, as a part of a sentence.
    pub says: &'static str,
    /// What it must not be taken for; empty where it speaks for itself.
    pub caveat: &'static str,
    /// Where the line is written: a file of the kernel's tree, or a document.
    pub source: &'static str,
}

const ENA_CAVEAT: &str = "a core that was kept from its interrupts delays completions too: rule out a starved CPU before the card (AWS, ENA Linux best practices)";
const WATCHDOG_CAVEAT: &str =
    "a starved CPU or a switch that pauses the link can hold a queue too; look at softirq and pause counters";
const ONCE_CAVEAT: &str =
    "printed at most every few seconds: the number of lines is not the number of events";

const fn card(
    pattern: &'static str,
    meaning: Meaning,
    says: &'static str,
    caveat: &'static str,
    source: &'static str,
) -> Known {
    Known { pattern, meaning, scope: Scope::Card, says, caveat, source }
}

const fn host(
    pattern: &'static str,
    meaning: Meaning,
    says: &'static str,
    caveat: &'static str,
    source: &'static str,
) -> Known {
    Known { pattern, meaning, scope: Scope::Host, says, caveat, source }
}

/// The table. Held to: lower case, no pattern that an earlier one swallows, a source each.
#[rustfmt::skip]
pub static KNOWN: &[Known] = {
    use Meaning::{
        AddressLost, AddressTwice, BusCorrected, BusError, CardReset, CarrierDown, CarrierUp, ChecksumWrong,
        CompletionsLate, ConnectionsFull, CoreStuck, Firmware, Martian, NeighboursFull, NoBuffers, OutOfMemory,
        Overheated, QueueStuck, TooManyPieces,
    };
    &[
    // -- queues that stop, and the resets that follow
    card("netdev watchdog: *transmit *timed out", QueueStuck, "a transmit queue stood still for 5 s or more", WATCHDOG_CAVEAT, "net/sched/sch_generic.c"),
    card("detected tx unit hang", QueueStuck, "the driver saw its transmit unit hang", WATCHDOG_CAVEAT, "drivers/net/ethernet/intel/{igb,ixgbe,ixgbevf,e1000e,fm10k}"),
    card("detected hardware unit hang", QueueStuck, "the driver saw its transmit unit hang", WATCHDOG_CAVEAT, "drivers/net/ethernet/intel/e1000e/netdev.c"),
    card("tx_timeout recovery level", CardReset, "the driver resets after a transmit time-out; a higher level is a harder reset", "", "drivers/net/ethernet/intel/{i40e,ice,fm10k}"),
    card("tx_timeout: vsi_", QueueStuck, "a transmit queue timed out", WATCHDOG_CAVEAT, "drivers/net/ethernet/intel/{i40e,ice}"),
    card("tx timeout detected", QueueStuck, "a transmit queue timed out", WATCHDOG_CAVEAT, "drivers/net/ethernet/mellanox/mlx5/core/en_main.c, drivers/net/ethernet/broadcom/bnxt/bnxt.c"),
    card("tx timeout on queue:", QueueStuck, "a transmit queue timed out", WATCHDOG_CAVEAT, "drivers/net/ethernet/mellanox/mlx5/core/en/reporter_tx.c, drivers/net/virtio_net.c"),
    card("transmit timed out, resetting", CardReset, "a transmit queue timed out and the driver resets", WATCHDOG_CAVEAT, "drivers/net/ethernet/broadcom/tg3.c"),
    card("initiating reset due to tx timeout", CardReset, "the driver resets after a transmit time-out", "", "drivers/net/ethernet/intel/ixgbe/ixgbe_main.c"),
    card("initiating reset due to lost link with pending tx work", CardReset, "the driver resets: the link went with frames still to send", "", "drivers/net/ethernet/intel/ixgbe/ixgbe_main.c"),
    card("reset adapter", CardReset, "the driver resets the card", "", "drivers/net/ethernet/intel/{ixgbe,igb,e1000e}"),
    card("found a tx that wasn't completed on time", CompletionsLate, "a sent frame was not completed in time", ENA_CAVEAT, "drivers/net/ethernet/amazon/ena/ena_netdev.c"),
    card("the number of lost tx completion", CompletionsLate, "too many sent frames were never completed; the driver resets", ENA_CAVEAT, "drivers/net/ethernet/amazon/ena/ena_netdev.c"),
    card("potential msix issue on", CompletionsLate, "an interrupt of a queue did not come", ENA_CAVEAT, "drivers/net/ethernet/amazon/ena/ena_netdev.c"),
    card("keep alive watchdog timeout", Firmware, "the device stopped its keep-alive; the driver resets it", "", "drivers/net/ethernet/amazon/ena/ena_netdev.c"),
    card("trigger reset is on", CardReset, "the driver resets the device", "", "drivers/net/ethernet/amazon/ena/ena_netdev.c"),
    card("malicious driver detection event", CardReset, "the card refused what its driver gave it and stopped the queue", "a driver's fault as often as the card's", "drivers/net/ethernet/intel/{i40e,ice,ixgbe}"),
    // -- firmware and commands
    card("device's health compromised", Firmware, "the firmware stopped counting: the device is not healthy", "", "drivers/net/ethernet/mellanox/mlx5/core/health.c"),
    card("fatal error * detected", Firmware, "the firmware reports a fatal error", "", "drivers/net/ethernet/mellanox/mlx5/core/health.c"),
    card("timeout. will cause a leak of a command resource", Firmware, "the firmware did not answer a command", "", "drivers/net/ethernet/mellanox/mlx5/core/cmd.c"),
    card("error cqe on cqn", Firmware, "the card completed a transfer with an error", "", "drivers/net/ethernet/mellanox/mlx5/core/en/txrx.h"),
    card("error (timeout: *) msg {", Firmware, "the firmware did not answer a command", "", "drivers/net/ethernet/broadcom/bnxt/bnxt_hwrm.c"),
    card("firmware reset event", Firmware, "the firmware asks for a reset", "", "drivers/net/ethernet/broadcom/bnxt/bnxt.c"),
    card("firmware fatal exception", Firmware, "the firmware failed", "", "drivers/net/ethernet/broadcom/bnxt/bnxt.c"),
    card("firmware recovery mode", Firmware, "the firmware is in recovery: the card does not work", "", "drivers/net/ethernet/intel/{i40e,ice,ixgbe}"),
    card("arq critical error", Firmware, "the firmware's command queue failed", "", "drivers/net/ethernet/intel/i40e/i40e_main.c"),
    card("adapter has been stopped because it has over heated", Firmware, "the card stopped for heat", "", "drivers/net/ethernet/intel/{igb,ixgbe}"),
    card("network adapter has been stopped", Firmware, "the card stopped, for heat or a fault", "", "drivers/net/ethernet/intel/ixgbe/ixgbe_main.c"),
    // -- the story's own line
    card("xennet: skb rides the rocket", TooManyPieces, "the Xen driver was handed a packet in more pieces than it can send, and dropped it", "a debug line since kernel 3.19, where the driver copies the packet instead; cure: another driver, or scatter-gather off", "drivers/net/xen-netfront.c"),
    card("xennet: skb->len", TooManyPieces, "the Xen driver was handed a packet too long to send", "", "drivers/net/xen-netfront.c"),
    // -- damaged data
    card("hw csum failure", ChecksumWrong, "the card computed another checksum than the kernel", ONCE_CAVEAT, "net/core/dev.c, netdev_rx_csum_fault()"),
    // -- the bus
    card("pcie bus error: severity=uncorrect", BusError, "PCI Express reports an error that it could not correct", "", "drivers/pci/pcie/aer.c"),
    card("aer: *uncorrect* received", BusError, "PCI Express reports an error that it could not correct", "", "drivers/pci/pcie/aer.c"),
    card("pcie bus error: severity=correct", BusCorrected, "PCI Express corrected an error by itself", "single ones are normal; many cost throughput", "drivers/pci/pcie/aer.c"),
    card("aer: *correct* received", BusCorrected, "PCI Express corrected an error by itself", "single ones are normal; many cost throughput", "drivers/pci/pcie/aer.c"),
    card("pcie link lost", BusError, "the card vanished from the bus", "", "drivers/net/ethernet/intel/{igb,igc}"),
    card("adapter removed", BusError, "the card vanished from the bus", "", "drivers/net/ethernet/intel/ixgbe/ixgbe_main.c"),
    card("io_page_fault", BusError, "the card reached for memory that is not its own", "", "drivers/iommu/amd/iommu.c"),
    card("dmar: *fault addr", BusError, "the card reached for memory that is not its own", "", "drivers/iommu/intel/dmar.c"),
    card("swiotlb buffer is full", NoBuffers, "no bounce buffers were left for the card's transfers", "", "kernel/dma/swiotlb.c"),
    // -- carrier; after the resets, whose lines speak of links too
    card("link is down", CarrierDown, "the carrier went", "", "drivers/net/phy/phy.c, most drivers"),
    card(": link down", CarrierDown, "the carrier went", "", "drivers/net/ethernet/mellanox/mlx5/core/en_main.c, r8169"),
    card("link status definitely down", CarrierDown, "the bond gave up this card", "", "drivers/net/bonding/bond_main.c"),
    card("lost carrier", CarrierDown, "the carrier went", "written by systemd-networkd, not the kernel", "systemd, src/network/networkd-link.c"),
    card("link is up", CarrierUp, "the carrier came back", "", "drivers/net/phy/phy.c, most drivers"),
    card(": link up", CarrierUp, "the carrier came back", "", "drivers/net/ethernet/mellanox/mlx5/core/en_main.c, r8169"),
    card("link becomes ready", CarrierUp, "the carrier came back", "", "net/ipv6/addrconf.c"),
    // -- addresses and tables
    card("ipv6 duplicate address", AddressTwice, "another machine has the same address", "", "net/ipv6/addrconf.c"),
    host("neighbor table overflow", NeighboursFull, "the table of neighbours is full: new peers are not found", "raise net.ipv4.neigh.default.gc_thresh3; no fault of the card", "net/core/neighbour.c"),
    host("neighbour table overflow", NeighboursFull, "the table of neighbours is full: new peers are not found", "raise net.ipv4.neigh.default.gc_thresh3; no fault of the card", "net/core/neighbour.c, before 4.17"),
    host("nf_conntrack: table full", ConnectionsFull, "the table of tracked connections is full: new ones are dropped", "raise net.netfilter.nf_conntrack_max; no fault of the card", "net/netfilter/nf_conntrack_core.c"),
    host("no dhcpoffers received", AddressLost, "no DHCP server answered", "written by dhclient, not the kernel", "ISC dhclient"),
    host("dhcp lease lost", AddressLost, "the address was lost with its lease", "written by systemd-networkd, not the kernel", "systemd, src/network/networkd-dhcp4.c"),
    card("martian source", Martian, "a packet came from an address that cannot come this way", "a matter of routes or of a second card on one network", "net/ipv4/route.c"),
    card("martian destination", Martian, "a packet was for an address that cannot be here", "a matter of routes", "net/ipv4/route.c"),
    // -- the host, not its card
    host("watchdog: bug: soft lockup", CoreStuck, "a core did not schedule for 20 s or more", "the host, not its card", "kernel/watchdog.c"),
    host("rcu: info: * detected* stall", CoreStuck, "a core did not pass a quiet state for seconds", "the host, not its card", "kernel/rcu/tree_stall.h"),
    host("self-detected stall on cpu", CoreStuck, "a core did not pass a quiet state for seconds", "the host, not its card", "kernel/rcu/tree_stall.h"),
    host("blocked for more than * seconds", CoreStuck, "a task waited for minutes", "the host, most often its disks", "kernel/hung_task.c"),
    host("out of memory: killed process", OutOfMemory, "the host had no memory left and killed a process", "the host, not its card", "mm/oom_kill.c"),
    host("memory cgroup out of memory", OutOfMemory, "a group had no memory left and lost a process", "the host, not its card", "mm/oom_kill.c"),
    host("temperature above threshold", Overheated, "the processor throttled itself for heat", "the host, not its card", "drivers/thermal/intel/therm_throt.c"),
    ]
};
