//! Who is in contact: signs of life in, changes of contact out.
//!
//! Says *that* contact was lost and how the transport put it; what that means for a verdict
//! is the judge's. The control connection crosses the card under test, so a loss is an
//! observation and never by itself an error.
//!
//! ```text
//!            silent 2.5 s              link gone
//!   Here ──────────────────► Quiet ──────────────► Away
//!    ▲ ▲                       │                    │
//!    │ └──── a sign of life ───┘                    │
//!    └──────────────── a new session ───────────────┘
//! ```

use std::{collections::BTreeMap, time::Duration};

use crate::model::fleet::{host::HostId, units::RunTime};

/// Silence that counts as lost contact: workers ping each second, so two pings in a row and
/// half a second of queueing must have failed.
pub const SILENCE_MAX: Duration = Duration::from_millis(2500);

/// A worker that was not allowed to send for so long stops: ten missed renewals, longer than a card
/// under test is dead in most cases, short enough that a fleet without its coordinator soon falls
/// silent.
pub const LEASE_TTL: Duration = Duration::from_secs(10);

/// Its permission to send is renewed this often.
pub const LEASE_EACH: Duration = Duration::from_secs(1);

/// A change of contact with one host.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Change {
    /// Silent for [`SILENCE_MAX`], or the transport gave up.
    Lost {
        /// In words.
        why: String,
    },
    /// The far process or kernel ended the connection: that kernel lives.
    Closed {
        /// In words.
        why: String,
    },
    /// In contact again.
    Back,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum State {
    Here { heard: RunTime },
    Quiet,
    Away,
}

/// The contact with each host.
#[derive(Clone, Debug, Default)]
pub struct Liveness {
    hosts: BTreeMap<HostId, State>,
}

impl Liveness {
    /// A session with `host` began; `Back` if contact had been lost before.
    pub fn came(&mut self, host: HostId, at: RunTime) -> Option<Change> {
        let before = self.hosts.insert(host, State::Here { heard: at });
        matches!(before, Some(State::Quiet | State::Away)).then_some(Change::Back)
    }

    /// A sign of life on the present session; `Back` if it ends a silence.
    ///
    /// A message of a session that is already gone was merely late, and changes nothing.
    pub fn heard(&mut self, host: HostId, at: RunTime) -> Option<Change> {
        match self.hosts.get_mut(&host)? {
            State::Away => None,
            state => {
                let was_quiet = *state == State::Quiet;
                *state = State::Here { heard: at };
                was_quiet.then_some(Change::Back)
            }
        }
    }

    /// The connection is gone. After a silence only news from the far kernel is a change.
    pub fn link_gone(&mut self, host: HostId, by_peer: bool, why: &str) -> Option<Change> {
        let state = self.hosts.get_mut(&host)?;
        let before = std::mem::replace(state, State::Away);
        let why = why.to_owned();
        match (before, by_peer) {
            (State::Away, _) | (State::Quiet, false) => None,
            (State::Here { .. } | State::Quiet, true) => Some(Change::Closed { why }),
            (State::Here { .. }, false) => Some(Change::Lost { why }),
        }
    }

    /// The host left by its own will: its silence means nothing any more.
    pub fn forget(&mut self, host: HostId) {
        self.hosts.remove(&host);
    }

    /// The listener itself was held up until `at`: silence before that is not the hosts'.
    pub fn excuse(&mut self, at: RunTime) {
        for state in self.hosts.values_mut() {
            if let State::Here { heard } = state {
                *heard = at;
            }
        }
    }

    /// Hosts whose silence has lasted too long by now.
    pub fn tick(&mut self, at: RunTime) -> Vec<(HostId, Change)> {
        let mut lost = Vec::new();
        for (host, state) in &mut self.hosts {
            if let State::Here { heard } = *state
                && at.since(heard) >= SILENCE_MAX
            {
                *state = State::Quiet;
                let why = format!("nothing heard for {:.1} s", at.since(heard).as_secs_f64());
                lost.push((*host, Change::Lost { why }));
            }
        }
        lost
    }

    /// When the next silence becomes a loss, unless something is heard before.
    pub fn deadline(&self) -> Option<RunTime> {
        let due = |state: &State| match state {
            State::Here { heard } => Some(*heard + SILENCE_MAX),
            State::Quiet | State::Away => None,
        };
        self.hosts.values().filter_map(due).min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const H: HostId = HostId(1);

    fn ms(ms: u64) -> RunTime {
        RunTime(ms * 1000)
    }

    fn here() -> Liveness {
        let mut liveness = Liveness::default();
        assert_eq!(liveness.came(H, ms(0)), None, "a first session is no return");
        liveness
    }

    #[test]
    fn two_and_a_half_seconds_of_silence_are_a_loss_told_once() {
        let mut liveness = here();
        assert_eq!(liveness.deadline(), Some(ms(2500)));
        assert!(liveness.tick(ms(2499)).is_empty());
        assert!(matches!(liveness.tick(ms(2500))[..], [(H, Change::Lost { .. })]));
        assert!(liveness.tick(ms(9000)).is_empty());
        assert_eq!(liveness.heard(H, ms(9001)), Some(Change::Back));
        assert_eq!(liveness.heard(H, ms(9002)), None);
    }

    #[test]
    fn a_link_that_goes_is_lost_or_closed_depending_on_who_ended_it() {
        assert!(matches!(here().link_gone(H, false, "timed out"), Some(Change::Lost { .. })));
        assert!(matches!(here().link_gone(H, true, "reset"), Some(Change::Closed { .. })));
    }

    #[test]
    fn after_a_silence_only_word_from_the_far_kernel_is_news() {
        for (by_peer, news) in [(false, false), (true, true)] {
            let mut liveness = here();
            liveness.tick(ms(3000));
            assert_eq!(liveness.link_gone(H, by_peer, "").is_some(), news, "by peer: {by_peer}");
            assert_eq!(liveness.link_gone(H, by_peer, ""), None, "told twice");
        }
    }

    #[test]
    fn late_words_of_a_dead_session_do_not_bring_a_host_back() {
        let mut liveness = here();
        liveness.link_gone(H, false, "timed out");
        assert_eq!(liveness.heard(H, ms(10)), None);
        assert_eq!(liveness.came(H, ms(20)), Some(Change::Back));
    }

    #[test]
    fn the_listeners_own_stall_is_not_held_against_hosts() {
        let mut liveness = here();
        liveness.excuse(ms(4000));
        assert!(liveness.tick(ms(4000)).is_empty());
        assert_eq!(liveness.tick(ms(6500)).len(), 1);
    }

    #[test]
    fn who_left_by_its_own_will_is_not_missed() {
        let mut liveness = here();
        liveness.forget(H);
        assert!(liveness.tick(ms(60_000)).is_empty());
        assert_eq!(liveness.link_gone(H, true, ""), None);
    }
}
