//! Bytes in order out of pieces in any order: of a stream, or of a handshake (RFC 9000 §2.2).
//!
//! What is next is handed on without a copy; only pieces that wait for an earlier one are held.
//! Packets are authenticated, so that bytes which come twice are the same: the first are kept.

use std::collections::BTreeMap;

use crate::limits::QUIC_PIECE_OVERHEAD;

/// One direction of one stream.
#[derive(Debug, Default)]
pub struct Ordered {
    /// Bytes handed on.
    next: u64,
    /// Pieces beyond, by their offset; none touches what another holds.
    waiting: BTreeMap<u64, Box<[u8]>>,
    held: usize,
    end: Option<u64>,
}

impl Ordered {
    /// Takes a piece at `offset` and hands on what is next, in order. `room` is how many bytes may
    /// wait, [`QUIC_PIECE_OVERHEAD`] for each piece among them; the bytes that found none are
    /// returned.
    pub fn insert(
        &mut self,
        offset: u64,
        data: &[u8],
        room: usize,
        on_bytes: &mut impl FnMut(&[u8]),
    ) -> usize {
        if offset > self.next {
            return self.hold(offset, data, room);
        }
        self.hand_on(offset, data, on_bytes);
        while let Some(piece) = self.waiting.first_entry() {
            if *piece.key() > self.next {
                break;
            }
            let (offset, data) = piece.remove_entry();
            self.held -= data.len() + QUIC_PIECE_OVERHEAD;
            self.hand_on(offset, &data, on_bytes);
        }
        0
    }

    /// The stream ends at this offset.
    pub fn end_at(&mut self, offset: u64) {
        self.end = Some(offset);
    }

    /// Whether all of it was handed on.
    pub fn is_complete(&self) -> bool {
        self.end.is_some_and(|end| self.next >= end)
    }

