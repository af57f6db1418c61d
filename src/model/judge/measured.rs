//! What a host carried, and within what its verdict holds: `tested` and `goodput`.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    falls, ladder, robust,
    seen::{FlowSeen, RoundSeen, Seen, WAYS, Way},
    summary::{Goodput, Tested},
};
use crate::model::{
    fleet::{host::HostId, units::SLOTS_PER_S},
    plan::{
        carriage::ETHERNET_HEADER_BYTES,
        layout::{FlowId, StageKind},
    },
};

/// Share of its calibrated capacity that a host must reach to count as loaded.
const LOADED_SHARE: f64 = 0.9;

/// The share of a stage's slots below which a host was not tested in that stage: hosts on a bad link to
/// their coordinator that were well had three quarters of their worst.
const STAGE_MIN: f64 = 0.5;

/// Slots over which the best load is taken: half a second, so that it fits a short round.
const BEST_SLOTS: usize = 5;

/// Planned load from which on a stage is meant to saturate a host.
pub const SATURATES: f64 = 0.9;

/// What a host carried one way in its rounds of load, slot by slot, bits per second.
struct Carried<'a>(Vec<(&'a RoundSeen, Vec<Option<f64>>)>);

impl<'a> Carried<'a> {
    fn of(seen: &'a Seen, host: HostId, way: Way) -> Self {
        let rounds = falls::loaded_rounds(seen, host, way).filter(|round| round.kind == StageKind::Load);
        Self(rounds.map(|round| (round, seen.bps_in(round, host, way, round.slots()))).collect())
    }

    /// What is known of its slots.
    fn known(&self) -> impl Iterator<Item = f64> {
        self.0.iter().flat_map(|(_, carried)| carried.iter().copied().flatten())
    }

    /// The longest run of slots in which nothing at all passed.
    fn longest_stall_s(&self) -> Option<f64> {
        let (mut longest, mut run, mut any) = (0u64, 0u64, false);
        for bps in self.known() {
            any = true;
            run = if bps == 0.0 { run + 1 } else { 0 };
            longest = longest.max(run);
        }
        any.then(|| longest as f64 / SLOTS_PER_S as f64)
    }

    /// The best mean over so many measured slots in a row, within a round.
    fn best_bps(&self, length: usize) -> Option<f64> {
        let windows =
            self.0.iter().flat_map(|(_, carried)| carried.windows(length.min(carried.len()).max(1)));
        let means = windows.filter_map(|window| {
            let sum: Option<f64> = window.iter().copied().sum();
            sum.map(|sum| sum / window.len() as f64)
        });
        means.reduce(f64::max)
    }
}

/// What a host carried both ways in its rounds of load.
pub struct Load<'a> {
    tx: Carried<'a>,
    rx: Carried<'a>,
}

impl<'a> Load<'a> {
    /// Of one host.
    pub fn of(seen: &'a Seen, host: HostId) -> Self {
        Self { tx: Carried::of(seen, host, Way::Tx), rx: Carried::of(seen, host, Way::Rx) }
    }

    fn one_way(&self, way: Way) -> &Carried<'a> {
        match way {
            Way::Tx => &self.tx,
            Way::Rx => &self.rx,
        }
    }

    /// The highest goodput held for a second, bits per second.
    pub fn best_second(&self, way: Way) -> Option<f64> {
        self.one_way(way).best_bps(SLOTS_PER_S as usize)
    }

    /// What it carried.
    pub fn goodput(&self) -> Goodput {
        let (tx, rx): (Vec<f64>, Vec<f64>) = (self.tx.known().collect(), self.rx.known().collect());
        let bits = |value: Option<f64>| value.map(|bps| bps.round() as u64);
        let stalls = [&self.tx, &self.rx].into_iter().filter_map(Carried::longest_stall_s).reduce(f64::max);
        Goodput {
            tx_median_bps: bits(robust::median(&tx)),
            rx_median_bps: bits(robust::median(&rx)),
            tx_peak_bps: bits(robust::quantile(&tx, 0.95)),
            rx_peak_bps: bits(robust::quantile(&rx, 0.95)),
            longest_stall_s: stalls,
        }
    }
}

/// Within what its verdict holds; what `excused` hosts kept from being measured counts as not planned.
pub fn tested(seen: &Seen, host: HostId, load: &Load<'_>, excused: &BTreeSet<HostId>) -> Tested {
    let bytes = |way| {
        let own = seen.flows_of(host).filter(|flow| flow.touches(host, way));
        let counted: Vec<u64> =
            own.filter(|flow| flow.was_measured()).map(super::seen::FlowSeen::bytes).collect();
        (!counted.is_empty()).then(|| counted.iter().sum())
    };
    let streams = seen.rounds.iter().filter(|round| round.kind == StageKind::Load).filter_map(|round| {
        let part = round.by_host.get(&host)?;
        Some((part.tx.len() + part.rx.len()) as u32 * u32::from(round.dose.carriage.streams))
    });
    let mtu = seen.hosts.get(host.index()).and_then(|host| host.nic.mtu);
    let sent = bytes(Way::Tx).is_some_and(|bytes: u64| bytes > 0);
    Tested {
        rate_tx_max_bps: load.best_second(Way::Tx).map(|bps| bps.round() as u64),
        rate_rx_max_bps: load.best_second(Way::Rx).map(|bps| bps.round() as u64),
        packet_rate_max_pps: packet_rate_max(seen, host),
        frame_size_max_bytes: mtu
            .filter(|_| sent && sent_full_frames(seen, host))
            .map(|mtu| mtu + u32::from(ETHERNET_HEADER_BYTES))
            .or(largest_planned(seen, host).filter(|_| sent)),
        streams_max: streams.max(),
        bytes_tx: bytes(Way::Tx),
        bytes_rx: bytes(Way::Rx),
        verified_bytes: Some(verified_bytes(seen, host)),
        verify_cpu_s: verify_cpu_s(seen, host),
        planned_share: planned_share(seen, host, excused),
    }
}

