//! Finding scenarios: a path, a name in ./scenarios, or one that is built in.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::anyhow;

use super::{failure::Failure, files};
use crate::model::plan::{draft, scenario::Scenario};

/// Scenarios that work from anywhere, as they lie in the repository.
const BUILT_IN: &[(&str, &str)] = &[
    ("accept", include_str!("../../scenarios/accept.toml")),
    ("bisection", include_str!("../../scenarios/bisection.toml")),
    ("file-storm", include_str!("../../scenarios/file-storm.toml")),
    ("incast", include_str!("../../scenarios/incast.toml")),
    ("pairs", include_str!("../../scenarios/pairs.toml")),
    ("quick", include_str!("../../scenarios/quick.toml")),
    ("ramp", include_str!("../../scenarios/ramp.toml")),
    ("scp-storm", include_str!("../../scenarios/scp-storm.toml")),
    ("storm", include_str!("../../scenarios/storm.toml")),
];

/// The folder in which names are looked up first.
const FOLDER: &str = "scenarios";

/// Largest scenario file that is read, in bytes: 64 stages need a hundredth of it.
const FILE_MAX_BYTES: u64 = 1 << 20;

/// A scenario's text and what to call it in errors.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) called: String,
    pub(super) text: String,
}

/// Finds what was meant by `asked` without checking it.
pub(super) fn find(asked: &str) -> Result<Found, Failure> {
    let path = Path::new(asked);
    if path.is_file() {
        return from_file(path);
    }
    if is_bare_name(asked) {
        let beside = PathBuf::from(FOLDER).join(format!("{asked}.toml"));
        if beside.is_file() {
            return from_file(&beside);
        }
        if let Some((name, text)) = BUILT_IN.iter().find(|(name, _)| *name == asked) {
            return Ok(Found { called: format!("{name} (built in)"), text: (*text).to_owned() });
        }
    }
    let names: Vec<_> = BUILT_IN.iter().map(|(name, _)| *name).collect();
    Err(Failure::usage(anyhow!("there is no scenario `{asked}`: no such file, and none of that name"))
        .help(format!("name a file, or one of: {}; `nicburn scenario list` shows more", names.join(", "))))
}

/// Finds and checks a scenario; all its faults are in the failure.
pub(super) fn load(asked: &str) -> Result<Scenario, Failure> {
    let found = find(asked)?;
    draft::read(&found.called, &found.text).map_err(Failure::usage)
}

/// A scenario as it was built in, whatever lies in ./scenarios.
pub(super) fn built_in(name: &str) -> Result<Scenario, Failure> {
    let text = BUILT_IN.iter().find(|(known, _)| *known == name).map_or("", |(_, text)| text);
    draft::read(&format!("{name} (built in)"), text).map_err(Failure::failed)
}

/// Every scenario that has a name: where it lies and its first line, sorted by name.
pub(super) fn list() -> Vec<(String, Found)> {
    let mut all: Vec<(String, Found)> = BUILT_IN
        .iter()
        .map(|(name, text)| {
            ((*name).to_owned(), Found { called: "built in".to_owned(), text: (*text).to_owned() })
        })
        .collect();
    for entry in fs::read_dir(FOLDER).into_iter().flatten().flatten() {
        let path = entry.path();
        let named = path.extension().is_some_and(|extension| extension == "toml");
        let stem = path.file_stem().and_then(|stem| stem.to_str()).map(str::to_owned);
        if let (true, Some(stem), Ok(found)) = (named, stem, from_file(&path)) {
            // What lies in the folder is what `run` would take.
            all.retain(|(name, _)| *name != stem);
            all.push((stem, found));
        }
    }
    all.sort_by(|(a, _), (b, _)| a.cmp(b));
    all
}

fn from_file(path: &Path) -> Result<Found, Failure> {
    let bytes = fs::metadata(path).map_or(0, |facts| facts.len());
    if bytes > FILE_MAX_BYTES {
        let error =
            anyhow!("{} is no scenario: it has {bytes} bytes, more than {FILE_MAX_BYTES}", path.display());
        return Err(Failure::usage(error));
    }
    Ok(Found { called: path.display().to_string(), text: files::read(path)? })
}

fn is_bare_name(asked: &str) -> bool {
    !asked.is_empty() && asked.chars().all(|c| c.is_ascii_alphanumeric() || "-_".contains(c))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_found_from_anywhere_and_a_path_is_never_guessed() {
        assert!(find("storm").expect("built in").text.contains("storm"));
        let failure = find("no/such.toml").expect_err("absent");
        assert_eq!(failure.code(), 2);
        assert!(failure.to_string().contains("no/such.toml"), "{failure}");
        assert!(find("../storm").is_err());
        assert!(find("").is_err());
    }
}
