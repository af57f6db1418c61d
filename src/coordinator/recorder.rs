//! The thread that writes the record, so that a slow disk never holds up the loop.
//!
//! Group commit: lines are appended as they come and synced at most once a second; only
//! then are they told as durable, and acknowledged. After one failure nothing more is
//! written: a record with a hole in it that claims to be whole would be worse than none.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
        mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel},
    },
    time::{Duration, Instant},
};

use tokio::{sync::watch, time::timeout};

use crate::journal::Writer;

/// At most this long are lines written but not synced.
const SYNC_EACH: Duration = Duration::from_secs(1);

/// Lines that wait for the disk. Samples of 64 workers are a few hundred a second, so this
/// outlasts a disk that hangs for some ten seconds.
const QUEUE_MAX: usize = 8192;

/// Above this many waiting lines none are taken from workers, which keep them in their
/// spools; the rest is for the coordinator's own.
const QUEUE_FULL: usize = QUEUE_MAX - 2048;

/// How long the end of the record may take; compressing a long one may outlast it.
const FINISH_MAX: Duration = Duration::from_secs(3);

/// How far the record is on the disk.
#[derive(Clone, Debug, Default)]
pub(super) struct Durable {
    /// By instance: the highest line that is written and synced.
    pub(super) upto: BTreeMap<u16, u64>,
    /// Why nothing more can be written.
    pub(super) failed: Option<String>,
    /// Whether all lines are on the disk, and none will follow.
    pub(super) whole: bool,
    /// Whether the file is closed, and compressed where it is long.
    pub(super) finished: bool,
}

enum Command {
    Line { text: String, instance: u16, seq: u64 },
    Finish,
}

/// The record cannot take a line: it has failed, or the disk hangs.
#[derive(Debug, Eq, PartialEq, thiserror::Error)]
#[error("record cannot be written: {0}")]
pub(super) struct RecordFailed(pub(super) String);

/// The driver's end of the writing thread.
#[derive(Debug)]
pub(super) struct Recorder {
    queue: SyncSender<Command>,
    backlog: Arc<AtomicUsize>,
    durable: watch::Receiver<Durable>,
}

impl Recorder {
    /// Starts the thread; it ends with `finish`, or when the recorder is dropped.
    pub(super) fn start(writer: Writer) -> std::io::Result<Self> {
        Self::start_with(writer)
    }

    fn start_with(file: impl Record + Send + 'static) -> std::io::Result<Self> {
        let (queue, commands) = sync_channel(QUEUE_MAX);
        let (tell, durable) = watch::channel(Durable::default());
        let backlog = Arc::new(AtomicUsize::new(0));
        let left = Arc::clone(&backlog);
        std::thread::Builder::new()
            .name("recorder".to_owned())
            .spawn(move || write(file, &commands, &left, &tell))?;
        Ok(Self { queue, backlog, durable })
    }

    /// Queues a line for the disk.
    pub(super) fn append(&self, text: String, instance: u16, seq: u64) -> Result<(), RecordFailed> {
        if let Some(why) = &self.durable.borrow().failed {
            return Err(RecordFailed(why.clone()));
        }
        self.backlog.fetch_add(1, Ordering::AcqRel);
        self.queue.try_send(Command::Line { text, instance, seq }).map_err(|_| {
            self.backlog.fetch_sub(1, Ordering::AcqRel);
            RecordFailed(format!("the disk did not take {QUEUE_MAX} lines in time"))
        })
    }

    /// Whether lines of workers may be appended now.
    pub(super) fn has_room(&self) -> bool {
        self.backlog.load(Ordering::Acquire) < QUEUE_FULL
    }

    /// News of what is on the disk.
    pub(super) fn durable(&self) -> watch::Receiver<Durable> {
        self.durable.clone()
    }

    /// Writes and syncs all that is queued, and closes the record.
    pub(super) async fn finish(&mut self) -> Result<Durable, RecordFailed> {
        let closed = async {
            // The queue may be full, but only as long as the disk hangs.
            while self.queue.try_send(Command::Finish).is_err() {
                if self.durable.changed().await.is_err() {
                    break;
                }
            }
            let ended = |durable: &Durable| durable.finished || durable.failed.is_some();
            self.durable.wait_for(ended).await.map(|durable| durable.clone())
        };
        let closed = timeout(FINISH_MAX, closed).await;
        match closed {
            Ok(Ok(Durable { failed: Some(why), .. })) => Err(RecordFailed(why)),
            Ok(Ok(durable)) => Ok(durable),
            Ok(Err(_)) => Err(RecordFailed("the writing thread ended".to_owned())),
            Err(_) if self.durable.borrow().whole => Ok(self.durable.borrow().clone()),
            Err(_) => Err(RecordFailed(format!("the disk took longer than {} s", FINISH_MAX.as_secs()))),
        }
    }
}

