//! The facts of this host alone, live or from a recorded root.

use std::path::Path;

use anyhow::{Context as _, anyhow};

use crate::{
    cli::{args::AuditArgs, failure::Failure},
    model::{fleet::host::HostName, judge::audit::Subject, record::facts::Asked},
    sys::link,
    worker::host::HostReader,
};

pub(super) fn subject(args: &AuditArgs) -> Result<Subject, Failure> {
    let (host, reader) = match &args.sysroot {
        Some(root) => (recorded_name(root)?, HostReader::recorded(root).map_err(Failure::usage)?),
        None => (own_name()?, live(args.iface.as_deref())?),
    };
    Ok(Subject { host, facts: reader.facts(Asked::Start) })
}

fn live(iface: Option<&str>) -> Result<HostReader, Failure> {
    let (name, index) = choose(iface)?;
    HostReader::live(&name, index).context("cannot ask the kernel").map_err(Failure::failed)
}

/// The interface that is named, else the only one that is up and has an address.
fn choose(iface: Option<&str>) -> Result<(String, u32), Failure> {
    if let Some(name) = iface {
        let index = link::index_of(name)
            .with_context(|| format!("no interface `{name}` is here"))
            .map_err(|error| Failure::usage(error).help("`ip -br link` lists them"))?;
        return Ok((name.to_owned(), index));
    }
    let mut up: Vec<(String, u32)> = link::addresses()
        .context("cannot list this host's interfaces")
        .map_err(Failure::failed)?
        .into_iter()
        .filter(|address| address.running && !address.loopback)
        .map(|address| (address.iface, address.index))
        .collect();
    up.sort();
    up.dedup();
    match up.len() {
        1 => Ok(up.remove(0)),
        0 => Err(Failure::usage(anyhow!("no interface is up and has an address"))
            .help("name one with --iface; `ip -br link` lists them")),
        _ => {
            let names: Vec<&str> = up.iter().map(|(name, _)| name.as_str()).collect();
            Err(Failure::usage(anyhow!("several interfaces are up: {}", names.join(", ")))
                .help("name the card with --iface"))
        }
    }
}

fn own_name() -> Result<HostName, Failure> {
    let own = rustix::system::uname().nodename().to_string_lossy().into_owned();
    own.parse().map_err(Failure::failed)
}

/// A recorded host is called as its folder is.
fn recorded_name(root: &Path) -> Result<HostName, Failure> {
    let root = root
        .canonicalize()
        .with_context(|| format!("cannot read {}", root.display()))
        .map_err(Failure::usage)?;
    let name = root.file_name().unwrap_or_default().to_string_lossy().into_owned();
    name.parse().map_err(|error| Failure::usage(error).help("rename the folder"))
}
