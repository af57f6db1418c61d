//! Whether a file that arrived is the file that was sent: byte by byte, from disk.
//!
//! Both ends know what the file holds, so this says more than a digest: the first byte that
//! differs, and how many do.

use std::{
    fs::File,
    io::{self, Read as _},
    path::Path,
};

use super::{
    inlet::Difference,
    payload::{Lot, Payload},
};

/// Read and compared in one go: what was just copied is still in the cache.
const CHUNK_BYTES: usize = 256 * 1024;

/// Compares the first `bytes` of a file with what must be there; `given_up` is asked
/// between chunks.
///
/// # Errors
///
/// If the file cannot be read, is shorter, or it was given up.
pub fn first_difference(
    path: &Path,
    payload: &Payload,
    bytes: u64,
    given_up: &dyn Fn() -> bool,
) -> io::Result<Option<Difference>> {
    let (mut file, lot) = (File::open(path)?, Lot::of_file(bytes));
    let mut chunk = vec![0; CHUNK_BYTES];
    let (mut position, mut found) = (0u64, None::<Difference>);
    while position < bytes {
        if given_up() {
            return Err(io::ErrorKind::Interrupted.into());
        }
        let length = usize::try_from(bytes - position).unwrap_or(CHUNK_BYTES).min(CHUNK_BYTES);
        file.read_exact(&mut chunk[..length])?;
        if let Some(new) = difference(payload, lot, position, &chunk[..length]) {
            let first = found.get_or_insert(Difference { bytes: 0, ..new });
            first.bytes += new.bytes;
        }
        position += length as u64;
    }
    Ok(found)
}

/// The first difference among bytes that begin at `position`, with the count of all.
fn difference(payload: &Payload, lot: Lot, position: u64, bytes: &[u8]) -> Option<Difference> {
    let (mut found, mut at) = (None::<Difference>, 0);
    while at < bytes.len() {
        let known = payload.at(lot, position + at as u64);
        let length = known.len().min(bytes.len() - at);
        let (sent, received) = (&known[..length], &bytes[at..at + length]);
        if sent != received {
            let differing = || (0..length).filter(|i| sent[*i] != received[*i]);
            if let Some(first) = differing().next() {
                let place = position + (at + first) as u64;
                let new =
                    Difference { position: place, bytes: 0, sent: sent[first], received: received[first] };
                found.get_or_insert(new).bytes += differing().count() as u64;
            }
        }
        at += length;
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{model::run::message::SecretHex, worker::transfer::key::TransferKey};

    #[test]
    fn a_flipped_byte_a_shift_and_a_short_file_are_found() {
        let key = TransferKey::new(&SecretHex("f".repeat(64))).expect("64 digits");
        let payload = Payload::new(&key).expect("memory");
        let bytes = 700_003u64;
        let lot = Lot::of_file(bytes);
        let mut sound = Vec::new();
        while (sound.len() as u64) < bytes {
            sound.extend(payload.at(lot, sound.len() as u64));
        }
        sound.truncate(bytes as usize);
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("file");
        let check = |content: &[u8]| {
            std::fs::write(&path, content).expect("written");
            first_difference(&path, &payload, bytes, &|| false)
        };
        assert_eq!(check(&sound).expect("readable"), None);
        let mut flipped = sound.clone();
        flipped[555_555] ^= 4;
        let found = check(&flipped).expect("readable").expect("found");
        assert_eq!((found.position, found.bytes, found.sent), (555_555, 1, sound[555_555]));
        let mut shifted = sound.clone();
        shifted.rotate_left(1);
        assert!(check(&shifted).expect("readable").expect("found").bytes > 600_000);
        assert_eq!(check(&sound[..600_000]).expect_err("short").kind(), io::ErrorKind::UnexpectedEof);
        assert!(first_difference(&path, &payload, bytes, &|| true).is_err());
    }
}
