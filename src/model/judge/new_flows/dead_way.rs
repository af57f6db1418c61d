//! In which way a queue is dead that swallows a share of a host's flows.
//!
//! A handshake needs both ways, so that a missing one tells neither. Two things do:
//!
//! - Echoes. Each observer asks each target from a port of its own: its echoes are one flow, their
//!   answers another, and those that their target heard tell the two apart. Where no echo happens to
//!   lie in the dead queue they tell nothing.
//! - Who answers in vain. A kernel sends its answer to a first packet (SYN-ACK) again for as long as
//!   nothing comes back, whatever the caller has given up by then. Where the host's sending queue is
//!   dead, its own answers are lost; where the receiving one is, the others' are that they send to it.
//!   In the lab one of the two counted nine to ten times the other, and with both queues dead 1.0
//!   to 1.1 times.
//!
//! Whether any queue is dead at all is `new_flows`'s.

use crate::model::{
    fleet::host::HostId,
    judge::{
        robust::median,
        seen::{
            Seen, Way,
            probes::{Asked, Outcome},
        },
        summary::Direction,
    },
};

/// Ticks of a flow of echoes below which nothing is said of it.
const TICKS_MIN: usize = 20;

/// Share of a flow's echoes that may pass if it is dead.
const DEAD_PASSES: f64 = 0.02;

/// Answers in vain, of all, below which they tell nothing: a healthy fleet of eight has under ten.
const IN_VAIN_MIN: f64 = 50.0;

/// How many times the other side's they are where one way alone is dead: half of what was seen, and
/// more than both ways together come to.
const IN_VAIN_FACTOR: f64 = 4.0;

/// The way, of a host some of whose queues are dead; `None` where nothing tells it.
pub(super) fn of(seen: &Seen, host: HostId) -> Option<Direction> {
    match (by_echoes(seen, host), by_answers(seen, host)) {
        (Some(Direction::Both), _) | (Some(_), Some(Direction::Both)) => Some(Direction::Both),
        (echoes, answers) => echoes.or(answers),
    }
}

fn by_echoes(seen: &Seen, host: HostId) -> Option<Direction> {
    let mut dead: Vec<Way> = Vec::new();
    for (observer, target) in seen.probes.pairs(Asked::Echo).filter(|(a, b)| *a == host || *b == host) {
        let ticks = 0..seen.probes.ticks();
        let asked = ticks.filter_map(|tick| {
            let outcome = seen.probes.outcome(observer, target, Asked::Echo, tick)?;
            Some((seen.probes.was_heard(observer, target, tick)?, outcome != Outcome::Lost))
        });
        let all: Vec<(bool, bool)> = asked.collect();
        let (heard, answered) =
            (all.iter().filter(|(heard, _)| *heard).count(), all.iter().filter(|(_, back)| *back).count());
        let is_dead = |passed: usize, of: usize| of >= TICKS_MIN && passed as f64 <= DEAD_PASSES * of as f64;
        let out = if observer == host { Way::Tx } else { Way::Rx };
        let back = if observer == host { Way::Rx } else { Way::Tx };
        if is_dead(heard, all.len()) {
            dead.push(out);
        } else if is_dead(answered, heard) {
            dead.push(back);
        }
    }
    (!dead.is_empty()).then(|| Way::together(dead))
}

fn by_answers(seen: &Seen, host: HostId) -> Option<Direction> {
    let count = |host: HostId| seen.in_vain.get(&host).map_or(0.0, |count| *count as f64);
    let others: Vec<f64> = seen.others(host).map(count).collect();
    // As many of each as the median has: of another sick one nothing is held against this.
    let (own, others) = (count(host), median(&others)? * others.len() as f64);
    if own + others < IN_VAIN_MIN {
        return None;
    }
    Some(if own >= IN_VAIN_FACTOR * others {
        Direction::Tx
    } else if others >= IN_VAIN_FACTOR * own {
        Direction::Rx
    } else {
        Direction::Both
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::judge::tests::field::Field;

    /// What is told where no echo lies in a dead queue; `in_vain` by host from 0 on.
    fn told(in_vain: &[u64], host: u16) -> Option<Direction> {
        let mut field = Field::of(in_vain.len() as u16);
        field.seen.in_vain = (0..).map(HostId).zip(in_vain.iter().copied()).collect();
        of(&field.seen, HostId(host))
    }

    #[test]
    fn who_answers_in_vain_tells_the_way() {
        // As counted in the lab.
        let sending = [26, 14, 14, 1109, 17, 9, 16, 14];
        let receiving = [716, 690, 609, 617, 617, 500, 594, 584];
        assert_eq!(told(&sending, 3), Some(Direction::Tx));
        assert_eq!(told(&receiving, 5), Some(Direction::Rx));
        assert_eq!(told(&[1124, 6226, 976, 993, 790, 908, 1052, 830], 1), Some(Direction::Both));
        assert_eq!(told(&[748, 769, 1493], 2), Some(Direction::Both), "of three hosts");
        assert_eq!(told(&[1, 1, 0, 20, 1, 1, 0, 2], 3), None, "too few");
        assert_eq!(told(&[26, 14, 1109, 1109, 17, 9, 16, 14], 3), Some(Direction::Tx), "of two sick ones");
    }

    #[test]
    fn an_echo_that_is_lost_one_way_does_not_hide_that_both_are_dead() {
        let mut field = Field::of(3);
        field.probed(0, 100, |from, to, _| (from != 2 || to != 0).then_some(100));
        assert_eq!(of(&field.seen, HostId(2)), Some(Direction::Tx));
        field.seen.in_vain = [(HostId(0), 700), (HostId(1), 700), (HostId(2), 1400)].into();
        assert_eq!(of(&field.seen, HostId(2)), Some(Direction::Both));
    }
}
