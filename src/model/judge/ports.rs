//! Hosts that data never reached, or never left, by one transport: their ports are blocked.
//!
//! # Rule
//!
//! Of each ordered pair it is known whether anything ever passed: what reach came to, an answered echo, a
//! byte of a flow. A host's ports are *blocked* for what comes in where by one transport nothing ever did,
//! of nobody, although its control connection crosses the same card and was never lost; and for what goes
//! out where the same holds of what it sends, and others reached those that it did not.
//!
//! # Source
//!
//! Cards fail by load, by size or by direction, and control is loaded both ways in frames of many sizes:
//! what never passed beside it was filtered by port.

use std::collections::BTreeSet;

use super::{
    cause,
    seen::{
        Seen, Way,
        probes::{Asked, Outcome},
    },
    summary::{Finding, FindingKind, Severity},
};
use crate::model::{
    fleet::host::HostId,
    plan::carriage::Transport,
    record::line::{ContactState, ReachPeer},
};

/// What a firewall tells apart.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
enum Protocol {
    Tcp,
    Udp,
}

impl Protocol {
    const ALL: [Self; 2] = [Self::Tcp, Self::Udp];

    const fn name(self) -> &'static str {
        match self {
            Self::Tcp => "TCP",
            Self::Udp => "UDP",
        }
    }

    /// Whether reach came through by it.
    const fn reached(self, peer: &ReachPeer) -> bool {
        match self {
            Self::Tcp => peer.tcp_us.is_some(),
            Self::Udp => peer.udp_us.is_some(),
        }
    }

    /// Whether it carries flows of this transport.
    const fn carries(self, transport: Transport) -> bool {
        matches!(transport, Transport::Udp | Transport::Quic) == matches!(self, Self::Udp)
    }
}

/// The finding on a host whose ports are blocked.
pub fn finding(seen: &Seen, host: HostId) -> Option<Finding> {
    // Of another card nothing follows for this one.
    if seen.has_control_apart(host) || !lasted(seen, host) {
        return None;
    }
    let blocked = |way: Way| -> Vec<Protocol> {
        Protocol::ALL.into_iter().filter(|protocol| is_blocked(seen, host, way, *protocol)).collect()
    };
    let mut ways = [Way::Rx, Way::Tx].into_iter().map(|way| (way, blocked(way)));
    let (way, protocols) = ways.find(|(_, blocked)| !blocked.is_empty())?;
    let names: Vec<&str> = protocols.iter().map(|protocol| protocol.name()).collect();
    let why = tried(seen, host, way).find(|(_, peer)| !peer.why.is_empty()).map_or("", |(_, peer)| &peer.why);
    let what = match way {
        Way::Rx => "nobody ever reached",
        Way::Tx => "nobody was ever reached by",
    };
    let text = format!(
        "{what} {} by {} ({why}) while its control, across the same card, works: open the workers' data ports, TCP and UDP, between all hosts (--data-ports A-B says which a worker uses)",
        seen.name(host),
        names.join(" nor by "),
    );
    let mut finding = cause::bare(FindingKind::PortsBlocked, Severity::Warn, &[], text);
    finding.numbers.insert("peers".to_owned(), Some(tried(seen, host, way).count() as f64));
    Some(finding)
}

/// Whether control of a host was never lost.
fn lasted(seen: &Seen, host: HostId) -> bool {
    !seen.contacts.iter().any(|(_, contact)| contact.host == host && contact.state != ContactState::Back)
}

/// What reach came to between a host and each other one, that way: the other one, and what it came to.
fn tried(seen: &Seen, host: HostId, way: Way) -> impl Iterator<Item = (HostId, &ReachPeer)> {
    seen.reach
        .iter()
        .filter(move |((from, to), _)| from != to && way.of(*from, *to) == host)
        .map(move |((from, to), peer)| (way.other().of(*from, *to), peer))
}

