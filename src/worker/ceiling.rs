//! What this host's CPU carries at all: its own carriers against each other over loopback, for
//! a second, once a boot. A card that reached as much was not at its own limit.

use std::{
    collections::BTreeMap,
    fs, io,
    net::Ipv4Addr,
    path::Path,
    sync::Arc,
    thread::sleep,
    time::{Duration, Instant},
};

use serde::{Deserialize, Serialize};

use super::{
    facts,
    transfer::{
        Binding, Command,
        alone::Alone,
        key::TransferKey,
        payload::Payload,
        stage::{Flow, Meter, Round, Stage},
    },
};
use crate::{
    model::{
        fleet::units::RunTime,
        plan::carriage::Carriage,
        run::{
            BUILD,
            message::{Role, SecretHex},
        },
    },
    sys::clock,
};

/// Until buffers and caches have settled, and for how long it is then measured.
const WARM_UP: Duration = Duration::from_millis(250);
const MEASURED: Duration = Duration::from_millis(750);

/// A connection over loopback takes no longer, also on a machine that is busy.
const BEGIN_MAX: Duration = Duration::from_secs(2);

/// What was measured in this boot, by this build.
#[derive(Debug, Deserialize, Serialize)]
struct Kept {
    boot_id: String,
    build: String,
    threads: usize,
    bps: u64,
}

/// What this many carriers carry over loopback, bits per second: as it was measured before in
/// this boot, or measured now.
///
/// # Errors
///
/// If loopback carries nothing, or the kernel refuses what a measurement needs.
pub fn ceiling_bps(folder: &Path, threads: usize) -> io::Result<u64> {
    let file = folder.join("ceiling.json");
    let boot_id = facts::boot_id();
    let kept = fs::read(&file).ok().and_then(|text| serde_json::from_slice::<Kept>(&text).ok());
    let fits = |kept: &Kept| kept.boot_id == boot_id && kept.build == BUILD && kept.threads == threads;
    if let Some(kept) = kept.filter(fits) {
        return Ok(kept.bps);
    }
    let bps = measure(threads)?;
    let kept = Kept { boot_id, build: BUILD.to_owned(), threads, bps };
    let written = fs::create_dir_all(folder)
        .and_then(|()| fs::write(&file, serde_json::to_vec(&kept).unwrap_or_default()));
    if let Err(error) = written {
        tracing::debug!(%error, "the next worker of this boot measures again");
    }
    Ok(bps)
}

/// One flow of two streams from one set of carriers to another.
fn measure(threads: usize) -> io::Result<u64> {
    let alone = || Alone::start(Binding::loopback()?, 0, threads, |_| {});
    let (source, sink) = (alone()?, alone()?);
    let key = TransferKey::new(&SecretHex("c0".repeat(32))).ok_or_else(|| io::Error::other("no key"))?;
    let payload = Arc::new(Payload::new(&key)?);
    let meter = Arc::new(Meter::default());
    let start = RunTime(clock::now_us());
    for (end, role, peer) in [(&sink, Role::Sink, &source), (&source, Role::Source, &sink)] {
        let peer = (Ipv4Addr::LOCALHOST, peer.shared.binding.port).into();
        let (key, meter) = (key.clone(), Arc::clone(&meter));
        let flow = Flow { id: 1, role, peer, rate_bps: None, key: key.clone(), meter };
        let for_us = (BEGIN_MAX + WARM_UP + MEASURED).as_micros() as u64;
        let round = Round { offset_us: 0, for_us, carriage: Carriage::tcp(2), flows: vec![flow] };
        let payload = Arc::clone(&payload);
        let stage = Stage {
            index: 0,
            fleet_key: key,
            payload,
            rounds: vec![round],
            peers: BTreeMap::new(),
            probes: BTreeMap::new(),
            for_us: 0,
        };
        end.carriers.tell(&Command::Prepare(Arc::new(stage)));
        end.carriers.tell(&Command::Start { stage: 0, at: start });
    }
    let began = Instant::now();
    while meter.received() == 0 && began.elapsed() < BEGIN_MAX {
        sleep(Duration::from_millis(5));
    }
    sleep(WARM_UP);
    let (at, before) = (Instant::now(), meter.received());
    sleep(MEASURED);
    let (bytes, elapsed) = (meter.received() - before, at.elapsed());
    source.carriers.quit();
    sink.carriers.quit();
    if bytes == 0 {
        return Err(io::Error::other("nothing passed over loopback; is it up? (ip link set lo up)"));
    }
    Ok((bytes as f64 * 8.0 / elapsed.as_secs_f64()) as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_measured_once_a_boot_and_build() {
        let folder = tempfile::tempdir().expect("a folder");
        let first = ceiling_bps(folder.path(), 1).expect("loopback is up");
        assert!(first > 100_000_000, "{first} b/s");
        let again = Instant::now();
        assert_eq!(ceiling_bps(folder.path(), 1).expect("kept"), first);
        assert!(again.elapsed() < MEASURED, "it was read");
        fs::write(folder.path().join("ceiling.json"), "{}").expect("written");
        assert!(ceiling_bps(folder.path(), 1).is_ok(), "what cannot be read is measured again");
    }
}
