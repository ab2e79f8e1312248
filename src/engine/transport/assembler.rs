//! One direction of a stream: segments in any order in, bytes in order out.
//!
//! Knows offsets and no protocol. What is in order goes straight from the segment to the reader;
//! only what cannot be used yet is copied.

use std::collections::BTreeMap;

use crate::engine::transport::seq::SeqNum;

/// What became of a segment's bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Taken {
    /// Bytes that were delivered or waited already.
    pub(super) duplicate: usize,
    /// Of those: bytes that differed from what waits.
    pub(super) differing: usize,
    /// Bytes too far from the stream to be believed.
    pub(super) stray: usize,
}

/// Farther from the next byte than any window can reach (RFC 7323 §2.3), a segment is none of
/// this stream.
const REACH: i32 = 1 << 30;

#[derive(Debug, Default)]
pub(super) struct Assembler {
    /// Sequence number of the first byte; None before anything was seen.
    start_seq: Option<SeqNum>,
    /// Sequence number of the next byte to deliver.
    next_seq: Option<SeqNum>,
    /// Offset of that byte.
    next: u64,
    /// Bytes beyond a hole, by their offset: disjoint.
    waiting: BTreeMap<u64, Vec<u8>>,
    waiting_bytes: usize,
    /// Offset of the stream's end.
    end: Option<u64>,
}

/// What a waiting piece costs beside its bytes: its entry in the map and its allocation.
const PIECE_BYTES: usize = 64;

impl Assembler {
    /// Says where the stream starts: the number after a SYN.
    pub(super) fn start_at(&mut self, seq: SeqNum) {
        if self.next_seq.is_none() {
            self.start_seq = Some(seq);
            self.next_seq = Some(seq);
        }
    }

    pub(super) fn start_seq(&self) -> Option<SeqNum> {
        self.start_seq
    }

    /// Whether a hole is all that keeps bytes, or the end, from being delivered.
    pub(super) fn has_hole(&self) -> bool {
        match self.waiting.first_key_value() {
            Some((start, _)) => *start > self.next,
            None => self.end.is_some_and(|end| end > self.next),
        }
    }

    /// Bytes that wait, with what it costs to keep them: many small pieces are no way around a
    /// bound.
    pub(super) fn heap_bytes(&self) -> usize {
        self.waiting_bytes + self.waiting.len() * PIECE_BYTES
    }

    /// Whether every byte up to the end was delivered.
    pub(super) fn is_finished(&self) -> bool {
        self.end.is_some_and(|end| end <= self.next)
    }

    /// How far a number lies beyond the next byte to deliver; negative for one before it.
    pub(super) fn distance(&self, seq: SeqNum) -> i32 {
        self.next_seq.map_or(0, |next| seq.distance_from(next))
    }

    /// Keeps a segment's bytes back though they may be next: [`release`](Self::release) delivers
    /// them.
    pub(super) fn hold(&mut self, seq: SeqNum, payload: &[u8], fin: bool) {
        self.start_at(seq);
        let distance = self.distance(seq);
        let start = u64::try_from(i128::from(self.next) + i128::from(distance));
        if let (Ok(start), 0..REACH) = (start, distance) {
            self.note_end(i128::from(start) + payload.len() as i128, fin);
            self.keep(start, payload, &mut Taken::default());
        }
    }

    /// Takes in a segment's bytes; `deliver` gets what became contiguous.
    pub(super) fn insert(
        &mut self,
        seq: SeqNum,
        payload: &[u8],
        fin: bool,
        deliver: &mut impl FnMut(&[u8]),
    ) -> Taken {
        self.start_at(seq);
        let distance = self.distance(seq);
        if !(-REACH..REACH).contains(&distance) {
            return Taken {
                stray: payload.len(),
                ..Taken::default()
            };
        }
        let start = i128::from(self.next) + i128::from(distance);
        self.note_end(start + payload.len() as i128, fin);
        let mut taken = Taken::default();
        let old = usize::try_from(-distance).unwrap_or(0).min(payload.len());
        taken.duplicate += old;
        let fresh = payload.get(old..).unwrap_or_default();
        if fresh.is_empty() {
            return taken;
        }
        if distance <= 0 {
            self.deliver_now(fresh, &mut taken, deliver);
        } else {
            self.keep(u64::try_from(start).unwrap_or(self.next), fresh, &mut taken);
        }
        taken
    }

