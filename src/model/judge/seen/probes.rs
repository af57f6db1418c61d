//! Probes as they were told: outcomes by observer, target and tick.

use std::collections::BTreeMap;

pub use crate::model::record::probe::Asked;
use crate::model::{
    fleet::host::HostId,
    record::probe::{NO_ANSWER, ProbesSeen, TICKS_A_LINE, UNSENT},
};

/// Ticks that are kept at most: a day. A line that lies beyond is of a clock gone wrong.
const TICKS_MAX: u64 = 24 * 3600 * 5;

/// What became of a probe.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Outcome {
    /// Answered after so many microseconds.
    Answered(u32),
    /// Sent, and not answered within a second.
    Lost,
}

/// Outcomes of one observer and target, from tick 0 on.
type Series = Vec<u32>;

/// All probes of a record.
#[derive(Clone, Debug, Default)]
pub struct Probes {
    series: BTreeMap<(HostId, HostId, Asked), Series>,
    /// By observer and target: the ticks whose echo the target heard.
    heard: BTreeMap<(HostId, HostId), Vec<bool>>,
    /// By target: up to which tick it told what it heard.
    told: BTreeMap<HostId, u64>,
}

impl Probes {
    /// Takes a line of one worker.
    pub fn take(&mut self, by: HostId, line: &ProbesSeen) {
        if line.first >= TICKS_MAX {
            return;
        }
        for (asked, all) in [(Asked::Echo, &line.udp), (Asked::Handshake, &line.tcp)] {
            for (target, outcomes) in all {
                let series = self.series.entry((by, *target, asked)).or_default();
                for (tick, us) in (line.first..).zip(outcomes.cells()) {
                    put(series, tick, *us, UNSENT);
                }
            }
        }
        for (observer, bits) in &line.heard {
            let ticks = self.heard.entry((*observer, by)).or_default();
            for bit in (0..TICKS_A_LINE).filter(|bit| bits & (1 << bit) != 0) {
                put(ticks, line.first + bit, true, false);
            }
        }
        let told = self.told.entry(by).or_default();
        *told = (*told).max(line.first + TICKS_A_LINE);
    }

    /// Who probes whom.
    pub fn pairs(&self, asked: Asked) -> impl Iterator<Item = (HostId, HostId)> + '_ {
        self.series.keys().filter(move |(.., how)| *how == asked).map(|(from, to, _)| (*from, *to))
    }

    /// Whether a host told of anything that it asked.
    pub fn asks(&self, host: HostId) -> bool {
        let mut own = self.series.range((host, HostId(0), Asked::Echo)..);
        own.next().is_some_and(|((from, ..), _)| *from == host)
    }

    /// One more than the last tick that is known of.
    pub fn ticks(&self) -> u64 {
        self.series.values().map(Vec::len).max().unwrap_or(0) as u64
    }

    /// What became of the probe of a tick; `None` where none was sent, or nothing is known.
    pub fn outcome(&self, from: HostId, to: HostId, asked: Asked, tick: u64) -> Option<Outcome> {
        self.outcomes(from, to, asked)(tick)
    }

    /// The same of any tick, for who asks for many.
    pub fn outcomes(
        &self,
        from: HostId,
        to: HostId,
        asked: Asked,
    ) -> impl Fn(u64) -> Option<Outcome> + use<'_> {
        let series = self.series.get(&(from, to, asked));
        move |tick| match *series?.get(tick as usize)? {
            UNSENT => None,
            NO_ANSWER => Some(Outcome::Lost),
            us => Some(Outcome::Answered(us)),
        }
    }

    /// Whether the target heard the echo of a tick; `None` where it never told of that tick.
    pub fn was_heard(&self, from: HostId, to: HostId, tick: u64) -> Option<bool> {
        let heard = self.heard.get(&(from, to)).and_then(|ticks| ticks.get(tick as usize)).copied();
        (tick < *self.told.get(&to)?).then(|| heard.unwrap_or(false))
    }
}

fn put<T: Clone>(cells: &mut Vec<T>, tick: u64, value: T, unknown: T) {
    let index = tick as usize;
    if cells.len() <= index {
        cells.resize(index + 1, unknown);
    }
    cells[index] = value;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::record::{few::Few, probe::Outcomes};

    #[test]
    fn what_was_sent_lost_unknown_and_heard_are_told_apart() {
        let (a, b) = (HostId(0), HostId(1));
        let mut probes = Probes::default();
        let sent = ProbesSeen {
            first: 5,
            udp: Few::from_iter([(b, Outcomes::from_iter([Some(300), Some(0), None]))]),
            ..ProbesSeen::default()
        };
        probes.take(a, &sent);
        let outcome = |tick| probes.outcome(a, b, Asked::Echo, tick);
        assert_eq!((outcome(5), outcome(6)), (Some(Outcome::Answered(300)), Some(Outcome::Lost)));
        assert_eq!((outcome(4), outcome(7), outcome(99)), (None, None, None));
        assert_eq!(probes.was_heard(a, b, 5), None, "the target has told nothing yet");
        let heard = ProbesSeen { first: 5, heard: Few::from_iter([(a, 0b1)]), ..ProbesSeen::default() };
        probes.take(b, &heard);
        assert_eq!((probes.was_heard(a, b, 5), probes.was_heard(a, b, 6)), (Some(true), Some(false)));
        probes.take(a, &ProbesSeen { first: u64::MAX - 3, ..sent });
        assert_eq!(probes.ticks(), 8, "a clock gone wrong costs no memory");
    }
}
