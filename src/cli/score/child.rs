//! One run of the scoreboard as a process: what it says is heard as it says it, and it is
//! stopped as the scoreboard is. What its words mean is `lab::score`'s.

use std::{
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::Context as _;
use rustix::process::{Pid, Signal, kill_process};
use tokio::{
    io::{AsyncBufReadExt as _, BufReader},
    net::unix::pipe,
    process::Child,
};

use crate::{
    cli::{failure::Failure, output, signals::Signals},
    lab::score::Heard,
    sys::contained,
};

/// The longest that one run may take: the whole of `accept` with confirmation, twice.
const RUN_MAX: Duration = Duration::from_secs(420);

/// Starts runs one after the other, and minds the signals that come meanwhile.
pub(super) struct Runner {
    runtime: tokio::runtime::Runtime,
    signals: Signals,
}

/// What a run said.
pub(super) struct Said {
    pub(super) heard: Heard,
    pub(super) log: String,
    /// Somebody wanted the scoreboard to end: the run stopped before its own end.
    pub(super) stopped: bool,
}

impl Runner {
    pub(super) fn new() -> Result<Self, Failure> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .context("cannot start a runtime")
            .map_err(Failure::failed)?;
        let signals = runtime.block_on(async { Signals::caught() })?;
        Ok(Self { runtime, signals })
    }

    /// Runs a command to its end.
    pub(super) fn run(&mut self, command: Command) -> Result<Said, Failure> {
        self.runtime
            .block_on(listen(command, &mut self.signals))
            .context("cannot start a run, or hear it")
            .map_err(Failure::failed)
    }
}

async fn listen(mut command: Command, signals: &mut Signals) -> std::io::Result<Said> {
    let (said, into) = std::io::pipe()?;
    command.stdin(Stdio::null()).stdout(into.try_clone()?).stderr(into);
    contained::tie(&mut command);
    // A Ctrl-C is for the scoreboard, which passes it on; twice would mean to give up.
    std::os::unix::process::CommandExt::process_group(&mut command, 0);
    let mut command = tokio::process::Command::from(command);
    let mut child = command.spawn()?;
    // Our own ends of the pipe close with it, so that its end is seen.
    drop(command);
    let mut lines = BufReader::new(pipe::Receiver::from_owned_fd(said.into())?).lines();
    let begin = Instant::now();
    let deadline = tokio::time::sleep(RUN_MAX);
    tokio::pin!(deadline);
    let mut so_far = Said { heard: Heard::default(), log: String::new(), stopped: false };
    loop {
        tokio::select! {
            line = lines.next_line() => {
                let Some(line) = line? else { break };
                so_far.heard.line(&line, begin.elapsed());
                so_far.log.push_str(&line);
                so_far.log.push('\n');
            }
            () = signals.any() => {
                output::note("stopping with the run under way (again to give up on it)");
                so_far.stopped = true;
                ask_to_stop(&child);
            }
            () = &mut deadline => {
                child.start_kill()?;
                break;
            }
        }
    }
    child.wait().await?;
    Ok(so_far)
}

/// As a person would: it removes its lab, and what it measured is left.
fn ask_to_stop(child: &Child) {
    let pid = child.id().and_then(|pid| i32::try_from(pid).ok()).and_then(Pid::from_raw);
    if let Some(pid) = pid {
        // It may have ended just now.
        let _ = kill_process(pid, Signal::TERM);
    }
}
