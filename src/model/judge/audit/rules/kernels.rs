//! Rules on kernels, modules and DKMS: which driver runs, and which will after a boot.

use std::cmp::Ordering;

use super::{Case, Said, is_network_driver};
use crate::model::{
    judge::audit::version,
    record::facts::{DkmsModule, Fact, InstalledKernel},
};

/// The kernel that runs, as one of those installed.
fn running<'a>(case: &Case<'a>) -> Option<&'a InstalledKernel> {
    case.subject.facts.kernels.known()?.iter().find(|kernel| kernel.running)
}

/// The newest kernel that is installed, where it is newer than the one that runs.
pub(super) fn newer<'a>(case: &Case<'a>) -> Option<&'a InstalledKernel> {
    let kernels = case.subject.facts.kernels.known()?;
    let running = running(case)?;
    let newest = kernels.iter().max_by(|a, b| version::order_of_kernels(&a.release, &b.release))?;
    let is_newer = version::order_of_kernels(&newest.release, &running.release) == Ordering::Greater;
    is_newer.then_some(newest)
}

/// The kernel that runs and its headers, for the rule on the fallback.
pub(super) fn headers_of_running(case: &Case<'_>) -> Option<bool> {
    running(case).map(|kernel| kernel.headers)
}

/// Modules under DKMS that drive network cards.
pub(super) fn network_modules<'a>(case: &Case<'a>) -> Vec<&'a DkmsModule> {
    let modules = case.subject.facts.dkms.known().into_iter().flatten();
    modules
        .filter(|module| {
            let names = module.builds.iter().chain([&module.name]);
            names.into_iter().any(|name| is_network_driver(case, name))
        })
        .collect()
}

/// Of these, one that is in no version built for a kernel.
pub(super) fn not_built<'a>(case: &Case<'a>, kernel: &str) -> Option<&'a DkmsModule> {
    let all = network_modules(case);
    let built = |module: &DkmsModule| module.built_for.iter().any(|built| built == kernel);
    // An older version may stay beside the one in use: one of each name is enough.
    let missing = |module: &&&DkmsModule| {
        all.iter().filter(|other| other.name == module.name).all(|other| !built(other))
    };
    let missing = all.iter().filter(missing);
    missing.max_by(|a, b| version::order(&a.version, &b.version)).copied()
}

fn without_headers(kernel: &InstalledKernel) -> &'static str {
    if kernel.headers { "" } else { ", whose headers are not installed" }
}

pub(super) fn not_built_for_running(case: &Case<'_>) -> Option<Said> {
    let kernel = running(case)?;
    let module = not_built(case, &kernel.release)?;
    let driver = super::fleet::driver(&case.subject.facts).unwrap_or("an unknown driver");
    let text = format!(
        "{} {} is under DKMS and not built for the running kernel {}{}; the card runs under {driver}",
        module.name,
        module.version,
        kernel.release,
        without_headers(kernel),
    );
    Some(Said { text, values: of_module(module, kernel) })
}

pub(super) fn not_built_for_newest(case: &Case<'_>) -> Option<Said> {
    let kernel = newer(case)?;
    let module = not_built(case, &kernel.release)?;
    let text = format!(
        "the next boot goes into {}, for which {} {} is not built{}; then the driver is {}",
        kernel.release,
        module.name,
        module.version,
        without_headers(kernel),
        driver_then(case, kernel),
    );
    Some(Said { text, values: of_module(module, kernel) })
}

fn of_module(module: &DkmsModule, kernel: &InstalledKernel) -> Vec<(&'static str, String)> {
    vec![
        ("module", module.name.clone()),
        ("version", module.version.clone()),
        ("kernel", kernel.release.clone()),
        ("headers", if kernel.headers { "installed" } else { "missing" }.to_owned()),
    ]
}

pub(super) fn headers_missing(case: &Case<'_>) -> Option<Said> {
    let modules = network_modules(case);
    let module = modules.first()?;
    let without = [newer(case), running(case)].into_iter().flatten().find(|kernel| !kernel.headers)?;
    let text = format!(
        "the headers of {} are not installed while {} {} is under DKMS: it cannot be built again, and the next \
         upgrade loses it",
        without.release, module.name, module.version,
    );
    Some(Said { text, values: of_module(module, without) })
}

pub(super) fn newer_installed(case: &Case<'_>) -> Option<Said> {
    let (kernel, running) = (newer(case)?, running(case)?);
    let text = format!(
        "{} runs and {} is installed: the next boot changes the kernel; then the driver is {}",
        running.release,
        kernel.release,
        driver_then(case, kernel),
    );
    let mut values = vec![("kernel", kernel.release.clone()), ("running", running.release.clone())];
    values.extend(case.subject.facts.module.name.known().map(|name| ("module", name.clone())));
    Some(Said { text, values })
}

/// What drives the card under another kernel, and whether that is a change.
fn driver_then(case: &Case<'_>, kernel: &InstalledKernel) -> String {
    let module = &case.subject.facts.module;
    let name = module.name.known().map_or("the driver", String::as_str);
    match &kernel.module {
        Fact::Unread(why) => format!("not known ({why})"),
        Fact::Absent => match module.name {
            Fact::Absent => "built into that kernel, or there is none".to_owned(),
            _ => format!("not {name}, which that kernel does not have"),
        },
        Fact::Known(then) => {
            let whose = if then.out_of_tree { "" } else { " of the kernel's own tree" };
            let version = then.version.as_deref().unwrap_or("without a version of its own");
            let same = then.version.as_ref() == module.version.known()
                && then.srcversion.as_ref() == module.srcversion.known();
            let change = if same { ", as now" } else { "" };
            let now = module.version.known().filter(|_| !same);
            let now = now.map_or_else(String::new, |now| format!(" (now {now})"));
            format!("{name} {version}{whose}{change}{now}")
        }
    }
}

pub(super) fn not_as_on_disk(case: &Case<'_>) -> Option<Said> {
    let module = &case.subject.facts.module;
    let name = module.name.known()?;
    let disk = running(case)?.module.known()?;
    let text = match (module.version.known(), &disk.version) {
        (Some(runs), Some(lies)) if version::order(runs, lies) == Ordering::Less => {
            format!("{name} {runs} runs, and the newer {lies} is on disk for this kernel")
        }
        (Some(runs), Some(lies)) if version::order(runs, lies) == Ordering::Greater => {
            format!("{name} {runs} runs, and the older {lies} is on disk for this kernel")
        }
        _ => match (module.srcversion.known(), &disk.srcversion) {
            (Some(runs), Some(lies)) if runs != lies => {
                format!("{name} was built from other sources ({runs}) than the one on disk ({lies})")
            }
            _ => return None,
        },
    };
    let said = |fact: Option<&String>| fact.map_or("none", String::as_str).to_owned();
    let values = vec![
        ("module", name.clone()),
        ("runs", said(module.version.known())),
        ("on_disk", said(disk.version.as_ref())),
    ];
    Some(Said { text: format!("{text}: the next boot changes the driver"), values })
}
