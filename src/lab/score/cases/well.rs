//! Fleets in which nothing is broken, however it looks.

use super::{Case, PAIRS, on, well};
use crate::lab::score::Load::{Accept, Congestion, Other};

pub(super) const CASES: &[Case] = &[
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
