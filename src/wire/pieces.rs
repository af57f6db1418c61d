//! Datagrams in pieces: QUIC asks 1,200 bytes of every path, and a card that loses large frames
//! would take the line down with it, which is to tell of just that.
//!
//! # Shape
//!
//! A datagram of at most [`PIECE_BYTES`] travels as it is. A longer one travels as two to
//! [`PIECES_MAX`] pieces, each behind a head of [`HEAD_BYTES`]: [`TAG`], how many they are and which
//! this is (4 bits each), and a number of the datagram (4 bytes, big endian). The first byte of a QUIC
//! packet is never [`TAG`]: its fixed bit is set (RFC 9000, 17.2 and 17.3), which both ends hold to.
//!
//! A lost piece is a lost datagram, which QUIC sends again; a forged one makes a datagram whose
//! seal is broken, which QUIC drops.
//!
//! # What does not belong here
//!
//! Sockets: `socket`.

use std::{
    collections::{BTreeMap, VecDeque},
    net::SocketAddr,
};

/// The longest datagram that travels as it is, and the longest piece: with the heads of IPv6 and
/// UDP frames of at most 454 bytes on the line.
const PIECE_BYTES: usize = 400;

/// Bytes before each piece.
const HEAD_BYTES: usize = 6;

/// The first byte of a piece.
const TAG: u8 = 0x01;

/// Pieces of a datagram at most: four hold the 1,472 bytes of a full frame.
const PIECES_MAX: usize = 4;

/// Datagrams of which pieces are missing that are kept: some for each of the workers that a
/// coordinator hears at once, 1.6 MB in all. The oldest goes first.
const OPEN_MAX: usize = 1024;

/// Which datagram a piece belongs to: from whom, and its number.
type Key = (SocketAddr, u32);

/// The pieces of a datagram, each with its head; none where it travels as it is, or is too long.
pub fn split(datagram: &[u8], number: u32) -> Vec<Vec<u8>> {
    let count = datagram.len().div_ceil(PIECE_BYTES);
    if !(2..=PIECES_MAX).contains(&count) {
        return Vec::new();
    }
    // All of about one length: none is larger than it has to be.
    let pieces = datagram.chunks(datagram.len().div_ceil(count));
    let head = |which: u8| [TAG, (count as u8) << 4 | which];
    (0..)
        .zip(pieces)
        .map(|(which, piece)| [&head(which)[..], &number.to_be_bytes(), piece].concat())
        .collect()
}

/// Whether a datagram is a piece of another.
pub fn is_piece(datagram: &[u8]) -> bool {
    datagram.first() == Some(&TAG)
}

/// Puts pieces together again.
#[derive(Debug, Default)]
pub struct Joiner {
    open: BTreeMap<Key, Vec<Option<Vec<u8>>>>,
    oldest: VecDeque<Key>,
}

impl Joiner {
    /// Takes a piece; the whole datagram, where it was the last that was missing.
    pub fn take(&mut self, from: SocketAddr, piece: &[u8]) -> Option<Vec<u8>> {
        let (head, piece) = piece.split_first_chunk::<HEAD_BYTES>()?;
        let [tag, place, number @ ..] = *head;
        let (count, which) = (usize::from(place >> 4), usize::from(place & 0xf));
        let sound = tag == TAG && (2..=PIECES_MAX).contains(&count) && which < count;
        if !sound || piece.len() > PIECE_BYTES {
            return None;
        }
        let key = (from, u32::from_be_bytes(number));
        let open = self.open.entry(key).or_insert_with(|| {
            self.oldest.push_back(key);
            vec![None; count]
        });
        // Another count than its siblings have: none of ours.
        if count == open.len() {
            open[which] = Some(piece.to_vec());
        }
        let whole =
            open.iter().all(Option::is_some).then(|| open.iter().flatten().flatten().copied().collect());
        if whole.is_some() {
            self.open.remove(&key);
            self.oldest.retain(|other| *other != key);
        }
        self.forget_oldest();
        whole
    }

