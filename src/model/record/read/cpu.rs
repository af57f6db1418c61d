//! `/proc/stat` by core, `/proc/pressure`, and lists of cores.

use std::collections::BTreeMap;

use super::{ReadError, number};

/// Columns of a core's line in `proc_stat(5)`, from user time on.
const COLUMNS: [(usize, &str); 2] = [(6, "softirq"), (7, "steal")];

/// Softirq and steal of each core, in ticks: `cpu0.softirq`, `cpu0.steal`.
pub fn cores(text: &str) -> Result<BTreeMap<String, u64>, ReadError> {
    const OF: &str = "/proc/stat";
    let mut found = BTreeMap::new();
    for line in text.lines() {
        let mut words = line.split_whitespace();
        let Some(core) = words.next().filter(|word| is_core(word)) else { continue };
        let ticks: Vec<&str> = words.collect();
        for (place, name) in COLUMNS {
            let value = ticks.get(place).ok_or_else(|| ReadError::lacks(OF, format!("{core} {name}")))?;
            found.insert(format!("{core}.{name}"), number(OF, value)?);
        }
    }
    if found.is_empty() { Err(ReadError::lacks(OF, "a core's line")) } else { Ok(found) }
}

fn is_core(word: &str) -> bool {
    let number = word.strip_prefix("cpu").unwrap_or_default();
    !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit())
}

/// Time under pressure since the boot, microseconds (`Documentation/accounting/psi.rst`):
/// `some` and, where the kernel tells it, `full`.
pub fn pressure(text: &str) -> Result<BTreeMap<String, u64>, ReadError> {
    const OF: &str = "/proc/pressure";
    let mut found = BTreeMap::new();
    for line in text.lines() {
        let mut words = line.split_whitespace();
        let kind = words.next().ok_or_else(|| ReadError::lacks(OF, "some"))?;
        let total = words.find_map(|word| word.strip_prefix("total="));
        let total = total.ok_or_else(|| ReadError::lacks(OF, format!("total of {kind:?}")))?;
        if ["some", "full"].contains(&kind) {
            found.insert(kind.to_owned(), number(OF, total)?);
        }
    }
    if found.contains_key("some") { Ok(found) } else { Err(ReadError::lacks(OF, "some")) }
}

/// How many cores a list such as `0-3,8` names.
pub fn count(list: &str) -> Result<u32, ReadError> {
    const OF: &str = "a list of cores";
    list.trim().split(',').try_fold(0_u32, |sum, part| {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (first, last): (u32, u32) = (number(OF, first)?, number(OF, last)?);
        let cores = last.checked_sub(first).and_then(|more| more.checked_add(1));
        cores.and_then(|cores| sum.checked_add(cores)).ok_or_else(|| ReadError::unfit(OF, "range", part))
    })
}
