//! What was sent and what came back, tick by tick. Pure: the thread tells it what happened.

use std::collections::BTreeMap;

use crate::model::{
    fleet::{host::HostId, units::RunTime},
    record::probe::{ANSWER_US, Asked, Moments, NO_ANSWER, Outcomes, ProbesSeen, TICK_US, TICKS_A_LINE},
};

/// Lines that are kept open at most: what is older has had its time to be answered twice.
const LINES_MAX: usize = 4;

/// The ticks of a line, while answers may still come.
#[derive(Clone, Debug, Default)]
struct Page {
    echoes: BTreeMap<HostId, Outcomes>,
    handshakes: BTreeMap<HostId, Outcomes>,
    heard: BTreeMap<HostId, u32>,
    held_us: Option<u32>,
}

/// Whom to ask how, and the next tick that this is due in.
#[derive(Clone, Copy, Debug)]
struct Next {
    asked: Asked,
    target: HostId,
    tick: u64,
}

impl Next {
    /// When it is due, in its tick or a later one.
    fn leaves_at(&self, own: HostId, tick: u64) -> RunTime {
        Moments::Turning.leaves_at(self.asked, own, self.target, tick)
    }
}

/// A schedule and its outcomes.
#[derive(Clone, Debug, Default)]
pub struct Book {
    own: HostId,
    next: Vec<Next>,
    until: u64,
    pages: BTreeMap<u64, Page>,
}

impl Book {
    /// Probes these targets from now on to `until`; outcomes so far are kept.
    pub fn schedule(&mut self, own: HostId, targets: &[HostId], from: RunTime, until: RunTime) {
        let first = from.0.div_ceil(TICK_US);
        let of = |target: &HostId| {
            [Asked::Echo, Asked::Handshake].map(|asked| Next { asked, target: *target, tick: first })
        };
        (self.own, self.next) = (own, targets.iter().flat_map(of).collect());
        self.until = until.0 / TICK_US;
    }

    /// Sends no more.
    pub fn stop(&mut self) {
        self.until = 0;
    }

    /// When the next probe is due.
    pub fn due_at(&self) -> Option<RunTime> {
        let due = self.next.iter().filter(|next| next.tick < self.until);
        due.map(|next| next.leaves_at(self.own, next.tick)).min()
    }

    /// What is due now: how, whom, and for which tick. Ticks that are over are not sent later.
    pub fn take_due(&mut self, now: RunTime) -> Vec<(Asked, HostId, u64)> {
        let present = now.0 / TICK_US;
        let mut due = Vec::new();
        for next in &mut self.next {
            let tick = next.tick.max(present);
            if tick < self.until && next.leaves_at(self.own, tick) <= now {
                due.push((next.asked, next.target, tick));
                next.tick = tick + 1;
            }
        }
        due
    }

    /// A probe has left.
    pub fn sent(&mut self, asked: Asked, target: HostId, tick: u64) {
        self.set(asked, target, tick, NO_ANSWER);
    }

    /// An answer came; 0 microseconds count as one.
    pub fn answered(&mut self, asked: Asked, target: HostId, tick: u64, took_us: u64) {
        self.set(asked, target, tick, u32::try_from(took_us).unwrap_or(u32::MAX).max(1));
    }

    fn set(&mut self, asked: Asked, target: HostId, tick: u64, outcome: u32) {
        let page = self.pages.entry(tick / TICKS_A_LINE).or_default();
        let cells = match asked {
            Asked::Echo => &mut page.echoes,
            Asked::Handshake => &mut page.handshakes,
        };
        let cells = cells.entry(target).or_insert_with(Outcomes::unsent);
        cells.put((tick % TICKS_A_LINE) as usize, outcome);
    }

