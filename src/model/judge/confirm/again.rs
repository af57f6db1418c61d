//! Whether a symptom showed again between a suspect and a partner, kind by kind.
//!
//! Each look is held against the other pairs of its round: what all of them show is nobody's.

use crate::model::{
    fleet::host::HostId,
    judge::{
        checksums::{self, DAMAGED_PAIRS},
        frames, latency, loss, new_flows,
        poisson::Share,
        robust,
        seen::{FlowSeen, RoundSeen, Seen, Way},
        sequence, slow, stalls,
        summary::{Direction, Finding, FindingKind},
    },
    plan::layout::{FlowId, StageKind},
};

/// How far below the control's rate a suspect must stay to be slow again; half of what made it
/// a suspect, because the control is a single pair.
const SLOW_AGAIN: f64 = 0.07;

/// How many times what others lose in the same round a suspect must lose to have lost again.
const LOST_FACTOR: f64 = 5.0;

/// Retransmissions from which on a saturated side that is slow again is so for its losses: a queue that is
/// merely full loses half of that.
const SLOW_FOR_LOSS: f64 = loss::SATURATED / 5.0;

/// Whether a symptom showed between two hosts, the first of them suspected.
pub(super) type Again<'a> = Box<dyn Fn(HostId, HostId) -> Option<bool> + 'a>;

/// Whether a finding's symptom showed between two hosts while suspects were tried; `None`
/// where they did not meet, or too little was measured.
pub(super) fn reproduced<'a>(seen: &'a Seen, finding: &'a Finding) -> Again<'a> {
    match finding.kind {
        FindingKind::Latency | FindingKind::LatencyUnderLoad => {
            Box::new(latency::reproduced(seen, finding.kind))
        }
        FindingKind::Stalls => Box::new(stalls::reproduced(seen)),
        _ => Box::new(|host, partner| by_flows(seen, finding, host, partner)),
    }
}

fn by_flows(seen: &Seen, finding: &Finding, host: HostId, partner: HostId) -> Option<bool> {
    let ways = Way::of_direction(finding.direction.unwrap_or(Direction::Both));
    let any = |of: &dyn Fn(Way) -> Option<bool>| ways.iter().filter_map(|way| of(*way)).reduce(|a, b| a || b);
    match finding.kind {
        FindingKind::FailSlow | FindingKind::Degrading => any(&|way| slow_again(seen, host, way, partner)),
        FindingKind::Corruption if finding.numbers.contains_key(DAMAGED_PAIRS) => {
            any(&|way| checksums::reproduced(seen, host, way, partner))
        }
        FindingKind::Corruption | FindingKind::PacketLoss | FindingKind::LossAboveRate => {
            any(&|way| lost_again(seen, finding, host, way, partner))
        }
        FindingKind::MtuBlackHole => any(&|way| frames::reproduced(seen, host, way, partner)),
        FindingKind::Duplication | FindingKind::Reordering => {
            any(&|way| sequence::reproduced(seen, finding.kind, host, way, partner))
        }
        FindingKind::DeadQueue | FindingKind::NewFlowsRefused => new_flows::reproduced(seen, host, partner),
        _ => None,
    }
}

/// Flows of a host's side with a partner in rounds that try suspects, and in which both took part.
fn tried(
    seen: &Seen,
    host: HostId,
    way: Way,
    partner: HostId,
) -> impl Iterator<Item = (FlowId, &FlowSeen, &RoundSeen)> {
    seen.flows.iter().map(|(id, flow)| (*id, flow, &seen.rounds[flow.round])).filter(
        move |(_, flow, round)| {
            round.kind == StageKind::Confirm
                && (flow.from, flow.to) == way.ends(host, partner)
                && seen.took_part(round, flow, round.start)
        },
    )
}

/// The flows of the same round in which a host has no part.
fn others<'a>(seen: &'a Seen, flow: &FlowSeen, host: HostId) -> impl Iterator<Item = (FlowId, &'a FlowSeen)> {
    let round = flow.round;
    seen.flows
        .iter()
        .filter(move |(_, other)| other.round == round && ![other.from, other.to].contains(&host))
        .map(|(id, other)| (*id, other))
}

/// Whether a side stayed under what the other flows of its round carried.
fn slow_again(seen: &Seen, host: HostId, way: Way, partner: HostId) -> Option<bool> {
    let fast = tried(seen, host, way, partner).filter(|(_, _, round)| round.saturates());
    let slow = fast.filter_map(|(_, flow, _)| {
        let own = slow::steady_bps(&flow.slots)?;
        let others: Vec<f64> =
            others(seen, flow, host).filter_map(|(_, other)| slow::steady_bps(&other.slots)).collect();
        // Without a control, what calibration found the host's class to carry.
        let usual = robust::quantile(&others, 0.5).or_else(|| class_bps(seen))?;
        Some(own < (1.0 - SLOW_AGAIN) * usual)
    });
    slow.reduce(|a, b| a || b)
}

