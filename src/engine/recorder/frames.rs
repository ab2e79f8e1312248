//! The frames of watched connections, in blocks of memory that all of them share.
//!
//! A connection's frames are written one behind the other, through as many blocks as they take:
//! nothing is moved when they become more, and what one connection gives back the next one writes
//! to, while it is still near.

use std::collections::VecDeque;

use crate::event::{KeptFrame, Source};
use crate::frame::Timestamp;

/// Memory for all, in blocks of one size.
#[derive(Debug, Default)]
pub(super) struct Blocks {
    /// Each holds [`PAGE_BLOCKS`]; the system gives their memory as it is written to.
    pages: Vec<Box<[[u8; BLOCK_BYTES]]>>,
    /// Those that nobody has, the one that was given back last behind.
    free: Vec<Block>,
    /// Frames whose bytes are in the others.
    held: usize,
}

/// The number of a block.
type Block = u32;

impl Blocks {
    /// Bytes that connections have, with what is noted of each frame.
    pub(super) fn bytes(&self) -> usize {
        let blocks = self.pages.len() * PAGE_BLOCKS - self.free.len();
        blocks * BLOCK_BYTES + self.held * HELD_BYTES
    }

    /// Gives memory back when nobody has a block; one page is kept for the next.
    pub(super) fn give_back(&mut self) {
        if self.pages.len() > 1 {
            self.pages.truncate(1);
            self.free = (0..PAGE_BLOCKS as Block).rev().collect();
        }
    }

    fn take(&mut self) -> Block {
        match self.free.pop() {
            Some(block) => block,
            None => self.take_of_new_page(),
        }
    }

    #[cold]
    fn take_of_new_page(&mut self) -> Block {
        let first = (self.pages.len() * PAGE_BLOCKS) as Block;
        self.pages.push(vec![[0; BLOCK_BYTES]; PAGE_BLOCKS].into());
        let others = first + 1..first + PAGE_BLOCKS as Block;
        self.free.extend(others.rev());
        first
    }

    fn get(&self, block: Block) -> Option<&[u8; BLOCK_BYTES]> {
        let page = self.pages.get(block as usize / PAGE_BLOCKS)?;
        page.get(block as usize % PAGE_BLOCKS)
    }

    fn get_mut(&mut self, block: Block) -> Option<&mut [u8; BLOCK_BYTES]> {
        let page = self.pages.get_mut(block as usize / PAGE_BLOCKS)?;
        page.get_mut(block as usize % PAGE_BLOCKS)
    }
}

/// Frames of one connection, oldest first.
#[derive(Debug, Default)]
pub(super) struct Frames {
    held: VecDeque<Held>,
    /// Where their bytes are.
    blocks: VecDeque<Block>,
    /// The newest of those.
    last: Block,
    /// Where in the first block the oldest begins.
    start: usize,
    /// From there to the end of the newest.
    bytes: usize,
}

/// What is known of a frame beside its bytes.
#[derive(Clone, Copy, Debug)]
struct Held {
    time: Timestamp,
    source: Source,
    wire_len: u32,
    len: u32,
}

impl Frames {
    /// How many there are.
    pub(super) fn count(&self) -> usize {
        self.held.len()
    }

    /// Bytes that they take.
    pub(super) fn bytes(&self) -> usize {
        self.bytes + self.held.len() * size_of::<Held>()
    }

    /// Bytes that a frame would take.
    pub(super) fn bytes_of(frame: &KeptFrame<'_>) -> usize {
        frame.bytes.len() + size_of::<Held>()
    }

    /// Times of all, in order.
    pub(super) fn times(&self) -> impl Iterator<Item = Timestamp> {
        self.held.iter().map(|held| held.time)
    }

    /// Puts a frame behind the others.
    pub(super) fn push(&mut self, frame: &KeptFrame<'_>, blocks: &mut Blocks) {
        if self.held.len() == self.held.capacity() {
            let more = (self.held.capacity() / 2).max(FRAMES_AT_FIRST);
            self.held.reserve_exact(more);
        }
        self.held.push_back(Held {
            time: frame.time,
            source: frame.source,
            wire_len: frame.wire_len,
            len: frame.bytes.len() as u32,
        });
        blocks.held += 1;
        self.write(frame.bytes, blocks);
    }

    /// Forgets the oldest; whether there was one.
    pub(super) fn pop(&mut self, blocks: &mut Blocks) -> bool {
        let Some(oldest) = self.held.pop_front() else {
            return false;
        };
        blocks.held -= 1;
        self.bytes -= oldest.len as usize;
        self.start += oldest.len as usize;
        while self.start >= BLOCK_BYTES {
            self.start -= BLOCK_BYTES;
            blocks.free.extend(self.blocks.pop_front());
        }
        true
    }

    /// Forgets all.
    pub(super) fn clear(&mut self, blocks: &mut Blocks) {
        blocks.held -= self.held.len();
        blocks.free.extend(self.blocks.drain(..));
        *self = Self::default();
    }

