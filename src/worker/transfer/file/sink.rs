//! The receiving end: what arrives is written down, and then compared.

use std::{
    fs::File,
    io::{self, Read as _, Write as _},
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Instant,
};

use rustix::event::PollFlags;
use socket2::Socket;

use super::{
    super::{
        depot::{create, fault_of, reserve},
        door::Door,
        hosted::HostedFlow,
        key::{HELLO_BYTES, Hello, Purpose, read_hello},
        outcome::{StopOnDrop, Telling, compare, fault},
        socket,
    },
    CONSENT_EVERY, End, Spending, WRITTEN, read_all, wait,
};
use crate::model::record::file::FileFault;

/// Taken from the socket and written in one go.
const CHUNK_BYTES: usize = 512 * 1024;

/// Receives the file of a flow, until it is there or the flow's hours are over.
pub async fn sink(hosted: HostedFlow) {
    let mut telling = Telling::new(&hosted);
    let not_started = |error: io::Error| fault(FileFault::NotStarted, error.to_string());
    let folder = match hosted.shared.depot.flow_folder(&format!("sink-{}", hosted.flow.id)) {
        Ok(folder) => folder,
        Err(error) => {
            return telling.failed(fault(fault_of(&error), format!("making a folder: {error}")));
        }
    };
    let door = match Door::open(&hosted) {
        Ok(door) => door,
        Err(error) => return telling.failed(not_started(error)),
    };
    hosted.offer(format!("file {}", door.port));
    telling.note("no source ever connected".to_owned());
    let (path, bytes) = (folder.join("received"), hosted.carriage.file_bytes.unwrap_or(0));
    loop {
        let connection = match door.next(&hosted).await {
            Ok(connection) => connection,
            Err(error) => return telling.failed(not_started(error)),
        };
        match one(&hosted, connection, path.clone(), bytes).await {
            (End::Complete, spending) => {
                telling.spent(spending.0, spending.1);
                telling.complete();
                return compare(&mut telling, path, bytes).await;
            }
            (End::Failed(fault), _) => return telling.failed(fault),
            (End::Lost(error), spending) => {
                telling.spent(spending.0, spending.1);
                telling.note(format!("the connection was lost: {error}"));
            }
        }
    }
}

/// One connection, on a thread of its own.
async fn one(hosted: &HostedFlow, connection: Socket, path: PathBuf, bytes: u64) -> (End, (f32, f32)) {
    let stop = StopOnDrop::default();
    let (stopped, hosted) = (Arc::clone(&stop.0), hosted.clone());
    let pulled = tokio::task::spawn_blocking(move || {
        let mut spending = Spending::begin();
        let end = pull(&hosted, &connection, &path, bytes, &stopped, &mut spending);
        (end.unwrap_or_else(|end| end), spending.shares())
    });
    pulled.await.unwrap_or_else(|error| (End::Lost(io::Error::other(error)), (0.0, 0.0)))
}

fn pull(
    hosted: &HostedFlow,
    connection: &Socket,
    path: &Path,
    bytes: u64,
    stop: &Arc<AtomicBool>,
    spending: &mut Spending,
) -> Result<End, End> {
    socket::accepted(connection)?;
    let hello = greet(hosted, connection, stop)?;
    let disk = |error: io::Error| End::Failed(fault(fault_of(&error), format!("writing the file: {error}")));
    let mut file = spending.disk(|| reserved(path, bytes)).map_err(disk)?;
    let (mut reader, mut position) = (connection, 0u64);
    let (mut chunk, mut consents, mut consent_at) = (vec![0; CHUNK_BYTES], 0u64, Instant::now());
    while position < bytes {
        if stop.load(Ordering::Relaxed) {
            return Err(io::Error::from(io::ErrorKind::Interrupted).into());
        }
        if Instant::now() >= consent_at {
            // Where even 24 bytes do not fit, the way back is dead, and silence is right.
            let mut writer = connection;
            let _ = writer.write(&hosted.flow.key.consent(&hello.nonce, consents));
            (consents, consent_at) = (consents + 1, Instant::now() + CONSENT_EVERY);
        }
        let most = usize::try_from(bytes - position).unwrap_or(CHUNK_BYTES).min(CHUNK_BYTES);
        match reader.read(&mut chunk[..most]) {
            Ok(0) => return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into()),
            Ok(length) => {
                spending.disk(|| file.write_all(&chunk[..length])).map_err(disk)?;
                position += length as u64;
                hosted.flow.meter.received.fetch_add(length as u64, Ordering::Relaxed);
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                wait(connection, PollFlags::IN)?;
            }
            Err(error) => return Err(error.into()),
        }
    }
    let mut writer = connection;
    // Without a linger it would be discarded with the close.
    connection.set_linger(None)?;
    let _ = writer.write(&hosted.flow.key.consent(&hello.nonce, WRITTEN));
    Ok(End::Complete)
}

/// Whoever connected proves the flow's key.
fn greet(hosted: &HostedFlow, connection: &Socket, stop: &Arc<AtomicBool>) -> io::Result<Hello> {
    let mut bytes = [0; HELLO_BYTES];
    read_all(connection, &mut bytes, stop)?;
    let hello = read_hello(&bytes)
        .filter(|hello| hello.purpose == Purpose::Stream && hello.flow == hosted.flow.id)
        .filter(|_| hosted.flow.key.proves(&bytes));
    hello.ok_or_else(|| io::Error::other("a caller did not hold the transfer's key"))
}

fn reserved(path: &Path, bytes: u64) -> io::Result<File> {
    let file = create(path)?;
    reserve(&file, bytes)?;
    Ok(file)
}