    /// The end is where the first FIN said, unless bytes are already waiting beyond it.
    fn note_end(&mut self, end: i128, fin: bool) {
        if fin && self.end.is_none() {
            self.end = u64::try_from(end).ok().map(|end| end.max(self.next));
        }
    }

    fn deliver_now(&mut self, bytes: &[u8], taken: &mut Taken, deliver: &mut impl FnMut(&[u8])) {
        if !self.waiting.is_empty() {
            self.compare(self.next, bytes, taken);
        }
        deliver(bytes);
        self.advance(bytes.len() as u64);
        self.release(deliver);
    }

    fn advance(&mut self, bytes: u64) {
        self.next += bytes;
        // Numbers wrap at 2^32: only the low half of the distance matters.
        self.next_seq = self.next_seq.map(|seq| seq.plus(bytes as u32));
    }

    /// Delivers what waits, as far as it is contiguous now.
    pub(super) fn release(&mut self, deliver: &mut impl FnMut(&[u8])) {
        while let Some(entry) = self.waiting.first_entry() {
            if *entry.key() > self.next {
                break;
            }
            let (start, bytes) = entry.remove_entry();
            self.waiting_bytes -= bytes.len();
            let skip = usize::try_from(self.next - start).unwrap_or(usize::MAX);
            if let Some(fresh) = bytes.get(skip..).filter(|fresh| !fresh.is_empty()) {
                deliver(fresh);
                self.advance(fresh.len() as u64);
            }
        }
    }

    /// What waits anywhere between two offsets.
    fn overlapping(&self, start: u64, end: u64) -> impl Iterator<Item = (u64, &Vec<u8>)> {
        let before = self.waiting.range(..start).next_back();
        before
            .into_iter()
            .filter(move |(at, bytes)| end_of(**at, bytes) > start)
            .chain(self.waiting.range(start..end))
            .map(|(at, bytes)| (*at, bytes))
    }

    /// Counts bytes that differ from what waits at the same place.
    fn compare(&self, start: u64, bytes: &[u8], taken: &mut Taken) {
        let end = end_of(start, bytes);
        for (at, waiting) in self.overlapping(start, end) {
            let (from, to) = (at.max(start), end_of(at, waiting).min(end));
            let old = slice(waiting, at, from, to);
            let new = slice(bytes, start, from, to);
            taken.duplicate += new.len();
            taken.differing += old.iter().zip(new).filter(|(old, new)| old != new).count();
        }
    }

    /// Keeps bytes beyond a hole. A waiting piece that the new bytes cover wholly is replaced, as
    /// Linux does; of a piece that they overlap in part the waiting bytes stay.
    fn keep(&mut self, start: u64, bytes: &[u8], taken: &mut Taken) {
        let end = end_of(start, bytes);
        self.compare(start, bytes, taken);
        let (mut from, mut fresh, mut covered) = (start, Vec::new(), Vec::new());
        for (at, waiting) in self.overlapping(start, end) {
            let stop = end_of(at, waiting);
            if at >= start && stop <= end {
                covered.push(at);
                continue;
            }
            fresh.push((from, at));
            from = stop;
        }
        fresh.push((from, end));
        for at in covered {
            let gone = self.waiting.remove(&at);
            self.waiting_bytes -= gone.map_or(0, |bytes| bytes.len());
        }
        for (from, to) in fresh.into_iter().filter(|(from, to)| from < to) {
            let piece = slice(bytes, start, from, to).to_vec();
            self.waiting_bytes += piece.len();
            self.waiting.insert(from, piece);
        }
    }

    /// Gives the first hole up: its length, after which what waited is delivered.
    pub(super) fn skip_hole(&mut self) -> Option<u64> {
        let to = match self.waiting.first_key_value() {
            Some((start, _)) => *start,
            None => self.end.filter(|end| *end > self.next)?,
        };
        let missing = to - self.next;
        self.advance(missing);
        Some(missing)
    }
}

fn end_of(start: u64, bytes: &[u8]) -> u64 {
    start + bytes.len() as u64
}

fn slice(bytes: &[u8], start: u64, from: u64, to: u64) -> &[u8] {
    let at = |offset: u64| usize::try_from(offset - start).unwrap_or(usize::MAX);
    bytes.get(at(from)..at(to)).unwrap_or_default()
}
