//! One direction of a stream: bytes at offsets in any order in, bytes in order out.
//!
//! Knows offsets and no protocol, no time and no other direction. What is in order goes straight
//! from the caller's slice to the reader; only what cannot be used yet is copied.
//!
//! An offset is a sequence number made 64 bits wide: its low half is the number on the wire, so
//! that one word holds both.
//!
//! **Overlaps.** What was delivered stays. Among bytes that wait, Linux's rule holds
//! (`tcp_data_queue_ofo`): a newer piece that lies wholly inside a waiting one is dropped, waiting
//! ones that lie wholly inside a newer are replaced, and of two that overlap in part the one that
//! starts first gives the bytes. What comes in order beats what waits.

use std::collections::BTreeMap;

use crate::engine::transport::Chunk;
use crate::engine::transport::seq::SeqNum;

/// Where a stream begins or has got to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Phase {
    /// Nothing tells yet where it starts.
    #[default]
    Unknown,
    /// Bytes are awaited.
    Open,
    /// All bytes up to its end were delivered.
    Finished,
    /// It was reset: further bytes wait, until something shows that the reset was not believed.
    Reset,
}

/// How a stream ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    Fin,
    Reset,
}

/// What keeps waiting bytes from being delivered, besides a hole.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Patience<D> {
    /// When waiting ends.
    pub(super) deadline: D,
    /// Up to where the receiver is known to have got, if that lies beyond the next byte.
    pub(super) acked: u64,
    /// Whether the receiver said, while there was a hole, that it lacks the same bytes.
    pub(super) denied: bool,
    /// The offset that the other direction has to reach first.
    pub(super) after_other: Option<u64>,
    /// When bytes came that are next but were kept back.
    pub(super) kept_since: D,
}

/// Reassembly of one direction. `D` is the caller's notion of a deadline.
#[derive(Debug)]
pub(super) struct Assembler<D> {
    /// Offset of the next byte to deliver.
    next: u64,
    waiting: Option<Box<Waiting<D>>>,
    start: SeqNum,
    phase: Phase,
}

/// What cannot be used yet. Rare, so that a direction in order pays one pointer for it.
#[derive(Debug, Default)]
struct Waiting<D> {
    /// By offset. None lies wholly inside another, so that ends rise as starts do.
    pieces: BTreeMap<u64, Box<[u8]>>,
    /// Memory that the pieces take up.
    bytes: usize,
    end: Option<(u64, End)>,
    patience: Patience<D>,
}

/// How bytes compare with those that wait at the same offsets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Overlap {
    /// Bytes that are there already.
    pub(super) known: usize,
    /// Of those: bytes that differ.
    pub(super) differing: usize,
}

impl<D> Default for Assembler<D> {
    fn default() -> Self {
        Self {
            next: 0,
            waiting: None,
            start: SeqNum::default(),
            phase: Phase::Unknown,
        }
    }
}

impl<D: Copy + Default> Assembler<D> {
    /// Says where the stream starts, unless that is known.
    pub(super) fn start_at(&mut self, seq: SeqNum) {
        if self.phase == Phase::Unknown {
            self.phase = Phase::Open;
            self.start = seq;
            // One turn of the numbers ahead, so that offsets before the start exist too.
            self.next = (1 << 32) | u64::from(seq.0);
        }
    }

    pub(super) fn phase(&self) -> Phase {
        self.phase
    }

    pub(super) fn is_known(&self) -> bool {
        self.phase != Phase::Unknown
    }

    pub(super) fn is_open(&self) -> bool {
        self.phase == Phase::Open
    }

    /// Number of the stream's first byte.
    pub(super) fn start(&self) -> SeqNum {
        self.start
    }

    /// Whether no byte was delivered or skipped yet.
    pub(super) fn is_at_start(&self) -> bool {
        self.next_seq() == self.start
    }

    /// Offset of the next byte to deliver.
    pub(super) fn next(&self) -> u64 {
        self.next
    }

    fn next_seq(&self) -> SeqNum {
        SeqNum(self.next as u32)
    }

    /// How far a number lies behind the next byte; negative for one before it.
    pub(super) fn distance(&self, seq: SeqNum) -> i32 {
        seq.distance_from(self.next_seq())
    }

    /// The offset that a number means: the one nearest to the next byte.
    pub(super) fn offset_of(&self, seq: SeqNum) -> u64 {
        self.next
            .saturating_add_signed(i64::from(self.distance(seq)))
    }

    /// Whether anything waits: bytes, an end, or a reset that is not final.
    pub(super) fn is_waiting(&self) -> bool {
        self.waiting.is_some()
    }

    /// Whether missing bytes are all that keeps waiting ones, or the end, from being delivered.
    pub(super) fn has_hole(&self) -> bool {
        self.awaited_offset()
            .is_some_and(|offset| offset > self.next)
    }

