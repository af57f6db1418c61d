//! Where files lie that transfers move: a private folder of this process in its spool
//! folder, the file that sources send, and the folders of flows.
//!
//! All of it is gone when the process ends. What a killed process has left is removed by the
//! next one on the same spool: its lock is free then.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{self, IoSlice, Write as _},
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

use rustix::fs::{FlockOperation, flock};

use super::{
    hosted::HostedFlow,
    payload::{Lot, Payload},
};
use crate::model::record::file::FileFault;

mod disk;

pub use disk::{create, fault_of, free_bytes, reserve};
use disk::{private, remove, remove_stale};

/// Names of these folders begin so.
const PREFIX: &str = "files-";

/// Blocks that are written in one call: 1 MiB.
const PIECES: usize = 16;

/// A file system is never filled to its last byte: logs and record lines need some.
const SPARE_BYTES: u64 = 16 * 1024 * 1024;

/// How often it is looked whether a file is there.
const MADE_AGAIN: Duration = Duration::from_millis(10);

/// Why no file could be made, and in words.
pub type Fault = (FileFault, String);

/// How far the file is that sources send.
#[derive(Clone, Debug)]
pub enum Stock {
    /// It is being written.
    Making,
    /// It is there.
    Ready(PathBuf),
    /// It could not be made.
    Failed(Fault),
}

/// The folder of this process; made when first needed.
#[derive(Debug)]
pub struct Depot {
    spool: PathBuf,
    own: Mutex<Option<Own>>,
    stock: Mutex<BTreeMap<u64, Stock>>,
    over: AtomicBool,
}

