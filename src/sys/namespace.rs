//! Network and user namespaces as owned file descriptors.
//!
//! A namespace lives as long as something holds it; nothing is mounted and nothing is left
//! behind when the holder dies. Building links inside is the lab's work.

use std::{
    fs::File,
    io,
    os::{
        fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd},
        unix::{fs::MetadataExt, process::CommandExt},
    },
    process::{Child, Command},
    thread,
};

/// Why a namespace could not be made or entered.
#[derive(Debug, thiserror::Error)]
pub enum NamespaceError {
    /// The kernel or its policy forbids user namespaces to this user.
    #[error("making a user namespace was refused{hint}; allow it, or run as root")]
    UserForbidden {
        /// What in the system's settings explains the refusal; empty when nothing does.
        hint: String,
        /// The kernel's answer.
        #[source]
        source: io::Error,
    },
    /// A network namespace could not be made.
    #[error(
        "making a network namespace was refused (is CAP_SYS_ADMIN missing, or user.max_net_namespaces reached?)"
    )]
    Net(#[source] io::Error),
    /// A namespace of another process could not be opened or entered.
    #[error("entering {what} of process {pid}")]
    Join {
        /// Which of its namespaces.
        what: String,
        /// The process that holds it.
        pid: u32,
        /// The kernel's answer.
        #[source]
        source: io::Error,
    },
}

/// A network namespace, held by its descriptor.
#[derive(Debug)]
pub struct NetNs {
    fd: OwnedFd,
}

impl NetNs {
    /// A new, empty network namespace; the calling thread stays where it is.
    pub fn create() -> Result<Self, NamespaceError> {
        // `unshare` moves the whole thread, so a short-lived one is moved and its
        // namespace kept.
        let made = thread::Builder::new()
            .name("new-net".into())
            .spawn(|| {
                unshare(libc::CLONE_NEWNET)?;
                Self::current()
            })
            .and_then(|thread| {
                thread.join().unwrap_or_else(|_| Err(io::Error::other("the thread panicked")))
            });
        made.map_err(NamespaceError::Net)
    }

    /// As [`NetNs::create`], with the descriptor's number at or above `fd`: exactly `fd` when
    /// that is free.
    pub fn create_at(fd: RawFd) -> Result<Self, NamespaceError> {
        let made = Self::create()?;
        let fd = rustix::io::fcntl_dupfd_cloexec(&made.fd, fd)
            .map_err(|error| NamespaceError::Net(error.into()))?;
        Ok(Self { fd })
    }

    /// The namespace the calling thread is in.
    pub fn current() -> io::Result<Self> {
        Ok(Self { fd: File::open("/proc/thread-self/ns/net")?.into() })
    }

    /// The namespace that process `pid` holds as its descriptor `fd`.
    pub fn of_holder(pid: u32, fd: RawFd) -> Result<Self, NamespaceError> {
        let file = File::open(format!("/proc/{pid}/fd/{fd}"));
        let file = file.map_err(|source| join_error("a network namespace", pid, source))?;
        Ok(Self { fd: file.into() })
    }

    /// Moves the calling thread, and only it, into this namespace. Sockets it made before
    /// stay where they were made.
    pub fn enter(&self) -> io::Result<()> {
        set_ns(self.fd.as_fd(), libc::CLONE_NEWNET)
    }
}

impl AsRawFd for NetNs {
    fn as_raw_fd(&self) -> RawFd {
        self.fd.as_raw_fd()
    }
}

/// Moves this process into a network namespace of its own: directly where it may, else
/// inside a new user namespace in which it is root. Returns whether the latter was needed.
///
/// Must be called while the process has one thread.
pub fn isolate() -> Result<bool, NamespaceError> {
    if rustix::process::geteuid().is_root() && unshare(libc::CLONE_NEWNET).is_ok() {
        return Ok(false);
    }
    enter_user_namespace()?;
    Ok(true)
}

