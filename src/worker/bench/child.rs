//! A program running in a namespace, with a deadline, reaped with what it cost.

use std::{
    fs::File,
    io::{Read as _, Seek as _, Write as _},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use rustix::fs::{MemfdFlags, memfd_create};

use super::error::BenchError;
use crate::sys::{
    family::family,
    namespace::{NetNs, spawn_in},
    process::{Reaped, confine, cores, reap_until},
};

/// What is kept of a program's output, bytes: the longest seen, iperf3's, is 10 kB.
const OUTPUT_BYTES_MAX: u64 = 4 * 1024 * 1024;

/// What is kept of a program's complaint, bytes.
const COMPLAINT_BYTES_MAX: u64 = 2000;

/// How often a port is looked at: nothing tells when another process listens.
const LOOK_EVERY: Duration = Duration::from_millis(2);

/// A running program. Dropped, it is killed.
pub(super) struct Running {
    program: String,
    child: Child,
    reaped: bool,
    stdout: File,
    stderr: File,
}

/// A program that ended.
pub(super) struct Ended {
    /// What it printed.
    pub stdout: String,
    /// Time on a core, seconds.
    pub cpu_s: f64,
}

/// Which table of the kernel names a port.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Listens {
    Tcp,
    Udp,
}

impl Running {
    /// Starts `command` in `ns`, on `allowed` cores where they are given.
    pub(super) fn start(
        ns: &NetNs,
        allowed: Option<&[usize]>,
        mut command: Command,
        stdin: &str,
    ) -> Result<Self, BenchError> {
        let program = told(&command);
        let failed = |doing: &str| BenchError::io(format!("{doing} `{program}`"));
        // Files in memory instead of pipes: neither side can then wait for the other.
        let file = || memfd_create("nicburn-bench", MemfdFlags::CLOEXEC).map(File::from);
        let (mut input, stdout, stderr) = (|| Ok((file()?, file()?, file()?)))()
            .map_err(|error: rustix::io::Errno| failed("making files in memory for")(error.into()))?;
        let prepared = (|| {
            input.write_all(stdin.as_bytes())?;
            input.rewind()?;
            Ok((stdout.try_clone()?, stderr.try_clone()?))
        })();
        let (out, err) = prepared.map_err(failed("preparing files in memory for"))?;
        command.stdin(input).stdout(out).stderr(err).env("LC_ALL", "C");
        let before = cores().map_err(failed("reading the cores for"))?;
        if let Some(allowed) = allowed {
            // The child inherits them; the parent takes its own back.
            confine(None, allowed).map_err(failed("choosing cores for"))?;
        }
        let child = spawn_in(ns, &mut command);
        confine(None, &before).map_err(failed("giving back the cores of"))?;
        let child = child.map_err(failed("starting"))?;
        Ok(Self { program, child, reaped: false, stdout, stderr })
    }

    /// Waits until it listens on `port`.
    pub(super) fn listens(&self, how: Listens, port: u16, limit: Duration) -> Result<(), BenchError> {
        let path = format!("/proc/{}/net/", self.child.id());
        let tables = match how {
            Listens::Tcp => ["tcp", "tcp6"],
            Listens::Udp => ["udp", "udp6"],
        };
        self.awaits("listen", limit, || {
            Ok(tables.iter().any(|table| {
                std::fs::read_to_string(format!("{path}{table}"))
                    .is_ok_and(|text| has_listener(&text, how, port))
            }))
        })
    }

    /// Looks again and again until something is so, or `limit` is over.
    fn awaits(
        &self,
        what: &'static str,
        limit: Duration,
        mut is_so: impl FnMut() -> Result<bool, BenchError>,
    ) -> Result<(), BenchError> {
        let deadline = Instant::now() + limit;
        while !is_so()? {
            if Instant::now() >= deadline {
                return Err(BenchError::Late { program: self.program.clone(), what, limit });
            }
            std::thread::sleep(LOOK_EVERY);
        }
        Ok(())
    }

    /// Waits for its end.
    pub(super) fn finish(mut self, limit: Duration) -> Result<Ended, BenchError> {
        let reaped = self.reap(limit)?;
        if !reaped.status.success() {
            let complaint = self.complaint();
            return Err(BenchError::Ended {
                program: self.program.clone(),
                status: reaped.status.to_string(),
                complaint: if complaint.is_empty() { complaint } else { format!(": {complaint}") },
            });
        }
        Ok(Ended { stdout: self.output()?, cpu_s: reaped.cpu.as_secs_f64() })
    }

    /// Ends it once it has printed something: a server that never ends by itself.
    pub(super) fn finish_after_output(self, limit: Duration) -> Result<Ended, BenchError> {
        self.awaits("print its result", limit, || Ok(!self.output()?.trim().is_empty()))?;
        self.end(limit)
    }

    /// Ends it once all that it started has ended: only then is it known what that cost.
    pub(super) fn finish_without_children(self, limit: Duration) -> Result<Ended, BenchError> {
        self.awaits("end what it started", limit, || Ok(family(self.child.id()).len() <= 1))?;
        self.end(limit)
    }

