//! What is measured against what, and what must come of it: one row a case.

use super::{
    metric::{Bound, Metric},
    peers::{Peer, PeerRun},
    place::Path,
    spec::{Layout, Load, Receive, Transport},
};

/// Which cores both sides may use. A gate rests on the last two, or on a ratio: which cores a
/// free scheduler takes decides more than the program.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Pinning {
    /// Any.
    Free,
    /// Both ends on the first core.
    OneCore,
    /// Our threads and those of the bare loops: thread `i` of both ends on core `i`. A peer
    /// schedules itself.
    Pairs,
}

impl Pinning {
    /// Its name in tables.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Free => "free",
            Self::OneCore => "one core",
            Self::Pairs => "a core each pair",
        }
    }
}

/// What a case is held against.
#[derive(Clone, Debug)]
pub enum Against {
    /// Nothing but its bounds.
    Nothing,
    /// Another loader.
    Peer(PeerRun),
    /// A plain `scp` of a file of so many bytes.
    Scp(u64),
    /// The bare loop of a technique.
    Bare(Load),
    /// This program with another load.
    Ours(Load),
}

/// The cable is down for a while.
#[derive(Clone, Copy, Debug)]
pub struct Blackout {
    /// From the start, seconds.
    pub at_s: u32,
    /// Its length, seconds.
    pub for_s: u32,
}

/// One row.
#[derive(Clone, Debug)]
pub struct Case {
    /// Its name on the command line.
    pub name: &'static str,
    /// Over what.
    pub path: Path,
    /// On which cores.
    pub pinning: Pinning,
    /// Carrying threads of each end of ours; one a core unless given.
    pub threads: Option<usize>,
    /// Our side.
    pub ours: Load,
    /// The other side.
    pub against: Against,
    /// Figures and their bounds.
    pub gates: Vec<(Metric, Bound)>,
    /// Its length where it needs one of its own, seconds.
    pub for_s: Option<u32>,
    /// Its repetitions where it needs fewer.
    pub reps: Option<usize>,
    /// What happens to the cable.
    pub blackout: Option<Blackout>,
}

/// As a peer copies: large writes, plain reads.
const COPY: (Layout, Receive) = (Layout::Write, Receive::Read);
/// The default: large writes, received without a copy.
const DISCARD: (Layout, Receive) = (Layout::Write, Receive::Discard);
/// No copy at either end.
const ZERO_COPY: (Layout, Receive) = (Layout::Vmsplice, Receive::Discard);

/// Payload that fits an MTU of 1500 over IPv4.
const DATAGRAM_BYTES: u16 = 1472;

const fn tcp(flows: u16, streams: u16, how: (Layout, Receive)) -> Load {
    load(Transport::Tcp, flows, streams, how)
}

const fn load(transport: Transport, flows: u16, streams: u16, how: (Layout, Receive)) -> Load {
    Load { transport, flows, streams, layout: how.0, receive: how.1, rate_bps: None, sample_us: None }
}

const fn udp(flows: u16, single: bool) -> Load {
    load(Transport::Udp { datagram_bytes: DATAGRAM_BYTES, single }, flows, 1, COPY)
}

const fn peer(peer: Peer, options: &'static [&'static str]) -> PeerRun {
    PeerRun { peer, options, since: None }
}

impl Case {
    fn new(name: &'static str, pinning: Pinning, ours: Load, against: Against) -> Self {
        Self {
            name,
            path: Path::Veth,
            pinning,
            threads: (pinning == Pinning::OneCore).then_some(1),
            ours,
            against,
            gates: vec![],
            for_s: None,
            reps: None,
            blackout: None,
        }
    }

    fn must(mut self, metric: Metric, bound: Bound) -> Self {
        self.gates.push((metric, bound));
        self
    }

    fn rate_at_least(self, ratio: f64) -> Self {
        self.must(Metric::RateRatio, Bound::AtLeast(ratio)).must(Metric::CpuRatio, Bound::Shown)
    }

    /// In a shape of its own.
    fn runs(self, for_s: u32, reps: usize) -> Self {
        Self { for_s: Some(for_s), reps: Some(reps), ..self }
    }

    fn over(self, path: Path) -> Self {
        Self { path, ..self }
    }
}

/// All cases, in the order in which they run.
pub fn all() -> Vec<Case> {
    [against_peers(), against_bare(), datagrams(), files(), sampling(), paced()].concat()
}

