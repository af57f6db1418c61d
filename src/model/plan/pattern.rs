//! Traffic patterns: who sends to whom, round by round. Pure functions of a count and an order.
//!
//! Hosts are places 0 to n−1 here; the seeded relabelling that makes them hosts, and all
//! moments and rates, are `schedule`'s work.

use super::dose::{Pattern, Ways};

/// One round: ordered pairs (from, to) of places.
pub type Matrix = Vec<(usize, usize)>;

/// The rounds of one pass of a pattern over `n` hosts; `racks` names the rack of each place.
///
/// - `pairs`: each unordered pair exactly once in n−1 rounds (n for odd n, one idle each);
///   one way, the pass runs a second time with the roles swapped.
/// - `ring`: one round; `incast`: each host once the receiver; `fan_out`: one round;
///   `bisection`: one round across the halves, one way a second one back; `storm`: one round.
pub fn rounds(pattern: Pattern, ways: Ways, n: usize, racks: &[Option<&str>]) -> Vec<Matrix> {
    match pattern {
        Pattern::Pairs => there_and_back(circle(n), ways),
        Pattern::Ring => vec![with_ways((0..n).map(|host| (host, (host + 1) % n)).collect(), ways)],
        Pattern::Incast => (0..n)
            .map(|sink| with_ways((0..n).filter(|host| *host != sink).map(|host| (host, sink)).collect(), ways))
            .collect(),
        Pattern::FanOut { sources } => {
            let sources = usize::from(sources).min(n);
            let flows = (0..sources).flat_map(|from| others(n, from).map(move |to| (from, to)));
            vec![with_ways(flows.collect(), ways)]
        }
        Pattern::Bisection => there_and_back(vec![across(n, racks)], ways),
        Pattern::Storm => vec![storm(n, ways)],
    }
}

fn others(n: usize, host: usize) -> impl Iterator<Item = usize> {
    (0..n).filter(move |other| *other != host)
}

/// Adds the reverse of each flow where both ways run at once; each ordered pair stands once.
fn with_ways(mut flows: Matrix, ways: Ways) -> Matrix {
    if ways == Ways::BothWays {
        flows.extend(flows.clone().into_iter().map(|(from, to)| (to, from)));
        flows.sort_unstable();
        flows.dedup();
    }
    flows
}

/// Rounds in which every host has one role, then the same with the roles swapped; or both
/// ways in each round.
fn there_and_back(rounds: Vec<Matrix>, ways: Ways) -> Vec<Matrix> {
    match ways {
        Ways::BothWays => rounds.into_iter().map(|flows| with_ways(flows, ways)).collect(),
        Ways::OneWay => {
            let swapped = |flows: &Matrix| flows.iter().map(|(from, to)| (*to, *from)).collect();
            let back: Vec<Matrix> = rounds.iter().map(swapped).collect();
            rounds.into_iter().chain(back).collect()
        }
    }
}

/// The circle method: one host keeps its seat, the others move on by one each round. Who of
/// a pair sends alternates with the round, so that roles change hands within a pass.
fn circle(n: usize) -> Vec<Matrix> {
    let seats = n + n % 2;
    let moving = seats.saturating_sub(1);
    (0..moving)
        .map(|round| {
            let seat = |place: usize| if place == 0 { 0 } else { (place - 1 + round) % moving + 1 };
            (0..seats / 2)
                .map(|place| (seat(place), seat(moving - place)))
                .filter(|(a, b)| *a < n && *b < n)
                .map(|(a, b)| if round % 2 == 0 { (a, b) } else { (b, a) })
                .collect()
        })
        .collect()
}

/// One host of one half with one of the other. Where racks are known, whole racks make the
/// halves as evenly as they can, and what is left over in the larger half stays idle.
fn across(n: usize, racks: &[Option<&str>]) -> Matrix {
    let (left, right) = halves(n, racks);
    left.into_iter().zip(right).collect()
}

fn halves(n: usize, racks: &[Option<&str>]) -> (Vec<usize>, Vec<usize>) {
    let mut by_rack: Vec<(&str, Vec<usize>)> = Vec::new();
    for (place, rack) in racks.iter().enumerate().take(n) {
        let Some(rack) = rack else { return ((0..n / 2).collect(), (n / 2..n).collect()) };
        match by_rack.iter_mut().find(|(name, _)| name == rack) {
            Some((_, members)) => members.push(place),
            None => by_rack.push((rack, vec![place])),
        }
    }
    if by_rack.len() < 2 {
        return ((0..n / 2).collect(), (n / 2..n).collect());
    }
    by_rack.sort_by_key(|(_, members)| std::cmp::Reverse(members.len()));
    let (mut left, mut right) = (Vec::new(), Vec::new());
    for (_, members) in by_rack {
        let smaller = if left.len() <= right.len() { &mut left } else { &mut right };
        smaller.extend(members);
    }
    (left, right)
}

