//! Reads the record of a run back, on several cores: most of the time that judging a large one
//! takes goes into its text.
//!
//! What a line says is the model's to know, how files are cut into lines the journal's. Here
//! pieces of text go out to a few threads, and lines come back in their order.

use std::{
    collections::BTreeMap,
    num::NonZero,
    path::{Path, PathBuf},
    sync::{
        Mutex, PoisonError,
        mpsc::{Receiver, SyncSender, sync_channel},
    },
    thread,
};

use anyhow::Context as _;

use super::failure::Failure;
use crate::{
    journal::{self, JournalError},
    model::record::{
        book::{Decoder, Reading, Record},
        line::Line,
        text::LineError,
    },
};

/// Text handed to a thread at a time: some hundred lines.
const PIECE_BYTES: usize = 256 * 1024;

/// The most threads that decode; more would wait for the one that takes their lines.
const DECODERS_MAX: usize = 4;

/// Pieces that may wait on either side of the decoders.
const WAITING_MAX: usize = 8;

/// Lines of text, one after the other.
#[derive(Default)]
struct Piece {
    number: usize,
    text: String,
    ends: Vec<usize>,
}

/// A piece's number, and what its lines say.
type Decoded = (usize, Vec<Result<Line, LineError>>);

/// The record of a run's folder with the lines of `spools` appended: every sound line once.
pub(super) fn read(folder: &Path, spools: &[PathBuf]) -> Result<Record, Failure> {
    let path = journal::find_record(folder).map_err(Failure::usage)?;
    let mut reading = Reading::default();
    each(&path, |line| reading.take(line)).map_err(Failure::usage)?;
    for spool in spools {
        let mut lines = Vec::new();
        each(spool, |line| lines.push(line)).map_err(Failure::usage)?;
        let taken = reading.take_spool(lines);
        taken
            .with_context(|| format!("{} is no spool of this run", spool.display()))
            .map_err(Failure::usage)?;
    }
    reading.finish().with_context(|| format!("{} cannot be judged", path.display())).map_err(Failure::usage)
}

/// Gives each line of a file to `take`, in their order.
fn each(path: &Path, take: impl FnMut(Result<Line, LineError>)) -> Result<(), JournalError> {
    let decoders = thread::available_parallelism().map_or(1, NonZero::get).min(DECODERS_MAX);
    let (pieces, to_decode) = sync_channel(WAITING_MAX);
    let (decoded, to_take) = sync_channel(WAITING_MAX);
    let to_decode = Mutex::new(to_decode);
    thread::scope(|scope| {
        let reader = scope.spawn(move || cut(path, &pieces));
        for _ in 0..decoders {
            let (to_decode, decoded) = (&to_decode, decoded.clone());
            scope.spawn(move || decode(to_decode, &decoded));
        }
        // The last of the decoders closes it.
        drop(decoded);
        in_order(&to_take, take);
        reader.join().expect("it does not panic")
    })
}

/// Cuts a file into pieces of whole lines.
fn cut(path: &Path, pieces: &SyncSender<Piece>) -> Result<(), JournalError> {
    let mut piece = Piece::default();
    let send = |piece: &mut Piece| {
        let next = Piece { number: piece.number + 1, ..Piece::default() };
        // Nobody listens any more only if a decoder panicked, which the scope tells.
        let _ = pieces.send(std::mem::replace(piece, next));
    };
    journal::each_line(path, |line| {
        piece.text.push_str(line);
        piece.ends.push(piece.text.len());
        if piece.text.len() >= PIECE_BYTES {
            send(&mut piece);
        }
    })?;
    send(&mut piece);
    Ok(())
}

fn decode(pieces: &Mutex<Receiver<Piece>>, decoded: &SyncSender<Decoded>) {
    let mut decoder = Decoder::default();
    loop {
        let next = pieces.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(piece) = next else { return };
        let begins = std::iter::once(0).chain(piece.ends.iter().copied());
        let lines = begins.zip(&piece.ends).map(|(begin, end)| decoder.line(&piece.text[begin..*end]));
        if decoded.send((piece.number, lines.collect())).is_err() {
            return;
        }
    }
}

/// Gives lines on in the order of their pieces, as those come.
fn in_order(decoded: &Receiver<Decoded>, mut take: impl FnMut(Result<Line, LineError>)) {
    let (mut early, mut next) = (BTreeMap::new(), 0);
    while let Ok((number, lines)) = decoded.recv() {
        early.insert(number, lines);
        while let Some(lines) = early.remove(&next) {
            lines.into_iter().for_each(&mut take);
            next += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::model::{
        fleet::{host::HostId, units::RunTime},
        record::{line::Body, text},
    };

    #[test]
    fn lines_come_in_their_order_with_what_is_damaged_in_its_place() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("record.jsonl");
        let line = |q: u64| {
            let body = Body::Left { host: HostId(1), why: "x".repeat(q as usize % 300) };
            Line { i: 1, e: 1, q, t: RunTime(q), body }
        };
        let mut lines: Vec<String> = (1..=20_000).map(|q| text::encode(&line(q))).collect();
        lines[9_999].replace_range(3..4, "~");
        let text = lines.join("\n");
        assert!(text.len() > 8 * PIECE_BYTES, "several pieces for each thread");
        fs::write(&path, &text[..text.len() - 5]).unwrap();
        let mut got = Vec::new();
        each(&path, |line| got.push(line)).unwrap();
        assert_eq!(got.len(), 20_000);
        for (at, got) in got.into_iter().enumerate() {
            match at {
                9_999 => assert!(matches!(got, Err(LineError::BadChecksum { .. } | LineError::NotJson(_)))),
                19_999 => assert!(matches!(got, Err(LineError::NotJson(_)))),
                _ => assert_eq!(got, Ok(line(at as u64 + 1))),
            }
        }
    }

    #[test]
    fn what_cannot_be_read_is_said() {
        let missing = Path::new("/nowhere/record.jsonl");
        assert!(matches!(each(missing, |_| {}), Err(JournalError::Io { doing: "open", .. })));
    }
}