    /// Shows each, in order.
    pub(super) fn for_each(&self, blocks: &Blocks, mut visit: impl FnMut(KeptFrame<'_>)) {
        let (mut from, mut joined) = (self.start, Vec::new());
        for held in &self.held {
            let to = from + held.len as usize;
            visit(KeptFrame {
                time: held.time,
                source: held.source,
                wire_len: held.wire_len,
                bytes: self.read(from, to, blocks, &mut joined),
            });
            from = to;
        }
    }

    fn write(&mut self, mut bytes: &[u8], blocks: &mut Blocks) {
        while !bytes.is_empty() {
            let from = (self.start + self.bytes) % BLOCK_BYTES;
            if from == 0 {
                self.last = blocks.take();
                self.blocks.push_back(self.last);
            }
            let Some(place) = blocks.get_mut(self.last) else {
                return;
            };
            let (here, rest) = bytes.split_at(bytes.len().min(BLOCK_BYTES - from));
            if let Some(place) = place.get_mut(from..from + here.len()) {
                place.copy_from_slice(here);
            }
            self.bytes += here.len();
            bytes = rest;
        }
    }

    /// Bytes between two places behind the start of the first block: as they lie in their block, or
    /// joined where they lie in several.
    fn read<'a>(
        &self,
        from: usize,
        to: usize,
        blocks: &'a Blocks,
        joined: &'a mut Vec<u8>,
    ) -> &'a [u8] {
        let starts = (0..).step_by(BLOCK_BYTES);
        let pieces = self.blocks.iter().zip(starts).filter_map(|(block, start)| {
            let piece = from.max(start)..to.min(start + BLOCK_BYTES);
            let piece = piece.start.checked_sub(start)?..piece.end.checked_sub(start)?;
            blocks.get(*block)?.get(piece)
        });
        let mut pieces = pieces.filter(|piece| !piece.is_empty());
        match (pieces.next(), pieces.next()) {
            (Some(only), None) => only,
            (first, second) => {
                joined.clear();
                let all = first.into_iter().chain(second).chain(pieces);
                all.for_each(|piece| joined.extend(piece));
                joined
            }
        }
    }
}

/// What a frame takes beside its bytes, with what memory is asked for ahead.
const HELD_BYTES: usize = size_of::<Held>() * 5 / 4;
/// Of frames for which memory is asked for at first: a handshake and a request.
const FRAMES_AT_FIRST: usize = 8;
/// Small, since each connection leaves half of one unused, and half of another behind what it forgot.
const BLOCK_BYTES: usize = 2048;
/// 128 KiB, which the system gives without anybody's having to clear them.
const PAGE_BLOCKS: usize = 64;

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use proptest::prelude::*;

    use super::*;

    fn all(frames: &Frames, blocks: &Blocks) -> Vec<(u64, u32, Vec<u8>)> {
        let mut all = Vec::new();
        frames.for_each(blocks, |frame| {
            all.push((frame.time.as_nanos(), frame.wire_len, frame.bytes.to_vec()));
        });
        all
    }

    proptest! {
        /// However long they are, and whoever else takes blocks and gives them back.
        #[test]
        fn frames_come_out_as_they_went_in(
            steps in prop::collection::vec((0..3_usize, 0..4000_usize, 0..4_u8), 1..150),
        ) {
            let mut blocks = Blocks::default();
            let mut some: [(Frames, VecDeque<_>); 3] = Default::default();
            for (number, (whose, length, what)) in steps.into_iter().enumerate() {
                let (frames, expected) = &mut some[whose];
                match what {
                    0 => prop_assert_eq!(frames.pop(&mut blocks), expected.pop_front().is_some()),
                    1 if length < 100 => {
                        frames.clear(&mut blocks);
                        expected.clear();
                    }
                    _ => {
                        let bytes = vec![number as u8; length];
                        let frame = KeptFrame {
                            time: Timestamp::from_nanos(number as u64),
                            source: Source::default(),
                            wire_len: 9000,
                            bytes: &bytes,
                        };
                        frames.push(&frame, &mut blocks);
                        expected.push_back((number as u64, 9000, bytes));
                    }
                }
                for (frames, expected) in &some {
                    prop_assert!(*expected == all(frames, &blocks));
                    let times: Vec<u64> = frames.times().map(Timestamp::as_nanos).collect();
                    let expected: Vec<u64> = expected.iter().map(|one| one.0).collect();
                    prop_assert_eq!(times, expected);
                }
            }
            for (frames, _) in &mut some {
                frames.clear(&mut blocks);
            }
            prop_assert_eq!(blocks.free.len(), blocks.pages.len() * PAGE_BLOCKS);
        }
    }

    #[test]
    fn what_one_gives_back_another_takes() {
        let (mut blocks, bytes) = (Blocks::default(), [7; 1500]);
        let frame = KeptFrame {
            time: Timestamp::default(),
            source: Source::default(),
            wire_len: 1500,
            bytes: &bytes,
        };
        for _ in 0..1000 {
            let mut frames = Frames::default();
            (0..50).for_each(|_| frames.push(&frame, &mut blocks));
            assert!(blocks.bytes() < frames.bytes() + BLOCK_BYTES + 1500);
            frames.clear(&mut blocks);
            assert_eq!(blocks.bytes(), 0);
        }
        assert_eq!(blocks.pages.len(), 1);
    }
}
