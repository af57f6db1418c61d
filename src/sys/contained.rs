//! Foreign programs that leave nothing behind: they die with the thread that started them,
//! and everything that they started dies with them.
//!
//! A program is made the first process of a process namespace of its own, so that its end is
//! the end of all its children; a user namespace makes that possible without rights. Inside,
//! it has no privileges, whoever starts it. What is run is the caller's matter.

use std::{
    ffi::CStr,
    io,
    os::unix::process::CommandExt as _,
    process::{Command, Stdio},
    sync::OnceLock,
};

use super::namespace::{check, die_with_parent, unshare};

/// Who a contained program believes to be: some refuse to be root, some to be nobody known.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Identity {
    /// User.
    pub uid: u32,
    /// Group.
    pub gid: u32,
}

impl Identity {
    /// The caller's own.
    pub fn own() -> Self {
        Self { uid: rustix::process::geteuid().as_raw(), gid: rustix::process::getegid().as_raw() }
    }
}

/// Whether this machine lets this user contain programs; tried once, with a program that
/// does nothing.
pub fn is_possible() -> bool {
    static TRIED: OnceLock<bool> = OnceLock::new();
    *TRIED.get_or_init(|| {
        let mut command = Command::new("true");
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        contain(&mut command, Identity::own());
        command.status().is_ok_and(|status| status.success())
    })
}

/// Lets `command` run contained, as `identity`. Its exit status and its end by a signal are
/// those that the starter sees.
pub fn contain(command: &mut Command, identity: Identity) {
    let (own, parent) = (Identity::own(), std::process::id());
    let uid_map = format!("{} {} 1", identity.uid, own.uid);
    let gid_map = format!("{} {} 1", identity.gid, own.gid);
    // SAFETY: the closure runs between fork and exec and makes only async-signal-safe system
    // calls; what it writes was made before.
    unsafe {
        command.pre_exec(move || {
            unshare(libc::CLONE_NEWUSER | libc::CLONE_NEWPID)?;
            // A plain user may map its group only once it has given up setgroups.
            put(c"/proc/self/setgroups", b"deny")?;
            put(c"/proc/self/uid_map", uid_map.as_bytes())?;
            put(c"/proc/self/gid_map", gid_map.as_bytes())?;
            die_with_parent(parent)?;
            become_first()
        });
    }
}

/// Lets `command` die with the thread that starts it; its own children may outlive it.
pub fn tie(command: &mut Command) {
    let parent = std::process::id();
    // SAFETY: async-signal-safe system calls only.
    unsafe {
        command.pre_exec(move || die_with_parent(parent));
    }
}

/// Lets `command` and its children write no file that is longer than this.
pub fn bound_files(command: &mut Command, bytes: u64) {
    let limit = libc::rlimit { rlim_cur: bytes, rlim_max: bytes };
    // SAFETY: async-signal-safe; `limit` is moved into the closure and read by the kernel.
    unsafe {
        command.pre_exec(move || check(libc::setrlimit(libc::RLIMIT_FSIZE, &raw const limit)));
    }
}

/// Writes a small file of /proc without allocating.
fn put(path: &CStr, text: &[u8]) -> io::Result<()> {
    // SAFETY: `path` ends with a zero byte.
    let fd = unsafe { libc::open(path.as_ptr(), libc::O_WRONLY | libc::O_CLOEXEC) };
    check(fd.min(0))?;
    // SAFETY: the kernel reads `text.len()` bytes of `text`.
    let wrote = unsafe { libc::write(fd, text.as_ptr().cast(), text.len()) };
    let outcome = if wrote < 0 { Err(io::Error::last_os_error()) } else { Ok(()) };
    // SAFETY: `fd` is ours.
    unsafe { libc::close(fd) };
    outcome
}

/// Forks, because a new process namespace begins with its maker's next child. Only that
/// child returns; this process stays as its keeper and ends as it ends.
fn become_first() -> io::Result<()> {
    let mut pipe = [0; 2];
    // SAFETY: the kernel writes two descriptors into `pipe`.
    check(unsafe { libc::pipe2(pipe.as_mut_ptr(), libc::O_CLOEXEC) })?;
    // SAFETY: both sides make only async-signal-safe calls until exec or `_exit`.
    match unsafe { libc::fork() } {
        -1 => Err(io::Error::last_os_error()),
        0 => die_with_keeper(pipe),
        // Does not return.
        child => keep(child, pipe[1]),
    }
}

