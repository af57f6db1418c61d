//! Stopping a run from another terminal: a unix socket beside the run's state.
//!
//! One line in, one line out: `status`, or `stop`, which is what the first Ctrl-C does. Who
//! may do it is settled by the folder's rights (0700) and the socket's (0600).

use std::{
    fs, io,
    io::{BufRead, BufReader, Read, Write},
    os::unix::{fs::PermissionsExt, net::UnixStream},
    path::{Path, PathBuf},
    time::Duration,
};

use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt},
    net::UnixListener,
    sync::{mpsc, watch},
    time::timeout,
};

/// A line and its answer; both ends are on one machine.
const ANSWER_MAX: Duration = Duration::from_secs(2);

/// The longest line either end reads.
const LINE_MAX_BYTES: u64 = 512;

/// A run that is under way on this machine.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Live {
    /// Its name.
    pub run: String,
    /// What it says of itself, one line.
    pub status: String,
}

/// Why no run was stopped.
#[derive(Debug, thiserror::Error)]
pub enum StopError {
    /// Nothing to stop.
    #[error("no run is under way here ({}); runs of other machines are stopped there", .0.display())]
    None(PathBuf),
    /// Not this one.
    #[error("no run {0} is under way; under way: {1}")]
    Unknown(String, String),
    /// Which one?
    #[error("{0} runs are under way; name one of {1}")]
    Several(usize, String),
    /// It is there, but does not answer as it should.
    #[error("cannot stop run {run}: {why}; interrupt its process instead")]
    Failed {
        /// Which.
        run: String,
        /// What happened.
        why: String,
    },
}

/// The runs under way in `state_dir`, by name. Sockets that dead runs left are removed.
pub fn list(state_dir: &Path) -> Vec<Live> {
    let Ok(entries) = fs::read_dir(state_dir.join("runs")) else { return Vec::new() };
    let mut found = Vec::new();
    for path in entries.flatten().map(|entry| entry.path()) {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let Some(run) = name.strip_suffix(".sock").map(str::to_owned) else { continue };
        match ask(&path, "status") {
            Ok(status) => found.push(Live { run, status }),
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
                // Nobody listens: the process died without cleaning up.
                let _ = fs::remove_file(&path);
                let _ = fs::remove_dir_all(path.with_extension(""));
            }
            Err(error) => found.push(Live { run, status: format!("does not answer: {error}") }),
        }
    }
    found.sort_by(|a, b| a.run.cmp(&b.run));
    found
}

/// Asks `run`, or the only one under way, to stop; its name.
pub fn stop(state_dir: &Path, run: Option<&str>) -> Result<String, StopError> {
    let live = list(state_dir);
    let names = || live.iter().map(|live| live.run.as_str()).collect::<Vec<_>>().join(", ");
    let run = match (run, &live[..]) {
        (_, []) => return Err(StopError::None(state_dir.to_owned())),
        (None, [only]) => only.run.clone(),
        (None, several) => return Err(StopError::Several(several.len(), names())),
        (Some(run), live) if live.iter().any(|live| live.run == run) => run.to_owned(),
        (Some(run), _) => return Err(StopError::Unknown(run.to_owned(), names())),
    };
    match ask(&state_dir.join("runs").join(format!("{run}.sock")), "stop") {
        Ok(_) => Ok(run),
        Err(error) => Err(StopError::Failed { run, why: error.to_string() }),
    }
}

fn ask(socket: &Path, line: &str) -> io::Result<String> {
    let stream = UnixStream::connect(socket)?;
    stream.set_read_timeout(Some(ANSWER_MAX))?;
    stream.set_write_timeout(Some(ANSWER_MAX))?;
    (&stream).write_all(format!("{line}\n").as_bytes())?;
    let mut answer = String::new();
    BufReader::new(stream.take(LINE_MAX_BYTES)).read_line(&mut answer)?;
    if answer.is_empty() {
        return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "no answer"));
    }
    Ok(answer.trim_end().to_owned())
}

/// The run's end: bound before anything is sent, so that a run can always be stopped.
#[derive(Debug)]
pub(super) struct StopSocket {
    listener: UnixListener,
}

