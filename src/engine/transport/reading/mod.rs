//! One segment, or the passing of time, at work on one flow.
//!
//! # What is believed
//! - **Order between the directions.** Mirrors put the two directions of a port into one queue and
//!   often not in the order in which they passed. An answer whose acknowledgement covers bytes of
//!   the client's that were not seen yet waits for them, and where bytes of the client's are given
//!   up, each answer is told before what the client sent behind the bytes that it acknowledges: so
//!   an answer to what was lost is never taken for the answer to what follows.
//! - **Holes.** A hole that the receiver acknowledged is a loss of the mirror's: it is skipped
//!   after [`HOLE_ACKED_WAIT`], which lets bytes in that came after their acknowledgement. One that
//!   nobody acknowledged is waited for as long as [`HOLE_WAIT`](crate::limits::HOLE_WAIT). If the receiver was heard to lack
//!   the same bytes all that time, then what waits behind them never reached it and is dropped: a
//!   forged segment far ahead cannot pull the stream away from the real bytes.
//! - **Time.** Bytes that waited are told with the time at which they came, or at which the hole
//!   before them was filled; that a hole was given up in the meantime changes no time.
//! - **Resets.** Exactly at the next byte, a reset counts (RFC 5961 §3.2); inside the window it
//!   waits until the stream gets there, and falls if the stream goes on beyond it; outside it is
//!   ignored. A reset that counts is told after [`RESET_WAIT`](crate::limits::RESET_WAIT): what the other side had in flight
//!   still arrives, and the sender's own further bytes are read only if the other side acknowledges
//!   them, which shows that it never saw the reset.
//! - **Data in a SYN** (RFC 7413) is read when the other side acknowledges it, when more bytes
//!   follow it, or when no answer is seen; servers without Fast Open ignore it and get it again.
//!   One that nobody answers, on ports on which another connection lives, is a forgery.
//! - **Acknowledgements.** In a connection whose start was seen, no host takes a segment that
//!   acknowledges nothing, or bytes from before the start (RFC 9293 §3.10.7.4, RFC 5961 §5.2).
//! - **Urgent data.** Servers read on without the urgent byte, unless they ask for it in line, as
//!   hardly any does (RFC 6093 §2): it is left out, by Linux's rules.
//! - **Checksums.** A wrong one drops a segment only from a side that has shown right ones: on its
//!   sender's own machine, every one is unfinished. They are verified where a decoy could gain
//!   something: on SYN, FIN and RST, on all that a client sends, and on a server's bytes unless
//!   they are in order and within a body, or in bulk where nobody waits for an answer. That is most
//!   of the traffic, and only a body would differ.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use crate::counters::Counters;
use crate::event::{Flags, Scheme};
use crate::frame::Timestamp;
use crate::limits::{HOLE_ACKED_WAIT, REORDER_BYTES_PER_DIRECTION_MAX};
use crate::transport::assembler::Phase;
use crate::transport::checksum::Verdict;
use crate::transport::flow::{Flow, Stream};
use crate::transport::flow_key::Side;
use crate::transport::queue::Class;
use crate::transport::waiting::{End, Overlap, Stamp, after};
use crate::transport::{
    Chunk, Direction, FiveTuple, FlowState, Segment, StreamContext, StreamHandler,
};

mod patience;
mod resets;
mod telling;

/// A flow at the moment at which something happens to it.
pub(super) struct Reading<'a, S, H> {
    flow: &'a mut Flow<S>,
    now: Timestamp,
    counters: &'a mut Counters,
    handler: &'a mut H,
    /// Whether the layer above was told anything.
    told: bool,
    /// The side whose next bytes have just come: what waited for them is complete only now.
    filled: Option<Side>,
    /// Who sends to whom on the low side, where it was asked for.
    tuple: Option<FiveTuple>,
    /// Whether the connection turned out to be over.
    closes: bool,
}

impl<'a, S: FlowState, H: StreamHandler<S>> Reading<'a, S, H> {
    pub(super) fn new(
        flow: &'a mut Flow<S>,
        now: Timestamp,
        counters: &'a mut Counters,
        handler: &'a mut H,
    ) -> Self {
        Self {
            flow,
            now,
            counters,
            handler,
            told: false,
            filled: None,
            tuple: None,
            closes: false,
        }
    }

    /// Whether the connection turned out to be over.
    pub(super) fn has_closed(&self) -> bool {
        self.closes
    }

