//! Draws which host of a demo is sick.

use rand::Rng;
use rand_chacha::{ChaCha8Rng, rand_core::SeedableRng};

use super::{
    fault::{Dies, Fault, FaultKind, Limit, Place},
    spec::LabSpec,
};

/// Share of the NIC's rate above which the sick card dies.
///
/// A NIC that is full trips the bucket of one second after 0.7 / 0.3 = 2.3 s (1.9 to 2.8 s in
/// storms of 8 hosts, three times in 20 s): a calibration of 0.6 s passes it, and so does a
/// load paced at 70 % of the goodput that was measured.
const DIES_ABOVE: f64 = 0.7;

/// How long it stays dead: longer than any healthy TCP pauses, and short enough to die again
/// within a round of 20 s.
const DEAD_S: f64 = 3.0;

/// The one fault of a demo on a lab of `spec`: a host drawn by `seed` whose card dies under
/// load. The same seed and number of hosts give the same host.
pub fn demo_fault(seed: u64, spec: &LabSpec) -> Fault {
    let mut draw = ChaCha8Rng::seed_from_u64(seed);
    let host = 1 + ((u64::from(draw.next_u32()) * u64::from(spec.hosts)) >> 32) as u16;
    let rate = spec.nic_rate.scaled(DIES_ABOVE);
    let kind = FaultKind::Dies(Dies::Above { limit: Limit::Rate(rate), burst_bytes: 0, for_s: DEAD_S });
    Fault { place: Place::Host(host), after_s: 0.0, kind }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn a_seed_always_draws_the_same_host_and_all_hosts_are_drawn() {
        let spec = LabSpec::default();
        assert_eq!(demo_fault(7, &spec), demo_fault(7, &spec));
        let drawn: BTreeSet<u16> = (0..200).flat_map(|seed| demo_fault(seed, &spec).place.hosts()).collect();
        assert_eq!(drawn, (1..=8).collect());
    }
}
