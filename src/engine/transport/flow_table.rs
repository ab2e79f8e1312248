//! Which flow a segment belongs to, and which flows are forgotten first.

use std::collections::HashMap;

use crate::engine::counters::Counters;
use crate::engine::event::Flags;
use crate::engine::frame::Timestamp;
use crate::engine::limits::{
    FLOW_IDLE, FLOW_LINGER, HOLE_ACKED_WAIT, HOLE_WAIT, Limits, REORDER_BYTES_PER_DIRECTION_MAX,
};
use crate::engine::transport::flow::{Flow, FlowKey};
use crate::engine::transport::lru::{Lru, Slot};
use crate::engine::transport::{
    Chunk, Direction, FlowState, Segment, StreamContext, StreamHandler,
};

/// All flows, within a bound on their memory.
pub struct FlowTable<S> {
    index: HashMap<FlowKey, Slot>,
    flows: Lru<Flow<S>>,
    limits: Limits,
    /// Bytes held for reassembly and by the layer above, over all flows.
    buffered: usize,
}

impl<S: FlowState> FlowTable<S> {
    /// What one flow costs in the tables. Both double when they are full, so that a flow may
    /// take up the room of two.
    const FLOW_BYTES: usize = 2 * (Lru::<Flow<S>>::ENTRY_BYTES + size_of::<(FlowKey, Slot)>() + 1);

    /// An empty table.
    pub fn new(limits: Limits) -> Self {
        Self {
            index: HashMap::new(),
            flows: Lru::default(),
            limits,
            buffered: 0,
        }
    }

    /// Flows in the table.
    pub fn len(&self) -> usize {
        self.index.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.index.is_empty()
    }

    /// Bytes held: flows, what waits in them, and the table itself.
    pub fn heap_bytes(&self) -> usize {
        self.buffered + self.index.len() * Self::FLOW_BYTES
    }

    /// Takes one segment; `handler` is given what became contiguous.
    pub fn on_segment(
        &mut self,
        segment: &Segment<'_>,
        now: Timestamp,
        counters: &mut Counters,
        handler: &mut impl StreamHandler<S>,
    ) {
        counters.segments += 1;
        let Some(slot) = self.find_or_open(segment, now, counters, handler) else {
            return;
        };
        let Some(flow) = self.flows.get_mut(slot) else {
            return;
        };
        let before = flow.heap_bytes() + flow.state.heap_bytes();
        flow.last_seen = now;
        Reading {
            flow,
            now,
            counters,
            handler,
        }
        .on_segment(segment);
        let after = flow.heap_bytes() + flow.state.heap_bytes();
        let interest = flow.state.interest();
        self.buffered = (self.buffered + after).saturating_sub(before);
        self.flows.touch(slot, interest);
        self.evict(now, counters, handler);
    }

    /// Lets capture time pass: holes are given up, silent flows are forgotten.
    pub fn on_tick(
        &mut self,
        now: Timestamp,
        counters: &mut Counters,
        handler: &mut impl StreamHandler<S>,
    ) {
        let holes: Vec<Slot> = self.flows.slots_where(Flow::waits);
        for slot in holes {
            self.with_flow(slot, now, counters, handler, |reading| reading.on_time());
        }
        self.forget_silent(now, counters, handler);
    }

    /// The capture ended: holes are skipped, all flows closed.
    pub fn finish(
        &mut self,
        now: Timestamp,
        counters: &mut Counters,
        handler: &mut impl StreamHandler<S>,
    ) {
        for slot in self.flows.slots_where(|_| true) {
            self.with_flow(slot, now, counters, handler, |reading| {
                reading.skip_all_holes();
            });
            self.remove(slot, now, counters, handler);
        }
    }

