//! What probes came to: small datagrams and handshakes on a fixed schedule, told by who sent
//! them and by who heard them. Shapes only.
//!
//! Ticks lie on the run's clock, [`TICK_US`] long; each observer probes each of its targets
//! once a tick, by an echo and by a handshake. The schedule waits for no answer, so that a
//! silent target hides nothing (coordinated omission).

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use super::few::Few;
use crate::model::fleet::{host::HostId, units::RunTime};

/// Length of a tick: five probes a second (the contract's figure).
pub const TICK_US: u64 = 200_000;

/// Ticks of a line: a second.
pub const TICKS_A_LINE: u64 = 5;

/// A probe without an answer for so long has none.
pub const ANSWER_US: u64 = 1_000_000;

/// A probe's outcome that means: sent, and never answered.
pub const NO_ANSWER: u32 = 0;

/// A probe's outcome that means: not sent, or not told; no round trip that counts is so long.
pub const UNSENT: u32 = u32::MAX;

/// The part of a tick that moments are spread over, microseconds: none is sent late into the next.
const SPAN_US: u64 = TICK_US * 9 / 10;

/// How much later from tick to tick: the golden share of [`SPAN_US`], whose multiples leave no part of
/// it out for long and come back to none (the additive recurrence of quasi-random sequences).
const TURN_US: u64 = 111_246;

/// How a probe asks.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Asked {
    /// The target's process, by a keyed echo.
    Echo,
    /// Its kernel, by a handshake.
    Handshake,
}

/// How the moments of probes lie in their ticks.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Moments {
    /// At the same moment of each, handshakes with their echoes: what comes back every second is met
    /// always or never. Of records that tell nothing else.
    #[default]
    Still,
    /// Later from tick to tick, and handshakes half a tick from their echoes.
    Turning,
}

impl Moments {
    /// When an observer probes a target in a tick: spread out, so that no target hears all of its
    /// observers at once. Knuth's multiplicative hash.
    pub fn leaves_at(self, asked: Asked, observer: HostId, target: HostId, tick: u64) -> RunTime {
        let mixed = (u32::from(observer.0) << 16 | u32::from(target.0)).wrapping_mul(2_654_435_769);
        let first = u64::from(mixed >> 16) * SPAN_US / (1 << 16);
        let apart = if asked == Asked::Handshake { SPAN_US / 2 } else { 0 };
        let within = match self {
            Self::Still => first,
            Self::Turning => (first + apart + tick * TURN_US) % SPAN_US,
        };
        RunTime(tick * TICK_US + within)
    }
}

/// What became of the probes of a line: a round trip in microseconds, [`NO_ANSWER`], or `None`
/// where none was sent.
///
/// Without an allocation and in half the room of an `Option` a tick: a record of a hundred hosts holds
/// a million of these.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Outcomes {
    us: [u32; TICKS_A_LINE as usize],
    len: u8,
}

impl Outcomes {
    /// Of ticks in which nothing was sent.
    pub const fn unsent() -> Self {
        Self { us: [UNSENT; TICKS_A_LINE as usize], len: TICKS_A_LINE as u8 }
    }

    /// Puts what became of a tick's probe.
    ///
    /// # Panics
    ///
    /// If the line has no such tick.
    pub fn put(&mut self, tick: usize, outcome: u32) {
        self.us[..usize::from(self.len)][tick] = outcome.min(UNSENT - 1);
    }

    /// What became of each tick's probe, [`UNSENT`] where there was none.
    pub fn cells(&self) -> &[u32] {
        &self.us[..usize::from(self.len)]
    }

    /// The same with `None` where there was none.
    pub fn iter(&self) -> impl Iterator<Item = Option<u32>> + '_ {
        self.cells().iter().map(|us| (*us != UNSENT).then_some(*us))
    }
}

/// Of as many ticks as a line has; what follows is left out.
impl FromIterator<Option<u32>> for Outcomes {
    fn from_iter<I: IntoIterator<Item = Option<u32>>>(ticks: I) -> Self {
        let mut all = Self { len: 0, ..Self::unsent() };
        for (tick, outcome) in ticks.into_iter().take(all.us.len()).enumerate() {
            all.len += 1;
            if let Some(us) = outcome {
                all.put(tick, us);
            }
        }
        all
    }
}

impl Serialize for Outcomes {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_seq(self.iter())
    }
}

impl<'de> Deserialize<'de> for Outcomes {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Ticks;
        impl<'de> de::Visitor<'de> for Ticks {
            type Value = Outcomes;

            fn expecting(&self, to: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                to.write_str("what became of a line's probes")
            }

            fn visit_seq<A: de::SeqAccess<'de>>(self, mut ticks: A) -> Result<Outcomes, A::Error> {
                let all = std::iter::from_fn(|| ticks.next_element().transpose()).collect();
                while ticks.next_element::<de::IgnoredAny>()?.is_some() {}
                all
            }
        }
        from.deserialize_seq(Ticks)
    }
}

/// What one worker's probes came to within the ticks of a line, as observer and as target.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
pub struct ProbesSeen {
    /// The number of the first tick.
    pub first: u64,
    /// By target and tick: the echo's round trip, microseconds, without the time that the
    /// target's own process held it; [`NO_ANSWER`]; `None` where none was sent.
    #[serde(default, skip_serializing_if = "Few::is_empty")]
    pub udp: Few<HostId, Outcomes>,
    /// The same of handshakes; the target's kernel answers them alone.
    #[serde(default, skip_serializing_if = "Few::is_empty")]
    pub tcp: Few<HostId, Outcomes>,
    /// By observer: a bit for each tick whose echo was asked for here, the lowest for the first.
    #[serde(default, skip_serializing_if = "Few::is_empty")]
    pub heard: Few<HostId, u32>,
    /// The longest that this process held an echo before it answered, microseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub held_us: Option<u32>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_back_every_second_is_met_by_every_pair_and_not_always() {
        let (a, b) = (HostId(3), HostId(4));
        for from in (0..1_000_000).step_by(10_000) {
            let is_met = |moments: Moments, asked, tick| {
                let at = moments.leaves_at(asked, a, b, tick).0;
                assert!(at / TICK_US == tick, "within its tick");
                (at + 1_000_000 - from) % 1_000_000 < 100_000
            };
            for asked in [Asked::Echo, Asked::Handshake] {
                let met = (0..100).filter(|tick| is_met(Moments::Turning, asked, *tick)).count();
                assert!((4..=16).contains(&met), "{met} of 100 from {from} on");
                let still = (0..100).filter(|tick| is_met(Moments::Still, asked, *tick)).count();
                assert!(still == 0 || still == 20, "{still} of 100");
            }
        }
    }

    #[test]
    fn outcomes_are_written_as_they_are_read_and_a_line_has_no_more_than_its_ticks() {
        for text in ["[]", "[300]", "[300,0,null]", "[null,null,null,null,7]"] {
            let read: Outcomes = serde_json::from_str(text).expect("it is an array");
            assert_eq!(serde_json::to_string(&read).expect("plain data"), text);
        }
        let longer: Outcomes = serde_json::from_str("[1,2,3,4,5,6,null]").expect("what is more is left out");
        assert_eq!(longer.cells(), [1, 2, 3, 4, 5]);
        assert_eq!(Outcomes::from_iter([Some(u32::MAX)]).iter().next(), Some(Some(u32::MAX - 1)));
        assert!(serde_json::from_str::<Outcomes>("[1,\"x\"]").is_err());
    }
}
