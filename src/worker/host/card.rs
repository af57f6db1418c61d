//! The card under test: driver, link, offloads, queues, bus and interrupts.

use std::collections::BTreeMap;

use super::{Answers, AskError, HostReader, place::Place};
use crate::model::record::{
    facts::{CardFacts, Fact, Interrupt, MachineFacts, PcieLink},
    read::{self, ReadError, link::Link, pcie::LinkFiles},
};

/// AER's files of a PCI device, and what they are called here.
const AER: [(&str, &str); 3] =
    [("correctable", "aer_dev_correctable"), ("nonfatal", "aer_dev_nonfatal"), ("fatal", "aer_dev_fatal")];

impl HostReader {
    pub(super) fn card(
        &self,
        link: &Result<Link, AskError>,
        place: &Place,
        unread: &mut BTreeMap<String, String>,
    ) -> CardFacts {
        let lower = self.answers.route_links().and_then(|dump| Ok(read::link::lower(&dump, self.index)?));
        if let Err(error) = &lower {
            unread.insert("lower devices".to_owned(), error.to_string());
        }
        CardFacts {
            iface: self.iface.clone(),
            driver: self.ask("drvinfo", read::ethtool::drvinfo).into(),
            link: link.as_ref().map(|link| link.facts.clone()).map_err(Clone::clone).into(),
            settings: self.ask("link-settings", read::link_modes::link_settings).into(),
            features: self.features().into(),
            rings: self.ask("rings", read::ethtool::rings).into(),
            channels: self.ask("channels", read::ethtool::channels).into(),
            coalesce: self.ask("coalesce", read::ethtool::coalesce).into(),
            pause: self.ask("pause", read::ethtool::pause).into(),
            addresses: self.addresses().into(),
            neighbours: self.neighbours().into(),
            pcie: self.pcie(place).into(),
            interrupts: self.interrupts(link, place).into(),
            lower: lower.unwrap_or_default(),
        }
    }

    fn ask<T>(&self, command: &str, how: impl Fn(&[u8]) -> Result<T, ReadError>) -> Result<T, AskError> {
        Ok(how(&self.answers.ethtool(command)?)?)
    }

    fn features(&self) -> Result<BTreeMap<String, crate::model::record::facts::Feature>, AskError> {
        let strings = self.answers.ethtool("feature-strings")?;
        Ok(read::ethtool::features(&strings, &self.answers.ethtool("features")?)?)
    }

    /// The PCIe link; absent on other buses, and where the kernel tells no link.
    fn pcie(&self, place: &Place) -> Result<PcieLink, AskError> {
        let folder = place.pci(&self.answers)?;
        let file = |name: &str| self.answers.text(&format!("{folder}/{name}")).map_err(AskError::or_absent);
        let (speed, speed_max) = (file("current_link_speed")?, file("max_link_speed")?);
        let (width, width_max) = (file("current_link_width")?, file("max_link_width")?);
        let files = LinkFiles { speed: &speed, speed_max: &speed_max, width: &width, width_max: &width_max };
        read::pcie::link(files)?.ok_or(AskError::NotSupported)
    }

    /// Counters of PCIe's error reporting; none where the kernel or the card has none.
    pub(super) fn aer(&self, place: &Place) -> Result<BTreeMap<String, u64>, AskError> {
        let folder = place.pci(&self.answers)?;
        let total = |(name, file): (&str, &str)| {
            let text = self.answers.text(&format!("{folder}/{file}")).map_err(AskError::or_absent)?;
            Ok((name.to_owned(), read::pcie::aer_total(&text)?))
        };
        AER.into_iter().map(total).collect()
    }

    /// The card's interrupts: those that sysfs lists for its device, and those that name it.
    fn interrupts(&self, link: &Result<Link, AskError>, place: &Place) -> Result<Vec<Interrupt>, AskError> {
        let device = place.path()?;
        let listed: Vec<u32> = [format!("{device}/msi_irqs"), format!("{device}/../msi_irqs")]
            .iter()
            .find_map(|folder| self.answers.names(folder).ok())
            .map(|names| names.iter().filter_map(|name| name.parse().ok()).collect())
            .unwrap_or_default();
        let names = if let Place::Device { names, .. } = place { names.as_slice() } else { &[] };
        // Another namespace's card may have this interface's name.
        let ours_by_name = link.as_ref().is_ok_and(|link| self.sysfs_is_ours(link));
        let rows = self.parse("proc/interrupts", read::interrupts::rows)?;
        let ours = |row: &read::interrupts::Row| {
            let named = |name: &String| has_word(&row.tail, name);
            let by_iface = ours_by_name && has_word(&row.name, &self.iface);
            listed.contains(&row.irq) || names.iter().any(named) || by_iface
        };
        let interrupt = |row: read::interrupts::Row| {
            let file = |name: &str| self.answers.text(&format!("proc/irq/{}/{name}", row.irq));
            let cores = file("effective_affinity_list")
                .ok()
                .filter(|text| !text.trim().is_empty())
                .map_or_else(|| file("smp_affinity_list"), Ok)
                .and_then(|text| Ok(read::machine::one_line("an interrupt's affinity", &text)?));
            Interrupt { irq: row.irq, name: row.name, cores: cores.into() }
        };
        Ok(rows.into_iter().filter(ours).map(interrupt).collect())
    }

    pub(super) fn machine(&self) -> MachineFacts {
        let dmi = |name: &str| self.line_or_absent(&format!("sys/class/dmi/id/{name}"));
        let distribution = self
            .parse("etc/os-release", read::machine::pretty_name)
            .or_else(|_| self.parse("usr/lib/os-release", read::machine::pretty_name));
        MachineFacts {
            kernel: self.line("proc/sys/kernel/osrelease", "the kernel's release"),
            distribution: distribution.into(),
            architecture: self.architecture().into(),
            product: dmi("product_name"),
            vendor: dmi("sys_vendor"),
            cores: self
                .parse("proc/self/status", |text| read::cpu::count(read::machine::cores_allowed(text)?))
                .into(),
            memory_bytes: self.parse("proc/meminfo", read::machine::memory_bytes).into(),
        }
    }

    /// The file came with Linux 6.1; before, a live kernel tells it by uname(2).
    fn architecture(&self) -> Result<String, AskError> {
        let answer =
            self.parse("proc/sys/kernel/arch", |text| read::machine::one_line("the architecture", text));
        match (answer, &self.answers) {
            (Err(AskError::NotThere(_)), Answers::Live { .. }) => {
                Ok(rustix::system::uname().machine().to_string_lossy().into_owned())
            }
            (answer, _) => answer,
        }
    }

    fn line_or_absent(&self, path: &str) -> Fact<String> {
        let line = self.parse(path, |text| read::machine::one_line("a file of DMI", text));
        line.map_err(AskError::or_absent).into()
    }
}

/// Whether `text` has `word` with nothing of a name on either side: `eth1` is not in `eth10`.
fn has_word(text: &str, word: &str) -> bool {
    let of_name =
        |letter: Option<char>| letter.is_some_and(|letter| letter.is_alphanumeric() || letter == '_');
    text.match_indices(word).any(|(at, _)| {
        !word.is_empty()
            && !of_name(text[..at].chars().next_back())
            && !of_name(text[at + word.len()..].chars().next())
    })
}
