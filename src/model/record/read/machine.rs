//! Short texts about the machine: os-release, meminfo, process status, DMI, module indexes.

use super::{ReadError, number, printable};

/// `PRETTY_NAME` of os-release(5).
pub fn pretty_name(text: &str) -> Result<String, ReadError> {
    let value = text.lines().find_map(|line| line.trim().strip_prefix("PRETTY_NAME="));
    let value = value.ok_or_else(|| ReadError::lacks("os-release", "PRETTY_NAME"))?;
    Ok(printable(value.trim_matches(['"', '\''])))
}

/// `MemTotal` of `/proc/meminfo`, bytes.
pub fn memory_bytes(text: &str) -> Result<u64, ReadError> {
    const OF: &str = "/proc/meminfo";
    let value = text.lines().find_map(|line| line.strip_prefix("MemTotal:")?.trim().strip_suffix("kB"));
    let kib: u64 = number(OF, value.ok_or_else(|| ReadError::lacks(OF, "MemTotal"))?.trim())?;
    kib.checked_mul(1024).ok_or_else(|| ReadError::unfit(OF, "size of a memory", &kib.to_string()))
}

/// The cores that a process may run on, as a list, from `/proc/self/status`.
pub fn cores_allowed(text: &str) -> Result<&str, ReadError> {
    let value = text.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:"));
    value.map(str::trim).ok_or_else(|| ReadError::lacks("/proc/self/status", "Cpus_allowed_list"))
}

/// A file of one line: boot id, kernel, DMI name, module version. Empty is an error.
pub fn one_line(of: &'static str, text: &str) -> Result<String, ReadError> {
    let line = text.lines().next().unwrap_or_default().trim();
    if line.is_empty() { Err(ReadError::lacks(of, "text")) } else { Ok(printable(line)) }
}

/// The file of module `name` in `modules.dep`, below `/lib/modules/RELEASE/`: the one that
/// depmod has chosen where there are several. `None` where the kernel has no such module.
pub fn module_file(modules_dep: &str, name: &str) -> Option<String> {
    let paths = modules_dep.lines().filter_map(|line| Some(line.split_once(':')?.0));
    paths.map(str::trim).find(|path| module_name(path) == Some(module_id(name))).map(str::to_owned)
}

/// Whether module `name` is built into the kernel, by its `modules.builtin`.
pub fn is_builtin(modules_builtin: &str, name: &str) -> bool {
    modules_builtin.lines().any(|path| module_name(path.trim()) == Some(module_id(name)))
}

/// The name of a module's file, without its endings; `None` for other files.
pub fn module_name(path: &str) -> Option<String> {
    let file = path.rsplit('/').next()?;
    Some(module_id(file.split_once(".ko")?.0))
}

/// The kernel holds `-` and `_` in a module's name for the same.
pub fn module_id(name: &str) -> String {
    name.replace('-', "_")
}
