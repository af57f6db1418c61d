//! Places and numbers of a case, drawn by a seed.

use rand::Rng;
use rand_chacha::{ChaCha8Rng, rand_core::SeedableRng};

use super::{At, Case};
use crate::lab::spec::host_name;

/// A case as one seed has it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Drawn {
    /// The hosts that `{a}`, `{b}` and `{c}` stand for.
    pub hosts: [String; 3],
    /// What is broken, as `--fault` takes it.
    pub faults: Vec<String>,
    /// More flags of `nicburn run`.
    pub flags: Vec<String>,
}

/// The case as `seed` has it: the same seed and case give the same.
pub fn drawn(case: &Case, seed: u64) -> Drawn {
    // Each case draws its own hosts, so that one seed does not break the same host in all.
    let mix = case.name.bytes().fold(seed, |mix, byte| mix.wrapping_mul(31).wrapping_add(u64::from(byte)));
    let mut draw = ChaCha8Rng::seed_from_u64(mix);
    let mut left: Vec<u16> = (1..=case.hosts).collect();
    let hosts = [(); 3].map(|()| {
        if left.is_empty() {
            return String::new();
        }
        let at = draw.next_u32() as usize % left.len();
        host_name(left.swap_remove(at))
    });
    let filled = |text: &str| fill(text, &hosts, seed);
    Drawn {
        faults: case.faults.iter().map(|fault| filled(fault)).collect(),
        flags: case.flags.split_whitespace().map(filled).collect(),
        hosts,
    }
}

impl Drawn {
    /// The name that stands for `{a}`, `{b}` or `{c}`.
    pub(super) fn host(&self, letter: &str) -> &str {
        self.hosts.get(usize::from(letter.as_bytes()[0] - b'a')).map_or("", String::as_str)
    }

    /// A place in words.
    pub(super) fn place(&self, at: At) -> String {
        match at {
            At::Host(letter) | At::Beside(letter) => self.host(letter).to_owned(),
            At::Path(a, b) => format!("{}-{}", self.host(a), self.host(b)),
            At::Uplink => "uplink".to_owned(),
        }
    }
}

/// A text with its places and choices filled in.
fn fill(text: &str, hosts: &[String; 3], seed: u64) -> String {
    let mut text = ["{a}", "{b}", "{c}"]
        .iter()
        .zip(hosts)
        .fold(text.to_owned(), |text, (letter, host)| text.replace(letter, host));
    while let Some((before, rest)) = text.split_once('[') {
        let (choices, after) = rest.split_once(']').unwrap_or((rest, ""));
        let choices: Vec<&str> = choices.split('|').collect();
        let chosen = choices[(seed % choices.len() as u64) as usize];
        text = format!("{before}{chosen}{after}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lab::score::cases;

    #[test]
    fn a_seed_draws_three_different_hosts_and_always_the_same() {
        for case in cases() {
            for seed in 0..20 {
                let own = drawn(case, seed);
                assert_eq!(own, drawn(case, seed));
                let [a, b, c] = &own.hosts;
                assert!(case.hosts < 3 || (a != b && b != c && a != c), "{own:?}");
                assert!(!own.faults.concat().contains(['{', '[']), "{own:?}");
            }
        }
    }

    #[test]
    fn choices_go_round_with_the_seed() {
        let hosts = ["h1", "h2", "h3"].map(str::to_owned);
        let texts: Vec<String> = (0..4).map(|seed| fill("loss@{b},percent=[1|2|3]", &hosts, seed)).collect();
        assert_eq!(texts[0], "loss@h2,percent=1");
        assert_eq!(texts[2], "loss@h2,percent=3");
        assert_eq!(texts[3], texts[0]);
    }
}
