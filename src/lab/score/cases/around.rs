//! Addresses and settings; several at once; and what is not the card.

use super::{A, B, Case, FRAMES, PACED, PAIRS, QUIET, STORM, beside, case, on, sick, way};
use crate::lab::score::{
    At::Beside,
    Class::{Settings, Several},
};
use crate::model::judge::summary::{
    Direction::{Both, Rx, Tx},
    FindingKind::{
        AddressLost, ControlLost, Corruption, DiesUnderLoad, DuplicateAddress, FailSlow, HostLimited,
        MtuMismatch, NeighbourFailure, Outage, PacketLoss, WorkerFrozen, WorkerLost,
    },
};

pub(super) const CASES: &[Case] = &[
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
];
