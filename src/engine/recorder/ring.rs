//! Frames that may still turn out to be wanted: one ring for all, the oldest overwritten first.
//!
//! Putting a frame in is one copy, whoever it belongs to; taking a connection's frames out is a
//! search from the newest back to its first. The first happens for every opening, the second for a
//! watched connection only.

use std::collections::VecDeque;

use crate::event::{KeptFrame, Source};
use crate::frame::Timestamp;
use crate::recorder::HandOver;

/// The ring.
#[derive(Debug, Default)]
pub(super) struct Ring {
    /// Made when the first frame comes.
    bytes: Box<[u8]>,
    /// Oldest first. Their bytes lie in the same order, wrapped around once.
    entries: VecDeque<Entry>,
    capacity: usize,
    /// Where the next frame's bytes go.
    next: usize,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    /// Whose it is.
    tag: u64,
    /// What names all connections between the same endpoints.
    endpoints: u64,
    time: Timestamp,
    source: Source,
    wire_len: u32,
    start: u32,
    len: u32,
    /// Whether what comes before it under the same tag belongs to somebody else.
    is_first: bool,
}

impl Ring {
    /// An empty ring for so many bytes.
    pub(super) fn new(capacity: usize) -> Self {
        Self {
            capacity: capacity.min(u32::MAX as usize),
            ..Self::default()
        }
    }

    /// Bytes on the heap.
    pub(super) fn heap_bytes(&self) -> usize {
        self.bytes.len() + self.entries.capacity() * size_of::<Entry>()
    }

    /// Puts a frame in; one that is larger than the ring is passed over.
    pub(super) fn push(
        &mut self,
        (tag, endpoints): (u64, u64),
        is_first: bool,
        frame: &KeptFrame<'_>,
    ) {
        let length = frame.bytes.len();
        if length > self.capacity {
            return;
        }
        if self.bytes.is_empty() {
            self.bytes = vec![0; self.capacity].into();
            self.entries.reserve_exact(self.entries_max());
        }
        self.make_room(length);
        let end = self.next + length;
        if let Some(place) = self.bytes.get_mut(self.next..end) {
            place.copy_from_slice(frame.bytes);
        }
        self.entries.push_back(Entry {
            tag,
            endpoints,
            time: frame.time,
            source: frame.source,
            wire_len: frame.wire_len,
            start: self.next as u32,
            len: length as u32,
            is_first,
        });
        self.next = end;
    }

    /// The tag of the newest frame between two endpoints.
    pub(super) fn newest(&self, endpoints: u64) -> Option<u64> {
        let mut newest_first = self.entries.iter().rev();
        let found = newest_first.find(|one| one.endpoints == endpoints && one.tag != NOBODY);
        found.map(|entry| entry.tag)
    }

    /// Takes out what stands under a tag: gives each frame to `take`, in order. Whether the first
    /// of them was there.
    pub(super) fn take_all(&mut self, tag: u64, mut take: impl FnMut(KeptFrame<'_>)) -> bool {
        let mut from = self.entries.len();
        let mut whole = false;
        for (at, entry) in self.entries.iter().enumerate().rev() {
            if entry.tag == tag {
                from = at;
                if entry.is_first {
                    whole = true;
                    break;
                }
            }
        }
        for entry in self.entries.range_mut(from..) {
            if entry.tag != tag {
                continue;
            }
            entry.tag = NOBODY;
            let start = entry.start as usize;
            take(KeptFrame {
                time: entry.time,
                source: entry.source,
                wire_len: entry.wire_len,
                bytes: self
                    .bytes
                    .get(start..start + entry.len as usize)
                    .unwrap_or_default(),
            });
        }
        whole
    }

    /// What stands under one tag stands under another from now on.
    pub(super) fn rename(&mut self, one: &HandOver) {
        let mut begins = one.begins;
        for entry in self
            .entries
            .iter_mut()
            .filter(|entry| entry.tag == one.from)
        {
            (entry.tag, entry.endpoints) = (one.to, one.to);
            entry.is_first = std::mem::take(&mut begins);
        }
    }

    /// Overwrites the oldest until `length` bytes in a row and one entry are free.
    fn make_room(&mut self, length: usize) {
        if self.next + length > self.capacity {
            while self
                .entries
                .front()
                .is_some_and(|oldest| oldest.start as usize >= self.next)
            {
                self.entries.pop_front();
            }
            self.next = 0;
        }
        let end = self.next + length;
        while self
            .entries
            .front()
            .is_some_and(|oldest| (self.next..end).contains(&(oldest.start as usize)))
        {
            self.entries.pop_front();
        }
        if self.entries.len() >= self.entries_max() {
            self.entries.pop_front();
        }
    }

    fn entries_max(&self) -> usize {
        (self.capacity / SMALL_FRAME_BYTES).max(1)
    }
}

/// Tag of what was taken out: hashes hit it by accident only, and then nothing of use is found.
const NOBODY: u64 = 0;
/// A segment without data and its headers.
const SMALL_FRAME_BYTES: usize = 64;

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use proptest::prelude::*;

