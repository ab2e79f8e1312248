//! Which flow a segment belongs to, and which flows are forgotten first.
//!
//! # Port reuse
//! A SYN whose number is not the one that a flow began with opens a second flow under the same
//! key, and the old one stays: each segment goes to the flow whose place in the sequence it is
//! nearest to. A forged or stale SYN so costs an empty record and takes nothing from the live
//! connection; a real one is read from its first byte. There are at most [`FLOWS_PER_KEY_MAX`];
//! an empty one makes room first.
//!
//! # Memory
//! [`FlowTable::heap_bytes`] counts all that the table holds: pages of flows, buckets, timers,
//! waiting bytes, and what the layer above says that it holds. Buckets are made once, in
//! proportion to the bound, and pages are added one at a time, so that nothing is ever copied to
//! grow. Beyond the bound flows are forgotten, by class ([`Class`]) and then by age.

use std::collections::BTreeSet;

use crate::engine::counters::Counters;
use crate::engine::frame::Timestamp;
use crate::engine::limits::{
    FLOW_IDLE, FLOW_LINGER, FLOWS_FORGOTTEN_PER_TICK_MAX, FLOWS_PER_KEY_ANYWHERE_MAX,
    FLOWS_PER_KEY_MAX, HOLLOW_MEMORY_DIVISOR, Limits, REORDER_MEMORY_DIVISOR,
};
use crate::engine::transport::flow::Flow;
use crate::engine::transport::flow_key::{FlowKey, KeyHash, KeyHasher, Side};
use crate::engine::transport::queue::{Class, Queues};
use crate::engine::transport::reading::Reading;
use crate::engine::transport::slab::{Id, Slab};
use crate::engine::transport::{FlowState, Segment, StreamHandler};

/// All flows, within a bound on their memory.
pub struct FlowTable<S> {
    hasher: KeyHasher,
    /// The first flow of each bucket's chain. As many as a power of two.
    buckets: Box<[Option<Id>]>,
    flows: Slab<Flow<S>>,
    queues: Queues,
    /// When what waits in which direction of which flow has waited long enough.
    timers: BTreeSet<(Timestamp, Id, Side)>,
    limits: Limits,
    /// Bytes that wait in all flows.
    waiting: usize,
    /// Bytes that the layer above holds for all flows.
    held: usize,
    /// Bytes within the same bound that are held elsewhere.
    elsewhere: usize,
}

impl<S: FlowState> FlowTable<S> {
    /// An empty table.
    pub fn new(limits: Limits) -> Self {
        let wanted = limits.memory_bytes / BYTES_PER_BUCKET;
        let buckets = wanted.clamp(BUCKETS_MIN, BUCKETS_MAX).next_power_of_two();
        Self {
            hasher: KeyHasher::new(),
            buckets: vec![None; buckets].into(),
            flows: Slab::default(),
            queues: Queues::default(),
            timers: BTreeSet::new(),
            limits,
            waiting: 0,
            held: 0,
            elsewhere: 0,
        }
    }

