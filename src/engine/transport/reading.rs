//! One segment, or the passing of time, at work on one flow.
//!
//! # What is believed
//! - **Order between the directions.** Mirrors put the two directions of a port into one queue and
//!   often not in the order in which they passed. An answer whose acknowledgement covers bytes of
//!   the client's that were not seen yet waits for them.
//! - **Holes.** A hole that the receiver acknowledged is a loss of the mirror's: it is skipped
//!   after [`HOLE_ACKED_WAIT`], which lets bytes in that came after their acknowledgement. One that
//!   nobody acknowledged is waited for as long as [`HOLE_WAIT`]. If the receiver was heard to lack
//!   the same bytes all that time, then what waits behind them never reached it and is dropped: a
//!   forged segment far ahead cannot pull the stream away from the real bytes.
//! - **Resets.** Exactly at the next byte, a reset counts (RFC 5961 §3.2); inside the window it
//!   waits until the stream gets there, and falls if the stream goes on beyond it; outside it is
//!   ignored. A reset that counts is told after [`RESET_WAIT`]: what the other side had in flight
//!   still arrives, and the sender's own further bytes are read only if the other side acknowledges
//!   them, which shows that it never saw the reset.
//! - **Data in a SYN** (RFC 7413) is read when the other side acknowledges it, when more bytes
//!   follow it, or when no answer is seen; servers without Fast Open ignore it and get it again.
//! - **Checksums.** A wrong one drops a segment only from a side that has shown right ones: on its
//!   sender's own machine, every one is unfinished. They are verified where a decoy could gain
//!   something: on SYN, FIN and RST, on all that a client sends, and on a server's bytes unless
//!   they are bulk in order, which is most of the traffic and where only a body would differ.

use crate::engine::counters::Counters;
use crate::engine::event::Flags;
use crate::engine::frame::Timestamp;
use crate::engine::limits::{
    HOLE_ACKED_WAIT, HOLE_WAIT, REORDER_BYTES_PER_DIRECTION_MAX, RESET_WAIT,
};
use crate::engine::transport::assembler::{Assembler, End, Overlap, Phase, after};
use crate::engine::transport::checksum::Verdict;
use crate::engine::transport::flow::{Flow, Stream};
use crate::engine::transport::flow_key::Side;
use crate::engine::transport::queue::Class;
use crate::engine::transport::{
    Chunk, Direction, FlowState, Segment, StreamContext, StreamHandler,
};

/// A flow at the moment at which something happens to it.
pub(super) struct Reading<'a, S, H> {
    pub(super) flow: &'a mut Flow<S>,
    pub(super) now: Timestamp,
    pub(super) counters: &'a mut Counters,
    pub(super) handler: &'a mut H,
    /// Whether the layer above was told anything.
    pub(super) told: bool,
}

