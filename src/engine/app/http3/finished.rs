//! Streams of which nothing more is wanted.

use std::collections::BTreeSet;

use crate::limits::STREAMS_MAX;

/// A set of stream numbers: all below one, and some beyond. Streams are opened in order, so that
/// those beyond are few; where they are too many, those in between count as finished.
#[derive(Debug, Default)]
pub(super) struct Finished {
    below: u64,
    beyond: BTreeSet<u64>,
}

impl Finished {
    /// Whether nothing more of a stream is wanted.
    pub(super) fn contains(&self, id: u64) -> bool {
        let number = id >> KIND_BITS;
        number < self.below || self.beyond.contains(&number)
    }

    /// Nothing more of a stream is wanted.
    pub(super) fn insert(&mut self, id: u64) {
        let number = id >> KIND_BITS;
        if number >= self.below {
            self.beyond.insert(number);
        }
        while self.beyond.len() > STREAMS_MAX {
            self.below = self.beyond.first().map_or(self.below, |first| *first);
            self.close_up();
        }
        self.close_up();
    }

    /// Bytes on the heap, about.
    pub(super) fn heap_bytes(&self) -> usize {
        self.beyond.len() * size_of::<u64>() * 2
    }

    fn close_up(&mut self) {
        while self.beyond.remove(&self.below) {
            self.below += 1;
        }
    }
}

/// Of a stream's id, those that say who opened it and for which directions (RFC 9000 §2.1).
const KIND_BITS: u32 = 2;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_may_finish_in_any_order() {
        let mut finished = Finished::default();
        for id in [8, 0, 16] {
            finished.insert(id);
        }
        assert_eq!(
            [0, 4, 8, 12, 16, 20].map(|id| finished.contains(id)),
            [true, false, true, false, true, false]
        );
        finished.insert(4);
        assert_eq!((finished.below, finished.beyond.len()), (3, 1));
    }

    #[test]
    fn too_many_beyond_one_that_never_finishes_take_it_with_them() {
        let mut finished = Finished::default();
        for number in 1..=STREAMS_MAX as u64 {
            finished.insert(number * 4);
        }
        assert!(!finished.contains(0));
        finished.insert(STREAMS_MAX as u64 * 4 + 8);
        assert!(finished.contains(0) && finished.beyond.len() <= STREAMS_MAX);
        finished.insert(u64::MAX);
        assert!(finished.contains(u64::MAX));
    }
}
