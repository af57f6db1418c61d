//! The receiving end: an sshd of its own for each connection, and the file that grows.

use std::{
    io,
    os::fd::OwnedFd,
    path::{Path, PathBuf},
    process::{ExitStatus, Stdio},
    sync::atomic::Ordering,
    time::Duration,
};

use socket2::Socket;
use tokio::{
    process::{Child, Command},
    time::{Instant, MissedTickBehavior, interval},
};

use super::{
    super::{
        depot::{Fault, FlowFolder, fault_of, free_bytes},
        door::Door,
        hosted::HostedFlow,
        outcome::{Telling, compare, fault},
    },
    LOOK, Said,
    keys::Pair,
    settings,
    tools::{self, ServerUser, Tool},
};
use crate::{model::record::file::FileFault, sys::contained};

/// The file's length is read this often: a slot of 100 ms is then cut to a tenth.
const GROWTH: Duration = Duration::from_millis(10);

/// With less room than this a disk is full: a file server does not say why it failed.
const FULL_BYTES: u64 = 256 * 1024;

/// Receives the file of a flow, until it is there or the flow's hours are over.
pub async fn sink(hosted: HostedFlow) {
    let mut telling = Telling::new(&hosted);
    if let Err(fault) = receive(&hosted, &mut telling).await {
        telling.failed(fault);
    }
}

struct Server {
    folder: FlowFolder,
    config: PathBuf,
    program: PathBuf,
    user: ServerUser,
    file_bytes: u64,
}

impl Server {
    fn prepare(hosted: &HostedFlow) -> Result<Self, Fault> {
        let not_started = |why: String| fault(FileFault::NotStarted, why);
        let program = tools::find(Tool::Sshd).map_err(not_started)?;
        let user = tools::server_user().map_err(not_started)?;
        let disk = |error: io::Error| fault(fault_of(&error), format!("making a folder for sshd: {error}"));
        let folder = hosted.shared.depot.flow_folder(&format!("sink-{}", hosted.flow.id)).map_err(disk)?;
        folder.write("host_key", &Pair::of_host(&hosted.flow.key).private_file()).map_err(disk)?;
        let allowed = Pair::of_client(&hosted.flow.key).public_line();
        folder.write("authorized_keys", &format!("restrict {allowed}\n")).map_err(disk)?;
        let config = settings::server(folder.path()).map_err(not_started)?;
        let config = folder.write("config", &config).map_err(disk)?;
        let file_bytes = hosted.carriage.file_bytes.unwrap_or(0);
        Ok(Self { folder, config, program, user, file_bytes })
    }

    fn received(&self) -> PathBuf {
        self.folder.join(settings::RECEIVED)
    }

    /// An sshd for one connection; it dies with this thread, and all of it when it dies.
    fn start(&self, connection: &Socket) -> io::Result<Child> {
        let end = || connection.try_clone().map(OwnedFd::from);
        let mut command = std::process::Command::new(&self.program);
        command.args(["-i", "-e", "-f"]).arg(&self.config).env_clear();
        command.stdin(Stdio::from(end()?)).stdout(Stdio::from(end()?)).stderr(Stdio::piped());
        contained::bound_files(&mut command, self.file_bytes);
        tools::bind(&mut command, self.user.identity);
        Command::from(command).kill_on_drop(true).spawn()
    }
}

async fn receive(hosted: &HostedFlow, telling: &mut Telling) -> Result<(), Fault> {
    let server = Server::prepare(hosted)?;
    let listen = |error: io::Error| fault(FileFault::NotStarted, error.to_string());
    let door = Door::open(hosted).map_err(listen)?;
    hosted.offer(settings::offer(door.port, &server.user.name));
    telling.note("no source ever connected".to_owned());
    loop {
        let connection = door.next(hosted).await.map_err(listen)?;
        if session(&server, hosted, telling, &connection).await? {
            return Ok(());
        }
    }
}

/// One connection, from its first to its last byte. Whether the file is complete.
async fn session(
    server: &Server,
    hosted: &HostedFlow,
    telling: &mut Telling,
    connection: &Socket,
) -> Result<bool, Fault> {
    // What a lost connection has left was received, and is not counted twice.
    let _ = std::fs::remove_file(server.received());
    let started = server.start(connection);
    let mut child =
        started.map_err(|error| fault(FileFault::NotStarted, tools::not_started(&server.program, &error)))?;
    let said = Said::of(child.stderr.take());
    let began = Instant::now();
    let (status, length) = watch(server, hosted, telling, &mut child).await;
    // Whoever sends to a dead sshd is to notice.
    let _ = connection.shutdown(std::net::Shutdown::Both);
    let said = said.text().await;
    if length == server.file_bytes {
        telling.complete();
        compare(telling, server.received(), server.file_bytes).await;
        return Ok(true);
    }
    let status =
        status.map_err(|error| fault(FileFault::NotStarted, format!("waiting for sshd: {error}")))?;
    if let Some(fault) = ended(server, &said, status, began.elapsed()) {
        return Err(fault);
    }
    telling.note(format!("the connection was lost: {}", settings::last_line(&said)));
    Ok(false)
}

/// Counts the growing file and looks at the processes until sshd ends.
async fn watch(
    server: &Server,
    hosted: &HostedFlow,
    telling: &mut Telling,
    child: &mut Child,
) -> (io::Result<ExitStatus>, u64) {
    let path = server.received();
    let pid = child.id();
    let mut growth = interval(GROWTH);
    growth.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let mut look_at = Instant::now();
    let mut counted = 0;
    let status = loop {
        tokio::select! {
            status = child.wait() => break status,
            _ = growth.tick() => count(&path, &mut counted, hosted),
        }
        if counted == server.file_bytes {
            telling.is_through();
        }
        if let Some(pid) = pid.filter(|_| Instant::now() >= look_at) {
            telling.load.look(pid);
            look_at += LOOK;
        }
    };
    count(&path, &mut counted, hosted);
    (status, counted)
}

/// Adds what a file has grown.
fn count(path: &Path, counted: &mut u64, hosted: &HostedFlow) {
    let Ok(seen) = std::fs::metadata(path) else { return };
    hosted.flow.meter.received.fetch_add(seen.len().saturating_sub(*counted), Ordering::Relaxed);
    *counted = seen.len().max(*counted);
}

/// What an sshd's end means where the file is not complete; `None` where the connection ended.
fn ended(server: &Server, said: &str, status: ExitStatus, after: Duration) -> Option<Fault> {
    use std::os::unix::process::ExitStatusExt as _;
    if let Some(signal) = status.signal() {
        return Some(fault(FileFault::Killed, format!("sshd was ended by signal {signal}")));
    }
    if free_bytes(server.folder.path()).is_ok_and(|free| free < FULL_BYTES) {
        let why = format!(
            "no space left in {}; make room, name another folder with --spool, or write a smaller `file`",
            server.folder.path().display()
        );
        return Some(fault(FileFault::DiskFull, why));
    }
    let refused = ["Bad configuration", "no hostkeys available", "Missing privilege separation", "fatal:"];
    let at_once = after < Duration::from_secs(1) && refused.iter().any(|text| said.contains(text));
    at_once
        .then(|| fault(FileFault::NotStarted, format!("sshd does not start: {}", settings::last_line(said))))
}
