//! The sending end: the system's `sftp`, started again while the network is what fails.

use std::{
    io,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{ExitStatus, Stdio},
    sync::atomic::Ordering,
    time::Duration,
};

use tokio::{
    process::{Child, Command},
    time::{Instant, sleep},
};

use super::{
    super::{
        depot::{self, Fault, FlowFolder, fault_of},
        hosted::HostedFlow,
        outcome::{Telling, fault},
    },
    LOOK, Said,
    keys::Pair,
    settings::{self, ALIAS, Client},
    tools::{self, Tool},
};
use crate::{
    model::record::file::FileFault,
    sys::{clock, sock_diag, socket::TcpInfo},
};

/// After a lost connection it is tried again this soon.
const AGAIN: Duration = Duration::from_millis(300);

/// Looks between two states of the connection for the record.
const LOOKS_PER_STATE: u32 = 10;

/// Sends the file of a flow, until it is there or the flow's hours are over.
pub async fn source(hosted: HostedFlow) {
    let mut telling = Telling::new(&hosted);
    match send(&hosted, &mut telling).await {
        Ok(()) => telling.complete(),
        Err(fault) => telling.failed(fault),
    }
}

async fn send(hosted: &HostedFlow, telling: &mut Telling) -> Result<(), Fault> {
    let not_started = |why: String| fault(FileFault::NotStarted, why);
    let program = tools::find(Tool::Sftp).map_err(not_started)?;
    telling.note("the file to send was not written in time".to_owned());
    let file = depot::awaited(hosted).await?;
    let folder = prepare(hosted, &file)?;
    telling.note("the sink did not say where it listens".to_owned());
    loop {
        let offer = match hosted.ask(Instant::now() + Duration::from_secs(2)).await {
            Ok(offer) => offer,
            Err(error) => {
                telling.note(format!("the sink did not say where it listens: {error}"));
                continue;
            }
        };
        let (port, user) = settings::read_offer(&offer).map_err(not_started)?;
        while !hosted.may_send() {
            telling.note("there was no permission to send".to_owned());
            sleep(LOOK).await;
        }
        let client = Client {
            folder: folder.path(),
            to: SocketAddr::new(hosted.flow.peer.ip(), port),
            user: &user,
            from: hosted.shared.binding.addr,
            rate_bps: hosted.flow.rate_bps,
        };
        if session(hosted, telling, &program, &client).await? {
            return Ok(());
        }
        sleep(AGAIN).await;
    }
}

fn prepare(hosted: &HostedFlow, file: &Path) -> Result<FlowFolder, Fault> {
    let disk = |error: io::Error| fault(fault_of(&error), format!("making a folder for sftp: {error}"));
    let folder = hosted.shared.depot.flow_folder(&format!("source-{}", hosted.flow.id)).map_err(disk)?;
    folder.write("key", &Pair::of_client(&hosted.flow.key).private_file()).map_err(disk)?;
    let known = format!("{ALIAS} {}\n", Pair::of_host(&hosted.flow.key).public_line());
    folder.write("known_hosts", &known).map_err(disk)?;
    let batch = settings::batch(file).map_err(|why| fault(FileFault::NotStarted, why))?;
    folder.write("batch", &batch).map_err(disk)?;
    Ok(folder)
}

/// One run of `sftp`. Whether the file is there.
async fn session(
    hosted: &HostedFlow,
    telling: &mut Telling,
    program: &PathBuf,
    client: &Client<'_>,
) -> Result<bool, Fault> {
    let mut command = std::process::Command::new(program);
    command.args(client.arguments()).current_dir(client.folder).env_clear().env("PATH", "/usr/bin:/bin");
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    tools::bind(&mut command, tools::client_identity());
    let mut child = Command::from(command)
        .kill_on_drop(true)
        .spawn()
        .map_err(|error| fault(FileFault::NotStarted, tools::not_started(program, &error)))?;
    let said = Said::of(child.stderr.take());
    let mut watched = Watched::default();
    let status = watch(hosted, telling, client.to, &mut child, &mut watched).await;
    let Some(status) = status else { return Ok(false) };
    let status =
        status.map_err(|error| fault(FileFault::NotStarted, format!("waiting for sftp: {error}")))?;
    let said = said.text().await;
    if status.success() {
        watched.finish(hosted);
        return Ok(true);
    }
    if let Some(why) = killed(status) {
        return Err(fault(FileFault::Killed, why));
    }
    let last = settings::last_line(&said);
    match settings::meaning(&said, watched.began) {
        Some(FileFault::Killed) => Err(fault(FileFault::Killed, "ssh ended without a word: it was killed")),
        Some(kind) => Err(fault(kind, format!("sftp gave up: {last}"))),
        None => {
            telling.note(format!("the connection was lost: {last}"));
            Ok(false)
        }
    }
}

fn killed(status: ExitStatus) -> Option<String> {
    use std::os::unix::process::ExitStatusExt as _;
    status.signal().map(|signal| format!("sftp was ended by signal {signal}"))
}

/// What was seen of one connection.
#[derive(Default)]
struct Watched {
    /// Whether a connection stood at all.
    began: bool,
    counted: u64,
    looks: u32,
    told: TcpInfo,
    now: TcpInfo,
}

/// Looks at the connection until `sftp` ends; `None` where it was ended for want of permission.
async fn watch(
    hosted: &HostedFlow,
    telling: &mut Telling,
    to: SocketAddr,
    child: &mut Child,
    watched: &mut Watched,
) -> Option<io::Result<ExitStatus>> {
    let pid = child.id();
    loop {
        tokio::select! {
            status = child.wait() => return Some(status),
            () = sleep(LOOK) => {}
        }
        match sock_diag::towards(to) {
            Ok(Some(connection)) => {
                telling.note_congestion_control(connection.congestion_control);
                watched.look(hosted, connection.info);
            }
            Ok(None) => {}
            Err(error) => tracing::debug!(%error, "the kernel does not tell of other processes' sockets"),
        }
        if let Some(pid) = pid {
            telling.load.look(pid);
        }
        if !hosted.may_send() {
            telling.note("the permission to send ran out".to_owned());
            // Its death is seen to before anything else is started.
            let _ = child.kill().await;
            return None;
        }
    }
}

impl Watched {
    fn look(&mut self, hosted: &HostedFlow, info: TcpInfo) {
        self.began = true;
        self.now = info;
        self.count(hosted, info.bytes_acked.saturating_sub(1));
        self.looks += 1;
        if self.looks.is_multiple_of(LOOKS_PER_STATE) {
            self.tell_state(hosted);
        }
    }

    /// Acknowledged bytes are ssh's: a little more than the file's.
    fn count(&mut self, hosted: &HostedFlow, bytes: u64) {
        let new = bytes.saturating_sub(self.counted);
        self.counted += new;
        hosted.flow.meter.sent.fetch_add(new, Ordering::Relaxed);
        hosted.shared.note_sent(clock::now_us(), new);
    }

    fn tell_state(&mut self, hosted: &HostedFlow) {
        let before = std::mem::replace(&mut self.told, self.now);
        hosted.flow.meter.tcp.add(|all| all.add(&self.now.since(&before)));
    }

    /// The whole file was acknowledged, also what was between two looks.
    fn finish(&mut self, hosted: &HostedFlow) {
        self.count(hosted, hosted.carriage.file_bytes.unwrap_or(0));
        self.tell_state(hosted);
    }
}