/// Everybody to everybody; one way, each pair in one direction, as evenly as n allows.
fn storm(n: usize, ways: Ways) -> Matrix {
    let flows = (0..n).flat_map(|from| others(n, from).map(move |to| (from, to)));
    match ways {
        Ways::BothWays => flows.collect(),
        Ways::OneWay => flows
            .filter(|(from, to)| {
                let ahead = (to + n - from) % n;
                ahead * 2 < n || (ahead * 2 == n && from < to)
            })
            .collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    fn unordered((a, b): (usize, usize)) -> (usize, usize) {
        (a.min(b), a.max(b))
    }

    fn no_racks(n: usize) -> Vec<Option<&'static str>> {
        vec![None; n]
    }

    proptest! {
        /// For all fleets: one pass of pairs meets each pair exactly once.
        #[test]
        fn each_pair_meets_once_a_pass(n in 2usize..40) {
            let rounds = rounds(Pattern::Pairs, Ways::BothWays, n, &no_racks(n));
            prop_assert_eq!(rounds.len(), if n % 2 == 0 { n - 1 } else { n });
            let met: Vec<_> = rounds.iter().flatten().filter(|(a, b)| a < b).copied().collect();
            prop_assert_eq!(met.len(), n * (n - 1) / 2);
            prop_assert_eq!(met.iter().collect::<BTreeSet<_>>().len(), met.len());
        }

        /// For all fleets: one way, each host has one role in a round, and over the pass each
        /// ordered pair stands exactly once.
        #[test]
        fn one_way_pairs_have_one_role_a_round(n in 2usize..40) {
            let rounds = rounds(Pattern::Pairs, Ways::OneWay, n, &no_racks(n));
            for flows in &rounds {
                let busy: BTreeSet<usize> = flows.iter().flat_map(|(a, b)| [*a, *b]).collect();
                prop_assert_eq!(busy.len(), flows.len() * 2, "one role each");
                prop_assert_eq!(busy.len(), n - n % 2, "nobody idle when n is even");
            }
            let all: BTreeSet<_> = rounds.iter().flatten().copied().collect();
            prop_assert_eq!(all.len(), n * (n - 1));
            prop_assert_eq!(rounds.iter().flatten().count(), n * (n - 1));
        }

        /// For all fleets of known racks: each pair of a bisection crosses the halves, and no
        /// rack lies in both.
        #[test]
        fn a_bisection_crosses_racks(sizes in prop::collection::vec(1usize..6, 2..6)) {
            let names = ["a", "b", "c", "d", "e"];
            let racks: Vec<Option<&str>> = sizes.iter().zip(names)
                .flat_map(|(size, name)| std::iter::repeat_n(Some(name), *size)).collect();
            let rounds = rounds(Pattern::Bisection, Ways::OneWay, racks.len(), &racks);
            prop_assert_eq!(rounds.len(), 2);
            prop_assert!(!rounds[0].is_empty());
            for (from, to) in rounds.iter().flatten() {
                prop_assert_ne!(racks[*from], racks[*to]);
            }
        }

        /// For all fleets: in a storm every host sends to all others; one way, each pair once.
        #[test]
        fn a_storm_is_everybody_to_everybody(n in 2usize..30) {
            let both = &rounds(Pattern::Storm, Ways::BothWays, n, &no_racks(n))[0];
            prop_assert_eq!(both.len(), n * (n - 1));
            let one = &rounds(Pattern::Storm, Ways::OneWay, n, &no_racks(n))[0];
            let pairs: BTreeSet<_> = one.iter().map(|pair| unordered(*pair)).collect();
            prop_assert_eq!((pairs.len(), one.len()), (n * (n - 1) / 2, n * (n - 1) / 2));
            for host in 0..n {
                let out = one.iter().filter(|(from, _)| *from == host).count();
                prop_assert!(out.abs_diff(n / 2) <= 1, "balanced: {out} of {n}");
            }
        }
    }

    #[test]
    fn the_small_patterns_are_as_they_are_drawn() {
        assert_eq!(rounds(Pattern::Ring, Ways::OneWay, 3, &no_racks(3)), [vec![(0, 1), (1, 2), (2, 0)]]);
        assert_eq!(rounds(Pattern::Ring, Ways::BothWays, 2, &no_racks(2)), [vec![(0, 1), (1, 0)]]);
        let incast = rounds(Pattern::Incast, Ways::OneWay, 3, &no_racks(3));
        assert_eq!(incast, [vec![(1, 0), (2, 0)], vec![(0, 1), (2, 1)], vec![(0, 2), (1, 2)]]);
        let fan_out = rounds(Pattern::FanOut { sources: 1 }, Ways::OneWay, 3, &no_racks(3));
        assert_eq!(fan_out, [vec![(0, 1), (0, 2)]]);
    }
}
