//! Which of two versions is the later one: of drivers, firmware and kernels.
//!
//! A version is cut into numbers and words; everything else only separates. From the left:
//!
//! 1. numbers compare as numbers, of any length: `2.9` is before `2.16`;
//! 2. a number is later than a word, a word is later than nothing: `2.13.0` is before
//!    `2.13.0g`, and `4.18.0-553.el8` before `4.18.0-553.16.el8`;
//! 3. `alpha`, `beta`, `pre`, `rc` and `~` are before nothing: `6.9-rc3` is before `6.9`;
//! 4. zeros at the end of a run of numbers say nothing: `2.16` is `2.16.0`;
//! 5. other words compare by their letters.
//!
//! The same as rpm's and dpkg's rule wherever those agree.

use std::cmp::Ordering;

/// A piece of a version, in the order of the rule: what comes first is earlier.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
enum Piece {
    /// `alpha`, `beta`, `pre`, `rc`, `~`, by their rank.
    Before(u8),
    End,
    Word(String),
    /// Without leading zeros, longer ones first by their length: no number is too long.
    Number(usize, String),
}

/// The order of two versions by the rule above.
pub fn order(a: &str, b: &str) -> Ordering {
    pieces(a).cmp(&pieces(b))
}

/// The order of two kernel releases. The flavour and the architecture at the end
/// (`-generic`, `.x86_64`, `-cloud-amd64`) say nothing of age: releases that differ only
/// there are equal.
pub fn order_of_kernels(a: &str, b: &str) -> Ordering {
    pieces(without_flavour(a)).cmp(&pieces(without_flavour(b)))
}

/// Whether a text can be compared at all: it has a number.
pub fn is_version(text: &str) -> bool {
    text.chars().any(|c| c.is_ascii_digit())
}

/// Names of architectures at the end of releases; some have digits and would count.
const ARCHITECTURES: &[&str] =
    &["x86_64", "amd64", "aarch64", "arm64", "i386", "i686", "ppc64le", "ppc64el", "s390x", "riscv64"];

fn without_flavour(release: &str) -> &str {
    let mut rest = release.trim();
    loop {
        let cut = rest.rfind(['-', '.', '+', '_']).filter(|at| {
            let last = &rest[at + 1..];
            last.chars().all(|c| c.is_ascii_alphabetic()) && before(last).is_none()
                || ARCHITECTURES.contains(&last)
        });
        // `x86_64` holds one of the separators itself.
        let whole = ARCHITECTURES.iter().find_map(|name| rest.strip_suffix(name)?.strip_suffix(['-', '.']));
        match (whole, cut) {
            (Some(shorter), _) => rest = shorter,
            (None, Some(at)) => rest = &rest[..at],
            (None, None) => return rest,
        }
    }
}

/// The rank of a word that makes a version earlier than without it.
fn before(word: &str) -> Option<u8> {
    ["~", "alpha", "beta", "pre", "rc"].iter().position(|known| *known == word).map(|rank| rank as u8)
}

fn pieces(version: &str) -> Vec<Piece> {
    let mut found: Vec<Piece> = Vec::new();
    let mut rest = version.trim();
    while let Some(first) = rest.chars().next() {
        let same: fn(char) -> bool = match first {
            '0'..='9' => |c| c.is_ascii_digit(),
            '~' => |c| c == '~',
            c if c.is_alphabetic() => char::is_alphabetic,
            _ => |c| !c.is_alphanumeric() && c != '~',
        };
        // A digit of another script is neither: it separates, alone.
        let end = rest.find(|c| !same(c)).unwrap_or(rest.len()).max(first.len_utf8());
        let (run, after) = rest.split_at(end);
        rest = after;
        if first.is_ascii_digit() {
            let digits = run.trim_start_matches('0');
            found.push(Piece::Number(digits.len(), digits.to_owned()));
        } else if first == '~' || first.is_alphabetic() {
            let word = run.to_ascii_lowercase();
            drop_zeros(&mut found);
            found.push(before(&word).map_or(Piece::Word(word), Piece::Before));
        }
    }
    drop_zeros(&mut found);
    found.push(Piece::End);
    found
}

/// Takes zeros from the end of a run of numbers.
fn drop_zeros(found: &mut Vec<Piece>) {
    while matches!(found.last(), Some(Piece::Number(0, _))) {
        found.pop();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Each is before the next.
    fn rising(versions: &[&str], order: fn(&str, &str) -> Ordering) {
        for (at, a) in versions.iter().enumerate() {
            for b in &versions[at + 1..] {
                assert_eq!(order(a, b), Ordering::Less, "{a} is before {b}");
                assert_eq!(order(b, a), Ordering::Greater, "{b} is after {a}");
            }
        }
    }

    #[test]
    fn numbers_count_as_numbers_and_suffixes_after_them() {
        rising(&["1.5.3", "2.1.0K", "2.8.9", "2.13.0", "2.13.0g", "2.13.1", "2.16", "2.16.4"], order);
        rising(&["2.16-rc1", "2.16-rc2", "2.16", "2.16.4-k", "2.16.5"], order);
        rising(&["22.31.1014", "22.36.1010 (MT_0000000359)"], order);
        rising(&["1~rc1", "1"], order);
    }

    #[test]
    fn what_only_looks_different_is_equal() {
        for (a, b) in [("2.16", "2.16.0"), ("2.016", "2.16"), ("v2.1", "v2-1"), (" 2.1", "2.1")] {
            assert_eq!(order(a, b), Ordering::Equal, "{a} {b}");
        }
    }

    #[test]
    fn kernel_releases_of_three_distributions_are_in_order() {
        rising(
            &["3.13.0-24-generic", "5.15.0-91-generic", "5.15.0-119-generic", "6.8.0-45-generic"],
            order_of_kernels,
        );
        rising(
            &["6.1.90-99.173.amzn2023.x86_64", "6.1.102-108.177.amzn2023", "6.1.102-111.182.amzn2023"],
            order_of_kernels,
        );
        rising(
            &["4.18.0-513.el8.x86_64", "4.18.0-553.el8_10.x86_64", "4.18.0-553.16.1.el8_10.x86_64"],
            order_of_kernels,
        );
        rising(&["6.9.0-060900rc3-generic", "6.9.0-060900-generic"], order_of_kernels);
        rising(&["6.1.0-18-amd64", "6.1.0-21-cloud-amd64"], order_of_kernels);
    }

    #[test]
    fn a_flavour_says_nothing_of_age() {
        for (a, b) in [
            ("5.15.0-119-generic", "5.15.0-119-aws"),
            ("6.1.102-111.182.amzn2023", "6.1.102-111.182.amzn2023.x86_64"),
            ("6.1.0-18-cloud-amd64", "6.1.0-18-amd64"),
        ] {
            assert_eq!(order_of_kernels(a, b), Ordering::Equal, "{a} {b}");
        }
    }

    proptest! {
        /// Any texts: no panic, and a total order.
        #[test]
        fn any_three_texts_are_in_one_order(a in "\\PC{0,12}", b in "[0-9a-z.~-]{0,8}", c in "[0-9a-z.~-]{0,8}") {
            for order in [order, order_of_kernels] {
                prop_assert_eq!(order(&a, &b), order(&b, &a).reverse());
                prop_assert_eq!(order(&a, &a), Ordering::Equal);
                if order(&a, &b).is_le() && order(&b, &c).is_le() {
                    prop_assert!(order(&a, &c).is_le());
                }
            }
        }
    }
}