/// Answers on the socket until dropped.
#[derive(Debug)]
pub(super) struct StopServer {
    /// One message for each `stop`.
    pub(super) asked: mpsc::Receiver<()>,
    /// What `status` answers.
    pub(super) status: watch::Sender<String>,
    task: tokio::task::JoinHandle<()>,
}

impl Drop for StopServer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl StopSocket {
    pub(super) fn bind(path: &Path) -> io::Result<Self> {
        let listener = UnixListener::bind(path)?;
        fs::set_permissions(path, fs::Permissions::from_mode(0o600))?;
        Ok(Self { listener })
    }

    pub(super) fn serve(self) -> StopServer {
        let (tell, asked) = mpsc::channel(1);
        let (status, present) = watch::channel("waiting for workers".to_owned());
        let task = tokio::spawn(async move {
            loop {
                match self.listener.accept().await {
                    // One caller at a time, each for 2 s at most: they are people.
                    Ok((stream, _)) => {
                        let answered = answer(stream, &tell, &present);
                        if let Ok(Err(error)) = timeout(ANSWER_MAX, answered).await {
                            tracing::debug!(%error, "stop socket");
                        }
                    }
                    Err(error) => {
                        tracing::warn!(%error, "stop socket");
                        tokio::time::sleep(Duration::from_millis(100)).await; // Or a lack of descriptors spins.
                    }
                }
            }
        });
        StopServer { asked, status, task }
    }
}

async fn answer(
    mut stream: tokio::net::UnixStream,
    tell: &mpsc::Sender<()>,
    status: &watch::Receiver<String>,
) -> io::Result<()> {
    let mut line = String::new();
    let (read, mut write) = stream.split();
    tokio::io::BufReader::new(read.take(LINE_MAX_BYTES)).read_line(&mut line).await?;
    let answer = match line.trim_end() {
        "status" => status.borrow().clone(),
        "stop" => {
            // Full: it was asked already, which is as good.
            let _ = tell.try_send(());
            "stopping".to_owned()
        }
        _ => "unknown; say status or stop".to_owned(),
    };
    write.write_all(format!("{answer}\n").as_bytes()).await
}

#[cfg(test)]
mod tests {
    use super::*;

    fn serve(state: &Path, run: &str) -> StopServer {
        fs::create_dir_all(state.join("runs")).expect("a folder");
        StopSocket::bind(&state.join(format!("runs/{run}.sock"))).expect("bound").serve()
    }

    async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
        tokio::task::spawn_blocking(work).await.expect("no panic")
    }

    #[tokio::test]
    async fn the_only_run_is_listed_with_its_status_and_stopped_without_a_name() {
        let state = tempfile::tempdir().expect("a folder");
        let mut server = serve(state.path(), "one");
        server.status.send_replace("running storm".to_owned());
        let dir = state.path().to_owned();
        let (live, stopped) = blocking(move || (list(&dir), stop(&dir, None))).await;
        assert_eq!(live, [Live { run: "one".to_owned(), status: "running storm".to_owned() }]);
        assert_eq!(stopped.expect("stopped"), "one");
        assert_eq!(server.asked.recv().await, Some(()));
    }

    #[tokio::test]
    async fn of_several_runs_one_must_be_named_and_the_others_go_on() {
        let state = tempfile::tempdir().expect("a folder");
        let (mut one, mut two) = (serve(state.path(), "one"), serve(state.path(), "two"));
        let dir = state.path().to_owned();
        let [unnamed, wrong, right] =
            blocking(move || [None, Some("three"), Some("two")].map(|run| stop(&dir, run))).await;
        assert_eq!(unnamed.expect_err("which").to_string(), "2 runs are under way; name one of one, two");
        assert!(wrong.expect_err("none such").to_string().starts_with("no run three"));
        assert_eq!(right.expect("stopped"), "two");
        assert!(two.asked.recv().await.is_some());
        assert!(one.asked.try_recv().is_err());
    }

    #[test]
    fn the_socket_of_a_dead_run_is_cleaned_away() {
        let state = tempfile::tempdir().expect("a folder");
        fs::create_dir(state.path().join("runs")).expect("a folder");
        let path = state.path().join("runs/dead.sock");
        drop(std::os::unix::net::UnixListener::bind(&path).expect("bound"));
        assert!(path.exists());
        assert!(matches!(stop(state.path(), None), Err(StopError::None(_))));
        assert!(!path.exists());
    }
}
