//! Fragments in any order in, whole datagrams out; bounded in number, bytes and time.

use std::collections::HashMap;
use std::net::IpAddr;

use crate::engine::counters::Counters;
use crate::engine::frame::Timestamp;
use crate::engine::limits::{
    FRAGMENT_BYTES_MAX, FRAGMENT_WAIT, FRAGMENTED_DATAGRAMS_MAX, FRAGMENTS_PER_DATAGRAM_MAX,
};
use crate::engine::link::Scope;
use crate::engine::net::ip::{Datagram, Fragment};

/// Names a datagram in pieces (RFC 791 §3.2, RFC 8200 §4.5), within its own network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Key {
    src: IpAddr,
    dst: IpAddr,
    protocol: u8,
    id: u32,
    scope: Scope,
}

#[derive(Debug)]
struct Partial {
    since: Timestamp,
    /// Disjoint, in order of their offsets.
    pieces: Vec<(u32, Vec<u8>)>,
    /// Length of the whole payload, once the last fragment was seen.
    total: Option<u32>,
}

/// Datagrams that wait for fragments.
#[derive(Debug, Default)]
pub(super) struct Pool {
    partial: HashMap<Key, Partial>,
    bytes: usize,
}

impl Pool {
    pub(super) fn heap_bytes(&self) -> usize {
        self.bytes + self.partial.capacity() * size_of::<(Key, Partial)>()
    }

    /// Takes a fragment in; the datagram's payload when it is the last that was missing.
    pub(super) fn insert(
        &mut self,
        datagram: &Datagram<'_>,
        fragment: Fragment,
        scope: Scope,
        now: Timestamp,
        counters: &mut Counters,
    ) -> Option<Vec<u8>> {
        counters.fragments += 1;
        let key = Key {
            src: datagram.src,
            dst: datagram.dst,
            // IPv6 does not count the protocol: only the first fragment's is sure
            protocol: if datagram.src.is_ipv4() {
                datagram.protocol
            } else {
                0
            },
            id: fragment.id,
            scope,
        };
        self.make_room(&key, now, counters);
        let partial = self.partial.entry(key).or_insert_with(|| Partial {
            since: now,
            pieces: Vec::new(),
            total: None,
        });
        let before = partial.bytes();
        if !partial.insert(fragment, datagram.payload) {
            counters.fragments_dropped += 1;
        }
        self.bytes = self.bytes + partial.bytes() - before;
        if !partial.is_complete() {
            return None;
        }
        let whole = self.partial.remove(&key)?;
        self.bytes -= whole.bytes();
        Some(whole.into_payload())
    }

    /// Gives up datagrams that waited too long.
    pub(super) fn expire(&mut self, now: Timestamp, counters: &mut Counters) {
        let bytes = &mut self.bytes;
        self.partial.retain(|_, partial| {
            let stays = now.since(partial.since) <= FRAGMENT_WAIT;
            if !stays {
                counters.fragments_expired += 1;
                *bytes -= partial.bytes();
            }
            stays
        });
    }

    /// A new datagram may cost the oldest its place: whole floods of fragments that are never
    /// finished push each other out.
    fn make_room(&mut self, key: &Key, now: Timestamp, counters: &mut Counters) {
        if self
            .partial
            .get(key)
            .is_some_and(|partial| now.since(partial.since) > FRAGMENT_WAIT)
        {
            counters.fragments_expired += 1;
            self.forget(*key);
        }
        while (self.partial.len() >= FRAGMENTED_DATAGRAMS_MAX && !self.partial.contains_key(key))
            || self.bytes > FRAGMENT_BYTES_MAX
        {
            let oldest = self
                .partial
                .iter()
                .min_by_key(|(_, partial)| partial.since)
                .map(|(key, _)| *key);
            let Some(oldest) = oldest else { return };
            counters.fragments_dropped += self
                .partial
                .get(&oldest)
                .map_or(0, |partial| partial.pieces.len() as u64);
            self.forget(oldest);
        }
    }

    fn forget(&mut self, key: Key) {
        if let Some(partial) = self.partial.remove(&key) {
            self.bytes -= partial.bytes();
        }
    }
}

impl Partial {
    fn bytes(&self) -> usize {
        self.pieces.iter().map(|(_, bytes)| bytes.len()).sum()
    }

    /// What came first stays where fragments overlap: of a whole datagram sent once, all agree,
    /// and who sends two in one gains nothing by the order. False when nothing of it was used.
    fn insert(&mut self, fragment: Fragment, payload: &[u8]) -> bool {
        let end = fragment.offset + payload.len() as u32;
        if !fragment.more && self.total.is_none() {
            self.total = Some(end);
        }
        if self.pieces.len() >= FRAGMENTS_PER_DATAGRAM_MAX || end > 65_535 {
            return false;
        }
        let (mut from, mut fresh) = (fragment.offset, Vec::new());
        for (start, bytes) in &self.pieces {
            let stop = start + bytes.len() as u32;
            if stop <= from || *start >= end {
                continue;
            }
            push(&mut fresh, payload, fragment.offset, from, *start);
            from = from.max(stop);
        }
        push(&mut fresh, payload, fragment.offset, from, end);
        let used = !fresh.is_empty();
        self.pieces.extend(fresh);
        self.pieces.sort_unstable_by_key(|(start, _)| *start);
        used
    }

    fn is_complete(&self) -> bool {
        let mut next = 0;
        for (start, bytes) in &self.pieces {
            if *start != next {
                return false;
            }
            next += bytes.len() as u32;
        }
        self.total.is_some_and(|total| total <= next)
    }

    fn into_payload(self) -> Vec<u8> {
        let total = self.total.unwrap_or(0) as usize;
        let mut whole: Vec<u8> = self
            .pieces
            .into_iter()
            .flat_map(|(_, bytes)| bytes)
            .collect();
        whole.truncate(total);
        whole
    }
}

fn push(fresh: &mut Vec<(u32, Vec<u8>)>, payload: &[u8], start: u32, from: u32, to: u32) {
    if from >= to {
        return;
    }
    let range = (from - start) as usize..(to - start) as usize;
    if let Some(bytes) = payload.get(range) {
        fresh.push((from, bytes.to_vec()));
    }
}
