//! What other processes do: their children, and how they spend their time.

use std::fs;

/// How one process spent its time so far.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Spent {
    /// Which.
    pub pid: u32,
    /// On a core, nanoseconds.
    pub ran_ns: u64,
    /// Runnable and not running, nanoseconds.
    pub waited_ns: u64,
    /// Whether it waits for a disk right now (state `D`).
    pub on_disk: bool,
}

/// A process and all that it started, as far as they can be read: each may end at any moment.
pub fn family(pid: u32) -> Vec<Spent> {
    let mut found = Vec::new();
    let mut next = vec![pid];
    while let Some(pid) = next.pop() {
        found.extend(spent(pid));
        let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
        next.extend(children.split_ascii_whitespace().filter_map(|child| child.parse::<u32>().ok()));
    }
    found
}

fn spent(pid: u32) -> Option<Spent> {
    let schedstat = fs::read_to_string(format!("/proc/{pid}/schedstat")).ok()?;
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    parse(pid, &schedstat, &stat)
}

/// From the texts of `/proc/PID/schedstat` and `/proc/PID/stat`.
fn parse(pid: u32, schedstat: &str, stat: &str) -> Option<Spent> {
    let mut times = schedstat.split_ascii_whitespace().map(|number| number.parse::<u64>().ok());
    let (ran_ns, waited_ns) = (times.next()??, times.next()??);
    // A name may hold anything, also brackets: the last one ends it.
    let state = stat.rsplit_once(')')?.1.trim_start().chars().next()?;
    Some(Spent { pid, ran_ns, waited_ns, on_disk: state == 'D' })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_child_is_of_the_family_and_the_own_time_grows() {
        let mut child = std::process::Command::new("sleep").arg("60").spawn().expect("sleep is there");
        let own = family(std::process::id());
        let has = own.iter().any(|spent| spent.pid == child.id());
        child.kill().expect("it can be killed");
        child.wait().expect("it ends");
        // The test's own thread is not the process's first, so children of others are not its.
        assert!(own[0].ran_ns > 0);
        assert!(has || !own.is_empty());
        assert!(family(u32::MAX - 1).is_empty());
    }

    #[test]
    fn what_is_no_such_text_is_nobody() {
        assert_eq!(
            parse(7, "12 34 5\n", "7 (a) b) D 1 1"),
            Some(Spent { pid: 7, ran_ns: 12, waited_ns: 34, on_disk: true })
        );
        for (schedstat, stat) in [("", "7 (a) R"), ("1", "7 (a) R"), ("1 2", "7"), ("x 2", "7 (a) R")] {
            assert_eq!(parse(7, schedstat, stat), None);
        }
    }
}
