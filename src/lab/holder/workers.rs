//! Worker processes inside the hosts: start, signal, reap.

use std::{
    collections::BTreeMap,
    fs::OpenOptions,
    os::{fd::OwnedFd, unix::process::ExitStatusExt},
    process::{Child, Command, Stdio},
    time::Duration,
};

use rustix::process::{Pid, PidfdFlags, Signal, kill_process, pidfd_open};

use crate::{
    lab::{
        LabError,
        fleet::Fleet,
        protocol::{WorkerStart, WorkerState},
        spec::{LabSpec, host_name},
        tool,
    },
    sys::namespace::spawn_in,
};

/// A killed process is gone as soon as the kernel gets to it.
const KILL_TIME_LIMIT: Duration = Duration::from_secs(2);

/// The workers of a lab, by host.
#[derive(Debug, Default)]
pub(super) struct Workers {
    how: Option<WorkerStart>,
    children: BTreeMap<u16, Child>,
}

impl Workers {
    /// Starts one on every host; those that run already are refused.
    pub(super) fn start_all(
        &mut self,
        how: WorkerStart,
        fleet: &Fleet,
        spec: &LabSpec,
    ) -> Result<(), LabError> {
        self.how = Some(how);
        (1..=spec.hosts).try_for_each(|host| self.start_again(host, fleet, spec))
    }

    /// Starts that of `host` once more.
    pub(super) fn start_again(&mut self, host: u16, fleet: &Fleet, spec: &LabSpec) -> Result<(), LabError> {
        let name = host_name(host);
        let ns = fleet.host(host)?;
        let Some(how) = &self.how else {
            return Err(LabError::Refused("no workers were started in this lab yet".into()));
        };
        if let Some(child) = self.children.get_mut(&host)
            && matches!(child.try_wait(), Ok(None))
        {
            return Err(LabError::Refused(format!(
                "the worker of {name} still runs, as process {}",
                child.id()
            )));
        }
        let log = how.log_dir.join(format!("{name}.log"));
        let stderr = OpenOptions::new().create(true).append(true).open(&log);
        let stderr =
            stderr.map_err(LabError::io(format!("opening the log {} of a worker", log.display())))?;
        let mut command = Command::new(&how.exe);
        command.arg("worker").arg("--join").arg(&how.join_file).args(["--name", &name, "--iface", "eth0"]);
        // All hosts are this one machine: what they measured at once would be nothing of it.
        command.arg("--no-ceiling");
        if spec.racks == 2 {
            command.args(["--label", &format!("rack=r{}", spec.rack(host))]);
        }
        command.args(&how.args).stdin(Stdio::null()).stdout(Stdio::null()).stderr(stderr);
        let child = spawn_in(ns, &mut command)
            .map_err(LabError::io(format!("starting {} as the worker of {name}", how.exe.display())))?;
        self.children.insert(host, child);
        Ok(())
    }

    /// Sends `signal` to the worker of `host`.
    pub(super) fn signal(&self, host: u16, signal: Signal) -> Result<(), LabError> {
        let child = self.child(host)?;
        // Not reaped yet, so the number is still this process's.
        kill_process(Pid::from_child(child), signal).map_err(|error| {
            LabError::io(format!("signalling the worker of {}", host_name(host)))(error.into())
        })
    }

    /// A handle of the worker of `host`, which never comes to mean another process.
    pub(super) fn handle(&self, host: u16) -> Result<OwnedFd, LabError> {
        let child = self.child(host)?;
        // Not reaped yet, so the number is still this process's.
        pidfd_open(Pid::from_child(child), PidfdFlags::empty()).map_err(|error| {
            LabError::io(format!("taking hold of the worker of {}", host_name(host)))(error.into())
        })
    }

    fn child(&self, host: u16) -> Result<&Child, LabError> {
        self.children.get(&host).ok_or_else(|| {
            LabError::Refused(format!("{} has no worker that could be stopped or killed", host_name(host)))
        })
    }

    /// How each is; reaps those that ended.
    pub(super) fn states(&mut self) -> Vec<WorkerState> {
        let state = |(host, child): (&u16, &mut Child)| {
            let ended = child.try_wait().ok().flatten();
            WorkerState {
                host: host_name(*host),
                pid: child.id().cast_signed(),
                exit_code: ended.and_then(|status| status.code()),
                signal: ended.and_then(|status| status.signal()),
            }
        };
        self.children.iter_mut().map(state).collect()
    }

    /// Kills all and waits until they are gone.
    pub(super) fn kill_all(&mut self) {
        for child in self.children.values_mut() {
            // One that ended before needs no killing.
            let _ = child.kill();
        }
        for child in self.children.values_mut() {
            let _ = tool::wait(child, KILL_TIME_LIMIT);
        }
    }
}
