//! Where things lie on this machine: absolute paths, the state folder, files written whole.

use std::{
    fs,
    io::Write as _,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, anyhow};

use super::failure::Failure;

/// `path` as seen from the root, so that it holds after the process has moved.
pub(super) fn absolute(path: &Path) -> Result<PathBuf, Failure> {
    std::path::absolute(path)
        .with_context(|| format!("cannot resolve the path `{}`", path.display()))
        .map_err(Failure::usage)
}

/// Where keys, stop sockets and labs of this user lie; whoever uses it creates it, 0700.
///
/// `NICBURN_STATE_DIR`, else `$XDG_STATE_HOME/nicburn`, else `~/.local/state/nicburn`, else
/// a folder of this user's in `/tmp`.
pub(super) fn state_dir() -> Result<PathBuf, Failure> {
    let from =
        |variable: &str| std::env::var_os(variable).filter(|value| !value.is_empty()).map(PathBuf::from);
    let dir = from("NICBURN_STATE_DIR")
        .or_else(|| Some(from("XDG_STATE_HOME")?.join("nicburn")))
        .or_else(|| Some(from("HOME").filter(|home| home != Path::new("/"))?.join(".local/state/nicburn")))
        .unwrap_or_else(|| {
            let user = rustix::process::getuid().as_raw();
            PathBuf::from(format!("/tmp/nicburn-{user}"))
        });
    absolute(&dir)
}

/// Creates a folder that only this user can look into, and its parents.
pub(super) fn create_private(dir: &Path) -> Result<(), Failure> {
    use std::os::unix::fs::DirBuilderExt as _;
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(dir)
        .with_context(|| format!("cannot create the folder {}", dir.display()))
        .map_err(|error| Failure::failed(error).help("name another one in NICBURN_STATE_DIR"))
}

/// Removes folders `PREFIX-PID` of processes that were killed before they could, but for the
/// newest `kept`: somebody may want to read those.
pub(super) fn forget_ended(dir: &Path, prefix: &str, kept: usize) {
    let ended = |name: &str| {
        let pid = name.strip_prefix(prefix)?.strip_prefix('-')?.parse::<u32>().ok()?;
        (!Path::new("/proc").join(pid.to_string()).exists()).then_some(())
    };
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    let mut old: Vec<_> = entries
        .filter(|entry| entry.file_name().to_str().and_then(ended).is_some())
        .filter_map(|entry| Some((entry.metadata().ok()?.modified().ok()?, entry.path())))
        .collect();
    old.sort();
    for (_, path) in &old[..old.len().saturating_sub(kept)] {
        // What cannot be removed now is tried again by the next run.
        let _ = fs::remove_dir_all(path);
    }
}

/// The executable of this process, for the processes that it starts.
pub(super) fn this_executable() -> Result<PathBuf, Failure> {
    std::env::current_exe().context("cannot find the path of this executable").map_err(Failure::failed)
}

/// Reads a text file that was named on the command line; its absence is the caller's mistake.
pub(super) fn read(path: &Path) -> Result<String, Failure> {
    fs::read_to_string(path)
        .with_context(|| format!("cannot read {}", path.display()))
        .map_err(Failure::usage)
}

/// Writes `content` to `path` so that a reader finds the old file or the new one, never a part.
pub(super) fn write_whole(path: &Path, content: impl AsRef<[u8]>) -> Result<(), Failure> {
    let put = || -> anyhow::Result<()> {
        let name = path.file_name().ok_or_else(|| anyhow!("it names no file"))?;
        let beside = path.with_file_name(format!(".{}.{}", name.to_string_lossy(), std::process::id()));
        let written = fs::File::create(&beside)
            .and_then(|mut file| file.write_all(content.as_ref()).and_then(|()| file.sync_all()))
            .and_then(|()| fs::rename(&beside, path));
        if written.is_err() {
            // What could not be finished is not left lying about.
            let _ = fs::remove_file(&beside);
        }
        Ok(written?)
    };
    put().with_context(|| format!("cannot write {}", path.display())).map_err(Failure::failed)
}

/// Today's second, for a seed that nobody gave; never used in a verdict.
pub(super) fn seed_of_the_clock() -> u64 {
    std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .map_or(1, |since| since.as_secs() % 1_000_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_written_whole_replaces_the_old_one_and_leaves_nothing_beside_it() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("summary.json");
        write_whole(&path, "old\n").expect("written");
        write_whole(&path, "new\n").expect("written again");
        assert_eq!(fs::read_to_string(&path).expect("read"), "new\n");
        assert_eq!(fs::read_dir(dir.path()).expect("listed").count(), 1);
    }

    #[test]
    fn folders_of_ended_processes_go_but_for_the_newest() {
        let dir = tempfile::tempdir().expect("a folder");
        let own = format!("workers-{}", std::process::id());
        // No process has a number beyond 2^22, the most that Linux gives.
        let names = ["workers-4194305", "workers-4194306", "runs-4194307", "workers-x", &own];
        for name in names {
            fs::create_dir(dir.path().join(name)).expect("made");
        }
        fs::write(dir.path().join("workers-4194306/log"), "younger").expect("written");
        forget_ended(dir.path(), "workers", 1);
        let left = |name: &&str| dir.path().join(name).exists();
        assert_eq!(names.iter().filter(|name| left(name)).count(), 4);
        assert!(!left(&"workers-4194305"));
    }

    #[test]
    fn a_file_that_cannot_be_written_is_named() {
        let dir = tempfile::tempdir().expect("a folder");
        let failure = write_whole(&dir.path().join("absent/summary.json"), "x").expect_err("no folder");
        assert!(failure.to_string().contains("absent/summary.json"), "{failure}");
        assert_eq!(failure.code(), 1);
    }
}
