//! What is said of a lossy side: lost always, above a rate, or for what checksums caught.

use std::collections::{BTreeMap, BTreeSet};

use super::{FAIL, Lost, NUMBERED, Paced, Share, Side};
use crate::model::{
    fleet::host::HostId,
    judge::{
        cause::{self, rate_text},
        checksums::CHECKSUM_ERRORS,
        pressure::{self, DROPPED_MIN},
        seen::{FlowSeen, Seen, Way},
        summary::{Finding, FindingKind, Severity},
    },
};

/// Packets that the clean rounds would have lost, had they lost like the others, for their
/// being clean to mean something.
const CLEAN_EXPECTED: f64 = 10.0;

/// What they may have lost of that.
const CLEAN_LOST: f64 = 0.1;

/// Share of what was lost that checksums must have caught, or the host's own kernel dropped, for that to
/// be why.
const CAUGHT_MIN: f64 = 0.5;

/// Between which packet rates a side begins to lose: held without loss, and lossy.
fn knee(rounds: &[(f64, f64, Share)]) -> Option<(f64, f64)> {
    (1..rounds.len()).rev().find_map(|split| {
        let (slow, fast) = rounds.split_at(split);
        let sum = |part: &[(f64, f64, Share)]| {
            let mut all = Share::default();
            for (.., share) in part {
                all.add(*share);
            }
            all
        };
        let (clean, lossy) = (sum(slow), sum(fast));
        let expected = clean.of as f64 * lossy.rate();
        let is_knee = expected >= CLEAN_EXPECTED && clean.events as f64 <= CLEAN_LOST * expected;
        is_knee.then(|| (slow[split - 1].1, fast[0].1))
    })
}

pub(super) fn finding(seen: &Seen, paced: &Paced<'_>, host: HostId, sides: &[(Way, Side)]) -> Finding {
    let mut all = Share::default();
    for (_, side) in sides {
        all.add(side.all);
    }
    if let Some(dropped) = dropped_by_kernel(seen, paced, host, sides, all) {
        return limited(seen, paced, host, all, dropped);
    }
    let direction = Way::together(sides.iter().map(|(way, _)| *way));
    let knees: Vec<Option<(f64, f64)>> =
        sides.iter().map(|(_, side)| knee(&side.rounds).filter(|_| side.numbered)).collect();
    let above: Option<Vec<(f64, f64)>> = knees.into_iter().collect();
    let verb = direction.verb();
    let caught = caught_by_checksums(seen, host, sides, all);
    let numbered = are_numbered(sides);
    let of = if numbered { "frames" } else { "segments" };
    let name = seen.name(host);
    let mut numbers: Vec<(&str, f64)> = Vec::new();
    let clean_bps = clean_below(paced, host, sides, all);
    let (kind, text) = match (above.as_deref(), clean_bps) {
        _ if caught > 0 => {
            numbers.push((CHECKSUM_ERRORS, caught as f64));
            let text = format!(
                "{name} changes what it {verb}: checksums caught {caught} packets, and {} of {} {of} were lost for it; look at its memory, its card's checksum offload (ethtool -k) and its cable",
                all.events, all.of
            );
            (FindingKind::Corruption, text)
        }
        (Some([(clean, lossy), ..]), _) => {
            numbers.extend([("clean_pps", clean.round()), ("lossy_pps", lossy.round())]);
            let text = format!(
                "{name} loses frames that it {verb} once there are more than some {:.0} a second, and none up to {clean:.0}: {} of {} in all; look at ring sizes, interrupt moderation and queues (ethtool -g, -c, -l), then at an allowance of its instance",
                lossy, all.events, all.of
            );
            (FindingKind::LossAboveRate, text)
        }
        (_, Some(clean)) => {
            numbers.push(("clean_bps", clean.round()));
            let text = format!(
                "{name} loses {:.2} % of what it {verb} at half load, {} of {} segments, and none of as many packets in small frames, up to {}: its bit rate is what it does not hold; look at its negotiated speed and at what polices it",
                all.rate() * 100.0,
                all.events,
                all.of,
                rate_text(Some(clean)),
            );
            (FindingKind::LossAboveRate, text)
        }
        _ => {
            let text = format!(
                "{name} loses {:.2} % of what it {verb} at loads that lose nothing elsewhere: {} of {} {of}; look at its cable, transceiver and switch port, then at its driver's error counters (ethtool -S)",
                all.rate() * 100.0,
                all.events,
                all.of
            );
            (FindingKind::PacketLoss, text)
        }
    };
    let fails = all.at_most() >= FAIL;
    let mut finding = cause::bare(kind, if fails { Severity::Fail } else { Severity::Warn }, &[], text);
    finding.direction = Some(direction);
    finding.first_seen_s = first_lossy_s(paced, host);
    if numbered {
        numbers.push((NUMBERED, all.of as f64));
    }
    numbers.extend([("loss_share", all.rate()), ("lost", all.events as f64), ("sent", all.of as f64)]);
    finding.numbers = cause::numbers(numbers);
    finding
}