fn is_blocked(seen: &Seen, host: HostId, way: Way, protocol: Protocol) -> bool {
    // As good as always something was reached: no more is looked at then.
    if tried(seen, host, way).any(|(_, peer)| protocol.reached(peer)) {
        return false;
    }
    let others: BTreeSet<HostId> = tried(seen, host, way).map(|(other, _)| other).collect();
    let ever = others.iter().any(|other| {
        let (from, to) = way.ends(host, *other);
        passed(seen, from, to, protocol)
    });
    // Whom nobody reaches, this one cannot either.
    let by_others = || {
        let mut reached = seen.reach.iter().filter(|(_, peer)| protocol.reached(peer));
        reached.any(|((from, to), _)| *from != host && others.contains(to))
    };
    !others.is_empty() && !ever && (way == Way::Rx || by_others())
}

/// Whether anything ever passed from one to the other, after reach.
fn passed(seen: &Seen, from: HostId, to: HostId, protocol: Protocol) -> bool {
    // A handshake that is refused counts as answered, and a filter may refuse it.
    let echoes = seen.probes.outcomes(from, to, Asked::Echo);
    let answered = |tick| matches!(echoes(tick), Some(Outcome::Answered(_)));
    (protocol == Protocol::Udp && (0..seen.probes.ticks()).any(answered))
        || seen
            .flows_of(to)
            .filter(|flow| flow.from == from && flow.to == to)
            .filter(|flow| protocol.carries(seen.rounds[flow.round].dose.carriage.transport))
            .any(|flow| flow.bytes() > 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{
        fleet::units::RunTime,
        judge::tests::field::Field,
        plan::layout::StageKind,
        record::line::{Body, Contact, ReachSeen},
    };

    /// Eight hosts of which one is filtered: what comes in or goes out by these protocols.
    fn filtered(host: u16, way: Way, protocols: &[Protocol]) -> Field {
        let mut field = Field::of(8);
        for from in 0..8 {
            let peer = |to: u16| {
                let is_filtered = |protocol| way.of(from, to) == host && protocols.contains(&protocol);
                let us = |protocol| (!is_filtered(protocol)).then_some(200);
                let why = if us(Protocol::Tcp).and(us(Protocol::Udp)).is_none() { "timed out" } else { "" };
                ReachPeer { tcp_us: us(Protocol::Tcp), udp_us: us(Protocol::Udp), why: why.to_owned() }
            };
            let others = (0..8).filter(|to| *to != from);
            let peers = others.map(|to| (HostId(to), peer(to))).collect();
            field.take(from + 1, RunTime(1_000_000), Body::Reach(ReachSeen { peers }));
        }
        field
    }

    fn told(field: &Field) -> Vec<(HostId, String)> {
        let hosts = (0..8).map(HostId);
        hosts.filter_map(|host| Some((host, finding(&field.seen, host)?.text))).collect()
    }

    #[test]
    fn who_is_filtered_is_told_with_the_protocol_and_nobody_else_is() {
        for (way, protocols, want) in [
            (
                Way::Rx,
                &[Protocol::Tcp, Protocol::Udp][..],
                "nobody ever reached h5 by TCP nor by UDP (timed out)",
            ),
            (Way::Rx, &[Protocol::Udp], "nobody ever reached h5 by UDP (timed out)"),
            (Way::Tx, &[Protocol::Tcp], "nobody was ever reached by h5 by TCP (timed out)"),
        ] {
            let told = told(&filtered(4, way, protocols));
            assert_eq!(told.len(), 1, "{told:?}");
            assert!(told[0].0 == HostId(4) && told[0].1.starts_with(want), "{told:?}");
        }
        assert_eq!(told(&filtered(4, Way::Rx, &[])), []);
    }

    #[test]
    fn what_passed_later_or_lost_its_control_too_was_not_filtered() {
        let mut field = filtered(4, Way::Rx, &[Protocol::Tcp]);
        field.pairs_as(StageKind::Load, 1.0, |_, _| 50e6);
        assert_eq!(told(&field), []);
        let mut field = filtered(4, Way::Rx, &[Protocol::Tcp]);
        let lost = Contact { host: HostId(4), instance: 5, state: ContactState::Lost, why: String::new() };
        field.take(0, RunTime(9_000_000), Body::Contact(lost));
        assert_eq!(told(&field), []);
    }

    #[test]
    fn silence_of_a_card_that_control_does_not_cross_is_no_filter_s() {
        let mut field = filtered(4, Way::Rx, &Protocol::ALL);
        field.seen.joined[4].1.control_in_band = Some(false);
        assert_eq!(told(&field), []);
    }
}