    fn with_flow<H: StreamHandler<S>>(
        &mut self,
        slot: Slot,
        now: Timestamp,
        counters: &mut Counters,
        handler: &mut H,
        act: impl FnOnce(&mut Reading<'_, S, H>),
    ) {
        let Some(flow) = self.flows.get_mut(slot) else {
            return;
        };
        let before = flow.heap_bytes() + flow.state.heap_bytes();
        let mut reading = Reading {
            flow,
            now,
            counters,
            handler,
        };
        act(&mut reading);
        let after = flow.heap_bytes() + flow.state.heap_bytes();
        self.buffered = (self.buffered + after).saturating_sub(before);
    }

    fn find_or_open(
        &mut self,
        segment: &Segment<'_>,
        now: Timestamp,
        counters: &mut Counters,
        handler: &mut impl StreamHandler<S>,
    ) -> Option<Slot> {
        let key = FlowKey::of(segment);
        if let Some(slot) = self.index.get(&key).copied() {
            if !self
                .flows
                .get(slot)
                .is_some_and(|flow| flow.is_reopened_by(segment))
            {
                return Some(slot);
            }
            self.with_flow(slot, now, counters, handler, |reading| {
                reading.skip_all_holes();
            });
            self.remove(slot, now, counters, handler);
        }
        // Bare acknowledgements and resets of unknown connections say nothing.
        if segment.rst || (segment.payload.is_empty() && !segment.syn) {
            return None;
        }
        Some(self.open(key, segment, now, counters, handler))
    }

    fn open(
        &mut self,
        key: FlowKey,
        segment: &Segment<'_>,
        now: Timestamp,
        counters: &mut Counters,
        handler: &mut impl StreamHandler<S>,
    ) -> Slot {
        counters.flows_opened += 1;
        counters.flows_midstream += u64::from(!segment.syn);
        let state = handler.on_open();
        self.buffered += state.heap_bytes();
        let slot = self.flows.insert(Flow::begin(segment, now, state));
        self.index.insert(key, slot);
        slot
    }

    fn remove(
        &mut self,
        slot: Slot,
        now: Timestamp,
        counters: &mut Counters,
        handler: &mut impl StreamHandler<S>,
    ) {
        let Some(flow) = self.flows.remove(slot) else {
            return;
        };
        self.index.remove(&flow.key);
        let bytes = flow.heap_bytes() + flow.state.heap_bytes();
        self.buffered = self.buffered.saturating_sub(bytes);
        handler.on_close(now, flow.state, counters);
    }

    /// Within the bound, or what says least goes.
    fn evict(
        &mut self,
        now: Timestamp,
        counters: &mut Counters,
        handler: &mut impl StreamHandler<S>,
    ) {
        while self.heap_bytes() > self.limits.memory_bytes {
            let Some((slot, interest)) = self.flows.least() else {
                return;
            };
            counters.flows_evicted += 1;
            counters.flows_evicted_watched +=
                u64::from(interest == crate::engine::transport::Interest::Watched);
            self.remove(slot, now, counters, handler);
        }
    }

    fn forget_silent(
        &mut self,
        now: Timestamp,
        counters: &mut Counters,
        handler: &mut impl StreamHandler<S>,
    ) {
        let silent = self.flows.slots_where(|flow| {
            let wait = if flow.closed { FLOW_LINGER } else { FLOW_IDLE };
            now.since(flow.last_seen) > wait
        });
        for slot in silent {
            self.remove(slot, now, counters, handler);
        }
    }
}

/// One segment, or the passing of time, at work on one flow.
struct Reading<'a, S, H> {
    flow: &'a mut Flow<S>,
    now: Timestamp,
    counters: &'a mut Counters,
    handler: &'a mut H,
}

