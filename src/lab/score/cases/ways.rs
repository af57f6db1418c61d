//! Paths and uplinks: the hosts are well.

use super::{CONNECTIONS, Case, FRAMES, ONE_WAY, PACED, PAIRS, QUIET, SINGLE, STORM, case, on, sick};
use crate::lab::score::{
    At::{Path, Uplink},
    Class::Ways,
    Load, Sick,
};
use crate::model::judge::summary::FindingKind::{self, Corruption, RackUplink};

/// Where the first two hosts meet.
const PATH: &[Sick] = &[sick(Path("a", "b"), &[FindingKind::Path])];

/// The same, where what was damaged is told as that.
const DAMAGED: &[Sick] = &[sick(Path("a", "b"), &[Corruption, FindingKind::Path])];

/// Between racks.
const UPLINK: &[Sick] = &[sick(Uplink, &[RackUplink])];

const fn path(
    name: &'static str,
    faults: &'static [&'static str],
    sick: &'static [Sick],
    load: Load,
) -> Case {
    case(name, Ways, faults, sick, load)
}

/// What joins two racks of four: with room for some, for all, or for two of them at once.
const fn uplink(name: &'static str, faults: &'static [&'static str], load: Load) -> Case {
    let flags = "--racks 2 --uplink [100M|300M|150M|240M|120M]";
    on(8, flags, case(name, Ways, faults, UPLINK, load))
}

pub(super) const CASES: &[Case] = &[
    path("dead-path", &["dead@{a}-{b},after=[12|0|3|20|8]s"], PATH, PAIRS),
    path("lossy-path", &["loss@{a}-{b},percent=[3|5|4|2|8]"], PATH, PACED),
    path("black-hole-on-a-path", &["frame_hole@{a}-{b},over=[1000|1400|600|1200|1300]B"], PATH, FRAMES),
    path("late-path", &["latency@{a}-{b},delay=[4|2|8|3|12]ms"], PATH, QUIET),
    path("stalling-path", &["stalls@{a}-{b},for=[200|300|250|400|150]ms"], PATH, QUIET),
    path("slow-path", &["loss_above@{a}-{b},rate=[30|20|36|25|40]M"], PATH, PAIRS),
    path("overtaking-path", &["reorder@{a}-{b},percent=[2|4|3|1|5]"], PATH, SINGLE),
    path("doubling-path", &["duplicate@{a}-{b},percent=[1|2|3|4|0.5]"], PATH, SINGLE),
    path("damaging-path", &["corrupt@{a}-{b},percent=[0.05|0.1|0.03|0.08|0.02]"], DAMAGED, STORM),
    on(8, "--racks 2", case("lossy-uplink", Ways, &["loss@uplink,percent=[3|2|4|1|0.7]"], UPLINK, PACED)),
    on(
        8,
        "--racks 2",
        case(
            "uplink-slow-one-way",
            Ways,
            &["slow@uplink,factor=[0.4|0.3|0.5|0.2|0.25],direction=tx"],
            UPLINK,
            ONE_WAY,
        ),
    ),
    uplink("black-hole-on-an-uplink", &["frame_hole@uplink,over=[1000|1400|600|1200|1300]B"], FRAMES),
    uplink("dead-queue-on-an-uplink", &["dead_queue@uplink,queues=[4|6|8|5|10]"], CONNECTIONS),
    uplink("full-table-on-an-uplink", &["refuses_flows@uplink,flows=[600|300|400|500|200]"], CONNECTIONS),
    uplink("damaging-uplink", &["corrupt@uplink,percent=[0.02|0.01|0.05|0.03|0.005]"], STORM),
    uplink(
        "damaging-uplink-that-checksums-catch",
        &["corrupt@uplink,percent=[0.02|0.05|0.03|0.04|0.1],caught=yes"],
        PAIRS,
    ),
    uplink("late-uplink", &["latency@uplink,delay=[4|2|8|3|12]ms"], QUIET),
    uplink("stalling-uplink", &["stalls@uplink,for=[150|200|300|120|400]ms,every=[1|0.8|1|0.6|1.2]s"], QUIET),
    uplink("overtaking-uplink", &["reorder@uplink,percent=[2|4|3|1|5]"], SINGLE),
    uplink("doubling-uplink", &["duplicate@uplink,percent=[1|2|3|4|0.5]"], SINGLE),
    uplink("flapping-uplink", &["flap@uplink,down=[1|1.5|1.2|2|1.8]s,after=15s"], PAIRS),
];