    /// Flows in the table, with those that are over and still remembered.
    pub fn len(&self) -> usize {
        self.flows.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes held: flows, what waits in them, what the layer above keeps for them, and the table
    /// itself.
    pub fn heap_bytes(&self) -> usize {
        self.flows.heap_bytes()
            + self.buckets.len() * size_of::<Option<Id>>()
            + self.timers.len() * TIMER_BYTES
            + self.waiting
            + self.held
    }

    /// Leaves so many bytes of its memory to what is no flow; kept when the table grows next.
    pub fn leave_room_for(&mut self, bytes: usize) {
        self.elsewhere = bytes;
    }

    /// Takes one segment and counts it; `handler` is given what became contiguous. Segments that
    /// belong to no flow and carry no bytes leave no trace.
    pub fn on_segment<H: StreamHandler<S>>(
        &mut self,
        segment: &Segment<'_>,
        now: Timestamp,
        counters: &mut Counters,
        handler: &mut H,
    ) {
        counters.segments += 1;
        let mut run = Run {
            table: self,
            now,
            counters,
            handler,
            grew: false,
        };
        run.expire_timers();
        run.on_segment(segment);
    }

    /// Lets capture time pass: holes are given up, silent flows are forgotten.
    pub fn on_tick<H: StreamHandler<S>>(
        &mut self,
        now: Timestamp,
        counters: &mut Counters,
        handler: &mut H,
    ) {
        let mut run = Run {
            table: self,
            now,
            counters,
            handler,
            grew: false,
        };
        run.expire_timers();
        run.forget_silent();
    }

    /// Lets the layer above look at the flows of a key.
    pub fn wake<H: StreamHandler<S>>(
        &mut self,
        key: &FlowKey,
        now: Timestamp,
        counters: &mut Counters,
        handler: &mut H,
    ) {
        let (tuple, key) = (key.tuple(), self.hasher.hash(key));
        let flows = self.with_key(self.bucket(key), key);
        let ids: Vec<Id> = flows.map(|(id, _)| id).collect();
        let mut run = Run {
            table: self,
            now,
            counters,
            handler,
            grew: false,
        };
        for id in ids {
            run.work(id, |reading| reading.wake(tuple));
        }
        run.keep_bounds();
    }

    /// The capture ended: holes are skipped, all flows closed.
    pub fn finish<H: StreamHandler<S>>(
        &mut self,
        now: Timestamp,
        counters: &mut Counters,
        handler: &mut H,
    ) {
        let ids = self.flows.ids();
        let mut run = Run {
            table: self,
            now,
            counters,
            handler,
            grew: false,
        };
        for id in ids {
            run.work(id, |reading| reading.give_up_waiting());
            run.remove(id);
        }
    }

    fn bucket(&self, key: KeyHash) -> usize {
        key.bucket(self.buckets.len().trailing_zeros())
    }

    fn first_in(&self, bucket: usize) -> Option<Id> {
        *self.buckets.get(bucket)?
    }

    /// The flows of one key, newest first.
    fn with_key(&self, bucket: usize, key: KeyHash) -> impl Iterator<Item = (Id, &Flow<S>)> {
        let entry = |id: Id| Some((id, self.flows.get(id)?));
        let first = self.first_in(bucket).and_then(entry);
        std::iter::successors(first, move |(_, flow)| flow.chain.and_then(entry))
            .filter(move |(_, flow)| flow.key == key)
    }

    /// The flow that a segment is meant for: the only one of its key, or the nearest.
    fn find(&self, bucket: usize, key: KeyHash, side: Side, segment: &Segment<'_>) -> Option<Id> {
        let mut found = self.with_key(bucket, key);
        let (first, flow) = found.next()?;
        if !flow.shares_key {
            return flow.may_own(side, segment).then_some(first);
        }
        let all = std::iter::once((first, flow)).chain(found);
        all.filter(|(_, flow)| flow.may_own(side, segment))
            .min_by_key(|(_, flow)| (flow.distance(side, segment), flow.is_embryonic()))
            .map(|(id, _)| id)
    }

    fn link(&mut self, bucket: usize, id: Id) {
        if let Some(first) = self.buckets.get_mut(bucket) {
            let next = first.replace(id);
            if let Some(flow) = self.flows.get_mut(id) {
                flow.chain = next;
            }
        }
    }

    fn unlink(&mut self, id: Id) {
        let Some(flow) = self.flows.get(id) else {
            return;
        };
        let (bucket, next) = (self.bucket(flow.key), flow.chain);
        let mut place = self.first_in(bucket);
        if place == Some(id) {
            if let Some(first) = self.buckets.get_mut(bucket) {
                *first = next;
            }
            return;
        }
        while let Some(flow) = place.and_then(|id| self.flows.get_mut(id)) {
            if flow.chain == Some(id) {
                flow.chain = next;
                return;
            }
            place = flow.chain;
        }
    }

    /// How many flows may be handshakes, and how many over.
    fn hollow_max(&self) -> usize {
        self.limits.memory_bytes / HOLLOW_MEMORY_DIVISOR / size_of::<Option<Flow<S>>>()
    }
}

/// The table at the moment at which something happens.
struct Run<'a, S, H> {
    table: &'a mut FlowTable<S>,
    now: Timestamp,
    counters: &'a mut Counters,
    handler: &'a mut H,
    /// Whether anything grew, so that a bound may have been crossed.
    grew: bool,
}

