//! Names that a record says over and over, kept once.
//!
//! A hundred hosts tell some forty counters a second, out of a few hundred names: kept as they
//! come they would fill most of the memory that a record takes, and half the time of reading
//! them would go into texts that are thrown away at once.

use std::{cell::RefCell, collections::HashSet, fmt, marker::PhantomData, sync::Arc};

use serde::{
    Deserializer,
    de::{DeserializeSeed, Error, MapAccess, Visitor},
};

use super::few::Few;

/// The most names kept: cards with thousands of counters for each of their queues have fewer.
/// Names beyond it stay as they came.
const NAMES_MAX: usize = 20_000;

thread_local! {
    /// All names that this thread has read. It shows in nothing but time and memory.
    static KEPT: RefCell<Names> = RefCell::default();
}

/// Reads by how much counters moved, each under the name that is kept.
///
/// # Errors
///
/// What the format says.
pub fn read_steps<'de, D: Deserializer<'de>>(from: D) -> Result<Few<Arc<str>, i64>, D::Error> {
    from.deserialize_map(Steps)
}

/// All names so far.
#[derive(Debug, Default)]
struct Names(HashSet<Arc<str>>);

impl Names {
    fn one(&mut self, name: &str) -> Arc<str> {
        if let Some(kept) = self.0.get(name) {
            return Arc::clone(kept);
        }
        let name = Arc::from(name);
        if self.0.len() < NAMES_MAX {
            self.0.insert(Arc::clone(&name));
        }
        name
    }
}

struct Steps;

impl<'de> Visitor<'de> for Steps {
    type Value = Few<Arc<str>, i64>;

    fn expecting(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.write_str("a map of names and steps")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut steps = Vec::with_capacity(map.size_hint().unwrap_or_default().min(NAMES_MAX));
        while let Some(step) = map.next_entry_seed(Name, PhantomData)? {
            steps.push(step);
        }
        steps.shrink_to_fit();
        // So they are written.
        if steps.is_sorted_by(|(one, _), (next, _)| one < next) {
            return Ok(Few::from_sorted_store_unchecked(steps));
        }
        Ok(steps.into_iter().collect())
    }
}

struct Name;

impl<'de> DeserializeSeed<'de> for Name {
    type Value = Arc<str>;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<Self::Value, D::Error> {
        from.deserialize_str(self)
    }
}

impl Visitor<'_> for Name {
    type Value = Arc<str>;

    fn expecting(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.write_str("a name")
    }

    fn visit_str<E: Error>(self, name: &str) -> Result<Self::Value, E> {
        Ok(KEPT.with_borrow_mut(|kept| kept.one(name)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::record::facts::CountersMoved;

    fn read(text: &str) -> Few<Arc<str>, i64> {
        let told: CountersMoved = serde_json::from_str(text).expect("counters that moved");
        told.moved
    }

    #[test]
    fn a_name_that_comes_again_is_the_one_that_is_kept() {
        let text = r#"{"since":0,"moved":{"driver.rx_drops":1,"link.tx_bytes":-2}}"#;
        let (first, second) = (read(text), read(text));
        assert_eq!(
            first,
            Few::from_iter([(Arc::from("driver.rx_drops"), 1), (Arc::from("link.tx_bytes"), -2)])
        );
        assert_eq!(first, second);
        assert!(first.keys().zip(second.keys()).all(|(one, other)| Arc::ptr_eq(one, other)));
    }

    #[test]
    fn names_out_of_order_are_found_all_the_same() {
        let steps = read(r#"{"since":0,"moved":{"b":2,"\u0061":1,"c":3}}"#);
        assert_eq!(
            ["a", "b", "c", "d"].map(|name| steps.get(name).copied()),
            [Some(1), Some(2), Some(3), None]
        );
    }
}