    use super::*;

    fn frame(number: u64, bytes: &[u8]) -> KeptFrame<'_> {
        KeptFrame {
            time: Timestamp::from_nanos(number),
            source: Source::default(),
            wire_len: bytes.len() as u32,
            bytes,
        }
    }

    fn taken(ring: &mut Ring, tag: u64) -> (bool, Vec<(u64, Vec<u8>)>) {
        let mut frames = Vec::new();
        let whole = ring.take_all(tag, |frame| {
            frames.push((frame.time.as_nanos(), frame.bytes.to_vec()));
        });
        (whole, frames)
    }

    #[test]
    fn frames_come_out_by_their_tag_once() {
        let mut ring = Ring::new(1000);
        ring.push((7, 0), true, &frame(1, b"one"));
        ring.push((8, 0), true, &frame(2, b"other"));
        ring.push((7, 0), false, &frame(3, b"two"));
        let expected = vec![(1, b"one".to_vec()), (3, b"two".to_vec())];
        assert_eq!(taken(&mut ring, 7), (true, expected));
        assert_eq!(taken(&mut ring, 7), (false, vec![]));
    }

    #[test]
    fn what_lies_before_the_first_frame_is_another_connections() {
        let mut ring = Ring::new(1000);
        ring.push((7, 0), true, &frame(1, b"old"));
        ring.push((7, 0), true, &frame(2, b"new"));
        assert_eq!(taken(&mut ring, 7), (true, vec![(2, b"new".to_vec())]));
    }

    #[test]
    fn the_oldest_is_overwritten_and_its_loss_is_told() {
        let mut ring = Ring::new(200);
        ring.push((7, 0), true, &frame(1, &[1; 100]));
        ring.push((7, 0), false, &frame(2, &[2; 90]));
        ring.push((7, 0), false, &frame(3, &[3; 50]));
        let (whole, frames) = taken(&mut ring, 7);
        assert!(!whole);
        assert_eq!(frames, [(2, vec![2; 90]), (3, vec![3; 50])]);
    }

    #[test]
    fn it_holds_nothing_before_the_first_frame_and_no_more_than_its_bound_after_it() {
        let mut ring = Ring::new(10_000);
        assert_eq!(ring.heap_bytes(), 0);
        ring.push((1, 0), true, &frame(1, &[]));
        let before = ring.heap_bytes();
        for number in 0..100_000 {
            ring.push(
                (number, 0),
                true,
                &frame(number, &[0; 60][..number as usize % 60]),
            );
        }
        assert_eq!(ring.heap_bytes(), before);
    }

    /// What a ring is, without its bytes: the newest frames that fit, none in two pieces.
    #[derive(Default)]
    struct Model {
        frames: VecDeque<(u64, bool, u64, Vec<u8>)>,
    }

    proptest! {
        /// Whatever comes out went in, in order, unchanged; nothing newer than what is missing is
        /// missing; and the newest frame is always there.
        #[test]
        fn what_comes_out_is_the_end_of_what_went_in(
            pushes in proptest::collection::vec((1u64..4, any::<bool>(), 0usize..70), 1..200),
            tag in 1u64..4,
        ) {
            let mut ring = Ring::new(300);
            let mut model = Model::default();
            for (number, (tag, is_first, length)) in pushes.into_iter().enumerate() {
                let bytes = vec![number as u8; length];
                ring.push((tag, 0), is_first, &frame(number as u64, &bytes));
                model.frames.push_back((tag, is_first, number as u64, bytes));
            }
            let newest_is_ours = model.frames.back().map(|last| last.0) == Some(tag);
            let from = model.frames.iter().rposition(|(of, first, ..)| *of == tag && *first);
            let expected: Vec<(u64, Vec<u8>)> = model
                .frames
                .iter()
                .skip(from.unwrap_or(0))
                .filter(|(of, ..)| *of == tag)
                .map(|(_, _, number, bytes)| (*number, bytes.clone()))
                .collect();
            let (whole, frames) = taken(&mut ring, tag);
            prop_assert!(expected.ends_with(&frames));
            prop_assert!(!newest_is_ours || !frames.is_empty());
            prop_assert!(!whole || frames.len() == expected.len());
        }
    }
}