impl<S: FlowState, H: StreamHandler<S>> Run<'_, S, H> {
    fn on_segment(&mut self, segment: &Segment<'_>) {
        let (key, side) = FlowKey::of(segment);
        let key = self.table.hasher.hash(&key);
        let bucket = self.table.bucket(key);
        let found = match segment.syn {
            true => self.find_opened(bucket, key, side, segment),
            false => self.table.find(bucket, key, side, segment),
        };
        // A single byte on an unknown connection is a keep-alive's, not the stream's.
        let opens = segment.syn || segment.payload.len() > 1;
        let found = match found {
            None if opens && !segment.rst => self.open(bucket, key, side, segment),
            found => found,
        };
        if found.is_none() {
            self.counters.bytes_without_flow += segment.payload.len() as u64;
        }
        if let Some(id) = found {
            let second = seconds(self.now);
            self.work(id, |reading| {
                reading.note_seen(segment, side, second);
                reading.on_segment(segment, side);
            });
            self.keep_bounds();
        }
    }

    /// The flow that a SYN opens, or opened before.
    fn find_opened(
        &mut self,
        bucket: usize,
        key: KeyHash,
        side: Side,
        segment: &Segment<'_>,
    ) -> Option<Id> {
        let now = seconds(self.now);
        let id = self
            .table
            .with_key(bucket, key)
            .filter(|(_, flow)| flow.may_own(side, segment))
            .filter(|(_, flow)| flow.is_opened_by(side, segment, now))
            .max_by_key(|(_, flow)| flow.shares_network(segment))
            .map(|(id, _)| id)?;
        let flow = self.table.flows.get_mut(id)?;
        if !flow.is_closed() {
            flow.open(side, segment);
        }
        Some(id)
    }

    fn open(
        &mut self,
        bucket: usize,
        key: KeyHash,
        side: Side,
        segment: &Segment<'_>,
    ) -> Option<Id> {
        self.make_room_for_key(bucket, key, segment);
        self.make_room_for_flow();
        self.counters.flows_opened += 1;
        self.counters.flows_midstream += u64::from(!segment.syn);
        let mut flow = Flow::begin(key, side, segment);
        flow.links.last_seen = seconds(self.now);
        flow.shares_key = self.share_key(bucket, key);
        let table = &mut *self.table;
        self.grew = true;
        let id = table.flows.insert(flow)?;
        table.link(bucket, id);
        table.queues.push(&mut table.flows, id);
        Some(id)
    }

    /// Of too many connections of one key the oldest goes, an empty one first; those that are
    /// over go at once. First those of the segment's network, then of all.
    fn make_room_for_key(&mut self, bucket: usize, key: KeyHash, segment: &Segment<'_>) {
        let here = |flow: &Flow<S>| flow.shares_network(segment);
        self.make_room_among(bucket, key, FLOWS_PER_KEY_MAX, here);
        self.make_room_among(bucket, key, FLOWS_PER_KEY_ANYWHERE_MAX, |_| true);
    }

    fn make_room_among(
        &mut self,
        bucket: usize,
        key: KeyHash,
        max: usize,
        counts: impl Fn(&Flow<S>) -> bool,
    ) {
        let rank = |flow: &Flow<S>| {
            (
                !flow.is_closed(),
                !flow.is_embryonic(),
                flow.links.last_seen,
            )
        };
        loop {
            let flows = self.table.with_key(bucket, key);
            let ranked = flows
                .filter(|(_, flow)| counts(flow))
                .map(|(id, flow)| (rank(flow), id));
            let (count, least) = ranked.fold((0, None), |(count, least), next| match least {
                Some(least) if next >= least => (count + 1, Some(least)),
                _ => (count + 1, Some(next)),
            });
            match least {
                Some(((false, ..), id)) => self.remove(id),
                Some((_, id)) if count >= max => self.evict(id),
                _ => return,
            }
        }
    }

    /// Whether there are other connections of a key; they are told.
    fn share_key(&mut self, bucket: usize, key: KeyHash) -> bool {
        let others: Vec<Id> = self.table.with_key(bucket, key).map(|(id, _)| id).collect();
        for id in &others {
            if let Some(flow) = self.table.flows.get_mut(*id) {
                flow.shares_key = true;
            }
        }
        !others.is_empty()
    }

    /// Before the table grows, what says least goes.
    fn make_room_for_flow(&mut self) {
        while self.table.flows.is_full() && self.exceeds(Slab::<Flow<S>>::PAGE_BYTES) {
            if !self.evict_least() {
                return;
            }
        }
    }

    fn exceeds(&self, further: usize) -> bool {
        self.table.heap_bytes() + self.table.elsewhere + further > self.table.limits.memory_bytes
    }

    fn evict_least(&mut self) -> bool {
        let table = &mut *self.table;
        let least = table.queues.least(&mut table.flows);
        least.inspect(|id| self.evict(*id)).is_some()
    }

    fn evict(&mut self, id: Id) {
        let Some(flow) = self.table.flows.get(id) else {
            return;
        };
        // Of a connection that is over nothing is lost.
        self.counters.flows_evicted += u64::from(!flow.is_closed());
        self.counters.flows_evicted_watched += u64::from(flow.class == Class::Watched);
        self.remove(id);
    }

    /// Lets `act` work on a flow, and keeps account of what that changed.
    fn work(&mut self, id: Id, act: impl FnOnce(&mut Reading<'_, S, H>)) {
        let Some(flow) = self.table.flows.get_mut(id) else {
            return;
        };
        let before = Waiting::of(flow);
        let mut reading = Reading::new(flow, self.now, self.counters, self.handler);
        act(&mut reading);
        let (told, closed) = (reading.has_told(), reading.has_closed());
        if !flow.is_closed() && (closed || flow.is_finished()) {
            self.close(id);
        }
        self.note_waiting(id, before);
        if told {
            self.note_state(id);
        }
    }

    /// The connection is over: what is left only keeps late duplicates from looking new.
    fn close(&mut self, id: Id) {
        let table = &mut *self.table;
        let Some(flow) = table.flows.get_mut(id) else {
            return;
        };
        self.counters.reorder_bytes_dropped += flow.drop_waiting();
        table.held -= std::mem::take(&mut flow.held) as usize;
        if let Some(state) = flow.state.take() {
            self.handler.on_close(self.now, state, self.counters);
        }
        table.queues.reclass(&mut table.flows, id, Class::Over);
        self.grew = true; // the class of those that are over
    }

    fn note_waiting(&mut self, id: Id, before: Waiting) {
        let table = &mut *self.table;
        let after = table.flows.get(id).map(Waiting::of).unwrap_or_default();
        if before == after {
            return;
        }
        self.grew |= after.bytes > before.bytes;
        table.waiting = table.waiting - before.bytes + after.bytes;
        let deadlines = before.deadlines.into_iter().zip(after.deadlines);
        for (side, (before, after)) in Side::BOTH.into_iter().zip(deadlines) {
            if before != after {
                before.map(|deadline| table.timers.remove(&(deadline, id, side)));
                after.map(|deadline| table.timers.insert((deadline, id, side)));
            }
        }
    }

    fn note_state(&mut self, id: Id) {
        let table = &mut *self.table;
        let Some(flow) = table.flows.get_mut(id) else {
            return;
        };
        let Some(state) = &flow.state else { return };
        let held = match state.heap_bytes() {
            0 => 0,
            bytes => u32::try_from(bytes + ALLOCATION_BYTES).unwrap_or(u32::MAX),
        };
        let before = std::mem::replace(&mut flow.held, held);
        self.grew |= held > before;
        table.held = table.held - before as usize + held as usize;
        let class = Class::from(state.interest());
        if class != flow.class {
            table.queues.reclass(&mut table.flows, id, class);
        }
    }

    fn remove(&mut self, id: Id) {
        let table = &mut *self.table;
        table.queues.unlink(&mut table.flows, id);
        table.unlink(id);
        let Some(mut flow) = table.flows.remove(id) else {
            return;
        };
        let waiting = Waiting::of(&flow);
        self.counters.reorder_bytes_dropped += flow.drop_waiting();
        table.waiting -= waiting.bytes;
        table.held -= flow.held as usize;
        for (side, deadline) in Side::BOTH.into_iter().zip(waiting.deadlines) {
            deadline.map(|deadline| table.timers.remove(&(deadline, id, side)));
        }
        if let Some(state) = flow.state {
            self.handler.on_close(self.now, state, self.counters);
        }
    }

    /// Within all bounds: on handshakes, on waiting bytes, on everything.
    fn keep_bounds(&mut self) {
        if !std::mem::take(&mut self.grew) {
            return;
        }
        let hollow_max = self.table.hollow_max();
        for class in Class::HOLLOW {
            while self.table.queues.len(class) > hollow_max {
                let table = &mut *self.table;
                let Some(id) = table.queues.oldest(&mut table.flows, class) else {
                    break;
                };
                self.evict(id);
            }
        }
        while self.table.waiting > self.table.limits.memory_bytes / REORDER_MEMORY_DIVISOR {
            let Some((_, id, side)) = self.table.timers.first().copied() else {
                break;
            };
            self.work(id, |reading| reading.make_room(side));
        }
        while self.exceeds(0) && self.evict_least() {}
    }

    fn expire_timers(&mut self) {
        while let Some((deadline, id, side)) = self.table.timers.first().copied() {
            if deadline > self.now {
                return;
            }
            self.work(id, |reading| reading.on_deadline(side));
        }
    }

    fn forget_silent(&mut self) {
        let now = seconds(self.now);
        for class in Class::ALL {
            let wait = match class {
                Class::Over => FLOW_LINGER,
                _ => FLOW_IDLE,
            };
            for _ in 0..FLOWS_FORGOTTEN_PER_TICK_MAX {
                let table = &mut *self.table;
                let Some(id) = table.queues.oldest(&mut table.flows, class) else {
                    break;
                };
                let seen = table.flows.get(id).map_or(now, |flow| flow.links.last_seen);
                if u64::from(now.saturating_sub(seen)) <= wait.as_secs() {
                    break;
                }
                self.remove(id);
            }
        }
    }
}

/// What waits in a flow, and until when.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Waiting {
    bytes: usize,
    deadlines: [Option<Timestamp>; 2],
}

impl Waiting {
    fn of<S>(flow: &Flow<S>) -> Self {
        if !flow.is_waiting() {
            return Self::default();
        }
        Self {
            bytes: flow.waiting_bytes(),
            deadlines: Side::BOTH.map(|side| flow.deadline(side)),
        }
    }
}

/// Whole seconds, all that the order of silent flows needs.
fn seconds(time: Timestamp) -> u32 {
    u32::try_from(time.as_nanos() / 1_000_000_000).unwrap_or(u32::MAX)
}

/// One bucket for each flow that fits into the memory, roughly.
const BYTES_PER_BUCKET: usize = 256;
const BUCKETS_MIN: usize = 64;
const BUCKETS_MAX: usize = 1 << 24;
/// What the allocator adds to what is held for a flow: its header, and rounding.
const ALLOCATION_BYTES: usize = 16;
/// A timer in a half-full node of its tree.
const TIMER_BYTES: usize = 48;