impl<S: FlowState, H: StreamHandler<S>> Reading<'_, S, H> {
    pub(super) fn on_segment(&mut self, segment: &Segment<'_>, side: Side) {
        if self.flow.closed {
            self.counters.duplicate_bytes += segment.payload.len() as u64;
            return;
        }
        if self.is_decoy(segment, side) {
            self.counters.tcp_checksum_wrong += 1;
        } else if self.is_next(segment, side) {
            self.deliver(segment, side);
        } else if segment.segment_len() > 0 || segment.rst || self.flow.is_waiting() {
            self.on_odd_segment(segment, side);
        }
    }

    /// Whether a segment is the next bytes and nothing else: nearly all that carry any are.
    fn is_next(&self, segment: &Segment<'_>, side: Side) -> bool {
        let stream = self.flow.stream(side);
        let plain = !(segment.syn || segment.fin || segment.rst || segment.cut || stream.cut);
        plain
            && !segment.payload.is_empty()
            && stream.bytes.is_open()
            && stream.bytes.distance(segment.seq) == 0
            && !self.flow.is_waiting()
            && self.answered_offset(segment, side).is_none()
    }

    /// Lets the layer above look at the flow.
    pub(super) fn wake(&mut self) {
        let context = self.flow.context(self.flow.client, self.now);
        if let Some(state) = &mut self.flow.state {
            self.handler.on_wake(&context, state, self.counters);
            self.told = true;
        }
    }

    fn deliver(&mut self, segment: &Segment<'_>, side: Side) {
        let context = StreamContext {
            time: self.now,
            scope: segment.scope,
            src: segment.tuple.src,
            dst: segment.tuple.dst,
            direction: self.flow.direction(side),
            flags: self.flow.flags,
        };
        let chunk = Chunk::Data(segment.payload);
        let handler = &mut *self.handler;
        let state = self.flow.state.get_or_insert_with(|| handler.on_open());
        handler.on_chunk(&context, chunk, state, self.counters);
        let stream = self.flow.stream_mut(side);
        stream.bytes.advance(segment.payload.len());
        self.told = true;
    }

    fn on_odd_segment(&mut self, segment: &Segment<'_>, side: Side) {
        let before = Side::BOTH.map(|side| Mark::of(self.flow.stream(side)));
        if segment.rst {
            self.on_reset(segment, side);
        } else {
            self.on_bytes(segment, side);
            self.on_acknowledgement(segment, side.other());
            self.release_answers();
        }
        self.arm(before);
    }

    // ── checksums ──

    fn is_decoy(&mut self, segment: &Segment<'_>, side: Side) -> bool {
        if !self.is_worth_verifying(segment, side) {
            return false;
        }
        let stream = self.flow.stream_mut(side);
        match segment.verify_checksum() {
            Verdict::Right => {
                stream.checksums_right = true;
                false
            }
            Verdict::Wrong => stream.checksums_right,
            Verdict::Unfinished => false,
        }
    }

    fn is_worth_verifying(&self, segment: &Segment<'_>, side: Side) -> bool {
        if segment.syn || segment.fin || segment.rst || self.flow.is_waiting() {
            return true;
        }
        let bulk = self.flow.direction(side) == Direction::ToClient
            && segment.payload.len() > SMALL_BYTES
            && self.flow.links.class == Class::Idle
            && self.flow.stream(side).bytes.distance(segment.seq) == 0;
        !segment.payload.is_empty() && !bulk
    }

    // ── bytes ──

    fn on_bytes(&mut self, segment: &Segment<'_>, side: Side) {
        let stream = self.flow.stream_mut(side);
        if segment.payload.is_empty() && !segment.fin {
            stream.cut |= segment.cut;
            return;
        }
        stream.bytes.start_at(segment.payload_seq());
        let distance = stream.bytes.distance(segment.payload_seq());
        let ends_at = i64::from(distance) + segment.payload.len() as i64;
        let over = stream.bytes.phase() == Phase::Finished && ends_at > 0;
        if over || !(-REACH..REACH).contains(&distance) {
            self.counters.out_of_window += 1;
            return;
        }
        let offset = stream.bytes.offset_of(segment.payload_seq());
        self.note_overlap(segment, side, offset);
        self.take(segment, side, offset);
        self.bound_waiting(side);
    }

    fn take(&mut self, segment: &Segment<'_>, side: Side, offset: u64) {
        if segment.syn || self.answered_offset(segment, side).is_some() {
            self.keep(segment, side, offset);
        } else {
            self.skip_what_was_cut(side, offset);
            self.with_stream(side, |bytes, sink| {
                bytes.take(offset, segment.payload, sink)
            });
        }
        if segment.cut {
            self.flow.flags = self.flow.flags.with(Flags::TRUNCATED);
        }
        self.flow.stream_mut(side).cut = segment.cut;
        if segment.fin {
            let end = offset.saturating_add(segment.payload.len() as u64);
            self.with_stream(side, |bytes, sink| bytes.end_at(end, End::Fin, sink));
        }
    }

    /// Keeps bytes back until the other side is heard, or read that far.
    fn keep(&mut self, segment: &Segment<'_>, side: Side, offset: u64) {
        let until = self.now.plus(HOLE_ACKED_WAIT);
        let answered = self.answered_offset(segment, side);
        let bytes = &mut self.flow.stream_mut(side).bytes;
        bytes.keep(offset, segment.payload);
        if !segment.payload.is_empty() || answered.is_some() {
            let patience = bytes.wait();
            patience.kept_since = self.now;
            if patience.deadline == Timestamp::default() || patience.after_other.is_none() {
                patience.deadline = until;
            }
            patience.after_other = patience.after_other.max(answered);
        }
    }

    /// Behind a segment that the snap length cut, the rest of it is missing for certain.
    fn skip_what_was_cut(&mut self, side: Side, offset: u64) {
        let stream = self.flow.stream(side);
        let missing = offset.saturating_sub(stream.bytes.next());
        if stream.cut && !stream.bytes.is_waiting() && missing <= CUT_BYTES_MAX {
            self.with_stream(side, |bytes, sink| {
                bytes.skip_to(offset, sink);
            });
        }
    }

    /// The offset in the client's stream that a server's segment answers, if it was not read so
    /// far yet.
    fn answered_offset(&self, segment: &Segment<'_>, side: Side) -> Option<u64> {
        let asked = &self.flow.stream(side.other()).bytes;
        let ack = segment.ack.filter(|_| asked.is_open())?;
        let distance = asked.distance(ack);
        let early = side != self.flow.client && (1..REACH).contains(&distance);
        early.then(|| asked.offset_of(ack))
    }

    fn note_overlap(&mut self, segment: &Segment<'_>, side: Side, offset: u64) {
        let bytes = &self.flow.stream(side).bytes;
        let passed = bytes.next().saturating_sub(offset);
        if passed == 0 && !bytes.is_waiting() {
            return;
        }
        let mut overlap = bytes.compare(offset, segment.payload);
        self.compare_held(segment, side, offset, &mut overlap);
        let passed = passed.min(segment.payload.len() as u64);
        self.counters.duplicate_bytes += passed + overlap.known as u64;
        self.counters.overlap_bytes += overlap.differing as u64;
        if overlap.differing > 0 {
            self.flow.flags = self.flow.flags.with(Flags::OVERLAP);
        }
    }

    /// Compares with delivered bytes that the layer above still holds: no copy of its own is kept.
    /// The single byte before the next is a keep-alive's, and may be any (RFC 9293 §3.8.4).
    fn compare_held(&self, segment: &Segment<'_>, side: Side, offset: u64, overlap: &mut Overlap) {
        let next = self.flow.stream(side).bytes.next();
        let keep_alive = segment.payload.len() == 1 && offset + 1 == next;
        let state = self
            .flow
            .state
            .as_ref()
            .filter(|_| offset < next && !keep_alive);
        let Some(state) = state else { return };
        let held = state.held(self.flow.direction(side));
        let start = next.saturating_sub(held.len() as u64);
        let (ours, theirs) = (
            after(segment.payload, offset, start),
            after(held, start, offset),
        );
        let known = overlap.known;
        overlap.add(ours, theirs);
        overlap.known = known;
    }

    /// What waits in one direction is bounded: beyond that its hole is given up, unless the
    /// receiver lacks the same bytes, so that they are still to come.
    fn bound_waiting(&mut self, side: Side) {
        loop {
            let bytes = &mut self.flow.stream_mut(side).bytes;
            if bytes.heap_bytes() <= REORDER_BYTES_PER_DIRECTION_MAX {
                return;
            }
            let denied = bytes.patience().is_some_and(|patience| patience.denied);
            if bytes.has_hole() && bytes.is_open() && !denied {
                self.with_stream(side, |bytes, sink| {
                    bytes.skip_hole(sink);
                });
                continue;
            }
            let Some(dropped) = bytes.drop_last() else {
                return;
            };
            self.counters.reorder_bytes_dropped += dropped as u64;
            self.flow.flags = self.flow.flags.with(Flags::TRUNCATED);
        }
    }

    // ── the other side's acknowledgements ──

    fn on_acknowledgement(&mut self, segment: &Segment<'_>, side: Side) {
        let bytes = &mut self.flow.stream_mut(side).bytes;
        let Some(ack) = segment.ack.filter(|_| bytes.is_waiting()) else {
            return;
        };
        let (distance, acked) = (bytes.distance(ack), bytes.offset_of(ack));
        if !(-REACH..REACH).contains(&distance) {
            return;
        }
        if bytes.has_hole() {
            self.note_hole_acknowledged(side, acked);
        } else if distance > 0 {
            bytes.revive();
            self.release_kept(side);
        } else if segment.syn && bytes.is_open() {
            bytes.drop_waiting(); // a SYN's data, which the server did not take
        }
    }

    /// Tells bytes that were all there, with the time at which they came.
    fn release_kept(&mut self, side: Side) {
        let patience = self.flow.stream(side).bytes.patience();
        let since = patience.map_or(self.now, |patience| patience.kept_since);
        let now = std::mem::replace(&mut self.now, since);
        if since == Timestamp::default() {
            self.now = now;
        }
        self.with_stream(side, |bytes, sink| bytes.release(sink));
        self.now = now;
    }

    fn note_hole_acknowledged(&mut self, side: Side, acked: u64) {
        let until = self.now.plus(HOLE_ACKED_WAIT);
        let bytes = &mut self.flow.stream_mut(side).bytes;
        let next = bytes.next();
        if let Some(patience) = bytes.patience_mut() {
            patience.denied = acked <= next;
            // The first acknowledgement beyond the hole counts: bytes up to a later one may still
            // be on their way through the mirror.
            if acked > next && patience.acked <= next {
                patience.acked = acked;
                patience.deadline = patience.deadline.min(until);
            }
        }
    }

    /// Answers wait until what they answer was read.
    fn release_answers(&mut self) {
        for side in Side::BOTH {
            let read = self.flow.stream(side.other()).bytes.next();
            let patience = self.flow.stream_mut(side).bytes.patience_mut();
            let due = patience.and_then(|patience| patience.after_other.take_if(|at| *at <= read));
            if due.is_some() {
                self.with_stream(side, |bytes, sink| bytes.release(sink));
            }
        }
    }

    // ── resets ──

    fn on_reset(&mut self, segment: &Segment<'_>, side: Side) {
        let bytes = &self.flow.stream(side).bytes;
        let distance = match bytes.is_known() {
            true => bytes.distance(segment.seq),
            false if self.is_refusal(segment, side) => 0,
            false => -1,
        };
        match distance {
            0 if self.flow.is_embryonic() => self.flow.closed = true,
            0 => self.reset(side),
            1..REACH if bytes.is_open() => {
                let offset = bytes.offset_of(segment.seq);
                self.with_stream(side, |bytes, sink| bytes.end_at(offset, End::Reset, sink));
            }
            _ => self.counters.out_of_window += 1,
        }
    }

    /// Whether a reset of a side that never spoke answers bytes that were sent to it.
    fn is_refusal(&self, segment: &Segment<'_>, side: Side) -> bool {
        let theirs = &self.flow.stream(side.other()).bytes;
        let sent = |ack| theirs.is_known() && theirs.distance(ack) <= 0;
        segment.ack.is_some_and(sent)
    }

    fn reset(&mut self, side: Side) {
        let next = self.flow.stream(side).bytes.next();
        self.with_stream(side, |bytes, sink| bytes.end_at(next, End::Reset, sink));
        let until = self.now.plus(RESET_WAIT);
        let bytes = &mut self.flow.stream_mut(side).bytes;
        if !bytes.is_open() && !bytes.is_waiting() {
            bytes.wait().deadline = until;
        }
    }

    // ── time ──

    /// What waits in one direction has waited long enough.
    pub(super) fn on_deadline(&mut self, side: Side) {
        let before = Side::BOTH.map(|side| Mark::of(self.flow.stream(side)));
        let bytes = &mut self.flow.stream_mut(side).bytes;
        let Some(patience) = bytes.patience_mut().map(std::mem::take) else {
            return;
        };
        if !bytes.is_open() {
            self.with_stream(side, |_, sink| sink(Chunk::Reset));
            self.flow.closed = true;
        } else if let Some(offset) = patience.after_other {
            self.skip_to(side.other(), offset);
            self.with_stream(side, |bytes, sink| bytes.release(sink));
        } else if bytes.has_hole() && patience.acked > bytes.next() {
            self.skip_to(side, patience.acked);
        } else if bytes.has_hole() && patience.denied {
            self.counters.reorder_bytes_dropped += bytes.drop_waiting() as u64;
        } else {
            self.give_up_holes(side);
        }
        self.release_answers();
        self.arm(before);
    }

    /// Nothing is waited for any longer: holes are skipped, and what they kept back is told.
    pub(super) fn give_up_waiting(&mut self) {
        let [first, second] = [self.flow.client, self.flow.client.other()];
        for side in [first, second] {
            if let Some(patience) = self.flow.stream_mut(side).bytes.patience_mut() {
                patience.after_other = None;
                let denied = patience.denied;
                self.give_up(side, denied);
            }
        }
    }

    /// As [`give_up_waiting`](Self::give_up_waiting) for one direction, to make room.
    pub(super) fn make_room(&mut self, side: Side) {
        let patience = self.flow.stream_mut(side).bytes.patience_mut();
        if let Some(patience) = patience {
            patience.after_other = None;
            let denied = patience.denied;
            self.give_up(side, denied);
        }
    }

    fn give_up(&mut self, side: Side, denied: bool) {
        if denied || !self.flow.stream(side).bytes.is_open() {
            let dropped = self.flow.stream_mut(side).bytes.drop_waiting();
            self.counters.reorder_bytes_dropped += dropped as u64;
        } else {
            self.give_up_holes(side);
        }
        if self.flow.stream(side).bytes.phase() == Phase::Reset {
            self.with_stream(side, |_, sink| sink(Chunk::Reset));
            self.flow.closed = true;
        }
    }

    fn give_up_holes(&mut self, side: Side) {
        self.with_stream(side, |bytes, sink| {
            bytes.release(sink);
            while bytes.is_open() && bytes.has_hole() {
                bytes.skip_hole(sink);
            }
        });
    }

    fn skip_to(&mut self, side: Side, offset: u64) {
        if self.flow.stream(side).bytes.is_open() {
            self.with_stream(side, |bytes, sink| {
                bytes.skip_to(offset, sink);
            });
        }
    }

    /// Sets how long is waited for what waits since, or in another way than, `before`.
    fn arm(&mut self, before: [Mark; 2]) {
        for (side, before) in Side::BOTH.into_iter().zip(before) {
            let stream = self.flow.stream_mut(side);
            let now = Mark::of(stream);
            let reset = now.phase == Phase::Reset && before.phase != Phase::Reset;
            if reset {
                stream.bytes.wait().deadline = self.now.plus(RESET_WAIT);
            } else if let Some(patience) = stream.bytes.patience_mut() {
                let new = patience.deadline == Timestamp::default();
                let waits_for_hole = patience.acked <= now.next && patience.after_other.is_none();
                let moved = now.next != before.next && now.phase == Phase::Open;
                if new || (moved && waits_for_hole) {
                    patience.deadline = self.now.plus(HOLE_WAIT);
                }
            }
        }
    }

    // ── telling ──

    /// Lets `act` work on one direction; what it yields is told to the layer above.
    fn with_stream(
        &mut self,
        side: Side,
        act: impl FnOnce(&mut Assembler<Timestamp>, &mut dyn FnMut(Chunk<'_>)),
    ) {
        let context = self.flow.context(side, self.now);
        let Flow {
            low, high, state, ..
        } = &mut *self.flow;
        let stream = match side {
            Side::Low => low,
            Side::High => high,
        };
        let (handler, counters, told) = (&mut *self.handler, &mut *self.counters, &mut self.told);
        let mut sink = |chunk: Chunk<'_>| {
            if let Chunk::Gap(missing) = chunk {
                counters.gaps += 1;
                counters.gap_bytes += missing;
            }
            // A connection that carried nothing is nobody's business.
            if state.is_some() || matches!(chunk, Chunk::Data(_) | Chunk::Gap(_)) {
                let state = state.get_or_insert_with(|| handler.on_open());
                handler.on_chunk(&context, chunk, state, counters);
                *told = true;
            }
        };
        act(&mut stream.bytes, &mut sink);
    }
}

/// How far a direction had got.
#[derive(Clone, Copy)]
struct Mark {
    next: u64,
    phase: Phase,
}

impl Mark {
    fn of(stream: &Stream) -> Self {
        Self {
            next: stream.bytes.next(),
            phase: stream.bytes.phase(),
        }
    }
}

/// Farther from the next byte than any window can reach (RFC 7323 §2.3), a segment is none of
/// this stream.
const REACH: i32 = 1 << 30;
/// A server's segment up to this size is verified always: that costs little.
const SMALL_BYTES: usize = 256;
/// Bytes that can be missing from one cut segment.
const CUT_BYTES_MAX: u64 = 64 * 1024;
