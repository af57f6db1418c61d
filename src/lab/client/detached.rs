//! Labs that live by themselves, found again by their notes in the state folder.

use std::{fs, io, os::unix::net::UnixStream, path::Path};

use super::{Lab, Link, Status};
use crate::lab::{LabError, holder::register_paths};

/// The lab `name`, which was started detached.
pub fn attach(state_dir: &Path, name: &str) -> Result<Lab, LabError> {
    let missing = || LabError::NoSuchLab { name: name.to_owned(), state_dir: state_dir.to_owned() };
    let (note, socket) = register_paths(state_dir, name);
    let text = fs::read_to_string(&note).map_err(|_| missing())?;
    let status: Status = serde_json::from_str(&text)
        .map_err(io::Error::other)
        .map_err(LabError::io(format!("reading {}", note.display())))?;
    // Only a living holder answers a knock.
    UnixStream::connect(&socket).map_err(|_| missing())?;
    Ok(Lab::new(status, Link::Socket { path: socket, call: None }))
}

/// All detached labs that are up, by name. Notes of labs that are not are removed.
pub fn list(state_dir: &Path) -> Result<Vec<Status>, LabError> {
    let entries = match fs::read_dir(state_dir) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => {
            return Err(LabError::io(format!("looking for labs in {}", state_dir.display()))(error));
        }
    };
    let files = entries.flatten().filter_map(|entry| entry.file_name().into_string().ok());
    let mut names: Vec<String> =
        files.filter_map(|file| Some(file.strip_prefix("lab-")?.strip_suffix(".json")?.to_owned())).collect();
    names.sort();
    let mut up = Vec::new();
    for name in names {
        match attach(state_dir, &name) {
            Ok(lab) => match lab.status() {
                Ok(status) => up.push(status),
                // It was ending while it was asked.
                Err(LabError::Io { .. } | LabError::HolderLost { .. }) => {}
                Err(error) => return Err(error),
            },
            Err(LabError::NoSuchLab { .. }) => {
                let (note, socket) = register_paths(state_dir, &name);
                // Another who looks may have removed them first.
                let _ = fs::remove_file(note);
                let _ = fs::remove_file(socket);
            }
            Err(error) => return Err(error),
        }
    }
    Ok(up)
}