    /// The first offset at which something waits: bytes, else the end.
    fn awaited_offset(&self) -> Option<u64> {
        let waiting = self.waiting.as_ref()?;
        let piece = waiting.pieces.keys().next().copied();
        piece.or(waiting.end.map(|(offset, _)| offset))
    }

    /// Memory that waiting bytes take up.
    pub(super) fn heap_bytes(&self) -> usize {
        match &self.waiting {
            Some(waiting) => size_of::<Waiting<D>>() + NODE_BYTES + waiting.bytes,
            None => 0,
        }
    }

    pub(super) fn patience(&self) -> Option<&Patience<D>> {
        self.waiting.as_ref().map(|waiting| &waiting.patience)
    }

    pub(super) fn patience_mut(&mut self) -> Option<&mut Patience<D>> {
        self.waiting.as_mut().map(|waiting| &mut waiting.patience)
    }

    /// Begins to wait, though there may be no byte to wait with.
    pub(super) fn wait(&mut self) -> &mut Patience<D> {
        &mut self.waiting.get_or_insert_default().patience
    }

    fn is_withheld(&self) -> bool {
        let blocked = |waiting: &Waiting<D>| waiting.patience.after_other.is_some();
        self.phase != Phase::Open || self.waiting.as_deref().is_some_and(blocked)
    }

    /// How `bytes` compare with what waits at their offsets.
    pub(super) fn compare(&self, offset: u64, bytes: &[u8]) -> Overlap {
        match &self.waiting {
            Some(waiting) => waiting.compare(offset, bytes),
            None => Overlap::default(),
        }
    }

    /// The next bytes were delivered by the caller.
    pub(super) fn advance(&mut self, length: usize) {
        self.next += length as u64;
    }

