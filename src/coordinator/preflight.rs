//! What must be right before anything is sent: folders writable, the port bound, the join
//! file in place.

use std::{
    fs, io,
    net::SocketAddr,
    os::unix::fs::{DirBuilderExt, PermissionsExt},
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use super::{RunError, Settings, folder, gate::Gate, stop::StopSocket};
use crate::{
    model::{
        plan::draft,
        run::{BUILD, message::SecretHex},
    },
    wire::{
        endpoint::Listener,
        identity::{self, RunAuthority},
        join::JoinFile,
    },
};

/// How long the token outlives the gathering: clocks of hosts that read its expiry differ.
const TOKEN_SLACK: Duration = Duration::from_secs(600);

/// Removes what a run leaves outside its folder, however it ends.
#[derive(Debug, Default)]
pub(super) struct Traces {
    files: Vec<PathBuf>,
    folders: Vec<PathBuf>,
}

impl Drop for Traces {
    fn drop(&mut self) {
        for file in &self.files {
            // It may be gone already; there is nobody left to tell otherwise.
            let _ = fs::remove_file(file);
        }
        for folder in &self.folders {
            let _ = fs::remove_dir_all(folder);
        }
    }
}

/// All that stands before the first worker comes.
pub(super) struct Ground {
    pub(super) run: String,
    pub(super) listener: Arc<Listener>,
    pub(super) authority: Arc<RunAuthority>,
    pub(super) gate: Gate,
    /// What the join file says.
    pub(super) addrs: Vec<SocketAddr>,
    /// From which all transfer keys are derived.
    pub(super) secret: SecretHex,
    pub(super) stop: StopSocket,
    pub(super) traces: Traces,
}

/// Checks and sets up everything that can fail without a fleet; nothing is sent.
pub(super) fn prepare(settings: &Settings) -> Result<Ground, RunError> {
    check(settings)?;
    writable(&settings.out)?;
    let runs = settings.state_dir.join("runs");
    private_dir(&settings.state_dir)?;
    private_dir(&runs)?;

    let now = SystemTime::now();
    let run = folder::run_name(&settings.scenario.name, now, &identity::random_secret());
    let failed = |error: crate::wire::endpoint::WireError| RunError::Failed(error.to_string());
    let authority = Arc::new(RunAuthority::new(&run).map_err(failed)?);
    let listener = Listener::bind(settings.listen, Arc::clone(&authority)).map_err(|error| {
        RunError::Failed(format!(
            "cannot listen on {}: {error}; stop what uses port {}, or give another with --listen",
            settings.listen,
            settings.listen.port()
        ))
    })?;
    let mut advertised = settings.advertise.unwrap_or(settings.listen);
    if advertised.port() == 0 {
        advertised.set_port(listener.local_addr().port());
    }

    let mut traces = Traces::default();
    let key_dir = runs.join(&run);
    private_dir(&key_dir)?;
    authority.save(&key_dir).map_err(|error| RunError::Failed(error.to_string()))?;
    traces.folders.push(key_dir);
    let socket = runs.join(format!("{run}.sock"));
    traces.files.push(socket.clone());
    let stop = StopSocket::bind(&socket).map_err(|error| {
        RunError::Failed(format!("cannot open the stop socket {}: {error}", socket.display()))
    })?;

    let token = identity::random_secret();
    let issued_at_unix_s = unix_s(now);
    let expires_at_unix_s = unix_s(now + settings.wait + TOKEN_SLACK);
    let join = JoinFile {
        schema: "nicburn.join/1".to_owned(),
        run: run.clone(),
        addrs: vec![advertised],
        ca_pem: authority.ca_pem(),
        token: token.clone(),
        issued_at_unix_s,
        expires_at_unix_s,
    };
    join.save(&settings.join_file).map_err(failed)?;
    traces.files.push(settings.join_file.clone());

    let gate = Gate::new(token, expires_at_unix_s, settings.expect, BUILD);
    let secret = identity::random_secret();
    Ok(Ground {
        run,
        listener: Arc::new(listener),
        authority,
        gate,
        addrs: vec![advertised],
        secret,
        stop,
        traces,
    })
}

/// Seconds since 1970 by the coordinator's clock, which judges all validity.
pub(super) fn unix_s(at: SystemTime) -> u64 {
    at.duration_since(UNIX_EPOCH).map(|since| since.as_secs()).unwrap_or_default()
}

fn check(settings: &Settings) -> Result<(), RunError> {
    let usage = |text: String| Err(RunError::Usage(text));
    if settings.scenario.stages.is_empty() && !settings.survey {
        return usage(format!("the scenario `{}` has no stages: nothing to run", settings.scenario.name));
    }
    draft::check_fleet(&settings.scenario.name, &settings.scenario, settings.expect)
        .map_err(|faults| RunError::Usage(faults.to_string()))?;
    if settings.expect < 2 {
        return usage(format!(
            "{} worker expected; a transfer needs two ends, so expect at least 2",
            settings.expect
        ));
    }
    if settings.min_workers < 2 || settings.min_workers > settings.expect {
        return usage(format!(
            "--min-workers {} must lie between 2 and the {} expected",
            settings.min_workers, settings.expect
        ));
    }
    if settings.advertise.unwrap_or(settings.listen).ip().is_unspecified() {
        return usage(format!(
            "workers cannot dial {}: give an address of this machine that they reach with --advertise ADDR:PORT",
            settings.listen.ip()
        ));
    }
    Ok(())
}

/// Makes the folder and proves by doing that a file in it can be written and synced.
fn writable(out: &Path) -> Result<(), RunError> {
    let probe = out.join(format!(".probe-{}", std::process::id()));
    let proved = (|| -> io::Result<()> {
        fs::create_dir_all(out)?;
        let file = fs::File::create(&probe)?;
        io::Write::write_all(&mut &file, b"nicburn\n")?;
        file.sync_all()?;
        fs::remove_file(&probe)
    })();
    proved.map_err(|error| {
        let _ = fs::remove_file(&probe);
        RunError::Failed(format!(
            "cannot write into {}: {error}; free space or rights, or give another folder with --out",
            out.display()
        ))
    })
}

fn private_dir(dir: &Path) -> Result<(), RunError> {
    let made = (|| -> io::Result<()> {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
        fs::set_permissions(dir, fs::Permissions::from_mode(0o700))
    })();
    made.map_err(|error| RunError::Failed(format!("cannot keep state in {}: {error}", dir.display())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_made_and_left_without_a_trace_of_the_probe() {
        let dir = tempfile::tempdir().expect("a folder");
        let out = dir.path().join("a/b");
        writable(&out).expect("writable");
        assert_eq!(fs::read_dir(&out).expect("it is there").count(), 0);
    }

    #[test]
    fn a_file_in_the_folders_place_is_named_with_the_way_out() {
        let dir = tempfile::tempdir().expect("a folder");
        let out = dir.path().join("results");
        fs::write(&out, "").expect("a file");
        let error = writable(&out).expect_err("a file is no folder").to_string();
        assert!(error.contains("results") && error.contains("--out"), "{error}");
    }

    #[test]
    fn state_is_for_its_owner_only() {
        let dir = tempfile::tempdir().expect("a folder");
        let state = dir.path().join("state");
        fs::create_dir(&state).expect("a folder");
        private_dir(&state).expect("made private");
        let mode = fs::metadata(&state).expect("it is there").permissions().mode();
        assert_eq!(mode & 0o777, 0o700);
    }
}
