//! Cards and links that fall silent, under load or by themselves, and packets of some kind that never
//! pass.

use super::{A, CONNECTIONS, Case, FRAMES, PAIRS, SINGLE, STORM, case, on, sick, way};
use crate::lab::score::Class::{Hard, Holes};
use crate::model::judge::summary::{
    Direction::{Both, Rx, Tx},
    FindingKind::{
        DeadQueue, DiesUnderLoad, LinkDown, LinkFlap, MtuBlackHole, NewFlowsRefused, OneWayDead, Outage,
    },
};

pub(super) const CASES: &[Case] = &[
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
];