/// Moves this process into a new user namespace, as its root, and a new network namespace.
///
/// Must be called while the process has one thread; the kernel refuses otherwise.
pub fn enter_user_namespace() -> Result<(), NamespaceError> {
    let (uid, gid) = (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
    let entered = unshare(libc::CLONE_NEWUSER | libc::CLONE_NEWNET)
        // The kernel lets a plain user map its group only once it has given up setgroups.
        .and_then(|()| std::fs::write("/proc/self/setgroups", "deny"))
        .and_then(|()| std::fs::write("/proc/self/uid_map", format!("0 {uid} 1")))
        .and_then(|()| std::fs::write("/proc/self/gid_map", format!("0 {gid} 1")));
    entered.map_err(|source| NamespaceError::UserForbidden { hint: refusal_hint(), source })
}

/// Starts `command` inside `ns`; the child is killed when the calling thread's process dies.
pub fn spawn_in(ns: &NetNs, command: &mut Command) -> io::Result<Child> {
    let (fd, parent) = (ns.as_raw_fd(), std::process::id());
    // SAFETY: the closure runs between fork and exec and calls only async-signal-safe
    // system calls; `fd` stays open in the parent for the length of the spawn.
    unsafe {
        command.pre_exec(move || {
            set_ns(BorrowedFd::borrow_raw(fd), libc::CLONE_NEWNET)?;
            die_with_parent(parent)
        });
    }
    command.spawn()
}

/// Moves this process into the user namespace of process `pid`, where that is another one,
/// and into the network namespace that it holds as descriptor `fd`.
///
/// Must be called while the process has one thread.
pub fn join_holder(pid: u32, fd: RawFd) -> Result<(), NamespaceError> {
    // Both are opened first: inside the other user namespace /proc of our own may be closed to us.
    let net = NetNs::of_holder(pid, fd)?;
    let user = (|| {
        let theirs = File::open(format!("/proc/{pid}/ns/user"))?;
        let (theirs_id, ours_id) = (theirs.metadata()?, std::fs::metadata("/proc/self/ns/user")?);
        if (theirs_id.dev(), theirs_id.ino()) == (ours_id.dev(), ours_id.ino()) {
            return Ok(());
        }
        set_ns(theirs.as_fd(), libc::CLONE_NEWUSER)
    })();
    user.map_err(|source| join_error("the user namespace", pid, source))?;
    net.enter().map_err(|source| join_error("a network namespace", pid, source))
}

fn join_error(what: &str, pid: u32, source: io::Error) -> NamespaceError {
    NamespaceError::Join { what: what.to_owned(), pid, source }
}

pub(super) fn unshare(flags: libc::c_int) -> io::Result<()> {
    // SAFETY: takes flags only; it changes the calling thread's namespaces and no memory.
    check(unsafe { libc::unshare(flags) })
}

fn set_ns(fd: BorrowedFd<'_>, kind: libc::c_int) -> io::Result<()> {
    // SAFETY: `fd` is open for the call; no memory is passed.
    check(unsafe { libc::setns(fd.as_raw_fd(), kind) })
}

/// Asks the kernel to kill the calling process when its parent goes. After any change of
/// namespaces, which clears the wish.
pub(super) fn die_with_parent(parent: u32) -> io::Result<()> {
    // SAFETY: `prctl` with integer arguments only.
    check(unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL, 0, 0, 0) })?;
    // The parent may have died between fork and the call above.
    // SAFETY: takes nothing and cannot fail.
    if unsafe { libc::getppid() } != parent.cast_signed() {
        return Err(io::Error::from_raw_os_error(libc::ESRCH));
    }
    Ok(())
}

pub(super) fn check(answer: libc::c_int) -> io::Result<()> {
    if answer == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// The settings that commonly forbid user namespaces, where they say so here.
fn refusal_hint() -> String {
    const SWITCHES: [(&str, &str, &str); 3] = [
        (
            "/proc/sys/kernel/apparmor_restrict_unprivileged_userns",
            "1",
            "kernel.apparmor_restrict_unprivileged_userns is 1",
        ),
        ("/proc/sys/user/max_user_namespaces", "0", "user.max_user_namespaces is 0"),
        ("/proc/sys/kernel/unprivileged_userns_clone", "0", "kernel.unprivileged_userns_clone is 0"),
    ];
    let set = SWITCHES.iter().filter(|(path, forbids, _)| {
        std::fs::read_to_string(path).is_ok_and(|value| value.trim() == *forbids)
    });
    let said: Vec<&str> = set.map(|(_, _, text)| *text).collect();
    if said.is_empty() { String::new() } else { format!(" ({})", said.join(", ")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_namespace_is_another_one_and_the_caller_stays() {
        let id = |ns: &NetNs| File::from(ns.fd.try_clone().unwrap()).metadata().unwrap().ino();
        let before = id(&NetNs::current().unwrap());
        let made = NetNs::create().expect("these tests need root or user namespaces");
        assert_ne!(id(&made), before);
        assert_eq!(id(&NetNs::current().unwrap()), before);
    }

    #[test]
    fn a_holder_that_is_gone_is_named() {
        let error = join_holder(u32::MAX - 1, 3).expect_err("no such process");
        assert_eq!(error.to_string(), "entering a network namespace of process 4294967294");
    }
}
