//! How far a share may lie from what was counted.

/// One-sided confidence of all bounds of the scoreboard.
const MISSED: f64 = 0.05;

/// The upper bound of a share of which `hits` of `of` were seen, at 95 %: the exact one of
/// Clopper and Pearson. Of none in `n` it is 1 − 0.05^(1/n), about 3 / n.
pub(super) fn upper(hits: u32, of: u32) -> Option<f64> {
    if of == 0 {
        return None;
    }
    if hits >= of {
        return Some(1.0);
    }
    // The share at which so few hits are seen once in twenty times.
    let (mut low, mut high) = (f64::from(hits) / f64::from(of), 1.0);
    for _ in 0..60 {
        let middle = f64::midpoint(low, high);
        if at_most(hits, of, middle) > MISSED { low = middle } else { high = middle }
    }
    Some(high)
}

/// The chance of at most `hits` of `of` at a share.
fn at_most(hits: u32, of: u32, share: f64) -> f64 {
    let mut term = f64::from(of) * (1.0 - share).ln();
    let mut sum = term.exp();
    for k in 1..=hits {
        term += (f64::from(of - k + 1) / f64::from(k)).ln() + share.ln() - (1.0 - share).ln();
        sum += term.exp();
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_are_those_of_the_tables() {
        let near =
            |got: Option<f64>, want: f64| assert!((got.expect("a bound") - want).abs() < 5e-4, "{got:?}");
        near(upper(0, 600), 0.004_98);
        near(upper(0, 10), 0.258_9);
        near(upper(1, 20), 0.216_1);
        near(upper(5, 5), 1.0);
        assert_eq!(upper(0, 0), None);
    }
}