/// The parent's number cannot be compared from within the namespace; a pipe that only the
/// keeper holds open tells whether it is still there.
fn die_with_keeper(pipe: [libc::c_int; 2]) -> io::Result<()> {
    // SAFETY: integer arguments, and one pollfd on this frame.
    unsafe {
        libc::close(pipe[1]);
        check(libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL, 0, 0, 0))?;
        let mut seen = libc::pollfd { fd: pipe[0], events: 0, revents: 0 };
        libc::poll(&raw mut seen, 1, 0);
        libc::close(pipe[0]);
        if seen.revents & libc::POLLHUP != 0 {
            return Err(io::Error::from_raw_os_error(libc::ESRCH));
        }
    }
    Ok(())
}

/// Waits for the only child and ends as it has ended.
fn keep(child: libc::pid_t, alive: libc::c_int) -> ! {
    // SAFETY: integer arguments and a status on this frame; never returns to Rust code that
    // could see the closed descriptors.
    unsafe {
        // It holds open nothing of the program's: ends of pipes and sockets are the program's.
        libc::dup2(alive, 0);
        libc::syscall(libc::SYS_close_range, 1, u32::MAX, 0);
        let mut status = 0;
        while libc::waitpid(child, &raw mut status, 0) < 0 {
            if *libc::__errno_location() != libc::EINTR {
                libc::_exit(127);
            }
        }
        if libc::WIFSIGNALED(status) {
            let signal = libc::WTERMSIG(status);
            let none = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
            libc::setrlimit(libc::RLIMIT_CORE, &raw const none);
            libc::signal(signal, libc::SIG_DFL);
            libc::raise(signal);
        }
        libc::_exit(libc::WEXITSTATUS(status));
    }
}

#[cfg(test)]
mod tests {
    use std::{
        io::{BufRead as _, BufReader},
        os::unix::process::ExitStatusExt as _,
        time::{Duration, Instant},
    };

    use super::*;

    fn shell(script: &str) -> Command {
        assert!(is_possible(), "these tests need user namespaces");
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        contain(&mut command, Identity { uid: 65534, gid: 65534 });
        command
    }

    #[test]
    fn it_believes_to_be_somebody_else_and_ends_as_its_program_ends() {
        let done = shell("id -u; exit 3").output().expect("it runs");
        assert_eq!(String::from_utf8_lossy(&done.stdout), "65534\n");
        assert_eq!(done.status.code(), Some(3));
        let mut missing = Command::new("/nonexistent/program");
        contain(&mut missing, Identity::own());
        assert_eq!(missing.spawn().expect_err("there is none").kind(), io::ErrorKind::NotFound);
    }

    #[test]
    fn its_children_die_with_it() {
        let mut child = shell("sleep 600 & echo up; wait").stdout(Stdio::piped()).spawn().expect("it runs");
        let mut said = BufReader::new(child.stdout.take().expect("a pipe"));
        let mut line = String::new();
        said.read_line(&mut line).expect("it speaks");
        child.kill().expect("it can be killed");
        assert_eq!(child.wait().expect("it ended").signal(), Some(libc::SIGKILL));
        // `sleep` holds the pipe open: its end is the end of the last process.
        let began = Instant::now();
        assert_eq!(said.read_line(&mut line).expect("readable"), 0);
        assert!(began.elapsed() < Duration::from_secs(5));
    }

    #[test]
    fn it_writes_no_longer_files_than_it_may() {
        let dir = tempfile::tempdir().expect("a folder");
        let mut command = Command::new("sh");
        command.args(["-c", "head -c 5000 /dev/zero > long"]).current_dir(dir.path()).stderr(Stdio::null());
        bound_files(&mut command, 1000);
        assert!(!command.status().expect("it runs").success());
        assert_eq!(std::fs::metadata(dir.path().join("long")).expect("made").len(), 1000);
    }
}