/// Whether numbered frames tell of a loss, and not retransmissions.
fn are_numbered(sides: &[(Way, Side)]) -> bool {
    sides.iter().any(|(_, side)| side.numbered)
}

/// Packets that a host's card had delivered and its kernel dropped, where they are a good part of what it
/// lost.
fn dropped_by_kernel(
    seen: &Seen,
    paced: &Paced<'_>,
    host: HostId,
    sides: &[(Way, Side)],
    all: Share,
) -> Option<u64> {
    if sides.iter().any(|(way, _)| *way == Way::Tx) {
        return None;
    }
    // Of the rounds alone that this is told of: others may have lost to the backlog what these did not.
    let lossy = paced.told_by(are_numbered(sides)).iter();
    let lossy = lossy.filter(|lost| lost.flow.touches(host, Way::Rx) && lost.share.events > 0);
    let rounds: BTreeSet<usize> = lossy.map(|lost| lost.flow.round).collect();
    let dropped = pressure::dropped_in(seen, host, &rounds);
    (dropped >= DROPPED_MIN && dropped as f64 >= CAUGHT_MIN * all.events as f64).then_some(dropped)
}

fn limited(seen: &Seen, paced: &Paced<'_>, host: HostId, all: Share, dropped: u64) -> Finding {
    let text = format!(
        "the kernel of {} dropped {dropped} packets that its card had delivered, for the backlog of a core was full, while {} of {} that were sent to it were lost: no card is accused of it; spread its queues over cores, or raise net.core.netdev_max_backlog",
        seen.name(host),
        all.events,
        all.of,
    );
    let mut finding = cause::bare(FindingKind::HostLimited, Severity::Warn, &[], text);
    finding.direction = Some(Way::together([Way::Rx]));
    finding.first_seen_s = first_lossy_s(paced, host);
    let numbers =
        [("dropped_by_kernel", dropped as f64), ("lost", all.events as f64), ("sent", all.of as f64)];
    finding.numbers = cause::numbers(numbers);
    finding
}

/// Packets that checksums caught at the receivers of a lossy side, where they are a good part of
/// what it lost: at the host itself for what it receives, at several others for what it sends.
fn caught_by_checksums(seen: &Seen, host: HostId, sides: &[(Way, Side)], all: Share) -> u64 {
    let of = |host: HostId| -> u64 {
        seen.checksums.get(&host).into_iter().flatten().map(|counted| counted.errors).sum()
    };
    let others: Vec<u64> = seen.others(host).map(of).collect();
    let sends = sides.iter().any(|(way, _)| *way == Way::Tx);
    let receives = sides.iter().any(|(way, _)| *way == Way::Rx);
    let several = others.iter().filter(|errors| **errors > 0).count() >= 2.min(others.len());
    let caught = u64::from(sends && several) * others.iter().sum::<u64>() + u64::from(receives) * of(host);
    if caught as f64 >= CAUGHT_MIN * all.events as f64 { caught } else { 0 }
}

/// Where only bulk data loses, the rate up to which as many packets in small frames did not.
fn clean_below(paced: &Paced<'_>, host: HostId, sides: &[(Way, Side)], all: Share) -> Option<f64> {
    if are_numbered(sides) {
        return None;
    }
    let own = |flow: &FlowSeen| sides.iter().any(|(way, _)| flow.touches(host, *way));
    let (mut clean, mut bps) = (Share::default(), BTreeMap::<u64, f64>::new());
    for Lost { flow, round, share } in paced.told_by(true).iter().filter(|lost| own(lost.flow)) {
        clean.add(*share);
        *bps.entry(round.start).or_default() += flow.rate.map_or(0.0, |rate| rate.bps() as f64);
    }
    let expected = clean.of as f64 * all.rate();
    let is_clean = expected >= CLEAN_EXPECTED && clean.events as f64 <= CLEAN_LOST * expected;
    bps.into_values().reduce(f64::max).filter(|_| is_clean)
}

/// The beginning of the first paced round in which something of this host's was lost.
fn first_lossy_s(paced: &Paced<'_>, host: HostId) -> Option<f64> {
    let is_own = |lost: &&Lost<'_>| lost.flow.from == host || lost.flow.to == host;
    let own = paced.all().filter(|lost| lost.share.events > 0).filter(is_own);
    own.map(|lost| lost.round.start_s()).reduce(f64::min)
}