    /// Who sends to whom on a side.
    fn tuple(&self, side: Side) -> FiveTuple {
        let tuple = self.tuple.unwrap_or(NOBODY);
        match side {
            Side::Low => tuple,
            Side::High => tuple.reversed(),
        }
    }

    /// Notes who sends to whom on a side.
    fn set_tuple(&mut self, side: Side, tuple: FiveTuple) {
        self.tuple = Some(match side {
            Side::Low => tuple,
            Side::High => tuple.reversed(),
        });
    }

    /// Whether the layer above was told anything.
    pub(super) fn has_told(&self) -> bool {
        self.told
    }

    /// Notes when a segment came, and of a side's first one where it was seen.
    pub(super) fn note_seen(&mut self, segment: &Segment<'_>, side: Side, second: u32) {
        self.flow.links.last_seen = second;
        self.flow.note_origin(side, segment);
    }

    pub(super) fn on_segment(&mut self, segment: &Segment<'_>, side: Side) {
        if self.flow.is_closed() {
            self.counters.duplicate_bytes += segment.payload.len() as u64;
            return;
        }
        let is_next = self.is_next(segment, side);
        if is_next && self.passes_over(segment, side) {
            return;
        }
        if self.is_decoy(segment, side) {
            self.counters.tcp_checksum_wrong += 1;
            return;
        }
        if self.flow.refuses(side, segment) {
            self.counters.tcp_unacceptable += 1;
            return;
        }
        if !self.flow.stream(side.other()).bytes.is_known() {
            self.start_other(segment, side);
        }
        if is_next {
            let acked = self.acked(segment, side);
            if !self.is_early(side, acked) {
                return self.deliver(segment, side, acked);
            }
        }
        if has_more_than_syn(segment) || self.flow.is_waiting() {
            self.on_odd_segment(segment, side);
        }
    }

    /// Of a connection whose start was seen, the first acknowledgement tells where the other side
    /// starts, though its SYN was missed.
    fn start_other(&mut self, segment: &Segment<'_>, side: Side) {
        let plain = !segment.opens_or_resets() && !self.flow.flags.contains(Flags::MIDSTREAM);
        if let Some(ack) = segment.ack.filter(|_| plain) {
            self.flow.stream_mut(side.other()).bytes.start_at(ack);
        }
    }

    /// Whether a segment is the next bytes and nothing else: nearly all that carry any are.
    fn is_next(&self, segment: &Segment<'_>, side: Side) -> bool {
        let stream = self.flow.stream(side);
        !segment.opens_or_ends()
            && segment.urgent().is_none()
            && segment.missing == 0
            && !segment.payload.is_empty()
            && stream.bytes.is_open()
            && stream.bytes.distance(segment.seq) == 0
            && stream.bytes.notes.flags.is_empty()
            && !self.flow.is_waiting()
    }

    /// Lets the layer above look at the flow.
    pub(super) fn wake(&mut self, tuple: FiveTuple) {
        self.set_tuple(Side::Low, tuple);
        let client = self.flow.client;
        let context = StreamContext {
            time: self.now,
            ..self.flow.context(client, self.tuple(client))
        };
        if let Some(state) = &mut self.flow.state {
            self.handler.on_wake(&context, state, self.counters);
            self.told = true;
        }
    }

    /// Takes a server's next bytes, if all there is to do is to count them: most bytes of most
    /// connections are a body's.
    fn passes_over(&mut self, segment: &Segment<'_>, side: Side) -> bool {
        let direction = self.flow.direction(side);
        let asked = &self.flow.stream(side.other()).bytes;
        if direction != Direction::ToClient || !asked.is_known() {
            return false;
        }
        let early = self.is_early(side, self.acked(segment, side));
        if early || self.flow.refuses(side, segment) {
            return false;
        }
        self.pass_over(direction, segment, side)
    }

    fn deliver(&mut self, segment: &Segment<'_>, side: Side, acked: Option<u64>) {
        let direction = self.flow.direction(side);
        if direction == Direction::ToServer && self.pass_over(direction, segment, side) {
            return;
        }
        self.tell(segment, side, acked);
        let stream = self.flow.stream_mut(side);
        stream.bytes.advance(segment.payload.len());
    }