impl<S: FlowState, H: StreamHandler<S>> Reading<'_, S, H> {
    fn on_segment(&mut self, segment: &Segment<'_>) {
        let direction = self.flow.direction_of(segment);
        if segment.cut {
            self.flow.flags = self.flow.flags.with(Flags::TRUNCATED);
        }
        if segment.rst {
            return self.on_reset(segment, direction);
        }
        if self.flow.is_early(segment, direction) {
            return self.hold(segment, direction);
        }
        self.insert(segment, direction);
        self.release_held();
        self.note_acknowledgement(segment, direction.reversed());
        self.limit_waiting(direction);
        self.skip_acked_holes();
        self.flow.closed |= self.flow.is_finished();
    }

    fn insert(&mut self, segment: &Segment<'_>, direction: Direction) {
        let context = self.flow.context(direction, self.now);
        let was_finished = self.flow.side(direction).is_finished();
        let (side, state) = self.flow.side_and_state(direction);
        if segment.payload.is_empty() && !segment.fin && !segment.syn {
            return;
        }
        let (handler, counters) = (&mut *self.handler, &mut *self.counters);
        let taken = side.insert(
            segment.payload_seq(),
            segment.payload,
            segment.fin,
            &mut |bytes| handler.on_chunk(&context, Chunk::Data(bytes), state, counters),
        );
        counters.duplicate_bytes += taken.duplicate as u64;
        counters.overlap_bytes += taken.differing as u64;
        counters.out_of_window += u64::from(taken.stray > 0);
        if taken.differing > 0 {
            self.flow.flags = self.flow.flags.with(Flags::OVERLAP);
        }
        self.tell_end(direction, was_finished);
    }

    fn hold(&mut self, segment: &Segment<'_>, direction: Direction) {
        let (side, _) = self.flow.side_and_state(direction);
        side.hold(segment.payload_seq(), segment.payload, segment.fin);
        if let (None, Some(ack)) = (self.flow.held, segment.ack) {
            self.flow.held = Some((ack, self.now));
        }
        self.limit_waiting(direction);
    }

    fn release_held(&mut self) {
        if self.flow.held_is_due(self.now) {
            self.flow.held = None;
            let was_finished = self.flow.side(Direction::ToClient).is_finished();
            self.deliver_waiting(Direction::ToClient);
            self.tell_end(Direction::ToClient, was_finished);
        }
    }

    fn deliver_waiting(&mut self, direction: Direction) {
        let context = self.flow.context(direction, self.now);
        let (side, state) = self.flow.side_and_state(direction);
        let (handler, counters) = (&mut *self.handler, &mut *self.counters);
        side.release(&mut |bytes| {
            handler.on_chunk(&context, Chunk::Data(bytes), state, counters);
        });
    }

    fn tell_end(&mut self, direction: Direction, was_finished: bool) {
        if !was_finished && self.flow.side(direction).is_finished() {
            self.tell(direction, Chunk::Fin);
        }
    }

    fn tell(&mut self, direction: Direction, chunk: Chunk<'_>) {
        let context: StreamContext = self.flow.context(direction, self.now);
        self.handler
            .on_chunk(&context, chunk, &mut self.flow.state, self.counters);
    }

    /// A reset counts when it lies where the stream is (RFC 5961 §3.2, with the window's width
    /// for a tap that may be behind); any other is a forgery or a leftover.
    fn on_reset(&mut self, segment: &Segment<'_>, direction: Direction) {
        let side = self.flow.side(direction);
        let known = side.start_seq().is_some();
        let distance = side.distance(segment.seq);
        if known && !(-1..=RESET_WINDOW).contains(&distance) {
            self.counters.out_of_window += 1;
            return;
        }
        if !self.flow.closed {
            self.flow.closed = true;
            self.tell(direction, Chunk::Reset);
        }
    }

    fn note_acknowledgement(&mut self, segment: &Segment<'_>, acked: Direction) {
        let beyond = segment
            .ack
            .is_some_and(|ack| self.flow.acknowledges_hole(acked, ack));
        let now = self.now;
        let since = self.flow.acked_hole(acked);
        if beyond && since.is_none() {
            *since = Some(now);
        }
    }

    /// What waits is bounded: beyond it the hole is given up.
    fn limit_waiting(&mut self, direction: Direction) {
        while self.flow.side(direction).heap_bytes() > REORDER_BYTES_PER_DIRECTION_MAX {
            self.skip_hole(direction);
        }
    }

    /// A hole that the receiver has acknowledged is a loss of the mirror's. A short wait lets
    /// packets in that the mirror only put after their acknowledgement.
    fn skip_acked_holes(&mut self) {
        for direction in [Direction::ToServer, Direction::ToClient] {
            let now = self.now;
            let Some(since) = *self.flow.acked_hole(direction) else {
                continue;
            };
            if !self.flow.side(direction).has_hole() {
                *self.flow.acked_hole(direction) = None;
            } else if now.since(since) >= HOLE_ACKED_WAIT {
                self.skip_hole(direction);
            }
        }
    }

    fn on_time(&mut self) {
        self.release_held();
        self.skip_acked_holes();
        if self.now.since(self.flow.last_seen) >= HOLE_WAIT {
            self.skip_all_holes();
        }
        self.flow.closed |= self.flow.is_finished();
    }

    fn skip_all_holes(&mut self) {
        if self.flow.held.take().is_some() {
            self.deliver_waiting(Direction::ToClient);
        }
        for direction in [Direction::ToServer, Direction::ToClient] {
            while self.flow.side(direction).has_hole() {
                self.skip_hole(direction);
            }
        }
    }

    fn skip_hole(&mut self, direction: Direction) {
        *self.flow.acked_hole(direction) = None;
        let was_finished = self.flow.side(direction).is_finished();
        let Some(missing) = self.flow.side_and_state(direction).0.skip_hole() else {
            return;
        };
        if missing > 0 {
            self.counters.gaps += 1;
            self.counters.gap_bytes += missing;
            self.tell(direction, Chunk::Gap(missing));
        }
        self.deliver_waiting(direction);
        self.tell_end(direction, was_finished);
    }
}

/// How far ahead of what the tap has read a reset is believed: the largest window (RFC 7323 §2.3).
const RESET_WINDOW: i32 = 1 << 30;
