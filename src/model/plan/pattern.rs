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
///   `bisection`: one round across the halves, one way a second one back; `storm` and `idle`:
///   one round.
pub fn rounds(pattern: Pattern, ways: Ways, n: usize, racks: &[Option<&str>]) -> Vec<Matrix> {
    match pattern {
        Pattern::Pairs => there_and_back(circle(n), ways),
        Pattern::Ring => vec![with_ways((0..n).map(|host| (host, (host + 1) % n)).collect(), ways)],
        Pattern::Incast => (0..n)
            .map(|sink| {
                with_ways((0..n).filter(|host| *host != sink).map(|host| (host, sink)).collect(), ways)
            })
            .collect(),
        Pattern::FanOut { sources } => {
            let sources = usize::from(sources).min(n);
            let flows = (0..sources).flat_map(|from| others(n, from).map(move |to| (from, to)));
            vec![with_ways(flows.collect(), ways)]
        }
        Pattern::Bisection => there_and_back(vec![across(n, racks)], ways),
        Pattern::Storm => vec![storm(n, ways)],
        Pattern::Idle => vec![Matrix::new()],
    }
}

/// Rounds of one pass of a pattern over `n` hosts, and flows of all of them together, at
/// most, without laying them out.
pub fn size(pattern: Pattern, ways: Ways, n: usize) -> (u64, u64) {
    let n = n as u64;
    let ordered_pairs = n * n.saturating_sub(1);
    let twice_if = |way: Ways| if ways == way { 2 } else { 1 };
    match pattern {
        Pattern::Pairs => ((n + n % 2).saturating_sub(1) * twice_if(Ways::OneWay), ordered_pairs),
        Pattern::Ring => (1, n * twice_if(Ways::BothWays)),
        Pattern::Incast => (n, ordered_pairs * twice_if(Ways::BothWays)),
        Pattern::FanOut { sources } => {
            (1, u64::from(sources).min(n) * n.saturating_sub(1) * twice_if(Ways::BothWays))
        }
        Pattern::Bisection => (twice_if(Ways::OneWay), n / 2 * 2),
        Pattern::Storm => (1, ordered_pairs * twice_if(Ways::BothWays) / 2),
        Pattern::Idle => (1, 0),
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
    let sizes: Vec<usize> = by_rack.iter().map(|(_, members)| members.len()).collect();
    let (mut left, mut right) = (Vec::new(), Vec::new());
    for (in_left, (_, members)) in evenest(&sizes).into_iter().zip(by_rack) {
        if in_left { left.extend(members) } else { right.extend(members) }
    }
    // By place, which is drawn: or the same rack would stay idle in every repeat.
    left.sort_unstable();
    right.sort_unstable();
    (left, right)
}

/// Which of these sizes come to a sum as near to half as whole sizes allow, and never all.
/// By the table of reachable sums: to add the largest to the smaller half first can miss it
/// (3 3 2 2 2 would give 7 and 5).
fn evenest(sizes: &[usize]) -> Vec<bool> {
    let half = sizes.iter().sum::<usize>() / 2;
    // For each reachable sum the size that reached it first, and the sum before. From the
    // greatest sum down, so that no size counts twice.
    let mut reached: Vec<Option<(usize, usize)>> = vec![None; half + 1];
    for (index, size) in sizes.iter().enumerate() {
        for sum in (*size..=half).rev() {
            let before = sum - size;
            if reached[sum].is_none() && (before == 0 || reached[before].is_some()) {
                reached[sum] = Some((index, before));
            }
        }
    }
    let mut chosen = vec![false; sizes.len()];
    let best = (1..=half).rev().find(|sum| reached[*sum].is_some());
    let mut next = best.and_then(|sum| reached[sum]);
    while let Some((index, before)) = next {
        chosen[index] = true;
        next = reached[before];
    }
    if best.is_none() {
        // One rack is larger than all others together: it is a half of its own.
        if let Some(largest) = (0..sizes.len()).max_by_key(|index| sizes[*index]) {
            chosen[largest] = true;
        }
    }
    chosen
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

        /// For all racks: no other way to part whole racks is more even.
        #[test]
        fn the_halves_are_as_even_as_whole_racks_allow(sizes in prop::collection::vec(1usize..9, 2..9)) {
            let total: usize = sizes.iter().sum();
            let unevenness = |picked: usize| total.abs_diff(2 * picked);
            let every = 1..(1u32 << sizes.len()) - 1;
            let best = every.map(|set| {
                let picked = sizes.iter().enumerate().filter(|(rack, _)| set >> rack & 1 == 1);
                unevenness(picked.map(|(_, size)| size).sum())
            }).min();
            let chosen = evenest(&sizes);
            prop_assert!(chosen.contains(&true) && chosen.contains(&false), "two halves: {chosen:?}");
            let picked = sizes.iter().zip(&chosen).filter(|(_, chosen)| **chosen).map(|(size, _)| size).sum();
            prop_assert_eq!(Some(unevenness(picked)), best);
        }

        /// For all patterns and fleets: what the size says is what is laid out, or an upper bound.
        #[test]
        fn the_size_of_a_pattern_is_known_before_it_is_laid_out(n in 2usize..20, sources in 1u16..5, both in any::<bool>()) {
            let ways = if both { Ways::BothWays } else { Ways::OneWay };
            for pattern in [Pattern::Pairs, Pattern::Ring, Pattern::Incast, Pattern::FanOut { sources }, Pattern::Bisection, Pattern::Storm] {
                let laid_out = rounds(pattern, ways, n, &no_racks(n));
                let (count, flows) = size(pattern, ways, n);
                let found = laid_out.iter().map(Vec::len).sum::<usize>() as u64;
                prop_assert_eq!(count, laid_out.len() as u64);
                prop_assert!(found <= flows && flows <= 2 * found, "{pattern:?} {ways:?}: {found} of {flows}");
            }
        }

        /// For all fleets: each is the receiver once, of all others and nobody else.
        #[test]
        fn in_an_incast_each_host_is_the_receiver_once(n in 3usize..20) {
            let rounds = rounds(Pattern::Incast, Ways::OneWay, n, &no_racks(n));
            let sinks: BTreeSet<usize> = rounds.iter().map(|flows| flows[0].1).collect();
            prop_assert_eq!(sinks.len(), n);
            for flows in &rounds {
                let senders: BTreeSet<usize> = flows.iter().map(|(from, _)| *from).collect();
                prop_assert!(flows.iter().all(|(_, to)| *to == flows[0].1));
                prop_assert_eq!((senders.len(), flows.len()), (n - 1, n - 1));
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
