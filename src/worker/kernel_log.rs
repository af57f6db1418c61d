//! The kernel's log as this worker tells of it: lines that concern its card or its host's
//! health, no more than so many a second, and once why it cannot be read.

use std::path::Path;

use crate::{
    model::{
        fleet::{host::NicFacts, units::RunTime},
        record::{
            facts::KernelLine,
            kernel_log::{self, Card},
            line::Body,
        },
    },
    sys::kmsg::{self, Kmsg},
};

/// Lines told a second: a driver that fails in earnest prints hundreds alike, and a record
/// line costs bytes on the very card that fails.
const LINES_PER_S: u32 = 20;

const SECOND_US: u64 = 1_000_000;

/// What this is called where it cannot be read.
const WHAT: &str = "kernel log";

/// Watches the kernel's log for one card.
pub struct KernelLog {
    card: Card,
    log: Option<Kmsg>,
    /// To be told at the next look.
    unread: Option<String>,
    second_us: u64,
    told: u32,
    left_out: u64,
}

impl KernelLog {
    /// From this moment on.
    pub fn open(nic: &NicFacts) -> Self {
        let card = Card { iface: nic.iface.clone(), driver: nic.driver.clone(), bus: bus(nic) };
        let (log, unread) = match Kmsg::open(Path::new(kmsg::DEVICE)) {
            Ok(log) => (Some(log), None),
            Err(error) => (None, Some(error.to_string())),
        };
        Self { card, log, unread, second_us: 0, told: 0, left_out: 0 }
    }

    /// What came since the last look. `now_us` is the worker's clock, `run_at` translates it.
    pub fn look(&mut self, now_us: u64, run_at: impl Fn(u64) -> RunTime) -> Vec<Body> {
        let mut bodies = Vec::new();
        if let Some(log) = &mut self.log {
            match log.look() {
                Ok(came) => {
                    let lost = log.take_lost();
                    self.left_out += lost;
                    let lines = came.into_iter().map(|(at_us, record)| KernelLine {
                        at: run_at(at_us),
                        level: record.level,
                        text: record.text,
                    });
                    bodies.extend(self.choose(lines.collect(), now_us));
                }
                Err(error) => {
                    self.unread = Some(format!("it could be read at first, and then not: {error}"));
                    self.log = None;
                }
            }
        }
        bodies.extend(self.unread.take().map(|why| Body::Unread { what: WHAT.to_owned(), why }));
        bodies
    }

    /// The relevant ones among these, as many as this second has room for.
    fn choose(&mut self, lines: Vec<KernelLine>, now_us: u64) -> Vec<Body> {
        let mut bodies = Vec::new();
        if now_us.saturating_sub(self.second_us) >= SECOND_US {
            (self.second_us, self.told) = (now_us, 0);
            if self.left_out > 0 {
                let why = format!(
                    "{} lines of it were left out: more than {LINES_PER_S} a second, or overwritten before they were read",
                    self.left_out
                );
                bodies.push(Body::Unread { what: WHAT.to_owned(), why });
                self.left_out = 0;
            }
        }
        for line in lines {
            if !kernel_log::is_relevant(line.level, &line.text, &self.card) {
                continue;
            }
            if self.told < LINES_PER_S {
                self.told += 1;
                bodies.push(Body::Kernel(line));
            } else {
                self.left_out += 1;
            }
        }
        bodies
    }
}

/// The card's place on the bus, where sysfs tells it of this very card: sysfs follows the
/// mount and not the network namespace, so its driver must be the one that the card has.
fn bus(nic: &NicFacts) -> Option<String> {
    let device = format!("/sys/class/net/{}/device", nic.iface);
    let last = |path: &str| {
        let path = std::fs::canonicalize(path).ok()?;
        Some((path.file_name()?.to_str()?.to_owned(), path.parent()?.file_name()?.to_str()?.to_owned()))
    };
    let (driver, _) = last(&format!("{device}/driver"))?;
    if Some(driver.as_str()) != nic.driver.as_deref() {
        return None;
    }
    let (place, above) = last(&device)?;
    // A virtio device sits on a PCI function, whose place the kernel's bus messages name.
    Some(if place.starts_with("virtio") { above } else { place })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn watching() -> KernelLog {
        let card =
            Card { iface: "eth0".into(), driver: Some("ena".into()), bus: Some("0000:00:05.0".into()) };
        KernelLog { card, log: None, unread: None, second_us: 0, told: 0, left_out: 0 }
    }

    fn lines(count: u64, text: &str) -> Vec<KernelLine> {
        (0..count).map(|at| KernelLine { at: RunTime(at), level: 3, text: text.to_owned() }).collect()
    }

    #[test]
    fn lines_of_another_card_are_not_told() {
        assert!(
            watching().choose(lines(3, "ena 0000:00:06.0 eth1: Keep alive watchdog timeout."), 5).is_empty()
        );
        let told = watching().choose(lines(3, "ena 0000:00:05.0 eth0: Keep alive watchdog timeout."), 5);
        assert_eq!(told.len(), 3);
    }

    #[test]
    fn a_flood_is_cut_to_its_bound_and_the_rest_is_counted_once() {
        let mut log = watching();
        let flood = || lines(500, "eth0: hw csum failure");
        assert_eq!(log.choose(flood(), 2 * SECOND_US).len(), 20);
        assert!(log.choose(flood(), 2 * SECOND_US + 1).is_empty(), "the second has no room left");
        let next = log.choose(vec![], 3 * SECOND_US);
        let [Body::Unread { why, .. }] = &next[..] else { panic!("{next:?}") };
        assert!(why.starts_with("980 lines"), "{why}");
        assert!(log.choose(vec![], 5 * SECOND_US).is_empty(), "told once");
    }

    #[test]
    fn a_log_that_cannot_be_read_is_told_once_with_the_way_to_allow_it() {
        let mut log = watching();
        log.unread = Some(kmsg::KmsgOpenError::NotPermitted.to_string());
        let told = log.look(1, RunTime);
        assert!(matches!(&told[..], [Body::Unread { why, .. }] if why.contains("CAP_SYSLOG")), "{told:?}");
        assert!(log.look(2, RunTime).is_empty());
    }
}
