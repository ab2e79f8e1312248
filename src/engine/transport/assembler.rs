//! One direction of a stream: bytes at offsets in any order in, bytes in order out.
//!
//! Knows offsets and no protocol and no other direction. What is noted about bytes when they come
//! ([`Stamp`]) is told with them. What is in order goes straight from the caller's slice to the
//! reader; only what cannot be used yet is copied.
//!
//! An offset is a sequence number made 64 bits wide: its low half is the number on the wire, so
//! that one word holds both.
//!
//! **Overlaps.** What was delivered stays. Among bytes that wait, Linux's rule holds
//! (`tcp_data_queue_ofo`): a newer piece that lies wholly inside a waiting one is dropped, waiting
//! ones that lie wholly inside a newer are replaced, and of two that overlap in part the one that
//! starts first gives the bytes. What comes in order beats what waits.

use crate::event::Flags;
use crate::transport::seq::SeqNum;
use crate::transport::waiting::{End, Overlap, Patience, Stamp, Waiting, after};
use crate::transport::{Chunk, FiveTuple};

/// Where a stream begins or has got to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Phase {
    /// Nothing tells yet where it starts.
    #[default]
    Unknown,
    /// Bytes are awaited.
    Open,
    /// Bytes are awaited, and an urgent one was left out of what was told.
    Skewed,
    /// All bytes up to its end were delivered.
    Finished,
    /// It was reset: further bytes wait, until something shows that the reset was not believed.
    Reset,
}

/// Reassembly of one direction.
#[derive(Debug, Default)]
pub(super) struct Assembler<N> {
    /// Offset of the next byte to deliver.
    next: u64,
    waiting: Option<Box<Waiting>>,
    start: SeqNum,
    phase: Phase,
    /// What the caller notes of the direction; here, where there is room.
    pub(super) notes: N,
}

/// What comes out of a stream.
#[derive(Clone, Copy, Debug)]
pub(super) struct Told<'a> {
    pub(super) chunk: Chunk<'a>,
    /// Offset of its first byte.
    pub(super) offset: u64,
    pub(super) stamp: Stamp,
}

/// Who is told.
pub(super) type Sink<'a> = dyn FnMut(Told<'_>) + 'a;

impl<N> Assembler<N> {
    /// Says where the stream starts, unless that is known.
    pub(super) fn start_at(&mut self, seq: SeqNum) {
        if self.phase == Phase::Unknown {
            self.phase = Phase::Open;
            self.start = seq;
            self.next = first_offset(seq);
        }
    }

    pub(super) fn phase(&self) -> Phase {
        self.phase
    }

    pub(super) fn is_known(&self) -> bool {
        self.phase != Phase::Unknown
    }

    pub(super) fn is_open(&self) -> bool {
        matches!(self.phase, Phase::Open | Phase::Skewed)
    }

    /// Number of the stream's first byte.
    pub(super) fn start(&self) -> SeqNum {
        self.start
    }

    /// Whether a number lies before the stream's first byte, as far as numbers can tell.
    pub(super) fn is_before_start(&self, seq: SeqNum) -> bool {
        self.is_known() && self.offset_of(seq) < first_offset(self.start)
    }

    /// Whether no byte was delivered or skipped yet.
    pub(super) fn is_at_start(&self) -> bool {
        self.next_seq() == self.start
    }

