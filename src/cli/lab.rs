//! `nicburn lab`: build, break, enter and remove fleets of namespaces; and what `run` and
//! `demo` need to say which lab they want.

use std::{
    ffi::OsString,
    os::unix::process::CommandExt as _,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, anyhow};

use super::{
    args::{ControlPath, LabArgs, LabCommand, LabCommandArgs},
    exit,
    failure::Failure,
    files, output, score,
};
use crate::lab::{
    client::{self, Lab, Status},
    fault::{self, Fault},
    spec::{Control, LabSpec},
};

/// How long a lab of `run` or `demo` may stand if everything else fails, in seconds.
const TTL_S: u64 = 3600;

pub(super) fn main(args: LabCommandArgs) -> Result<u8, Failure> {
    match args.command {
        LabCommand::Up { hosts, name, shape, ttl } => up(hosts, name, &shape, ttl.as_secs()),
        LabCommand::Down { name } => {
            let lab = attach(&chosen(name.as_deref())?)?;
            lab.down().context("cannot remove the lab").map_err(Failure::failed)?;
            Ok(exit::OK)
        }
        LabCommand::Fault { list: true, .. } => done(&fault::list()),
        LabCommand::Fault { faults, explain: true, .. } => explain(&faults),
        LabCommand::Fault { faults, name, .. } => break_things(&faults, name.as_deref()),
        LabCommand::Exec { host, name, command } => exec(&host, name.as_deref(), &command),
        LabCommand::List => list(),
        LabCommand::Score(args) => score::main(&args),
    }
}

/// The lab that was asked for, ready to be started.
pub(super) fn spec(hosts: u16, shape: &LabArgs) -> Result<LabSpec, Failure> {
    if shape.uplink.is_some() && shape.racks < 2 {
        return Err(
            Failure::usage(anyhow!("--uplink joins two racks, and there is one")).help("add `--racks 2`")
        );
    }
    let spec = LabSpec {
        hosts,
        nic_rate: shape.lab_rate,
        mtu: shape.lab_mtu,
        racks: shape.racks,
        uplink: shape.uplink,
        control: match shape.control {
            ControlPath::InBand => Control::InBand,
            ControlPath::Separate => Control::Separate,
        },
        ipv6: shape.ipv6,
        ttl_s: TTL_S,
        detached: false,
        state_dir: files::state_dir()?,
        name: format!("run-{}", std::process::id()),
    };
    spec.check().map_err(Failure::usage)?;
    Ok(spec)
}

/// Starts a lab, once the programs that it is made with are there.
pub(super) fn start(exe: &Path, spec: &LabSpec) -> Result<Lab, Failure> {
    can_be_built()?;
    if let Some(warning) = spec.load_warning() {
        output::note(&format!("warning: {warning}"));
    }
    Lab::start(exe, spec).context("cannot build the lab").map_err(Failure::failed)
}

/// Whether the programs that labs are made with are there.
pub(super) fn can_be_built() -> Result<(), Failure> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    // An unprivileged user's PATH often lacks the last two.
    let folders = std::env::split_paths(&path).chain(["/usr/sbin".into(), "/sbin".into()]);
    need_tools(&folders.collect::<Vec<_>>())
}

fn need_tools(folders: &[PathBuf]) -> Result<(), Failure> {
    let there = |tool: &&str| folders.iter().any(|folder| folder.join(tool).is_file());
    if ["ip", "tc", "nft"].iter().all(there) {
        return Ok(());
    }
    Err(Failure::failed(anyhow!("nicburn needs ip, tc and nft: apt-get install -y iproute2 nftables")))
}

/// The faults that were asked for; wrong ones are all the caller's mistake.
pub(super) fn faults(texts: &[String], hosts: u16) -> Result<Vec<Fault>, Failure> {
    let read = |text: &String| -> Result<Fault, Failure> {
        let fault: Fault = text
            .parse()
            .with_context(|| format!("cannot read the fault `{text}`"))
            .map_err(|error| Failure::usage(error).help("`nicburn lab fault --list` shows what there is"))?;
        let Some(missing) = fault.place.hosts().find(|host| !(1..=hosts).contains(host)) else {
            return Ok(fault);
        };
        let error = anyhow!("`{text}`: there is no host h{missing}");
        Err(Failure::usage(error).help(format!("the lab's hosts are h1 to h{hosts}")))
    };
    texts.iter().map(read).collect()
}

/// Removes a lab whose run is over; what does not go in order goes with its holder.
pub(super) fn take_down(lab: Lab) {
    if let Err(error) = lab.down() {
        tracing::warn!("the lab did not end in order: {error}");
    }
}