    fn pass_over(&mut self, direction: Direction, segment: &Segment<'_>, side: Side) -> bool {
        let Some(state) = &mut self.flow.state else {
            return false;
        };
        let bytes = match side {
            Side::Low => &mut self.flow.low.bytes,
            Side::High => &mut self.flow.high.bytes,
        };
        let passed = state.pass_over(direction, bytes.next(), segment.payload);
        if passed {
            bytes.advance(segment.payload.len());
        }
        passed
    }

    fn tell(&mut self, segment: &Segment<'_>, side: Side, acked: Option<u64>) {
        let bytes = &self.flow.stream(side).bytes;
        let FiveTuple { src, dst } = segment.tuple();
        let context = StreamContext {
            time: self.now,
            scope: segment.scope,
            src,
            dst,
            direction: self.flow.direction(side),
            offset: bytes.next(),
            acked,
            flags: self.flow.flags,
            scheme: Scheme::Http,
        };
        let chunk = Chunk::Data(segment.payload);
        let handler = &mut *self.handler;
        let state = self.flow.state.get_or_insert_with(|| handler.on_open());
        handler.on_chunk(&context, chunk, state, self.counters);
        self.told = true;
    }

    fn on_odd_segment(&mut self, segment: &Segment<'_>, side: Side) {
        self.set_tuple(side, segment.tuple());
        let before = Side::BOTH.map(|side| Mark::of(self.flow.stream(side)));
        if segment.rst() {
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
                stream.bytes.notes.checksums_right = true;
                false
            }
            Verdict::Wrong => stream.bytes.notes.checksums_right,
            Verdict::Unfinished => false,
        }
    }

    fn is_worth_verifying(&self, segment: &Segment<'_>, side: Side) -> bool {
        if segment.opens_or_ends() || self.flow.is_waiting() {
            return true;
        }
        let bulk = self.flow.direction(side) == Direction::ToClient
            && segment.payload.len() > SMALL_BYTES
            && self.flow.class == Class::Idle
            && self.flow.stream(side).bytes.distance(segment.seq) == 0;
        !segment.payload.is_empty() && !bulk
    }

    // ── bytes ──

    fn on_bytes(&mut self, segment: &Segment<'_>, side: Side) {
        if segment.payload.is_empty() && !segment.fin() && segment.missing == 0 {
            return;
        }
        let bytes = &mut self.flow.stream_mut(side).bytes;
        bytes.start_at(segment.payload_seq());
        let distance = bytes.distance(segment.payload_seq());
        let ends_at = i64::from(distance) + segment.payload.len() as i64;
        let over = bytes.phase() == Phase::Finished && ends_at > 0;
        if over || !(-REACH..REACH).contains(&distance) {
            self.counters.out_of_window += 1;
            return;
        }
        let offset = bytes.offset_of(segment.payload_seq());
        let acked = self.acked(segment, side);
        let stamp = Stamp {
            time: self.now,
            scope: segment.scope,
            acked,
            missing: segment.missing,
            flags: self.note_overlap(segment, side, offset),
            early: self.is_early(side, acked),
        };
        if let Some(place) = segment.urgent() {
            let bytes = &mut self.flow.stream_mut(side).bytes;
            bytes.mark_urgent(offset.saturating_add(u64::from(place)));
        }
        self.take(segment, side, offset, stamp);
        self.bound_waiting(side);
    }

    fn take(&mut self, segment: &Segment<'_>, side: Side, offset: u64, stamp: Stamp) {
        if offset > self.flow.stream(side).bytes.next() {
            self.release(side); // a SYN's data, now that more follows it
        }
        if segment.syn() || stamp.early {
            self.keep(segment, side, offset, stamp);
        } else {
            let is_next = offset <= self.flow.stream(side).bytes.next();
            self.filled = is_next.then_some(side);
            self.with_stream(side, |bytes, sink| {
                bytes.take(offset, segment.payload, stamp, sink);
            });
            self.release(side);
        }
        if segment.fin() {
            let length = segment.payload.len() as u64 + u64::from(segment.missing);
            let end = offset.saturating_add(length);
            self.with_stream(side, |bytes, sink| {
                bytes.end_at(end, End::Fin, stamp, sink);
            });
        }
    }

    /// Keeps bytes back until the other side is heard, or read that far.
    fn keep(&mut self, segment: &Segment<'_>, side: Side, offset: u64, stamp: Stamp) {
        let until = self.now.plus(HOLE_ACKED_WAIT);
        let bytes = &mut self.flow.stream_mut(side).bytes;
        bytes.keep(offset, segment.payload, stamp);
        if !segment.payload.is_empty() || stamp.early {
            let patience = bytes.wait();
            if patience.deadline == Timestamp::default() || patience.deadline > until {
                patience.deadline = until;
            }
        }
    }

    /// The offset in the other direction up to which the sender has read it.
    fn acked(&self, segment: &Segment<'_>, side: Side) -> Option<u64> {
        let other = &self.flow.stream(side.other()).bytes;
        let ack = segment.ack?;
        let in_reach = !other.is_known() || (-REACH..REACH).contains(&other.distance(ack));
        in_reach.then(|| other.offset_of(ack))
    }

    /// Whether a server's segment answers bytes of the client's that were not read yet.
    fn is_early(&self, side: Side, acked: Option<u64>) -> bool {
        let asked = &self.flow.stream(side.other()).bytes;
        side != self.flow.client && asked.is_open() && acked > Some(asked.next())
    }

    /// What is known against a segment's bytes.
    fn note_overlap(&mut self, segment: &Segment<'_>, side: Side, offset: u64) -> Flags {
        let bytes = &self.flow.stream(side).bytes;
        let passed = bytes.next().saturating_sub(offset);
        if passed == 0 && !bytes.is_waiting() {
            return Flags::NONE;
        }
        let waiting = bytes.compare(offset, segment.payload);
        let told = self.compare_held(segment, side, offset);
        let passed = passed.min(segment.payload.len() as u64);
        self.counters.duplicate_bytes += passed + waiting.known as u64;
        self.counters.overlap_bytes += (waiting.differing + told.differing) as u64;
        let stream = self.flow.stream_mut(side);
        if told.differing > 0 {
            stream.doubt(Flags::OVERLAP);
        }
        if waiting.differing == 0 {
            return Flags::NONE;
        }
        let end = offset.saturating_add(segment.payload.len() as u64);
        stream.bytes.flag_overlap(offset, end);
        Flags::OVERLAP
    }

    /// Compares with delivered bytes that the layer above still holds: no copy of its own is kept.
    /// The single byte before the next is a keep-alive's, and may be any (RFC 9293 §3.8.4).
    fn compare_held(&self, segment: &Segment<'_>, side: Side, offset: u64) -> Overlap {
        let mut overlap = Overlap::default();
        let bytes = &self.flow.stream(side).bytes;
        let next = bytes.next();
        let keep_alive = segment.payload.len() == 1 && offset + 1 == next;
        if let Some(state) = self
            .flow
            .state
            .as_ref()
            .filter(|_| offset < next && !keep_alive && !bytes.is_skewed())
        {
            let held = state.held(self.flow.direction(side));
            let start = next.saturating_sub(held.len() as u64);
            overlap.add(
                after(segment.payload, offset, start),
                after(held, start, offset),
            );
        }
        overlap
    }

    /// What waits in one direction is bounded: beyond that its hole is given up, unless the
    /// receiver lacks the same bytes, so that they are still to come.
    fn bound_waiting(&mut self, side: Side) {
        while self.flow.stream(side).bytes.heap_bytes() > REORDER_BYTES_PER_DIRECTION_MAX {
            let stream = self.flow.stream_mut(side);
            let bytes = &mut stream.bytes;
            let denied = bytes.patience().is_some_and(|patience| patience.denied);
            if bytes.has_hole() && bytes.is_open() && !denied {
                self.skip_hole(side);
                continue;
            }
            let Some(dropped) = bytes.drop_last() else {
                return;
            };
            stream.doubt(Flags::TRUNCATED);
            self.counters.reorder_bytes_dropped += dropped as u64;
        }
    }
}

/// Whether a segment is more than an acknowledgement or a SYN, of which the numbers have been noted.
fn has_more_than_syn(segment: &Segment<'_>) -> bool {
    let bytes = !segment.payload.is_empty() || (segment.syn() && segment.missing > 0);
    bytes || segment.fin() || segment.rst()
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

/// Stands where nobody is known, which nothing asks for.
const NOBODY: FiveTuple = FiveTuple {
    src: SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0),
    dst: SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0),
};
/// Farther from the next byte than any window can reach (RFC 7323 §2.3), a segment is none of
/// this stream.
const REACH: i32 = 1 << 30;
/// A server's segment up to this size is verified always: that costs little.
const SMALL_BYTES: usize = 256;
