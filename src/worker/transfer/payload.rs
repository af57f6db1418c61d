//! What is sent: random bytes that both ends can draw from the fleet's key, so that a
//! receiver knows what must arrive at each position of a stream.
//!
//! A stream is cut into blocks, and each block is a piece of one random buffer, taken at a
//! place drawn from the stream's lot and the block's number: a block that is shifted,
//! repeated, zeroed or of another stream differs from what belongs there.

use std::{
    fs::File,
    io::{self, IoSlice},
    ops::Range,
    os::fd::OwnedFd,
    sync::OnceLock,
};

use rand::{Rng as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;

use super::key::TransferKey;
use crate::{
    model::plan::carriage::BufferLayout,
    sys::pages::{HUGE_BYTES, HugePages},
};

/// Random bytes: four huge pages. More than a core's own caches hold, so that the card reads
/// from further away, and little enough for 64 workers on one lab machine.
const PAYLOAD_BYTES: usize = 8 * 1024 * 1024;

/// A block of a stream that is written in large pieces.
const BLOCK_BYTES: usize = 64 * 1024;

/// A block of a stream of many small pieces: each of them lies in a page of its own, or
/// the kernel would join them.
const SMALL_BLOCK_BYTES: usize = 1024;

/// Places of blocks lie on words, so that comparing is as fast as copying.
const PLACE_ALIGN: usize = 8;

/// Random bytes, never written again.
#[derive(Debug)]
pub struct Payload {
    pages: HugePages,
    file: OnceLock<Result<File, i32>>,
}

/// How the stream of a flow is laid out, the same at both ends.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Lot {
    draw: u64,
    block_bytes: usize,
}

