//! The join file: all that a worker needs to find the coordinator and to know it again.
//!
//! Whether its token is still good is the coordinator's to say, by its own clock.

use std::{
    fs::{self, OpenOptions},
    io::{self, Read, Write},
    net::SocketAddr,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use super::error::WireError;
use crate::model::run::message::SecretHex;

/// The schema that this build writes and reads.
pub const JOIN_SCHEMA: &str = "nicburn.join/1";

/// The longest join file read, in bytes: a certificate and some addresses come to 2 kB.
const JOIN_FILE_MAX_BYTES: u64 = 64 * 1024;

/// All that a worker needs to join a run.
#[derive(Clone, Debug, serde::Serialize, serde::Deserialize)]
pub struct JoinFile {
    /// [`JOIN_SCHEMA`].
    pub schema: String,
    /// The run's name.
    pub run: String,
    /// Where the coordinator listens, tried in order.
    pub addrs: Vec<SocketAddr>,
    /// The certificate of the run's authority, the only one that its workers trust.
    pub ca_pem: String,
    /// Good for joining until the run starts.
    pub token: SecretHex,
    /// When the run's certificates were issued, in seconds since 1970, by the coordinator's
    /// clock. Workers judge its certificate as of this moment: their own clock may be wrong.
    pub issued_at_unix_s: u64,
    /// Until when the token may be good, likewise; for people, and judged by the coordinator.
    pub expires_at_unix_s: u64,
}

impl JoinFile {
    /// Reads and checks the file.
    ///
    /// # Errors
    ///
    /// [`WireError::File`], which says whether it is missing, unreadable, malformed or of
    /// another schema.
    pub fn load(path: &Path) -> Result<Self, WireError> {
        let fault = |why: String| WireError::File { doing: "read the join file", path: path.to_owned(), why };
        let mut text = String::new();
        fs::File::open(path)
            .and_then(|file| file.take(JOIN_FILE_MAX_BYTES + 1).read_to_string(&mut text))
            .map_err(|error| {
                fault(match error.kind() {
                    io::ErrorKind::NotFound => {
                        "there is none; it appears once the coordinator listens, copy it here from there"
                            .to_owned()
                    }
                    io::ErrorKind::PermissionDenied => {
                        "permission denied; it is readable for its owner only, start the worker as that user"
                            .to_owned()
                    }
                    io::ErrorKind::InvalidData => {
                        "it is no text; copy it again from the coordinator".to_owned()
                    }
                    _ => error.to_string(),
                })
            })?;
        if text.len() as u64 > JOIN_FILE_MAX_BYTES {
            return Err(fault(format!(
                "it has more than {JOIN_FILE_MAX_BYTES} bytes, so it is something else"
            )));
        }

        let named: Named = serde_json::from_str(&text).map_err(|error| {
            fault(format!("it is malformed ({error}); copy it again from the coordinator"))
        })?;
        if named.schema != JOIN_SCHEMA {
            return Err(fault(format!(
                "its schema is {:?}, this build reads {JOIN_SCHEMA:?}; use the worker of the coordinator's build",
                named.schema
            )));
        }
        let file: Self = serde_json::from_str(&text).map_err(|error| {
            fault(format!("it is malformed ({error}); copy it again from the coordinator"))
        })?;
        if file.addrs.is_empty() {
            return Err(fault("it names no address; start the coordinator with --advertise ADDR".to_owned()));
        }
        Ok(file)
    }

    /// Writes the file at once and whole, mode 0600: it never appears in part, and the token
    /// is never readable for others. A symbolic link in its place is refused.
    pub fn save(&self, path: &Path) -> Result<(), WireError> {
        let fault =
            |why: String| WireError::File { doing: "write the join file", path: path.to_owned(), why };
        if fs::symlink_metadata(path).is_ok_and(|there| !there.is_file()) {
            return Err(fault("something else than a file lies there, perhaps a link; remove it".to_owned()));
        }
        let text = serde_json::to_string_pretty(self).map_err(|error| fault(error.to_string()))? + "\n";
        write_secret(path, text.as_bytes()).map_err(|error| fault(error.to_string()))
    }
}

/// What every schema of the join file has.
#[derive(serde::Deserialize)]
struct Named {
    schema: String,
}

/// Writes a file of mode 0600 beside `path` and renames it into its place.
pub(super) fn write_secret(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut part = path.as_os_str().to_owned();
    part.push(format!(".{}.part", std::process::id()));
    let part = PathBuf::from(part);
    let written = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&part)
        .and_then(|mut file| {
            file.write_all(bytes)?;
            file.sync_all()
        })
        .and_then(|()| fs::rename(&part, path));
    if written.is_err() {
        // It would only be in the way of the next attempt.
        let _ = fs::remove_file(&part);
    }
    written
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    fn file() -> JoinFile {
        JoinFile {
            schema: JOIN_SCHEMA.to_owned(),
            run: "run-1".to_owned(),
            addrs: vec!["[::1]:7001".parse().unwrap(), "10.0.0.1:7001".parse().unwrap()],
            ca_pem: "PEM".to_owned(),
            token: SecretHex("ab".repeat(32)),
            issued_at_unix_s: 1_700_000_000,
            expires_at_unix_s: 1_700_003_600,
        }
    }

    #[test]
    fn a_join_file_comes_back_and_is_for_its_owner_only() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("join.json");
        file().save(&path).unwrap();
        file().save(&path).unwrap();
        let read = JoinFile::load(&path).unwrap();
        assert_eq!((read.addrs, read.token), (file().addrs, file().token));
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1, "no part is left");
    }

    #[test]
    fn a_link_is_not_followed() {
        let dir = tempfile::tempdir().unwrap();
        let (target, path) = (dir.path().join("target"), dir.path().join("join.json"));
        symlink(&target, &path).unwrap();
        assert!(file().save(&path).unwrap_err().to_string().contains("perhaps a link"));
        assert!(!target.exists());
    }

    #[test]
    fn each_fault_is_named_with_the_way_out() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("join.json");
        let error = || JoinFile::load(&path).unwrap_err().to_string();
        assert!(error().contains("it appears once the coordinator listens"), "{}", error());
        fs::write(&path, "{\"schema\": \"nicburn.join/1\"").unwrap();
        assert!(error().contains("malformed"), "{}", error());
        fs::write(&path, b"\xff\xfe").unwrap();
        assert!(error().contains("no text"), "{}", error());
        fs::write(&path, "{\"schema\": \"nicburn.join/2\"}").unwrap();
        assert!(error().contains("\"nicburn.join/2\""), "{}", error());
        JoinFile { addrs: Vec::new(), ..file() }.save(&path).unwrap();
        assert!(error().contains("--advertise"), "{}", error());
        fs::write(&path, " ".repeat(100_000)).unwrap();
        assert!(error().contains("more than 65536 bytes"), "{}", error());
    }
}
