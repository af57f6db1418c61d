//! What sshd and sftp are told, and what their words mean. Pure.

use std::{ffi::OsString, net::SocketAddr, path::Path};

use crate::model::record::file::FileFault;

/// The name under which a source knows its sink's key: addresses tell nothing of a transfer.
pub const ALIAS: &str = "nicburn-sink";

/// The received file's name in the sink's folder.
pub const RECEIVED: &str = "received";

/// What a source may ask of the sink's file server: to write one file, and nothing else.
const REQUESTS: &str = "realpath,stat,lstat,fstat,open,close,write,setstat,fsetstat";

/// A source that connected has to log in within this, seconds.
const LOGIN_S: u32 = 10;

/// The text of an sshd's configuration.
///
/// # Errors
///
/// If a path holds what the configuration cannot hold.
pub fn server(folder: &Path) -> Result<String, String> {
    let folder = plain(folder)?;
    Ok(format!(
        "HostKey {folder}/host_key
AuthorizedKeysFile {folder}/authorized_keys
AuthenticationMethods publickey
PubkeyAuthentication yes
PasswordAuthentication no
KbdInteractiveAuthentication no
PermitRootLogin prohibit-password
UsePAM no
StrictModes no
DisableForwarding yes
PermitTTY no
PermitUserRC no
PermitUserEnvironment no
MaxSessions 1
MaxAuthTries 2
LoginGraceTime {LOGIN_S}
PrintMotd no
PrintLastLog no
UseDNS no
PidFile none
Compression no
Subsystem sftp internal-sftp
ForceCommand internal-sftp -d {folder} -p {REQUESTS}
"
    ))
}

/// A path that sshd's configuration can hold: it splits at spaces and knows `%` and quotes.
pub fn plain(folder: &Path) -> Result<&str, String> {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '/' | '.' | '_' | '-' | '+' | '@' | ',');
    folder.to_str().filter(|text| text.chars().all(plain)).ok_or_else(|| {
        format!(
            "sshd cannot be told the folder {}: its path may hold letters, digits and ._-+@, only; name another with --spool",
            folder.display()
        )
    })
}

/// What a source needs to know to run its client.
#[derive(Clone, Debug)]
pub struct Client<'a> {
    /// Its folder, with its key and the sink's.
    pub folder: &'a Path,
    /// Where the sink listens.
    pub to: SocketAddr,
    /// As whom it logs in there.
    pub user: &'a str,
    /// The card's own address.
    pub from: std::net::IpAddr,
    /// The most that it may send.
    pub rate_bps: Option<u64>,
}

impl Client<'_> {
    /// The arguments of `sftp`. Nothing of the user's or the system's configuration counts.
    pub fn arguments(&self) -> Vec<OsString> {
        let mut arguments: Vec<OsString> = ["-F", "/dev/null", "-P"].iter().map(OsString::from).collect();
        arguments.push(self.to.port().to_string().into());
        if let Some(rate) = self.rate_bps {
            // In kilobits a second; none at all would mean no limit.
            arguments.extend(["-l".into(), (rate / 1000).max(1).to_string().into()]);
        }
        let options = [
            "StrictHostKeyChecking=yes".to_owned(),
            "BatchMode=yes".to_owned(),
            format!("HostKeyAlias={ALIAS}"),
            "CheckHostIP=no".to_owned(),
            "UserKnownHostsFile=known_hosts".to_owned(),
            "GlobalKnownHostsFile=/dev/null".to_owned(),
            "UpdateHostKeys=no".to_owned(),
            "IdentityFile=key".to_owned(),
            "IdentitiesOnly=yes".to_owned(),
            "IdentityAgent=none".to_owned(),
            "PreferredAuthentications=publickey".to_owned(),
            "ControlPath=none".to_owned(),
            "Compression=no".to_owned(),
            "ConnectTimeout=3".to_owned(),
            // A card that is dead for a while is the network's matter: TCP goes on trying.
            "TCPKeepAlive=no".to_owned(),
            format!("BindAddress={}", self.from),
        ];
        for option in options {
            arguments.extend(["-o".into(), option.into()]);
        }
        arguments.extend(["-b".into(), "batch".into()]);
        let host = match self.to.ip() {
            std::net::IpAddr::V4(addr) => addr.to_string(),
            std::net::IpAddr::V6(addr) => format!("[{addr}]"),
        };
        arguments.push(format!("{}@{host}", self.user).into());
        arguments
    }
}