impl Lot {
    /// Of one stream of a flow.
    pub fn new(key: &TransferKey, stream: u16, layout: BufferLayout) -> Self {
        let draw = key.draw("payload").wrapping_add(u64::from(stream).wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let block_bytes = if layout == BufferLayout::Iovec { SMALL_BLOCK_BYTES } else { BLOCK_BYTES };
        Self { draw, block_bytes }
    }

    /// Of a file of this size: the same for all flows of a run, so that a source writes it
    /// once. The bytes are the run's own all the same.
    pub const fn of_file(bytes: u64) -> Self {
        Self { draw: mix(bytes), block_bytes: BLOCK_BYTES }
    }

    /// Bytes of a block.
    pub const fn block_bytes(self) -> usize {
        self.block_bytes
    }

    /// The number of the block that holds this position.
    pub const fn block(self, position: u64) -> u64 {
        position / self.block_bytes as u64
    }

    /// Whether a receiver that compares one block in `one_in` compares this one.
    pub const fn is_sampled(self, block: u64, one_in: u16) -> bool {
        block.wrapping_add(self.draw).is_multiple_of(one_in as u64)
    }

    /// Where in the payload the rest of the block lies that holds this position.
    fn place(self, position: u64) -> Range<usize> {
        let within = (position % self.block_bytes as u64) as usize;
        let start = if self.block_bytes == SMALL_BLOCK_BYTES {
            // One piece a page: pages follow a stride that meets all of them.
            let pages = PAYLOAD_BYTES / 4096;
            let page = mix(self.draw ^ self.block(position)) as usize % pages;
            page * 4096
                + (mix(self.draw.wrapping_sub(self.block(position))) as usize % 3072) / PLACE_ALIGN
                    * PLACE_ALIGN
        } else {
            let places = (PAYLOAD_BYTES - self.block_bytes) / PLACE_ALIGN;
            mix(self.draw ^ self.block(position)) as usize % places * PLACE_ALIGN
        };
        start + within..start + self.block_bytes
    }
}

/// The finalizer of `SplitMix64` (Steele et al., 2014): every bit of the number moves all others.
const fn mix(number: u64) -> u64 {
    let a = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let b = (a ^ (a >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    b ^ (b >> 31)
}

impl Payload {
    /// Drawn from a key: the same at all ends that hold it.
    ///
    /// # Errors
    ///
    /// If the kernel gives no memory.
    pub fn new(key: &TransferKey) -> io::Result<Self> {
        let mut draw = ChaCha8Rng::from_seed(key.seed("payload"));
        let pages = HugePages::new(PAYLOAD_BYTES / HUGE_BYTES, |bytes| draw.fill_bytes(bytes))?;
        Ok(Self { pages, file: OnceLock::new() })
    }

    /// All of it.
    pub fn bytes(&self) -> &[u8] {
        &self.pages
    }

    /// A huge page of one's own, where there are enough: the kernel counts who refers to a
    /// page, and two cores that count the same one hold each other up.
    pub fn page_of(&self, home: usize) -> &[u8] {
        let pages = PAYLOAD_BYTES / HUGE_BYTES;
        &self.bytes()[home % pages * HUGE_BYTES..][..HUGE_BYTES]
    }

    /// What a stream carries from `position` on, to the end of its block.
    pub fn at(&self, lot: Lot, position: u64) -> &[u8] {
        &self.bytes()[lot.place(position)]
    }

    /// What a stream carries from `position` on, in as many blocks as there is room for and
    /// at most `most` bytes. Returns the pieces' number and bytes.
    pub fn pieces<'a>(
        &'a self,
        lot: Lot,
        position: u64,
        most: usize,
        room: &mut [IoSlice<'a>],
    ) -> (usize, usize) {
        let (mut count, mut bytes) = (0, 0);
        while count < room.len() && bytes < most {
            let piece = self.at(lot, position + bytes as u64);
            let piece = &piece[..piece.len().min(most - bytes)];
            room[count] = IoSlice::new(piece);
            (count, bytes) = (count + 1, bytes + piece.len());
        }
        (count, bytes)
    }

    /// Where in [`Payload::bytes`] and in [`Payload::file`] the bytes lie that a stream carries from `position` on, to
    /// the end of its block: offset and length.
    pub fn in_file(lot: Lot, position: u64) -> (u64, usize) {
        let place = lot.place(position);
        (place.start as u64, place.len())
    }

    /// The same bytes as a file in memory, for `sendfile`; made when first asked for.
    ///
    /// # Errors
    ///
    /// If the kernel gives no such file.
    pub fn file(&self) -> io::Result<&File> {
        let made = self.file.get_or_init(|| {
            let raw = |error: io::Error| error.raw_os_error().unwrap_or(libc::EIO);
            let fd: OwnedFd = rustix::fs::memfd_create("nicburn-payload", rustix::fs::MemfdFlags::CLOEXEC)
                .map_err(rustix::io::Errno::raw_os_error)?;
            let mut file = File::from(fd);
            io::Write::write_all(&mut file, self.bytes()).map_err(raw)?;
            Ok(file)
        });
        made.as_ref().map_err(|code| io::Error::from_raw_os_error(*code))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::run::message::SecretHex;

    fn key(digit: &str) -> TransferKey {
        TransferKey::new(&SecretHex(digit.repeat(64))).expect("64 digits")
    }

    #[test]
    fn both_ends_draw_the_same_bytes_and_other_runs_others() {
        let (a, b) = (Payload::new(&key("a")).expect("memory"), Payload::new(&key("a")).expect("memory"));
        assert_eq!(a.bytes(), b.bytes());
        assert_ne!(a.bytes()[..64], Payload::new(&key("b")).expect("memory").bytes()[..64]);
    }

    #[test]
    fn every_position_has_bytes_of_its_own_at_both_ends_of_any_cut() {
        let payload = Payload::new(&key("a")).expect("memory");
        for layout in BufferLayout::ALL {
            let lot = Lot::new(&key("c"), 3, layout);
            let mut room = [IoSlice::new(&[]); 512];
            let (count, bytes) = payload.pieces(lot, 1_000, 300_000, &mut room);
            let sent: Vec<u8> = room[..count].iter().flat_map(|piece| piece.to_vec()).collect();
            assert_eq!(sent.len(), bytes);
            let (mut position, mut rest) = (1_000, &sent[..]);
            while !rest.is_empty() {
                let known = payload.at(lot, position);
                let length = known.len().min(rest.len()).min(777);
                assert_eq!(rest[..length], known[..length], "{layout:?} at {position}");
                (position, rest) = (position + length as u64, &rest[length..]);
            }
        }
    }

    #[test]
    fn neighbouring_blocks_and_streams_differ() {
        let payload = Payload::new(&key("a")).expect("memory");
        let lot = Lot::new(&key("c"), 0, BufferLayout::Write);
        let other = Lot::new(&key("c"), 1, BufferLayout::Write);
        for block in 0..200u64 {
            let position = block * BLOCK_BYTES as u64;
            let own = &payload.at(lot, position)[..64];
            assert_ne!(own, &payload.at(lot, position + BLOCK_BYTES as u64)[..64]);
            assert_ne!(own, &payload.at(other, position)[..64]);
            assert!(own.iter().any(|byte| *byte != 0));
        }
    }

    #[test]
    fn one_block_in_so_many_is_sampled() {
        let lot = Lot::new(&key("c"), 7, BufferLayout::Write);
        for one_in in [1, 2, 64, 1024] {
            let sampled = (0..4096).filter(|block| lot.is_sampled(*block, one_in)).count();
            assert_eq!(sampled, 4096 / usize::from(one_in), "1/{one_in}");
        }
    }

    #[test]
    fn the_file_holds_the_same_bytes() {
        use std::os::unix::fs::FileExt as _;
        let payload = Payload::new(&key("a")).expect("memory");
        let lot = Lot::new(&key("c"), 0, BufferLayout::Sendfile);
        let (offset, length) = Payload::in_file(lot, 70_000);
        let mut bytes = vec![0; length];
        payload.file().expect("a file").read_exact_at(&mut bytes, offset).expect("readable");
        assert_eq!(bytes, payload.at(lot, 70_000));
    }
}