    fn end(mut self, limit: Duration) -> Result<Ended, BenchError> {
        self.child.kill().map_err(BenchError::io(format!("ending `{}`", self.program)))?;
        let reaped = self.reap(limit)?;
        Ok(Ended { stdout: self.output()?, cpu_s: reaped.cpu.as_secs_f64() })
    }

    fn reap(&mut self, limit: Duration) -> Result<Reaped, BenchError> {
        let waited = reap_until(&self.child, Instant::now() + limit);
        let reaped = waited.map_err(BenchError::io(format!("waiting for `{}`", self.program)))?;
        self.reaped = reaped.is_some();
        reaped.ok_or_else(|| BenchError::Late { program: self.program.clone(), what: "end", limit })
    }

    fn output(&self) -> Result<String, BenchError> {
        let read = read_back(&self.stdout, OUTPUT_BYTES_MAX);
        read.map_err(BenchError::io(format!("reading the output of `{}`", self.program)))
    }

    fn complaint(&self) -> String {
        // Several tools complain on stdout; a complaint that cannot be read is left out.
        let read = |file| read_back(file, COMPLAINT_BYTES_MAX).unwrap_or_default();
        let (said, printed) = (read(&self.stderr), read(&self.stdout));
        let text = if said.trim().is_empty() { printed } else { said };
        text.trim().replace('\n', "; ")
    }
}

/// Reads without moving the place where the child writes: both share one.
fn read_back(file: &File, bytes_max: u64) -> std::io::Result<String> {
    let own = File::open(format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(file)))?;
    let mut bytes = Vec::new();
    own.take(bytes_max).read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

impl Drop for Running {
    fn drop(&mut self) {
        if !self.reaped {
            // It may have ended meanwhile; either way it is gone afterwards.
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

/// A command as a person would type it.
pub(super) fn told(command: &Command) -> String {
    let program = command.get_program().to_string_lossy();
    let name = program.rsplit('/').next().unwrap_or_default().to_owned();
    let words = command.get_args().map(|word| word.to_string_lossy().into_owned());
    std::iter::once(name).chain(words).collect::<Vec<_>>().join(" ")
}

/// Runs a short program to its end.
pub(super) fn run(ns: &NetNs, program: &str, args: &[&str], stdin: &str) -> Result<String, BenchError> {
    const LIMIT: Duration = Duration::from_secs(20);
    let mut command = Command::new(program);
    command.args(args).stdin(Stdio::null());
    Running::start(ns, None, command, stdin)?.finish(LIMIT).map(|ended| ended.stdout)
}

/// Whether a table of `/proc/net` has a socket that waits for peers on `port`.
fn has_listener(table: &str, how: Listens, port: u16) -> bool {
    table.lines().skip(1).any(|line| {
        let mut words = line.split_whitespace().skip(1);
        let (Some(local), Some(_), Some(state)) = (words.next(), words.next(), words.next()) else {
            return false;
        };
        let same = local.rsplit(':').next().and_then(|hex| u16::from_str_radix(hex, 16).ok()) == Some(port);
        // 0A is LISTEN; a UDP socket without a peer is 07.
        same && state == if how == Listens::Tcp { "0A" } else { "07" }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listener_is_told_from_a_connection() {
        let table = "  sl  local_address rem_address   st\n   \
                     0: 0100C90A:14B5 00000000:0000 0A 0 0\n   1: 0100C90A:14B6 0200C90A:1 01 0 0\n";
        assert!(has_listener(table, Listens::Tcp, 5301));
        assert!(!has_listener(table, Listens::Tcp, 5302), "that one is connected");
        assert!(!has_listener(table, Listens::Udp, 5301));
        assert!(!has_listener("", Listens::Tcp, 1));
    }

    #[test]
    fn a_program_is_reaped_with_its_output_and_a_bad_end_is_told() {
        let ns = NetNs::current().expect("a namespace");
        let mut command = Command::new("cat");
        command.arg("-");
        let ended = Running::start(&ns, None, command, "abc\n").map(|it| it.finish(Duration::from_secs(20)));
        assert_eq!(ended.expect("these tests need root").expect("it ends").stdout, "abc\n");
        let error = run(&ns, "sh", &["-c", "echo oh >&2; exit 4"], "").expect_err("it fails");
        assert_eq!(error.to_string(), "`sh -c echo oh >&2; exit 4` ended with exit status: 4: oh");
    }

    #[test]
    fn a_program_that_does_not_end_is_told_and_killed() {
        let ns = NetNs::current().expect("a namespace");
        let mut command = Command::new("sleep");
        command.arg("60");
        let running = Running::start(&ns, None, command, "").expect("these tests need root");
        let pid = running.child.id();
        let error = running.finish(Duration::from_millis(30)).err().expect("it sleeps on");
        assert_eq!(error.to_string(), "`sleep 60` did not end within 30ms");
        assert!(!std::path::Path::new(&format!("/proc/{pid}")).exists());
    }
}
