//! DKMS: what a `dkms.conf` says that it builds.

use std::collections::BTreeMap;

use super::{ReadError, printable};

/// The modules that a package builds: `BUILT_MODULE_NAME[n]`, or the package's own name where
/// it names none (dkms(8)).
///
/// The file is a shell script; assignments of plain texts are understood, with `$NAME` and
/// `${NAME}` of variables set before. What a command would have to yield is left as it is.
pub fn builds(conf: &str) -> Result<Vec<String>, ReadError> {
    let mut set: BTreeMap<String, String> = BTreeMap::new();
    let mut built = Vec::new();
    for line in conf.lines() {
        let Some((name, value)) = line.trim().split_once('=') else { continue };
        let value = expand(unquoted(value), &set);
        if name.starts_with("BUILT_MODULE_NAME") && !value.is_empty() {
            built.push(printable(&value));
        }
        set.insert(name.to_owned(), value);
    }
    if built.is_empty() {
        let own = set.get("PACKAGE_NAME").filter(|name| !name.is_empty());
        built.push(printable(own.ok_or_else(|| ReadError::lacks("dkms.conf", "PACKAGE_NAME"))?));
    }
    Ok(built)
}

fn unquoted(value: &str) -> &str {
    let value = value.trim();
    match value.chars().next() {
        Some(quote @ ('"' | '\'')) => value[1..].split(quote).next().unwrap_or_default(),
        _ => value.split_whitespace().next().unwrap_or_default(),
    }
}

fn expand(value: &str, set: &BTreeMap<String, String>) -> String {
    let mut parts = value.split('$');
    let mut text = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let braced = part.strip_prefix('{').and_then(|rest| rest.split_once('}'));
        let end = part.find(|letter: char| !letter.is_alphanumeric() && letter != '_').unwrap_or(part.len());
        let (name, rest) = braced.unwrap_or_else(|| part.split_at(end));
        match set.get(name) {
            // A variable that holds itself many times over must not grow without bound.
            Some(known) if text.len() + known.len() < 4096 => text.push_str(known),
            _ => {
                text.push('$');
                text.push_str(name);
            }
        }
        text.push_str(rest);
    }
    text
}