fn against_peers() -> Vec<Case> {
    let mut cases = vec![
        Case::new(
            "defaults-iperf3",
            Pinning::Free,
            tcp(2, 1, DISCARD),
            Against::Peer(peer(Peer::Iperf3, &[])),
        )
        .rate_at_least(2.5),
    ];
    // Copying on one core: the peers' defaults, and their best write size.
    let copying: [(&str, PeerRun, f64); 6] = [
        ("copy-iperf3", peer(Peer::Iperf3, &[]), 1.2),
        ("copy-iperf2", peer(Peer::Iperf2, &[]), 1.25),
        ("copy-nuttcp", peer(Peer::Nuttcp, &[]), 1.4),
        ("copy-iperf3-1m", peer(Peer::Iperf3, &["-l", "1M"]), 1.0),
        ("copy-iperf2-1m", peer(Peer::Iperf2, &["-l", "1M"]), 1.0),
        ("copy-nuttcp-1m", peer(Peer::Nuttcp, &["-l1m"]), 1.0),
    ];
    for (name, run, ratio) in copying {
        let ours = tcp(1, 1, COPY);
        cases.push(Case::new(name, Pinning::OneCore, ours, Against::Peer(run)).rate_at_least(ratio));
    }
    // iperf3 has threads since 3.16.
    let parallel = PeerRun { peer: Peer::Iperf3, options: &["-P", "2"], since: Some((3, 16)) };
    for (name, how, ratio) in [("copy-iperf3-p2", COPY, 1.2), ("discard-iperf3-p2", DISCARD, 1.6)] {
        cases.push(
            Case::new(name, Pinning::Pairs, tcp(2, 1, how), Against::Peer(parallel))
                .must(Metric::RateRatio, Bound::AtLeast(ratio))
                .must(Metric::CpuRatio, Bound::AtLeast(ratio)),
        );
    }
    cases
}

fn against_bare() -> Vec<Case> {
    let quic = load(Transport::Quic, 2, 1, COPY);
    let rows = [
        ("copy-bare", tcp(2, 1, COPY), Path::Veth),
        ("discard-bare", tcp(2, 1, DISCARD), Path::Veth),
        ("vmsplice-bare", tcp(2, 1, ZERO_COPY), Path::Veth),
        ("copy-bare-lo", tcp(2, 1, COPY), Path::Loopback),
        ("discard-bare-lo", tcp(2, 1, DISCARD), Path::Loopback),
        ("vmsplice-bare-lo", tcp(2, 1, ZERO_COPY), Path::Loopback),
        ("quic-bare", quic, Path::Veth),
    ];
    let case = |(name, ours, path): (_, Load, _)| {
        let case = Case::new(name, Pinning::Pairs, ours.clone(), Against::Bare(ours)).over(path);
        case.rate_at_least(0.95).must(Metric::GigabytesPerS, Bound::Shown)
    };
    rows.into_iter().map(case).collect()
}

fn datagrams() -> Vec<Case> {
    let paced = Load { rate_bps: Some(8_000_000_000), ..udp(1, false) };
    let mut cases = vec![
        Case::new("udp-1gbyte", Pinning::Free, paced, Against::Nothing)
            .must(Metric::LostShare, Bound::AtMost(0.0))
            // Nothing is lost of what is not sent: the rate must be there too.
            .must(Metric::GigabytesPerS, Bound::AtLeast(0.99)),
        Case::new("udp-unlimited", Pinning::Pairs, udp(2, false), Against::Bare(udp(2, false)))
            .must(Metric::LostShare, Bound::AtMost(0.01))
            .must(Metric::RateRatio, Bound::Shown),
    ];
    let single: [(&str, PeerRun); 2] = [
        ("udp-single-iperf3", peer(Peer::Iperf3, &["-u", "-b", "0", "-l", "1472", "-w", "4M"])),
        ("udp-single-iperf2", peer(Peer::Iperf2, &["-u", "-b", "100g", "-l", "1472", "-w", "4M"])),
    ];
    for (name, run) in single {
        cases.push(
            // Two flows, as by default: a core each.
            Case::new(name, Pinning::Free, udp(2, true), Against::Peer(run))
                .must(Metric::PacketRatio, Bound::AtLeast(1.2))
                .must(Metric::LostShare, Bound::Shown),
        );
    }
    cases
}