    fn forget_oldest(&mut self) {
        while self.open.len() > OPEN_MAX {
            let Some(key) = self.oldest.pop_front() else { return };
            self.open.remove(&key);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn from(port: u16) -> SocketAddr {
        SocketAddr::from(([192, 0, 2, 1], port))
    }

    #[test]
    fn what_fits_travels_as_it_is_and_the_rest_in_pieces_that_fit() {
        for (length, pieces) in [(1, 0), (400, 0), (401, 2), (1200, 3), (1472, 4), (1600, 4), (1601, 0)] {
            let split = split(&vec![0x40; length], 7);
            assert_eq!(split.len(), pieces, "{length}");
            assert!(split.iter().all(|piece| piece.len() <= HEAD_BYTES + PIECE_BYTES && is_piece(piece)));
        }
        assert!(!is_piece(&[0x40]) && !is_piece(&[0xc0]) && !is_piece(&[]));
    }

    #[test]
    fn pieces_of_others_and_torn_heads_make_nothing() {
        let [a, b] = &split(&[0x40; 500], 7)[..] else { panic!("two") };
        let mut joiner = Joiner::default();
        assert_eq!(joiner.take(from(1), a), None);
        assert_eq!(joiner.take(from(2), b), None, "another sender's");
        for torn in
            [&[][..], &[TAG], &[TAG, 0x20, 0, 0, 0], &[TAG, 0x13, 0, 0, 0, 7, 1], &[TAG, 0xf0, 0, 0, 0, 7]]
        {
            assert_eq!(joiner.take(from(1), torn), None, "{torn:?}");
        }
        assert_eq!(joiner.take(from(1), &[TAG, 0x31, 0, 0, 0, 7, 9]), None, "of three, where there are two");
        assert_eq!(joiner.take(from(1), b).as_deref(), Some(&[0x40; 500][..]));
        assert_eq!(joiner.take(from(1), b), None, "it begins anew");
    }

    #[test]
    fn what_stays_open_is_bounded_and_the_oldest_goes_first() {
        let mut joiner = Joiner::default();
        let last = u32::try_from(OPEN_MAX).expect("few");
        for number in 0..=last {
            joiner.take(from(1), &split(&[0x40; 500], number)[0]);
        }
        assert_eq!((joiner.open.len(), joiner.oldest.len()), (OPEN_MAX, OPEN_MAX));
        assert_eq!(joiner.take(from(1), &split(&[0x40; 500], 0)[1]), None, "forgotten");
        assert!(joiner.take(from(1), &split(&[0x40; 500], last)[1]).is_some());
    }

    proptest! {
        /// For all datagrams and orders of arrival: what was split comes out whole, once.
        #[test]
        fn pieces_make_the_datagram_in_any_order(
            datagram in prop::collection::vec(any::<u8>(), PIECE_BYTES + 1..=PIECES_MAX * PIECE_BYTES),
            number: u32,
            swaps in prop::collection::vec((0..4_usize, 0..4_usize), 0..6),
        ) {
            let mut pieces = split(&datagram, number);
            for (a, b) in swaps {
                let count = pieces.len();
                pieces.swap(a % count, b % count);
            }
            let mut joiner = Joiner::default();
            let came: Vec<_> = pieces.iter().filter_map(|piece| joiner.take(from(1), piece)).collect();
            prop_assert_eq!(came, [datagram]);
            prop_assert!(joiner.open.is_empty() && joiner.oldest.is_empty());
        }

        /// For all bytes: nothing panics.
        #[test]
        fn anything_may_come(pieces in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..20), 0..20)) {
            let mut joiner = Joiner::default();
            for mut piece in pieces {
                joiner.take(from(1), &piece);
                if let Some(first) = piece.first_mut() {
                    *first = TAG;
                }
                joiner.take(from(1), &piece);
            }
        }
    }
}