#[derive(Debug)]
struct Own {
    path: PathBuf,
    /// Held for as long as the process lives.
    _lock: File,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Depot {
    /// In a spool folder, of which what dead processes have left is removed.
    pub fn new(spool: &Path) -> Self {
        remove_stale(spool);
        Self {
            spool: spool.to_owned(),
            own: Mutex::default(),
            stock: Mutex::default(),
            over: AtomicBool::new(false),
        }
    }

    /// The private folder.
    ///
    /// # Errors
    ///
    /// If it cannot be made.
    pub fn folder(&self) -> io::Result<PathBuf> {
        let mut own = locked(&self.own);
        if let Some(own) = &*own {
            return Ok(own.path.clone());
        }
        fs::create_dir_all(&self.spool)?;
        let spool = self.spool.canonicalize()?;
        let path = spool.join(format!("{PREFIX}{:032x}", u128::from_be_bytes(super::key::nonce())));
        private(&path)?;
        let lock = File::open(&path)?;
        flock(&lock, FlockOperation::NonBlockingLockExclusive)?;
        *own = Some(Own { path: path.clone(), _lock: lock });
        Ok(path)
    }

    /// Whether files of so many bytes in all fit in here; what the stock has already counts
    /// as there. Otherwise why not, and the way out.
    pub fn fits(&self, received: u64, sent: &[u64]) -> Result<(), String> {
        let stock = locked(&self.stock);
        let new: u64 = sent.iter().filter(|bytes| !stock.contains_key(bytes)).sum();
        drop(stock);
        let needed = received.saturating_add(new).saturating_add(SPARE_BYTES);
        let folder = self.folder().map_err(|error| {
            format!(
                "cannot keep files in {}: {error}; name another folder with --spool",
                self.spool.display()
            )
        })?;
        match free_bytes(&folder) {
            Ok(free) if free < needed => Err(format!(
                "its files need {needed} bytes in {} and {free} are free; make room, name another folder with --spool, or write a smaller `file`",
                self.spool.display()
            )),
            Ok(_) => Ok(()),
            Err(error) => Err(format!("cannot tell the free space of {}: {error}", folder.display())),
        }
    }

    /// The file of this size that sources send: begun when first asked for.
    pub fn stock(self: &Arc<Self>, payload: &Arc<Payload>, bytes: u64) -> Stock {
        let mut stock = locked(&self.stock);
        if let Some(state) = stock.get(&bytes) {
            return state.clone();
        }
        stock.insert(bytes, Stock::Making);
        let (depot, payload) = (Arc::clone(self), Arc::clone(payload));
        let make = move || {
            let made = depot.make(&payload, bytes);
            let state = match made {
                Ok(path) => Stock::Ready(path),
                Err(error) => {
                    let why = format!("writing the file to send: {error}");
                    Stock::Failed((fault_of(&error), why))
                }
            };
            locked(&depot.stock).insert(bytes, state);
        };
        if let Err(error) = thread::Builder::new().name("file-maker".to_owned()).spawn(make) {
            let failed =
                Stock::Failed((FileFault::NotStarted, format!("no thread to write a file: {error}")));
            stock.insert(bytes, failed);
        }
        stock.get(&bytes).cloned().unwrap_or(Stock::Making)
    }

    /// The same, written before this returns.
    ///
    /// # Errors
    ///
    /// If it cannot be made.
    pub fn stock_now(&self, payload: &Payload, bytes: u64) -> io::Result<PathBuf> {
        let path = self.make(payload, bytes)?;
        locked(&self.stock).insert(bytes, Stock::Ready(path.clone()));
        Ok(path)
    }

    /// Removes the files of other sizes.
    pub fn keep_only(&self, sizes: &[u64]) {
        let mut stock = locked(&self.stock);
        stock.retain(|bytes, state| match state {
            Stock::Ready(path) if !sizes.contains(bytes) => {
                if let Err(error) = fs::remove_file(&*path) {
                    tracing::warn!(%error, path = %path.display(), "a file is left until the end");
                }
                false
            }
            Stock::Failed(_) => false,
            Stock::Ready(_) | Stock::Making => true,
        });
    }

    fn make(&self, payload: &Payload, bytes: u64) -> io::Result<PathBuf> {
        let path = self.folder()?.join(format!("payload-{bytes}"));
        let mut file = create(&path)?;
        let written = self.write(&mut file, payload, bytes);
        if written.is_err() {
            // Half a file only takes the space that is lacking.
            let _ = fs::remove_file(&path);
        }
        written.map(|()| path)
    }

    fn write(&self, file: &mut File, payload: &Payload, bytes: u64) -> io::Result<()> {
        reserve(file, bytes)?;
        let lot = Lot::of_file(bytes);
        let mut position = 0;
        while position < bytes {
            if self.over.load(Ordering::Relaxed) {
                return Err(io::ErrorKind::Interrupted.into());
            }
            let mut room = [IoSlice::new(&[]); PIECES];
            let most = usize::try_from(bytes - position).unwrap_or(usize::MAX);
            let (count, _) = payload.pieces(lot, position, most, &mut room);
            match file.write_vectored(&room[..count]) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(written) => position += written as u64,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// A private folder for one end of a flow.
    ///
    /// # Errors
    ///
    /// If it cannot be made.
    pub fn flow_folder(&self, name: &str) -> io::Result<FlowFolder> {
        let drawn = super::key::nonce()[0];
        let path = self.folder()?.join(format!("{name}-{drawn:02x}"));
        private(&path)?;
        Ok(FlowFolder(path))
    }

    /// Removes everything, at the end of the process.
    pub fn clear(&self) {
        self.over.store(true, Ordering::Relaxed);
        if let Some(own) = locked(&self.own).take() {
            remove(&own.path);
        }
    }
}

impl Drop for Depot {
    fn drop(&mut self) {
        self.clear();
    }
}

/// The file that a flow's source sends, once it is there.
///
/// # Errors
///
/// If it could not be made.
pub async fn awaited(hosted: &HostedFlow) -> Result<PathBuf, Fault> {
    let bytes = hosted.carriage.file_bytes.unwrap_or(0);
    loop {
        match hosted.shared.depot.stock(&hosted.payload, bytes) {
            Stock::Ready(path) => return Ok(path),
            Stock::Failed(fault) => return Err(fault),
            Stock::Making => tokio::time::sleep(MADE_AGAIN).await,
        }
    }
}

/// The folder of one end of a flow; removed when dropped.
#[derive(Debug)]
pub struct FlowFolder(PathBuf);

impl FlowFolder {
    /// A file in it.
    pub fn join(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// Itself.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// Writes a file that nobody else can read.
    ///
    /// # Errors
    ///
    /// What the file system says.
    pub fn write(&self, name: &str, text: &str) -> io::Result<PathBuf> {
        let path = self.join(name);
        create(&path)?.write_all(text.as_bytes())?;
        Ok(path)
    }
}

impl Drop for FlowFolder {
    fn drop(&mut self) {
        remove(&self.0);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;
    use crate::{model::run::message::SecretHex, worker::transfer::key::TransferKey};

    fn payload() -> Arc<Payload> {
        let key = TransferKey::new(&SecretHex("f".repeat(64))).expect("64 digits");
        Arc::new(Payload::new(&key).expect("memory"))
    }

    fn wait(depot: &Arc<Depot>, payload: &Arc<Payload>, bytes: u64) -> Stock {
        let limit = Instant::now() + Duration::from_secs(20);
        loop {
            match depot.stock(payload, bytes) {
                Stock::Making if Instant::now() < limit => thread::sleep(Duration::from_millis(5)),
                state => return state,
            }
        }
    }

    #[test]
    fn a_file_is_made_once_and_gone_with_its_depot() {
        let spool = tempfile::tempdir().expect("a folder");
        let depot = Arc::new(Depot::new(spool.path()));
        let payload = payload();
        let Stock::Ready(path) = wait(&depot, &payload, 3_000_001) else { panic!("made") };
        assert_eq!(fs::metadata(&path).expect("there").len(), 3_000_001);
        assert!(
            super::super::compare::first_difference(&path, &payload, 3_000_001, &|| false)
                .expect("readable")
                .is_none()
        );
        depot.flow_folder("x").expect("made").write("key", "secret").expect("written");
        depot.keep_only(&[]);
        assert!(!path.exists());
        drop(depot);
        assert_eq!(fs::read_dir(spool.path()).expect("there").count(), 0);
    }

    #[test]
    fn what_a_dead_process_has_left_goes_and_what_lives_stays() {
        let spool = tempfile::tempdir().expect("a folder");
        let left = spool.path().join("files-dead");
        fs::create_dir_all(left.join("flow")).expect("made");
        let living = Depot::new(spool.path());
        let folder = living.folder().expect("made");
        fs::write(spool.path().join("h1.jsonl"), "").expect("written");
        let _next = Depot::new(spool.path());
        assert!(!left.exists());
        assert!(folder.exists() && spool.path().join("h1.jsonl").exists());
    }

    #[test]
    fn more_than_there_is_room_for_is_refused_in_numbers() {
        let spool = tempfile::tempdir().expect("a folder");
        let depot = Depot::new(spool.path());
        let why = depot.fits(1 << 60, &[]).expect_err("an exbibyte");
        assert!(why.contains("--spool") && why.contains("are free"), "{why}");
        depot.fits(1, &[1]).expect("a byte");
    }
}
