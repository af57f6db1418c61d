//! Where OpenSSH is, and as whom its server runs.

use std::{
    io,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use crate::sys::contained::{self, Identity};

/// Where programs of system administration lie, whatever `PATH` says.
const PLACES: [&str; 6] = ["/usr/sbin", "/usr/bin", "/usr/local/sbin", "/usr/local/bin", "/sbin", "/bin"];

/// Where an sshd that was started by root confines its unprivileged part.
const PRIVSEP: &str = "/run/sshd";

/// What a flow's end needs.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Tool {
    /// The server, and `ssh-keygen`'s format is our own.
    Sshd,
    /// The client that moves files.
    Sftp,
    /// What `sftp` runs.
    Ssh,
}

impl Tool {
    const fn name(self) -> &'static str {
        match self {
            Self::Sshd => "sshd",
            Self::Sftp => "sftp",
            Self::Ssh => "ssh",
        }
    }

    const fn package(self) -> &'static str {
        match self {
            Self::Sshd => "openssh-server",
            Self::Sftp | Self::Ssh => "openssh-client (openssh-clients on Fedora and its kin)",
        }
    }
}

/// Where a tool is, or which package lacks.
///
/// # Errors
///
/// The text for whoever started the run.
pub fn find(tool: Tool) -> Result<PathBuf, String> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let places: Vec<PathBuf> = PLACES.iter().map(PathBuf::from).chain(std::env::split_paths(&path)).collect();
    find_in(&places, tool)
}

fn find_in(places: &[PathBuf], tool: Tool) -> Result<PathBuf, String> {
    let found = places.iter().map(|place| place.join(tool.name())).find(|path| path.is_file());
    found.ok_or_else(|| format!("{} is not installed: install {}", tool.name(), tool.package()))
}

/// As whom the server runs, and how.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ServerUser {
    /// The name under which clients log in.
    pub name: String,
    /// Contained, as this user; `None` where the machine does not let programs be contained.
    pub identity: Option<Identity>,
}

/// As whom the server runs here: as `nobody`, contained and without any rights. Where that
/// is not to be had, as the worker's own user.
///
/// # Errors
///
/// The text for whoever started the run.
pub fn server_user() -> Result<ServerUser, String> {
    if contained::is_possible() {
        let text = std::fs::read_to_string("/etc/passwd")
            .map_err(|error| format!("cannot read /etc/passwd, which sshd needs: {error}"))?;
        if let Some(identity) = identity_of("nobody", &text) {
            return Ok(ServerUser { name: "nobody".to_owned(), identity: Some(identity) });
        }
    }
    make_privsep()?;
    let own = Command::new("id").arg("-un").stdin(Stdio::null()).output();
    let name = own.map(|done| String::from_utf8_lossy(&done.stdout).trim().to_owned());
    match name {
        Ok(name) if !name.is_empty() => Ok(ServerUser { name, identity: None }),
        Ok(_) => Err("this worker's user has no name, and sshd needs one: add it to /etc/passwd".to_owned()),
        Err(error) => Err(format!("cannot tell this worker's user, which sshd needs: {error}")),
    }
}

/// Makes the folder that an sshd needs which root starts.
///
/// # Errors
///
/// The text for whoever started the run.
pub fn make_privsep() -> Result<(), String> {
    if rustix::process::geteuid().is_root() && !Path::new(PRIVSEP).is_dir() {
        std::fs::create_dir(PRIVSEP)
            .map_err(|error| format!("sshd needs the folder {PRIVSEP}, and it cannot be made: {error}"))?;
    }
    Ok(())
}

/// A user's numbers in the text of `/etc/passwd`.
fn identity_of(name: &str, text: &str) -> Option<Identity> {
    text.lines().find_map(|line| {
        let mut fields = line.split(':');
        (fields.next()? == name).then_some(())?;
        let (uid, gid) = (fields.nth(1)?.parse().ok()?, fields.next()?.parse().ok()?);
        // sshd treats user 0 as root, whatever its name.
        (uid != 0).then_some(Identity { uid, gid })
    })
}

/// Lets a program of a transfer die with it.
pub fn bind(command: &mut Command, identity: Option<Identity>) {
    match identity {
        Some(identity) => contained::contain(command, identity),
        None => contained::tie(command),
    }
}

/// As whom a client runs: it must be somebody known to it.
pub fn client_identity() -> Option<Identity> {
    contained::is_possible().then(Identity::own)
}

/// Everything that an end of a `scp` flow needs is here.
///
/// # Errors
///
/// The text for whoever started the run.
pub fn check(sends: bool, receives: bool) -> Result<(), String> {
    if sends {
        find(Tool::Sftp)?;
        find(Tool::Ssh)?;
    }
    if receives {
        find(Tool::Sshd)?;
        server_user()?;
    }
    Ok(())
}

/// What it means that a program could not be started.
pub fn not_started(program: &Path, error: &io::Error) -> String {
    format!("{} could not be started: {error}", program.display())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_tool_is_told_with_its_package() {
        let empty = tempfile::tempdir().expect("a folder");
        let places = [empty.path().to_owned()];
        for (tool, package) in
            [(Tool::Sshd, "openssh-server"), (Tool::Sftp, "openssh-client"), (Tool::Ssh, "openssh-client")]
        {
            let why = find_in(&places, tool).expect_err("nothing is there");
            assert!(why.contains("is not installed: install ") && why.contains(package), "{why}");
            std::fs::write(empty.path().join(tool.name()), "").expect("written");
            assert!(find_in(&places, tool).is_ok());
        }
    }

    #[test]
    fn a_user_is_read_from_its_line_and_root_is_none() {
        let text = "root:x:0:0::/root:/bin/sh\nbroken\nnobody:x:65534:65533:n:/:/x\nfake:x:0:1::/:/x\n";
        assert_eq!(identity_of("nobody", text), Some(Identity { uid: 65534, gid: 65533 }));
        for none in ["root", "fake", "broken", "who"] {
            assert_eq!(identity_of(none, text), None, "{none}");
        }
    }
}
