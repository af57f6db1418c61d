//! What a run said while it ran, line by line, with the moments at which it was heard.

use std::{collections::BTreeMap, time::Duration};

/// A stage is announced this long before it begins.
const ANNOUNCED_BEFORE_S: f64 = 0.2;

/// Drop-offs as they were told: when a run said so, on its own clock.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Heard {
    /// What the listener's clock shows at the run's zero, seconds.
    zero_s: Option<f64>,
    /// By host: onset and moment of the first drop-off told, seconds since the run's zero.
    drop_offs: BTreeMap<String, (f64, f64)>,
}

impl Heard {
    /// Takes a line that was heard `at`, on the listener's own clock.
    ///
    /// The run's clock is read from announcements of stages. They carry the moment at which the
    /// stage begins, rounded up to a slot: what is found to be late here is late by up to a
    /// tenth of a second less in truth.
    pub fn line(&mut self, line: &str, at: Duration) {
        let mut words = line.split_whitespace();
        let (Some(moment_s), Some("s"), Some(what)) =
            (words.next().and_then(|word| word.parse::<f64>().ok()), words.next(), words.next())
        else {
            return;
        };
        match (what, words.next(), self.zero_s) {
            ("STAGE", ..) => self.zero_s = Some(at.as_secs_f64() - moment_s + ANNOUNCED_BEFORE_S),
            ("DROP-OFF", Some(host), Some(zero_s)) => {
                self.drop_offs.entry(host.to_owned()).or_insert((moment_s, at.as_secs_f64() - zero_s));
            }
            _ => {}
        }
    }

    /// Seconds from the onset of a host's first drop-off until it was told.
    pub fn delay_s(&self, host: &str) -> Option<f64> {
        self.drop_offs.get(host).map(|(onset, told)| told - onset)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_delay_counts_from_the_onset_on_the_runs_clock() {
        let mut heard = Heard::default();
        let ms = Duration::from_millis;
        heard.line("joined h3 (1 of 8)", ms(500));
        heard.line("  12.2 s  STAGE       3 of 10: pairs, 7.0 s", ms(20_000));
        heard.line("  15.0 s  DROP-OFF    h3 TX  from 50 Mb/s, stage pairs", ms(23_700));
        heard.line("  16.0 s  DROP-OFF    h3 RX  from 50 Mb/s, stage pairs", ms(29_000));
        let delay = heard.delay_s("h3").expect("told");
        assert!((delay - 0.7).abs() < 1e-9, "{delay}");
        assert_eq!(heard.delay_s("h4"), None);
    }
}
