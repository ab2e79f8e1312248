//! Which flow a segment belongs to, and which flows are forgotten first.
//!
//! # Port reuse
//! A SYN whose number is not the one that a flow began with opens a second flow under the same
//! key, and the old one stays: each segment goes to the flow whose place in the sequence it is
//! nearest to. A forged or stale SYN so costs an empty record and takes nothing from the live
//! connection; a real one is read from its first byte. There are at most
//! [`FLOWS_PER_KEY_MAX`](crate::limits::FLOWS_PER_KEY_MAX);
//! an empty one makes room first.
//!
//! # Memory
//! [`FlowTable::heap_bytes`] counts all that the table holds: pages of flows, the index, timers,
//! waiting bytes, and what the layer above says that it holds. The index is made small and, when
//! flows become many, once more in proportion to the bound; pages are added one at a time: so no flow
//! is ever copied to grow. Beyond the bound flows are forgotten, by class ([`Class`]) and then by age
//! (`room`).

use std::cmp::Reverse;

use crate::counters::Counters;
use crate::frame::Timestamp;
use crate::limits::{HOLLOW_MEMORY_DIVISOR, Limits, UNDECIDED_BYTES_PER_CONNECTION_MAX};
use crate::net::WireEnds;
use crate::transport::flow::Flow;
use crate::transport::flow_key::{FlowKey, KeyHash, KeyHasher, Sender, Side};
use crate::transport::index::Index;
use crate::transport::queue::{Class, Queues};
use crate::transport::reading::Reading;
use crate::transport::slab::{Id, Slab};
use crate::transport::timers::Timers;
use crate::transport::{Attention, FiveTuple, FlowState, Seen, Segment, StreamHandler};

pub use ahead::{EXPECTED_MAX, Expected};

mod ahead;
mod room;

/// All flows, within a bound on their memory.
pub struct FlowTable<S> {
    hasher: KeyHasher,
    index: Index,
    flows: Slab<Flow<S>>,
    /// Flows that there ever were.
    born: u32,
    queues: Queues,
    timers: Timers,
    limits: Limits,
    /// How many flows may be handshakes, and how many over.
    hollow_max: usize,
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
        let flows_max = limits.memory_bytes / size_of::<Option<Flow<S>>>();
        Self {
            hasher: KeyHasher::new(),
            index: Index::new(flows_max),
            flows: Slab::default(),
            born: 0,
            queues: Queues::default(),
            timers: Timers::default(),
            limits,
            hollow_max: flows_max / HOLLOW_MEMORY_DIVISOR,
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
            + self.index.heap_bytes()
            + self.timers.heap_bytes()
            + self.waiting
            + self.held
    }

    /// Leaves so many bytes of its memory to what is no flow; kept when the table grows next.
    pub fn leave_room_for(&mut self, bytes: usize) {
        self.elsewhere = bytes;
    }

    /// Who sends from one end to the other.
    pub fn sender(&self, tuple: &FiveTuple) -> Sender {
        self.hasher.hash_sender(tuple)
    }

    /// The same for ends as numbers.
    #[inline]
    pub fn sender_of(&self, ends: WireEnds) -> Sender {
        self.hasher.hash_ends(ends)
    }

    /// Takes one segment and counts it; `handler` is given what became contiguous. Segments that
    /// belong to no flow and carry no bytes leave no trace.
    pub fn on_segment<H: StreamHandler<S>>(
        &mut self,
        segment: &Segment<'_>,
        now: Timestamp,
        counters: &mut Counters,
        handler: &mut H,
    ) -> Option<Seen> {
        let sender = self.sender(&segment.tuple());
        self.on_segment_of(sender, segment, now, counters, handler)
    }

    /// The same, where the segment's sender is known already.
    #[inline]
    pub fn on_segment_of<H: StreamHandler<S>>(
        &mut self,
        sender: Sender,
        segment: &Segment<'_>,
        now: Timestamp,
        counters: &mut Counters,
        handler: &mut H,
    ) -> Option<Seen> {
        counters.segments += 1;
        let mut run = Run::new(self, now, counters, handler);
        run.expire_timers();
        run.on_segment(segment, sender)
    }

