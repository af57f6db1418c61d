//! The cases: what is broken, under which load, and what should be found.
//!
//! Rates are shares of NICs of 60 Mb/s, the lab's own. Numbers that begin after `after=` fall
//! into the stage that the case is about: reaching and calibrating take some ten seconds.

use super::{
    At::{self, Beside, Host, Path, Uplink},
    Case,
    Class::{self, Hard, Holes, Settings, Several, Soft, Ways, Well},
    Load::{self, Accept, Congestion, Other, Stages},
    Sick,
};
use crate::model::judge::summary::{
    Direction::{self, Both, Rx, Tx},
    FindingKind::{
        self, AddressLost, ControlLost, Corruption, DeadQueue, Degrading, DiesUnderLoad, DuplicateAddress,
        Duplication, FailSlow, HostLimited, Latency, LinkDown, LinkFlap, LossAboveRate, MtuBlackHole,
        MtuMismatch, NeighbourFailure, NewFlowsRefused, OneWayDead, Outage, PacketLoss, RackUplink,
        Reordering, Stalls, WorkerFrozen, WorkerLost,
    },
};

/// Everybody with everybody, one way, then both ways.
const PAIRS: Load = Stages(&["pairs-one-way", "pairs-both-ways"]);
const ONE_WAY: Load = Stages(&["pairs-one-way"]);
const PACED: Load = Stages(&["idle", "pairs-paced"]);
const QUIET: Load = Stages(&["idle", "pairs-one-way", "pairs-paced"]);
const STORM: Load = Stages(&["pairs-one-way", "storm"]);
const FRAMES: Load = Stages(&["pairs-one-way", "frame-sizes"]);
const LADDER: Load = Stages(&["pairs-one-way", "packet-rates"]);
const SINGLE: Load = Stages(&["pairs-paced", "frame-sizes", "packet-rates"]);
const CONNECTIONS: Load = Stages(&["pairs-one-way", "new-connections"]);

const fn case(
    name: &'static str,
    class: Class,
    faults: &'static [&'static str],
    sick: &'static [Sick],
    load: Load,
) -> Case {
    Case { name, class, hosts: 8, flags: "", faults, sick, load }
}

const fn on(hosts: u16, flags: &'static str, case: Case) -> Case {
    Case { hosts, flags, ..case }
}

const fn sick(at: At, kinds: &'static [FindingKind]) -> Sick {
    Sick { at, kinds, direction: None }
}

const fn way(at: At, kinds: &'static [FindingKind], direction: Direction) -> Sick {
    Sick { at, kinds, direction: Some(direction) }
}

const fn well(name: &'static str, faults: &'static [&'static str], load: Load) -> Case {
    case(name, Well, faults, &[], load)
}

const fn beside(
    name: &'static str,
    faults: &'static [&'static str],
    kinds: &'static [Sick],
    load: Load,
) -> Case {
    case(name, Class::Beside, faults, kinds, load)
}

const A: At = Host("a");
const B: At = Host("b");