    /// Bytes that were delivered or given up.
    pub(super) fn passed(&self) -> u64 {
        self.next.saturating_sub(first_offset(self.start))
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

    /// The offset that a number means: the one nearest to the next byte, or what will be the
    /// offset of the first one should the stream start there.
    pub(super) fn offset_of(&self, seq: SeqNum) -> u64 {
        if !self.is_known() {
            return first_offset(seq);
        }
        self.next
            .saturating_add_signed(i64::from(self.distance(seq)))
    }

    /// Whether anything waits: bytes, an end, or a reset that is not final.
    pub(super) fn is_waiting(&self) -> bool {
        self.waiting.is_some()
    }

    /// What waits.
    pub(super) fn waiting(&self) -> Option<&Waiting> {
        self.waiting.as_deref()
    }

    /// Whether missing bytes are all that keeps waiting ones, or the end, from being delivered.
    pub(super) fn has_hole(&self) -> bool {
        self.awaited_offset()
            .is_some_and(|offset| offset > self.next)
    }

    /// The first offset at which something waits: bytes, else the end.
    pub(super) fn awaited_offset(&self) -> Option<u64> {
        self.waiting.as_ref()?.first_offset()
    }

    /// Memory that waiting bytes take up.
    pub(super) fn heap_bytes(&self) -> usize {
        self.waiting
            .as_ref()
            .map_or(0, |waiting| waiting.heap_bytes())
    }

    pub(super) fn patience(&self) -> Option<&Patience> {
        self.waiting.as_ref().map(|waiting| &waiting.patience)
    }

    pub(super) fn patience_mut(&mut self) -> Option<&mut Patience> {
        self.waiting.as_mut().map(|waiting| &mut waiting.patience)
    }

    /// Notes who sent to whom what waits.
    pub(super) fn note_tuple(&mut self, tuple: FiveTuple) {
        if let Some(waiting) = self.waiting.as_mut() {
            waiting.tuple = Some(tuple);
        }
    }

    /// Begins to wait, though there may be no byte to wait with.
    pub(super) fn wait(&mut self) -> &mut Patience {
        &mut self.waiting.get_or_insert_default().patience
    }

    /// How `bytes` compare with what waits at their offsets.
    pub(super) fn compare(&self, offset: u64, bytes: &[u8]) -> Overlap {
        match &self.waiting {
            Some(waiting) => waiting.compare(offset, bytes),
            None => Overlap::default(),
        }
    }

    /// Marks waiting bytes between two offsets as doubtful.
    pub(super) fn flag_overlap(&mut self, start: u64, end: u64) {
        if let Some(waiting) = self.waiting.as_mut() {
            waiting.flag(start, end);
        }
    }

    /// The next bytes were delivered by the caller.
    pub(super) fn advance(&mut self, length: usize) {
        self.next += length as u64;
    }

    /// Takes bytes: tells those that are next, keeps those beyond a hole, passes over others.
    pub(super) fn take(&mut self, offset: u64, bytes: &[u8], stamp: Stamp, sink: &mut Sink<'_>) {
        if offset > self.next || !self.is_open() {
            self.keep(offset, bytes, stamp);
        } else {
            self.tell(offset, bytes, stamp, sink);
        }
    }

    /// Keeps bytes though they may be next: [`release_one`](Self::release_one) tells them.
    pub(super) fn keep(&mut self, offset: u64, bytes: &[u8], stamp: Stamp) {
        let fresh = after(bytes, offset, self.next);
        if !fresh.is_empty() {
            let waiting = self.waiting.get_or_insert_default();
            waiting.insert(offset.max(self.next), fresh, stamp);
        }
    }

    /// Says where an urgent byte stands, which is no part of what is read. Only one that has not
    /// been passed counts, and of several the last (`tcp_check_urg`).
    pub(super) fn mark_urgent(&mut self, offset: u64) {
        if self.is_open() && offset >= self.next {
            let urgent = &mut self.waiting.get_or_insert_default().urgent;
            *urgent = (*urgent).max(Some(offset));
        }
    }

    /// An urgent byte that was announced and did not come is waited for no longer.
    pub(super) fn forget_urgent(&mut self) {
        if let Some(waiting) = self.waiting.as_mut() {
            waiting.urgent = None;
        }
    }

    /// Whether an urgent byte was left out of what was told.
    pub(super) fn is_skewed(&self) -> bool {
        self.phase == Phase::Skewed
    }

    /// Tells bytes that begin at or before the next one.
    fn tell(&mut self, offset: u64, bytes: &[u8], stamp: Stamp, sink: &mut Sink<'_>) {
        self.tell_around_urgent(after(bytes, offset, self.next), stamp, sink);
        if stamp.missing > 0 {
            let end = offset + bytes.len() as u64 + u64::from(stamp.missing);
            let stamp = Stamp {
                flags: Flags::TRUNCATED,
                ..stamp
            };
            self.skip(end.min(self.awaited_offset().unwrap_or(end)), stamp, sink);
        }
    }

    fn tell_around_urgent(&mut self, fresh: &[u8], stamp: Stamp, sink: &mut Sink<'_>) {
        let end = self.next + fresh.len() as u64;
        let waiting = self.waiting.as_mut();
        let urgent = waiting.and_then(|waiting| waiting.urgent.take_if(|at| *at < end));
        let place = urgent.and_then(|at| usize::try_from(at.checked_sub(self.next)?).ok());
        let Some((before, [_, behind @ ..])) = place.and_then(|at| fresh.split_at_checked(at))
        else {
            return self.tell_plain(fresh, stamp, sink);
        };
        self.tell_plain(before, stamp, sink);
        self.next += 1;
        self.phase = Phase::Skewed;
        self.tell_plain(behind, stamp, sink);
    }

    fn tell_plain(&mut self, fresh: &[u8], stamp: Stamp, sink: &mut Sink<'_>) {
        if !fresh.is_empty() {
            let told = Told {
                chunk: Chunk::Data(fresh),
                offset: self.next,
                stamp,
            };
            self.next += fresh.len() as u64;
            sink(told);
        }
    }

    /// Says where the stream ends, unless it ended before. It comes there at once when all bytes
    /// before it were told, unless it answers what was not read yet.
    pub(super) fn end_at(&mut self, offset: u64, end: End, stamp: Stamp, sink: &mut Sink<'_>) {
        if offset < self.next || matches!(self.phase, Phase::Unknown | Phase::Finished) {
            return;
        }
        if offset == self.next && self.is_open() && !stamp.early {
            return self.come_to(end, stamp, sink);
        }
        self.waiting.get_or_insert_default().end = Some((offset, end, stamp));
    }

    /// Tells the first piece that waits, if it is next and its sender had not read the other
    /// direction beyond `limit`; or the end. Whether there was any.
    pub(super) fn release_one(&mut self, limit: u64, sink: &mut Sink<'_>) -> bool {
        let (next, open) = (self.next, self.is_open());
        let Some(waiting) = self.waiting.as_mut().filter(|_| open) else {
            return false;
        };
        let late = |stamp: &Stamp| stamp.early && stamp.acked > Some(limit);
        let piece = match waiting.first_stamp() {
            Some(stamp) if late(stamp) => return false,
            _ => waiting.pop(next),
        };
        if let Some((start, piece)) = piece {
            self.tell(start, &piece.bytes, piece.stamp, sink);
            return true;
        }
        // Bytes that go on beyond an end show that it was none.
        let end = waiting.end.take_if(|(offset, ..)| *offset <= next);
        if waiting.is_empty() {
            self.waiting = None;
        }
        match end {
            Some((offset, end, stamp)) if offset == next => self.come_to(end, stamp, sink),
            _ => {}
        }
        false
    }

    fn come_to(&mut self, end: End, stamp: Stamp, sink: &mut Sink<'_>) {
        match end {
            End::Fin => {
                self.phase = Phase::Finished;
                self.waiting = None;
                let told = Told {
                    chunk: Chunk::Fin,
                    offset: self.next,
                    stamp,
                };
                self.next += 1;
                sink(told);
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

    /// Gives up the bytes before an offset. What waits there stays.
    pub(super) fn skip(&mut self, offset: u64, stamp: Stamp, sink: &mut Sink<'_>) {
        let missing = offset.saturating_sub(self.next);
        if missing > 0 && self.is_open() {
            let told = Told {
                chunk: Chunk::Gap(missing),
                offset: self.next,
                stamp,
            };
            self.next = offset;
            sink(told);
        }
    }

    /// Drops the waiting piece that lies farthest ahead. Its length in bytes.
    pub(super) fn drop_last(&mut self) -> Option<usize> {
        let piece = self.waiting.as_mut()?.pop_last()?;
        Some(piece.bytes.len())
    }

    /// Drops all that waits. The number of bytes.
    pub(super) fn drop_waiting(&mut self) -> usize {
        self.waiting.take().map_or(0, |waiting| waiting.len())
    }
}

/// One turn of the numbers ahead, so that offsets before the start exist too.
fn first_offset(seq: SeqNum) -> u64 {
    (1 << 32) | u64::from(seq.0)
}
