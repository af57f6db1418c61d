//! A plain `scp`, as anybody runs it, to an `sshd` of its own: what our transport `scp` is held
//! against. Same file, same folder's disk, same keys' kind; nothing looks at it meanwhile.

use std::{
    io,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};

use super::{
    child::{Listens, Running},
    error::BenchError,
    metric::Run,
    ours::key,
    peers::REST,
    place::End,
};
use crate::worker::transfer::{
    depot::{Depot, FlowFolder},
    payload::Payload,
    scp::{
        keys::Pair,
        settings::{ALIAS, RECEIVED},
        tools::{self, Tool},
    },
};

/// The port its server waits on, in a namespace of its own.
const PORT: u16 = 5022;

/// The client's command, as a person would type it.
pub(super) fn told(server: std::net::IpAddr) -> String {
    super::child::told(&client(Path::new("FILE"), Path::new("."), SocketAddr::new(server, PORT)))
}

/// The version of OpenSSH, in its own words.
pub(super) fn version() -> String {
    let said = Command::new("ssh").arg("-V").output();
    said.map_or_else(
        |error| format!("absent: {error}"),
        |said| String::from_utf8_lossy(&said.stderr).trim().to_owned(),
    )
}

/// Copies a file of so many bytes once.
pub(super) fn copy(
    source: &End<'_>,
    sink: &End<'_>,
    allowed: Option<&[usize]>,
    bytes: u64,
    for_s: u32,
) -> Result<Run, BenchError> {
    let sshd = tools::find(Tool::Sshd).map_err(BenchError::Absent)?;
    tools::find(Tool::Ssh).map_err(BenchError::Absent)?;
    let preparing = || BenchError::io("preparing a file and keys for scp");
    let depot = Depot::new(&std::env::temp_dir());
    let payload = key().and_then(|key| Payload::new(&key)).map_err(preparing())?;
    let file = depot.stock_now(&payload, bytes).map_err(preparing())?;
    let folder = depot.flow_folder("plain").map_err(preparing())?;
    let at = SocketAddr::new(sink.addr, PORT);
    let config = prepare(&folder, at).map_err(preparing())?;
    let mut server = Command::new(sshd);
    server.args(["-D", "-e", "-f"]).arg(config);
    let server = Running::start(sink.ns, allowed, server, "")?;
    server.listens(Listens::Tcp, PORT, REST)?;
    let mut client = client(&file, folder.path(), at);
    client.current_dir(folder.path());
    let begun = Instant::now();
    let client = Running::start(source.ns, allowed, client, "")?;
    let client = client.finish(Duration::from_secs(u64::from(for_s)) + REST)?;
    let took = begun.elapsed();
    let arrived = std::fs::metadata(folder.join(RECEIVED)).map_err(preparing())?.len();
    if arrived != bytes {
        return Err(BenchError::End(format!("scp moved {arrived} of {bytes} bytes")));
    }
    let server = server.finish_without_children(REST)?;
    Ok(Run {
        bytes,
        for_s: took.as_secs_f64(),
        source_cpu_s: client.cpu_s,
        sink_cpu_s: server.cpu_s,
        ..Run::default()
    })
}

/// Keys of both ends, and the server's configuration.
fn prepare(folder: &FlowFolder, at: SocketAddr) -> io::Result<PathBuf> {
    let key = key()?;
    let (host, client) = (Pair::of_host(&key), Pair::of_client(&key));
    folder.write("host_key", &host.private_file())?;
    folder.write("key", &client.private_file())?;
    folder.write("known_hosts", &format!("{ALIAS} {}\n", host.public_line()))?;
    folder.write("authorized_keys", &format!("{}\n", client.public_line()))?;
    tools::make_privsep().map_err(io::Error::other)?;
    let path = folder.path().display();
    folder.write(
        "config",
        &format!(
            "Port {}\nListenAddress {}\nHostKey {path}/host_key\nAuthorizedKeysFile {path}/authorized_keys\n\
             PermitRootLogin prohibit-password\nUsePAM no\nStrictModes no\nUseDNS no\nPidFile none\n\
             Subsystem sftp internal-sftp\n",
            at.port(),
            at.ip()
        ),
    )
}

fn client(file: &Path, folder: &Path, to: SocketAddr) -> Command {
    let mut command = Command::new("scp");
    command.args(["-q", "-F", "/dev/null", "-i", "key", "-P", &to.port().to_string()]);
    for option in [
        "BatchMode=yes",
        "StrictHostKeyChecking=yes",
        "UserKnownHostsFile=known_hosts",
        &format!("HostKeyAlias={ALIAS}"),
    ] {
        command.args(["-o", option]);
    }
    command.arg(file).arg(format!("root@{}:{}", to.ip(), folder.join(RECEIVED).display()));
    command
}
