//! `/proc/net/snmp`, `/proc/net/netstat` and `/proc/net/softnet_stat`.

use std::collections::BTreeMap;

use super::{ReadError, number};

/// A setting among the counters, written as -1 where there is no limit.
const NO_COUNTER: &str = "MaxConn";

/// Columns of `softnet_stat` by place (`net/core/net-procfs.c`): the first three have been
/// there from the start, the other two since Linux 2.6.36 and 3.11.
const SOFTNET: [(usize, &str); 5] =
    [(0, "processed"), (1, "dropped"), (2, "time_squeeze"), (9, "received_rps"), (10, "flow_limit_count")];

/// Of these every kernel has so many.
const SOFTNET_MIN: usize = 3;

/// Protocol counters as `Tcp.RetransSegs`, from either file: a line of names, then one of
/// values, both under the same head.
pub fn protocols(text: &str) -> Result<BTreeMap<String, u64>, ReadError> {
    const OF: &str = "the kernel's table of protocol counters";
    let mut counters = BTreeMap::new();
    let mut lines = text.lines();
    while let Some(names) = lines.next() {
        let (group, names) =
            names.split_once(':').ok_or_else(|| ReadError::unfit(OF, "line of names", names))?;
        let values = lines.next().ok_or_else(|| ReadError::lacks(OF, format!("values of {group}")))?;
        let values = values
            .strip_prefix(group)
            .and_then(|rest| rest.strip_prefix(':'))
            .ok_or_else(|| ReadError::lacks(OF, format!("values of {group}")))?;
        let mut values = values.split_whitespace();
        for name in names.split_whitespace() {
            let value = values.next().ok_or_else(|| ReadError::lacks(OF, format!("{group}.{name}")))?;
            if name != NO_COUNTER {
                counters.insert(format!("{group}.{name}"), number(OF, value)?);
            }
        }
    }
    if counters.is_empty() { Err(ReadError::lacks(OF, "counters")) } else { Ok(counters) }
}

/// `softnet_stat`, summed over cores.
pub fn softnet(text: &str) -> Result<BTreeMap<String, u64>, ReadError> {
    const OF: &str = "softnet_stat";
    let mut sums: BTreeMap<String, u64> = BTreeMap::new();
    for line in text.lines() {
        let columns: Vec<&str> = line.split_whitespace().collect();
        for (turn, (place, name)) in SOFTNET.into_iter().enumerate() {
            let Some(column) = columns.get(place) else {
                if turn < SOFTNET_MIN {
                    return Err(ReadError::lacks(OF, name));
                }
                break;
            };
            let value =
                u64::from_str_radix(column, 16).map_err(|_| ReadError::unfit(OF, "number", column))?;
            let sum = sums.entry(name.to_owned()).or_default();
            *sum = sum.wrapping_add(value);
        }
    }
    if sums.is_empty() { Err(ReadError::lacks(OF, "a core's line")) } else { Ok(sums) }
}