    /// An observer's echo of a tick arrived here, and was held so long before it was answered.
    /// What lies too far from the present is a mistake or a replay.
    pub fn heard(&mut self, observer: HostId, tick: u64, held_us: u64, now: RunTime) {
        let present = now.0 / TICK_US;
        if present.abs_diff(tick) > TICKS_A_LINE * LINES_MAX as u64 {
            return;
        }
        let page = self.pages.entry(tick / TICKS_A_LINE).or_default();
        *page.heard.entry(observer).or_default() |= 1 << (tick % TICKS_A_LINE);
        let held_us = u32::try_from(held_us).unwrap_or(u32::MAX);
        page.held_us = Some(page.held_us.map_or(held_us, |longest| longest.max(held_us)));
    }

    /// When the next line is whole.
    pub fn line_at(&self) -> Option<RunTime> {
        self.pages.keys().next().map(|line| RunTime((line + 1) * TICKS_A_LINE * TICK_US + ANSWER_US))
    }

    /// Lines in which no answer is awaited any more.
    pub fn take_lines(&mut self, now: RunTime) -> Vec<ProbesSeen> {
        let mut lines = Vec::new();
        while self.line_at().is_some_and(|at| at <= now) || self.pages.len() > LINES_MAX {
            let Some((line, page)) = self.pages.pop_first() else { break };
            lines.push(ProbesSeen {
                first: line * TICKS_A_LINE,
                udp: page.echoes.into_iter().collect(),
                tcp: page.handshakes.into_iter().collect(),
                heard: page.heard.into_iter().collect(),
                held_us: page.held_us,
            });
        }
        lines
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: HostId = HostId(1);

    fn tick(number: u64) -> RunTime {
        RunTime(number * TICK_US)
    }

    fn book() -> Book {
        let mut book = Book::default();
        book.schedule(HostId(0), &[A], tick(10), tick(100));
        book
    }

    #[test]
    fn each_tick_is_sent_once_and_what_was_missed_is_not_made_up_for() {
        let mut book = book();
        assert_eq!(book.take_due(tick(9)), []);
        let both = |tick| [(Asked::Echo, A, tick), (Asked::Handshake, A, tick)];
        assert_eq!(book.take_due(RunTime(tick(11).0 - 1)), both(10));
        assert_eq!(book.take_due(RunTime(tick(11).0 - 1)), []);
        // Did not run for a second: the present tick is due, those between are not.
        assert_eq!(book.take_due(RunTime(tick(17).0 - 1)), both(16));
        assert!(book.due_at().is_some_and(|at| at >= tick(17)));
        book.stop();
        assert_eq!(book.due_at(), None);
        assert_eq!(book.take_due(tick(50)), []);
    }

    #[test]
    fn a_line_waits_for_its_last_answer_and_tells_what_was_sent_lost_and_never_sent() {
        let mut book = book();
        for at in [10, 11, 13] {
            book.sent(Asked::Echo, A, at);
        }
        book.answered(Asked::Echo, A, 11, 250);
        book.heard(HostId(7), 12, 40, tick(12));
        book.heard(HostId(7), 10_000, 40, tick(12));
        assert_eq!(book.take_lines(RunTime(tick(15).0 + ANSWER_US - 1)), []);
        let lines = book.take_lines(RunTime(tick(15).0 + ANSWER_US));
        assert_eq!(lines.len(), 1);
        assert_eq!(lines[0].first, 10);
        let outcomes: Vec<_> = lines[0].udp[&A].iter().collect();
        assert_eq!(outcomes, [Some(NO_ANSWER), Some(250), None, Some(NO_ANSWER), None]);
        assert_eq!((lines[0].heard[&HostId(7)], lines[0].held_us), (0b100, Some(40)));
    }

    #[test]
    fn a_clock_that_stands_still_piles_up_no_lines() {
        let mut book = book();
        for at in 10..60 {
            book.sent(Asked::Handshake, A, at);
        }
        assert_eq!(book.take_lines(tick(10)).len(), 10 - LINES_MAX);
    }
}
