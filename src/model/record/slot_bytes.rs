//! Bytes that a receiver counted in a slot, in as little room as they take.

use std::{fmt, num::NonZero};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Bytes received in a slot. An `Option` of it is no larger: what was not measured costs nothing
/// beside what was, and a record of a hundred hosts holds five million of them.
#[derive(Clone, Copy, Eq, Ord, PartialEq, PartialOrd)]
pub struct SlotBytes(NonZero<u64>);

impl SlotBytes {
    /// So many bytes; the one number that finds no room is told as one less.
    pub const fn new(bytes: u64) -> Self {
        Self(NonZero::<u64>::MIN.saturating_add(bytes))
    }

    /// How many.
    pub const fn get(self) -> u64 {
        self.0.get() - 1
    }
}

impl fmt::Debug for SlotBytes {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.get().fmt(out)
    }
}

impl Serialize for SlotBytes {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_u64(self.get())
    }
}

impl<'de> Deserialize<'de> for SlotBytes {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        u64::deserialize(from).map(Self::new)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_reads_and_writes_as_a_number_and_costs_no_more_where_it_may_be_missing() {
        let counts = [Some(0), None, Some(1_514), Some(u64::MAX - 1)].map(|bytes| bytes.map(SlotBytes::new));
        let text = serde_json::to_string(&counts).expect("it is plain data");
        assert_eq!(text, format!("[0,null,1514,{}]", u64::MAX - 1));
        assert_eq!(serde_json::from_str::<[Option<SlotBytes>; 4]>(&text).expect("it was written so"), counts);
        assert_eq!(counts.map(|bytes| bytes.map(SlotBytes::get))[2..], [Some(1_514), Some(u64::MAX - 1)]);
        assert_eq!(size_of::<Option<SlotBytes>>(), size_of::<u64>());
        assert_eq!(SlotBytes::new(u64::MAX).get(), u64::MAX - 1);
    }
}
