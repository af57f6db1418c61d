//! The record laid out for judging: hosts, rounds, and bytes on the grid of slots.
//!
//! One fold for both uses: `judge` feeds the whole record, the live view feeds lines as
//! they come. Nothing is judged here.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Range,
    sync::Arc,
};

use indexmap::IndexMap;
use rustc_hash::FxBuildHasher;

use super::{checksums::Counted, files::Files, pressure::Pressure, whole::Missing};
use crate::model::{
    fleet::{
        host::{Host, HostId},
        units::RunTime,
    },
    plan::{
        layout::FlowId,
        schedule::{Capacities, FrameRates},
    },
    record::{
        facts::{CardFacts, Neighbour},
        line::{
            ConnectsFlow, Contact, CorruptSeen, DatagramFlow, DatagramsSent, Ended, HostSeen, Joined,
            LinkSeen, ReachPeer, StreamSeen, SuspectsSeen, TcpFlow, VerifiedFlow,
        },
        probe::Moments,
    },
};

mod always_slow;
mod carried;
mod fold;
pub mod probes;
mod round;

use probes::Probes;
pub use round::{FlowSeen, HostFlows, RoundSeen, WAYS, Way};

/// Flows in the order of their plan. Every line of a record asks for some, and in a record of a
/// hundred hosts there are so many that a tree would wait for memory at each of its levels.
pub type Flows = IndexMap<FlowId, FlowSeen, FxBuildHasher>;

/// The state of a host at a moment.
pub type State = (RunTime, Arc<HostSeen>);

/// Everything seen so far.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    /// Hosts by number.
    pub hosts: Vec<Host>,
    /// Rounds in the order of their beginning.
    pub rounds: Vec<RoundSeen>,
    /// Flows by number.
    pub flows: Flows,
    /// Worker instances in the order of their coming.
    pub joined: Vec<(RunTime, Joined)>,
    /// What became of control connections.
    pub contacts: Vec<(RunTime, Contact)>,
    /// Workers that left by their own will.
    pub left: Vec<(RunTime, HostId, String)>,
    /// What happened to streams, with the host whose worker saw it.
    pub streams: Vec<(HostId, StreamSeen)>,
    /// Windows in which a worker itself did not run.
    pub stalled: Vec<(HostId, RunTime, RunTime)>,
    /// Windows in which a worker had no lease, and sent nothing.
    pub lapsed: Vec<(HostId, RunTime, RunTime)>,
    /// The state of hosts, second by second.
    pub states: BTreeMap<HostId, Vec<State>>,
    /// What reach came to, by observer and target.
    pub reach: BTreeMap<(HostId, HostId), ReachPeer>,
    /// Keyed probes: when, flow, sent, answered, as the source counted.
    pub asked: Vec<(RunTime, FlowId, u32, u32)>,
    /// Keyed probes: when, flow, arrived, as the sink counted.
    pub heard: Vec<(RunTime, FlowId, u32)>,
    /// What each host's own CPU carries over loopback, bits per second.
    pub ceilings: BTreeMap<HostId, u64>,
    /// Verified payload that differed, as its receivers told.
    pub corrupt: Vec<CorruptSeen>,
    /// What receivers compared, by flow.
    pub verified: BTreeMap<FlowId, VerifiedFlow>,
    /// What sources' connections did, over a flow's life.
    pub tcp: BTreeMap<FlowId, TcpFlow>,
    /// When a source told that a connection of a flow had waited for an answer in vain.
    pub timed_out: Vec<(RunTime, FlowId)>,
    /// What arrived of datagrams, as their receivers told, over a flow's life.
    pub datagrams: BTreeMap<FlowId, DatagramFlow>,
    /// And what was handed over, as their sources told.
    pub datagrams_sent: BTreeMap<FlowId, DatagramsSent>,
    /// What became of new connections, as they were told.
    pub connects: Vec<(RunTime, FlowId, ConnectsFlow)>,
    /// Flows of which any new connection was told.
    pub connected: BTreeSet<FlowId>,
    /// When in their ticks probes were sent.
    pub moments: Moments,
    /// What probes came to.
    pub probes: Probes,
    /// Facts of each host's card, as they were told.
    pub cards: BTreeMap<HostId, Vec<(RunTime, CardFacts)>>,
    /// Addresses and neighbours of each host, as they changed.
    pub moved: Vec<(HostId, RunTime, Changed)>,
    /// Packets whose checksum was wrong, as each host's kernel counted from reading to reading.
    pub checksums: BTreeMap<HostId, Vec<Counted>>,
    /// What each host's kernel told of its cores, from reading to reading.
    pub pressure: BTreeMap<HostId, Vec<Pressure>>,
    /// First packets of a handshake, and answers to them, that each host's kernel sent again.
    pub in_vain: BTreeMap<HostId, u64>,
    /// Who was suspected after the last stage.
    pub suspects: Option<SuspectsSeen>,
    /// What calibration came to.
    pub capacities: Capacities,
    /// The fleet's medians of it, to send and to receive, bits per second.
    fleet_capacity: (Option<f64>, Option<f64>),
    /// The sides of hosts that are always as slow as calibration found them.
    always_slow: BTreeSet<(HostId, Way)>,
    /// And in the smallest frames a second, where that was measured.
    frame_rates: FrameRates,
    /// The fleet's medians of that.
    fleet_frames: (Option<f64>, Option<f64>),
    /// Hosts that were not there when a stage began, by the stage's place: since which slot
    /// they took part after all.
    pub not_ready: BTreeMap<u16, BTreeMap<HostId, Option<u64>>>,
    /// What hosts said to a stage that they could not do, the first of each.
    pub unable: BTreeMap<HostId, String>,
    /// Windows in which the coordinator itself was held up: since, until, how.
    pub impaired: Vec<(RunTime, RunTime, String)>,
    /// How the run ended, where its last line is there.
    pub ended: Option<(RunTime, Ended, Option<String>)>,
    /// The latest moment of any line.
    pub latest: RunTime,
    /// The latest moment of which each host's worker itself wrote: it ran then.
    pub last_wrote: BTreeMap<HostId, RunTime>,
    /// What flows that move files told of themselves.
    pub files: Files,
    /// Lines of each host's workers that were left out, for their clock jumped.
    pub off: BTreeMap<HostId, u64>,
    /// What the record lacks.
    pub missing: Missing,
    /// Whether the scenario has suspects tried once more.
    pub confirms: bool,
    /// The seconds in which each host's worker wrote anything, in order.
    wrote_s: BTreeMap<HostId, Vec<u64>>,
    host_of_instance: BTreeMap<u16, HostId>,
    flows_of_host: BTreeMap<HostId, Vec<FlowId>>,
}
/// Addresses and neighbours that changed on a host.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Changed {
    /// Addresses that are gone.
    pub gone: Vec<String>,
    /// Addresses that came.
    pub came: Vec<String>,
    /// Neighbours whose entry is another one now.
    pub neighbours: Vec<Neighbour>,
}
impl Seen {
    /// All flows that a host sends or receives.
    pub fn flows_of(&self, host: HostId) -> impl Iterator<Item = &FlowSeen> {
        self.numbered_flows_of(host).map(|(_, flow)| flow)
    }

