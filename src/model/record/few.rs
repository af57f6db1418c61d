//! Maps of few entries, as lines hold them.
//!
//! A line tells of two or three flows, or of a host's peers: sorted in one allocation, they take
//! a fifth of the room that a tree's nodes of eleven take, and are read as fast as they come. A
//! record of a hundred hosts holds a million such maps.

use serde::{Serialize, Serializer};

/// A sorted map in one allocation. To insert out of order costs as much as there are entries.
/// Where it may be empty it is written by [`as_map`].
pub type Few<K, V> = litemap::LiteMap<K, V>;

/// A map that most lines do not hold: a word where it is not there.
pub type Rare<K, V> = Option<Box<Few<K, V>>>;

/// A map that is there if anything is in it.
pub fn rare<K, V>(map: Few<K, V>) -> Rare<K, V> {
    (!map.is_empty()).then(|| Box::new(map))
}

/// Writes a map as one, also an empty one, which its library writes as `[]`.
///
/// # Errors
///
/// What the format says.
pub fn as_map<K: Serialize, V: Serialize, S: Serializer>(map: &Few<K, V>, to: S) -> Result<S::Ok, S::Error> {
    to.collect_map(map.iter())
}

/// Gives back the room that a map grew and does not fill.
pub fn tighten<K, V>(map: &mut Few<K, V>) {
    let mut entries = std::mem::take(map).into_tuple_vec();
    entries.shrink_to_fit();
    *map = Few::from_sorted_store_unchecked(entries);
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use crate::model::record::{
        carried::TcpSeen,
        few::Few,
        line::{Body, Samples},
    };

    #[test]
    fn an_empty_map_is_written_as_a_map_and_read_back() {
        let bodies = [
            Body::Samples(Samples::default()),
            Body::Tcp(TcpSeen { flows: Few::new() }),
            Body::Datagrams { flows: Few::new() },
            Body::DatagramsSent { flows: Few::new() },
            Body::Connects { flows: Few::new() },
            Body::Verified { flows: Few::new() },
            Body::Counters(Box::default()),
        ];
        for body in bodies {
            let text = serde_json::to_string(&body).expect("it is plain data");
            assert!(text.contains("{}") && !text.contains("[]"), "{text}");
            assert_eq!(serde_json::from_str::<Body>(&text).expect("it was written so"), body);
        }
    }

    #[test]
    fn it_reads_and_writes_as_a_tree_does() {
        let tree = BTreeMap::from([(3u32, 1u64), (20, 2), (100, 3)]);
        let few: Few<u32, u64> = tree.iter().map(|(key, value)| (*key, *value)).collect();
        let text = serde_json::to_string(&tree).expect("it is plain data");
        assert_eq!(serde_json::to_string(&few).expect("it is plain data"), text);
        let backwards: Few<u32, u64> = serde_json::from_str(r#"{"100":3,"20":2,"3":1}"#).expect("a map");
        assert_eq!(backwards, few);
    }
}
