//! The `.modinfo` section of a module's file: `name=value`, separated by zero bytes.
//!
//! 64-bit ELF in little-endian order, which all machines are that have such cards; another
//! form is an error. Unpacking a compressed module is the worker's work.

use super::{ReadError, printable};

const OF: &str = "the module's file";

/// What of `.modinfo` is of interest.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Modinfo {
    /// `version=`.
    pub version: Option<String>,
    /// `srcversion=`.
    pub srcversion: Option<String>,
    /// `vermagic=`: its first word is the kernel that it is for.
    pub vermagic: Option<String>,
    /// `intree=Y`.
    pub in_tree: bool,
}

/// Reads an unpacked module.
pub fn modinfo(file: &[u8]) -> Result<Modinfo, ReadError> {
    let section = section(file, b".modinfo")?;
    let mut found = Modinfo::default();
    for entry in section.split(|byte| *byte == 0) {
        let entry = String::from_utf8_lossy(entry);
        let Some((name, value)) = entry.split_once('=') else { continue };
        match name {
            "version" => found.version = Some(printable(value)),
            "srcversion" => found.srcversion = Some(printable(value)),
            "vermagic" => found.vermagic = Some(printable(value)),
            "intree" => found.in_tree = value == "Y",
            _ => {}
        }
    }
    Ok(found)
}

/// The content of a section by its name.
fn section<'a>(file: &'a [u8], name: &[u8]) -> Result<&'a [u8], ReadError> {
    let lacks = |what: &str| ReadError::lacks(OF, what);
    // Class 2 is 64 bits, data 1 little-endian.
    if file.get(..6) != Some(b"\x7fELF\x02\x01") {
        return Err(lacks("the mark of a 64-bit little-endian ELF file"));
    }
    let table = le(file, 0x28, 8).ok_or_else(|| lacks("e_shoff"))?;
    let entry_bytes = le(file, 0x3a, 2).ok_or_else(|| lacks("e_shentsize"))?;
    let count = le(file, 0x3c, 2).ok_or_else(|| lacks("e_shnum"))?;
    let names = le(file, 0x3e, 2).ok_or_else(|| lacks("e_shstrndx"))?;
    let header = |number: usize| Some(number.checked_mul(entry_bytes)?.checked_add(table)?);
    let content = |at: usize| {
        let from = le(file, at.checked_add(24)?, 8)?;
        file.get(from..from.checked_add(le(file, at.checked_add(32)?, 8)?)?)
    };
    let names = header(names).and_then(content).ok_or_else(|| lacks("its section names"))?;
    for number in 0..count {
        let at = header(number).ok_or_else(|| lacks("a section header"))?;
        let name_at = le(file, at, 4).ok_or_else(|| lacks("a section header"))?;
        let called = names.get(name_at..).unwrap_or_default();
        if called.strip_prefix(name).is_some_and(|rest| rest.first() == Some(&0)) {
            return content(at).ok_or_else(|| lacks("the content of .modinfo"));
        }
    }
    Err(lacks(".modinfo"))
}

/// A little-endian number of `length` bytes.
fn le(bytes: &[u8], at: usize, length: usize) -> Option<usize> {
    let bytes = bytes.get(at..at.checked_add(length)?)?;
    let value = bytes.iter().rev().fold(0_u64, |value, byte| value << 8 | u64::from(*byte));
    usize::try_from(value).ok()
}
