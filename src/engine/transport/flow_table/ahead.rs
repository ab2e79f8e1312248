//! What comes next is brought near, where that is known: in a file.
//!
//! One segment after the other waits for memory three times: for its place in the index, for its
//! flow, and, when that is new and the table is full, for those of the flow that has to go. The
//! processor waits for all that is asked for together at once, but it sees only a few hundred
//! instructions ahead: so nothing else stands between the reads.

use std::hint::black_box;

use crate::transport::flow_key::{KeyHash, Sender};
use crate::transport::flow_table::FlowTable;
use crate::transport::slab::Id;

/// A segment that comes soon.
#[derive(Clone, Copy, Debug)]
pub struct Expected {
    /// Who sends it.
    pub sender: Sender,
    /// Whether it opens a connection.
    pub opens: bool,
}

impl<S> FlowTable<S> {
    /// Whether so many flows are there that [`expect`](Self::expect) is worth its cost.
    pub fn is_wide(&self) -> bool {
        self.flows.len() > NEAR_FLOWS_MAX
    }

    /// Reads what segments will need, so that it is near when they come.
    pub fn expect(&self, segments: &[Option<Expected>; EXPECTED_MAX]) {
        let mut read = 0;
        for key in keys_of(segments) {
            read ^= self.index.touch(key);
        }
        if self.flows.is_full() {
            let opening = segments.iter().flatten().filter(|one| one.opens);
            read ^= self.touch_least(opening.count());
        }
        let mut ids = [None; EXPECTED_MAX];
        for (place, key) in ids.iter_mut().zip(keys_of(segments)) {
            *place = self.last_of(key);
        }
        for flow in ids
            .into_iter()
            .flatten()
            .filter_map(|id| self.flows.get(id))
        {
            read ^= flow.touch();
        }
        black_box(read);
    }

    /// A flow that may have a key: nearly always the only one.
    fn last_of(&self, key: KeyHash) -> Option<Id> {
        let mut last = None;
        self.index.for_each(key, |id| last = Some(id));
        last
    }

    /// Reads what it takes to forget so many of the flows that are next to go.
    fn touch_least(&self, count: usize) -> u32 {
        let mut read = 0;
        self.queues.for_least(&self.flows, count, |flow| {
            read ^= self.index.touch(flow.key) ^ flow.touch();
        });
        read
    }
}

/// The keys of segments: once, where several of one connection follow each other.
fn keys_of(segments: &[Option<Expected>]) -> impl Iterator<Item = KeyHash> {
    let mut last = None;
    segments.iter().flatten().filter_map(move |segment| {
        let key = segment.sender.key;
        (last.replace(key) != Some(key)).then_some(key)
    })
}

/// As many segments as are expected at once. More than a processor has reads on their way.
pub const EXPECTED_MAX: usize = 32;
/// Flows that stay in a processor's own cache, with the index to them.
const NEAR_FLOWS_MAX: usize = 4096;