    /// Lets capture time pass: holes are given up, silent flows are forgotten.
    pub fn on_tick<H: StreamHandler<S>>(
        &mut self,
        now: Timestamp,
        counters: &mut Counters,
        handler: &mut H,
    ) {
        let mut run = Run::new(self, now, counters, handler);
        run.expire_timers();
        run.forget_silent();
    }

    /// Keeps within so many bytes from now on.
    pub fn set_memory(&mut self, bytes: usize) {
        self.limits.memory_bytes = bytes;
    }

    /// What [`Seen`] calls the connections of a key together, and the newest of them.
    pub fn connections(&self, key: &FlowKey) -> (u64, Option<u64>) {
        let key = self.hasher.hash(key);
        let mut newest = None;
        self.for_each_of(key, |id, flow| newest = newest.max(Some((flow.born, id))));
        (key.get(), newest.map(|(_, id)| connection(key, id)))
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
        let mut flows = Vec::new();
        self.for_each_of(key, |id, flow| flows.push((Reverse(flow.born), id)));
        flows.sort_unstable();
        let mut run = Run::new(self, now, counters, handler);
        for (_, id) in flows {
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
        let mut run = Run::new(self, now, counters, handler);
        for id in ids {
            run.work(id, |reading| reading.give_up_waiting());
            run.end(id);
        }
        self.clear();
    }

    /// Gives all flows back together, which costs less than to look for the place of each.
    fn clear(&mut self) {
        self.flows = Slab::default();
        self.index.clear();
        self.queues = Queues::default();
        self.timers = Timers::default();
        (self.waiting, self.held) = (0, 0);
    }

    /// Calls `visit` for each flow of a key.
    #[inline]
    fn for_each_of<'a>(&'a self, key: KeyHash, mut visit: impl FnMut(Id, &'a Flow<S>)) {
        self.index.for_each(key, |id| match self.flows.get(id) {
            Some(flow) if flow.key == key => visit(id, flow),
            _ => {}
        });
    }

    /// The flow that a segment is meant for: the only one of its key, or the nearest.
    #[inline]
    fn find(&self, key: KeyHash, side: Side, segment: &Segment<'_>) -> Option<Id> {
        let (mut found, mut several) = (None, false);
        self.for_each_of(key, |id, flow| {
            several |= found.replace((id, flow)).is_some();
        });
        if several {
            return self.find_nearest(key, side, segment);
        }
        let (id, flow) = found?;
        flow.may_own(side, segment).then_some(id)
    }

    /// Adds a flow; None when there is no room.
    fn insert(&mut self, flow: Flow<S>) -> Option<Id> {
        if self.index.is_narrow() {
            self.widen_index();
        }
        let key = flow.key;
        let id = self.flows.insert(flow)?;
        if !self.index.insert(key, id) {
            self.flows.remove(id);
            return None;
        }
        self.queues.push(&mut self.flows, id);
        Some(id)
    }

    #[cold] // once in the table's life
    fn widen_index(&mut self) {
        let all = self.flows.ids().into_iter();
        let keys = all.filter_map(|id| Some((self.flows.get(id)?.key, id)));
        self.index.widen(keys);
    }

    /// Whether there are other connections of a key; they are told.
    fn share_key(&mut self, key: KeyHash) -> bool {
        let mut others = Vec::new();
        self.for_each_of(key, |id, _| others.push(id));
        for id in &others {
            if let Some(flow) = self.flows.get_mut(*id) {
                flow.marks.share_key();
            }
        }
        !others.is_empty()
    }

    fn find_nearest(&self, key: KeyHash, side: Side, segment: &Segment<'_>) -> Option<Id> {
        let mut nearest = None;
        self.for_each_of(key, |id, flow| {
            if flow.may_own(side, segment) {
                let one = (
                    flow.distance(side, segment),
                    flow.is_embryonic(),
                    Reverse(flow.born),
                    id,
                );
                nearest = Some(nearest.map_or(one, |other| one.min(other)));
            }
        });
        nearest.map(|(.., id)| id)
    }

    /// The flow that a SYN opens, or opened before; of several the one in its own network, then
    /// the oldest.
    fn find_opened(
        &self,
        key: KeyHash,
        side: Side,
        segment: &Segment<'_>,
        second: u32,
    ) -> Option<Id> {
        let mut best = None;
        self.for_each_of(key, |id, flow| {
            if flow.may_own(side, segment) && flow.is_opened_by(side, segment, second) {
                let one = (flow.shares_network(segment), Reverse(flow.born), id);
                best = best.max(Some(one));
            }
        });
        best.map(|(.., id)| id)
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

impl<'a, S: FlowState, H: StreamHandler<S>> Run<'a, S, H> {
    fn new(
        table: &'a mut FlowTable<S>,
        now: Timestamp,
        counters: &'a mut Counters,
        handler: &'a mut H,
    ) -> Self {
        Self {
            table,
            now,
            counters,
            handler,
            grew: false,
        }
    }

    fn on_segment(&mut self, segment: &Segment<'_>, sender: Sender) -> Option<Seen> {
        let Sender { key, side } = sender;
        let found = match segment.syn() {
            true => self.find_opened(key, side, segment),
            false => self.table.find(key, side, segment),
        };
        // A single byte on an unknown connection is a keep-alive's, not the stream's.
        let opens = segment.syn() || segment.payload.len() > 1;
        let opens = found.is_none() && opens && !segment.rst();
        let found = match opens {
            true => self.open(key, side, segment),
            false => found,
        };
        let Some(id) = found else {
            self.counters.bytes_without_flow += segment.payload.len() as u64;
            return None;
        };
        let second = seconds(self.now);
        let wants_seen = self.handler.wants_seen();
        let act = |reading: &mut Reading<'_, S, H>| {
            reading.note_seen(segment, side, second);
            reading.on_segment(segment, side);
        };
        let tell = |flow: &Flow<S>| Self::seen(flow, id, side, opens);
        let seen = self.work_and(id, act, wants_seen.then_some(tell));
        self.keep_bounds();
        seen
    }

    /// What a segment was to its flow, if its frame may be worth keeping.
    fn seen(flow: &Flow<S>, id: Id, side: Side, opens: bool) -> Option<Seen> {
        let undecided = match flow.class {
            Class::Handshake | Class::Undecided | Class::Watched => true,
            // It speaks something that is read, and no name was met yet.
            Class::Idle => flow.marks.attention() == Attention::Unknown && flow.held > 0,
            Class::Over => false,
        };
        let read = || flow.low.bytes.passed() + flow.high.bytes.passed();
        let watched = flow.marks.attention() == Attention::Watched;
        let seen = watched || (undecided && read() <= UNDECIDED_BYTES_PER_CONNECTION_MAX);
        seen.then(|| Seen {
            connection: connection(flow.key, id),
            endpoints: flow.key.get(),
            watched,
            opens,
            over: flow.is_closed(),
            settled: flow.is_closed() && !flow.marks.is_outlived(),
            side: side as usize,
        })
    }

    /// The flow that a SYN opens, or opened before.
    fn find_opened(&mut self, key: KeyHash, side: Side, segment: &Segment<'_>) -> Option<Id> {
        let second = seconds(self.now);
        let id = self.table.find_opened(key, side, segment, second)?;
        let flow = self.table.flows.get_mut(id)?;
        if !flow.is_closed() {
            flow.open(side, segment);
        }
        Some(id)
    }

    fn open(&mut self, key: KeyHash, side: Side, segment: &Segment<'_>) -> Option<Id> {
        let mut shares_key = false;
        self.table.for_each_of(key, |_, _| shares_key = true);
        if shares_key {
            self.make_room_for_key(key, segment);
        }
        self.make_room_for_flow();
        self.counters.flows_opened += 1;
        self.counters.flows_midstream += u64::from(!segment.syn());
        let table = &mut *self.table;
        table.born = table.born.wrapping_add(1);
        let mut flow = Flow::begin(key, side, segment);
        flow.links.last_seen = seconds(self.now);
        flow.born = table.born;
        if shares_key && table.share_key(key) {
            flow.marks.share_key();
        }
        self.grew = true;
        table.insert(flow)
    }

    /// Lets `act` work on a flow, and keeps account of what that changed.
    fn work(&mut self, id: Id, act: impl FnOnce(&mut Reading<'_, S, H>)) {
        self.work_and(id, act, None::<fn(&Flow<S>) -> Option<()>>);
    }

    /// The same, and what `tell` says of the flow then; it is in memory that is near.
    #[inline]
    fn work_and<T>(
        &mut self,
        id: Id,
        act: impl FnOnce(&mut Reading<'_, S, H>),
        tell: Option<impl FnOnce(&Flow<S>) -> Option<T>>,
    ) -> Option<T> {
        let flow = self.table.flows.get_mut(id)?;
        let before = Waiting::of(flow);
        let mut reading = Reading::new(flow, self.now, self.counters, self.handler);
        act(&mut reading);
        let (told, closed) = (reading.has_told(), reading.has_closed());
        let waits = before.is_some() || flow.is_waiting();
        let closes = !flow.is_closed() && (closed || flow.is_finished());
        if !(closes || waits || told) {
            return tell?(flow);
        }
        if closes {
            self.close(id);
        }
        if waits {
            self.note_waiting(id, before);
        }
        if told {
            self.note_state(id);
        }
        tell?(self.table.flows.get(id)?)
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
            if state.outlives_its_connection() {
                flow.marks.outlive();
            }
            self.handler.on_close(self.now, state, self.counters);
        }
        table.queues.reclass(&mut table.flows, id, Class::Over);
        self.grew = true; // the class of those that are over
    }

    fn note_waiting(&mut self, id: Id, before: Option<Waiting>) {
        let table = &mut *self.table;
        let after = table.flows.get(id).and_then(Waiting::of);
        let (before, after) = (before.unwrap_or_default(), after.unwrap_or_default());
        if before == after {
            return;
        }
        self.grew |= after.bytes > before.bytes;
        table.waiting = table.waiting - before.bytes + after.bytes;
        let deadlines = before.deadlines.into_iter().zip(after.deadlines);
        for (side, (before, after)) in Side::BOTH.into_iter().zip(deadlines) {
            if before != after {
                let timer = |deadline| (deadline, id, side);
                table.timers.change(before.map(timer), after.map(timer));
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
        flow.marks.note(self.handler.take_attention());
        if class != flow.class {
            table.queues.reclass(&mut table.flows, id, class);
        }
    }

    fn remove(&mut self, id: Id) {
        let table = &mut *self.table;
        table.queues.unlink(&mut table.flows, id);
        let Some(mut flow) = table.flows.remove(id) else {
            return;
        };
        table.index.remove(flow.key, id);
        let waiting = Waiting::of(&flow).unwrap_or_default();
        self.counters.reorder_bytes_dropped += flow.drop_waiting();
        table.waiting -= waiting.bytes;
        table.held -= flow.held as usize;
        for (side, deadline) in Side::BOTH.into_iter().zip(waiting.deadlines) {
            let timer = deadline.map(|deadline| (deadline, id, side));
            table.timers.change(timer, None);
        }
        if let Some(state) = flow.state {
            self.handler.on_close(self.now, state, self.counters);
        }
    }

    /// Tells a flow's end; its place stays.
    fn end(&mut self, id: Id) {
        let Some(flow) = self.table.flows.get_mut(id) else {
            return;
        };
        self.counters.reorder_bytes_dropped += flow.drop_waiting();
        if let Some(state) = flow.state.take() {
            self.handler.on_close(self.now, state, self.counters);
        }
    }

    #[inline]
    fn expire_timers(&mut self) {
        if self.table.timers.are_due(self.now) {
            self.expire_due_timers();
        }
    }

    #[cold]
    fn expire_due_timers(&mut self) {
        while let Some((_, id, side)) = self.table.timers.due(self.now) {
            self.work(id, |reading| reading.on_deadline(side));
        }
    }
}

/// Connections of one key are told apart by their places in the table, which an odd factor spreads.
fn connection(key: KeyHash, id: Id) -> u64 {
    key.get() ^ u64::from(id.get()).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

/// What waits in a flow, and until when.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Waiting {
    bytes: usize,
    deadlines: [Option<Timestamp>; 2],
}

impl Waiting {
    /// None when nothing does.
    #[inline]
    fn of<S>(flow: &Flow<S>) -> Option<Self> {
        flow.is_waiting().then(|| Self {
            bytes: flow.waiting_bytes(),
            deadlines: Side::BOTH.map(|side| flow.deadline(side)),
        })
    }
}

/// Whole seconds, all that the order of silent flows needs.
fn seconds(time: Timestamp) -> u32 {
    u32::try_from(time.as_nanos() / 1_000_000_000).unwrap_or(u32::MAX)
}

/// What the allocator adds to what is held for a flow: its header, and rounding.
const ALLOCATION_BYTES: usize = 16;
