//! Packets that are lost, changed, doubled or late, or of which fewer pass.

use super::{A, Case, LADDER, ONE_WAY, PACED, QUIET, SINGLE, STORM, case, sick, way};
use crate::lab::score::Class::Soft;
use crate::model::judge::summary::{
    Direction::{Both, Rx, Tx},
    FindingKind::{
        Corruption, Degrading, Duplication, FailSlow, Latency, LossAboveRate, PacketLoss, Reordering, Stalls,
    },
};

pub(super) const CASES: &[Case] = &[
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
];
