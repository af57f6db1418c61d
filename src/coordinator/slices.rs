//! A worker's own part of a stage, and nothing of the others'.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
};

use crate::model::{
    fleet::{host::HostId, units::BitRate},
    plan::layout::{FlowId, PlannedFlow, PlannedRound, PlannedStage, StageKind},
    run::message::{FlowSlice, Peer, Role, RoundSlice, SecretHex, StageSlice},
};

/// Cuts the slice of `host` out of a stage.
///
/// `addrs` are the fleet's sinks, `rates` those of paced flows; `key` derives the key of a
/// label from the run's secret. Rounds without a flow of this host are left out: it has
/// nothing to do in them.
pub(super) fn cut(
    stage: &PlannedStage,
    host: HostId,
    addrs: &BTreeMap<HostId, SocketAddr>,
    rates: &BTreeMap<FlowId, BitRate>,
    key: impl Fn(&str) -> SecretHex,
) -> StageSlice {
    let own = |flow: &&PlannedFlow| flow.from == host || flow.to == host;
    let probes: Vec<HostId> =
        stage.probes.iter().filter(|(observer, _)| *observer == host).map(|(_, target)| *target).collect();
    let flows = stage.rounds.iter().flat_map(|round| &round.flows).filter(own);
    let met: BTreeSet<HostId> = flows
        .flat_map(|flow| [flow.from, flow.to])
        .chain(probes.iter().copied())
        .filter(|met| *met != host)
        .collect();
    // Reach carries no flow: there a host meets all others.
    let all = || addrs.keys().copied().filter(|met| *met != host).collect();
    let meets = if stage.kind == StageKind::Reach { all() } else { met };
    let peers = meets.into_iter().filter_map(|host| Some(Peer { host, addr: *addrs.get(&host)? })).collect();
    let round = |round: &PlannedRound| {
        let flows: Vec<FlowSlice> =
            round.flows.iter().filter(own).map(|flow| flow_slice(*flow, host, rates, &key)).collect();
        (!flows.is_empty()).then_some(RoundSlice {
            offset_us: round.offset_us,
            for_us: round.for_us,
            carriage: round.dose.carriage.clone(),
            flows,
        })
    };
    StageSlice {
        stage: stage.index,
        kind: stage.kind,
        fleet_key: key("fleet"),
        for_us: stage.length().as_micros() as u64,
        peers,
        probes,
        rounds: stage.rounds.iter().filter_map(round).collect(),
    }
}

fn flow_slice(
    flow: PlannedFlow,
    host: HostId,
    rates: &BTreeMap<FlowId, BitRate>,
    key: impl Fn(&str) -> SecretHex,
) -> FlowSlice {
    let (role, peer) = if flow.from == host { (Role::Source, flow.to) } else { (Role::Sink, flow.from) };
    FlowSlice {
        flow: flow.flow,
        role,
        peer,
        rate_bps: rates.get(&flow.flow).map(|rate| rate.bps()),
        key: key(&format!("flow/{}", flow.flow)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::plan::{
        carriage::Carriage,
        dose::{Dose, Pattern, Rate, Ways},
    };

    fn round(offset_us: u64, flows: &[(FlowId, u16, u16)]) -> PlannedRound {
        let dose = Dose {
            pattern: Pattern::Pairs,
            ways: Ways::OneWay,
            rate: Rate::Unpaced,
            carriage: Carriage::tcp(4),
        };
        let flows = flows
            .iter()
            .map(|&(flow, from, to)| PlannedFlow { flow, from: HostId(from), to: HostId(to) })
            .collect();
        PlannedRound { offset_us, for_us: 1_000_000, dose, flows }
    }

    fn stage() -> PlannedStage {
        let rounds = vec![round(0, &[(1, 0, 1), (2, 2, 3)]), round(1_000_000, &[(3, 0, 2)])];
        PlannedStage { index: 2, name: "pairs".to_owned(), rounds, ..PlannedStage::default() }
    }

    fn slice(host: u16) -> StageSlice {
        let addrs = (0..4).map(|id| (HostId(id), SocketAddr::from(([10, 0, 0, 1], 7000 + id)))).collect();
        let rates = BTreeMap::from([(3, BitRate::from_mbps(50))]);
        cut(&stage(), HostId(host), &addrs, &rates, |label| SecretHex(label.to_owned()))
    }

    fn flows(slice: &StageSlice) -> Vec<&FlowSlice> {
        slice.rounds.iter().flat_map(|round| &round.flows).collect()
    }

    #[test]
    fn each_worker_gets_its_own_flows_and_knows_only_whom_it_meets() {
        type Case = (u16, &'static [FlowId], &'static [u16]);
        let cases: [Case; 4] =
            [(0, &[1, 3], &[1, 2]), (1, &[1], &[0]), (2, &[2, 3], &[0, 3]), (3, &[2], &[2])];
        for (host, own, met) in cases {
            let slice = slice(host);
            let numbers: Vec<FlowId> = flows(&slice).iter().map(|flow| flow.flow).collect();
            let peers: Vec<u16> = slice.peers.iter().map(|peer| peer.host.0).collect();
            assert_eq!((&numbers[..], &peers[..]), (own, met), "h{host}");
        }
    }

    #[test]
    fn both_ends_of_a_flow_share_its_key_and_its_rate_and_differ_in_their_part() {
        let (source, sink) = (slice(0), slice(2));
        let find = |slice: &StageSlice| flows(slice).into_iter().find(|flow| flow.flow == 3).cloned();
        let (source, sink) = (find(&source).expect("its flow"), find(&sink).expect("its flow"));
        assert_eq!(source.key, sink.key);
        assert_eq!(
            (source.role, source.peer, sink.role, sink.peer),
            (Role::Source, HostId(2), Role::Sink, HostId(0))
        );
        assert_eq!((source.rate_bps, sink.rate_bps), (Some(50_000_000), Some(50_000_000)));
    }

    #[test]
    fn no_two_flows_share_a_key_and_none_has_the_fleets() {
        let keys: Vec<String> = (0..4)
            .flat_map(|host| {
                let slice = slice(host);
                assert_eq!(slice.fleet_key.0, "fleet");
                flows(&slice).iter().map(|flow| format!("{}:{}", flow.flow, flow.key.0)).collect::<Vec<_>>()
            })
            .collect();
        for key in keys {
            let (flow, key) = key.split_once(':').expect("as written");
            assert_eq!(key, format!("flow/{flow}"));
        }
    }

    #[test]
    fn in_reach_a_host_meets_all_others() {
        let reach = PlannedStage { kind: StageKind::Reach, rounds: vec![], ..stage() };
        let addrs = (0..4).map(|id| (HostId(id), SocketAddr::from(([10, 0, 0, 1], 7000 + id)))).collect();
        let slice = cut(&reach, HostId(2), &addrs, &BTreeMap::new(), |label| SecretHex(label.to_owned()));
        let met: Vec<u16> = slice.peers.iter().map(|peer| peer.host.0).collect();
        assert_eq!(met, [0, 1, 3]);
    }

    #[test]
    fn rounds_in_which_a_host_rests_are_not_its_business() {
        assert_eq!(slice(1).rounds.len(), 1);
        assert_eq!(slice(0).rounds.len(), 2);
    }
}
