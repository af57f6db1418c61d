//! All that this host says of its card, driver and kernel, and the counters that move.
//!
//! A reader asks the live kernel, or replays answers that were recorded in a folder; what the
//! answers mean is `model::record::read`'s work. It may be held up by a driver: `asking` keeps
//! it on a thread of its own. Sampling for the judge's own needs is `facts`'.

use std::{collections::BTreeMap, io, path::Path};

use crate::model::record::{
    facts::{Asked, Counters, Fact, HostFacts, Neighbour},
    read::{self, ReadError, link::Link},
};

mod answers;
pub mod asking;
mod card;
mod module;
mod place;

use answers::{Answers, AskError};

/// Reads one host.
#[derive(Debug)]
pub struct HostReader {
    answers: Answers,
    iface: String,
    index: u32,
}

/// Why a folder of recorded answers cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("{path} holds no recorded host: {why}; it needs answers/route-link.hex")]
pub struct RecordedError {
    path: String,
    why: String,
}

impl HostReader {
    /// Asks the kernel, on the interface of this name and index in the calling thread's
    /// network namespace.
    ///
    /// # Errors
    ///
    /// If the kernel gives no sockets for asking.
    pub fn live(iface: &str, index: u32) -> io::Result<Self> {
        Ok(Self { answers: Answers::live(iface, index)?, iface: iface.to_owned(), index })
    }

    /// Replays the answers below `root`: `proc/…`, `sys/…`, `etc/os-release`, `lib/modules/…`,
    /// `usr/src/…` and `var/lib/dkms/…` as on the host, and `answers/ethtool-*.hex` and
    /// `answers/route-*.hex` for what is not a file there.
    ///
    /// # Errors
    ///
    /// If there is no recorded link.
    pub fn recorded(root: &Path) -> Result<Self, RecordedError> {
        let answers = Answers::Recorded { root: root.to_owned() };
        let link = answers
            .route_link()
            .and_then(|answer| Ok(read::link::link(&answer)?))
            .map_err(|error| RecordedError { path: root.display().to_string(), why: error.to_string() })?;
        Ok(Self { answers, iface: link.name, index: link.index })
    }

    /// Everything. It takes some milliseconds, and longer where modules are unpacked.
    pub fn facts(&self, asked: Asked) -> HostFacts {
        let link = self.link();
        let mut counters = self.counters_with(&link);
        let place = self.place(&link);
        let card = self.card(&link, &place, &mut counters.unread);
        let module = self.module(&card, &place);
        let name =
            module.name.known().cloned().or_else(|| card.driver.known().map(|d| module::named(&d.name)));
        HostFacts {
            asked,
            boot_id: self.line("proc/sys/kernel/random/boot_id", "the boot id"),
            machine: self.machine(),
            kernels: self.kernels(name.as_deref()),
            dkms: self.dkms(),
            card,
            module,
            counters,
        }
    }

    /// The counters alone: cheap enough for once a second.
    pub fn counters(&self) -> Counters {
        self.counters_with(&self.link())
    }

    fn link(&self) -> Result<Link, AskError> {
        Ok(read::link::link(&self.answers.route_link()?)?)
    }

    fn counters_with(&self, link: &Result<Link, AskError>) -> Counters {
        let mut counters = Counters::default();
        let mut unread = BTreeMap::new();
        let mut take = |group: &str, answer: Result<BTreeMap<String, u64>, AskError>| match answer {
            Ok(found) => found,
            Err(AskError::NotSupported) => BTreeMap::new(),
            Err(error) => {
                unread.insert(group.to_owned(), error.to_string());
                BTreeMap::new()
            }
        };
        counters.link = take("link", link.as_ref().map(|link| link.counters.clone()).map_err(Clone::clone));
        counters.driver = take("driver", self.driver_counters());
        counters.protocols = take("protocols", self.parse("proc/net/snmp", read::proc_net::protocols));
        counters
            .protocols
            .extend(take("protocols", self.parse("proc/net/netstat", read::proc_net::protocols)));
        counters.softnet = take("softnet", self.parse("proc/net/softnet_stat", read::proc_net::softnet));
        counters.qdisc = take("qdisc", self.qdisc());
        counters.pcie = take("pcie", self.aer(&self.place(link)));
        counters.cpu = take("cpu", self.parse("proc/stat", read::cpu::cores));
        for what in ["cpu", "io", "memory"] {
            let path = format!("proc/pressure/{what}");
            let found = take("pressure", self.parse(&path, read::cpu::pressure));
            counters.cpu.extend(found.into_iter().map(|(kind, us)| (format!("pressure.{what}.{kind}"), us)));
        }
        match self.neighbours() {
            Ok(neighbours) => counters.neighbours = neighbours,
            Err(error) => {
                unread.insert("neighbours".to_owned(), error.to_string());
            }
        }
        match self.addresses() {
            Ok(addresses) => counters.addresses = addresses,
            Err(error) => {
                unread.insert("addresses".to_owned(), error.to_string());
            }
        }
        counters.unread = unread;
        counters
    }

    fn driver_counters(&self) -> Result<BTreeMap<String, u64>, AskError> {
        let strings = self.answers.ethtool("stats-strings")?;
        Ok(read::ethtool::stats(&strings, &self.answers.ethtool("stats")?)?)
    }

    fn qdisc(&self) -> Result<BTreeMap<String, u64>, AskError> {
        Ok(read::qdisc::qdisc(&self.answers.route_qdiscs()?, self.index)?)
    }

    fn neighbours(&self) -> Result<Vec<Neighbour>, AskError> {
        Ok(read::neighbour::neighbours(&self.answers.route_neighbours()?, self.index)?)
    }

    fn addresses(&self) -> Result<Vec<String>, AskError> {
        Ok(read::link::addresses(&self.answers.route_addresses()?, self.index)?)
    }

    /// A text file, understood.
    fn parse<T>(&self, path: &str, how: impl Fn(&str) -> Result<T, ReadError>) -> Result<T, AskError> {
        Ok(how(&self.answers.text(path)?)?)
    }

    /// A file of one line.
    fn line(&self, path: &str, what: &'static str) -> Fact<String> {
        self.parse(path, |text| read::machine::one_line(what, text)).into()
    }
}

impl<T> From<Result<T, AskError>> for Fact<T> {
    fn from(answer: Result<T, AskError>) -> Self {
        match answer {
            Ok(value) => Self::Known(value),
            Err(AskError::NotSupported) => Self::Absent,
            Err(error) => Self::Unread(error.to_string()),
        }
    }
}

#[cfg(test)]
mod tests;