/// What the fleet's hosts carry at the median.
fn class_bps(seen: &Seen) -> Option<f64> {
    let all: Vec<f64> = seen
        .capacities
        .values()
        .flat_map(|(tx, rx)| [*tx, *rx])
        .flatten()
        .map(|rate| rate.bps() as f64)
        .collect();
    robust::median(&all)
}

/// Whether a side lost again: at half load, in small frames at speed, or when saturated. What
/// all lose in that round is nobody's.
fn lost_again(seen: &Seen, finding: &Finding, host: HostId, way: Way, partner: HostId) -> Option<bool> {
    let saturated = finding.kind == FindingKind::LossAboveRate && !finding.numbers.contains_key("lossy_pps");
    // Who sends less for what it lost has less to lose.
    let slow = saturated && slow_again(seen, host, way, partner) == Some(true);
    let enough = if slow { SLOW_FOR_LOSS } else { loss::SATURATED };
    let lost = |share: Share| if saturated { share.rate() >= enough } else { loss::is_bad(share) };
    let again = tried(seen, host, way, partner).filter_map(|(id, flow, round)| {
        let own = loss::of_flow(seen, id, flow, round).filter(|share| share.of > 0)?;
        let others: Vec<f64> = others(seen, flow, host)
            .filter_map(|(id, other)| Some(loss::of_flow(seen, id, other, round)?.rate()))
            .collect();
        let usual = robust::median(&others).unwrap_or(0.0);
        Some(lost(own) && own.rate() >= LOST_FACTOR * usual)
    });
    again.reduce(|a, b| a || b)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{
        judge::{cause, summary::Severity, tests::field::Field},
        plan::{
            carriage::Carriage,
            dose::{Dose, Pattern, Rate, Ways},
        },
        record::{
            few::Few,
            line::{Body, TcpFlow, TcpSeen},
        },
    };

    /// Whether h1 is seen to lose again with h2, where in its round each pair loses so much and carries
    /// so much.
    fn again_at(
        (kind, rate): (FindingKind, Rate),
        lost: impl Fn(u16) -> f64,
        bps: impl Fn(u16) -> f64,
    ) -> Option<bool> {
        let mut field = Field::of(8);
        let dose = Dose { pattern: Pattern::Pairs, ways: Ways::OneWay, rate, carriage: Carriage::tcp(2) };
        let pairs = [(0, 1), (2, 3), (4, 5), (6, 7)];
        let flows = field.round(StageKind::Confirm, dose, 2.0, &pairs, None);
        field.carried(&flows, |from, _, _| bps(from));
        for (flow, from, _) in flows {
            let tcp = TcpFlow { segs: 10_000, retr: (lost(from) * 1e4) as u64, ..TcpFlow::default() };
            let tcp = TcpSeen { flows: Few::from_iter([(flow, tcp)]) };
            field.take(from + 1, crate::model::fleet::units::RunTime(9_000_000), Body::Tcp(tcp));
        }
        let finding = cause::bare(kind, Severity::Fail, &[], String::new());
        let finding = Finding { direction: Some(Direction::Tx), ..finding };
        reproduced(&field.seen, &finding)(HostId(0), HostId(1))
    }

    fn again(lost: impl Fn(u16) -> f64) -> Option<bool> {
        again_at((FindingKind::PacketLoss, Rate::Share(0.5)), lost, |_| 28e6)
    }

    #[test]
    fn who_is_policed_loses_much_again_or_some_and_is_slow() {
        for (lost, bps, want) in [
            (0.02, 57e6, true),
            (0.005, 35e6, true),
            (0.005, 57e6, false),
            (0.0, 35e6, false),
            (0.001, 35e6, false),
        ] {
            let of = |own: f64, others: f64| move |from: u16| if from == 0 { own } else { others };
            let policed = (FindingKind::LossAboveRate, Rate::Unpaced);
            let again = again_at(policed, of(lost, 0.0), of(bps, 57e6));
            assert_eq!(again, Some(want), "{lost} lost at {bps} b/s");
        }
    }

    #[test]
    fn a_suspect_that_loses_alone_loses_again_and_one_among_many_does_not() {
        assert_eq!(again(|from| if from == 0 { 0.02 } else { 0.0 }), Some(true));
        assert_eq!(again(|_| 0.0), Some(false));
        assert_eq!(again(|_| 0.02), Some(false), "all lose alike");
        assert_eq!(again(|from| if from == 0 { 0.8 } else { 0.04 }), Some(true), "far more than all");
    }
}