/// What the thread writes to: the journal, and in tests a disk that fails on demand.
trait Record {
    fn append(&mut self, line: &str) -> Result<(), String>;
    fn sync(&mut self) -> Result<(), String>;
    fn finish(self) -> Result<(), String>;
}

impl Record for Writer {
    fn append(&mut self, line: &str) -> Result<(), String> {
        Self::append(self, line).map_err(|error| error.to_string())
    }

    fn sync(&mut self) -> Result<(), String> {
        Self::sync(self).map_err(|error| error.to_string())
    }

    fn finish(self) -> Result<(), String> {
        Self::finish(self).map(|_| ()).map_err(|error| error.to_string())
    }
}

/// The thread's whole life.
fn write(
    file: impl Record,
    commands: &Receiver<Command>,
    backlog: &AtomicUsize,
    tell: &watch::Sender<Durable>,
) {
    if let Err(why) = write_all(file, commands, backlog, tell) {
        tracing::error!(why, "record cannot be written");
        tell.send_modify(|durable| durable.failed = Some(why));
    }
}

fn write_all(
    mut file: impl Record,
    commands: &Receiver<Command>,
    backlog: &AtomicUsize,
    tell: &watch::Sender<Durable>,
) -> Result<(), String> {
    let mut unsynced: BTreeMap<u16, u64> = BTreeMap::new();
    let mut sync_at = Instant::now() + SYNC_EACH;
    loop {
        match commands.recv_timeout(sync_at.saturating_duration_since(Instant::now())) {
            Ok(Command::Line { text, instance, seq }) => {
                backlog.fetch_sub(1, Ordering::AcqRel);
                file.append(&text)?;
                let upto = unsynced.entry(instance).or_default();
                *upto = seq.max(*upto);
            }
            Ok(Command::Finish) | Err(RecvTimeoutError::Disconnected) => break,
            Err(RecvTimeoutError::Timeout) => {}
        }
        if Instant::now() >= sync_at {
            if !unsynced.is_empty() {
                file.sync()?;
                publish(&mut unsynced, tell);
            }
            sync_at = Instant::now() + SYNC_EACH;
        }
    }
    file.sync()?;
    publish(&mut unsynced, tell);
    tell.send_modify(|durable| durable.whole = true);
    file.finish()?;
    tell.send_modify(|durable| durable.finished = true);
    Ok(())
}

fn publish(unsynced: &mut BTreeMap<u16, u64>, tell: &watch::Sender<Durable>) {
    let news = std::mem::take(unsynced);
    tell.send_modify(|durable| {
        for (instance, seq) in news {
            let upto = durable.upto.entry(instance).or_default();
            *upto = seq.max(*upto);
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A disk that takes so many lines, and then is full.
    struct Disk {
        lines_max: usize,
        lines: usize,
    }

    impl Record for Disk {
        fn append(&mut self, _: &str) -> Result<(), String> {
            self.lines += 1;
            if self.lines > self.lines_max { Err("no space left on device".to_owned()) } else { Ok(()) }
        }

        fn sync(&mut self) -> Result<(), String> {
            Ok(())
        }

        fn finish(self) -> Result<(), String> {
            Ok(())
        }
    }

    fn recorder(lines_max: usize) -> Recorder {
        Recorder::start_with(Disk { lines_max, lines: 0 }).expect("a thread")
    }

    #[tokio::test]
    async fn what_is_finished_is_durable_up_to_the_highest_line_of_each_instance() {
        let mut recorder = recorder(10);
        for (instance, seq) in [(0, 1), (1, 1), (1, 3), (1, 2)] {
            recorder.append(String::new(), instance, seq).expect("there is room");
        }
        let durable = recorder.finish().await.expect("the disk is sound");
        assert_eq!(durable.upto, BTreeMap::from([(0, 1), (1, 3)]));
        assert!(durable.finished);
    }

    #[tokio::test]
    async fn a_line_is_told_as_durable_without_the_end_of_the_run() {
        let recorder = recorder(10);
        recorder.append(String::new(), 2, 7).expect("there is room");
        let mut news = recorder.durable();
        let durable = timeout(SYNC_EACH * 10, news.wait_for(|durable| !durable.upto.is_empty()));
        assert_eq!(
            durable.await.expect("within seconds").expect("the thread lives").upto,
            BTreeMap::from([(2, 7)])
        );
    }

    #[tokio::test]
    async fn a_full_disk_is_said_for_ever_and_nothing_is_durable_after_it() {
        let mut recorder = recorder(1);
        for seq in 1..=2 {
            recorder.append(String::new(), 1, seq).expect("queued");
        }
        let error = recorder.finish().await.expect_err("the disk is full");
        assert_eq!(error.to_string(), "record cannot be written: no space left on device");
        assert!(recorder.append(String::new(), 1, 3).is_err());
        assert!(recorder.durable().borrow().upto.is_empty());
    }
}