/// From disk to disk: a file that takes OpenSSH a second or two.
fn files() -> Vec<Case> {
    let file_bytes = 512 * 1024 * 1024;
    let [scp, file] = [Transport::Scp { file_bytes }, Transport::File { file_bytes }]
        .map(|transport| load(transport, 1, 1, COPY));
    let rows = [
        Case::new("scp-plain", Pinning::Free, scp.clone(), Against::Scp(file_bytes)).rate_at_least(0.95),
        Case::new("file-scp", Pinning::Free, file, Against::Ours(scp)).rate_at_least(2.0),
    ];
    // So long may it take at most: it ends when the file is there.
    rows.map(|case| Case { for_s: Some(30), ..case }).to_vec()
}

fn sampling() -> Vec<Case> {
    let every = |sample_us, load: Load| Load { sample_us: Some(sample_us), ..load };
    let thousand = tcp(2, 500, DISCARD);
    // Paced, so that both sides carry the same and only their cost differs.
    let paced = Load { rate_bps: Some(1_000_000_000), ..thousand.clone() };
    vec![
        Case::new(
            "samples-10ms",
            Pinning::OneCore,
            every(10_000, tcp(1, 1, DISCARD)),
            Against::Ours(tcp(1, 1, DISCARD)),
        )
        .must(Metric::RateRatio, Bound::AtLeast(0.98)),
        Case::new("lateness", Pinning::Pairs, tcp(2, 1, DISCARD), Against::Nothing)
            .must(Metric::LateP99Ms, Bound::AtMost(2.0))
            .must(Metric::MissingSlots, Bound::AtMost(0.0)),
        Case::new("streams-1000", Pinning::Pairs, thousand, Against::Nothing)
            .must(Metric::GigabytesPerS, Bound::AtLeast(4.5))
            .must(Metric::MissingSlots, Bound::Shown),
        Case::new("streams-1000-100ms", Pinning::Pairs, every(100_000, paced.clone()), Against::Ours(paced))
            .must(Metric::CoreShareAbove, Bound::AtMost(0.03)),
    ]
}

fn paced() -> Vec<Case> {
    let at = |rate_bps| Load { rate_bps: Some(rate_bps), ..tcp(1, 1, DISCARD) };
    let mut cases = vec![];
    for (name, rate_bps) in
        [("paced-10m", 10_000_000), ("paced-100m", 100_000_000), ("paced-1g", 1_000_000_000)]
    {
        cases.push(
            Case::new(name, Pinning::Free, at(rate_bps), Against::Nothing)
                .must(Metric::SecondOff { rate_bps }, Bound::AtMost(0.01))
                .must(Metric::SlotOff { rate_bps }, Bound::AtMost(0.05))
                .runs(6, 3),
        );
    }
    let rate_bps = 100_000_000;
    let blackout = Blackout { at_s: 3, for_s: 10 };
    let after = (blackout.at_s + blackout.for_s) as usize * 10;
    cases.push(Case {
        blackout: Some(blackout),
        ..Case::new("blackout", Pinning::Free, at(rate_bps), Against::Nothing)
            // 10 ms of burst in a slot of 100 ms, and the 5 % that any slot may be off.
            .must(Metric::PeakAfter { rate_bps, slot: after }, Bound::AtMost(1.15))
            .must(Metric::LastSecond { rate_bps }, Bound::AtLeast(0.95))
            .must(Metric::MissingSlots, Bound::AtMost(0.0))
            .must(Metric::EndedLateS, Bound::AtMost(1.0))
            .runs(18, 1)
    });
    cases
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_every_case_has_a_bound() {
        let cases = all();
        for (at, case) in cases.iter().enumerate() {
            assert!(cases[..at].iter().all(|other| other.name != case.name), "{}", case.name);
            assert!(case.gates.iter().any(|(_, bound)| *bound != Bound::Shown), "{}", case.name);
        }
    }

    #[test]
    fn ratios_have_another_side() {
        for case in all() {
            let ratio = |metric: &Metric| {
                matches!(
                    metric,
                    Metric::RateRatio | Metric::PacketRatio | Metric::CpuRatio | Metric::CoreShareAbove
                )
            };
            let alone = matches!(case.against, Against::Nothing);
            assert!(!alone || !case.gates.iter().any(|(metric, _)| ratio(metric)), "{}", case.name);
        }
    }

    #[test]
    fn a_blackout_ends_before_its_case() {
        for case in all() {
            let Some(blackout) = case.blackout else { continue };
            assert!(
                case.for_s.is_some_and(|for_s| for_s > blackout.at_s + blackout.for_s + 2),
                "{}",
                case.name
            );
        }
    }
}