    /// Takes bytes; `sink` gets what became contiguous. Bytes before the next one are passed over.
    pub(super) fn take(&mut self, offset: u64, bytes: &[u8], sink: &mut dyn FnMut(Chunk<'_>)) {
        if offset > self.next || self.is_withheld() {
            self.keep(offset, bytes);
            return self.release(sink);
        }
        let fresh = after(bytes, offset, self.next);
        if !fresh.is_empty() {
            sink(Chunk::Data(fresh));
            self.next += fresh.len() as u64;
        }
        if self.waiting.is_some() {
            self.release(sink);
        }
    }

    /// Keeps bytes though they may be next: [`release`](Self::release) delivers them.
    pub(super) fn keep(&mut self, offset: u64, bytes: &[u8]) {
        let fresh = after(bytes, offset, self.next);
        if !fresh.is_empty() {
            let waiting = self.waiting.get_or_insert_default();
            waiting.insert(offset.max(self.next), fresh);
        }
    }

    /// Says where the stream ends. An end before the next byte is none.
    pub(super) fn end_at(&mut self, offset: u64, end: End, sink: &mut dyn FnMut(Chunk<'_>)) {
        if offset < self.next || matches!(self.phase, Phase::Unknown | Phase::Finished) {
            return;
        }
        if offset == self.next && !self.is_withheld() {
            return self.come_to(end, sink);
        }
        self.waiting.get_or_insert_default().end = Some((offset, end));
    }

    /// Delivers what waits, as far as it is contiguous.
    pub(super) fn release(&mut self, sink: &mut dyn FnMut(Chunk<'_>)) {
        if self.is_withheld() {
            return;
        }
        while let Some((start, piece)) = self.pop_contiguous() {
            let fresh = after(&piece, start, self.next);
            if !fresh.is_empty() {
                sink(Chunk::Data(fresh));
                self.next += fresh.len() as u64;
            }
        }
        self.check_end(sink);
        let done =
            |waiting: &mut Box<Waiting<D>>| waiting.pieces.is_empty() && waiting.end.is_none();
        if self.is_open() {
            self.waiting.take_if(done);
        }
    }

    fn pop_contiguous(&mut self) -> Option<(u64, Box<[u8]>)> {
        let waiting = self.waiting.as_mut()?;
        let first = waiting.pieces.first_entry()?;
        (*first.key() <= self.next).then(|| {
            let (start, piece) = first.remove_entry();
            waiting.bytes -= cost(&piece);
            (start, piece)
        })
    }

    /// Bytes that go on beyond an end show that it was none.
    fn check_end(&mut self, sink: &mut dyn FnMut(Chunk<'_>)) {
        let next = self.next;
        let Some(waiting) = self.waiting.as_mut() else {
            return;
        };
        if let Some((_, end)) = waiting
            .end
            .take_if(|(offset, _)| *offset <= next)
            .filter(|(offset, _)| *offset == next)
        {
            self.come_to(end, sink);
        }
    }

    fn come_to(&mut self, end: End, sink: &mut dyn FnMut(Chunk<'_>)) {
        match end {
            End::Fin => {
                self.phase = Phase::Finished;
                self.waiting = None;
                self.next += 1;
                sink(Chunk::Fin);
            }
            End::Reset => self.phase = Phase::Reset,
        }
    }

    /// A reset that was not believed: reading goes on.
    pub(super) fn revive(&mut self) {
        if self.phase == Phase::Reset {
            self.phase = Phase::Open;
        }
    }

    /// Gives up the bytes before what waits, and delivers that. The number of bytes given up.
    pub(super) fn skip_hole(&mut self, sink: &mut dyn FnMut(Chunk<'_>)) -> u64 {
        let missing = match self.awaited_offset() {
            Some(offset) => self.skip(offset, sink),
            None => 0,
        };
        self.release(sink);
        missing
    }

    /// Gives up all missing bytes before `offset`, and delivers those that are not missing.
    pub(super) fn skip_to(&mut self, offset: u64, sink: &mut dyn FnMut(Chunk<'_>)) -> u64 {
        let mut missing = 0;
        while self.awaited_offset().is_some_and(|waits| waits < offset) && !self.is_withheld() {
            missing += self.skip_hole(sink);
        }
        if !self.is_withheld() {
            missing += self.skip(offset, sink);
            self.release(sink);
        }
        missing
    }

    fn skip(&mut self, offset: u64, sink: &mut dyn FnMut(Chunk<'_>)) -> u64 {
        let missing = offset.saturating_sub(self.next);
        if missing > 0 {
            self.next = offset;
            sink(Chunk::Gap(missing));
        }
        missing
    }

    /// Drops the waiting piece that lies farthest ahead. Its length in bytes.
    pub(super) fn drop_last(&mut self) -> Option<usize> {
        let waiting = self.waiting.as_mut()?;
        let (_, piece) = waiting.pieces.pop_last()?;
        waiting.bytes -= cost(&piece);
        Some(piece.len())
    }

    /// Drops all that waits. The number of bytes.
    pub(super) fn drop_waiting(&mut self) -> usize {
        let dropped = self.waiting.take();
        dropped.map_or(0, |waiting| {
            waiting.pieces.values().map(|piece| piece.len()).sum()
        })
    }
}

impl<D> Waiting<D> {
    fn insert(&mut self, start: u64, bytes: &[u8]) {
        let end = start + bytes.len() as u64;
        let before = self.pieces.range(..=start).next_back();
        if before.is_some_and(|(start, piece)| end_of(*start, piece) >= end) {
            return;
        }
        self.remove_covered(start, end);
        self.bytes += cost(bytes);
        self.pieces.insert(start, bytes.into());
    }

    fn remove_covered(&mut self, start: u64, end: u64) {
        loop {
            let first = self.pieces.range(start..end).next();
            let Some((covered, _)) = first.filter(|(start, piece)| end_of(**start, piece) <= end)
            else {
                return;
            };
            let covered = *covered;
            if let Some(piece) = self.pieces.remove(&covered) {
                self.bytes -= cost(&piece);
            }
        }
    }

    fn compare(&self, offset: u64, bytes: &[u8]) -> Overlap {
        let mut overlap = Overlap::default();
        let end = offset + bytes.len() as u64;
        let pieces = self.pieces.range(..end).rev();
        for (start, piece) in pieces.take(COMPARED_PIECES_MAX) {
            let (ours, theirs) = (after(bytes, offset, *start), after(piece, *start, offset));
            if theirs.is_empty() {
                break; // ends rise as starts do: no earlier piece reaches this far
            }
            overlap.add(ours, theirs);
        }
        overlap.known = overlap.known.min(bytes.len());
        overlap
    }
}

impl Overlap {
    /// Compares two runs of bytes that begin at the same offset, as far as both go.
    pub(super) fn add(&mut self, ours: &[u8], theirs: &[u8]) {
        let length = ours.len().min(theirs.len());
        let (ours, theirs) = (ours.get(..length), theirs.get(..length));
        self.known += length;
        if let (Some(ours), Some(theirs), false) = (ours, theirs, ours == theirs) {
            self.differing += ours.iter().zip(theirs).filter(|(a, b)| a != b).count();
        }
    }
}

/// The part of `bytes`, which begin at offset `start`, that lies at or behind offset `from`.
pub(super) fn after(bytes: &[u8], start: u64, from: u64) -> &[u8] {
    let passed = usize::try_from(from.saturating_sub(start)).unwrap_or(usize::MAX);
    bytes.get(passed..).unwrap_or_default()
}

fn end_of(start: u64, piece: &[u8]) -> u64 {
    start + piece.len() as u64
}

/// Memory that a waiting piece takes up, with what the map and the allocator add to it.
fn cost(piece: &[u8]) -> usize {
    piece.len() + PIECE_OVERHEAD_BYTES
}

/// A map entry in a half-full node, and the allocator's header and rounding.
const PIECE_OVERHEAD_BYTES: usize = 80;
/// The first node of the map.
const NODE_BYTES: usize = 320;
/// Waiting pieces that new bytes are compared with: enough for what networks do, and few enough
/// that a sender of thousands of overlapping pieces cannot make each further one expensive.
const COMPARED_PIECES_MAX: usize = 64;