/// What comparing cost a host, of what it received; null where it compared nothing.
fn verify_cpu_s(seen: &Seen, host: HostId) -> Option<f64> {
    let own =
        seen.verified.iter().filter(|(flow, _)| seen.flows.get(*flow).is_some_and(|flow| flow.to == host));
    own.map(|(_, all)| all.compare_ns as f64 / 1e9).reduce(|a, b| a + b)
}

/// Whether a host took part in a round whose frames were as large as its interface carries.
fn sent_full_frames(seen: &Seen, host: HostId) -> bool {
    loaded(seen, host).any(|round| round.frame_bytes().is_none())
}

/// The largest of the frame sizes that were asked for.
fn largest_planned(seen: &Seen, host: HostId) -> Option<u32> {
    loaded(seen, host).filter_map(RoundSeen::frame_bytes).max().map(u32::from)
}

/// Rounds of load in which a host took part.
fn loaded(seen: &Seen, host: HostId) -> impl Iterator<Item = &RoundSeen> {
    seen.rounds.iter().filter(move |round| round.kind == StageKind::Load && round.by_host.contains_key(&host))
}

/// Bytes that this host or its partners compared of what it received or sent.
fn verified_bytes(seen: &Seen, host: HostId) -> u64 {
    let own = |flow: &FlowId| seen.flows.get(flow).is_some_and(|flow| flow.from == host || flow.to == host);
    seen.verified.iter().filter(|(flow, _)| own(flow)).map(|(_, all)| all.bytes).sum()
}

/// The share of a host's planned slots, both ways, that were measured.
fn planned_share(seen: &Seen, host: HostId, excused: &BTreeSet<HostId>) -> Option<f64> {
    let all = seen.flows_of(host).filter_map(|flow| slots_of(seen, host, flow, excused));
    let (measured, planned) = all.fold((0, 0), |sum, own| (sum.0 + own.0, sum.1 + own.1));
    (planned > 0).then(|| measured as f64 / planned as f64)
}

/// The stage of load of which least of a host's slots was measured, where that is hardly any: its name,
/// and that share. A short stage that is missing leaves most of the whole.
pub fn stage_missed<'a>(seen: &'a Seen, host: HostId, excused: &BTreeSet<HostId>) -> Option<(&'a str, f64)> {
    let mut stages: BTreeMap<u16, (&str, u64, u64)> = BTreeMap::new();
    for flow in seen.flows_of(host) {
        let Some((measured, planned)) = slots_of(seen, host, flow, excused) else { continue };
        let round = &seen.rounds[flow.round];
        let stage = stages.entry(round.stage).or_insert((&round.stage_name, 0, 0));
        *stage = (stage.0, stage.1 + measured, stage.2 + planned);
    }
    let shares = stages.into_values().filter(|(.., planned)| *planned > 0);
    let shares = shares.map(|(name, measured, planned)| (name, measured as f64 / planned as f64));
    shares.min_by(|a, b| a.1.total_cmp(&b.1)).filter(|(_, share)| *share < STAGE_MIN)
}

/// How many slots of a flow were measured, of how many that count as planned; `None` of what is no load.
fn slots_of(seen: &Seen, host: HostId, flow: &FlowSeen, excused: &BTreeSet<HostId>) -> Option<(u64, u64)> {
    if seen.rounds[flow.round].kind != StageKind::Load {
        return None;
    }
    let measured = flow.slots.iter().flatten().count() as u64;
    let planned = if excused.contains(&flow.peer_of(host)) { measured } else { flow.slots.len() as u64 };
    Some((measured, planned))
}

/// The highest packet rate of the interface over a second, the larger direction; of a host whose own
/// kernel lost frames, the rate up to which it did not.
fn packet_rate_max(seen: &Seen, host: HostId) -> Option<u64> {
    let ends: Vec<Option<f64>> = ladder::ends(seen, host).map(|end| end.clean_pps).collect();
    if !ends.is_empty() {
        let lowest: Option<Vec<f64>> = ends.into_iter().collect();
        return lowest?.into_iter().reduce(f64::min).map(|pps| pps.round() as u64);
    }
    let links: Vec<_> = seen.links(host).collect();
    links
        .windows(2)
        .filter_map(|pair| {
            let ((from, a), (to, b)) = (pair[0], pair[1]);
            let seconds = to.since(from).as_secs_f64();
            let packets =
                b.rx_packets.checked_sub(a.rx_packets)?.max(b.tx_packets.checked_sub(a.tx_packets)?);
            (seconds > 0.5).then(|| (packets as f64 / seconds).round() as u64)
        })
        .max()
}

/// Where a stage that was to saturate the host did not: what it reached and its capacity,
/// in bits per second, of the worse direction.
pub fn under_loaded(seen: &Seen, host: HostId, load: &Load<'_>) -> Option<(f64, f64)> {
    WAYS.into_iter()
        .filter(|way| {
            falls::loaded_rounds(seen, host, *way).any(|round| {
                round.kind == StageKind::Load
                    && round.saturates()
                    && round.by_host.get(&host).is_some_and(|part| part.load(*way) >= SATURATES)
            })
        })
        .filter_map(|way| Some((load.one_way(way).best_bps(BEST_SLOTS)?, seen.capacity(host, way)?)))
        .filter(|(best, capacity)| *best < LOADED_SHARE * capacity)
        .min_by(|a, b| (a.0 / a.1).total_cmp(&(b.0 / b.1)))
}
