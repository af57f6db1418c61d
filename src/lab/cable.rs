//! A cable that treats packets: holds them, disorders them, changes their bytes.
//!
//! Pure: time is an argument, draws come from a seeded generator. Taking packets from an
//! interface and sending them out is the holder's.

use std::{collections::VecDeque, fmt};

use rand::Rng;
use rand_chacha::{ChaCha8Rng, rand_core::SeedableRng};

/// Packets that a cable holds at most; what comes beyond is lost, as in a full queue. At
/// 60 Mb/s it is a second of full frames.
const HELD_MAX: usize = 5_000;

/// What stands before each frame: `struct virtio_net_hdr`, by which an unfinished checksum
/// stays unfinished.
pub(crate) const VNET_BYTES: usize = 10;

/// Flag of its first byte: the checksum is still to be made.
const NEEDS_CSUM: u8 = 1;

/// A shorter frame is not changed: it is a handshake or an acknowledgement.
const CHANGED_BYTES_MIN: usize = 128;

/// How often two words are drawn that can be changed without changing their sum.
const DRAWS: usize = 16;

/// What a cable does to packets. All zeroes: it passes them.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Treatment {
    /// How late each is, microseconds.
    pub(crate) delay_us: u64,
    /// How much later at most, microseconds; drawn for each, and order is kept.
    pub(crate) jitter_us: u64,
    /// Share of the packets that are changed.
    pub(crate) corrupt_share: f64,
    /// Whether a checksum tells of the change.
    pub(crate) caught: bool,
    /// From one stall to the next, microseconds; 0 for none.
    pub(crate) stall_every_us: u64,
    /// How long each lasts, microseconds.
    pub(crate) stall_us: u64,
}

impl fmt::Display for Treatment {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.corrupt_share > 0.0 {
            let how = if self.caught { "flips a bit in" } else { "changes two words, but not their sum, in" };
            return write!(out, "{how} {} % of them", self.corrupt_share * 100.0);
        }
        if self.stall_every_us > 0 {
            let (stall, every) = (self.stall_us / 1000, self.stall_every_us / 1000);
            return write!(out, "holds all for {stall} ms in every {every} ms");
        }
        let (from, to) = (self.delay_us as f64 / 1e3, (self.delay_us + self.jitter_us) as f64 / 1e3);
        match (self.delay_us, self.jitter_us) {
            (0, 0) => out.write_str("passes them on"),
            (_, 0) => write!(out, "holds each for {from} ms"),
            _ => write!(out, "holds each for {from} to {to} ms"),
        }
    }
}

/// Packets on their way through a cable.
#[derive(Debug)]
pub(crate) struct Cable {
    treatment: Treatment,
    draw: ChaCha8Rng,
    held: VecDeque<(u64, Vec<u8>)>,
    last_us: u64,
}

impl Cable {
    /// An empty one; the same seed draws the same.
    pub(crate) fn new(treatment: Treatment, seed: u64) -> Self {
        Self { treatment, draw: ChaCha8Rng::seed_from_u64(seed), held: VecDeque::new(), last_us: 0 }
    }

    /// Takes a frame with its header at `now_us`; `false` where there is no room for it.
    pub(crate) fn take(&mut self, now_us: u64, mut frame: Vec<u8>) -> bool {
        if self.held.len() >= HELD_MAX {
            return false;
        }
        if self.draws(self.treatment.corrupt_share) {
            self.change(&mut frame);
        }
        let jitter = if self.treatment.jitter_us == 0 {
            0
        } else {
            u64::from(self.draw.next_u32()) % self.treatment.jitter_us
        };
        let wanted = self.after_stall(now_us + self.treatment.delay_us + jitter);
        self.last_us = self.last_us.max(wanted);
        self.held.push_back((self.last_us, frame));
        true
    }

    /// The next frame that is due at `now_us`.
    pub(crate) fn due(&mut self, now_us: u64) -> Option<Vec<u8>> {
        self.held.front().filter(|(at, _)| *at <= now_us)?;
        self.held.pop_front().map(|(_, frame)| frame)
    }

    /// When the next frame is due.
    pub(crate) fn next_us(&self) -> Option<u64> {
        self.held.front().map(|(at, _)| *at)
    }

    fn draws(&mut self, share: f64) -> bool {
        share > 0.0 && f64::from(self.draw.next_u32()) < share * f64::from(u32::MAX)
    }

    fn after_stall(&self, at_us: u64) -> u64 {
        let Treatment { stall_every_us, stall_us, .. } = self.treatment;
        let Some(phase) = at_us.checked_rem(stall_every_us) else { return at_us };
        if phase < stall_us { at_us - phase + stall_us } else { at_us }
    }

    /// Changes a frame in its second half, where no header is.
    fn change(&mut self, frame: &mut [u8]) {
        let Some((header, frame)) = frame.split_at_mut_checked(VNET_BYTES) else { return };
        if frame.len() < CHANGED_BYTES_MIN {
            return;
        }
        if self.treatment.caught {
            finish_checksum(header, frame);
            let (at, bit) = (self.place(frame.len()), self.draw.next_u32() % 8);
            frame[at] ^= 1 << bit;
            return;
        }
        for _ in 0..DRAWS {
            let (up, down) = (self.place(frame.len()), self.place(frame.len()));
            let word = |at: usize| u16::from_be_bytes([frame[at], frame[at + 1]]);
            // Of the one that wraps the sum would change.
            if up == down || word(up) == u16::MAX || word(down) == 0 {
                continue;
            }
            let (higher, lower) = (word(up) + 1, word(down) - 1);
            frame[up..up + 2].copy_from_slice(&higher.to_be_bytes());
            frame[down..down + 2].copy_from_slice(&lower.to_be_bytes());
            return;
        }
    }

    /// An even place in the second half of a frame: headers are of even length, so that it is
    /// the first byte of a word of any checksum.
    fn place(&mut self, length: usize) -> usize {
        let half = length / 4 * 2;
        half + (self.draw.next_u32() as usize % ((length - half - 2) / 2)) * 2
    }
}

/// Makes a checksum that the sender left to its card (RFC 1071): its field holds the sum of
/// the pseudo header.
fn finish_checksum(header: &mut [u8], frame: &mut [u8]) {
    if header[0] & NEEDS_CSUM == 0 {
        return;
    }
    let number = |at: usize| usize::from(u16::from_ne_bytes([header[at], header[at + 1]]));
    let (start, field) = (number(6), number(6) + number(8));
    let Some(covered) = frame.get(start..).filter(|_| field + 2 <= frame.len()) else { return };
    let mut sum: u64 = covered
        .chunks(2)
        .map(|pair| u64::from(u16::from_be_bytes([pair[0], pair.get(1).copied().unwrap_or(0)])))
        .sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    // UDP's 0 means that there is none.
    let made = match !(sum as u16) {
        0 => u16::MAX,
        made => made,
    };
    frame[field..field + 2].copy_from_slice(&made.to_be_bytes());
    header[0] &= !NEEDS_CSUM;
}

#[cfg(test)]
mod tests;