/// The commands that `sftp` carries out.
pub fn batch(file: &Path) -> Result<String, String> {
    Ok(format!("put {} {RECEIVED}\n", plain(file)?))
}

/// Where a sink listens and as whom to log in, as its offer says it.
pub fn offer(port: u16, user: &str) -> String {
    format!("ssh {port} {user}")
}

/// Reads an offer.
///
/// # Errors
///
/// What it lacks.
pub fn read_offer(text: &str) -> Result<(u16, String), String> {
    let wrong = || format!("the sink's offer {text:?} is none of ssh's");
    let mut words = text.split(' ');
    let (Some("ssh"), Some(Ok(port))) = (words.next(), words.next().map(str::parse)) else {
        return Err(wrong());
    };
    let sound = |name: &&str| {
        !name.is_empty()
            && !name.starts_with('-')
            && name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.'))
    };
    let user = words.next().filter(sound).ok_or_else(wrong)?;
    if words.next().is_some() { Err(wrong()) } else { Ok((port, user.to_owned())) }
}

/// What a client's last words mean: a fault that is not the network's, or `None` where the
/// connection was lost or never came about.
pub fn meaning(said: &str, began: bool) -> Option<FileFault> {
    let has = |texts: &[&str]| texts.iter().any(|text| said.contains(text));
    if has(&["Permission denied (", "Host key verification failed", "Too many authentication failures"]) {
        return Some(FileFault::Refused);
    }
    // The far end's disk is its own matter: it knows why, and tells.
    let far = ["write remote", "close remote", "dest open", "remote open"];
    let network = [
        "Connection refused",
        "timed out",
        "reset by",
        "closed by",
        "Broken pipe",
        "No route to host",
        "unreachable",
        "Timeout,",
        "Connection corrupted",
        "kex_exchange_identification",
    ];
    if has(&far) || has(&network) {
        return None;
    }
    if has(&["open local", "read local", "Input/output error"]) {
        return Some(FileFault::Disk);
    }
    // sftp alone says that its connection is gone; ssh, which would know why, is dead.
    if began && has(&["Connection closed", "Connection lost", "Couldn't"]) {
        return Some(FileFault::Killed);
    }
    None
}

/// The last line that a program said, without the banner of its own commands.
pub fn last_line(said: &str) -> &str {
    said.lines().rfind(|line| !line.trim().is_empty() && *line != "Connection closed").map_or("", str::trim)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn an_offer_is_read_back_and_others_are_refused() {
        assert_eq!(read_offer(&offer(5022, "nobody")), Ok((5022, "nobody".to_owned())));
        for bad in [
            "",
            "ssh",
            "ssh 5022",
            "ssh x nobody",
            "ssh 70000 nobody",
            "file 1 2",
            "ssh 1 -oX",
            "ssh 1 a b",
            "ssh 1 a;b",
        ] {
            assert!(read_offer(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_path_that_sshd_would_misread_is_refused_with_the_way_out() {
        assert!(server(Path::new("/var/spool/nicburn/files-1/f")).is_ok());
        for bad in ["/my spool/x", "/a%b", "/a\"b", "/a\nPermitRootLogin yes", "/ä"] {
            let why = server(Path::new(bad)).expect_err(bad);
            assert!(why.contains("--spool"), "{why}");
        }
    }

    #[test]
    fn words_of_the_client_are_told_apart() {
        let cases = [
            (
                "nobody@10.0.0.1: Permission denied (publickey).\nConnection closed\n",
                true,
                Some(FileFault::Refused),
            ),
            ("Host key verification failed.\nConnection closed\n", false, Some(FileFault::Refused)),
            ("ssh: connect to host 10.0.0.1 port 5: Connection refused\nConnection closed\n", false, None),
            ("client_loop: send disconnect: Broken pipe\nConnection closed\n", true, None),
            ("Connection to 10.0.0.1 closed by remote host.\nConnection closed\n", true, None),
            ("Connection closed\n", true, Some(FileFault::Killed)),
            ("Connection closed\n", false, None),
            ("write remote \"/x/received\": Failure\n", true, None),
        ];
        for (said, began, fault) in cases {
            assert_eq!(meaning(said, began), fault, "{said}");
        }
        assert_eq!(last_line("a\nb: why\nConnection closed\n"), "b: why");
    }

    proptest! {
        #[test]
        fn no_text_makes_a_reader_panic(text in any::<String>()) {
            let _ = read_offer(&text);
            let _ = meaning(&text, true);
            let _ = last_line(&text);
        }
    }
}