fn up(hosts: u16, name: String, shape: &LabArgs, ttl_s: u64) -> Result<u8, Failure> {
    let faults = faults(&shape.fault, hosts)?;
    let spec = LabSpec { ttl_s, detached: true, name, ..spec(hosts, shape)? };
    spec.check().map_err(Failure::usage)?;
    files::create_private(&spec.state_dir)?;
    let lab = start(&files::this_executable()?, &spec)?;
    for fault in &faults {
        lab.fault(fault).with_context(|| format!("cannot put `{fault}` in")).map_err(Failure::failed)?;
    }
    let name = &spec.name;
    output::data(&format!(
        "lab `{name}`: h1 to h{hosts} at {}, for {}\n  nicburn lab exec --name {name} h1 -- ip addr\n  \
         nicburn lab down {name}\n",
        spec.nic_rate,
        humantime::format_duration(std::time::Duration::from_secs(ttl_s)),
    ))?;
    Ok(exit::OK)
}

/// A name alone is explained by the numbers that its line of the list has.
fn explain(texts: &[String]) -> Result<u8, Failure> {
    let whole = |text: &String| fault::example(text).unwrap_or_else(|| text.clone());
    let all = faults(&texts.iter().map(whole).collect::<Vec<_>>(), u16::MAX)?;
    done(&all.iter().map(Fault::explain).collect::<Vec<_>>().join("\n"))
}

fn break_things(texts: &[String], name: Option<&str>) -> Result<u8, Failure> {
    let status = chosen(name)?;
    let faults = faults(texts, status.hosts)?;
    let lab = attach(&status)?;
    for fault in &faults {
        lab.fault(fault).with_context(|| format!("cannot put `{fault}` in")).map_err(Failure::failed)?;
    }
    Ok(exit::OK)
}

/// Becomes the command, inside the host's namespace.
fn exec(host: &str, name: Option<&str>, command: &[OsString]) -> Result<u8, Failure> {
    let status = chosen(name)?;
    client::join_host(status.holder_pid, host)
        .with_context(|| format!("cannot enter {host}"))
        .map_err(Failure::failed)?;
    let Some((program, arguments)) = command.split_first() else {
        return Err(Failure::usage(anyhow!("no command is given")));
    };
    let error = Command::new(program).args(arguments).exec();
    let what = format!("cannot run `{}` on {host}", program.display());
    Err(Failure::failed(anyhow::Error::from(error).context(what)))
}

fn list() -> Result<u8, Failure> {
    let labs = all()?;
    let lines: Vec<String> = labs
        .iter()
        .map(|lab| {
            let broken: Vec<String> = lab.faults.iter().map(ToString::to_string).collect();
            let broken = if broken.is_empty() { "nothing".to_owned() } else { broken.join("; ") };
            format!("{:<16} {:>3} hosts  broken: {broken}\n", lab.name, lab.hosts)
        })
        .collect();
    done(&lines.concat())
}

fn all() -> Result<Vec<Status>, Failure> {
    client::list(&files::state_dir()?)
        .context("cannot list the labs on this machine")
        .map_err(Failure::failed)
}

/// The lab that is meant, if that is clear.
fn chosen(name: Option<&str>) -> Result<Status, Failure> {
    let mut labs = all()?;
    let names: Vec<_> = labs.iter().map(|lab| lab.name.clone()).collect();
    if let Some(name) = name {
        labs.retain(|lab| lab.name == name);
    }
    match (labs.pop(), labs.is_empty()) {
        (Some(only), true) => Ok(only),
        (None, _) if names.is_empty() => {
            Err(Failure::usage(anyhow!("there is no lab on this machine"))
                .help("build one by `nicburn lab up`"))
        }
        _ => Err(Failure::usage(anyhow!("it is not clear which lab is meant"))
            .help(format!("name one: {}", names.join(", ")))),
    }
}

fn attach(status: &Status) -> Result<Lab, Failure> {
    client::attach(&files::state_dir()?, &status.name)
        .with_context(|| format!("cannot reach the holder of lab `{}`", status.name))
        .map_err(Failure::failed)
}

fn done(text: &str) -> Result<u8, Failure> {
    output::data(text)?;
    Ok(exit::OK)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn missing_tools_are_one_line_with_the_way_out() {
        let empty = tempfile::tempdir().expect("a folder");
        let failure = need_tools(&[empty.path().to_owned()]).expect_err("nothing is there");
        assert_eq!(
            failure.to_string(),
            "error: nicburn needs ip, tc and nft: apt-get install -y iproute2 nftables"
        );
        assert_eq!(failure.code(), 1);
        for tool in ["ip", "tc", "nft"] {
            std::fs::write(empty.path().join(tool), "").expect("written");
        }
        assert!(need_tools(&[empty.path().to_owned()]).is_ok());
    }

    #[test]
    fn a_fault_on_a_host_that_the_lab_lacks_is_refused_before_it_is_built() {
        let failure = faults(&["dead@h9,for=5s".to_owned()], 8).expect_err("8 hosts only");
        assert_eq!(failure.code(), 2);
        assert!(failure.to_string().contains("h1 to h8"), "{failure}");
    }
}