    /// Whether pieces wait for an earlier one.
    pub fn has_hole(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// Bytes that wait, [`QUIC_PIECE_OVERHEAD`] for each piece among them.
    pub fn held_bytes(&self) -> usize {
        self.held
    }

    fn hand_on(&mut self, offset: u64, data: &[u8], on_bytes: &mut impl FnMut(&[u8])) {
        let known = usize::try_from(self.next - offset).unwrap_or(usize::MAX);
        if let Some(fresh) = data.get(known..).filter(|fresh| !fresh.is_empty()) {
            self.next += fresh.len() as u64;
            on_bytes(fresh);
        }
    }

    /// Keeps what of a piece is not there already.
    fn hold(&mut self, mut offset: u64, mut data: &[u8], room: usize) -> usize {
        let mut refused = 0;
        while !data.is_empty() {
            let known = self.known_from(offset);
            let skipped = usize::try_from(known - offset).unwrap_or(usize::MAX);
            let Some(rest) = data.get(skipped..) else {
                break;
            };
            let space = self.space_from(known);
            let (fresh, after) = rest.split_at_checked(space).unwrap_or((rest, &[]));
            refused += self.keep(known, fresh, room);
            offset = known.saturating_add(fresh.len() as u64);
            data = after;
        }
        refused
    }

    /// The first offset from this one on that is not held.
    fn known_from(&self, offset: u64) -> u64 {
        let before = self.waiting.range(..=offset).next_back();
        before.map_or(offset, |(start, data)| {
            offset.max(start + data.len() as u64)
        })
    }

    /// Bytes from an offset that is not held up to the next that is.
    fn space_from(&self, offset: u64) -> usize {
        let after = self.waiting.range(offset..).next();
        after.map_or(usize::MAX, |(start, _)| {
            usize::try_from(start - offset).unwrap_or(usize::MAX)
        })
    }

    fn keep(&mut self, offset: u64, data: &[u8], room: usize) -> usize {
        let bytes = data.len() + QUIC_PIECE_OVERHEAD;
        if data.is_empty() {
            return 0;
        }
        if bytes > room.saturating_sub(self.held) {
            return data.len();
        }
        self.held += bytes;
        self.waiting.insert(offset, data.into());
        0
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// What comes out of pieces of a stream whose bytes count upwards.
    fn read(pieces: &[(usize, usize)], room: usize) -> (Vec<u8>, usize, Ordered) {
        let mut ordered = Ordered::default();
        let (mut out, mut refused) = (Vec::new(), 0);
        for (offset, length) in pieces {
            let data: Vec<u8> = (*offset..offset + length).map(|one| one as u8).collect();
            let mut take = |bytes: &[u8]| out.extend_from_slice(bytes);
            refused += ordered.insert(*offset as u64, &data, room, &mut take);
        }
        (out, refused, ordered)
    }

    fn counting(length: usize) -> Vec<u8> {
        (0..length).map(|one| one as u8).collect()
    }

    const ROOM: usize = 1 << 20;

    #[test]
    fn what_comes_in_order_is_handed_on_and_nothing_is_held() {
        let (out, refused, ordered) = read(&[(0, 10), (10, 5)], 0);
        assert_eq!((out, refused), (counting(15), 0));
        assert!(!ordered.has_hole() && ordered.held_bytes() == 0);
    }

    #[test]
    fn pieces_wait_for_the_first() {
        let (out, _, ordered) = read(&[(10, 5), (5, 5)], ROOM);
        assert!(out.is_empty() && ordered.has_hole());
        assert_eq!(ordered.held_bytes(), 10 + 2 * QUIC_PIECE_OVERHEAD);
        let (out, _, ordered) = read(&[(10, 5), (5, 5), (0, 5)], ROOM);
        assert_eq!(out, counting(15));
        assert_eq!((ordered.has_hole(), ordered.held_bytes()), (false, 0));
    }

    #[test]
    fn what_came_before_is_not_told_again() {
        assert_eq!(read(&[(0, 10), (0, 10), (5, 10)], ROOM).0, counting(15));
        let pieces = [(20, 5), (10, 5), (5, 30), (0, 7)];
        assert_eq!(read(&pieces, ROOM).0, counting(35));
        assert_eq!(read(&[(5, 0), (0, 0)], ROOM).0, counting(0));
    }

    #[test]
    fn there_is_no_room_beyond_the_bound() {
        let (_, refused, ordered) = read(&[(10, 50), (100, 50)], 50 + QUIC_PIECE_OVERHEAD);
        assert_eq!(
            (refused, ordered.held_bytes()),
            (50, 50 + QUIC_PIECE_OVERHEAD)
        );
        assert_eq!(read(&[(0, 50)], 0).1, 0);
    }

    #[test]
    fn a_stream_is_complete_when_all_of_it_came() {
        let mut ordered = Ordered::default();
        ordered.end_at(3);
        assert!(!ordered.is_complete());
        ordered.insert(0, b"abc", 0, &mut |_| {});
        assert!(ordered.is_complete());
    }

    #[test]
    fn the_highest_offsets_do_no_harm() {
        let mut ordered = Ordered::default();
        let last = (1 << 62) - 1;
        ordered.insert(last, &[1; 100], ROOM, &mut |_| {});
        ordered.insert(last - 50, &[1; 100], ROOM, &mut |_| {});
        assert_eq!(ordered.held_bytes(), 150 + 2 * QUIC_PIECE_OVERHEAD);
    }

    proptest! {
        /// The model: a set of the bytes that came.
        #[test]
        fn any_pieces_give_the_bytes_up_to_the_first_that_is_missing(
            pieces in prop::collection::vec((0_usize..200, 0_usize..40), 0..40),
        ) {
            let mut came = [false; 240];
            for (offset, length) in &pieces {
                came[*offset..offset + length].fill(true);
            }
            let whole = came.iter().take_while(|one| **one).count();
            let beyond = came.iter().skip(whole).filter(|one| **one).count();
            let (out, refused, ordered) = read(&pieces, ROOM);
            prop_assert_eq!(out, counting(whole));
            prop_assert_eq!(refused, 0);
            let overhead = ordered.waiting.len() * QUIC_PIECE_OVERHEAD;
            prop_assert_eq!(ordered.held_bytes(), beyond + overhead);
            prop_assert_eq!(ordered.has_hole(), beyond > 0);
        }

        #[test]
        fn within_little_room_nothing_is_told_twice_or_out_of_order(
            pieces in prop::collection::vec((0_usize..200, 0_usize..40), 0..40),
            room in 0_usize..400,
        ) {
            let (out, _, ordered) = read(&pieces, room);
            prop_assert_eq!(&out, &counting(out.len()));
            prop_assert!(ordered.held_bytes() <= room);
        }
    }
}
