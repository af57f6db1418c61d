//! The driver's module: the one that runs, those on disk for every installed kernel, DKMS.

use std::io::Read as _;

use super::{AskError, HostReader, answers::MODULE_BYTES_MAX, place::Place};
use crate::model::record::{
    facts::{CardFacts, DkmsModule, Fact, InstalledKernel, ModuleFacts, ModuleOnDisk},
    read::{self, machine},
};

/// Drivers that do not give the name of their module in `ETHTOOL_GDRVINFO`.
const OTHER_NAMES: [(&str, &str); 1] = [
    // drivers/net/xen-netfront.c names itself after the device.
    ("vif", "xen_netfront"),
];

/// The module of a driver that calls itself so.
pub(super) fn named(driver: &str) -> String {
    let other = OTHER_NAMES.iter().find(|(name, _)| *name == driver);
    other.map_or_else(|| machine::module_id(driver), |(_, module)| (*module).to_owned())
}

impl HostReader {
    /// The module that runs.
    pub(super) fn module(&self, card: &CardFacts, place: &Place) -> ModuleFacts {
        let name = self.module_name(card, place);
        let field = |file: &str| match &name {
            Ok(name) => {
                let text =
                    self.answers.text(&format!("sys/module/{name}/{file}")).map_err(AskError::or_absent);
                text.and_then(|text| Ok(machine::one_line("a module's file", &text)?)).into()
            }
            Err(error) => Fact::from(Err(error.clone())),
        };
        ModuleFacts { version: field("version"), srcversion: field("srcversion"), name: name.into() }
    }

    /// Absent where the driver is built in: `initstate` is there for loaded modules alone.
    fn module_name(&self, card: &CardFacts, place: &Place) -> Result<String, AskError> {
        let of_device = match place {
            Place::Device { path, .. } => self.answers.link_name(&format!("{path}/driver/module")).ok(),
            Place::Virtual | Place::Unknown(_) => None,
        };
        let of_driver = || match &card.driver {
            Fact::Known(driver) => Ok(named(&driver.name)),
            Fact::Absent => Err(AskError::NotSupported),
            Fact::Unread(why) => Err(AskError::Failed(why.clone())),
        };
        // A device on virtio has two drivers on its way; the one that names itself counts.
        let name = of_driver().or_else(|error| of_device.ok_or(error))?;
        if !self.answers.is_there("sys/module") {
            return Err(AskError::Failed("/sys/module is not there".to_owned()));
        }
        let loaded = self.answers.is_there(&format!("sys/module/{name}/initstate"));
        if loaded { Ok(name) } else { Err(AskError::NotSupported) }
    }

    /// The kernels that are installed, sorted by name; absent where the machine has none on
    /// disk, as when a hypervisor hands it the kernel.
    pub(super) fn kernels(&self, module: Option<&str>) -> Fact<Vec<InstalledKernel>> {
        let running = self.line("proc/sys/kernel/osrelease", "the kernel's release");
        let releases = self.answers.names("lib/modules").map_err(AskError::or_absent);
        let is_installed = |release: &String| {
            // What a removed kernel leaves behind has modules of DKMS at most.
            ["modules.builtin", "modules.order"]
                .iter()
                .any(|file| self.answers.is_there(&format!("lib/modules/{release}/{file}")))
        };
        let kernel = |release: String| InstalledKernel {
            running: running.known() == Some(&release),
            headers: self.has_headers(&release),
            module: self.module_on_disk(&release, module).into(),
            release,
        };
        let installed =
            |releases: Vec<String>| releases.into_iter().filter(is_installed).map(kernel).collect();
        releases.map(installed).into()
    }

    fn has_headers(&self, release: &str) -> bool {
        // The link that builds go by, and where Debian and Red Hat put what it points to.
        let places = [
            format!("lib/modules/{release}/build"),
            format!("usr/src/linux-headers-{release}"),
            format!("usr/src/kernels/{release}"),
        ];
        places.iter().any(|place| self.answers.is_there(&format!("{place}/Makefile")))
    }

    fn module_on_disk(&self, release: &str, module: Option<&str>) -> Result<ModuleOnDisk, AskError> {
        let module = module.ok_or_else(|| AskError::Failed("the driver's name is not known".to_owned()))?;
        let folder = format!("lib/modules/{release}");
        let known = self.answers.text(&format!("{folder}/modules.dep"))?;
        let Some(path) = machine::module_file(&known, module) else { return Err(AskError::NotSupported) };
        let file = self.answers.file(&format!("{folder}/{path}"), MODULE_BYTES_MAX)?;
        let info = read::modinfo::modinfo(&unpacked(&path, file)?)?;
        Ok(ModuleOnDisk {
            version: info.version,
            srcversion: info.srcversion,
            out_of_tree: !info.in_tree,
            path,
        })
    }

    /// Modules under DKMS; absent where there is none installed.
    pub(super) fn dkms(&self) -> Fact<Vec<DkmsModule>> {
        let names = self.answers.names("var/lib/dkms").map_err(AskError::or_absent);
        let all = names.and_then(|names| {
            let mut found = Vec::new();
            for name in names {
                // Files such as `dkms_dbversion` lie beside the packages.
                let versions = self.answers.names(&format!("var/lib/dkms/{name}")).unwrap_or_default();
                for version in versions.into_iter().filter(|version| !version.starts_with("kernel-")) {
                    found.extend(self.dkms_package(&name, &version)?);
                }
            }
            Ok(found)
        });
        all.into()
    }

    fn dkms_package(&self, name: &str, version: &str) -> Result<Option<DkmsModule>, AskError> {
        let folder = format!("var/lib/dkms/{name}/{version}");
        let Ok(entries) = self.answers.names(&folder) else { return Ok(None) };
        let mut built_for = Vec::new();
        for kernel in entries.iter().filter(|entry| !["source", "build"].contains(&entry.as_str())) {
            let architectures = self.answers.names(&format!("{folder}/{kernel}")).unwrap_or_default();
            let is_built = |architecture: &String| {
                self.answers.is_there(&format!("{folder}/{kernel}/{architecture}/module"))
            };
            if architectures.iter().any(is_built) {
                built_for.push(kernel.clone());
            }
        }
        let conf = self
            .answers
            .text(&format!("usr/src/{name}-{version}/dkms.conf"))
            .or_else(|_| self.answers.text(&format!("{folder}/source/dkms.conf")))?;
        let builds = read::dkms::builds(&conf)?;
        Ok(Some(DkmsModule { name: name.to_owned(), version: version.to_owned(), builds, built_for }))
    }
}

/// A module's file as the kernel would load it.
fn unpacked(path: &str, file: Vec<u8>) -> Result<Vec<u8>, AskError> {
    let mut bytes = Vec::new();
    let limit = MODULE_BYTES_MAX;
    let done = match path.rsplit('.').next() {
        Some("ko") => return Ok(file),
        Some("zst") => {
            zstd::Decoder::new(file.as_slice()).and_then(|from| from.take(limit).read_to_end(&mut bytes))
        }
        Some("xz") => lzma_rust2::XzReader::new(file.as_slice(), true).take(limit).read_to_end(&mut bytes),
        Some("gz") => flate2::read::GzDecoder::new(file.as_slice()).take(limit).read_to_end(&mut bytes),
        _ => return Err(AskError::Failed(format!("{path} is packed in a way that is not known here"))),
    };
    done.map_err(|error| AskError::Failed(format!("cannot unpack {path}: {error}")))?;
    Ok(bytes)
}
