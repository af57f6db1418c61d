//! Goodput over time as a page draws it: per host, per slot, thinned to what can be seen.

use crate::model::{
    fleet::{
        host::{HostId, HostName},
        units::{RunTime, SLOTS_PER_S},
    },
    judge::{
        falls,
        seen::{Seen, Way},
    },
    plan::layout::StageKind,
};

/// What a page draws besides the verdicts.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Charts {
    /// Name, start and end of each stage, in seconds since the run's zero.
    pub stages: Vec<(String, f64, f64)>,
    /// One entry a host.
    pub hosts: Vec<HostSeries>,
}

/// One host's goodput in slots of 100 ms.
#[derive(Clone, Debug, PartialEq)]
pub struct HostSeries {
    /// Whose.
    pub host: HostName,
    /// The slot of the first value.
    pub first_slot: u64,
    /// Sent, as its peers received it, bits per second; `None` where nothing was measured or planned.
    pub tx_bps: Vec<Option<u64>>,
    /// Received, bits per second; `None` as above.
    pub rx_bps: Vec<Option<u64>>,
}

impl Charts {
    /// What of a run is to be drawn.
    pub fn of(seen: &Seen) -> Self {
        let mut stages: Vec<(u16, String, f64, f64)> = Vec::new();
        for round in seen.rounds.iter().filter(|round| round.kind != StageKind::Reach) {
            let (start, end) =
                (RunTime::of_slot(round.start).as_secs_f64(), RunTime::of_slot(round.end).as_secs_f64());
            match stages.last_mut().filter(|(index, ..)| *index == round.stage) {
                Some((.., until)) => *until = end,
                None => stages.push((round.stage, round.stage_name.clone(), start, end)),
            }
        }
        let stages = stages.into_iter().map(|(_, name, start, end)| (name, start, end)).collect();
        let hosts = seen.hosts.iter().map(|host| HostSeries::of(seen, host.id, host.name.clone())).collect();
        Self { stages, hosts }
    }

    /// The end of what is drawn, in seconds: of the last stage or the last slot; 0 for nothing.
    pub fn end_s(&self) -> f64 {
        let stages = self.stages.iter().map(|(_, _, end_s)| *end_s).filter(|end_s| end_s.is_finite());
        let slots = self.hosts.iter().map(|host| {
            let length = host.tx_bps.len().max(host.rx_bps.len()) as u64;
            host.first_slot.saturating_add(length) as f64 / SLOTS_PER_S as f64
        });
        stages.chain(slots).fold(0.0, f64::max)
    }

    /// The highest rate of any host, so that all charts share one axis; 0 for nothing.
    pub fn peak_bps(&self) -> u64 {
        let all = self.hosts.iter().flat_map(|host| host.tx_bps.iter().chain(&host.rx_bps));
        all.flatten().copied().max().unwrap_or(0)
    }
}

impl HostSeries {
    fn of(seen: &Seen, host: HostId, name: HostName) -> Self {
        let rounds = || seen.rounds.iter().filter(|round| round.kind != StageKind::Reach);
        let first_slot = rounds().map(|round| round.start).min().unwrap_or(0);
        let end = rounds().map(|round| round.end).max().unwrap_or(0);
        let series = |way| {
            let mut values = vec![None; end.saturating_sub(first_slot) as usize];
            for round in falls::loaded_rounds(seen, host, way) {
                let carried = seen.bps_in(round, host, way, round.slots());
                let from = (round.start - first_slot) as usize;
                for (value, carried) in values[from..].iter_mut().zip(carried) {
                    *value = carried.map(|bps| bps.round() as u64);
                }
            }
            values
        };
        Self { host: name, first_slot, tx_bps: series(Way::Tx), rx_bps: series(Way::Rx) }
    }
}

/// A moment in seconds since the run's zero (the middle of its slot), and a rate in bits per second.
pub type Point = (f64, u64);

/// The line of `values` in unbroken pieces, of at most about `points_max` points together.
///
/// Each piece ends where a slot was not measured: a gap is never bridged and never a zero.
/// A longer line is thinned by stretches of equal length, of each of which the lowest and the
/// highest value stay, at their own moments: a single silent slot in an hour is still seen. A
/// gap within one stretch is then too narrow to be drawn.
pub fn pieces(values: &[Option<u64>], first_slot: u64, points_max: usize) -> Vec<Vec<Point>> {
    let stretch = if values.len() <= points_max { 1 } else { values.len().div_ceil((points_max / 2).max(1)) };
    let mut pieces: Vec<Vec<Point>> = Vec::new();
    let mut piece: Vec<Point> = Vec::new();
    for (number, slots) in values.chunks(stretch).enumerate() {
        let measured = || slots.iter().enumerate().filter_map(|(at, bps)| bps.map(|bps| (at, bps)));
        let low = measured().min_by_key(|(_, bps)| *bps);
        let high = measured().max_by_key(|(_, bps)| *bps);
        let (Some(low), Some(high)) = (low, high) else {
            if !piece.is_empty() {
                pieces.push(std::mem::take(&mut piece));
            }
            continue;
        };
        let point = |(at, bps): (usize, u64)| {
            let slot = first_slot.saturating_add((number * stretch + at) as u64);
            ((slot as f64 + 0.5) / SLOTS_PER_S as f64, bps)
        };
        let (earlier, later) = if low.0 <= high.0 { (low, high) } else { (high, low) };
        piece.push(point(earlier));
        if later.0 != earlier.0 {
            piece.push(point(later));
        }
    }
    if !piece.is_empty() {
        pieces.push(piece);
    }
    pieces
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_gap_breaks_the_line_and_is_not_drawn_as_zero() {
        let values = [Some(5), Some(6), None, Some(0), None, None, Some(7)];
        assert_eq!(pieces(&values, 10, 100), [vec![(1.05, 5), (1.15, 6)], vec![(1.35, 0)], vec![(1.65, 7)]]);
        assert!(pieces(&[None, None], 0, 100).is_empty());
    }

    #[test]
    fn one_silent_slot_in_an_hour_is_still_seen() {
        let mut values = vec![Some(80); 36_000];
        values[17_123] = Some(0);
        let line = pieces(&values, 0, 1_200).concat();
        assert!(line.len() <= 1_200, "{}", line.len());
        assert!(line.contains(&(1712.35, 0)), "at its own moment");
    }

    proptest! {
        #[test]
        fn thinning_keeps_the_extremes_the_order_and_the_bound(
            values in proptest::collection::vec(proptest::option::of(0u64..1_000), 0..500),
            points_max in 2usize..100,
        ) {
            let line = pieces(&values, 0, points_max).concat();
            prop_assert!(line.len() <= points_max);
            prop_assert!(line.is_sorted_by(|a, b| a.0 < b.0));
            let drawn = |pick: fn(std::slice::Iter<'_, Point>) -> Option<u64>| pick(line.iter());
            prop_assert_eq!(drawn(|it| it.map(|p| p.1).min()), values.iter().flatten().copied().min());
            prop_assert_eq!(drawn(|it| it.map(|p| p.1).max()), values.iter().flatten().copied().max());
        }
    }
}