    /// The same with their numbers.
    pub fn numbered_flows_of(&self, host: HostId) -> impl Iterator<Item = (FlowId, &FlowSeen)> {
        let own = self.flows_of_host.get(&host).into_iter().flatten();
        own.filter_map(|id| Some((*id, self.flows.get(id)?)))
    }

    /// The instance of a host that ran at `at`, and its boot id.
    pub fn instances(&self, host: HostId) -> impl Iterator<Item = &(RunTime, Joined)> {
        self.joined.iter().filter(move |(_, joined)| joined.host == host)
    }

    /// Whether a host's worker wrote anything in these seconds of the run.
    pub fn wrote_in(&self, host: HostId, seconds: Range<u64>) -> bool {
        let own = self.wrote_s.get(&host).map_or(&[][..], Vec::as_slice);
        let first = own.partition_point(|second| *second < seconds.start);
        own.get(first).is_some_and(|second| seconds.contains(second))
    }

    /// Whether the fleet is two hosts: whatever is the matter between them, nobody can tell which it is.
    pub fn is_of_two(&self) -> bool {
        self.hosts.len() == 2
    }

    /// Whether a host's control connection is known to take another card than the one under test.
    pub fn has_control_apart(&self, host: HostId) -> bool {
        self.instances(host).any(|(_, joined)| joined.control_in_band == Some(false))
    }

    /// When a host was booted during the run.
    pub fn boots(&self, host: HostId) -> impl Iterator<Item = RunTime> + '_ {
        let others = self.instances(host).skip(1);
        let booted = self.instances(host).zip(others).filter(|((_, a), (_, b))| a.boot_id != b.boot_id);
        booted.map(|(_, (at, _))| *at)
    }

    /// The link facts of a host, in the order of time; what was unread is left out.
    pub fn links(&self, host: HostId) -> impl Iterator<Item = (RunTime, LinkSeen)> + '_ {
        let states = self.states.get(&host).into_iter().flatten();
        states.filter_map(|(at, state)| Some((*at, state.link?)))
    }

    /// Whether other hosts share this host's kernel, as in a lab: machine-wide facts then
    /// say nothing of one host.
    pub fn shares_kernel(&self, host: HostId) -> bool {
        !self.on_its_kernel(host).is_empty()
    }

    /// The other hosts on a host's kernel.
    pub fn on_its_kernel(&self, host: HostId) -> BTreeSet<HostId> {
        let boot = self.instances(host).last().map(|(_, joined)| &joined.boot_id);
        let others = self.joined.iter().map(|(_, joined)| joined).filter(|other| other.host != host);
        others.filter(|other| Some(&other.boot_id) == boot).map(|other| other.host).collect()
    }

    /// All hosts but one.
    pub fn others(&self, host: HostId) -> impl Iterator<Item = HostId> + '_ {
        self.hosts.iter().map(|other| other.id).filter(move |other| *other != host)
    }

    /// The name of a host, for texts.
    pub fn name(&self, host: HostId) -> &str {
        self.hosts.get(host.index()).map_or("?", |host| host.name.as_str())
    }
}