/// Every case there is.
pub const CASES: &[Case] = &[
    // Silent under load, or at once.
    case(
        "dies-above-a-rate",
        Hard,
        &["dies_above@{a},rate=[34M|40M|44M|48M|52M],for=[3|2|4|1|1.5]s"],
        &[sick(A, &[DiesUnderLoad])],
        STORM,
    ),
    case(
        "dies-above-a-packet-rate",
        Hard,
        &["dies_above@{a},pps=[6500|8000|9500|5500|7200],for=[2|3|2|1|1.5]s"],
        &[sick(A, &[DiesUnderLoad])],
        SINGLE,
    ),
    case(
        "dies-until-bounced",
        Hard,
        &["dies_until_bounce@{a},rate=[40M|36M|44M|30M|48M]"],
        &[sick(A, &[DiesUnderLoad, Outage])],
        STORM,
    ),
    case(
        "dies-after-bytes",
        Hard,
        &["dies_after_bytes@{a},bytes=[150MB|120MB|180MB|60MB|30MB]"],
        &[sick(A, &[DiesUnderLoad, Outage])],
        STORM,
    ),
    case(
        "dies-both-ways-only",
        Hard,
        &["dies_both_ways@{a},rate=[30M|34M|26M|20M|38M],for=[2|3|2|1|1.5]s"],
        &[sick(A, &[DiesUnderLoad])],
        PAIRS,
    ),
    case(
        "dies-of-many-streams",
        Hard,
        &["dies_many_streams@{a},streams=[16|12|20|24|26],for=3s"],
        &[sick(A, &[DiesUnderLoad])],
        STORM,
    ),
    case("dead-for-a-while", Hard, &["dead@{a},for=[4|6|3|2|1.2]s,after=16s"], &[sick(A, &[Outage])], PAIRS),
    case("dead-for-good", Hard, &["dead@{a},after=[15|20|18|12|23]s"], &[sick(A, &[Outage])], PAIRS),
    // In band, who is cut off for good cannot tell why.
    on(
        8,
        "--control [in-band|separate|separate|in-band|separate]",
        case(
            "cable-out",
            Hard,
            &["cable_out@{a},after=[15|18|20|12|24]s"],
            &[sick(A, &[LinkDown, Outage])],
            PAIRS,
        ),
    ),
    case(
        "flapping-link",
        Hard,
        &["flap@{a},times=[2|3|4|5|6],down=[1|1.5|1|0.7|0.5]s,after=14s"],
        &[sick(A, &[LinkFlap])],
        PAIRS,
    ),
    on(
        8,
        "--control [in-band|separate|in-band|separate|in-band]",
        case(
            "one-way-dead-sending",
            Hard,
            &["one_way_dead@{a},direction=tx,for=[5|60|7|3|2]s,after=[15|18|16|20|22]s"],
            &[way(A, &[OneWayDead], Tx)],
            PAIRS,
        ),
    ),
    on(
        8,
        "--control [separate|in-band|in-band|separate|separate]",
        case(
            "one-way-dead-receiving",
            Hard,
            &["one_way_dead@{a},direction=rx,for=[60|5|7|3|2.5]s,after=[16|15|18|20|22]s"],
            &[way(A, &[OneWayDead], Rx)],
            PAIRS,
        ),
    ),
    // Packets of some kind never pass.
    case(
        "large-frames-lost-sending",
        Holes,
        &["frame_hole@{a},over=[1300B|1400B|1450B|1200B|900B],direction=tx"],
        &[way(A, &[MtuBlackHole], Tx)],
        FRAMES,
    ),
    case(
        "large-frames-lost-receiving",
        Holes,
        &["frame_hole@{a},over=[1400B|1300B|1350B|1000B|1470B],direction=rx"],
        &[way(A, &[MtuBlackHole], Rx)],
        FRAMES,
    ),
    case(
        "large-frames-lost-both-ways",
        Holes,
        &["frame_hole@{a},over=[1300B|1450B|1400B|1480B|700B]"],
        &[way(A, &[MtuBlackHole], Both)],
        FRAMES,
    ),
    case(
        "dead-queue-sending",
        Holes,
        &["dead_queue@{a},queues=[4|3|6|8|5],direction=tx"],
        &[way(A, &[DeadQueue], Tx)],
        CONNECTIONS,
    ),
    case(
        "dead-queue-receiving",
        Holes,
        &["dead_queue@{a},queues=[4|6|3|2|8],direction=rx"],
        &[way(A, &[DeadQueue], Rx)],
        CONNECTIONS,
    ),
    case(
        "full-table-of-flows",
        Holes,
        &["refuses_flows@{a},flows=[350|300|400|250|420],memory=5s,direction=tx"],
        &[sick(A, &[NewFlowsRefused])],
        CONNECTIONS,
    ),
    // Lost, changed, doubled, late, fewer.
    case(
        "loss-sending",
        Soft,
        &["loss@{a},percent=[1|0.5|2|0.2|0.15],direction=tx"],
        &[way(A, &[PacketLoss], Tx)],
        PACED,
    ),
    case(
        "loss-receiving",
        Soft,
        &["loss@{a},percent=[0.5|1|3|0.3|5],direction=rx"],
        &[way(A, &[PacketLoss], Rx)],
        PACED,
    ),
    case(
        "loss-both-ways",
        Soft,
        &["loss@{a},percent=[0.3|0.5|1|2|0.2]"],
        &[way(A, &[PacketLoss], Both)],
        PACED,
    ),
    case(
        "loss-in-bursts",
        Soft,
        &["loss_bursts@{a},percent=[0.05|0.1|0.08|0.15|0.06],for=[30|30|30|20|45]ms"],
        &[sick(A, &[PacketLoss, Stalls])],
        PACED,
    ),
    case(
        "loss-above-a-packet-rate",
        Soft,
        &["loss_above@{a},pps=[7000|9000|8000|6000|5000],direction=[tx|rx|tx|rx|tx]"],
        &[sick(A, &[LossAboveRate])],
        LADDER,
    ),
    case(
        "loss-above-a-rate",
        Soft,
        &["loss_above@{a},rate=[40M|36M|44M|48M|32M],direction=[rx|tx|rx|tx|rx]"],
        &[sick(A, &[LossAboveRate])],
        QUIET,
    ),
    case(
        "silent-corruption-sending",
        Soft,
        &["corrupt@{a},percent=[0.02|0.05|0.1|0.01|0.006],direction=tx"],
        &[way(A, &[Corruption], Tx)],
        STORM,
    ),
    case(
        "silent-corruption-receiving",
        Soft,
        &["corrupt@{a},percent=[0.05|0.02|0.1|0.2|0.5],direction=rx"],
        &[way(A, &[Corruption], Rx)],
        STORM,
    ),
    case(
        "corruption-that-checksums-catch",
        Soft,
        &["corrupt@{a},percent=[1|2|0.5|3|0.3],caught=yes,direction=tx"],
        &[way(A, &[Corruption, PacketLoss], Tx)],
        PACED,
    ),
    case(
        "duplication",
        Soft,
        &["duplicate@{a},percent=[2|5|3|1|0.4],direction=[tx|rx|tx|rx|rx]"],
        &[sick(A, &[Duplication])],
        SINGLE,
    ),
    case(
        "reordering",
        Soft,
        &["reorder@{a},percent=[3|5|2|1|7],by=[3|3|3|5|2]ms,direction=[tx|rx|tx|rx|rx]"],
        &[sick(A, &[Reordering])],
        SINGLE,
    ),
    case("late-answers", Soft, &["latency@{a},delay=[5|3|10|20|2]ms"], &[sick(A, &[Latency])], PACED),
    case(
        "wavering-answers",
        Soft,
        &["latency@{a},delay=1ms,jitter=[6|10|8|15|4]ms"],
        &[sick(A, &[Latency])],
        PACED,
    ),
    case(
        "stalls",
        Soft,
        &["stalls@{a},for=[200|150|250|350|90]ms,every=[1|1|2|3|1]s"],
        &[sick(A, &[Stalls])],
        QUIET,
    ),
    case(
        "slow-sending",
        Soft,
        &["slow@{a},factor=[0.7|0.6|0.8|0.85|0.88],direction=tx"],
        &[way(A, &[FailSlow], Tx)],
        ONE_WAY,
    ),
    case(
        "slow-receiving",
        Soft,
        &["slow@{a},factor=[0.75|0.5|0.7|0.4|0.15],direction=rx"],
        &[way(A, &[FailSlow], Rx)],
        ONE_WAY,
    ),
    case(
        "slow-both-ways",
        Soft,
        &["slow@{a},factor=[0.6|0.8|0.7|0.3|0.88]"],
        &[way(A, &[FailSlow], Both)],
        ONE_WAY,
    ),
    case(
        "slower-and-slower",
        Soft,
        &["degrading@{a},factor=[0.3|0.4|0.25|0.5|0.2],over=[20|20|20|15|12]s,after=[27|28|26|30|28]s"],
        &[sick(A, &[Degrading])],
        STORM,
    ),
    // Addresses and settings.
    case(
        "another-mtu",
        Settings,
        &["mtu@{a},bytes=[1400B|1300B|1450B|1280B|1492B]"],
        &[sick(A, &[MtuMismatch])],
        FRAMES,
    ),
    case(
        "address-lost",
        Settings,
        &["address_lost@{a},for=[4|6|5|3|2.5]s,after=15s"],
        &[sick(A, &[AddressLost])],
        PAIRS,
    ),
    on(
        8,
        "--control [in-band|separate|separate|in-band|separate]",
        case(
            "address-lost-for-good",
            Settings,
            &["address_lost@{a},after=[15|18|16|12|22]s"],
            &[sick(A, &[AddressLost, Outage])],
            PAIRS,
        ),
    ),
    case(
        "no-neighbour",
        Settings,
        &["neighbour_fails@{a},for=[6|8|5|4|3]s,after=15s"],
        &[sick(A, &[NeighbourFailure])],
        PAIRS,
    ),
    case(
        "address-twice",
        Settings,
        &["duplicate_address@{a}-{b},after=15s"],
        &[sick(A, &[DuplicateAddress])],
        PAIRS,
    ),
    // Paths and uplinks: the hosts are well.
    case(
        "dead-path",
        Ways,
        &["dead@{a}-{b},after=[12|0|3|20|8]s"],
        &[sick(Path("a", "b"), &[FindingKind::Path])],
        PAIRS,
    ),
    case(
        "lossy-path",
        Ways,
        &["loss@{a}-{b},percent=[3|5|4|2|8]"],
        &[sick(Path("a", "b"), &[FindingKind::Path])],
        PACED,
    ),
    on(
        8,
        "--racks 2",
        case(
            "lossy-uplink",
            Ways,
            &["loss@uplink,percent=[3|2|4|1|0.7]"],
            &[sick(Uplink, &[RackUplink])],
            PACED,
        ),
    ),
    on(
        8,
        "--racks 2",
        case(
            "uplink-slow-one-way",
            Ways,
            &["slow@uplink,factor=[0.4|0.3|0.5|0.2|0.6],direction=tx"],
            &[sick(Uplink, &[RackUplink])],
            ONE_WAY,
        ),
    ),
    // Several at once.
    case(
        "a-lossy-and-a-slow-one",
        Several,
        &[
            "loss@{a},percent=[1|1|1|1|0.4],direction=tx",
            "slow@{b},factor=[0.6|0.6|0.6|0.6|0.8],direction=rx",
        ],
        &[way(A, &[PacketLoss], Tx), way(B, &[FailSlow], Rx)],
        QUIET,
    ),
    case(
        "a-dying-and-a-corrupting-one",
        Several,
        &[
            "dies_above@{a},rate=[40M|40M|40M|40M|46M],for=3s",
            "corrupt@{b},percent=[0.05|0.05|0.05|0.05|0.02],direction=tx",
        ],
        &[sick(A, &[DiesUnderLoad]), way(B, &[Corruption], Tx)],
        STORM,
    ),
    case(
        "two-lossy-ones",
        Several,
        &["loss@{a},percent=[1|1|1|1|0.5],direction=tx", "loss@{b},percent=[1|1|1|1|2],direction=rx"],
        &[way(A, &[PacketLoss], Tx), way(B, &[PacketLoss], Rx)],
        PACED,
    ),
    on(
        8,
        "--racks 2 --uplink 120M",
        case(
            "a-lossy-one-behind-a-congested-uplink",
            Several,
            &["loss@{a},percent=[2|1|3|0.5|5],direction=tx"],
            &[way(A, &[PacketLoss], Tx)],
            QUIET,
        ),
    ),
    on(
        8,
        "--racks 2 --uplink 120M",
        case(
            "a-dying-one-behind-a-congested-uplink",
            Several,
            &["dies_above@{a},rate=[36M|36M|36M|36M|44M],for=3s"],
            &[sick(A, &[DiesUnderLoad])],
            STORM,
        ),
    ),
    case(
        "a-killed-worker-and-a-slow-one",
        Several,
        &["kill@{a},after=[20|20|20|20|15]s", "slow@{b},factor=[0.6|0.6|0.6|0.6|0.8]"],
        &[sick(Beside("a"), &[WorkerLost]), way(B, &[FailSlow], Both)],
        PAIRS,
    ),
    // Not the card.
    beside(
        "killed-worker",
        &["kill@{a},after=[15|18|20|12|25]s"],
        &[sick(Beside("a"), &[WorkerLost])],
        PAIRS,
    ),
    beside(
        "frozen-worker",
        &["freeze@{a},for=[4|6|8|3|12]s,after=15s"],
        &[sick(Beside("a"), &[WorkerFrozen])],
        PAIRS,
    ),
    beside(
        "starved-worker",
        &["starve@{a},share=[0.2|0.3|0.15|0.25|0.1],for=40s,after=12s"],
        &[sick(Beside("a"), &[HostLimited, WorkerFrozen])],
        PAIRS,
    ),
    on(
        8,
        "--control [in-band|separate|in-band|separate|in-band]",
        beside(
            "bad-link-to-the-coordinator",
            &["control_lost@{a},for=[8|10|12|6|15]s,after=15s"],
            &[sick(Beside("a"), &[ControlLost])],
            PAIRS,
        ),
    ),
    // Nothing is wrong, however it looks.
    well("healthy", &[], Accept),
    on(4, "--lab-rate 100M", well("healthy-four-of-100M", &[], Accept)),
    on(2, "", well("healthy-two", &[], Accept)),
    on(3, "", well("healthy-three", &[], Accept)),
    on(5, "", well("healthy-five", &[], Accept)),
    on(16, "--lab-rate 30M", well("healthy-sixteen", &[], Accept)),
    on(8, "--ipv6", well("healthy-ipv6", &[], Accept)),
    on(8, "--control separate", well("healthy-separate-control", &[], Accept)),
    on(8, "--lab-mtu 9000", well("healthy-jumbo-frames", &[], Accept)),
    on(8, "--racks 2", well("healthy-two-racks", &[], Accept)),
    on(8, "--racks 2 --uplink [120M|150M|100M|90M|70M]", well("congested-uplink", &[], Accept)),
    on(
        8,
        "--lab-rate 63M",
        well(
            "cards-spread-by-ten-percent",
            &[
                "slow@h1,rate=57M",
                "slow@h2,rate=58M",
                "slow@h3,rate=59M",
                "slow@h4,rate=60M",
                "slow@h5,rate=61M",
                "slow@h6,rate=62M",
            ],
            Accept,
        ),
    ),
    well("bbr", &[], Congestion("bbr")),
    well("reno", &[], Congestion("reno")),
    well("busy-cpu", &["hog@{a},threads=2,for=120s"], PAIRS),
    on(8, "--shared", well("background-flow", &["background@{a}-{b},rate=[6M|4M|8M|7M|9M]"], Accept)),
    well("pause-of-100ms", &["dead@{a},for=100ms,after=[16|20|24|28|32]s"], PAIRS),
    well(
        "one-lost-in-100000",
        &["loss@{a},percent=0.001", "loss@{b},percent=0.001", "loss@{c},percent=0.001"],
        Accept,
    ),
    well("offloads-that-differ", &["offloads@{a}", "offloads@{b}"], Accept),
    well("incast", &[], Other("incast")),
    well("storm", &[], Other("storm")),
    well("ramp", &[], Other("ramp")),
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::lab::{fault::Fault, score::drawn};

    #[test]
    fn there_are_as_many_cases_as_promised_and_each_has_its_name() {
        let names: BTreeSet<&str> = CASES.iter().map(|case| case.name).collect();
        assert_eq!(names.len(), CASES.len());
        let well = CASES.iter().filter(|case| matches!(case.class, Well | Class::Beside)).count();
        assert!(CASES.len() - well >= 40 && well >= 20, "{} of {} are well", well, CASES.len());
    }

    #[test]
    fn every_fault_can_be_put_in() {
        for case in CASES {
            for seed in 0..5 {
                for text in &drawn(case, seed).faults {
                    let fault =
                        text.parse::<Fault>().unwrap_or_else(|error| panic!("{}: {error}", case.name));
                    assert!(fault.place.hosts().all(|host| host <= case.hosts), "{}: {text}", case.name);
                }
            }
            assert_eq!(case.sick.is_empty(), case.class == Well, "{}", case.name);
        }
    }
}
