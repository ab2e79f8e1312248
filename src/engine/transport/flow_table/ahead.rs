//! What comes next is brought near, where that is known: in a file.
//!
//! One segment after the other waits for memory three times: for its place in the index, for its
//! flow, and, when that is new and the table is full, for those of the flow that has to go. The
//! processor waits for all that is asked for together at once, but it sees only a few hundred
//! instructions ahead: so nothing else stands between the reads.

use std::hint::black_box;

use crate::transport::FiveTuple;
use crate::transport::flow_key::{KeyHash, Sender};
use crate::transport::flow_table::FlowTable;
use crate::transport::slab::Id;

/// A segment that comes soon.
#[derive(Clone, Copy, Debug)]
pub struct Expected {
    /// Its ends.
    pub tuple: FiveTuple,
    /// Whether it opens a connection.
    pub opens: bool,
}

impl<S> FlowTable<S> {
    /// Whether so many flows are there that [`expect`](Self::expect) is worth its cost.
    pub fn is_wide(&self) -> bool {
        self.flows.len() > NEAR_FLOWS_MAX
    }

    /// Reads what segments will need, so that it is near when they come. Their senders, for
    /// [`on_segment`](Self::on_segment).
    pub fn expect(
        &self,
        segments: impl Iterator<Item = Option<Expected>>,
    ) -> [Option<Sender>; EXPECTED_MAX] {
        let mut senders = [None; EXPECTED_MAX];
        let mut opening = 0;
        for (place, segment) in senders.iter_mut().zip(segments) {
            *place = segment.map(|segment| {
                opening += usize::from(segment.opens);
                self.hasher.hash_sender(&segment.tuple)
            });
        }
        self.bring_near(&senders, opening);
        senders
    }

    fn bring_near(&self, senders: &[Option<Sender>; EXPECTED_MAX], opening: usize) {
        let keys = || keys_of(senders);
        let mut read = 0;
        for key in keys() {
            read ^= self.index.touch(key);
        }
        if self.flows.is_full() {
            read ^= self.touch_least(opening);
        }
        let mut ids = [None; EXPECTED_MAX];
        for (place, key) in ids.iter_mut().zip(keys()) {
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

/// The keys of senders: once, where several of one connection follow each other.
fn keys_of(senders: &[Option<Sender>]) -> impl Iterator<Item = KeyHash> {
    let mut last = None;
    senders.iter().flatten().filter_map(move |sender| {
        let is_other = last.replace(sender.key) != Some(sender.key);
        is_other.then_some(sender.key)
    })
}

/// As many segments as are expected at once. More than a processor has reads on their way.
pub const EXPECTED_MAX: usize = 32;
/// Flows that stay in a processor's own cache, with the index to them.
const NEAR_FLOWS_MAX: usize = 4096;
