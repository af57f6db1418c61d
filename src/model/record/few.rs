//! Maps of few entries, as lines hold them.
//!
//! A line tells of two or three flows, or of a host's peers: sorted in one allocation, they take
//! a fifth of the room that a tree's nodes of eleven take, and are read as fast as they come. A
//! record of a hundred hosts holds a million such maps.

/// A sorted map in one allocation; reads and writes as any map. To insert out of order costs as
/// much as there are entries.
pub type Few<K, V> = litemap::LiteMap<K, V>;

/// Gives back the room that a map grew and does not fill.
pub fn tighten<K, V>(map: &mut Few<K, V>) {
    let mut entries = std::mem::take(map).into_tuple_vec();
    entries.shrink_to_fit();
    *map = Few::from_sorted_store_unchecked(entries);
}
