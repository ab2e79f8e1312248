//! Which flows are forgotten, so that the table keeps its bounds.

use crate::limits::{
    FLOW_IDLE, FLOW_LINGER, FLOWS_FORGOTTEN_PER_TICK_MAX, FLOWS_PER_KEY_ANYWHERE_MAX,
    FLOWS_PER_KEY_MAX, REORDER_MEMORY_DIVISOR,
};
use crate::transport::flow::Flow;
use crate::transport::flow_key::KeyHash;
use crate::transport::flow_table::{Run, seconds};
use crate::transport::queue::Class;
use crate::transport::slab::{Id, Slab};
use crate::transport::{FlowState, Segment, StreamHandler};

impl<S: FlowState, H: StreamHandler<S>> Run<'_, S, H> {
    /// Of too many connections of one key the oldest goes, an empty one first; those that are
    /// over go at once. First those of the segment's network, then of all.
    pub(super) fn make_room_for_key(&mut self, key: KeyHash, segment: &Segment<'_>) {
        let here = |flow: &Flow<S>| flow.shares_network(segment);
        self.make_room_among(key, FLOWS_PER_KEY_MAX, here);
        self.make_room_among(key, FLOWS_PER_KEY_ANYWHERE_MAX, |_| true);
    }

    fn make_room_among(&mut self, key: KeyHash, max: usize, counts: impl Fn(&Flow<S>) -> bool) {
        loop {
            let (mut count, mut least) = (0, None);
            self.table.for_each_of(key, |id, flow| {
                if counts(flow) {
                    let one = (rank(flow), id);
                    least = Some(least.map_or(one, |other| one.min(other)));
                    count += 1;
                }
            });
            match least {
                Some(((false, ..), id)) => self.remove(id),
                Some((_, id)) if count >= max => self.evict(id),
                _ => return,
            }
        }
    }

    /// Before the table grows, what says least goes.
    pub(super) fn make_room_for_flow(&mut self) {
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

    /// Within all bounds: on handshakes, on waiting bytes, on everything.
    #[inline]
    pub(super) fn keep_bounds(&mut self) {
        if std::mem::take(&mut self.grew) {
            self.keep_all_bounds();
        }
    }

    fn keep_all_bounds(&mut self) {
        for class in Class::HOLLOW {
            while self.table.queues.len(class) > self.table.hollow_max {
                let table = &mut *self.table;
                let Some(id) = table.queues.oldest(&mut table.flows, class) else {
                    break;
                };
                self.evict(id);
            }
        }
        while self.table.waiting > self.table.limits.memory_bytes / REORDER_MEMORY_DIVISOR {
            let Some((_, id, side)) = self.table.timers.first() else {
                break;
            };
            self.work(id, |reading| reading.make_room(side));
        }
        while self.exceeds(0) && self.evict_least() {}
    }

    pub(super) fn forget_silent(&mut self) {
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

/// Which of several flows of one key goes first, the least: one that is over, an empty one, the
/// one that was silent longest.
fn rank<S>(flow: &Flow<S>) -> (bool, bool, u32, u32) {
    let over = flow.is_closed();
    let empty = flow.is_embryonic();
    (!over, !empty, flow.links.last_seen, flow.born)
}
